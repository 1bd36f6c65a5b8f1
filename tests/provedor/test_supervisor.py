"""The supervisor: children are started, started again, and ended, also when it is killed itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from provedor.settings import load_settings

CHILD = """
import os, time
from provedor.supervisor import Child, Supervisor
def child(ready):
    ready()
    os.write(1, f"{os.getpid()}\\n".encode())  # one write: the two processes share the pipe
    time.sleep(60)
Supervisor([Child("one", child)], lambda: os.write(1, b"ready\\n")).run()
"""
#: A service whose first new start is refused, as PostgreSQL's is while its predecessor's backends end.
SERVICE = """
import os, subprocess, sys
from core.errors import ProvedorError
from provedor.supervisor import Supervisor
class Sleeper:
    name, launches = "sleeper", 0
    def launch(self):
        self.launches += 1
        if self.launches == 2:
            raise ProvedorError("the last one is still asleep")
        self.process = subprocess.Popen(["sleep", "60"])
        os.write(1, f"{self.process.pid}\\n".encode())
    def exit_code(self):
        return self.process.poll()
sleeper = Sleeper()
sleeper.launch()
Supervisor([], lambda: None, [sleeper]).run()
sleeper.process.terminate()
sys.exit(0 if sleeper.process.wait() == -15 else 1)
"""


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[str]]:
    with running(CHILD) as process:
        yield process


def read_child(supervisor: subprocess.Popen[str]) -> int:
    assert supervisor.stdout is not None
    said = []
    while not (line := supervisor.stdout.readline()).strip().isdigit():
        said.append(line)
        assert line, f"the supervisor ended: {said}"
    return int(line)


def gone(pid: int) -> bool:
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_killed_child_is_started_again_and_term_ends_all(supervisor: subprocess.Popen[str]) -> None:
    first = read_child(supervisor)
    os.kill(first, signal.SIGKILL)
    second = read_child(supervisor)
    assert second != first
    supervisor.terminate()
    assert supervisor.wait(10) == 0
    assert gone(second)


def test_a_killed_supervisor_takes_its_children_along(supervisor: subprocess.Popen[str]) -> None:
    child = read_child(supervisor)
    supervisor.kill()
    supervisor.wait()
    assert gone(child)


def test_a_killed_service_is_started_again_until_it_can_be_and_left_to_its_owner_in_the_end() -> None:
    with running(SERVICE) as supervisor:
        first = read_child(supervisor)
        os.kill(first, signal.SIGKILL)
        second = read_child(supervisor)
        assert second != first
        supervisor.terminate()
        assert supervisor.wait(10) == 0  # its owner found it alive


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROVEDOR_HTTP_PORT", "http"),
        ("PROVEDOR_RADIUS_HOST", "localhost"),
        ("PROVEDOR_TIMEZONE", "Brasilia"),
        ("PROVEDOR_LANGUAGE", "pt"),
    ],
)
def test_a_bad_setting_is_one_sentence_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "provedor.toml").write_text('http_port = 8100\nlanguage = "en"\n')
    monkeypatch.setenv("PROVEDOR_HTTP_PORT", "8200")
    loaded = load_settings()
    assert (loaded.http_port, loaded.language) == (8200, "en")

"""The supervisor: children are started, started again, and ended, also when it is killed itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from provedor.settings import load_settings

PROGRAM = """
import os, time
from provedor.supervisor import Child, Supervisor
def child(ready):
    ready()
    os.write(1, f"{os.getpid()}\\n".encode())  # one write: the two processes share the pipe
    time.sleep(60)
Supervisor([Child("one", child)], lambda: os.write(1, b"ready\\n")).run()
"""


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process
        process.kill()


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

"""The README's walk-through, pasted line by line into a shell beside a demo provider that was just started.

Both run in a network of their own (a namespace with nothing but loopback), so that the README's ports are free.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provedor.embedded import EmbeddedPostgres

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parent.parent.parent
END = "<<<line done>>>"


def pasted_lines() -> list[str]:
    section = (ROOT / "README.md").read_text().split("## A subscriber's life, line by line")[1].split("\n## ")[0]
    return [line.removeprefix("    ") for line in section.splitlines() if line.startswith("    ")]


class Shell:
    """A bash that is fed one line at a time, as by a person who pastes."""

    def __init__(self, network_of: int, directory: Path) -> None:
        self.process = subprocess.Popen(
            ["nsenter", "--target", str(network_of), "--net", "bash", "-m"], cwd=directory, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def paste(self, line: str) -> str:
        """What the shell showed until the line was done. Its sleeps are doubled: other tests run on the machine."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        unhurried = re.sub(r"\bsleep (\d+)", lambda sleep: f"sleep {2 * int(sleep[1])}", line)
        self.process.stdin.write(f"{unhurried}\necho '{END}'\n")
        self.process.stdin.flush()
        shown = []
        while END not in (said := self.process.stdout.readline()):
            assert said, f"the shell ended at: {line}"
            shown.append(said)
        return "".join(shown)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a clone has after `make demo` installed it."""
    directory = tmp_path_factory.mktemp("clone")
    (directory / ".venv").symlink_to(Path(sys.prefix))
    yield directory
    home = EmbeddedPostgres(directory / "demo-data" / "postgres")._home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def demo(clone: Path) -> Iterator[subprocess.Popen[str]]:
    with (clone / "demo.log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && exec .venv/bin/provedor demo"], cwd=clone, text=True,
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    assert process.stdout is not None
    shown = []
    while not (line := process.stdout.readline()).startswith("provedor ready"):
        shown.append(line)
        assert line, "".join(shown) + (clone / "demo.log").read_text()
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_the_walk_through_shows_what_it_says(demo: subprocess.Popen[str], clone: Path) -> None:
    shell = Shell(demo.pid, clone)
    shown = {line: shell.paste(line) for line in pasted_lines()}
    shell.close()

    def said(beginning: str) -> str:
        return next(output for line, output in shown.items() if line.startswith(beginning))

    for line, output in shown.items():
        assert not re.search(r"Traceback|Error\b|not found|\"status\": ?[45]\d\d|provedor: ", output), (line, output)
        if re.match(r"[A-Z]+=\$\(req", line):
            assert output == "", (line, output)
    assert "Access-Accept" in said("provedor radius test")
    assert "MS-MPPE-Send-Key = (hidden)" in said("provedor radius test")
    assert "Received Access-Accept" in said("echo 'User-Name=maria")
    assert '"in_step":true' in said("sleep 5; req")
    throttled = said("sleep 2; provedor explain maria --language en")
    assert "effect reduced speed" in throttled
    assert "Online since" in throttled
    assert "does not have the intended policy" not in throttled
    assert "dry run" in said("provedor billing run --dry-run")
    restricted = said("sleep 8; provedor explain maria")
    assert "Bloqueio por cobrança, efeito só a página de aviso" in restricted
    assert "Conectado desde" in restricted
    assert "ainda não tem a política pretendida" not in restricted
    assert said("provedor simulate gateway standard").startswith("200 ")
    back = said("sleep 8; provedor explain maria --language en")
    assert back.startswith("maria: Online since")
    assert "Hold" not in back

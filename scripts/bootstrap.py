"""Make .venv with the locked dependencies, needing nothing but Python.

    python3 scripts/bootstrap.py runtime|dev

Debian splits `ensurepip` into a package of its own (python3-venv); where it is missing, pip's own wheel is
fetched by the version and hash pinned below and run from the file. A stamp makes a second run free.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PIP_VERSION = "26.0.1"
PIP_SHA256 = "bdb1b08f4274833d62c1aa29e20907365a2ceb950410df15fc9521bad440122b"


def main(group: str) -> None:
    if sys.version_info < (3, 11):
        sys.exit(f"Provedor needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    lock = ROOT / "lock" / f"{group}.txt"
    stamp = VENV / f"{group}.stamp"
    wanted = hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    pip = pip_command()
    run([*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(lock)])
    run([*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", str(ROOT)])
    stamp.write_text(wanted)


def pip_command() -> list[str]:
    """How to run pip for the venv, which is made first if it is not there."""
    if not PYTHON.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, check=False)
        if made.returncode != 0:
            run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)])
    has_pip = subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True, check=False)
    if has_pip.returncode == 0:
        return [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    return [str(PYTHON), f"{fetch_pip_wheel()}/pip", "--disable-pip-version-check"]


def fetch_pip_wheel() -> Path:
    """From the package index as every index and mirror has it (PEP 503), PIP_INDEX_URL's or PyPI."""
    target = VENV / f"pip-{PIP_VERSION}-py3-none-any.whl"
    page = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    with urllib.request.urlopen(page, timeout=60) as answer:
        found = re.search(rf'href="([^"]*{re.escape(target.name)}[^"]*)"', answer.read().decode())
    if found is None:
        sys.exit(f"{page} has no {target.name}; install Debian's python3-venv instead")
    with urllib.request.urlopen(urljoin(page, html.unescape(found[1])), timeout=60) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        sys.exit("the pip wheel that was fetched is not the pinned one; nothing was installed")
    target.write_bytes(content)
    return target


def run(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in {"runtime", "dev"}:
        sys.exit("usage: bootstrap.py runtime|dev")
    main(sys.argv[1])

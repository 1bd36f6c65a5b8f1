"""Requests a second against FreeRADIUS, ours and the peer's in turn; the ratio is taken pair by pair."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.node import ACCT_PORT, AUTH_PORT, PEER_PORT, Node
from bench.report import Line

HERE = Path(__file__).parent


class Row(NamedTuple):
    """What is measured, against which mode of the peer, and the least ratio; None where it is only shown."""

    name: str
    peer: str
    load: list[str]
    peer_load: list[str]
    ratio_min: float | None


ROWS = [
    Row("PAP, 4 source ports", "memory", ["-m", "pap", "-n", "100000", "-s", "4"], [], 1.5),
    Row("PAP, one NAS, one source port", "memory", ["-m", "pap", "-n", "60000", "-s", "1"], [], 1.5),
    Row("MS-CHAPv2", "memory", ["-m", "mschapv2", "-n", "30000", "-s", "4"], [], None),
    Row("PAP against SQL", "sql", ["-m", "pap", "-n", "100000", "-s", "4"], ["-n", "12000"], 12),
    Row("accounting, fsynced, against detail", "detail", ["-m", "acct", "-n", "60000", "-s", "4"], [], 1),
    Row("accounting, fsynced, against SQL", "sql", ["-m", "acct", "-n", "60000", "-s", "4"], ["-n", "9000"], 10),
]


def build_load_generator(scratch: Path) -> str:
    target = str(scratch / "radload")
    source = str(HERE / "radload.c")
    command = ["cc", "-O2", "-DMSCHAP", "-Wno-deprecated-declarations", "-o", target, source, "-lm", "-lcrypto"]
    subprocess.run(command, check=True)
    return target


def measure_row(node: Node, row: Row, radload: str, users: int, rounds: int) -> Line:
    directory = tempfile.mkdtemp(prefix="provedor-peer-")
    script = ["bash", str(HERE / "freeradius_baseline.sh")]
    subprocess.run(
        [*script, "up", row.peer, directory, str(users), str(PEER_PORT)], check=True, stdout=subprocess.DEVNULL
    )
    accounting = "acct" in row.load
    ours, theirs = [], []
    try:
        for number in range(rounds):
            port = ACCT_PORT if accounting else AUTH_PORT
            node.await_idle()
            ours.append(run_load(radload, row.load, users, port, f"{row.name[-3:]}{number}"))
            node.await_idle()
            theirs.append(run_load(radload, row.load + row.peer_load, users, PEER_PORT + accounting, f"p{number}"))
    finally:
        subprocess.run([*script, "down", directory], check=False)
        shutil.rmtree(directory, ignore_errors=True)
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    bar = "(shown)" if row.ratio_min is None else f">= {row.ratio_min:g}"
    return Line(
        row.name, f"{statistics.median(ours):.0f}/s", f"{statistics.median(theirs):.0f}/s, {row.peer}",
        f"{ratio:.2f} times", bar, None if row.ratio_min is None else ratio >= row.ratio_min,
    )  # fmt: skip


def run_load(radload: str, load: list[str], users: int, port: int, prefix: str) -> float:
    """Requests a second. A reply that was lost or forged fails the run."""
    command = [radload, "-p", str(port), "-u", str(users), "-w", "64", "-R", prefix.replace(" ", ""), *load]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RuntimeError(f"the load generator failed: {answer.stdout}{answer.stderr}")
    return float(json.loads(answer.stdout)["per_second"])

"""Run the rounds and print one table.

python -m bench [ROUNDS]
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from bench.node import ACCT_PORT, AUTH_PORT, Node, running_node
from provedor.embedded import EmbeddedPostgres

HERE = Path(__file__).parent
USERS = 100_000
PEER_PORT = 21812
SHIPPED_PER_S = 20_000
SHIPPED_S = 30


class Row(NamedTuple):
    """What is measured, against which mode of the peer, and the bar."""

    name: str
    peer: str
    load: list[str]
    peer_load: list[str]
    bar: str


ROWS = [
    Row("PAP, 4 source ports", "memory", ["-m", "pap", "-n", "100000", "-s", "4"], [], ">= 1.5"),
    Row("PAP, one NAS, one source port", "memory", ["-m", "pap", "-n", "60000", "-s", "1"], [], ">= 1.5"),
    Row("MS-CHAPv2", "memory", ["-m", "mschapv2", "-n", "30000", "-s", "4"], [], "(shown)"),
    Row("PAP against SQL", "sql", ["-m", "pap", "-n", "100000", "-s", "4"], ["-n", "12000"], ">= 12"),
    Row("accounting, fsynced, against detail", "detail", ["-m", "acct", "-n", "60000", "-s", "4"], [], ">= 1"),
    Row("accounting, fsynced, against SQL", "sql", ["-m", "acct", "-n", "60000", "-s", "4"], ["-n", "9000"], ">= 10"),
]


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="provedor-bench-") as scratch:
        radload = build(Path(scratch))
        with running_node(USERS) as node:
            memory = node.proportional_memory_mb()
            lines = [measure(row, radload, rounds) for row in ROWS]
            shipped = measure_shipper(node, radload)
    report = [
        f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Linux {platform.release()}, {rounds} rounds",
        "",
        "| what | Provedor /s | FreeRADIUS /s | mode of the peer | median ratio | bar |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
        f"Memory of the whole node, idle, {USERS} services: {memory:.0f} MB PSS (bar: 700).",
        shipped,
    ]
    print("\n".join(report))
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / f"{datetime.now(UTC):%Y%m%d-%H%M}.md").write_text("\n".join(report) + "\n")


def build(scratch: Path) -> str:
    target = str(scratch / "radload")
    source = str(HERE / "radload.c")
    command = ["cc", "-O2", "-DMSCHAP", "-Wno-deprecated-declarations", "-o", target, source, "-lm", "-lcrypto"]
    subprocess.run(command, check=True)
    return target


def measure(row: Row, radload: str, rounds: int) -> str:
    """Ours and the peer's in turn; the ratio is taken pair by pair."""
    directory = tempfile.mkdtemp(prefix="provedor-peer-")
    script = ["bash", str(HERE / "freeradius_baseline.sh")]
    subprocess.run(
        [*script, "up", row.peer, directory, str(USERS), str(PEER_PORT)], check=True, stdout=subprocess.DEVNULL
    )
    accounting = "acct" in row.load
    ours, theirs = [], []
    try:
        for number in range(rounds):
            ours.append(run(radload, row.load, ACCT_PORT if accounting else AUTH_PORT, f"{row.name[-3:]}{number}"))
            theirs.append(run(radload, row.load + row.peer_load, PEER_PORT + accounting, f"p{number}"))
    finally:
        subprocess.run([*script, "down", directory], check=False)
        shutil.rmtree(directory, ignore_errors=True)
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return (
        f"| {row.name} | {statistics.median(ours):.0f} | {statistics.median(theirs):.0f} | {row.peer} "
        f"| {ratio:.2f} | {row.bar} |"
    )


def run(radload: str, load: list[str], port: int, prefix: str) -> float:
    command = [radload, "-p", str(port), "-u", str(USERS), "-w", "64", "-R", prefix.replace(" ", ""), *load]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(json.loads(answer.stdout)["per_second"])


def measure_shipper(node: Node, radload: str) -> str:
    """Whether spooled records reach PostgreSQL as fast as they are acknowledged."""
    count = "SELECT count(*) FROM accounting_record"
    offered = SHIPPED_PER_S * SHIPPED_S
    load = ["-m", "acct", "-n", str(offered), "-s", "4", "-q", str(SHIPPED_PER_S)]
    with psycopg.connect(EmbeddedPostgres(node.data / "postgres").url, autocommit=True) as connection:
        wait_until_still(connection, count)
        before = _number(connection, count)
        acknowledged = run(radload, load, ACCT_PORT, "ship")
        missing = before + offered - _number(connection, count)
        ended = time.monotonic()
        wait_until_still(connection, count, before + offered)
        late = time.monotonic() - ended
        stored = _number(connection, count) - before
    return (
        f"Shipper, {SHIPPED_S} s at {SHIPPED_PER_S}/s: {acknowledged:.0f}/s acknowledged; at the last answer {missing} "
        f"records were not yet in PostgreSQL, {late:.1f} s later all {stored} were (bar: under 1 s)."
    )


def wait_until_still(connection: psycopg.Connection[tuple[object, ...]], count: str, wanted: int = 0) -> None:
    last = -1
    for _ in range(600):
        now = _number(connection, count)
        if now >= wanted if wanted else now == last:
            return
        last = now
        connection.execute("SELECT pg_sleep(0.1)")


def _number(connection: psycopg.Connection[tuple[object, ...]], query: str) -> int:
    row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(str(row[0]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

"""Run the parts and print one table; exit status 1 when a bar was missed. Only a whole run is kept in results/.

python -m bench [ROUNDS] [--only PART ...] [--records MILLIONS]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench import local
from bench.connection_log import measure_lookups
from bench.flood import measure_flood
from bench.gateways import measure_gateways
from bench.local import measure_local
from bench.node import COA_PORT, Node, running_node
from bench.paid import measure_paid
from bench.peer import ROWS, build_load_generator, measure_row
from bench.provisioning import measure_provisioning
from bench.report import Line, render
from bench.run import measure_run
from bench.scale import measure_scale
from bench.seed import seeded
from bench.shipping import measure_shipper
from bench.standing import measure_memory, measure_start_without_database, private_memory, start_line
from bench.storm import measure_storm

SERVICES = 100_000
#: What these change stays, so they have a provider of their own.
BILLING = {"gateways", "flood", "run"}
PARTS = (
    "start", "memory", "paid", "peer", "shipper", "storm", "gateways", "flood", "run", "provisioning", "local",
    "scale",
    "connection-log",
)  # fmt: skip
#: The first of those who pay in the flood: nobody else's debts are theirs.
FLOOD_FROM = 20_000
#: Rows of the connection log, in millions; the bar is meant for 100, which takes 14 minutes to fill and some 26 GB.
RECORDS_MILLIONS = 5


def main(rounds: int, parts: set[str], records: int) -> int:
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(prefix="provedor-bench-") as scratch:
        for line in measure(Path(scratch), rounds, parts, records):
            print(f"{line.verdict:6} {line.what}: {line.ours}; {line.result}", flush=True)
            lines.append(line)
    report = render(lines, rounds)
    print("\n" + report)
    if parts == set(PARTS):
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / f"{datetime.now(UTC):%Y%m%d-%H%M}.md").write_text(report)
    return int(any(line.kept is False for line in lines))


def measure(scratch: Path, rounds: int, parts: set[str], records: int) -> Iterator[Line]:
    if "connection-log" in parts:
        yield from measure_lookups(scratch / "log", records)
    empty: dict[str, int] = {}
    if parts & {"memory", "scale"}:
        with seeded(scratch / "nearly-empty", 1, COA_PORT) as nearly_empty, running_node(nearly_empty) as node:
            empty = private_memory(node)
    if parts - {"scale", "connection-log", "provisioning", "local"} - BILLING:
        with seeded(scratch / "data", SERVICES, COA_PORT) as data:
            yield from measure_on(data, scratch, rounds, parts, empty)
    if parts & BILLING:
        with seeded(scratch / "billing", SERVICES, COA_PORT) as billing, running_node(billing) as node:
            yield from measure_billing(node, scratch, parts)
    if "provisioning" in parts:
        with seeded(scratch / "provisioning", 1, COA_PORT) as data, running_node(data) as node:
            yield from measure_provisioning(node)
    if "local" in parts:
        with seeded(scratch / "local", local.SERVICES, COA_PORT) as data, running_node(data) as node:
            yield from measure_local(node)
    if "scale" in parts:
        yield from measure_scale(scratch, empty["auth-0"])


def measure_on(data: Path, scratch: Path, rounds: int, parts: set[str], empty: dict[str, int]) -> Iterator[Line]:
    with running_node(data) as node:
        if "start" in parts:
            yield start_line(node, SERVICES, "for the first time")
        if "memory" in parts:
            yield from measure_memory(empty, node, SERVICES)
        if "paid" in parts:
            yield from measure_paid(node)
        if parts & {"peer", "shipper"}:
            radload = build_load_generator(scratch)
        if "peer" in parts:
            yield from (measure_row(node, row, radload, SERVICES, rounds) for row in ROWS)
        if "shipper" in parts:
            yield measure_shipper(node, radload, SERVICES)
        if "storm" in parts:
            yield from measure_storm(node, scratch)
    if "start" in parts:
        with running_node(data) as node:
            yield start_line(node, SERVICES, "again")
        yield measure_start_without_database(data, SERVICES)


def measure_billing(node: Node, scratch: Path, parts: set[str]) -> Iterator[Line]:
    if "gateways" in parts:
        yield from measure_gateways(node)
    if "flood" in parts:
        yield from measure_flood(node, scratch, FLOOD_FROM)
    if "run" in parts:
        yield from measure_run(node, build_load_generator(scratch), SERVICES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("rounds", type=int, nargs="?", default=5, help="of each comparison with the peer")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--records", type=int, default=RECORDS_MILLIONS, help="millions, of the connection log")
    arguments = parser.parse_args()
    sys.exit(main(arguments.rounds, set(arguments.only), arguments.records * 1_000_000))

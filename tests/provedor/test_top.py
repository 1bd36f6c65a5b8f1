"""The terminal view fits its terminal, whatever there is to show, and finds the node's processes."""

from __future__ import annotations

import fcntl
import io
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from provedor.cli.top import render
from provedor.observe import RATES, processes, queue_lengths
from provedor.settings import load_settings

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def view(*, nas: int = 1, running: int = 13, events: int = 40, steps: int = 40, **values: Any) -> dict[str, Any]:
    sessions = [{"nas": f"a-rather-long-name-of-a-bras-{n}", "sessions": 10_000, "out_of_step": n} for n in range(nas)]
    return {
        "node": "node-1.provedor.example", "database": "ok", "broker": "ok",
        "sessions": {"total": 10_000 * nas, "out_of_step": 0, "by_nas": sessions},
        "rates": {"total": dict.fromkeys(RATES, 12345.6), "by_nas": {}},
        "subscribers": 100_000, "spool": {"octets": 1 << 33, "lag_s": 0.4},
        "outbox": {"rows": 3, "failing": 1, "late_s": 0.0}, "queues": {"enforce": 1, "default": 0},
        "processes": [{"name": f"process-{n}", "up_s": n * 20, "cpu": 0.5, "memory_octets": 1 << 25}
                      for n in range(running)],
        "events": [{"at": NOW, "type": "service.created", "subject": f"service:{n}", "payload": {"login": "x" * 99}}
                   for n in range(events)],
        "enforcement": [{"at": NOW, "action": "coa", "outcome": "nak", "reason": "r" * 99, "error_cause": 503,
                         "duration_ms": 1.5, "login": None, "nas": None} for n in range(steps)],
    } | values  # fmt: skip


def screen(shown: dict[str, Any], width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(render(shown, width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("shown", [view(), view(nas=30, running=21), view(nas=0, events=0, steps=0)])
def test_it_fits(shown: dict[str, Any], width: int, height: int) -> None:
    lines = screen(shown, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for word in (
        "database ok",
        "accepts/s",
        "Outbox 3 rows, 1 failing",
        "Queues enforce 1",
        "process-0",
        "Last events",
    ):
        assert word in text


def test_events_and_steps_share_the_room() -> None:
    lines = screen(view(), 80, 24)
    assert sum("service.created" in line for line in lines) >= 4
    assert sum("coa nak 503" in line for line in lines) >= 4


def test_it_says_what_is_away() -> None:
    text = "\n".join(screen(view(database="no answer for 9 s", outbox={}, queues={}, processes=[]), 80, 24))
    for words in ("database no answer for 9 s", "Outbox unknown", "Queues unknown", "start `provedor up`"):
        assert words in text


def test_the_supervisor_is_who_holds_the_nodes_lock(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    assert processes(settings) == []
    with (tmp_path / "node.lock").open("w") as file:
        assert processes(settings) == []
        fcntl.flock(file, fcntl.LOCK_EX)
        found = processes(settings)
    assert found[0].pid == os.getpid()
    assert found[0].memory_octets > 1 << 20
    assert processes(settings) == []


def test_a_broker_of_another_protocol_is_not_asked() -> None:
    assert queue_lengths("amqp://guest@127.0.0.1:1//") == ("not asked (no Redis protocol)", {})
    assert queue_lengths("redis://127.0.0.1:1")[0].startswith("away: ")

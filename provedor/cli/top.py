"""top: a live view of this node in the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from provedor.cli.common import Json, runtime

REFRESH_S = 1.0
#: How long a script waits for a database that does not answer.
FIRST_READING_S = 5.0
NAS_LINES_MAX = 6
#: What one look prints, in lines.
ONCE_LINES = 36
#: A process that was started less than this ago is worth a look: nobody starts one but after a death.
YOUNG_S = 60


def top(
    once: Annotated[bool, typer.Option("--once", help="one look (it takes a second), then end")] = False,
    as_json: Json = False,
) -> None:
    """Sessions, rates, queues, last events, enforcement and processes, each second. Ctrl-C ends it."""
    from provedor.observe import Observer  # noqa: PLC0415

    observer = Observer(runtime())
    observer.first_reading.wait(FIRST_READING_S)
    try:
        if as_json:
            for view in _views(observer.look, once=once):
                typer.echo(json.dumps(view, ensure_ascii=False, default=str))
        elif once:
            console = Console()
            console.print(render(next(_views(observer.look, once=True)), console.width, ONCE_LINES))
        else:
            _live(observer.look)
    except KeyboardInterrupt:
        return
    finally:
        observer.close()


def _views(look: Any, *, once: bool) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """The first look only after a second, so that its rates are rates."""
    while True:
        time.sleep(REFRESH_S)
        yield look()
        if once:
            return


def _live(look: Any) -> None:  # noqa: ANN401
    with Live(screen=True, auto_refresh=False) as live:
        for view in _views(look, once=False):
            size = live.console.size
            live.update(render(view, size.width, size.height), refresh=True)


def render(view: dict[str, Any], width: int, height: int) -> RenderableType:
    """The view, not taller than `height`: what room is left goes to events and enforcement steps."""
    nas = _nas_table(view, width)
    processes = _processes(view["processes"], width)
    used = 1 + min(len(view["sessions"]["by_nas"]), NAS_LINES_MAX) + 2 + 2 + len(processes)
    room = max(2, height - used - 2 - 1)
    steps = view["enforcement"][: room // 2]
    events = view["events"][: room - len(steps)]
    return Group(
        _head(view),
        nas,
        *_queues(view),
        *processes,
        Text("Last events", style="bold"),
        *(_line(_event(one)) for one in events),
        Text("Last enforcement steps", style="bold"),
        *(_line(_step(one)) for one in steps),
    )


def _head(view: dict[str, Any]) -> Text:
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(f"{view['node']}  {datetime.now(UTC):%m-%d %H:%M:%S} UTC  ", style="bold")
    for name in ("database", "broker"):
        state = view[name]
        head.append(f"{name} {state}  ", style="green" if state == "ok" else "bold red")
    return head


def _nas_table(view: dict[str, Any], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    numbers = ("online", "out of step", "accepts/s", "rejects/s", "acct/s", "dup/s", "discards/s")
    table.add_column(
        "NAS", no_wrap=True, overflow="ellipsis", max_width=max(8, width - sum(len(name) + 2 for name in numbers))
    )
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    sessions, rates = view["sessions"], view["rates"]
    table.add_row(*_nas_row("all", sessions["total"], sessions["out_of_step"], rates["total"]), style="bold")
    for row in sessions["by_nas"][:NAS_LINES_MAX]:
        table.add_row(*_nas_row(row["nas"], row["sessions"], row["out_of_step"], rates["by_nas"].get(row["nas"], {})))
    return table


def _nas_row(name: str, online: int, out_of_step: int, rates: dict[str, float]) -> list[str]:
    shown = [_rate(rates.get(kind, 0.0)) for kind in ("accepts", "rejects", "accounting", "duplicates", "discards")]
    return [name, str(online), str(out_of_step), *shown]


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 1000 else f"{rate:.0f}"


def _queues(view: dict[str, Any]) -> list[Text]:
    outbox, spool = view["outbox"], view["spool"]
    owed = f"{outbox['rows']} rows, {outbox['failing']} failing, {outbox['late_s']:.1f} s late" if outbox else "unknown"
    waiting = "  ".join(f"{name} {length}" for name, length in view["queues"].items()) or "unknown"
    return [
        _line(f"Outbox {owed}   Spool {spool['octets'] / 1024:.0f} KiB, {spool['lag_s']:.1f} s behind"),
        _line(f"Queues {waiting}   Logins known {view['subscribers']}"),
    ]


def _processes(running: list[dict[str, Any]], width: int) -> list[Text]:
    """Name, processor share and memory of each, as many to a line as there is room for."""
    if not running:
        return [Text("No process of this node runs: start `provedor up`", style="bold red")]
    columns = max(1, width // 26)
    lines = []
    for at in range(0, len(running), columns):
        line = Text(no_wrap=True)
        for one in running[at : at + columns]:
            shown = f"{one['name'][:12]:<12}{one['cpu'] * 100:4.0f}%{one['memory_octets'] / 2**20:5.0f}M   "
            line.append(shown, style="yellow" if one["up_s"] < YOUNG_S else "")
        lines.append(line)
    return lines


def _event(event: dict[str, Any]) -> str:
    payload = "  ".join(f"{key}={value}" for key, value in event["payload"].items() if value is not None)
    return f"{event['at']:%m-%d %H:%M:%S}  {event['type']:<24} {event['subject']:<16} {payload}"


def _step(step: dict[str, Any]) -> str:
    cause = f" {step['error_cause']}" if step["error_cause"] else ""
    what = f"{step['action']} {step['outcome']}{cause}"
    return (f"{step['at']:%m-%d %H:%M:%S}  {what:<18} {step['login'] or '?':<20} {step['nas'] or '?':<14} "
            f"{step['duration_ms']:.0f} ms  {step['reason']}")  # fmt: skip


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")

"""What commands share: the runtime beside a running node, who acts, and output for people or programs."""

from __future__ import annotations

import csv
import getpass
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from aaa.dictionary import describe
from aaa.packet import Code, Packet
from core.audit import Actor
from core.errors import ConfigurationError, InvalidInput
from core.language import Language
from provedor.runtime import Runtime
from provedor.settings import load_settings

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
InLanguage = Annotated[
    Language | None, typer.Option("--language", help="of what is said to people; default: PROVEDOR_LANGUAGE")
]


def runtime() -> Runtime:
    """The running node's database, by its settings.

    Only a node's start makes a key file: a command that found none and made one would cover up its loss.
    """
    from provedor.node import resolve_runtime  # noqa: PLC0415  (imports every room)

    settings = load_settings()
    found = resolve_runtime(settings)
    if not settings.key_file.exists():
        raise ConfigurationError(
            f"the key file {settings.key_file} is missing: restore it from its copy, or name it by "
            "PROVEDOR_SECRET_KEY_FILE"
        )
    return found


def actor() -> Actor:
    return Actor(f"cli:{getpass.getuser()}")


def print_json(value: Any) -> None:  # noqa: ANN401
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """What does not fit is folded, never cut: people copy from tables."""
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The same items, with a bar on a terminal's stderr that is gone when they are done."""
    console = Console(stderr=True)
    return track(items, what, total=total, console=console, transient=True, disable=not console.is_terminal)


def describe_packet(packet: Packet) -> dict[str, Any]:
    """A packet by names, without its secrets."""
    return {
        "code": _code_name(packet),
        "identifier": packet.identifier,
        "attributes": [{"name": name, "value": value} for name, value in describe(packet)],
    }


def print_packet(packet: Packet) -> None:
    typer.echo(f"{_code_name(packet)} (identifier {packet.identifier})")
    for name, value in describe(packet):
        typer.echo(f"  {name} = {value}")


def _code_name(packet: Packet) -> str:
    try:
        return Code(packet.code).name.replace("_", "-").title()
    except ValueError:
        return f"Code {packet.code}"


def read_rows(file: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file with these columns at least; what a short row lacks is empty."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines, restval="")
        missing = [name for name in required if name not in (rows.fieldnames or ())]
        if missing:
            raise InvalidInput(f"the file has no column {', '.join(missing)}", field=str(file))
        try:
            for row in rows:
                yield rows.line_num, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise InvalidInput(f"is no CSV file in UTF-8: {error}", field=str(file)) from None

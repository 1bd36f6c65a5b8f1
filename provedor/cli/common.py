"""What commands share: the runtime beside a running node, who acts, and output for people or programs."""

from __future__ import annotations

import getpass
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from aaa.dictionary import describe
from aaa.packet import Code, Packet
from core.audit import Actor
from provedor.runtime import Runtime
from provedor.settings import load_settings

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def runtime() -> Runtime:
    """The running node's database, by its settings."""
    from provedor.node import resolve_runtime  # noqa: PLC0415  (imports every room)

    return resolve_runtime(load_settings())


def actor() -> Actor:
    return Actor(f"cli:{getpass.getuser()}")


def print_json(value: Any) -> None:  # noqa: ANN401
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


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

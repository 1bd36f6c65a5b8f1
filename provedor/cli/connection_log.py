"""connection-log lookup, import, nat-rule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from sqlalchemy import select

from provedor.cli.common import Json, actor, print_json, print_table, progress, runtime

log_app = typer.Typer(no_args_is_help=True, help="who held an address at a time")
rule_app = typer.Typer(no_args_is_help=True, help="deterministic NAT rules")
log_app.add_typer(rule_app, name="nat-rule")
Zone = Annotated[str | None, typer.Option(help="zone of times without an offset, as America/Sao_Paulo")]


@log_app.command()
def lookup(
    ip: str,
    reason: Annotated[str, typer.Option(help="why: a case, a ticket; it is kept")],
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    at: Annotated[str | None, typer.Option(help="as 2026-11-24T12:00:00-03:00")] = None,
    first: Annotated[str | None, typer.Option("--from")] = None,
    until: Annotated[str | None, typer.Option()] = None,
    zone: Zone = None,
    as_json: Json = False,
) -> None:
    """Who held this address at that time. The lookup itself is kept."""
    from aaa.connection_log.find import read_question  # noqa: PLC0415
    from aaa.connection_log.lookups import as_json as answer_json  # noqa: PLC0415
    from aaa.connection_log.lookups import look_up  # noqa: PLC0415

    given = runtime()
    question = read_question(ip, port, at=at, first=first, last=until, zone=zone)
    with given.database.transaction() as session:
        answer, findings = look_up(session, question, actor=actor(), reason=reason)
    found = answer_json(answer, findings, given.settings.language)
    if as_json:
        print_json(found)
        return
    columns = ["login", "customer", "document", "address", "ports", "from", "until", "how"]
    print_table(columns, [_row(one) for one in found["candidates"]])
    for sentence in found["in_words"]:
        typer.echo(sentence)


def _row(one: dict[str, Any]) -> list[str]:
    customer = one["customer"] or {}
    ports = f"{one['port_first']}-{one['port_last']}" if one["port_first"] is not None else ""
    ended = f"{one['ended_at'] or ''} ({one['end_in_words']})"
    values = (one["login"], customer.get("name"), customer.get("document"), one["inside_address"] or one["address"])
    return [*(value or "" for value in values), ports, one["started_at"], ended, one["how_in_words"]]


@log_app.command("import")
def import_file(file: Path, zone: Zone = None) -> None:
    """Port blocks from a CSV file; a second run adds nothing. See docs/connection-log.md for its columns."""
    from aaa.connection_log.block_files import read_blocks  # noqa: PLC0415
    from aaa.connection_log.store import import_blocks  # noqa: PLC0415

    with file.open(newline="") as lines, psycopg.connect(runtime().libpq_url) as connection:
        rows = list(read_blocks(lines, zone))
        count = import_blocks(connection, progress(rows, "blocks"), f"import:{file.name}")
    typer.echo(f"{count} blocks imported, {len(rows) - count} known already")


@rule_app.command("add")
def add_rule(
    name: str,
    inside: Annotated[str, typer.Option(help="FIRST-LAST, as 100.64.0.0-100.64.15.255")],
    outside: Annotated[str, typer.Option(help="FIRST-LAST")],
    ports: Annotated[int, typer.Option(min=1, max=65535, help="ports of each subscriber")],
    valid_from: Annotated[str, typer.Option(help="since when it is configured so, as 2026-11-24T12:00:00-03:00")],
    first_port: Annotated[int, typer.Option(min=1, max=65535)] = 1024,
    last_port: Annotated[int, typer.Option(min=1, max=65535)] = 65535,
    order: Annotated[str, typer.Option(help="ports_first (RFC 7422) or addresses_first")] = "ports_first",
    zone: Zone = None,
) -> None:
    """A deterministic NAT, from now on or from a time that has passed."""
    from aaa.connection_log.models import NatOrder  # noqa: PLC0415
    from aaa.connection_log.moments import read_moment  # noqa: PLC0415
    from aaa.connection_log.nat_rules import create_rule  # noqa: PLC0415

    if order not in list(NatOrder):
        raise typer.BadParameter("is ports_first or addresses_first", param_hint="--order")
    values = {
        "name": name, "ports_per_subscriber": ports, "first_port": first_port, "last_port": last_port, "order": order,
        "valid_from": read_moment(valid_from, zone, "valid_from"), "valid_until": None,
    }  # fmt: skip
    for side, ends in (("inside", inside), ("outside", outside)):
        values[f"{side}_first"], _, last = ends.partition("-")
        values[f"{side}_last"] = last or values[f"{side}_first"]
    with runtime().database.transaction() as session:
        rule = create_rule(session, values, actor())
    typer.echo(f"rule {rule.id}")


@rule_app.command("list")
def list_rules(as_json: Json = False) -> None:
    """All of them, also those that are not in force any more."""
    from aaa.connection_log.models import NatRule  # noqa: PLC0415

    with runtime().database.transaction() as session:
        rules = session.scalars(select(NatRule).order_by(NatRule.id)).all()
    columns = ["id", "name", "inside", "outside", "ports", "each", "order", "from", "until"]
    rows = [
        [str(one.id), one.name, f"{one.inside_first}-{one.inside_last}", f"{one.outside_first}-{one.outside_last}",
         f"{one.first_port}-{one.last_port}", str(one.ports_per_subscriber), one.order, one.valid_from.isoformat(),
         one.valid_until.isoformat() if one.valid_until else ""]
        for one in rules
    ]  # fmt: skip
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@rule_app.command("end")
def end_rule(rule_id: int) -> None:
    """It goes on answering for the time that it was in force."""
    from aaa.connection_log import nat_rules  # noqa: PLC0415

    given = runtime()
    with given.database.transaction() as session:
        rule = nat_rules.end_rule(session, nat_rules.get_rule(session, rule_id), actor(), given.clock())
    typer.echo(f"rule {rule.id} ended at {rule.valid_until:%Y-%m-%d %H:%M:%SZ}")

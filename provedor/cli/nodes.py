"""node list, node forget."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from aaa.pools import nodes
from provedor.cli.common import Json, actor, print_json, print_table, runtime

node_app = typer.Typer(no_args_is_help=True, help="the RADIUS nodes that addresses of our pools wait for")


@node_app.command(name="list")
def list_nodes(as_json: Json = False) -> None:
    """How far each node is, and until when what it acknowledged is stored."""
    with runtime().database.transaction() as session:
        found = nodes.list_nodes(session)
    if as_json:
        print_json([one._asdict() for one in found])
        return
    columns = ["node", "revision", "heard of", "stored until", "forgotten"]
    rows = [
        [one.name, str(one.revision), _moment(one.seen_at), _moment(one.stored_until), _moment(one.forgotten_at)]
        for one in found
    ]
    print_table(columns, rows)


@node_app.command()
def forget(
    name: Annotated[str, typer.Argument(help="PROVEDOR_NODE of a node that is off and will not come back")],
) -> None:
    """Give addresses on without this node. Its machine must be off: one that is only cut off goes on serving.

    What it had acknowledged and not shipped is lost; for 15 minutes more, no address changes hands.
    """
    given = runtime()
    with given.database.transaction() as session:
        nodes.forget(session, name, actor(), given.clock())
    typer.echo(f"{name} is waited for no more")


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"

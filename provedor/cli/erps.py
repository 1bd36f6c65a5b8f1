"""simulate erp: other billing systems to follow."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from billing_hooks.simulators.erp import ERPS, Subscriber
from billing_hooks.simulators.serving import serving_app
from provedor.cli.common import read_rows
from provedor.cli.gateways import pair

erp_app = typer.Typer(no_args_is_help=True, help="other billing systems, to follow")
#: As `simulate bras --users` calls them.
_LOGIN = "user{:07d}"


def _serve(name: str, port: int, address: str, credential: list[str], subscribers: list[Subscriber]) -> None:
    """Until SIGTERM or SIGINT."""
    simulation = ERPS[name](dict(pair(one) for one in credential), subscribers)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with serving_app(simulation.app, address, port) as bound:
        typer.echo(f"{name} on http://{address}:{bound}, {len(subscribers)} subscribers")
        typer.echo(f"  standings: {', '.join(simulation.erp.standings)}")
        for word, value in simulation.credentials.items():
            typer.echo(f"  {word}: {value}")
        stopped.wait()


def _subscribers(file: Path | None, users: int, standing: str) -> list[Subscriber]:
    if file is None:
        return [Subscriber(n, _LOGIN.format(n - 1), "", f"Cliente {n}", standing) for n in range(1, users + 1)]
    return [
        Subscriber(number, row["login"], row.get("document", ""), row.get("name", ""), row.get("standing") or standing)
        for number, (_, row) in enumerate(read_rows(file, ("login",)), 1)
    ]


def _make_command(name: str) -> Callable[..., None]:
    full = ERPS[name]({}, []).erp.standings[0]

    def command(
        port: Annotated[int, typer.Option(min=0, max=65535, help="of its API; 0: any")] = 0,
        address: Annotated[str, typer.Option(help="where it listens")] = "127.0.0.1",
        subscribers: Annotated[
            Path | None,
            typer.Option(
                exists=True, dir_okay=False, readable=True, help="CSV with login and perhaps document,name,standing"
            ),
        ] = None,
        users: Annotated[int, typer.Option(min=0, max=1 << 20, help="or so many of user0000000, …")] = 0,
        credential: Annotated[
            list[str] | None, typer.Option(help="NAME=VALUE as in the source here; else made up and printed")
        ] = None,
    ) -> None:
        _serve(name, port, address, credential or [], _subscribers(subscribers, users, full))

    command.__doc__ = f"A simulated {name}: lists its subscribers. `/_simulate` sets a standing. Ctrl-C ends it."
    return command


for _name in ERPS:
    erp_app.command(_name)(_make_command(_name))

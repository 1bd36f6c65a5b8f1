"""radius trace LOGIN|NAS: live packets, as `radiusd -X` users are used to."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import sqlalchemy.exc
import typer

from aaa.feed import FrameReader, Message, decode, frame
from aaa.packet import MalformedPacket, parse
from aaa.pcap import PcapFile
from aaa.tracing import TracedExchange, TraceFilter
from core import network, services
from core.errors import InvalidInput, NotFound, ProvedorError
from provedor.cli.common import Json, describe_packet, print_packet, runtime
from provedor.radius import feed_path
from provedor.settings import Settings, load_settings


def trace(
    what: Annotated[str, typer.Argument(metavar="[LOGIN|NAS]", help="a login, or a NAS by its name or address")] = "",
    login: Annotated[str, typer.Option(help="exchanges of this login")] = "",
    nas: Annotated[str, typer.Option(help="exchanges of this NAS, by its name or address")] = "",
    count: Annotated[int, typer.Option(min=0, help="stop after so many; 0: until Ctrl-C")] = 0,
    pcap: Annotated[Path | None, typer.Option(help="write a capture file as well")] = None,
    as_json: Json = False,
) -> None:
    """Live packets decoded, with the decision and its reason; also those that are discarded. Ctrl-C ends it.

    Without LOGIN or NAS everything is shown. Passwords and keys are not.
    """
    if what and (login or nas):
        raise typer.BadParameter("give LOGIN|NAS or the options --login and --nas, not both")
    if what:
        wanted = TraceFilter(what, what, either=True)
        _warn_of_strangers(what)
    else:
        wanted = TraceFilter(login or None, nas or None)
    show = _print_json if as_json else _print
    with PcapFile(pcap) if pcap else nullcontext() as capture:
        try:
            for seen, exchange in enumerate(exchanges(load_settings(), wanted, lambda: _say("watching")), 1):
                show(exchange)
                if capture is not None:
                    capture.write(exchange)
                if seen == count:
                    return
        except KeyboardInterrupt:
            return
    raise ProvedorError("RADIUS stopped on this node; run the trace again when it is back")


def exchanges(settings: Settings, wanted: TraceFilter, on_watching: Callable[[], None]) -> Iterator[TracedExchange]:
    """What the node's workers do from now on, until RADIUS stops. Raises ProvedorError where it does not run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(feed_path(settings))
        except OSError as error:
            raise ProvedorError(
                f"RADIUS does not run on this node (PROVEDOR_DATA {settings.data}): {error.strerror}"
            ) from None
        connection.sendall(frame(Message.HELLO, {"name": "trace", "role": "trace"}))
        connection.sendall(frame(Message.TRACE, wanted))
        on_watching()
        reader = FrameReader()
        while octets := _receive(connection):
            reader.feed(octets)
            for kind, body in reader:
                if kind == Message.TRACE:
                    yield msgspec.convert(decode(kind, body), TracedExchange)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def _warn_of_strangers(what: str) -> None:
    """A login that does not exist is worth watching, a mistyped one is not: say so, if the database is there."""
    try:
        given = runtime()
        with given.database.transaction() as session:
            if services.find_by_login(session, what) is not None:
                return
            for find in (network.find_by_name, network.find_by_address):
                try:
                    find(session, what)
                except (NotFound, InvalidInput):
                    continue
                return
    except (ProvedorError, sqlalchemy.exc.SQLAlchemyError, psycopg.Error):
        return
    _say(f"no service has the login {what} and no NAS has that name or address; watching all the same")


def _print(exchange: TracedExchange) -> None:
    at = datetime.fromtimestamp(exchange.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    name = f" {exchange.nas}" if exchange.nas else ""
    detail = f" ({exchange.detail})" if exchange.detail else ""
    typer.echo(f"\n{at}{name} [{exchange.source}]:{exchange.source_port} → {exchange.reason}{detail}")
    for octets in (exchange.request, exchange.reply):
        if octets:
            _print_octets(octets)


def _print_octets(octets: bytes) -> None:
    try:
        print_packet(parse(octets))
    except MalformedPacket as error:
        typer.echo(f"no packet, {len(octets)} octets: {error.detail}")


def _print_json(exchange: TracedExchange) -> None:
    shown = {
        "at": datetime.fromtimestamp(exchange.at, UTC).isoformat(), "nas": exchange.nas, "source": exchange.source,
        "source_port": exchange.source_port, "reason": exchange.reason, "detail": exchange.detail,
        "request": _described(exchange.request), "reply": _described(exchange.reply),
    }  # fmt: skip
    typer.echo(json.dumps(shown, ensure_ascii=False))


def _described(octets: bytes) -> dict[str, Any] | None:
    try:
        return describe_packet(parse(octets)) if octets else None
    except MalformedPacket:
        return None


def _say(text: str) -> None:
    typer.echo(text, err=True)

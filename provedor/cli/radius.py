"""radius test, radius trace."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Annotated

import typer

from aaa import testclient
from aaa.authenticator import SharedSecret
from aaa.dictionary import describe
from aaa.feed import FrameReader, Message, decode, frame
from aaa.packet import Code, Kind, MalformedPacket, Packet, parse, text_attribute
from core import network, services
from core.errors import NotFound, ProvedorError
from core.keyring import NAS_SECRET, SERVICE_PASSWORD
from provedor.cli.common import Json, print_json, runtime
from provedor.radius import feed_path
from provedor.settings import load_settings

radius_app = typer.Typer(no_args_is_help=True, help="test and watch RADIUS")


@radius_app.command("test")
def authenticate(
    login: str,
    method: Annotated[str, typer.Option(help="pap, chap or mschapv2")] = "pap",
    server: Annotated[str, typer.Option(help="address of the RADIUS server")] = "127.0.0.1",
    nas: Annotated[str, typer.Option(help="NAS entry whose secret is used")] = "",
    as_json: Json = False,
) -> None:
    """Authenticate as a NAS would, and print the reply's attributes by name; exit 1 when refused."""
    secret, password = _facts(login, nas)
    attributes = text_attribute(Kind.NAS_IDENTIFIER, "provedor-radius-test")
    request = testclient.access_request(1, login, password, method, attributes, secret, os.urandom)
    reply = testclient.exchange(server, load_settings().radius_auth_port, request.octets)
    if reply is None:
        raise ProvedorError(f"{server} does not answer: is RADIUS up, and is this address a NAS entry?")
    if not testclient.reply_valid(reply, request, secret):
        raise ProvedorError("the reply's signature is wrong: the shared secrets differ")
    accepted = reply.code == Code.ACCESS_ACCEPT
    if as_json:
        print_json({"accepted": accepted, "attributes": describe(reply)})
    else:
        _print_packet(reply)
    if not accepted or not testclient.server_proven(reply, request):
        raise typer.Exit(1)


@radius_app.command()
def trace(
    login: Annotated[str, typer.Option(help="exchanges of this login")] = "",
    nas: Annotated[str, typer.Option(help="exchanges of the NAS with this address")] = "",
    count: Annotated[int, typer.Option(help="stop after so many")] = 0,
    pcap: Annotated[Path | None, typer.Option(help="write a capture file as well")] = None,
) -> None:
    """Live packets decoded, with the decision and its reason."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(feed_path(load_settings()))
    except OSError:
        raise ProvedorError("RADIUS does not run on this node") from None
    connection.sendall(frame(Message.HELLO, {"name": "trace", "role": "trace"}))
    connection.sendall(frame(Message.TRACE, {"login": login or None, "address": nas or None}))
    reader, seen = FrameReader(), 0
    capture = _Capture(pcap) if pcap else None
    while octets := connection.recv(65536):
        reader.feed(octets)
        for kind, body in reader:
            if kind != Message.TRACE:
                continue
            seen += 1
            exchange = decode(kind, body)
            _print_exchange(exchange)
            if capture:
                capture.write(exchange)
            if seen == count:
                return


class _Capture:
    """A pcap file of raw IPv4 (LINKTYPE_RAW) with the exchanges in it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))

    def write(self, exchange: list[object]) -> None:
        at, source, source_port, local, local_port, request, reply, _ = exchange
        if ":" in str(source):
            return
        here = str(source) if local == "0.0.0.0" else str(local)  # noqa: S104
        self._packet(at, str(source), source_port, here, local_port, request)
        if reply:
            self._packet(at, here, local_port, str(source), source_port, reply)
        self._file.flush()

    def _packet(self, at: object, source: str, source_port: object, to: str, port: object, octets: object) -> None:
        assert isinstance(octets, bytes)  # noqa: S101
        assert isinstance(at, float)  # noqa: S101
        datagram = struct.pack("!HHHH", source_port, port, 8 + len(octets), 0) + octets
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0)
        packet = head + socket.inet_aton(source) + socket.inet_aton(to) + datagram
        self._file.write(struct.pack("=IIII", int(at), int(at % 1 * 1e6), len(packet), len(packet)) + packet)


def _facts(login: str, nas_name: str) -> tuple[SharedSecret, str]:
    """The NAS's secret and the subscriber's password, as the database has them."""
    given = runtime()
    with given.database.transaction() as session:
        service = services.find_by_login(session, login)
        if service is None or service.password_encrypted is None:
            raise NotFound("service with the login", login)
        nas = network.find_by_name(session, nas_name) if nas_name else network.find_by_address(session, "127.0.0.1")
        secret = SharedSecret(given.keyring.open(nas.secret_encrypted, NAS_SECRET))
        return secret, given.keyring.open_text(service.password_encrypted, SERVICE_PASSWORD)


def _print_exchange(exchange: list[object]) -> None:
    at, source, source_port, _, _, request, reply, reason = exchange
    typer.echo(f"\n{at:.3f} {source}:{source_port} → {reason}")
    for octets in (request, reply):
        if octets:
            assert isinstance(octets, bytes)  # noqa: S101
            try:
                _print_packet(parse(octets))
            except MalformedPacket as error:
                typer.echo(f"  malformed: {error.detail}")


def _print_packet(packet: Packet) -> None:
    try:
        name = Code(packet.code).name.replace("_", "-").title()
    except ValueError:
        name = f"Code {packet.code}"
    typer.echo(f"{name} (identifier {packet.identifier})")
    for attribute_name, value in describe(packet):
        typer.echo(f"  {attribute_name} = {value}")

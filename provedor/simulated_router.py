"""Simulated MikroTiks with an API: of the simulated BRAS, and alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import typer

from aaa.bras import Box, Runner
from aaa.bras.subscriber import State, Subscriber, TerminateCause
from core.errors import InvalidInput, ProvedorError
from provisioning.simulators.routeros import (
    ActiveSession,
    ApiServer,
    Online,
    Router,
    Subscribers,
    Version,
    load,
    router_of,
    self_signed,
    ticking,
)
from provisioning.simulators.routeros.reach import Client, Verdict
from provisioning.simulators.routeros.scripting import ScriptError


@dataclass(frozen=True)
class ApiOptions:
    address: str
    port: int
    identity: str
    users: Mapping[str, str] = field(repr=False)
    tls: bool = False
    version: Version = Version.V7_18
    device_mode: str = "advanced"
    #: Where clients are taken to come from, for the router's own firewall; None: from where they do.
    seen_as: str | None = None


def bras_router(runner: Runner, options: ApiOptions) -> Router:
    """What its API shows is who is online at the BRAS, and whoever is removed there is hung up."""

    def read() -> list[ActiveSession]:
        return runner.ask(lambda box, _: [_shown(one) for one in box.subscribers if one.state is State.ONLINE])

    def end(session: ActiveSession) -> bool:
        return runner.ask(lambda box, now: _hang_up(box, session, now))

    return router_of(
        read, end, clock=time.time, identity=options.identity, version=options.version, users=options.users
    )


def lone_router(online: Online, options: ApiOptions) -> Router:
    router = router_of(
        online.read, online.end, clock=time.time, identity=options.identity, version=options.version,
        users=options.users, device_mode=options.device_mode, firewall=True,
    )  # fmt: skip
    Subscribers(router, online)
    return router


def configure(router: Router, file: Path, user: str) -> None:
    """What a router exported is what this one begins with; says what of it there is not here."""
    try:
        left_out = load(router, file.read_text(errors="surrogateescape"), user)
    except ScriptError as error:
        raise InvalidInput(f"is no export of a router: {error}", field=str(file)) from None
    for line in left_out:
        typer.echo(f"{file}: left out: {line}", err=True)


@contextmanager
def serving(router: Router, options: ApiOptions) -> Iterator[ApiServer]:
    """Says where it listens, and which certificate it shows."""
    signed = self_signed(options.identity, options.address) if options.tls else None
    try:
        server = ApiServer(
            router, options.address, options.port, signed.context if signed else None, seen_as=options.seen_as
        )
    except OSError as error:
        raise ProvedorError(f"cannot use {options.address} port {options.port}: {error.strerror}") from None
    client = Client(options.seen_as or options.address, options.tls)
    if router.verdict(client, established=False) is not Verdict.ACCEPT:
        typer.echo(f"what is configured keeps {client.address} out: --seen-as is where clients come from", err=True)
    shown = f", certificate SHA-256 {signed.sha256}" if signed else ", without TLS"
    typer.echo(f"RouterOS {options.version} API on {options.address} port {server.port}{shown}")
    try:
        with ticking([router]):
            yield server
    finally:
        server.close()


def _shown(line: Subscriber) -> ActiveSession:
    address = str(IPv4Address(line.framed_ipv4)) if line.framed_ipv4 else "0.0.0.0"  # noqa: S104
    mac = line.mac.hex(":").upper()
    return ActiveSession(
        line.number, line.login, mac, address, line.acct_session_id, line.started_at, uploaded=line.input_octets,
        downloaded=line.output_octets,
    )  # fmt: skip


def _hang_up(box: Box, session: ActiveSession, now: float) -> bool:
    line = box.by_session.get(session.session_id)
    if line is None:
        return False
    box.hang_up(line, now, TerminateCause.ADMIN_RESET)
    return True

"""simulate bras, simulate routeros; simulate gateway is `gateways`, simulate erp `erps`, simulate ssh `devices`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

import typer

from aaa.bras import Box, BoxOptions, Configured, Credential, Runner
from aaa.testclient import METHODS
from core.errors import InvalidInput, ProvedorError
from core.models.network import Vendor
from provedor.cli.common import read_rows
from provedor.cli.devices import ssh
from provedor.cli.erps import erp_app
from provedor.cli.gateways import gateway_app
from provedor.settings import load_settings
from provedor.simulated_router import ApiOptions, bras_router, configure, lone_router, serving
from provisioning.simulators.routeros import DEVICE_MODES, ActiveSession, Online, Version

simulate_app = typer.Typer(
    no_args_is_help=True, help="a BRAS, a router's API, a box over SSH, payment gateways, and other billing systems"
)
simulate_app.command("ssh")(ssh)
simulate_app.add_typer(gateway_app, name="gateway")
simulate_app.add_typer(erp_app, name="erp")

ApiUser = Annotated[str, typer.Option("--api-user", help="who may log in to the API")]
ApiPassword = Annotated[str, typer.Option("--api-password", envvar="ROUTEROS_PASSWORD")]
ApiTls = Annotated[bool, typer.Option("--api-tls", help="TLS, with a certificate of its own")]
ApiVersion = Annotated[Version, typer.Option("--api-version", help="of RouterOS")]


@simulate_app.command()
def bras(
    credentials: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="CSV with login,password and perhaps method"),
    ] = None,
    users: Annotated[int, typer.Option(min=0, help="or so many of user0000000/pass0000000, …")] = 0,
    server: Annotated[str, typer.Option(help="address of the RADIUS server")] = "127.0.0.1",
    address: Annotated[str, typer.Option(help="our own address, as the NAS entry has it")] = "127.0.0.1",
    identity: Annotated[str, typer.Option(help="our NAS-Identifier")] = "bras-1",
    secret: Annotated[str, typer.Option(envvar="BRAS_SECRET", help="of the NAS entry")] = "testing123",  # noqa: S107
    coa_port: Annotated[int, typer.Option(min=1, max=65535, help="where we listen for CoA")] = 3799,
    redial: Annotated[str, typer.Option(help="seconds until a CPE dials again, from-to")] = "5-90",
    ramp: Annotated[float, typer.Option(min=0.1, help="logins a second")] = 200.0,
    interim: Annotated[float, typer.Option(min=0, help="seconds between interims; 0: as the server says")] = 0.0,
    control: Annotated[Path | None, typer.Option(help="Unix socket for commands")] = None,
    vendor: Annotated[Vendor, typer.Option(help="whose box it is")] = Vendor.MIKROTIK,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE as in the NAS entry's options")] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="NAME=UP/DOWN: a QoS, SLA or service profile of this box, in kbit/s")
    ] = None,
    walled_garden: Annotated[
        str, typer.Option(help="its list, user group, service or filter that is the walled garden")
    ] = "walled-garden",
    known: Annotated[list[str] | None, typer.Option(help="another list, group, service or filter of it")] = None,
    accounting: Annotated[
        str, typer.Option(help="nokia: session, host, queue, std, joined by +; juniper: service")
    ] = "",
    api: Annotated[int | None, typer.Option(min=0, max=65535, help="mikrotik: port of its API")] = None,
    api_user: ApiUser = "provedor",
    api_password: ApiPassword = "testing123",  # noqa: S107
    api_tls: ApiTls = False,
    api_version: ApiVersion = Version.V7_18,
) -> None:
    """A vendor's BRAS with subscribers: logs them in, accounts them, answers CoA and Disconnect. Ctrl-C ends it."""
    settings = load_settings()
    if credentials is None and not users:
        raise typer.BadParameter("give --credentials FILE or --users N: a BRAS without subscribers does nothing")
    if api is not None and vendor is not Vendor.MIKROTIK:
        raise typer.BadParameter("only a MikroTik has this API", param_hint="--api")
    options = BoxOptions(
        identity=identity, address=address, secret=secret.encode(), redial_s=_range(redial), ramp=ramp,
        interim_s=interim or None, vendor=vendor, configured=Configured(
            options=dict(_pairs(option, "--option")), profiles=_profiles(profile), walled_garden=walled_garden,
            known=frozenset(known or ()), accounting=accounting,
        ),
    )  # fmt: skip
    try:
        runner = Runner(
            options, _credentials(credentials, users), server=server, auth_port=settings.radius_auth_port,
            acct_port=settings.radius_acct_port, coa_port=coa_port, control=control,
        )  # fmt: skip
    except OSError as error:
        raise ProvedorError(f"cannot use {address} with CoA port {coa_port}: {error.strerror}") from None
    with _api(runner, api, ApiOptions(address, api or 0, identity, {api_user: api_password}, api_tls, api_version)):
        run_until_signal(runner, _report)


def _api(runner: Runner, port: int | None, options: ApiOptions) -> AbstractContextManager[object]:
    return nullcontext() if port is None else serving(bras_router(runner, options), options)


@simulate_app.command()
def routeros(
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the API; 0: any")] = 8728,
    address: Annotated[str, typer.Option(help="where it listens")] = "127.0.0.1",
    identity: Annotated[str, typer.Option(help="its name, and its NAS-Identifier")] = "MikroTik",
    active: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV with login,address,caller_id and perhaps session_id,uptime_s: who is online",
        ),
    ] = None,
    users: Annotated[int, typer.Option(min=0, max=1 << 20, help="or so many of user0000000, …")] = 0,
    user: ApiUser = "provedor",
    password: ApiPassword = "testing123",  # noqa: S107
    tls: ApiTls = False,
    version: Annotated[Version, typer.Option("--version", "--api-version", help="of RouterOS")] = Version.V7_18,
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="what it begins with: a router's export, .rsc"),
    ] = None,
    seen_as: Annotated[
        str | None, typer.Option(help="the address that its firewall takes clients to come from, instead of their own")
    ] = None,
    device_mode: Annotated[str, typer.Option(help=", ".join(DEVICE_MODES))] = "advanced",
) -> None:
    """A RouterOS box's API alone: configured like a router, with sessions that can be seen and ended. Ctrl-C ends it.

    `simulate bras --api PORT` is the same of a simulated BRAS, whose sessions are real ones.
    """
    if device_mode not in DEVICE_MODES:
        raise typer.BadParameter(f"one of {', '.join(DEVICE_MODES)}", param_hint="--device-mode")
    options = ApiOptions(address, port, identity, {user: password}, tls, version, device_mode, seen_as)
    online = Online(_active(active, users, time.time()))
    router = lone_router(online, options)
    if config is not None:
        configure(router, config, user)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with serving(router, options):
        stopped.wait()


def _active(file: Path | None, users: int, now: float) -> list[ActiveSession]:
    """Raises InvalidInput naming the line."""
    rows: Iterable[tuple[int, dict[str, str]]] = (
        ((0, {"login": f"user{number:07d}"}) for number in range(users))
        if file is None
        else read_rows(file, ("login", "address", "caller_id"))
    )
    return [_active_session(number, line, row, now) for number, (line, row) in enumerate(rows, 1)]


def _active_session(number: int, line: int, row: dict[str, str], now: float) -> ActiveSession:
    """What a row does not say is made up."""
    uptime_s = row.get("uptime_s") or "0"
    if not uptime_s.isdecimal():
        raise InvalidInput("takes seconds", field=f"line {line} uptime_s")
    return ActiveSession(
        number, row["login"], row.get("caller_id") or (b"\x02\x00" + number.to_bytes(4, "big")).hex(":").upper(),
        row.get("address") or str(IPv4Address("100.64.0.0") + number), row.get("session_id") or f"810{number:05x}",
        now - int(uptime_s),
    )  # fmt: skip


def run_until_signal(runner: Runner, report: Callable[[Box], None]) -> None:
    """Run a simulated BRAS until SIGTERM or SIGINT; it then says goodbye to the server."""
    stopping: list[bool] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    runner.run(lambda: bool(stopping), report)


def _credentials(file: Path | None, users: int) -> list[Credential]:
    if file is None:
        return [Credential(f"user{number:07d}", f"pass{number:07d}") for number in range(users)]
    found = []
    for line, row in read_rows(file, ("login", "password")):
        method = row.get("method") or "pap"
        if method not in METHODS:
            raise InvalidInput(f"methods are {', '.join(METHODS)}", field=f"{file} line {line} method")
        found.append(Credential(row["login"], row["password"], method))
    return found


def _profiles(profiles: list[str] | None) -> dict[str, tuple[int, int]]:
    found = {}
    for name, rates in _pairs(profiles, "--profile"):
        up, _, down = rates.partition("/")
        if not (up.isdecimal() and down.isdecimal()):
            raise typer.BadParameter("takes NAME=UP/DOWN in kbit/s, as gold=50000/200000", param_hint="--profile")
        found[name] = int(up), int(down)
    return found


def _pairs(given: list[str] | None, hint: str) -> Iterator[tuple[str, str]]:
    for one in given or ():
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise typer.BadParameter("takes NAME=VALUE", param_hint=hint)
        yield name, value


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        found = float(low), float(high or low)
    except ValueError:
        found = (1.0, 0.0)
    if not 0 <= found[0] <= found[1]:
        raise typer.BadParameter("takes seconds from-to, as 5-90", param_hint="--redial")
    return found


def _report(box: Box) -> None:
    rejects = sum(one.rejects for one in box.subscribers)
    typer.echo(f"online {box.online} of {len(box.subscribers)}, rejects {rejects}, unanswered {box.lost}")

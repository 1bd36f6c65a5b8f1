"""simulate bras, simulate routeros, simulate gateway."""

from __future__ import annotations

import csv
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, NamedTuple

import httpx
import typer

from aaa.bras import Box, BoxOptions, Configured, Credential, Runner
from aaa.testclient import METHODS
from core.clock import utc_now
from core.errors import InvalidInput, ProvedorError
from core.models.network import Vendor
from provedor.cli.common import progress
from provedor.gateway import TIMEOUT_S, TRIES, Delivery, Event, Gateway, payment_received, payment_reversed
from provedor.settings import load_settings
from provedor.simulated_router import ApiOptions, bras_router, lone_router, serving
from provisioning.simulators.routeros import ActiveSession, Online, Version

simulate_app = typer.Typer(
    no_args_is_help=True, help="a BRAS, a router's API, and a gateway's webhook, to try things with"
)

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
    version: ApiVersion = Version.V7_18,
) -> None:
    """A RouterOS box's API alone: who is online can be read, and ended. Ctrl-C ends it.

    `simulate bras --api PORT` is the same of a simulated BRAS, whose sessions are real ones.
    """
    options = ApiOptions(address, port, identity, {user: password}, tls, version)
    online = Online(_active(active, users, time.time()))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with serving(lone_router(online, options), options):
        stopped.wait()


def _active(file: Path | None, users: int, now: float) -> list[ActiveSession]:
    """Raises InvalidInput naming the line."""
    rows: Iterable[tuple[int, dict[str, str]]] = (
        ((0, {"login": f"user{number:07d}"}) for number in range(users))
        if file is None
        else _rows(file, ("login", "address", "caller_id"))
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


@simulate_app.command()
def gateway(
    secret: Annotated[str, typer.Option(envvar="WEBHOOK_SECRET", help="the gateway account's, whsec_…")],
    invoice_id: Annotated[str, typer.Argument(help="invoice that is paid")] = "",
    amount_cents: Annotated[int, typer.Argument(min=0, help="how much")] = 0,
    url: Annotated[str, typer.Option(help="receiver; default: this node's")] = "",
    payment_id: Annotated[str, typer.Option(help="the same id is the same payment")] = "",
    many: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="CSV with invoice_id,amount_cents[,payment_id]"),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="tell of a reversal after the payment")] = False,
    reorder: Annotated[bool, typer.Option("--reorder", help="tell of the reversal first")] = False,
    repeat: Annotated[int, typer.Option(min=0, help="deliver everything so many times more")] = 0,
    tries: Annotated[int, typer.Option(min=1, max=20, help="before a delivery is given up")] = TRIES,
) -> None:
    """Send signed payments as Standard Webhooks has it; exit 1 when one was given up.

    A delivery that gets no 2xx is tried again after 0.5, 1, 2, 4 … seconds, as gateways do.
    """
    if (many is None) == (not invoice_id and not amount_cents):
        raise typer.BadParameter("give INVOICE_ID and AMOUNT_CENTS, or --many FILE")
    payments = _payments(many) if many else [_Payment(invoice_id, amount_cents, payment_id)]
    events = [event for payment in payments for event in _events(payment, reverse=reverse, reorder=reorder)]
    settings = load_settings()
    target = url or f"http://{settings.http_host}:{settings.http_port}/hooks/standard"

    def show(delivery: Delivery) -> None:
        if many is None or not delivery.taken:
            typer.echo(f"{delivery.status or '---'} {delivery.event_id} {delivery.answer}")

    with httpx.Client(timeout=TIMEOUT_S) as client:
        sender = Gateway(target, secret, client=client, clock=utc_now, pause=time.sleep, tries=tries)
        lost = sum(not sender.deliver(event, show) for event in progress(events * (1 + repeat), "delivering"))
    if many:
        typer.echo(f"{len(events) * (1 + repeat) - lost} delivered, {lost} given up")
    if lost:
        raise typer.Exit(1)


class _Payment(NamedTuple):
    invoice_id: str
    amount_cents: int
    payment_id: str


def _payments(file: Path) -> list[_Payment]:
    """Raises InvalidInput naming the line."""
    payments = []
    for line, row in _rows(file, ("invoice_id", "amount_cents")):
        if not row["invoice_id"] or not row["amount_cents"].isascii() or not row["amount_cents"].isdigit():
            raise InvalidInput("needs invoice_id, and amount_cents in digits", field=f"{file} line {line}")
        payments.append(_Payment(row["invoice_id"], int(row["amount_cents"]), row.get("payment_id", "")))
    return payments


def _events(payment: _Payment, *, reverse: bool, reorder: bool) -> list[Event]:
    payment_id = payment.payment_id or f"pay-{payment.invoice_id}-{time.time_ns()}"
    paid = payment_received(payment.invoice_id, payment_id, payment.amount_cents, utc_now)
    if reorder:
        return [payment_reversed(payment_id), paid]
    return [paid, payment_reversed(payment_id)] if reverse else [paid]


def _credentials(file: Path | None, users: int) -> list[Credential]:
    if file is None:
        return [Credential(f"user{number:07d}", f"pass{number:07d}") for number in range(users)]
    found = []
    for line, row in _rows(file, ("login", "password")):
        method = row.get("method") or "pap"
        if method not in METHODS:
            raise InvalidInput(f"methods are {', '.join(METHODS)}", field=f"{file} line {line} method")
        found.append(Credential(row["login"], row["password"], method))
    return found


def _rows(file: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
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

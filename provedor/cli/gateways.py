"""simulate gateway: whole gateways with their API, to try things with; gateway: what is done at a real one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated, NamedTuple

import httpx
import typer

from billing_hooks import accounts
from billing_hooks.gateways.pix import OUR_PATH, PixApi
from billing_hooks.simulators import SIMULATORS, Options
from billing_hooks.simulators.hooks import Faults, HookQueue
from billing_hooks.simulators.serving import Sender, Told, serving
from billing_hooks.simulators.standard import BY_HAND, Standard
from core.clock import utc_now
from core.errors import InvalidInput
from provedor.cli.common import read_rows, runtime
from provedor.settings import load_settings
from provedor.work import work_of

gateway_app = typer.Typer(no_args_is_help=True, help="payment gateways, each by its own documents")
account_app = typer.Typer(no_args_is_help=True, help="our accounts at payment gateways")
#: How long who sends by hand sleeps between two looks at what is due.
LOOK_S = 0.05

Port = Annotated[int, typer.Option(min=0, max=65535, help="of its API; 0: any")]
Address = Annotated[str, typer.Option(help="where it listens")]
Hook = Annotated[str, typer.Option(help="URL of the receiver; default: this node's")]
Secret = Annotated[str, typer.Option(envvar="WEBHOOK_SECRET", help="of the gateway account here")]
Speed = Annotated[float, typer.Option(min=0.001, help="divides its pauses between tries")]
Repeat = Annotated[float, typer.Option(min=0, max=1, help="share of events that are told twice")]
Reorder = Annotated[float, typer.Option(min=0, max=1, help="share that overtakes the one before")]
Lose = Annotated[float, typer.Option(min=0, max=1, help="share that is never told")]
Late = Annotated[float, typer.Option(min=0, max=1, help="share that comes late")]
LateS = Annotated[float, typer.Option(min=0, help="how late")]
Seed = Annotated[int, typer.Option(help="of what is drawn")]


@account_app.command()
def register(
    name: Annotated[str, typer.Argument(help="of the gateway account here")],
    url: Annotated[
        str, typer.Option(help="https://HOST[:PORT] under which the bank finds us; default: PUBLIC_URL")
    ] = "",
) -> None:
    """Have a bank tell this node of the Pix that come to the account's key. Others are told in their own panels."""
    found = work_of(runtime())
    base = (url or found.settings.public_url).rstrip("/")
    if not base.startswith("https://"):
        raise InvalidInput("banks want https://HOST, and PROVEDOR_PUBLIC_URL is none", field="--url")
    with found.database.transaction() as session:
        account = accounts.find_account(session, name)
        api = found.errands.connections.api(account)
    if not isinstance(api, PixApi):
        raise InvalidInput(f"{account.gateway} is told our URL in its own panel: {base}/hooks/{account.gateway}")
    api.register(f"{base}{OUR_PATH}")
    typer.echo(f"{name}: the bank tells {base}{OUR_PATH} of what comes to its key")


@gateway_app.command()
def standard(
    invoice_id: Annotated[str, typer.Argument(help="an invoice that is paid now, instead of serving")] = "",
    amount_cents: Annotated[int, typer.Argument(min=0, help="how much")] = 0,
    port: Port = 0,
    address: Address = "127.0.0.1",
    hook: Hook = "",
    secret: Secret = "",
    payment_id: Annotated[str, typer.Option(help="the same id is the same payment")] = "",
    many: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="CSV with invoice_id,amount_cents[,payment_id]"),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="tell of a reversal after the payment")] = False,
    speed: Speed = 1.0,
    repeat: Repeat = 0.0,
    reorder: Reorder = 0.0,
    lose: Lose = 0.0,
    late: Late = 0.0,
    late_s: LateS = 60.0,
    seed: Seed = 1,
) -> None:
    """Standard Webhooks, as an ERP or a portal sends them. `/_simulate` pays. Ctrl-C ends it.

    With INVOICE_ID and AMOUNT_CENTS, or --many FILE, it tells of these payments and ends; what gets no 2xx is tried
    again after 0.5, 1, 2 and 4 seconds, and exit 1 says that something was given up.
    """
    faults = Faults(repeat, reorder, lose, late, late_s)
    if many is None and not invoice_id:
        _serve("standard", port, address, hook, secret, [], speed, faults, seed)
        return
    if many is None and not amount_cents:
        raise typer.BadParameter("say how much was paid", param_hint="AMOUNT_CENTS")
    payments = _payments(many) if many else [_Payment(invoice_id, amount_cents, payment_id)]
    queue = HookQueue(BY_HAND, Random(seed), faults, speed)  # noqa: S311  (faults, no secrets)
    gateway = Standard(_required(secret), queue, utc_now)
    for payment in payments:
        paid = gateway.pay(payment.invoice_id, payment.amount_cents, payment.payment_id)
        if reverse:
            gateway.reverse(paid)
    told = _tell if many is None else _tell_of_refused
    if not _send_all(queue, _hook_url("standard", hook), told):
        raise typer.Exit(1)


class _Payment(NamedTuple):
    invoice_id: str
    amount_cents: int
    payment_id: str


def _payments(file: Path) -> list[_Payment]:
    """Raises InvalidInput naming the line."""
    payments = []
    for line, row in read_rows(file, ("invoice_id", "amount_cents")):
        if not row["invoice_id"] or not row["amount_cents"].isascii() or not row["amount_cents"].isdigit():
            raise InvalidInput("needs invoice_id, and amount_cents in digits", field=f"{file} line {line}")
        payments.append(_Payment(row["invoice_id"], int(row["amount_cents"]), row.get("payment_id", "")))
    return payments


def _send_all(queue: HookQueue, url: str, told: Told) -> bool:
    """Until everything is taken or given up; False for the latter."""
    with httpx.Client(timeout=queue.policy.timeout_s) as client:
        sender = Sender(queue, url, client, utc_now, told)
        while queue.next_at() is not None:
            if not sender.send_due():
                time.sleep(LOOK_S)
    taken = sum(queue.policy.success((one.answers or [0])[-1]) for one in queue.sendings)
    given_up = len(queue.sendings) - taken
    if len(queue.sendings) > 1:
        typer.echo(f"{taken} delivered, {given_up} given up")
    return not given_up


def _serve(
    name: str, port: int, address: str, hook: str, secret: str, credential: list[str], speed: float, faults: Faults,
    seed: int,
) -> None:  # fmt: skip
    """Until SIGTERM or SIGINT."""
    url = _hook_url(name, hook)
    options = Options(secret, dict(pair(one) for one in credential), utc_now, Random(seed), url)  # noqa: S311  (faults, no secrets)
    simulation = SIMULATORS[name](options)
    simulation.queue.faults, simulation.queue.speed = faults, speed
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with httpx.Client(timeout=simulation.queue.policy.timeout_s) as client:
        sender = Sender(simulation.queue, simulation.hook_url, client, utc_now, _tell)
        with serving(simulation.app, sender, address, port) as bound:
            typer.echo(f"{name} on http://{address}:{bound}{simulation.base_path}, events to {url}")
            for word, value in simulation.credentials.items():
                typer.echo(f"  {word}: {value}")
            stopped.wait()


def _hook_url(name: str, given: str) -> str:
    settings = load_settings()
    url = given or f"http://{settings.http_host}:{settings.http_port}/hooks/{name}"
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{url} is no http:// or https:// URL", field="--hook")
    return url


def _required(secret: str) -> str:
    if not secret:
        raise typer.BadParameter("give the account's secret, or set WEBHOOK_SECRET", param_hint="--secret")
    return secret


def _tell(event_id: str, status: int, said: str) -> None:
    typer.echo(f"{status or '---'} {event_id} {said}".rstrip())


def _tell_of_refused(event_id: str, status: int, said: str) -> None:
    if not BY_HAND.success(status):
        _tell(event_id, status, said)


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter("takes NAME=VALUE", param_hint="--credential")
    return name, value


def _make_command(name: str) -> Callable[..., None]:
    def command(
        port: Port = 0,
        address: Address = "127.0.0.1",
        hook: Hook = "",
        secret: Secret = "",
        credential: Annotated[
            list[str] | None, typer.Option(help="NAME=VALUE as in the gateway account; else made up and printed")
        ] = None,
        speed: Speed = 1.0,
        repeat: Repeat = 0.0,
        reorder: Reorder = 0.0,
        lose: Lose = 0.0,
        late: Late = 0.0,
        late_s: LateS = 60.0,
        seed: Seed = 1,
    ) -> None:
        faults = Faults(repeat, reorder, lose, late, late_s)
        _serve(name, port, address, hook, secret, credential or [], speed, faults, seed)

    command.__doc__ = f"A simulated {name}: its API, and its events to this node. `/_simulate` pays. Ctrl-C ends it."
    return command


for _name in SIMULATORS:
    if _name != "standard":  # it takes payments as well
        gateway_app.command(_name)(_make_command(_name))

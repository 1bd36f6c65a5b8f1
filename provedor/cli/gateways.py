"""simulate gateway: Standard Webhooks sent by hand, and whole gateways with their API to try things with."""

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

from billing_hooks.simulators import SIMULATORS, Options
from billing_hooks.simulators.hooks import Faults
from billing_hooks.simulators.serving import Sender, serving
from core.clock import utc_now
from core.errors import InvalidInput
from provedor.cli.common import progress, read_rows
from provedor.gateway import TIMEOUT_S, TRIES, Delivery, Event, Gateway, payment_received, payment_reversed
from provedor.settings import load_settings

gateway_app = typer.Typer(no_args_is_help=True, help="payment gateways, each by its own documents")


@gateway_app.command()
def standard(
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
    for line, row in read_rows(file, ("invoice_id", "amount_cents")):
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


def _serve(
    name: str, port: int, address: str, hook: str, secret: str, credential: list[str], speed: float, faults: Faults,
    seed: int,
) -> None:  # fmt: skip
    """Until SIGTERM or SIGINT."""
    settings = load_settings()
    url = hook or f"http://{settings.http_host}:{settings.http_port}/hooks/{name}"
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


def _tell(event_id: str, status: int) -> None:
    typer.echo(f"{status or '---'} {event_id}")


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter("takes NAME=VALUE", param_hint="--credential")
    return name, value


def _make_command(name: str) -> Callable[..., None]:
    def command(
        port: Annotated[int, typer.Option(min=0, max=65535, help="of its API; 0: any")] = 0,
        address: Annotated[str, typer.Option(help="where it listens")] = "127.0.0.1",
        hook: Annotated[str, typer.Option(help="URL of the receiver; default: this node's")] = "",
        secret: Annotated[str, typer.Option(envvar="WEBHOOK_SECRET", help="of the gateway account here")] = "",
        credential: Annotated[
            list[str] | None, typer.Option(help="NAME=VALUE as in the gateway account; else made up and printed")
        ] = None,
        speed: Annotated[float, typer.Option(min=0.001, help="divides its pauses between tries")] = 1.0,
        repeat: Annotated[float, typer.Option(min=0, max=1, help="share of events that are told twice")] = 0.0,
        reorder: Annotated[float, typer.Option(min=0, max=1, help="share that overtakes the one before")] = 0.0,
        lose: Annotated[float, typer.Option(min=0, max=1, help="share that is never told")] = 0.0,
        late: Annotated[float, typer.Option(min=0, max=1, help="share that comes late")] = 0.0,
        late_s: Annotated[float, typer.Option(min=0, help="how late")] = 60.0,
        seed: Annotated[int, typer.Option(help="of what is drawn")] = 1,
    ) -> None:
        faults = Faults(repeat, reorder, lose, late, late_s)
        _serve(name, port, address, hook, secret, credential or [], speed, faults, seed)

    command.__doc__ = f"A simulated {name}: its API, and its events to this node. `/_simulate` pays. Ctrl-C ends it."
    return command


for _name in SIMULATORS:
    gateway_app.command(_name)(_make_command(_name))

"""A provider with an account at a simulated gateway: real receiver, inbox, asking and database, a clock moved by hand.

The API is asked, and webhooks are sent, through the applications themselves; what the workers do is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any, ParamSpec, TypeVar

import httpx
from applications import make_app
from billing_factories import make_invoice
from factories import make_contract
from sqlalchemy import or_, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from billing_hooks import accounts, tasks
from billing_hooks.errands import Connections, Errands
from billing_hooks.gateways.base import GATHERED, NODES_APART, Access
from billing_hooks.models import InboxEntry
from billing_hooks.runs import Billing
from billing_hooks.simulators.hooks import HookQueue
from billing_hooks.simulators.serving import Sender, at_once
from core import outbox, topics
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models import Event, Invoice, OutboxItem, Payment
from core.work import Handler

TOPICS = (
    topics.INBOX_STORED.name, topics.CHARGE_DUE.name, topics.INVOICE_CLOSED.name, topics.RECONCILE.name,
)  # fmt: skip
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Inline(Executor):
    """Does the work where it is handed in."""

    def submit(self, work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()
        future.set_result(work(*args, **kwargs))
        return future


@dataclass
class Provider:
    database: Database
    keyring: Keyring
    clock: ManualClock
    queue: HookQueue
    sender: Sender
    handlers: Mapping[str, Handler]
    receiver: TestClient

    def invoice(self, amount_cents: int = 9990, **values: Any) -> int:
        with self.database.transaction() as session:
            return make_invoice(session, make_contract(session), amount_cents=amount_cents, **values).id

    def name_charge(self, invoice_id: int, gateway: str, charge_id: str) -> None:
        """The invoice is asked for by this charge."""
        with self.database.transaction() as session:
            invoice = session.get_one(Invoice, invoice_id)
            invoice.external_gateway, invoice.external_id = gateway, charge_id

    def deliver(self) -> int:
        """Everything that the gateway has to tell now, and all that follows from it; returns the tries it took."""
        tries = at_once(self.queue, self.sender.send_due, self.clock)
        self.work()
        return tries

    def work(self) -> None:
        """What the workers do: all that is owed now, by the database's clock, or was put off until our now."""
        while item_ids := self._owed():
            for item_id in item_ids:
                self._work(item_id)

    def _owed(self) -> list[int]:
        put_off = OutboxItem.payload.has_key("tries")
        due = or_(~put_off, OutboxItem.due_at <= self.clock())
        with self.database.transaction() as session:
            owed = select(OutboxItem.id).where(OutboxItem.topic.in_(TOPICS), due).order_by(OutboxItem.id)
            return list(session.scalars(owed))

    def _work(self, item_id: int) -> None:
        with self.database.transaction() as session:
            item = outbox.claim(session, item_id)
            afterwards = self.handlers[item.topic](session, item.payload) if item is not None else None
        if afterwards is not None:
            afterwards()

    def status(self, invoice_id: int) -> str:
        with self.database.transaction() as session:
            return session.get_one(Invoice, invoice_id).status.value

    def payments(self, invoice_id: int) -> list[Payment]:
        with self.database.transaction() as session:
            found = session.scalars(select(Payment).where(Payment.invoice_id == invoice_id).order_by(Payment.id)).all()
            session.expunge_all()
            return list(found)

    def inbox(self) -> list[tuple[str, str | None]]:
        """(status, error) of every entry."""
        with self.database.transaction() as session:
            return [
                (one.status.value, one.error) for one in session.scalars(select(InboxEntry).order_by(InboxEntry.id))
            ]


def tell(provider: Provider) -> int:
    """Everything that is due is sent, the span that gathers it passes, and it is looked at; returns the tries."""
    tries = provider.deliver()
    provider.clock.advance(GATHERED + NODES_APART)
    provider.work()
    return tries


def no_holiday(_: date) -> bool:
    """Banks are closed at weekends only."""
    return False


def events(database: Database, type_: str) -> list[Event]:
    with database.transaction() as session:
        found = list(session.scalars(select(Event).where(Event.type == type_)))
        session.expunge_all()
        return found


def make_provider(
    database: Database, keyring: Keyring, clock: ManualClock, gateway: str, secret: str, simulated: Starlette,
    queue: HookQueue, *, base_url: str | None = "https://gateway.test", path: str = "",
    settings: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None, client: Callable[[Access], httpx.Client] | None = None,
) -> Provider:  # fmt: skip
    """`path`: what follows /hooks/<gateway> in the URL that the gateway calls."""
    with database.transaction() as session:
        accounts.create_account(
            session, keyring, gateway, "simulated", secret, Actor("test"),
            settings=({"base_url": base_url} if base_url else {}) | dict(settings or {}), credentials=credentials,
        )  # fmt: skip
    receiver = TestClient(make_app(database, keyring, clock=clock), raise_server_exceptions=False)
    sender = Sender(queue, f"http://testserver/hooks/{gateway}{path}", receiver, clock, lambda *_: None)
    connections = Connections(keyring, client or (lambda access: TestClient(simulated, access.settings["base_url"])))
    errands = Errands(database, connections, Inline(), clock)
    handlers = tasks.handlers(Billing(UTC, clock), errands, clock, "https://provedor.test")
    return Provider(database, keyring, clock, queue, sender, handlers, receiver)

"""Invoices and signed webhooks for tests, as a gateway's documents have them."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from standardwebhooks import Webhook

from billing_hooks import inbox, policies
from billing_hooks.issuing.issue import Issuing
from billing_hooks.policy import ANATEL_765
from billing_hooks.runs import Billing, RunUnsafe
from billing_hooks.suspension import Change
from core import invoices, topics
from core.audit import Actor
from core.clock import Clock
from core.models import Contract, CustomerKind, Invoice, OutboxItem

SECRET = "whsec_" + base64.b64encode(b"a gateway's secret of octets").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"somebody else's secret octets").decode()
PAID_AT = "2026-11-24T12:00:00Z"

_numbers = itertools.count(1)


def make_invoice(session: Session, contract: Contract, **values: Any) -> Invoice:
    defaults: dict[str, Any] = {"contract_id": contract.id, "due_date": date(2026, 11, 10), "amount_cents": 9990}
    return invoices.create_invoice(session, defaults | values, Actor("test:billing"), datetime.now(UTC))


def payment_event(invoice: Invoice, payment_id: str = "pay_1", **data: Any) -> bytes:
    defaults = {
        "invoice_id": str(invoice.id), "payment_id": payment_id, "amount_cents": invoice.amount_cents,
        "paid_at": PAID_AT, "method": "pix",
    }  # fmt: skip
    return event("payment.received", **defaults | data)


def guard_runs(session: Session, **guard: Any) -> None:
    """The default policy, with a guard of its own."""
    policy = replace(ANATEL_765, name="guarded", guard=replace(ANATEL_765.guard, **guard))
    policies.create_policy(session, policy, Actor("test:billing"), default_for=CustomerKind.PERSON)


def run_to_end(session: Session, billing: Billing, *, force: bool = False) -> list[Change]:
    """A billing run and, as the workers would, every chunk that is owed. `force`: one that the guard stops."""
    if force:
        with pytest.raises(RunUnsafe) as stopped:
            billing.run(session)
        billing.force(session, stopped.value.run_id, Actor("test:billing"))
    plan = billing.plan(session) if force else billing.run(session).plan
    owed = select(OutboxItem).where(OutboxItem.topic == topics.BILLING_CHUNK.name).order_by(OutboxItem.id)
    for item in session.scalars(owed).all():
        billing.handle_chunk(session, item.payload)
        session.delete(item)
    session.flush()
    return plan


def issue_due(session: Session, issuing: Issuing) -> None:
    """What the clock owes of invoices of our own, and what the workers do."""
    issuing.owe_due(session)
    owed = select(OutboxItem).where(OutboxItem.topic == topics.INVOICES_DUE.name).order_by(OutboxItem.id)
    for item in session.scalars(owed).all():
        issuing.handle_due(session, item.payload)
        session.delete(item)
    session.flush()


def interpret(session: Session, inbox_id: int, clock: Clock) -> None:
    """What the worker does with an event that says it all."""
    entry = inbox.claim(session, inbox_id)
    notice = inbox.read(session, entry) if entry is not None else None
    if entry is not None and notice is not None:
        inbox.conclude(session, entry, [notice], clock)


def reversal_event(payment_id: str = "pay_1") -> bytes:
    return event("payment.reversed", payment_id=payment_id)


def event(type_: str, **data: Any) -> bytes:
    return json.dumps({"type": type_, "timestamp": PAID_AT, "data": data}).encode()


def signed(
    body: bytes, *, event_id: str | None = None, secret: str = SECRET, at: datetime | None = None
) -> Mapping[str, str]:
    """The three headers; signed now, by the wall clock, where nothing else is said."""
    event_id, at = event_id or f"msg_{next(_numbers)}", at or datetime.now(UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at, body.decode()),
    }

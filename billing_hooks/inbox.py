"""The inbox: authenticate, store once, answer; work later. Who may send is `accounts`' part.

`receive` runs in the request's transaction, which commits before the sender gets its success code. `interpret` is the
task's side: it may run any number of times and finds nothing to do after the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks import accounts
from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import (
    Notice,
    PaymentReceived,
    PaymentReversed,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.models import GatewayAccount, InboxEntry, InboxStatus
from core import events, invoices, outbox, topics
from core.audit import Actor
from core.clock import Clock
from core.errors import Conflict, NotFound, ProvedorError
from core.invoices import External
from core.keyring import GATEWAY_SECRET, Keyring
from core.models.billing import Invoice

BODY_OCTETS_MAX = 256 * 1024

RECEIVED = Counter("provedor_webhooks_total", "Webhooks by gateway and what became of them", ["gateway", "outcome"])
log = structlog.get_logger()


def receive(
    session: Session, keyring: Keyring, gateway: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> bool:
    """Store an authentic event; True when it is new. Raises NotFound, WebhookNotAuthentic or WebhookMalformed."""
    if gateway not in ADAPTERS:
        RECEIVED.labels(_label(gateway), "NotFound").inc()
        raise NotFound("webhook receiver", gateway[:40])
    try:
        account, event_id = _authenticate(session, keyring, gateway, headers, body, now)
    except ProvedorError as error:
        RECEIVED.labels(gateway, type(error).__name__).inc()
        raise
    entry_id = session.scalar(
        insert(InboxEntry)
        .values(account_id=account.id, gateway=gateway, event_id=event_id, body=body)
        .on_conflict_do_nothing()
        .returning(InboxEntry.id)
    )
    if entry_id is not None:
        outbox.enqueue(session, topics.INBOX_STORED, {"inbox_id": entry_id})
    RECEIVED.labels(gateway, "repeated" if entry_id is None else "stored").inc()
    return entry_id is not None


def count_oversized(gateway: str) -> None:
    """It was not read to its end, so it is nobody's."""
    RECEIVED.labels(_label(gateway), "TooLarge").inc()


def interpret(session: Session, inbox_id: int, clock: Clock) -> None:
    """Do what a stored event says, in whatever order events come.

    What cannot be done is kept with its reason for a person, and told as an event; a reversal that overtook its
    payment waits for it.
    """
    entry = session.scalar(select(InboxEntry).where(InboxEntry.id == inbox_id).with_for_update())
    if entry is None or entry.status is not InboxStatus.RECEIVED:
        return
    try:
        with session.begin_nested():
            awaits = _apply(session, entry, ADAPTERS[entry.gateway].read(entry.body), clock())
    except (WebhookMalformed, NotFound, Conflict) as error:
        entry.status, entry.error = InboxStatus.FAILED, error.detail
        events.record(session, "webhook.failed", "inbox", entry.id, gateway=entry.gateway, detail=error.detail)
        log.warning("webhook could not be applied", inbox_id=entry.id, gateway=entry.gateway, detail=error.detail)
    else:
        entry.status = InboxStatus.DONE if awaits is None else InboxStatus.WAITING
        if awaits is not None:
            events.record(session, "webhook.waiting", "inbox", entry.id, gateway=entry.gateway, payment=awaits)
        entry.awaits, entry.done_at = awaits, clock() if awaits is None else None
    session.flush()


def handle_stored(clock: Clock) -> Any:  # noqa: ANN401  (core.work.Handler)
    """Handler of INBOX_STORED."""
    return lambda session, payload: interpret(session, payload["inbox_id"], clock)


def _label(gateway: str) -> str:
    """What anybody may put into a path must not become a time series."""
    return gateway if gateway in ADAPTERS else "unknown"


def _authenticate(
    session: Session, keyring: Keyring, gateway: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> tuple[GatewayAccount, str]:
    """The account whose secret signed this. A provider has a handful, so each is tried."""
    adapter = ADAPTERS[gateway]
    enabled = select(GatewayAccount).where(GatewayAccount.gateway == gateway, GatewayAccount.enabled)
    for account in session.scalars(enabled.order_by(GatewayAccount.id)).all():
        for sealed in accounts.valid_secrets(account, now):
            try:
                return account, adapter.authenticate(keyring.open_text(sealed, GATEWAY_SECRET), headers, body)
            except WebhookNotAuthentic:
                continue
    raise WebhookNotAuthentic


def _apply(session: Session, entry: InboxEntry, notice: Notice, now: datetime) -> str | None:
    """Do it; returns the payment's id where a reversal has to wait for it."""
    actor = Actor(f"gateway:{entry.gateway}")
    if isinstance(notice, PaymentReceived):
        _lock_payment(session, entry.account_id, notice.payment_id)
        invoices.record_payment(
            session,
            _invoice_id(session, entry, notice),
            amount_cents=notice.amount_cents,
            paid_at=notice.paid_at,
            method=notice.method,
            actor=actor,
            now=now,
            currency=notice.currency,
            external=External(entry.gateway, entry.account_id, notice.payment_id),
        )
        _wake(session, entry.account_id, notice.payment_id)
    elif isinstance(notice, PaymentReversed):
        _lock_payment(session, entry.account_id, notice.payment_id)
        payment = invoices.find_payment(session, entry.account_id, notice.payment_id)
        if payment is None:
            return notice.payment_id
        invoices.reverse_payment(session, payment.id, now=now, actor=actor, refund=notice.refund)
    return None


def _lock_payment(session: Session, account_id: int, payment_id: str) -> None:
    """One event of a payment at a time: else a payment and its reversal could each miss the other."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{account_id}:{payment_id}", 0))))


def _wake(session: Session, account_id: int, payment_id: str) -> None:
    waiting = (
        InboxEntry.status == InboxStatus.WAITING,
        InboxEntry.account_id == account_id,
        InboxEntry.awaits == payment_id,
    )
    woken = update(InboxEntry).where(*waiting).values(status=InboxStatus.RECEIVED).returning(InboxEntry.id)
    for inbox_id in session.scalars(woken).all():
        outbox.enqueue(session, topics.INBOX_STORED, {"inbox_id": inbox_id})


def _invoice_id(session: Session, entry: InboxEntry, notice: PaymentReceived) -> int:
    if notice.invoice_id is not None:
        return notice.invoice_id
    invoice: Invoice | None = None
    if notice.charge_id is not None:
        invoice = invoices.find_by_external(session, External(entry.gateway, entry.account_id, notice.charge_id))
    if invoice is None:
        raise NotFound("invoice of charge", notice.charge_id)
    return invoice.id

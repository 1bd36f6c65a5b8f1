"""The inbox: authenticate, store once, answer; work later.

`receive` runs in the request's transaction, which commits before the sender gets its success code. `interpret` is the
task's side: it may run any number of times and finds nothing to do after the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

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
from core.edits import flush_unique
from core.errors import Conflict, InvalidInput, NotFound, ProvedorError
from core.keyring import GATEWAY_SECRET, Keyring
from core.models.billing import Invoice, Payment

BODY_OCTETS_MAX = 256 * 1024

RECEIVED = Counter("provedor_webhooks_total", "Webhooks by gateway and what became of them", ["gateway", "outcome"])
log = structlog.get_logger()


def create_account(session: Session, keyring: Keyring, gateway: str, name: str, secret: str) -> GatewayAccount:
    """Whom webhooks may come from. Raises InvalidInput or Conflict."""
    if gateway not in ADAPTERS:
        raise InvalidInput(f"there is no gateway {gateway}", field="gateway")
    ADAPTERS[gateway].check_secret(secret)
    account = GatewayAccount(gateway=gateway, name=name, secret_encrypted=keyring.seal(secret, GATEWAY_SECRET))
    session.add(account)
    flush_unique(session, {"name": "name"})
    return account


def receive(session: Session, keyring: Keyring, gateway: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Store an authentic event; True when it is new. Raises WebhookNotAuthentic or WebhookMalformed."""
    try:
        account, event_id = _authenticate(session, keyring, gateway, headers, body)
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
            awaits = _apply(session, entry.gateway, ADAPTERS[entry.gateway].read(entry.body), clock)
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


def _authenticate(
    session: Session, keyring: Keyring, gateway: str, headers: Mapping[str, str], body: bytes
) -> tuple[GatewayAccount, str]:
    """The account whose secret signed this. A provider has a handful, so each is tried."""
    adapter = ADAPTERS[gateway]
    accounts = session.scalars(
        select(GatewayAccount).where(GatewayAccount.gateway == gateway, GatewayAccount.enabled)
    ).all()
    for account in accounts:
        for sealed in (account.secret_encrypted, account.previous_secret_encrypted):
            if sealed is None:
                continue
            try:
                return account, adapter.authenticate(keyring.open_text(sealed, GATEWAY_SECRET), headers, body)
            except WebhookNotAuthentic:
                continue
    raise WebhookNotAuthentic


def _apply(session: Session, gateway: str, notice: Notice, clock: Clock) -> str | None:
    """Do it; returns the payment's id where a reversal has to wait for it."""
    actor = Actor(f"gateway:{gateway}")
    if isinstance(notice, PaymentReceived):
        _lock_payment(session, gateway, notice.payment_id)
        invoice = _invoice(session, gateway, notice)
        invoices.record_payment(
            session,
            invoice.id,
            amount_cents=notice.amount_cents,
            paid_at=notice.paid_at,
            method=notice.method,
            actor=actor,
            gateway=gateway,
            external_id=notice.payment_id,
        )
        _wake(session, gateway, notice.payment_id)
    elif isinstance(notice, PaymentReversed):
        _lock_payment(session, gateway, notice.payment_id)
        payment_id = session.scalar(
            select(Payment.id).where(Payment.gateway == gateway, Payment.external_id == notice.payment_id)
        )
        if payment_id is None:
            return notice.payment_id
        invoices.reverse_payment(session, payment_id, now=clock(), actor=actor)
    return None


def _lock_payment(session: Session, gateway: str, payment_id: str) -> None:
    """One event of a payment at a time: else a payment and its reversal could each miss the other."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{gateway}:{payment_id}", 0))))


def _wake(session: Session, gateway: str, payment_id: str) -> None:
    waiting = (InboxEntry.status == InboxStatus.WAITING, InboxEntry.gateway == gateway, InboxEntry.awaits == payment_id)
    woken = update(InboxEntry).where(*waiting).values(status=InboxStatus.RECEIVED).returning(InboxEntry.id)
    for inbox_id in session.scalars(woken).all():
        outbox.enqueue(session, topics.INBOX_STORED, {"inbox_id": inbox_id})


def _invoice(session: Session, gateway: str, notice: PaymentReceived) -> Invoice:
    if notice.invoice_id is not None:
        return invoices.get_invoice(session, notice.invoice_id)
    invoice = invoices.find_by_external(session, gateway, notice.charge_id or "")
    if invoice is None:
        raise NotFound("invoice of charge", notice.charge_id)
    return invoice

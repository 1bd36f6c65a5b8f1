"""The inbox: authenticate, store once, answer; work later. Who may send is `accounts`' part, who asks back `asking`'s.

`receive` runs in a transaction that commits before the sender gets its success code. `claim`, `read` and
`conclude` are the task's side: they may run any number of times and find nothing to do after the first.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import structlog
from prometheus_client import Counter
from sqlalchemy import Table, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks import accounts, charges, same_money
from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import (
    ChargeClosed,
    Delivery,
    Irrelevant,
    Message,
    Notice,
    PaymentReceived,
    PaymentReversed,
    ReversalUndone,
    WebhookMalformed,
    WebhookNotAuthentic,
)
from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.issuing.owed import parts_in
from billing_hooks.models import GatewayAccount, InboxEntry, InboxStatus
from billing_hooks.same_money import Found
from core import audit, events, invoices, outbox, payments, topics
from core.audit import Actor
from core.clock import Clock
from core.errors import Conflict, NotFound, ProvedorError
from core.invoices import External
from core.keyring import GATEWAY_SECRET, Keyring
from core.models.billing import Invoice, Payment
from core.payments import Terms

BODY_OCTETS_MAX = 256 * 1024
#: A question about an event that says only "ask about this" is asked again no sooner, however often it is told.
ASKED_AGAIN_AFTER = timedelta(seconds=1)
#: How the id begins of what no webhook told, before the payment's.
FOUND = "found:"

#: As a table: nobody has a use for objects that follow these rows.
_ENTRIES = cast("Table", InboxEntry.__table__)
_INSERT = (
    insert(_ENTRIES)
    .on_conflict_do_nothing()
    .returning(*(_ENTRIES.c[name] for name in ("id", "account_id", "event_id")))
)

RECEIVED = Counter("provedor_webhooks_total", "Webhooks by gateway and what became of them", ["gateway", "outcome"])
log = structlog.get_logger()


class Arrival(NamedTuple):
    """A webhook and the gateway whose URL it came to."""

    gateway: str
    delivery: Delivery


def receive(session: Session, keyring: Keyring, gateway: str, delivery: Delivery, now: datetime) -> int:
    """Store the events of an authentic delivery; returns how many are new.

    Raises NotFound, WebhookNotAuthentic or WebhookMalformed.
    """
    (outcome,) = receive_together(session, keyring, [Arrival(gateway, delivery)], now)
    if isinstance(outcome, ProvedorError):
        raise outcome
    return outcome


def receive_together(
    session: Session, keyring: Keyring, arrivals: Sequence[Arrival], now: datetime
) -> list[int | ProvedorError]:
    """The same for many, in a handful of statements: of each, how many of its events are new, or why it is refused."""
    known = _Accounts(session)
    outcomes: list[int | ProvedorError] = []
    told: list[_Told] = []
    for place, (gateway, delivery) in enumerate(arrivals):
        try:
            account, messages = _authenticate(known.of(gateway), keyring, gateway, delivery, now)
        except ProvedorError as error:
            RECEIVED.labels(_label(gateway), type(error).__name__).inc()
            outcomes.append(error)
        else:
            told += [_Told(place, account, message) for message in messages]
            outcomes.append(0)
    stored = collections.Counter(_store(session, told, now))
    return [outcome if isinstance(outcome, ProvedorError) else stored[place] for place, outcome in enumerate(outcomes)]


def count_oversized(gateway: str) -> None:
    """It was not read to its end, so it is nobody's."""
    RECEIVED.labels(_label(gateway), "TooLarge").inc()


def claim(session: Session, inbox_id: int) -> InboxEntry | None:
    """The entry, locked, while something is to be done about it."""
    entry = session.scalar(
        select(InboxEntry).where(InboxEntry.id == inbox_id).with_for_update().execution_options(populate_existing=True)
    )
    return entry if entry is not None and entry.status is InboxStatus.RECEIVED else None


def read(session: Session, entry: InboxEntry) -> Notice | None:
    """What a stored event says; None for one that cannot be read, which a person looks at."""
    try:
        return ADAPTERS[entry.gateway].read(entry.body)
    except WebhookMalformed as malformed:
        fail(session, entry, malformed.detail)
        return None


def conclude(session: Session, entry: InboxEntry, notices: Sequence[Notice], clock: Clock) -> None:
    """Do what an event says, or what its gateway said of it, in whatever order events come.

    What cannot be done is kept with its reason for a person, and told as an event; a reversal that overtook its
    payment waits for it.
    """
    try:
        with session.begin_nested():
            awaits = [_apply(session, entry, notice, clock()) for notice in notices]
    except (NotFound, Conflict) as error:
        fail(session, entry, error.detail)
        return
    entry.awaits = next(filter(None, awaits), None)
    entry.status = InboxStatus.DONE if entry.awaits is None else InboxStatus.WAITING
    entry.done_at = clock() if entry.awaits is None else None
    if entry.awaits is not None:
        events.record(session, "webhook.waiting", "inbox", entry.id, gateway=entry.gateway, payment=entry.awaits)
    session.flush()


def retry(session: Session, inbox_id: int, actor: Actor) -> InboxEntry:
    """Do a failed event again from the start. Raises NotFound, or Conflict for one that has not failed."""
    entry = session.scalar(select(InboxEntry).where(InboxEntry.id == inbox_id).with_for_update())
    if entry is None:
        raise NotFound("inbox entry", inbox_id)
    if entry.status is not InboxStatus.FAILED:
        raise Conflict(f"the event is {entry.status.value}, not failed", field="status")
    entry.status, entry.error = InboxStatus.RECEIVED, None
    session.flush()
    audit.record(session, actor, "retry", "inbox", entry.id, {"gateway": entry.gateway})
    outbox.enqueue(session, topics.INBOX_STORED, {"inbox_id": entry.id})
    return entry


def fail(session: Session, entry: InboxEntry, detail: str) -> None:
    entry.status, entry.error = InboxStatus.FAILED, detail
    events.record(session, "webhook.failed", "inbox", entry.id, gateway=entry.gateway, detail=detail)
    log.warning("webhook could not be applied", inbox_id=entry.id, gateway=entry.gateway, detail=detail)
    session.flush()


def _label(gateway: str) -> str:
    """What anybody may put into a path must not become a time series."""
    return gateway if gateway in ADAPTERS else "unknown"


class _Told(NamedTuple):
    """`place`: of its delivery among those that came together."""

    place: int
    account: GatewayAccount
    message: Message


@dataclass(slots=True)
class _Accounts:
    """Those of a gateway, read once."""

    session: Session
    _read: dict[str, Sequence[GatewayAccount]] = field(default_factory=dict)

    def of(self, gateway: str) -> Sequence[GatewayAccount]:
        """Raises NotFound for a gateway that there is not."""
        if gateway not in ADAPTERS:
            raise NotFound("webhook receiver", gateway[:40])
        if gateway not in self._read:
            enabled = select(GatewayAccount).where(GatewayAccount.gateway == gateway, GatewayAccount.enabled)
            self._read[gateway] = self.session.scalars(enabled.order_by(GatewayAccount.id)).all()
        return self._read[gateway]


def _store(session: Session, told: Sequence[_Told], now: datetime) -> list[int]:
    """The places of what was new, one for each event."""
    ids = _insert(session, told, now)
    outbox.enqueue_all(session, topics.INBOX_STORED, [{"inbox_id": inbox_id} for inbox_id in ids.values()])
    new: list[_Told] = []
    repeated: list[_Told] = []
    for one in told:
        is_new = ids.pop((one.account.id, one.message.event_id), None) is not None
        (new if is_new else repeated).append(one)
        RECEIVED.labels(one.account.gateway, "stored" if is_new else "repeated").inc()
    _look_again(session, repeated, now)
    return [one.place for one in new]


def _look_again(session: Session, repeated: Sequence[_Told], now: datetime) -> None:
    """At repetitions that may carry news: at once where the first's question was answered before, else later."""
    asked_anew = _open_again(session, [one for one in repeated if one.message.again is not None], now)
    repeated = [one for one in repeated if (one.account.id, one.message.event_id) not in asked_anew]
    not_before = {(one.account.id, again.event_id): again.not_before for one in repeated
                  if (again := one.message.again) is not None}  # fmt: skip
    renamed = [one._replace(message=Message(one.message.again.event_id, one.message.body)) for one in repeated
               if one.message.again is not None]  # fmt: skip
    for key, inbox_id in _insert(session, renamed, now).items():
        outbox.enqueue(session, topics.INBOX_STORED, {"inbox_id": inbox_id, "tries": 0}, due_at=not_before[key])


def _open_again(session: Session, repeated: Sequence[_Told], now: datetime) -> set[tuple[int, str]]:
    """Entries that were done a moment ago and more, which are now to be done anew: (account, event id)."""
    if not repeated:
        return set()
    key = (InboxEntry.account_id, InboxEntry.event_id)
    done = (
        tuple_(*key).in_([(one.account.id, one.message.event_id) for one in repeated]),
        InboxEntry.status == InboxStatus.DONE, InboxEntry.done_at <= now - ASKED_AGAIN_AFTER,
    )  # fmt: skip
    opened = update(InboxEntry).where(*done).values(status=InboxStatus.RECEIVED, done_at=None)
    rows = session.execute(opened.returning(InboxEntry.id, *key).execution_options(synchronize_session=False)).all()
    outbox.enqueue_all(session, topics.INBOX_STORED, [{"inbox_id": row.id} for row in rows])
    return {(row.account_id, row.event_id) for row in rows}


def _insert(session: Session, told: Sequence[_Told], now: datetime) -> dict[tuple[int, str], int]:
    """{(account, event id): entry} of what was not known; in one order, so that two who insert cannot wait for each
    other."""
    rows = [{"account_id": one.account.id, "gateway": one.account.gateway, "event_id": one.message.event_id,
             "body": one.message.body, "received_at": now} for one in told]  # fmt: skip
    if not rows:
        return {}
    rows.sort(key=lambda row: (row["account_id"], row["event_id"]))
    return {(account_id, event_id): entry_id for entry_id, account_id, event_id in session.execute(_INSERT, rows)}


def _authenticate(
    enabled: Sequence[GatewayAccount], keyring: Keyring, gateway: str, delivery: Delivery, now: datetime
) -> tuple[GatewayAccount, Sequence[Message]]:
    """The account whose secret signed this. A provider has a handful, so each is tried."""
    adapter = ADAPTERS[gateway]
    for account in enabled:
        delivery = replace(delivery, settings={**adapter.settings, **account.settings})
        for sealed in accounts.valid_secrets(account, now):
            try:
                return account, adapter.authenticate(keyring.open_text(sealed, GATEWAY_SECRET), delivery, now)
            except WebhookNotAuthentic:
                continue
    raise WebhookNotAuthentic


def _apply(session: Session, entry: InboxEntry, notice: Notice, now: datetime) -> str | None:
    """Do it; returns the payment's id where something has to wait for it."""
    actor = Actor(f"gateway:{entry.gateway}")
    if isinstance(notice, PaymentReceived):
        _lock_payment(session, entry.account_id, notice.payment_id)
        _record(session, entry, notice, actor, now)
        if not entry.found:
            _note_told(session, entry.account_id, notice.payment_id, now)
        _wake(session, entry.account_id, notice.payment_id)
    elif isinstance(notice, PaymentReversed | ReversalUndone):
        _lock_payment(session, entry.account_id, notice.payment_id)
        payment = payments.find_payment(session, entry.account_id, notice.payment_id)
        if payment is None:
            return notice.payment_id
        _take_back(session, payment, notice, actor, now)
    elif isinstance(notice, ChargeClosed):
        events.record(session, "charge.closed", "inbox", entry.id, gateway=entry.gateway, charge=notice.charge_id)
    else:
        assert isinstance(notice, Irrelevant)  # noqa: S101  (who asks back is not here)
    return None


def _record(session: Session, entry: InboxEntry, notice: PaymentReceived, actor: Actor, now: datetime) -> None:
    """As a payment of its own, unless it is news of one, or the bank's file told of the same money before."""
    charge = charges.find_charge(session, entry.account_id, notice.charge_id) if notice.charge_id else None
    invoice_id = charge.invoice_id if charge is not None else _invoice_id(session, entry, notice)
    surcharge_cents = notice.surcharge_cents
    if charge is not None and notice.amount_cents + notice.discount_cents >= charge.amount_cents:
        # The gateway takes a second copy's fine and interest for a part of its price.
        surcharge_cents += charge.surcharge_cents
        charges.close_paid(session, charge, now)
    invoice = invoices.get_invoice(session, invoice_id, lock=True)
    external = External(entry.gateway, entry.account_id, notice.payment_id)
    discount_cents = notice.discount_cents
    is_less = notice.amount_cents < invoice.amount_cents and not notice.so_far and not discount_cents
    if charge is None and is_less:
        discount_cents = _let_off(session, invoice, notice)
    terms = Terms(surcharge_cents, discount_cents, notice.settled_at, notice.net_cents)
    found = _told_before(session, invoice, entry, notice)
    if found.payment_id is not None:
        payments.tell_again(session, {found.payment_id: (external, terms)}, actor)
        return
    payment = payments.record_payment(
        session, invoice.id, amount_cents=notice.amount_cents, paid_at=notice.paid_at, method=notice.method,
        actor=actor, now=now, currency=notice.currency, external=external, terms=terms, so_far=notice.so_far,
    )  # fmt: skip
    if found.doubt is not None:
        payments.doubt_payment(session, payment, found.doubt.en, found.doubt.pt)


def _let_off(session: Session, invoice: Invoice, notice: PaymentReceived) -> int:
    """Of what was paid by no charge of ours: a static code asks for less while the invoice's discount is given."""
    paid_on = notice.paid_at.astimezone(BRASILIA).date()
    return parts_in(session, invoice, notice.amount_cents, paid_on, lambda _: False).discount_cents


def _told_before(session: Session, invoice: Invoice, entry: InboxEntry, notice: PaymentReceived) -> Found:
    """Nothing where this very payment is known: what is told of it again is news of it."""
    if notice.currency not in {None, invoice.currency}:
        return same_money.NOTHING
    known = same_money.known_payments(session, [invoice.id])[invoice.id]
    if not known or payments.find_payment(session, entry.account_id, notice.payment_id) is not None:
        return same_money.NOTHING
    told = same_money.told_by_gateway(
        invoice, entry.account_id, notice.payment_id, notice.amount_cents, notice.paid_at, notice.method
    )
    return same_money.recognise(told, known, by_bank=False)


def _take_back(
    session: Session, payment: Payment, notice: PaymentReversed | ReversalUndone, actor: Actor, now: datetime
) -> None:
    if isinstance(notice, ReversalUndone):
        payments.undo_reversal(session, payment.id, now=now, actor=actor)
    elif notice.amount_cents is not None:
        payments.refund_part(session, payment.id, notice.amount_cents, now=now, actor=actor)
    else:
        payments.reverse_payment(session, payment.id, now=now, actor=actor, refund=notice.refund)


def _lock_payment(session: Session, account_id: int, payment_id: str) -> None:
    """One event of a payment at a time: else a payment and its reversal could each miss the other."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{account_id}:{payment_id}", 0))))


def _note_told(session: Session, account_id: int, payment_id: str, now: datetime) -> None:
    """What the reading of the API found first was on its way."""
    found = (
        InboxEntry.account_id == account_id, InboxEntry.found, InboxEntry.told_at.is_(None),
        InboxEntry.event_id.startswith(f"{FOUND}{payment_id}:", autoescape=True),
    )  # fmt: skip
    session.execute(update(InboxEntry).where(*found).values(told_at=now).execution_options(synchronize_session=False))


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
    """Of a charge that we did not order. It is the account's own; a reference may be anybody's who writes like us."""
    invoice: Invoice | None = None
    if notice.charge_id is not None:
        invoice = invoices.find_by_external(session, External(entry.gateway, entry.account_id, notice.charge_id))
    if invoice is not None:
        return invoice.id
    if notice.invoice_id is None and notice.charge_id is None:
        raise Conflict(f"payment {notice.payment_id} came without a charge: record it for the invoice that it is for")
    if notice.invoice_id is None:
        raise NotFound("invoice of charge", notice.charge_id)
    return notice.invoice_id

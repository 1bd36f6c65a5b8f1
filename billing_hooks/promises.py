"""Access for a while although something is owed: a promise of payment, the trust unlock, the time to pay.

A promise of payment is an operator's word. The trust unlock ("desbloqueio em confiança") is given by the policy's rule:
so many days, so often, up to a debt; whoever asks for it, an operator, the portal or another system, is told a protocol
number. A payment window is minutes of full access for who asks for a Pix code inside the walled garden.

Each is over by itself: what follows is owed from the start, for that moment. A restriction that only made way for a
payment window goes on at once; after the others it begins anew, and so only on days and hours on which one may.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks import policies
from billing_hooks.cases import Case, read_cases
from billing_hooks.models import Promise, PromiseKind
from billing_hooks.suspension import lock_contract
from core import audit, events, outbox, topics
from core.audit import Actor
from core.cycles import begins_at
from core.errors import Conflict, InvalidInput, NotFound
from core.models.billing import Invoice, InvoiceStatus

#: An operator's promise is no exemption.
PROMISE_MAX = timedelta(days=60)


def give_promise(
    session: Session, contract_id: int, until: datetime, actor: Actor, now: datetime, note: str | None = None
) -> Promise:
    """An operator's word. Raises NotFound or InvalidInput."""
    if not now < until <= now + PROMISE_MAX:
        raise InvalidInput(f"lies in the past, or more than {PROMISE_MAX.days} days ahead", field="until")
    _locked_case(session, contract_id, now)
    return _give(session, contract_id, PromiseKind.PROMISE, until, actor, now, note=note)


def trust_unlock(session: Session, contract_id: int, actor: Actor, now: datetime, zone: tzinfo) -> Promise:
    """By the rule of the contract's policy. Raises Conflict where the rule does not allow one (any more)."""
    case = _locked_case(session, contract_id, now)
    rule = case.policy.trust
    if not case.holds:
        raise Conflict("the contract is not restricted, so there is nothing to unlock")
    since = now - timedelta(days=rule.period_days)
    if _given(session, contract_id, PromiseKind.TRUST_UNLOCK, since) >= rule.times:
        raise Conflict(f"a trust unlock is given {rule.times} times within {rule.period_days} days")
    today = now.astimezone(zone).date()
    owed_cents = sum(invoice.owed_cents for invoice in case.debtor.invoices if invoice.due_date < today)
    if rule.debt_cents_max is not None and owed_cents > rule.debt_cents_max:
        raise Conflict("more is owed than a trust unlock is given for")
    return _give(session, contract_id, PromiseKind.TRUST_UNLOCK, now + timedelta(days=rule.days), actor, now)


def open_payment_window(session: Session, invoice_id: int, actor: Actor, now: datetime, zone: tzinfo) -> Promise:
    """For who is about to pay this invoice. Raises NotFound or Conflict."""
    invoice = session.get(Invoice, invoice_id)
    if invoice is None:
        raise NotFound("invoice", invoice_id)
    if invoice.status is not InvoiceStatus.OPEN:
        raise Conflict(f"invoice {invoice_id} is {invoice.status.value}, not open")
    case = _locked_case(session, invoice.contract_id, now)
    rule = case.policy.payment_window
    midnight = begins_at(now.astimezone(zone).date(), zone)
    if _given(session, case.contract_id, PromiseKind.PAYMENT_WINDOW, midnight, invoice_id) >= rule.times_a_day:
        raise Conflict(f"a payment window opens {rule.times_a_day} times a day for an invoice")
    until = now + timedelta(minutes=rule.minutes)
    return _give(session, case.contract_id, PromiseKind.PAYMENT_WINDOW, until, actor, now, invoice_id=invoice_id)


def withdraw(session: Session, promise_id: int, actor: Actor, now: datetime) -> Promise:
    """It is over now; one that is over already stays as it is. Raises NotFound."""
    promise = session.scalar(select(Promise).where(Promise.id == promise_id).with_for_update())
    if promise is None:
        raise NotFound("promise", promise_id)
    if promise.withdrawn_at is None and promise.until > now:
        promise.withdrawn_at = now
        audit.record(session, actor, "withdraw", "promise", promise.id, {"contract_id": promise.contract_id})
        events.record(session, "promise.withdrawn", "contract", promise.contract_id, promise_id=promise.id)
        _owe_end(session, promise, None)
    return promise


def protocol(promise: Promise, zone: tzinfo) -> str:
    """The number that the customer is told: the day and the row."""
    return f"{promise.created_at.astimezone(zone):%Y%m%d}{promise.id:06d}"


def list_promises(session: Session, contract_id: int) -> Sequence[Promise]:
    return session.scalars(select(Promise).where(Promise.contract_id == contract_id).order_by(Promise.id)).all()


def _locked_case(session: Session, contract_id: int, now: datetime) -> Case:
    """Two requests at once are one after the other, or each would be the first of its period."""
    lock_contract(session, contract_id)
    cases = read_cases(session, [contract_id], policies.load(session), now)
    if not cases:
        raise NotFound("contract", contract_id)
    return cases[0]


def _given(
    session: Session, contract_id: int, kind: PromiseKind, since: datetime, invoice_id: int | None = None
) -> int:
    query = select(func.count()).where(
        Promise.contract_id == contract_id, Promise.kind == kind, Promise.created_at > since
    )
    if invoice_id is not None:
        query = query.where(Promise.invoice_id == invoice_id)
    return session.scalar(query) or 0


def _give(
    session: Session, contract_id: int, kind: PromiseKind, until: datetime, actor: Actor, now: datetime, *,
    invoice_id: int | None = None, note: str | None = None,
) -> Promise:  # fmt: skip
    promise = Promise(
        contract_id=contract_id,
        kind=kind,
        until=until,
        given_by=actor.name,
        created_at=now,
        invoice_id=invoice_id,
        note=note,
    )
    session.add(promise)
    session.flush()
    audit.record(session, actor, "give", "promise", promise.id, {"contract_id": contract_id, "kind": kind})
    events.record(
        session, "promise.given", "contract", contract_id, promise_id=promise.id, kind=kind, until=until.isoformat()
    )
    outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": contract_id})
    _owe_end(session, promise, until)
    return promise


def _owe_end(session: Session, promise: Promise, due_at: datetime | None) -> None:
    outbox.enqueue(session, topics.PROMISE_OVER, {"promise_id": promise.id}, due_at=due_at)

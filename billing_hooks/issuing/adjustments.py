"""A contract's extras, discounts and credits: given, used by the invoices that are made, withdrawn while they are not.

What an extra or a credit became part of is never changed: who took it back gives the opposite.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.invoicing.facts import Credit, Discount, Extra
from billing_hooks.invoicing.period import Span
from billing_hooks.invoicing.words import Words
from billing_hooks.models import Adjustment, AdjustmentKind
from core import audit, events
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.party import Contract, ContractStatus


def give(
    session: Session, contract_id: int, kind: AdjustmentKind, words: Words, actor: Actor, *,
    amount_cents: int | None = None, percent_bp: int | None = None, valid_from: date | None = None,
    valid_until: date | None = None, corrects_period_id: int | None = None,
) -> Adjustment:  # fmt: skip
    """Raises NotFound, InvalidInput naming the field, or Conflict for a contract that has ended."""
    contract = session.get(Contract, contract_id)
    if contract is None:
        raise NotFound("contract", contract_id)
    if contract.status is ContractStatus.CANCELLED and corrects_period_id is None:
        raise Conflict(f"contract {contract_id} is cancelled")
    row = Adjustment(
        contract_id=contract_id, kind=kind, text_pt=words.pt, text_en=words.en, amount_cents=amount_cents,
        percent_bp=percent_bp, valid_from=valid_from, valid_until=valid_until, given_by=actor.name,
        corrects_period_id=corrects_period_id, used_cents=0,
    )  # fmt: skip
    _check(row)
    session.add(row)
    session.flush()
    what = {"contract_id": contract_id, "kind": kind, "amount_cents": amount_cents, "percent_bp": percent_bp}
    audit.record(session, actor, "give", "contract_adjustment", row.id, what)
    events.record(session, "contract.adjusted", "contract", contract_id, adjustment_id=row.id, kind=kind)
    return row


def withdraw(session: Session, adjustment_id: int, actor: Actor, now: datetime) -> Adjustment:
    """It is no longer taken into account. Raises NotFound, or Conflict where an invoice has it."""
    row = session.scalar(select(Adjustment).where(Adjustment.id == adjustment_id).with_for_update())
    if row is None:
        raise NotFound("adjustment", adjustment_id)
    if row.billed_period_id is not None or row.used_cents:
        raise Conflict(f"adjustment {adjustment_id} is part of an invoice; give the opposite instead")
    if row.corrects_period_id is not None:
        raise Conflict(f"adjustment {adjustment_id} makes an earlier period good; give the opposite instead")
    if row.withdrawn_at is None:
        row.withdrawn_at = now
        session.flush()
        audit.record(session, actor, "withdraw", "contract_adjustment", row.id, {"contract_id": row.contract_id})
        events.record(session, "contract.adjustment_withdrawn", "contract", row.contract_id, adjustment_id=row.id)
    return row


def list_adjustments(session: Session, contract_id: int) -> Sequence[Adjustment]:
    of_contract = Adjustment.contract_id == contract_id
    return session.scalars(select(Adjustment).where(of_contract).order_by(Adjustment.id)).all()


def extra_of(row: Adjustment) -> Extra:
    return Extra(_id(row), _words(row), row.amount_cents or 0, row.valid_from or date.min)


def discount_of(row: Adjustment) -> Discount:
    valid = Span.through(row.valid_from or date.min, row.valid_until)
    return Discount(_id(row), _words(row), valid, cents_cycle=row.amount_cents, percent_bp=row.percent_bp)


def credit_of(row: Adjustment) -> Credit:
    """What is left of it."""
    return Credit(_id(row), _words(row), (row.amount_cents or 0) - row.used_cents)


def row_id(fact_id: str) -> int:
    """The adjustment whose extra, discount or credit this is."""
    return int(fact_id.removeprefix("a"))


def _id(row: Adjustment) -> str:
    """Items have the plain numbers."""
    return f"a{row.id}"


def _words(row: Adjustment) -> Words:
    return Words(row.text_pt, row.text_en)


def _check(row: Adjustment) -> None:
    if row.kind is not AdjustmentKind.DISCOUNT:
        if not row.amount_cents:
            raise InvalidInput(f"{row.kind.value} needs an amount", field="amount_cents")
        if row.percent_bp is not None:
            raise InvalidInput("only a discount is a share", field="percent_bp")
        if row.valid_until is not None:
            raise InvalidInput(f"{row.kind.value} is not for a span of days", field="valid_until")
        return
    if row.valid_from is not None and row.valid_until is not None and row.valid_until < row.valid_from:
        raise InvalidInput("a discount ends before it begins", field="valid_until")
    Discount("new", _words(row), Span(date.min), row.amount_cents, row.percent_bp)

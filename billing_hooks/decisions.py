"""What runs decided of contracts, as it is kept: what was planned and, once it is done, what it was judged by then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from billing_hooks.models import BillingDecision
from billing_hooks.suspension import Change
from core.work import chunks

#: The outcome where the contract, judged again, needed it no more.
NO_LONGER_RIGHT: Final = "no longer right"
#: Rows of one statement.
_PAGE: Final = 1000


def keep(session: Session, run_id: int, plan: Iterable[Change]) -> None:
    for page in chunks(plan, _PAGE):
        session.execute(
            insert(BillingDecision),
            [{"run_id": run_id, "contract_id": one.contract_id, "action": one.action, **_values(one)} for one in page],
        )


def of_chunk(
    session: Session, run_id: int, action: str, contract_ids: Collection[int]
) -> Mapping[int, list[BillingDecision]]:
    """By contract."""
    found: dict[int, list[BillingDecision]] = defaultdict(list)
    of_run = (BillingDecision.run_id == run_id, BillingDecision.action == action)
    query = select(BillingDecision).where(*of_run, BillingDecision.contract_id.in_(contract_ids))
    for row in session.scalars(query.order_by(BillingDecision.id)):
        found[row.contract_id].append(row)
    return found


def still_right(row: BillingDecision, changes: Sequence[Change]) -> Change | None:
    """What the contract needs now, where it is what was decided: the same message, or the same effect."""
    return next((change for change in changes if _what(change) == _what(row)), None)


def covers(session: Session, run_id: int, plan: Iterable[Change]) -> bool:
    """Whether all of a plan was decided by this run: what somebody looked at there is all that there is to look at."""
    rows = session.execute(
        select(
            BillingDecision.contract_id, BillingDecision.action, BillingDecision.effect, BillingDecision.step,
            BillingDecision.invoice_id,
        ).where(BillingDecision.run_id == run_id)
    )  # fmt: skip
    known = {(row.contract_id, _what(row)) for row in rows}
    return all((change.contract_id, _what(change)) in known for change in plan)


def conclude(row: BillingDecision, change: Change | None, now: datetime, failed: str | None) -> None:
    """What became of it. What was done is kept with what it was judged by in that moment."""
    if change is None:
        row.outcome = NO_LONGER_RIGHT
    elif failed is not None:
        row.outcome = failed
    else:
        row.done_at, row.outcome = now, None
        for name, value in _values(change).items():
            setattr(row, name, value)


def _what(one: Any) -> tuple[str | int | None, ...]:  # noqa: ANN401  (a change, or a row of a decision)
    """What is done by it. A restriction for another invoice is the same one; a message about another is not."""
    return (one.action, one.step, one.invoice_id) if one.action == "tell" else (one.action, one.effect)


def _values(change: Change) -> dict[str, Any]:
    return {
        "policy": change.policy,
        "step": change.step,
        "invoice_id": change.invoice_id,
        "reason": change.reason,
        "reason_pt": change.reason_pt,
        "service_ids": list(change.service_ids),
        "effect": change.effect,
        "text_en": change.words.en if change.words else None,
        "text_pt": change.words.pt if change.words else None,
        "facts": dict(change.facts),
    }

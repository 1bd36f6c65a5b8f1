"""The life of an authority's request, as a table. Pure.

    draft ──search──▶ searched ──approve (another person)──▶ approved ──answer──▶ answered
      │                  │ search again: new findings              │
      └──────────────────┴──── refuse, withdraw ◀──────────────────┘

A preservation request (Marco Civil art. 13 §2 and §3) is searched, which keeps what was found, and then waits: for the
court's order, which makes it a request for records, or for its 60 days to run out. It can be neither approved nor
answered: nothing is disclosed without an order (art. 13 §5).
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

from aaa.connection_log.models import CaseKind, CaseState
from core.errors import Conflict, Forbidden

#: Art. 13 §3: so long may police or prosecutors take to bring an order.
PRESERVATION: Final = timedelta(days=60)


class Step(StrEnum):
    SEARCH = "search"
    ORDER = "order"
    APPROVE = "approve"
    ANSWER = "answer"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


_NEXT: Final[dict[tuple[CaseState, Step], CaseState]] = {
    (CaseState.DRAFT, Step.SEARCH): CaseState.SEARCHED,
    (CaseState.DRAFT, Step.ORDER): CaseState.DRAFT,
    (CaseState.DRAFT, Step.REFUSE): CaseState.REFUSED,
    (CaseState.DRAFT, Step.WITHDRAW): CaseState.WITHDRAWN,
    (CaseState.DRAFT, Step.EXPIRE): CaseState.EXPIRED,
    (CaseState.SEARCHED, Step.SEARCH): CaseState.SEARCHED,
    (CaseState.SEARCHED, Step.ORDER): CaseState.SEARCHED,
    (CaseState.SEARCHED, Step.APPROVE): CaseState.APPROVED,
    (CaseState.SEARCHED, Step.REFUSE): CaseState.REFUSED,
    (CaseState.SEARCHED, Step.WITHDRAW): CaseState.WITHDRAWN,
    (CaseState.SEARCHED, Step.EXPIRE): CaseState.EXPIRED,
    (CaseState.APPROVED, Step.ANSWER): CaseState.ANSWERED,
    (CaseState.APPROVED, Step.REFUSE): CaseState.REFUSED,
    (CaseState.APPROVED, Step.WITHDRAW): CaseState.WITHDRAWN,
}
_ONLY_PRESERVATION: Final = frozenset({Step.ORDER, Step.EXPIRE})
_DISCLOSING: Final = frozenset({Step.APPROVE, Step.ANSWER})


def next_state(kind: CaseKind, state: CaseState, step: Step) -> CaseState:
    """Raises Conflict for a step that this kind of request or its state does not allow."""
    preservation = kind is CaseKind.PRESERVATION
    if preservation and step in _DISCLOSING:
        raise Conflict("a preservation request discloses nothing: enter the court's order first", field="kind")
    if not preservation and step in _ONLY_PRESERVATION:
        raise Conflict("only a preservation request waits for an order", field="kind")
    found = _NEXT.get((state, step))
    if found is None:
        raise Conflict(f"a request that is {state} cannot {step}", field="state")
    return found


def check_second_person(searched_by: str | None, approver: str) -> None:
    """Who searched may not approve."""
    if searched_by == approver:
        raise Forbidden("who searched may not approve: a second person looks at the answer", field="approved_by")

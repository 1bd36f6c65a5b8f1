"""A contract's own terms of billing: its policy, an exemption with its reason, and whether and how we invoice it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks import policies
from billing_hooks.follow.models import FollowedContract
from billing_hooks.issuing import terms as invoicing_terms
from billing_hooks.models import ContractBilling
from core import audit, events, outbox, topics
from core.audit import Actor
from core.edits import apply_changes
from core.errors import InvalidInput, NotFound
from core.models.party import Contract, ContractItem, Customer

#: Who is invoiced from an earlier day on would have months of invoices at once.
INVOICED_BACK_MAX: Final = timedelta(days=45)


def update_terms(
    session: Session, contract_id: int, values: Mapping[str, Any], actor: Actor, today: date
) -> ContractBilling:  # fmt: skip
    """Change `policy_id`, `exemption`, `exemption_review_on`, `invoicing_terms_id` or `invoiced_since`.

    Raises NotFound or InvalidInput.
    """
    payer_kind = session.scalar(
        select(Customer.kind).join(Contract, Contract.payer_id == Customer.id).where(Contract.id == contract_id)
    )
    if payer_kind is None:
        raise NotFound("contract", contract_id)
    if values.get("policy_id") is not None:
        policies.check_choice(session, values["policy_id"], payer_kind)
    if values.get("invoicing_terms_id") is not None:
        invoicing_terms.late_terms(invoicing_terms.get_terms(session, values["invoicing_terms_id"]), payer_kind)
    if values.get("invoiced_since") is not None:
        _check_invoiced(session, contract_id, values["invoiced_since"], today)
    terms = _made(session, contract_id)
    changed = apply_changes(terms, values)
    if terms.exemption is None and terms.exemption_review_on is not None:
        raise InvalidInput("there is no exemption to review", field="exemption_review_on")
    session.flush()
    if changed:
        audit.record(session, actor, "update", "contract_billing", contract_id, changed)
        events.record(session, "contract.billing_changed", "contract", contract_id)
        outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": contract_id})
    return terms


def _check_invoiced(session: Session, contract_id: int, since: date, today: date) -> None:
    if since < today - INVOICED_BACK_MAX:
        raise InvalidInput(
            f"lies more than {INVOICED_BACK_MAX.days} days back, and every period since would be invoiced at once",
            field="invoiced_since",
        )
    if session.get(FollowedContract, contract_id) is not None:
        raise InvalidInput(
            "another billing system is in charge of the contract and would invoice it, too: release it first",
            field="invoiced_since",
        )
    if session.scalar(select(ContractItem.id).where(ContractItem.contract_id == contract_id).limit(1)) is None:
        raise InvalidInput("the contract has no prices (items) to invoice", field="invoiced_since")


def _made(session: Session, contract_id: int) -> ContractBilling:
    session.execute(insert(ContractBilling).values(contract_id=contract_id).on_conflict_do_nothing())
    return session.get_one(ContractBilling, contract_id, with_for_update=True)

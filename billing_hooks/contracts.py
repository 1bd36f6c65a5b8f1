"""A contract's own terms of billing: its policy, and an exemption with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks import policies
from billing_hooks.models import ContractBilling
from core import audit, events, outbox, topics
from core.audit import Actor
from core.edits import apply_changes
from core.errors import InvalidInput, NotFound
from core.models.party import Contract, Customer


def update_terms(session: Session, contract_id: int, values: Mapping[str, Any], actor: Actor) -> ContractBilling:
    """Change `policy_id`, `exemption` or `exemption_review_on`. Raises NotFound or InvalidInput."""
    payer_kind = session.scalar(
        select(Customer.kind).join(Contract, Contract.payer_id == Customer.id).where(Contract.id == contract_id)
    )
    if payer_kind is None:
        raise NotFound("contract", contract_id)
    if values.get("policy_id") is not None:
        policies.check_choice(session, values["policy_id"], payer_kind)
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


def _made(session: Session, contract_id: int) -> ContractBilling:
    session.execute(insert(ContractBilling).values(contract_id=contract_id).on_conflict_do_nothing())
    return session.get_one(ContractBilling, contract_id, with_for_update=True)

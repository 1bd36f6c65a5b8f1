"""From standing to holds, for one contract: what is to be changed, and the changing.

    judge   (pure)         the case and its verdict -> place, ease, lift, wait or nothing
    apply   (transaction)  under the contract's lock, judged again, so that it does only what is right still

A restriction begins on the days and hours that the policy allows; what gives access back, or more of it, knows neither.
Of a contract that is restricted already and reaches a stronger step, the stronger hold takes the place of the other in
one transaction. A payment that commits meanwhile is either seen, or waits for the lock and lifts what was placed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks.cases import Case, LiveHold, facts_of
from billing_hooks.days import Calendar
from billing_hooks.invoicing.words import Words
from billing_hooks.models import ContractBilling
from billing_hooks.standing import Message, Standing, standing
from core import events, holds
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.models.party import Contract
from core.models.service import Hold, Service

ACTOR: Final = Actor("system:billing")
_STRENGTH: Final = tuple(HoldEffect)
_CONTRACT: Final = bindparam("contract_id", type_=BigInteger())
_HELD = (
    select(Hold.id)
    .join(Service, Service.id == Hold.service_id)
    .where(Service.contract_id == _CONTRACT, Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
)
_REMEMBERED = select(ContractBilling.contract_id).where(
    ContractBilling.contract_id == _CONTRACT, ContractBilling.restricted_since.is_not(None)
)
_RESTRICTED = select(or_(_HELD.exists(), _REMEMBERED.exists()))


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to one contract, and by what rule.

    `action`: place (a restriction, or a stronger one), ease (a gentler one), lift, wait (for a day and hour on which it
    may begin, or for the end of an incident), spare (it has reached a step and something stands against it), propose
    (that a person ends it), tell. `facts`: what it was judged by.
    """

    action: str
    contract_id: int
    customer: str
    service_ids: tuple[int, ...]
    policy: str
    step: str | None
    invoice_id: int | None
    reason: str
    reason_pt: str
    effect: HoldEffect | None = None
    message: Message | None = None
    words: Words | None = None
    logins: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def judge(case: Case, verdict: Standing, calendar: Calendar, now: datetime, *, resumes: bool = False) -> Change | None:
    """What its services need, if anything. One that is to be restricted and may not yet be has to wait; one that
    `resumes` began when it might, and made way for minutes only."""
    if verdict.effect is None:
        if case.holds:
            return change_of("lift", case, verdict, {hold.service_id for hold in case.holds})
        return change_of("spare", case, verdict, case.suspendable) if verdict.spared is not None else None
    right = {hold.service_id for hold in case.holds if hold.effect is verdict.effect}
    wrong = case.suspendable - right
    if not wrong:
        return None
    if not _gets_harder(case.holds, wrong, verdict.effect):
        return change_of("ease", case, verdict, wrong)
    if case.debtor.incident:
        return change_of("wait", case, verdict, wrong)
    refusal = None if resumes or verdict.at_once else calendar.refusal(case.policy.hours, now, case.places)
    if refusal is not None:
        return change_of("wait", case, verdict, wrong, refusal.reason, refusal.reason_pt)
    return change_of("place", case, verdict, wrong)


def verdict_on(case: Case, now: datetime, zone: tzinfo) -> Standing:
    return standing(case.debtor, case.policy, now, zone)


def apply(session: Session, case: Case, change: Change, now: datetime) -> None:
    """Holds as the change says. The lock of the contract is the caller's."""
    if change.effect is not None:
        for service_id in change.service_ids:
            holds.place_hold(
                session, service_id, reason=HoldReason.BILLING, effect=change.effect, actor=ACTOR, now=now,
                note=change.reason,
            )  # fmt: skip
    for hold in case.holds:
        if hold.effect is not change.effect and (change.effect is None or hold.service_id in change.service_ids):
            holds.lift_hold(session, hold.hold_id, actor=ACTOR, now=now)
    if change.action == "place":
        _note_restricted(session, case.contract_id, now)
    elif change.step is None:
        forget_restriction(session, case)


def forget_restriction(session: Session, case: Case) -> None:
    """Nothing that once led to a restriction is owed any more: the days of the next one count anew."""
    if case.debtor.restricted_since is not None:
        row = session.get_one(ContractBilling, case.contract_id)
        row.restricted_since = row.termination_proposed_at = None
        session.flush()


def propose_termination(session: Session, case: Case, change: Change, now: datetime) -> None:
    """Once for a restriction; a person decides."""
    session.get_one(ContractBilling, case.contract_id).termination_proposed_at = now
    session.flush()
    events.record(
        session, "billing.termination_proposed", "contract", case.contract_id, invoice_id=change.invoice_id,
        reason=change.reason,
    )  # fmt: skip


def lock_contract(session: Session, contract_id: int) -> None:
    """Weaker than FOR UPDATE: an invoice that is being written for the contract does not wait for this."""
    session.execute(select(Contract.id).where(Contract.id == contract_id).with_for_update(key_share=True))


def is_restricted(session: Session, contract_id: int) -> bool:
    """Whether billing took anything that could be given back: of most who pay it did not."""
    return bool(session.scalar(_RESTRICTED, {"contract_id": contract_id}))


def _note_restricted(session: Session, contract_id: int, now: datetime) -> None:
    row = insert(ContractBilling).values(contract_id=contract_id, restricted_since=now)
    session.execute(
        row.on_conflict_do_update(
            index_elements=[ContractBilling.contract_id],
            set_={"restricted_since": now},
            where=ContractBilling.restricted_since.is_(None),
        )
    )


def _gets_harder(live: Sequence[LiveHold], service_ids: frozenset[int] | set[int], effect: HoldEffect) -> bool:
    present = {hold.service_id: _STRENGTH.index(hold.effect) for hold in live}
    return any(present.get(service_id, -1) < _STRENGTH.index(effect) for service_id in service_ids)


def change_of(
    action: str, case: Case, verdict: Standing, service_ids: frozenset[int] | set[int], but: str = "", but_pt: str = ""
) -> Change:
    reached = verdict.reached
    return Change(
        action, case.contract_id, case.customer, tuple(sorted(service_ids)), case.policy.name,
        reached.name if reached else None, verdict.invoice_id, f"{verdict.reason}; {but}" if but else verdict.reason,
        f"{verdict.reason_pt}; {but_pt}" if but_pt else verdict.reason_pt, verdict.effect, logins=case.logins,
        facts=facts_of(case),
    )  # fmt: skip

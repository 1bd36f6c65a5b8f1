"""Contracts put under the word of another system, and back under our own policy; seen before, and reversible.

A switch places nothing by itself: what is given back is owed at once, and what is to be restricted comes by the next
run, through its guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_hooks import policies
from billing_hooks.cases import read_cases
from billing_hooks.days import Calendar
from billing_hooks.follow import words
from billing_hooks.follow.base import Word
from billing_hooks.follow.differences import judge_as_followed, judge_by_policy
from billing_hooks.follow.models import FollowedContract, FollowedSubscriber, FollowSource, Mode
from billing_hooks.follow.sources import get_source
from billing_hooks.models import ContractBilling
from billing_hooks.suspension import Change
from core import audit, outbox, topics
from core.access import HoldReason
from core.audit import Actor
from core.errors import Conflict, InvalidInput, NotFound
from core.models.party import Contract, ContractStatus
from core.models.service import Hold, Service
from core.models.system import AuditEntry, Event
from core.work import chunks

_PAGE: Final = 1000
#: What a switch replaces.
_WORD: Final = ("source_id", "effect", "by_hand", "reason", "since", "followed_since", "followed_by")


def preview(
    session: Session, source: FollowSource | None, contract_ids: Sequence[int], calendar: Calendar, now: datetime
) -> list[Change]:
    """What the switch would do to holds: to the word of `source`, or with None to our own policy."""
    subscribers = _subscribers(session, source.id, contract_ids) if source else {}
    restricted_there = {contract_id for contract_id, row in subscribers.items() if row.effect is not None}
    loaded = policies.load(session)
    found: list[Change | None] = []
    for page in chunks(contract_ids, _PAGE):
        # Of the others, who is free here and there, nothing changes.
        looked_at = set(page) if source is None else (restricted_there | _held(session, page)) & set(subscribers)
        for case in read_cases(session, looked_at & set(page), loaded, now):
            if source is None:
                found.append(judge_by_policy(case, calendar, now))
            else:
                found.append(judge_as_followed(case, source, word_of(subscribers[case.contract_id]), calendar, now))
    return [change for change in found if change is not None]


def follow(
    session: Session, source: FollowSource, contract_ids: Sequence[int], actor: Actor, now: datetime
) -> list[int]:
    """Put them under its word; returns those that were not yet. Raises NotFound, or Conflict where the source is dry
    or one of them is not listed there, and then none is switched."""
    if source.mode is not Mode.LIVE or not source.enabled:
        raise Conflict(f"{source.name} is not live: look at its differences, then set its mode")
    switched = [contract_id for contract_id, under in _under(session, contract_ids).items() if under != source.id]
    subscribers = _subscribers(session, source.id, switched)
    missing = sorted(set(switched) - set(subscribers))
    if missing:
        raise Conflict(f"{source.name} lists no subscriber that is contract {_some(missing)}")
    invoiced = _invoiced(session, switched)
    if invoiced:
        raise Conflict(f"we make the invoices of contract {_some(invoiced)}: end that (invoiced_since) first")
    values = {"source_id": source.id, "followed_since": now, "followed_by": actor.name}
    rows = [
        {"contract_id": contract_id, **values, **words.follow_word(subscribers[contract_id])}
        for contract_id in switched
    ]
    row = insert(FollowedContract)
    named = {name: row.excluded[name] for name in _WORD}
    for page in chunks(rows, _PAGE):
        session.execute(row.on_conflict_do_update(index_elements=[FollowedContract.contract_id], set_=named), page)
    session.expire_all()
    _record(session, switched, source.id, actor)
    return switched


def release(session: Session, contract_ids: Sequence[int], actor: Actor) -> list[int]:
    """Back under our own policy; returns those that were under another system's word. Raises NotFound."""
    released = [contract_id for contract_id, under in _under(session, contract_ids).items() if under is not None]
    for page in chunks(released, _PAGE):
        session.execute(delete(FollowedContract).where(FollowedContract.contract_id.in_(page)))
    _record(session, released, None, actor)
    return released


def all_matched(session: Session, source_id: int) -> list[int]:
    """Contracts that are a subscriber there, and in force here."""
    query = (
        select(FollowedSubscriber.contract_id)
        .join(Contract, Contract.id == FollowedSubscriber.contract_id)
        .where(
            FollowedSubscriber.source_id == source_id, FollowedSubscriber.gone_at.is_(None),
            Contract.status == ContractStatus.ACTIVE,
        )
        .order_by(FollowedSubscriber.contract_id)
    )  # fmt: skip
    return [contract_id for contract_id in session.scalars(query) if contract_id is not None]


def all_following(session: Session, source_id: int) -> list[int]:
    of_source = FollowedContract.source_id == source_id
    return list(session.scalars(select(FollowedContract.contract_id).where(of_source).order_by("contract_id")))


def set_match(session: Session, source_id: int, key: str, contract_id: int | None, actor: Actor) -> FollowedSubscriber:
    """A person says which contract a subscriber is; None: none, and it is looked for again."""
    source = get_source(session, source_id)
    subscriber = session.scalar(
        select(FollowedSubscriber).where(FollowedSubscriber.source_id == source.id, FollowedSubscriber.key == key)
    )
    if subscriber is None:
        raise NotFound("subscriber there", key[:100])
    if contract_id is not None:
        _check_free(session, source.id, subscriber, contract_id)
    if subscriber.contract_id is not None and subscriber.contract_id != contract_id:
        _refuse_following(session, source, subscriber.contract_id)
    subscriber.contract_id, subscriber.matched_by = contract_id, actor.name if contract_id is not None else None
    session.flush()
    audit.record(session, actor, "match", "follow_source", source.id, {"key": key, "contract_id": contract_id})
    return subscriber


def word_of(row: FollowedSubscriber) -> Word:
    return Word(
        row.key, row.effect, row.by_hand, row.reason, row.name, row.document, row.customer_ref, tuple(row.logins)
    )


def _check_free(session: Session, source_id: int, subscriber: FollowedSubscriber, contract_id: int) -> None:
    if session.get(Contract, contract_id) is None:
        raise InvalidInput(f"there is no contract {contract_id}", field="contract_id")
    other = session.scalar(
        select(FollowedSubscriber.key).where(
            FollowedSubscriber.source_id == source_id, FollowedSubscriber.contract_id == contract_id,
            FollowedSubscriber.id != subscriber.id,
        )
    )  # fmt: skip
    if other is not None:
        raise Conflict(f"contract {contract_id} is subscriber {other} there", field="contract_id")


def _refuse_following(session: Session, source: FollowSource, contract_id: int) -> None:
    if _under(session, [contract_id]).get(contract_id) == source.id:
        raise Conflict(f"contract {contract_id} follows {source.name} as this subscriber: release it first")


def _subscribers(session: Session, source_id: int, contract_ids: Sequence[int]) -> dict[int, FollowedSubscriber]:
    """Those that are listed, by contract."""
    found: dict[int, FollowedSubscriber] = {}
    for page in chunks(contract_ids, _PAGE):
        rows = session.scalars(
            select(FollowedSubscriber).where(
                FollowedSubscriber.source_id == source_id, FollowedSubscriber.gone_at.is_(None),
                FollowedSubscriber.contract_id.in_(page),
            )
        )  # fmt: skip
        found |= {row.contract_id: row for row in rows if row.contract_id is not None}
    return found


def _invoiced(session: Session, contract_ids: Sequence[int]) -> list[int]:
    """Those that would be invoiced twice."""
    ours = ContractBilling.invoiced_since.is_not(None)
    query = select(ContractBilling.contract_id).where(ContractBilling.contract_id.in_(contract_ids), ours)
    return sorted(session.scalars(query))


def _under(session: Session, contract_ids: Sequence[int]) -> dict[int, int | None]:
    """The source of each contract, locked in the order of their ids. Raises NotFound."""
    found: dict[int, int | None] = {}
    for page in chunks(sorted(contract_ids), _PAGE):
        contracts = select(Contract.id).where(Contract.id.in_(page)).order_by(Contract.id)
        found |= dict.fromkeys(session.scalars(contracts.with_for_update(key_share=True)).all())
        of_page = FollowedContract.contract_id.in_(page)
        rows = session.execute(select(FollowedContract.contract_id, FollowedContract.source_id).where(of_page))
        found |= {row.contract_id: row.source_id for row in rows}
    missing = sorted(set(contract_ids) - set(found))
    if missing:
        raise NotFound("contract", missing[0])
    return found


def _record(session: Session, contract_ids: Sequence[int], source_id: int | None, actor: Actor) -> None:
    """As one by one, in a statement a table. Owed where there is a hold that may have to be given back."""
    for page in chunks(contract_ids, _PAGE):
        changes = {"follow_source_id": source_id}
        entry = {"actor": actor.name, "source": actor.source, "action": "follow", "resource": "contract"}
        entries = [{**entry, "resource_id": str(contract_id), "changes": changes} for contract_id in page]
        session.execute(insert(cast("Table", AuditEntry.__table__)), entries)
        happened = {"type": "contract.billing_changed", "payload": changes}
        told = [{**happened, "subject": f"contract:{contract_id}"} for contract_id in page]
        session.execute(insert(cast("Table", Event.__table__)), told)
        for contract_id in sorted(_held(session, page)):
            outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": contract_id})


def _held(session: Session, contract_ids: Sequence[int]) -> set[int]:
    """Those of them that billing restricts."""
    held = select(Service.contract_id).join(Hold, Hold.service_id == Service.id)
    live = (Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None), Service.contract_id.in_(contract_ids))
    return set(session.scalars(held.where(*live)))


def _some(contract_ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, contract_ids[:5]))
    return f"{shown} and {len(contract_ids) - 5} more" if len(contract_ids) > 5 else shown

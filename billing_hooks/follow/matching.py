"""Which contract of ours is a subscriber of the other system's? Facts read once, then pure.

A login is a line, so it goes first; then our customer's external reference, then the document. What leads to two
contracts, and two subscribers that lead to one, are left to a person: nothing is guessed. What was found, or said by a
person, stays, until that subscriber is gone from the list and another one is the contract: systems make a new contract
of a changed plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Text, any_, literal, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from billing_hooks.follow.base import Word
from billing_hooks.follow.models import FollowedSubscriber
from core.models.party import Contract, ContractStatus, Customer
from core.models.service import LOGIN_KEY, Service, ServiceStatus


@dataclass(frozen=True, slots=True)
class Ours:
    """Contract ids in force, by what a subscriber may be known by."""

    by_login: Mapping[str, frozenset[int]] = field(default_factory=dict)
    by_login_key: Mapping[str, frozenset[int]] = field(default_factory=dict)
    by_reference: Mapping[str, frozenset[int]] = field(default_factory=dict)
    by_document: Mapping[str, frozenset[int]] = field(default_factory=dict)
    #: Of those that were matched before, those that are in force still.
    matched: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Matches:
    """By the subscriber's key. `ambiguous`: the contracts that it might be."""

    found: Mapping[str, int]
    ambiguous: Mapping[str, tuple[int, ...]]


def match(words: Iterable[Word], ours: Ours, known: Mapping[str, int]) -> Matches:
    """`known` were matched before."""
    kept = {key: contract_id for key, contract_id in known.items() if contract_id in ours.matched}
    found = dict(kept)
    ambiguous: dict[str, tuple[int, ...]] = {}
    settled = frozenset(kept.values())
    taken: dict[int, list[str]] = defaultdict(list)
    for word in words:
        if word.key in kept:
            continue
        candidates = _candidates(word, ours)
        free = candidates - settled
        if len(free) == 1:
            taken[next(iter(free))].append(word.key)
        elif candidates:
            ambiguous[word.key] = tuple(sorted(free or candidates))
    for contract_id, keys in taken.items():
        if len(keys) == 1:
            found[keys[0]] = contract_id
        else:
            ambiguous |= dict.fromkeys(keys, (contract_id,))
    return Matches(found, ambiguous)


def _candidates(word: Word, ours: Ours) -> frozenset[int]:
    """Of what knows it best."""
    for index, keys in (
        (ours.by_login, word.logins),
        (ours.by_login_key, [login_key(login) for login in word.logins]),
        (ours.by_reference, [word.customer_ref]),
        (ours.by_document, [word.document]),
    ):
        found = frozenset[int]().union(*(index.get(key, frozenset()) for key in keys if key))
        if found:
            return found
    return frozenset()


def login_key(login: str) -> str:
    """What the spellings of a login have in common (core.models.service.LOGIN_KEY)."""
    return login.partition("@")[0].strip().lower()


def load_ours(session: Session, words: Sequence[Word], known: Mapping[str, int]) -> Ours:
    """As much as these words could match, in four statements however many there are. `known`: matched before."""
    logins = {login for word in words for login in word.logins}
    keys = {login_key(login) for login in logins} - {""}
    in_force = Contract.status == ContractStatus.ACTIVE
    key_of_login = text(f"{LOGIN_KEY.format('service.login')} = ANY(:keys)").bindparams(keys=list(keys))
    lines = session.execute(
        select(Service.login, Service.contract_id)
        .join(Contract, Contract.id == Service.contract_id)
        .where(in_force, Service.login.is_not(None), Service.status != ServiceStatus.CANCELLED, key_of_login)
    ).all()
    still = select(Contract.id).where(in_force, Contract.id == any_(literal(list(known.values()), ARRAY(BigInteger))))
    return Ours(
        _index((login, contract_id) for login, contract_id in lines),
        _index((login_key(login or ""), contract_id) for login, contract_id in lines),
        _holders(session, Customer.external_ref, {word.customer_ref for word in words}),
        _holders(session, Customer.document, {word.document for word in words}),
        frozenset(session.scalars(still)),
    )


def _holders(
    session: Session, column: InstrumentedAttribute[str | None], values: Collection[str]
) -> dict[str, frozenset[int]]:
    """Contracts whose holder has one of these."""
    rows = session.execute(
        select(column, Contract.id)
        .join(Customer, Customer.id == Contract.customer_id)
        .where(Contract.status == ContractStatus.ACTIVE, column == any_(literal(list(values), ARRAY(Text))))
    )
    return _index((value, contract_id) for value, contract_id in rows)


def load_known(session: Session, source_id: int, *, gone: bool = False) -> dict[str, int]:
    """Of those that are listed still, or no longer."""
    matched = (FollowedSubscriber.source_id == source_id, FollowedSubscriber.contract_id.is_not(None), _listed(gone))
    rows = session.execute(select(FollowedSubscriber.key, FollowedSubscriber.contract_id).where(*matched))
    return {key: contract_id for key, contract_id in rows if contract_id is not None}


def load_words(session: Session, source_id: int, *which: ColumnElement[bool], gone: bool = False) -> Sequence[Word]:
    """As the system said them last; of those that it lists still, or lists no longer."""
    rows = session.execute(
        select(
            FollowedSubscriber.key, FollowedSubscriber.effect, FollowedSubscriber.by_hand, FollowedSubscriber.reason,
            FollowedSubscriber.name, FollowedSubscriber.document, FollowedSubscriber.customer_ref,
            FollowedSubscriber.logins,
        )
        .where(FollowedSubscriber.source_id == source_id, _listed(gone), *which)
        .order_by(FollowedSubscriber.key)
    )  # fmt: skip
    return [Word(*row[:7], tuple(row.logins)) for row in rows]


def _listed(gone: bool) -> ColumnElement[bool]:
    return FollowedSubscriber.gone_at.is_not(None) if gone else FollowedSubscriber.gone_at.is_(None)


def _index(pairs: Iterable[tuple[str | None, int]]) -> dict[str, frozenset[int]]:
    gathered: dict[str, set[int]] = defaultdict(set)
    for key, contract_id in pairs:
        if key:
            gathered[key].add(contract_id)
    return {key: frozenset(contract_ids) for key, contract_ids in gathered.items()}

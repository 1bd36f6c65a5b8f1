"""What the other system says and what is done here, side by side: the dry run of following it.

Of a contract that does not follow yet it is what following would do, by the same judgement as a run's; of one that
does, what is still to be done. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import policies, suspension
from billing_hooks.cases import Case, read_cases
from billing_hooks.days import Calendar
from billing_hooks.follow import matching
from billing_hooks.follow.base import Reading, Word
from billing_hooks.follow.models import CutCalendar, FollowedContract, FollowedSubscriber, FollowSource
from billing_hooks.standing import Followed
from core.access import HoldReason
from core.models.party import Contract, Customer
from core.models.service import Hold, Service, ServiceStatus
from core.work import chunks

_PAGE: Final = 1000


class Kind(StrEnum):
    #: A restriction, or a stronger one, would begin now; or has to wait for a day and hour on which it may.
    RESTRICT = "restrict"
    WAIT = "wait"
    #: Access would be given back, or more of it.
    GIVE_BACK = "give_back"
    EASE = "ease"
    #: Restricted there, and something here stands against it.
    SPARE = "spare"
    #: What leads to several contracts, or shares one with another subscriber.
    AMBIGUOUS = "ambiguous"
    #: In the other system, and in no contract here.
    NOT_HERE = "not_here"
    #: A contract here with services, that no subscriber there is.
    NOT_THERE = "not_there"
    #: Follows, and is no longer listed there: its last word stays.
    GONE = "gone"


_BY_ACTION: Final = {
    "place": Kind.RESTRICT, "wait": Kind.WAIT, "lift": Kind.GIVE_BACK, "ease": Kind.EASE, "spare": Kind.SPARE,
}  # fmt: skip
_WORDS: Final = {
    Kind.AMBIGUOUS: (
        "several contracts, or one that is another subscriber already: a person says which",
        "vários contratos, ou um que já é de outro assinante: uma pessoa diz qual",
    ),
    Kind.NOT_HERE: ("there is no such contract here", "não há contrato correspondente aqui"),
    Kind.NOT_THERE: ("the other system does not list it", "o outro sistema não o lista"),
    Kind.GONE: (
        "no longer listed there: its last word stays", "não é mais listado lá: vale o que foi dito por último",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """`key`: the subscriber's there. `contract_ids`: ours that it is, or might be. `follows`: is under its word."""

    kind: Kind
    key: str | None
    contract_ids: tuple[int, ...]
    customer: str
    reason: str
    reason_pt: str
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one transaction compares by."""

    session: Session
    source: FollowSource
    calendar: Calendar
    now: datetime

    def stored(self) -> list[Difference]:
        """By what was read last."""
        gone = matching.load_words(self.session, self.source.id, gone=True)
        return self.of(matching.load_words(self.session, self.source.id), gone)

    def of_reading(self, reading: Reading) -> list[Difference]:
        """By what was read just now, and is not kept."""
        seen = {word.key for word in reading.words} | {one.key for one in reading.malformed if one.key}
        known = [
            *matching.load_words(self.session, self.source.id),
            *matching.load_words(self.session, self.source.id, gone=True),
        ]
        return self.of(reading.words, [word for word in known if word.key not in seen], seen)

    def of(
        self, words: Sequence[Word], gone: Sequence[Word] = (), listed: Collection[str] | None = None
    ) -> list[Difference]:
        """In the order of Kind. `listed`: keys of all that are there, where not all of them say something."""
        there = {word.key for word in words} if listed is None else listed
        known = matching.load_known(self.session, self.source.id)
        known = {key: contract_id for key, contract_id in known.items() if key in there}
        ours = matching.load_ours(self.session, words, known)
        matches = matching.match(words, ours, known)
        following = self._following()
        found = [
            *self._judged(words, matches.found, following),
            *self._unmatched(words, matches),
            *self._not_there(matches),
            *self._gone(gone, {*matches.found.values()}, following),
        ]
        order = list(Kind)
        return sorted(found, key=lambda one: order.index(one.kind))

    def _judged(
        self, words: Sequence[Word], found: Mapping[str, int], following: frozenset[int]
    ) -> Iterator[Difference]:
        """Of those that are restricted there or here; the others agree."""
        restricted = self._restricted()
        by_contract = {found[word.key]: word for word in words if word.key in found}
        looked_at = sorted(c for c, word in by_contract.items() if word.effect is not None or c in restricted)
        for case in self._cases(looked_at):
            word = by_contract[case.contract_id]
            change = judge_as_followed(case, self.source, word, self.calendar, self.now)
            if change is not None:
                yield Difference(
                    _BY_ACTION[change.action], word.key, (case.contract_id,), case.customer, change.reason,
                    change.reason_pt, case.contract_id in following,
                )  # fmt: skip

    def _cases(self, contract_ids: Sequence[int]) -> Iterator[Case]:
        loaded = policies.load(self.session)
        for page in chunks(contract_ids, _PAGE):
            yield from read_cases(self.session, page, loaded, self.now)

    def _unmatched(self, words: Iterable[Word], matches: matching.Matches) -> Iterator[Difference]:
        for word in words:
            if word.key in matches.found:
                continue
            candidates = matches.ambiguous.get(word.key, ())
            kind = Kind.AMBIGUOUS if candidates else Kind.NOT_HERE
            yield Difference(kind, word.key, candidates, word.name, *_WORDS[kind])

    def _not_there(self, matches: matching.Matches) -> Iterator[Difference]:
        """Contracts with a service that might be restricted, that are nobody's there and follow no other system."""
        elsewhere = select(FollowedContract.contract_id).where(FollowedContract.source_id != self.source.id)
        gone = select(FollowedSubscriber.contract_id).where(
            FollowedSubscriber.source_id == self.source.id, FollowedSubscriber.contract_id.is_not(None)
        )
        rows = self.session.execute(
            select(Contract.id, Customer.name)
            .join(Customer, Customer.id == Contract.customer_id)
            .where(
                Contract.id.in_(select(Service.contract_id).where(Service.status != ServiceStatus.CANCELLED)),
                Contract.id.not_in(elsewhere), Contract.id.not_in(gone),
            )
            .order_by(Contract.id)
        )  # fmt: skip
        there = {*matches.found.values(), *(one for some in matches.ambiguous.values() for one in some)}
        for contract_id, name in rows:
            if contract_id not in there:
                yield Difference(Kind.NOT_THERE, None, (contract_id,), name, *_WORDS[Kind.NOT_THERE])

    def _gone(self, gone: Iterable[Word], found: set[int], following: frozenset[int]) -> Iterator[Difference]:
        """Of those that were a contract, which is no other subscriber now."""
        were = matching.load_known(self.session, self.source.id, gone=True)
        were |= matching.load_known(self.session, self.source.id)
        for word in gone:
            contract_id = were.get(word.key)
            if contract_id is not None and contract_id not in found:
                follows = contract_id in following
                yield Difference(Kind.GONE, word.key, (contract_id,), word.name, *_WORDS[Kind.GONE], follows)

    def _following(self) -> frozenset[int]:
        of_source = FollowedContract.source_id == self.source.id
        return frozenset(self.session.scalars(select(FollowedContract.contract_id).where(of_source)))

    def _restricted(self) -> frozenset[int]:
        held = select(Service.contract_id).join(Hold, Hold.service_id == Service.id)
        live = held.where(Hold.reason == HoldReason.BILLING, Hold.lifted_at.is_(None))
        return frozenset(self.session.scalars(live))


def compare(session: Session, source: FollowSource, country: str, zone: tzinfo, now: datetime) -> Comparison:
    return Comparison(session, source, Calendar(policies.load_holidays(session, country), zone), now)


def judge_as_followed(
    case: Case, source: FollowSource, word: Word, calendar: Calendar, now: datetime
) -> suspension.Change | None:
    """What this word would do to the contract. Pure."""
    at_once = word.by_hand or source.calendar is CutCalendar.ERP
    followed = Followed(source.name, word.effect, word.reason, at_once)
    return _judge(replace(case, debtor=replace(case.debtor, followed=followed)), calendar, now)


def judge_by_policy(case: Case, calendar: Calendar, now: datetime) -> suspension.Change | None:
    """What our own policy would do to it. Pure."""
    return _judge(replace(case, debtor=replace(case.debtor, followed=None)), calendar, now)


def _judge(case: Case, calendar: Calendar, now: datetime) -> suspension.Change | None:
    return suspension.judge(case, suspension.verdict_on(case, now, calendar.zone), calendar, now)

"""What a reading, or a push, changes in what we know of a system's subscribers; and in the contracts that follow it.

Words are kept by subscriber, and only what changed is written: a system is read every half minute. While the source is
live, a changed word is also the contract's: what became gentler is owed at once, contract by contract.

A subscriber that is no longer listed keeps its last word. Where many vanish at once the list is not believed: nobody is
marked as gone, and the source has an alarm until a person accepts it, or they are back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from billing_hooks.follow import matching, sources
from billing_hooks.follow.base import Malformed, Reading, Word
from billing_hooks.follow.models import FollowedContract, FollowedSubscriber, FollowSource, Mode
from billing_hooks.invoicing.words import Words
from core import outbox, topics
from core.access import HoldEffect
from core.models.party import Contract, ContractStatus
from core.work import chunks

#: So many may be gone between two readings, and such a share, before the list is not believed.
GONE_FLOOR: Final = 20
GONE_SHARE_MAX: Final = 0.1
#: Such a share of rows that cannot be understood raises the alarm: the system changed how it says things.
MALFORMED_SHARE_MAX: Final = 0.1
_SHOWN_MAX: Final = 50
_PAGE: Final = 1000
_STRENGTH: Final = (None, *HoldEffect)


class Kept(NamedTuple):
    """What was made of a reading. `alarm`: why it is not to be believed."""

    listed: int
    changed: int
    alarm: Words | None


def keep_reading(
    session: Session, source: FollowSource, reading: Reading, now: datetime, *, accept: bool = False
) -> Kept:
    """All that the system lists. `accept`: a person knows that many are gone."""
    known = _known(session, source.id)
    changed = _write(session, source, reading.words, known, now, identified=reading.identified)
    seen = {word.key for word in reading.words} | {one.key for one in reading.malformed if one.key}
    unseen = [row.key for row in known.values() if row.gone_at is None and row.key not in seen]
    listed_before = sum(row.gone_at is None for row in known.values())
    alarm = _alarm(reading, len(unseen), listed_before)
    # A row without a key might be any of the unseen.
    believed = accept or (alarm is None and all(one.key for one in reading.malformed))
    if unseen and believed:
        _mark_gone(session, source.id, unseen, now)
    sources.note(session, source.id, malformed=_shown(reading.malformed))
    _match_new(session, source)
    _tell_contracts(session, source)
    return Kept(len(reading.words), changed, None if accept else alarm)


def keep_pushed(session: Session, source: FollowSource, words: Sequence[Word], now: datetime) -> int:
    """Of these subscribers and no others; the same again changes nothing. Returns how many it changed."""
    known = _known(session, source.id, [word.key for word in words])
    changed = _write(session, source, words, known, now, identified=True)
    _match_new(session, source)
    _tell_contracts(session, source)
    return changed


def known_keys(session: Session, source_id: int) -> Sequence[str]:
    return session.scalars(select(FollowedSubscriber.key).where(FollowedSubscriber.source_id == source_id)).all()


def follow_word(subscriber: FollowedSubscriber) -> dict[str, Any]:
    """A subscriber's word, as values of a FollowedContract."""
    return {name: getattr(subscriber, name) for name in ("effect", "by_hand", "reason", "since")}


def is_gentler(effect: HoldEffect | None, than: HoldEffect | None) -> bool:
    return _STRENGTH.index(effect) < _STRENGTH.index(than)


def _known(session: Session, source_id: int, keys: Sequence[str] | None = None) -> dict[str, Any]:
    query = select(
        FollowedSubscriber.id, FollowedSubscriber.key, FollowedSubscriber.effect, FollowedSubscriber.by_hand,
        FollowedSubscriber.reason, FollowedSubscriber.name, FollowedSubscriber.document,
        FollowedSubscriber.customer_ref, FollowedSubscriber.logins, FollowedSubscriber.gone_at,
        FollowedSubscriber.since,
    ).where(FollowedSubscriber.source_id == source_id)  # fmt: skip
    if keys is not None:
        query = query.where(FollowedSubscriber.key.in_(keys))
    return {row.key: row for row in session.execute(query)}


def _write(
    session: Session, source: FollowSource, words: Iterable[Word], known: Mapping[str, Any], now: datetime, *,
    identified: bool,
) -> int:  # fmt: skip
    new, changed = [], []
    for word in words:
        row = known.get(word.key)
        if row is None:
            new.append({"source_id": source.id, "key": word.key, "since": now, **_said(word), **_identity(word)})
            continue
        values = _said(word) | (_identity(word) if identified else {})
        differs = any(getattr(row, name) != value for name, value in values.items())
        if differs or row.gone_at is not None:
            says_otherwise = (row.effect, row.by_hand) != (word.effect, word.by_hand)
            since = now if says_otherwise else row.since
            changed.append({"id": row.id, "since": since, "gone_at": None, **values})
    for page in chunks(new, _PAGE):
        session.execute(insert(FollowedSubscriber), page)
    for page in chunks(changed, _PAGE):
        session.execute(update(FollowedSubscriber), page)
    session.expire_all()
    return len(new) + len(changed)


def _said(word: Word) -> dict[str, Any]:
    return {"effect": word.effect, "by_hand": word.by_hand, "reason": word.reason}


def _identity(word: Word) -> dict[str, Any]:
    return {
        "name": word.name, "document": word.document, "customer_ref": word.customer_ref, "logins": list(word.logins),
    }  # fmt: skip


def _alarm(reading: Reading, gone: int, listed_before: int) -> Words | None:
    rows = len(reading.words) + len(reading.malformed)
    if len(reading.malformed) > rows * MALFORMED_SHARE_MAX:
        count, first = len(reading.malformed), reading.malformed[0].words
        return Words(
            f"{count} das suas {rows} linhas não se entendem ({first.pt})",
            f"{count} of its {rows} rows cannot be understood ({first.en})",
        )
    if gone and gone >= listed_before * GONE_SHARE_MAX and (gone > GONE_FLOOR or gone == listed_before):
        return Words(
            f"{gone} dos {listed_before} assinantes que listava sumiram da lista",
            f"{gone} of the {listed_before} subscribers that it listed are gone from its list",
        )
    return None


def _mark_gone(session: Session, source_id: int, keys: Sequence[str], now: datetime) -> None:
    for page in chunks(keys, _PAGE):
        of_page = (FollowedSubscriber.source_id == source_id, FollowedSubscriber.key.in_(page))
        session.execute(update(FollowedSubscriber).where(*of_page).values(gone_at=now))


def _shown(malformed: Sequence[Malformed]) -> dict[str, Any]:
    return {"count": len(malformed), "rows": [msgspec.to_builtins(one) for one in malformed[:_SHOWN_MAX]]}


def _match_new(session: Session, source: FollowSource) -> None:
    """Find the contracts of those that have none yet, or whose contract was ended."""
    ended = select(Contract.id).where(Contract.status == ContractStatus.CANCELLED)
    _unmatch(session, source, FollowedSubscriber.contract_id.in_(ended))
    new = matching.load_words(session, source.id, FollowedSubscriber.contract_id.is_(None))
    if not new:
        return
    known = matching.load_known(session, source.id)
    matches = matching.match(new, matching.load_ours(session, new, known), known)
    unmatched = (FollowedSubscriber.source_id == source.id, FollowedSubscriber.contract_id.is_(None))
    rows = session.execute(select(FollowedSubscriber.key, FollowedSubscriber.id).where(*unmatched))
    ids = {row.key: row.id for row in rows}
    found = [{"id": ids[key], "contract_id": contract_id} for key, contract_id in matches.found.items() if key in ids]
    for page in chunks(found, _PAGE):
        taken = FollowedSubscriber.contract_id.in_([one["contract_id"] for one in page])
        _unmatch(session, source, taken)  # of the one before, which is gone
        session.execute(update(FollowedSubscriber), page)


def _unmatch(session: Session, source: FollowSource, which: ColumnElement[bool]) -> None:
    unmatched = update(FollowedSubscriber).where(FollowedSubscriber.source_id == source.id, which)
    session.execute(unmatched.values(contract_id=None, matched_by=None).execution_options(synchronize_session=False))


def _tell_contracts(session: Session, source: FollowSource) -> None:
    """The words that changed, on the contracts that follow; those that became gentler are owed."""
    if source.mode is not Mode.LIVE or not source.enabled:
        return
    said, had = FollowedSubscriber, FollowedContract
    differs = said.effect.is_distinct_from(had.effect) | (said.by_hand != had.by_hand) | (said.reason != had.reason)
    rows = session.execute(
        select(had.contract_id, had.effect, said.effect, said.by_hand, said.reason, said.since)
        .join(said, (said.source_id == had.source_id) & (said.contract_id == had.contract_id))
        .where(had.source_id == source.id, differs)
        .order_by(had.contract_id)
    ).all()
    changed = [
        {"contract_id": contract_id, "effect": effect, "by_hand": by_hand, "reason": reason, "since": since}
        for contract_id, _, effect, by_hand, reason, since in rows
    ]
    for page in chunks(changed, _PAGE):
        session.execute(update(FollowedContract), page)
    for contract_id, before, effect, *_ in rows:
        if is_gentler(effect, before):
            outbox.enqueue(session, topics.STANDING_CHANGED, {"contract_id": contract_id})

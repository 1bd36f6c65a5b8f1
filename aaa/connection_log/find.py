"""Who held this address at that time? All who may have, each with how it is known and what remains uncertain.

An address may be a subscriber's own (framed, or inside a framed or delegated prefix), or shared: then its ports were
given out in blocks that were told (`port_block`), or by a rule that says whose they were (`nat_rule`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from sqlalchemy import RowMapping, or_, select, text
from sqlalchemy.orm import Session

from aaa.connection_log.models import AddressKind, NatOrder, NatRule
from aaa.connection_log.moments import TOLERANCE_S, read_moment
from aaa.connection_log.nat import DeterministicNat
from core.errors import InvalidInput

#: An answer has no more than so many candidates; where there are more, it says so.
CANDIDATES_MAX: Final = 1000
#: Networks and prefixes that subscribers are given, by IP version.
_PREFIX_LENGTHS: Final = {4: range(16, 33), 6: (*range(29, 65), 127, 128)}


class How(StrEnum):
    """How an address is known to have been somebody's."""

    SESSION = "session"
    PORT_BLOCK = "port_block"
    NAT_RULE = "nat_rule"


class Note(StrEnum):
    """What is uncertain about an answer or a candidate, in words in `words`."""

    PORT_MISSING = "port_missing"
    PORT_NOT_NEEDED = "port_not_needed"
    SEVERAL = "several"
    NOBODY = "nobody"
    TOO_MANY = "too_many"
    EDGE = "edge"
    START_UNKNOWN = "start_unknown"
    MOVED = "moved"
    NOT_TOLD = "not_told"
    STALE_END = "stale_end"
    STILL_OPEN = "still_open"
    INSIDE_UNKNOWN = "inside_unknown"


@dataclass(frozen=True, slots=True)
class Question:
    """`first` equals `last` for a moment."""

    address: IPv4Address | IPv6Address
    port: int | None
    first: datetime
    last: datetime
    tolerance: timedelta = timedelta(seconds=TOLERANCE_S)

    @property
    def earliest(self) -> datetime:
        return self.first - self.tolerance

    @property
    def latest(self) -> datetime:
        return self.last + self.tolerance


@dataclass(frozen=True, slots=True)
class Candidate:
    """One who may have held the address. Without `service_id` and login nobody of ours is known to have."""

    how: How
    address: str
    port_first: int | None
    port_last: int | None
    inside: str | None
    started_at: datetime
    ended_at: datetime | None
    end_kind: str | None
    #: When an open session was last heard of.
    heard_at: datetime | None
    service_id: int | None
    login: str | None
    #: Which box, block's reporter or rule it is known from.
    told_by: str
    session_id: int | None = None
    acct_session_id: str | None = None
    calling_station_id: str | None = None
    notes: frozenset[Note] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Answer:
    question: Question
    candidates: list[Candidate]
    notes: frozenset[Note]


#: The index alone decides which rows are read at all; OFFSET keeps the planner from reading every month for them.
#: Addresses come as text: nobody computes with them.
USES: Final = """
WITH hits AS MATERIALIZED (
  SELECT started_at, id FROM address_use
  WHERE address = ANY(CAST(:addresses AS cidr[])) AND started_at <= :latest
    AND coalesce(ended_at, 'infinity'::timestamptz) >= :earliest
  LIMIT :most)
SELECT u.started_at, u.session_id, u.kind, u.address::text AS address, u.ended_at, u.end_kind, u.moved, u.service_id,
  u.login, u.box, u.acct_session_id, u.calling_station_id, s.updated_at AS heard_at
FROM hits h
  CROSS JOIN LATERAL (SELECT * FROM address_use a WHERE a.started_at = h.started_at AND a.id = h.id OFFSET 0) u
  LEFT JOIN LATERAL (
    SELECT updated_at FROM session WHERE id = u.session_id AND u.ended_at IS NULL OFFSET 0) s ON true
ORDER BY u.started_at, u.id
"""
BLOCKS: Final = """
WITH hits AS MATERIALIZED (
  SELECT started_at, id FROM port_block
  WHERE outside = CAST(:outside AS cidr) AND started_at <= :latest
    AND coalesce(ended_at, 'infinity'::timestamptz) >= :earliest AND port_first <= :port_most
    AND port_last >= :port_least
  LIMIT :most)
SELECT b.started_at, b.outside::text AS outside, b.port_first, b.port_last, b.inside::text AS inside, b.ended_at,
  b.end_kind, b.reporter, b.start_known, b.session_id, b.service_id, b.login, s.updated_at AS heard_at,
  s.acct_session_id, s.calling_station_id, s.framed_ipv4
FROM hits h
  CROSS JOIN LATERAL (SELECT * FROM port_block p WHERE p.started_at = h.started_at AND p.id = h.id OFFSET 0) b
  LEFT JOIN LATERAL (
    SELECT updated_at, acct_session_id, calling_station_id, framed_ipv4 FROM session WHERE id = b.session_id OFFSET 0
  ) s ON true
ORDER BY b.started_at, b.id
"""


def read_question(
    ip: str, port: int | None, *, at: str | None, first: str | None, last: str | None, zone: str | None,
    tolerance: timedelta = timedelta(seconds=TOLERANCE_S),
) -> Question:  # fmt: skip
    """Raises InvalidInput naming what is missing or cannot be read."""
    try:
        address = ip_address(ip.strip())
    except ValueError:
        raise InvalidInput("is no IP address", field="ip") from None
    if (at is None) == (first is None and last is None):
        raise InvalidInput("give `at`, or `from` and `until`", field="at")
    if at is not None:
        moment = read_moment(at, zone, "at")
        return Question(address, port, moment, moment, tolerance)
    if first is None or last is None:
        raise InvalidInput("`from` and `until` go together", field="from" if first is None else "until")
    begin, end = read_moment(first, zone, "from"), read_moment(last, zone, "until")
    if end < begin:
        raise InvalidInput("is before `from`", field="until")
    return Question(address, port, begin, end, tolerance)


#: For the rest of the transaction. To plan for each month anew takes longer than to answer; and the planner would fetch
#: a row of the table for each of an address's hundreds, where the index says which few are wanted.
PREPARE: Final = (
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off"
)


def find_holders(session: Session, question: Question) -> Answer:
    session.execute(text(PREPARE))
    own = _own(session, question)
    shared = _shared(session, question, question.address) if isinstance(question.address, IPv4Address) else []
    candidates = sorted(own + shared, key=lambda one: (one.started_at, one.login or ""))
    notes = set()
    if shared and question.port is None:
        notes.add(Note.PORT_MISSING)
    if own and not shared and question.port is not None:
        notes.add(Note.PORT_NOT_NEEDED)
    if len({(one.service_id, one.login) for one in candidates}) > 1:
        notes.add(Note.SEVERAL)
    if not candidates:
        notes.add(Note.NOBODY)
    if len(candidates) > CANDIDATES_MAX:
        notes.add(Note.TOO_MANY)
    return Answer(question, candidates[:CANDIDATES_MAX], frozenset(notes))


def _own(session: Session, question: Question) -> list[Candidate]:
    address = question.address
    networks = [str(ip_network((address, length), strict=False)) for length in _PREFIX_LENGTHS[address.version]]
    rows = _uses(session, networks, question.earliest, question.latest)
    told = {(row["session_id"], row["address"]) for row in rows if row["kind"] != AddressKind.GIVEN}
    return [
        _of_session(row, question)
        for row in rows
        if row["kind"] != AddressKind.GIVEN or (row["session_id"], row["address"]) not in told
    ]


def _uses(session: Session, addresses: Sequence[str], earliest: datetime, latest: datetime) -> Sequence[RowMapping]:
    values = {"addresses": list(addresses), "earliest": earliest, "latest": latest, "most": CANDIDATES_MAX + 1}
    return session.execute(text(USES), values).mappings().all()


def _of_session(row: RowMapping, question: Question) -> Candidate:
    return Candidate(
        How.SESSION, str(row["address"]), None, None, None, row["started_at"], row["ended_at"], row["end_kind"],
        row["heard_at"], row["service_id"], row["login"], row["box"], row["session_id"], row["acct_session_id"],
        row["calling_station_id"], _notes(row, question),
    )  # fmt: skip


def _notes(row: RowMapping | dict[str, Any], question: Question) -> frozenset[Note]:
    started_at, ended_at = row["started_at"], row["ended_at"]
    said = {
        Note.EDGE: started_at > question.last or (ended_at is not None and ended_at < question.first),
        Note.STILL_OPEN: ended_at is None,
        Note.STALE_END: row["end_kind"] in {"stale", "not_found", "superseded", "nas_reboot"},
        Note.MOVED: row.get("moved", False),
        Note.NOT_TOLD: row.get("kind") == AddressKind.GIVEN,
        Note.START_UNKNOWN: not row.get("start_known", True),
    }
    return frozenset(note for note, so in said.items() if so)


def _shared(session: Session, question: Question, address: IPv4Address) -> list[Candidate]:
    least, most = (0, 65535) if question.port is None else (question.port, question.port)
    values = {"outside": f"{address}/32", "port_least": least, "port_most": most, "earliest": question.earliest,
              "latest": question.latest, "most": CANDIDATES_MAX + 1}  # fmt: skip
    blocks = [_of_block(row, question) for row in session.execute(text(BLOCKS), values).mappings()]
    ruled = [one for rule in _rules(session, question, address) for one in _of_rule(rule, question, address)]
    unknown = [one for one in blocks if one.session_id is None and one.login is None and one.inside]
    holders = _holders(session, question, {str(one.inside) for one in [*unknown, *ruled]})
    found = [one for one in blocks if one not in unknown]
    for block in unknown:
        found += _held(block, holders, question) or [replace(block, notes=block.notes | {Note.INSIDE_UNKNOWN})]
    for block in ruled:  # a rule has blocks for inside addresses that nobody had
        found += _held(block, holders, question)
    return found


def _of_block(row: RowMapping, question: Question) -> Candidate:
    return Candidate(
        How.PORT_BLOCK, str(row["outside"]), row["port_first"], row["port_last"],
        str(row["inside"] or row["framed_ipv4"] or "") or None, row["started_at"], row["ended_at"], row["end_kind"],
        row["heard_at"], row["service_id"], row["login"], row["reporter"], row["session_id"], row["acct_session_id"],
        row["calling_station_id"], _notes(row, question),
    )  # fmt: skip


def _of_rule(rule: NatRule, question: Question, address: IPv4Address) -> Iterator[Candidate]:
    """The blocks that a rule has for the address, or for its port where that is known."""
    nat = rule_of(rule)
    inside = None if question.port is None else nat.inside_of(address, question.port)
    for one in nat.insides_of(address) if question.port is None else [inside]:
        block = None if one is None else nat.block_of(one)
        if block is not None:
            yield Candidate(
                How.NAT_RULE, f"{address}/32", block.port_first, block.port_last, f"{one}/32", rule.valid_from,
                rule.valid_until, "changed", None, None, None, rule.name,
            )  # fmt: skip


def _holders(session: Session, question: Question, insides: Collection[str]) -> dict[str, list[RowMapping]]:
    """By inside address: the sessions that had it."""
    holders: dict[str, list[RowMapping]] = {}
    for row in _uses(session, sorted(insides), question.earliest, question.latest) if insides else []:
        holders.setdefault(str(row["address"]), []).append(row)
    return holders


def _held(block: Candidate, holders: dict[str, list[RowMapping]], question: Question) -> list[Candidate]:
    """The sessions that had the block's inside address while the block was held."""
    found = []
    for row in holders.get(str(block.inside), []):
        ends = [end for end in (block.ended_at, row["ended_at"]) if end is not None]
        started_at, ended_at = max(block.started_at, row["started_at"]), min(ends, default=None)
        if ended_at is not None and ended_at < max(started_at, question.earliest):
            continue
        end_kind = block.end_kind if block.ended_at is not None and ended_at == block.ended_at else row["end_kind"]
        both = dict(row) | {"started_at": started_at, "ended_at": ended_at, "end_kind": end_kind}
        found.append(
            replace(
                block, started_at=started_at, ended_at=ended_at, end_kind=end_kind, heard_at=row["heard_at"],
                service_id=row["service_id"], login=row["login"], session_id=row["session_id"],
                acct_session_id=row["acct_session_id"], calling_station_id=row["calling_station_id"],
                notes=_notes(both, question) | (block.notes & {Note.START_UNKNOWN}),
            )
        )  # fmt: skip
    return found


def _rules(session: Session, question: Question, address: IPv4Address) -> Sequence[NatRule]:
    wanted = select(NatRule).where(
        NatRule.outside_first <= f"{address}/32",
        NatRule.outside_last >= f"{address}/32",
        NatRule.valid_from <= question.latest,
        or_(NatRule.valid_until.is_(None), NatRule.valid_until >= question.earliest),
    )
    return session.scalars(wanted.order_by(NatRule.id)).all()


def rule_of(rule: NatRule) -> DeterministicNat:
    inside_first, inside_last, outside_first, outside_last = (
        IPv4Address(str(value).partition("/")[0])
        for value in (rule.inside_first, rule.inside_last, rule.outside_first, rule.outside_last)
    )
    return DeterministicNat(
        inside_first, inside_last, outside_first, outside_last, rule.ports_per_subscriber, rule.first_port,
        rule.last_port, NatOrder(rule.order),
    )  # fmt: skip

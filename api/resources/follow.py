"""Other billing systems that are followed: the sources, what they say, and which contracts are under their word."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import (
    Db,
    Given,
    IfMatch,
    Paged,
    Who,
    check_version,
    list_page,
    make_cursor,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.resources.billing_runs import ChangeOut, change_view
from api.resources.dunning import billing_of
from api.schemas import Flag, Input, Name, Number, Output, PageOf, Plain, Ref, Text
from billing_hooks import policies
from billing_hooks.days import Calendar
from billing_hooks.follow import differences, pushing, reader, sources, switching
from billing_hooks.follow.base import Word, make_word
from billing_hooks.follow.differences import Difference, Kind
from billing_hooks.follow.models import CutCalendar, FollowedContract, FollowSource, Mode
from core import parties
from core.access import HoldEffect

source_routes = APIRouter(prefix="/follow-sources", tags=["follow-sources"])
follow_routes = APIRouter(tags=["follow"])

#: A query may be long.
Setting = Annotated[str, StringConstraints(max_length=10_000), Plain]
Settings = Annotated[dict[Name, Setting], Field(max_length=30)]
Credentials = Annotated[dict[Name, Annotated[str, StringConstraints(max_length=2000), Plain]], Field(max_length=5)]
EverySeconds = Annotated[int, Field(ge=sources.EVERY_S_MIN, le=sources.EVERY_S_MAX), Number]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class SourceIn(Input):
    """`kind`: ixc, sgp, sql, csv, or push for one that tells us. It is dry until its mode is changed."""

    kind: Name
    name: Name
    settings: Annotated[Settings, Field(default_factory=dict)]
    credentials: Annotated[Credentials, Field(default_factory=dict)]
    every_s: EverySeconds | None = None


class SourcePatch(Input):
    """Settings and credentials are given whole. `calendar` erp: its restrictions begin on any day and hour."""

    name: Name = ""
    enabled: Flag = True
    mode: Mode = Mode.DRY
    calendar: CutCalendar = CutCalendar.POLICY
    every_s: EverySeconds | None = None
    settings: Annotated[Settings, Field(default_factory=dict)]
    credentials: Annotated[Credentials, Field(default_factory=dict)]


class SourceOut(Output):
    """`error`: of the last attempt to read. `alarm`: while one is there, no run restricts by itself. `stopped`: why
    what it says was not done. `malformed`: rows of the last reading that cannot be understood."""

    id: str
    kind: str
    name: str
    settings: dict[str, str]
    has_credentials: bool
    enabled: bool
    mode: Mode
    calendar: CutCalendar
    every_s: int | None
    read_at: datetime | None
    error: str | None
    error_pt: str | None
    alarm: str | None
    alarm_pt: str | None
    stopped: str | None
    stopped_pt: str | None
    malformed: dict[str, Any]
    contracts_following: int
    version: int


class DifferenceOut(Output):
    kind: Kind
    key: str | None
    contract_ids: list[str]
    customer: str
    reason: str
    reason_pt: str
    follows: bool


class DifferencesOut(Output):
    """`counts`: of each kind, in all. `read_at`: when the source said so."""

    read_at: datetime | None
    counts: dict[Kind, int]
    items: list[DifferenceOut]
    next_cursor: str | None


class StandingIn(Input):
    """`standing` null: full access. By `logins`, `customer_ref` (our customer's external_ref) or `document` the
    contract is found."""

    key: Key
    standing: HoldEffect | None
    by_hand: Flag = False
    reason: Text | None = None
    name: Text | None = None
    document: Text | None = None
    customer_ref: Text | None = None
    logins: Annotated[list[Name], Field(default_factory=list, max_length=20)]


class StandingsIn(Input):
    subscribers: Annotated[list[StandingIn], Field(min_length=1, max_length=1000)]


class ToldOut(Output):
    changed: int


class MatchIn(Input):
    """`contract_id` null: it is looked for again."""

    key: Key
    contract_id: Ref | None


class MatchOut(Output):
    key: str
    contract_id: str | None
    matched_by: str | None


class SwitchIn(Input):
    """`follow` false: back under our own policy. Without `contract_ids` all that are matched, or all that follow.
    `dry_run`: only say what it would do to holds."""

    follow: Flag
    contract_ids: Annotated[list[Ref], Field(max_length=10_000)] | None = None
    dry_run: Flag = True


class SwitchOut(Output):
    """`changes`: what follows from it. What is given back is so at once; restrictions come by a run, which asks a
    person where they are many."""

    dry_run: bool
    contracts: int
    changes: list[ChangeOut]


class FollowOut(Output):
    """Whose word a contract is under: null is our own policy. `otherwise`: what ending it would do to its holds."""

    contract_id: str
    source_id: str | None
    effect: HoldEffect | None
    by_hand: bool
    reason: str | None
    since: datetime | None
    followed_since: datetime | None
    followed_by: str | None
    otherwise: ChangeOut | None


class FollowIn(Input):
    source_id: Ref | None
    dry_run: Flag = False


@source_routes.get("")
def list_sources(session: Db, _: Who, paged: Paged) -> PageOf[SourceOut]:
    rows, cursor = list_page(session, select(FollowSource), FollowSource.id, paged)
    return PageOf(items=[_source_view(session, row) for row in rows], next_cursor=cursor)


@source_routes.post("", status_code=201, response_model=SourceOut)
def create_source(body: SourceIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    source = sources.create_source(
        session, given.keyring, body.kind, body.name, caller.actor, settings=body.settings,
        credentials=body.credentials, every_s=body.every_s,
    )  # fmt: skip
    return once.created(_source_view(session, source))


@source_routes.get("/{source_id}")
def get_source(source_id: str, session: Db, _: Who, response: Response) -> SourceOut:
    return tagged(response, _source_view(session, sources.get_source(session, _source_id(source_id))))


@source_routes.patch("/{source_id}")
def update_source(
    source_id: str, body: SourcePatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> SourceOut:  # fmt: skip
    source = sources.get_source(session, _source_id(source_id), lock=True)
    check_version(source.version, if_match)
    sources.update_source(session, given.keyring, source, body.model_dump(exclude_unset=True), caller.actor)
    return tagged(response, _source_view(session, source))


@follow_routes.post("/follow-sources/{source_id}/read", status_code=202)
def read_now(source_id: str, session: Db, _: Who, given: Given) -> SourceOut:
    """It is read within seconds, whatever its pace."""
    source = sources.get_source(session, _source_id(source_id), lock=True)
    reader.owe_now(session, source, given.clock())
    return _source_view(session, source)


@follow_routes.get("/follow-sources/{source_id}/differences")
def list_differences(
    source_id: str, session: Db, _: Who, given: Given, paged: Paged, kind: Kind | None = None
) -> DifferencesOut:
    """The dry run, by what was read last: who would be restricted or given back, and who is only here or there."""
    source = sources.get_source(session, _source_id(source_id))
    found = differences.compare(session, source, given.country, given.zone, given.clock()).stored()
    counts = {one: sum(difference.kind is one for difference in found) for one in Kind}
    wanted = [difference for difference in found if kind in {None, difference.kind}]
    until = paged.after + paged.limit
    return DifferencesOut(
        read_at=source.read_at, counts=counts, items=[_difference_view(one) for one in wanted[paged.after : until]],
        next_cursor=make_cursor(until) if until < len(wanted) else None,
    )  # fmt: skip


@follow_routes.put("/follow-sources/{source_id}/standings")
def push_standings(source_id: str, body: StandingsIn, session: Db, _: Who, given: Given) -> ToldOut:
    """What a system that pushes says of these subscribers, until it says otherwise. The same again changes nothing."""
    said = [_word(one) for one in body.subscribers]
    return ToldOut(changed=pushing.push(session, billing_of(given), _source_id(source_id), said, given.clock()))


@follow_routes.put("/follow-sources/{source_id}/matches")
def set_match(source_id: str, body: MatchIn, session: Db, caller: Who) -> MatchOut:
    """A person says which contract a subscriber there is."""
    contract_id = reference(body.contract_id, "contract_id")
    row = switching.set_match(session, _source_id(source_id), body.key, contract_id, caller.actor)
    return MatchOut(key=row.key, contract_id=_text(row.contract_id), matched_by=row.matched_by)


@follow_routes.post("/follow-sources/{source_id}/switch")
def switch(source_id: str, body: SwitchIn, session: Db, caller: Who, given: Given) -> SwitchOut:
    """Put contracts under its word, or back under our own policy; first as a dry run, which is the default."""
    source = sources.get_source(session, _source_id(source_id))
    contract_ids = _contract_ids(session, source.id, body)
    target = source if body.follow else None
    changes = switching.preview(session, target, contract_ids, _calendar(session, given), given.clock())
    if not body.dry_run and body.follow:
        contract_ids = switching.follow(session, source, contract_ids, caller.actor, given.clock())
        reader.restrict(session, billing_of(given), source)
    elif not body.dry_run:
        contract_ids = switching.release(session, contract_ids, caller.actor)
    shown = [change_view(change) for change in changes]
    return SwitchOut(dry_run=body.dry_run, contracts=len(contract_ids), changes=shown)


@follow_routes.get("/contracts/{contract_id}/follow")
def get_follow(contract_id: str, session: Db, _: Who, given: Given) -> FollowOut:
    return _follow_view(session, parse_id(contract_id, "contract"), given)


@follow_routes.put("/contracts/{contract_id}/follow")
def set_follow(contract_id: str, body: FollowIn, session: Db, caller: Who, given: Given) -> SwitchOut:
    """Under another system's word, or with null back under our own policy."""
    found = parse_id(contract_id, "contract")
    parties.get_contract(session, found)
    source_id = reference(body.source_id, "source_id")
    source = sources.get_source(session, source_id) if source_id is not None else None
    changes = switching.preview(session, source, [found], _calendar(session, given), given.clock())
    switched = [found]
    if not body.dry_run and source is not None:
        switched = switching.follow(session, source, [found], caller.actor, given.clock())
        reader.restrict(session, billing_of(given), source)
    elif not body.dry_run:
        switched = switching.release(session, [found], caller.actor)
    shown = [change_view(change) for change in changes]
    return SwitchOut(dry_run=body.dry_run, contracts=len(switched), changes=shown)


def _contract_ids(session: Session, source_id: int, body: SwitchIn) -> list[int]:
    if body.contract_ids is not None:
        return sorted({reference(one, "contract_ids") or 0 for one in body.contract_ids})
    if body.follow:
        return switching.all_matched(session, source_id)
    return switching.all_following(session, source_id)


def _calendar(session: Session, given: Given) -> Calendar:
    return Calendar(policies.load_holidays(session, given.country), given.zone)


def _source_id(text: str) -> int:
    return parse_id(text, "follow source")


def _text(row_id: int | None) -> str | None:
    return None if row_id is None else str(row_id)


def _word(one: StandingIn) -> Word:
    return make_word(
        one.key, (one.standing, one.by_hand), reason=one.reason or "", name=one.name or "",
        document=one.document or "", customer_ref=one.customer_ref or "", logins=one.logins,
    )  # fmt: skip


def _source_view(session: Session, row: FollowSource) -> SourceOut:
    return SourceOut(
        id=str(row.id), kind=row.kind, name=row.name, settings=row.settings,
        has_credentials=row.credentials_encrypted is not None, enabled=row.enabled, mode=row.mode,
        calendar=row.calendar, every_s=row.every_s, read_at=row.read_at, error=row.error, error_pt=row.error_pt,
        alarm=row.alarm, alarm_pt=row.alarm_pt, stopped=row.stopped, stopped_pt=row.stopped_pt,
        malformed=row.malformed, version=row.version,
        contracts_following=sources.count_following(session, row.id),
    )  # fmt: skip


def _difference_view(one: Difference) -> DifferenceOut:
    return DifferenceOut(
        kind=one.kind, key=one.key, contract_ids=[str(contract_id) for contract_id in one.contract_ids],
        customer=one.customer, reason=one.reason, reason_pt=one.reason_pt, follows=one.follows,
    )  # fmt: skip


def _follow_view(session: Session, contract_id: int, given: Given) -> FollowOut:
    parties.get_contract(session, contract_id)
    row = session.get(FollowedContract, contract_id)
    changes = switching.preview(session, None, [contract_id], _calendar(session, given), given.clock()) if row else []
    return FollowOut(
        contract_id=str(contract_id), source_id=_text(row.source_id if row else None),
        effect=row.effect if row else None, by_hand=bool(row and row.by_hand), reason=row.reason if row else None,
        since=row.since if row else None, followed_since=row.followed_since if row else None,
        followed_by=row.followed_by if row else None, otherwise=change_view(changes[0]) if changes else None,
    )  # fmt: skip

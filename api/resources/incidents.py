"""Incidents: what is broken, whom that touches, and that a person confirmed it. Who is inside is spared by billing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field, StringConstraints
from sqlalchemy import func, or_, select
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
from api.schemas import Input, Output, PageOf, Plain, Ref, Text
from core import incidents
from core.incident_scope import PARTS_MAX, Line, Place, Scope, from_body
from core.models.incident import Incident
from core.models.service import Service

incident_routes = APIRouter(prefix="/incidents", tags=["incidents"])

Refs = Annotated[list[Ref], Field(max_length=PARTS_MAX)]
Port = Annotated[str, StringConstraints(min_length=1, max_length=253), Plain]


class LineIn(Input):
    """`port`: how the NAS-Port-Id of its subscribers begins, such as `olt1 xpon 0/3`."""

    nas_id: Ref
    port: Port


class PlaceIn(Input):
    """All that is given has to hold together. `district` needs the city's `ibge_code`; `postal_code`: first digits."""

    state: Annotated[str, StringConstraints(pattern="^[A-Z]{2,3}$")] | None = None
    ibge_code: Annotated[str, StringConstraints(pattern="^[0-9]{7}$")] | None = None
    district: Text | None = None
    postal_code: Annotated[str, StringConstraints(pattern="^[0-9]{3,8}$")] | None = None


class ScopeIn(Input):
    """Touched is who is in any part: whose session is or last was at a NAS or line, or who is locked to the NAS; whose
    service is named, is on a plan, or at a place."""

    nas_ids: Refs = Field(default_factory=list)
    lines: Annotated[list[LineIn], Field(max_length=PARTS_MAX)] = Field(default_factory=list)
    service_ids: Refs = Field(default_factory=list)
    plan_ids: Refs = Field(default_factory=list)
    places: Annotated[list[PlaceIn], Field(max_length=PARTS_MAX)] = Field(default_factory=list)


class IncidentIn(Input):
    """`description`: what is broken, in words. `expires_at`: days ahead at most; it can be extended."""

    title: Text
    description: Text
    scope: ScopeIn = Field(default_factory=ScopeIn)
    expires_at: AwareDatetime


class IncidentPatch(Input):
    """A new scope spares whom it touches once it is confirmed; until then the one before does."""

    title: Text = ""
    description: Text = ""
    scope: ScopeIn = Field(default_factory=ScopeIn)
    expires_at: AwareDatetime = datetime.max.replace(tzinfo=UTC)


class ScopeOut(Output):
    nas_ids: list[str]
    lines: list[LineIn]
    service_ids: list[str]
    plan_ids: list[str]
    places: list[PlaceIn]


class IncidentOut(Output):
    """`open`: neither closed nor expired. `confirmed`: its scope is the one that a person confirmed."""

    id: str
    title: str
    description: str
    open: bool
    confirmed: bool
    scope: ScopeOut
    confirmed_scope: ScopeOut | None
    opened_at: datetime
    opened_by: str
    confirmed_at: datetime | None
    confirmed_by: str | None
    expires_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    version: int


class TouchedOut(Output):
    service_id: str
    contract_id: str
    login: str | None
    plan_id: str


class TouchedPage(PageOf[TouchedOut]):
    """`services` and `contracts` count all of them."""

    services: int
    contracts: int


@incident_routes.get("")
def list_incidents(
    session: Db, _: Who, paged: Paged, given: Given, open: bool | None = None  # noqa: A002
) -> PageOf[IncidentOut]:  # fmt: skip
    """`open=true`: neither closed nor expired."""
    query, now = select(Incident), given.clock()
    if open is not None:
        is_over = or_(Incident.closed_at.is_not(None), Incident.expires_at <= now)
        query = query.where(incidents.is_open(now) if open else is_over)
    rows, cursor = list_page(session, query, Incident.id, paged)
    return PageOf(items=[_view(row, now) for row in rows], next_cursor=cursor)


@incident_routes.post("", status_code=201, response_model=IncidentOut)
def open_incident(body: IncidentIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """It spares nobody until its scope is confirmed."""
    values = {**body.model_dump(exclude={"scope"}), "scope": _scope(body.scope)}
    return once.created(_view(incidents.open_incident(session, values, caller.actor, given.clock()), given.clock()))


@incident_routes.get("/{incident_id}")
def get_incident(incident_id: str, session: Db, _: Who, given: Given, response: Response) -> IncidentOut:
    return tagged(response, _view(_incident(session, incident_id), given.clock()))


@incident_routes.patch("/{incident_id}")
def update_incident(
    incident_id: str, body: IncidentPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> IncidentOut:  # fmt: skip
    """Its words, its scope, or when it expires."""
    incident = _locked(session, incident_id, if_match)
    values = body.model_dump(exclude_unset=True)
    if "scope" in values:
        values["scope"] = _scope(body.scope)
    incidents.update_incident(session, incident, values, caller.actor, given.clock())
    return tagged(response, _view(incident, given.clock()))


@incident_routes.get("/{incident_id}/scope")
def show_scope(incident_id: str, session: Db, _: Who, paged: Paged) -> TouchedPage:
    """Whom it touches by its scope, confirmed or not, by what is known of each service now."""
    touched = incidents.touched_by(from_body(_incident(session, incident_id).scope))
    counts = select(func.count(), func.count(Service.contract_id.distinct())).where(touched)
    services, contracts = session.execute(counts).one()
    columns = select(Service.id, Service.contract_id, Service.login, Service.plan_id)
    rows = session.execute(
        columns.where(touched, Service.id > paged.after).order_by(Service.id).limit(paged.limit + 1)
    ).all()
    shown = rows[: paged.limit]
    items = [
        TouchedOut(service_id=str(one.id), contract_id=str(one.contract_id), login=one.login, plan_id=str(one.plan_id))
        for one in shown
    ]
    cursor = make_cursor(shown[-1].id) if len(rows) > len(shown) else None
    return TouchedPage(items=items, next_cursor=cursor, services=services, contracts=contracts)


@incident_routes.post("/{incident_id}/confirm")
def confirm_scope(
    incident_id: str, session: Db, caller: Who, given: Given, response: Response, if_match: IfMatch = None
) -> IncidentOut:
    """You have looked at whom it touches: they are spared from now on. If-Match holds you to what you looked at."""
    incident = _locked(session, incident_id, if_match)
    incidents.confirm_scope(session, incident, caller.actor, given.clock())
    return tagged(response, _view(incident, given.clock()))


@incident_routes.post("/{incident_id}/close")
def close_incident(incident_id: str, session: Db, caller: Who, given: Given, response: Response) -> IncidentOut:
    """It is mended: what was put off comes with the next run."""
    incident = _locked(session, incident_id, None)
    incidents.close_incident(session, incident, caller.actor, given.clock())
    return tagged(response, _view(incident, given.clock()))


def _incident(session: Session, incident_id: str) -> Incident:
    return incidents.get_incident(session, parse_id(incident_id, "incident"))


def _locked(session: Session, incident_id: str, if_match: str | None) -> Incident:
    incident = incidents.get_incident(session, parse_id(incident_id, "incident"), lock=True)
    check_version(incident.version, if_match)
    return incident


def _scope(body: ScopeIn) -> Scope:
    return Scope(
        nas_ids=_ids(body.nas_ids, "nas_ids"),
        lines=tuple(Line(_id(one.nas_id, f"lines.{number}.nas_id"), one.port) for number, one in enumerate(body.lines)),
        service_ids=_ids(body.service_ids, "service_ids"),
        plan_ids=_ids(body.plan_ids, "plan_ids"),
        places=tuple(Place(**one.model_dump()) for one in body.places),
    )


def _ids(values: list[str], name: str) -> tuple[int, ...]:
    return tuple(_id(value, f"{name}.{number}") for number, value in enumerate(values))


def _id(value: str, name: str) -> int:
    found = reference(value, f"scope.{name}")
    assert found is not None  # noqa: S101  (only None gives None)
    return found


def _scope_view(body: dict[str, Any]) -> ScopeOut:
    scope = from_body(body)
    return ScopeOut(
        nas_ids=[str(one) for one in scope.nas_ids],
        lines=[LineIn(nas_id=str(line.nas_id), port=line.port) for line in scope.lines],
        service_ids=[str(one) for one in scope.service_ids],
        plan_ids=[str(one) for one in scope.plan_ids],
        places=[PlaceIn.model_validate(place, from_attributes=True) for place in scope.places],
    )


def _view(row: Incident, now: datetime) -> IncidentOut:
    return IncidentOut(
        id=str(row.id), title=row.title, description=row.description,
        open=row.closed_at is None and row.expires_at > now, confirmed=row.confirmed_scope == row.scope,
        scope=_scope_view(row.scope),
        confirmed_scope=None if row.confirmed_scope is None else _scope_view(row.confirmed_scope),
        opened_at=row.opened_at, opened_by=row.opened_by, confirmed_at=row.confirmed_at,
        confirmed_by=row.confirmed_by, expires_at=row.expires_at, closed_at=row.closed_at, closed_by=row.closed_by,
        version=row.version,
    )  # fmt: skip

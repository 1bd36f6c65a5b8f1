"""Incidents of the network: opened, their scope confirmed by a person, and over when closed or expired.

Only a confirmed scope spares anybody, and it goes on doing so while another is being thought of: who changes the scope
changes nothing for subscribers until a person has confirmed the new one. An incident always expires, days ahead at
most, so that one which is forgotten does not spare for ever; it tells before that, and every day while it is open.

Whom it touches is found by what is known of each service now: at which NAS it is, or was last; its plan; its address.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, func, literal, or_, select, union_all
from sqlalchemy.orm import Session as DatabaseSession

from core import audit, events
from core.audit import Actor
from core.edits import apply_changes
from core.errors import Conflict, InvalidInput, NotFound
from core.incident_scope import Place, Scope, from_body, to_body
from core.models.incident import Incident
from core.models.network import Nas, Session, SessionKind
from core.models.service import Plan, Service, ServiceStatus

#: How far ahead it may expire; it can be extended as often as a person does so.
LASTS_MAX: Final = timedelta(days=7)
#: It tells that it expires so long before.
TELLS_BEFORE: Final = timedelta(hours=2)
#: It tells that it is still open, so often.
LONG_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outage:
    """An open incident with a confirmed scope, as others need to know it."""

    incident_id: int
    title: str
    opened_at: datetime
    expires_at: datetime
    scope: Scope


def open_incident(session: DatabaseSession, values: Mapping[str, Any], actor: Actor, now: datetime) -> Incident:
    """From `title`, `description`, `scope` (a Scope) and `expires_at`. It spares nobody before it is confirmed."""
    _check_expiry(values["expires_at"], now)
    _check_exists(session, values["scope"])
    incident = Incident(
        **{**values, "scope": to_body(values["scope"])}, opened_at=now, opened_by=actor.name
    )  # fmt: skip
    session.add(incident)
    session.flush()
    audit.record(session, actor, "open", "incident", incident.id, {"title": incident.title, "scope": incident.scope})
    events.record(session, "incident.opened", "incident", incident.id, title=incident.title)
    return incident


def get_incident(session: DatabaseSession, incident_id: int, *, lock: bool = False) -> Incident:
    incident = session.get(Incident, incident_id, with_for_update=lock)
    if incident is None:
        raise NotFound("incident", incident_id)
    return incident


def update_incident(
    session: DatabaseSession, incident: Incident, values: Mapping[str, Any], actor: Actor, now: datetime
) -> Incident:
    """Its words, its scope, or when it expires. Raises Conflict for one that is closed, InvalidInput."""
    _check_not_closed(incident)
    plain = dict(values)
    if "expires_at" in plain:
        _check_expiry(plain["expires_at"], now)
        incident.expiry_told = incident.expired_told = False
    if "scope" in plain:
        _check_exists(session, plain["scope"])
        plain["scope"] = to_body(plain["scope"])
    changed = apply_changes(incident, plain)
    session.flush()
    if changed:
        audit.record(session, actor, "update", "incident", incident.id, changed)
        events.record(session, "incident.changed", "incident", incident.id, changed=sorted(changed))
    return incident


def confirm_scope(session: DatabaseSession, incident: Incident, actor: Actor, now: datetime) -> Incident:
    """A person has looked at whom it touches. Raises Conflict where it touches nobody by its scope, or is over."""
    _check_not_closed(incident)
    if incident.expires_at <= now:
        raise Conflict("the incident has expired; extend it first", field="expires_at")
    if from_body(incident.scope).is_empty:
        raise Conflict("the scope names nothing that is touched", field="scope")
    if incident.confirmed_scope != incident.scope:
        incident.confirmed_scope, incident.confirmed_at, incident.confirmed_by = incident.scope, now, actor.name
        session.flush()
        audit.record(session, actor, "confirm", "incident", incident.id, {"scope": incident.scope})
        events.record(session, "incident.confirmed", "incident", incident.id, title=incident.title)
    return incident


def close_incident(session: DatabaseSession, incident: Incident, actor: Actor, now: datetime) -> Incident:
    """It spares nobody any more; what was put off comes with the next run. One that is closed stays as it is."""
    if incident.closed_at is None:
        incident.closed_at, incident.closed_by = now, actor.name
        session.flush()
        audit.record(session, actor, "close", "incident", incident.id, {})
        events.record(session, "incident.closed", "incident", incident.id, title=incident.title)
    return incident


def is_open(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    return and_(Incident.closed_at.is_(None), Incident.expires_at > now)


def outages(session: DatabaseSession, now: datetime | ColumnElement[datetime]) -> list[Outage]:
    """Open incidents whose scope a person confirmed, the oldest first."""
    rows = session.execute(
        select(Incident.id, Incident.title, Incident.opened_at, Incident.expires_at, Incident.confirmed_scope)
        .where(is_open(now), Incident.confirmed_scope.is_not(None))
        .order_by(Incident.id)
    )
    return [
        Outage(incident_id, title, opened_at, expires_at, from_body(scope or {}))
        for incident_id, title, opened_at, expires_at, scope in rows
    ]


def contracts_inside(session: DatabaseSession, contract_ids: Collection[int], now: datetime) -> dict[int, Outage]:
    """Those of them with a service that an open incident touches, each with the oldest; in two statements."""
    found = outages(session, now)
    if not found:
        return {}
    by_id = {outage.incident_id: outage for outage in found}
    of_contracts = Service.contract_id.in_(contract_ids)
    inside = union_all(
        *(
            select(Service.contract_id, literal(outage.incident_id)).where(of_contracts, touched_by(outage.scope))
            for outage in found
        )
    )
    return {
        contract_id: by_id[incident_id] for contract_id, incident_id in sorted(session.execute(inside), reverse=True)
    }


def outages_of_service(session: DatabaseSession, service_id: int) -> list[Outage]:
    """Those that touch it by the database's clock, the oldest first."""
    return [
        outage
        for outage in outages(session, func.now())
        if session.scalar(select(Service.id).where(Service.id == service_id, touched_by(outage.scope))) is not None
    ]


def touched_by(scope: Scope) -> ColumnElement[bool]:
    """A service's condition. What is cancelled is touched by nothing."""
    parts: list[ColumnElement[bool]] = [false()]
    if scope.service_ids:
        parts.append(Service.id.in_(scope.service_ids))
    if scope.plan_ids:
        parts.append(Service.plan_id.in_(scope.plan_ids))
    if scope.nas_ids or scope.lines:
        parts += _seen_there(scope)
    parts += [_is_at(place) for place in scope.places]
    return and_(Service.status != ServiceStatus.CANCELLED, or_(*parts))


def remind(session: DatabaseSession, now: datetime) -> int:
    """Tell of incidents that expire soon, have expired, or are open for long: each once, and the last once a day."""
    told = 0
    due = select(Incident).where(
        Incident.closed_at.is_(None), or_(Incident.expires_at > now, Incident.expired_told.is_(False))
    )
    for incident in session.scalars(due.order_by(Incident.id).with_for_update(skip_locked=True)).all():
        for what in _reminders(incident, now):
            events.record(
                session, f"incident.{what}", "incident", incident.id, title=incident.title,
                opened_at=incident.opened_at.isoformat(), expires_at=incident.expires_at.isoformat(),
                confirmed=incident.confirmed_scope == incident.scope,
            )  # fmt: skip
            told += 1
    session.flush()
    return told


def _reminders(incident: Incident, now: datetime) -> Iterable[str]:
    """What is to be told of it now, and is noted as told."""
    if incident.expires_at <= now:
        incident.expired_told = True
        yield "expired"
        return
    if incident.expires_at <= now + TELLS_BEFORE and not incident.expiry_told:
        incident.expiry_told = True
        yield "expires_soon"
    if (incident.long_told_at or incident.opened_at) <= now - LONG_EVERY:
        incident.long_told_at = now
        yield "open_long"


def _seen_there(scope: Scope) -> Sequence[ColumnElement[bool]]:
    """It is online there, was there when it was online last, or may be there only."""
    there = or_(
        Session.nas_id.in_(scope.nas_ids),
        *(
            and_(Session.nas_id == line.nas_id, Session.nas_port_id.startswith(line.port, autoescape=True))
            for line in scope.lines
        ),
    )
    of_service = (Session.service_id == Service.id, Session.kind == SessionKind.LINE)
    last = select(Session.id).where(*of_service).order_by(Session.id.desc()).limit(1).correlate(Service)
    online = select(Session.id).where(*of_service, Session.stopped_at.is_(None), there)
    was_last = select(Session.id).where(Session.id == last.scalar_subquery(), there)
    locked = [Service.nas_lock.contains([str(nas_id)]) for nas_id in scope.nas_ids]
    return [online.correlate(Service).exists(), was_last.correlate(Service).exists(), *locked]


def _is_at(place: Place) -> ColumnElement[bool]:
    address, conditions = Service.address, []
    if place.state is not None:
        conditions.append(func.upper(address["state"].astext) == place.state.upper())
    if place.ibge_code is not None:
        conditions.append(address["ibge_code"].astext == place.ibge_code)
    if place.district is not None:
        conditions.append(func.lower(func.btrim(address["district"].astext)) == place.district.strip().lower())
    if place.postal_code is not None:
        digits = func.regexp_replace(address["postal_code"].astext, "[^0-9]", "", "g")
        conditions.append(digits.startswith(place.postal_code))
    return and_(*conditions)


def _check_expiry(expires_at: datetime, now: datetime) -> None:
    if not now < expires_at <= now + LASTS_MAX:
        raise InvalidInput(f"lies in the past, or more than {LASTS_MAX.days} days ahead", field="expires_at")


def _check_not_closed(incident: Incident) -> None:
    if incident.closed_at is not None:
        raise Conflict(f"incident {incident.id} is closed; open another one")


def _check_exists(session: DatabaseSession, scope: Scope) -> None:
    """A typing error would else spare nobody, or somebody else."""
    nas_ids = {*scope.nas_ids, *(line.nas_id for line in scope.lines)}
    for name, column, wanted in (
        ("nas_ids", Nas.id, nas_ids),
        ("service_ids", Service.id, set(scope.service_ids)),
        ("plan_ids", Plan.id, set(scope.plan_ids)),
    ):
        missing = wanted - set(session.scalars(select(column).where(column.in_(wanted)))) if wanted else set()
        if missing:
            raise InvalidInput(f"there is no {min(missing)}", field=f"scope.{name}")

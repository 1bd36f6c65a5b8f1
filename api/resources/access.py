"""Services, their holds, and sessions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import Select, not_, select

from aaa.liveness import addressee_of
from api import schemas
from api.context import (
    Db,
    Filter,
    Given,
    IfMatch,
    Paged,
    RefFilter,
    Who,
    check_version,
    list_page,
    matching,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.resources.views import hold_view, log_reveal, service_view, service_views, session_views
from core import holds, outbox, policies, services, sessions, topics
from core.errors import Conflict, NotFound
from core.logins import check_login
from core.models.network import Session
from core.models.service import Hold, Service, ServiceKind, ServiceStatus
from provisioning.routeros.watching import watch_at

service_routes = APIRouter(prefix="/services", tags=["services"])
hold_routes = APIRouter(prefix="/services/{service_id}/holds", tags=["holds"])
session_routes = APIRouter(prefix="/sessions", tags=["sessions"])


@service_routes.get("")
def list_services(
    session: Db, caller: Who, paged: Paged, login: Filter = None, contract_id: RefFilter = None,
    plan_id: RefFilter = None, status: ServiceStatus | None = None, kind: ServiceKind | None = None,
) -> schemas.PageOf[schemas.ServiceOut]:  # fmt: skip
    query = matching(
        select(Service),
        (Service.login, None if login is None else check_login(login)),
        (Service.contract_id, reference(contract_id, "contract_id")),
        (Service.plan_id, reference(plan_id, "plan_id")),
        (Service.status, status),
        (Service.kind, kind),
    )
    rows, cursor = list_page(session, query, Service.id, paged)
    log_reveal(session, caller.role, caller.actor, "service", [row.id for row in rows])
    return schemas.PageOf(items=service_views(session, rows, caller.role), next_cursor=cursor)


@service_routes.post("", status_code=201, response_model=schemas.ServiceOut)
def create_service(body: schemas.ServiceIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    values = _service_values(body.model_dump(exclude_none=True))
    service = services.create_service(session, given.keyring, values, caller.actor)
    return once.created(service_view(session, service, caller.role))


@service_routes.get("/{service_id}")
def get_service(service_id: str, session: Db, caller: Who, response: Response) -> schemas.ServiceOut:
    service = _service(session, service_id)
    log_reveal(session, caller.role, caller.actor, "service", [service.id])
    return tagged(response, service_view(session, service, caller.role))


@service_routes.patch("/{service_id}")
def update_service(
    service_id: str, body: schemas.ServicePatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> schemas.ServiceOut:  # fmt: skip
    service = _service(session, service_id)
    check_version(service.version, if_match)
    values = _service_values(body.model_dump(exclude_unset=True))
    if service.status is ServiceStatus.PENDING and "status" in values:
        values.setdefault("price_from", given.today())
    services.update_service(session, given.keyring, service, values, caller.actor)
    log_reveal(session, caller.role, caller.actor, "service", [service.id])
    return tagged(response, service_view(session, service, caller.role))


@service_routes.delete("/{service_id}")
def cancel_service(service_id: str, session: Db, caller: Who, given: Given) -> schemas.ServiceOut:
    """The end of it: its login is free again, who is online with it is disconnected, its holds are lifted."""
    service = services.cancel_service(session, _service(session, service_id), caller.actor, given.clock())
    return service_view(session, service, caller.role)


@service_routes.post("/{service_id}/disconnect", status_code=202, response_model=schemas.Disconnecting)
def disconnect_service(service_id: str, session: Db, caller: Who, once: OnceOnly) -> Response:
    """Ends the live sessions of a service; the CPE logs in again."""
    live = sessions.active_of_service(session, _service(session, service_id).id)
    for one in live:
        _owe_disconnect(session, one.id, caller.actor.name)
    return once.created(schemas.Disconnecting(sessions=len(live)), 202)


@hold_routes.get("")
def list_holds(
    service_id: str, session: Db, _: Who, paged: Paged, live: bool = True
) -> schemas.PageOf[schemas.HoldOut]:
    """Those that restrict now, or with `live=false` those that did."""
    wanted = policies.live_hold() if live else not_(policies.live_hold())
    query = select(Hold).where(Hold.service_id == _service(session, service_id).id, wanted)
    rows, cursor = list_page(session, query, Hold.id, paged)
    return schemas.PageOf(items=[hold_view(row) for row in rows], next_cursor=cursor)


@hold_routes.post("", status_code=201, response_model=schemas.HoldOut)
def place_hold(
    service_id: str, body: schemas.HoldIn, session: Db, caller: Who, given: Given, once: OnceOnly
) -> Response:
    hold = holds.place_hold(
        session, parse_id(service_id, "service"), reason=body.reason, effect=body.effect, until=body.until,
        note=body.note, actor=caller.actor, now=given.clock(),
    )  # fmt: skip
    return once.created(hold_view(hold))


@hold_routes.delete("/{hold_id}")
def lift_hold(service_id: str, hold_id: str, session: Db, caller: Who, given: Given) -> schemas.HoldOut:
    hold = session.get(Hold, parse_id(hold_id, "hold"))
    if hold is None or hold.service_id != parse_id(service_id, "service"):
        raise NotFound("hold", hold_id[:40])
    return hold_view(holds.lift_hold(session, hold.id, actor=caller.actor, now=given.clock()))


@session_routes.get("")
def list_sessions(
    session: Db, _: Who, paged: Paged, active: bool | None = None, service_id: RefFilter = None,
    nas_id: RefFilter = None, acct_session_id: Filter = None, multi_session_id: Filter = None,
) -> schemas.PageOf[schemas.SessionOut]:  # fmt: skip
    query = matching(
        select(Session),
        (Session.service_id, reference(service_id, "service_id")),
        (Session.nas_id, reference(nas_id, "nas_id")),
        (Session.acct_session_id, acct_session_id),
        (Session.multi_session_id, multi_session_id),
    )
    if active is not None:
        query = query.where(Session.stopped_at.is_(None) if active else Session.stopped_at.is_not(None))
    return _sessions(session, query, paged)


@session_routes.get("/{session_id}")
def get_session(session_id: str, session: Db, _: Who) -> schemas.SessionOut:
    found = sessions.get_session(session, parse_id(session_id, "session"))
    return session_views(session, [found])[0]


@session_routes.get("/{session_id}/live")
def watch_session(session_id: str, session: Db, _: Who, given: Given) -> schemas.SeenOut:
    """What its router says of it now; only of a RouterOS box whose API may be used."""
    found = sessions.get_session(session, parse_id(session_id, "session"))
    nas = sessions.nas_of(session, found)
    addressee = addressee_of(found, nas, given.keyring) if nas is not None and found.stopped_at is None else None
    if addressee is None or addressee.routeros is None:
        raise Conflict("the session has ended, or its NAS has no RouterOS API that may be used", field="session_id")
    session.commit()  # nothing is held while the router is asked
    seen = watch_at(addressee.routeros, addressee, given.clock())
    if seen is None:
        raise NotFound("session at its router", session_id)
    return schemas.SeenOut(
        address=seen.address, uptime_seconds=None if seen.uptime is None else int(seen.uptime.total_seconds()),
        uploaded=seen.uploaded, downloaded=seen.downloaded, upload_bps=seen.upload_bps,
        download_bps=seen.download_bps, max_limit=seen.max_limit,
    )  # fmt: skip


@session_routes.post("/{session_id}/disconnect", status_code=202, response_model=schemas.Disconnecting)
def disconnect_session(session_id: str, session: Db, caller: Who, once: OnceOnly) -> Response:
    """Ends it, if it still lives; the CPE logs in again."""
    found = sessions.get_session(session, parse_id(session_id, "session"))
    live = found.stopped_at is None
    if live:
        _owe_disconnect(session, found.id, caller.actor.name)
    return once.created(schemas.Disconnecting(sessions=int(live)), 202)


def _sessions(session: Db, query: Select[Session], paged: Paged) -> schemas.PageOf[schemas.SessionOut]:
    rows, cursor = list_page(session, query, Session.id, paged)
    return schemas.PageOf(items=session_views(session, rows), next_cursor=cursor)


def _owe_disconnect(session: Db, session_id: int, who: str) -> None:
    outbox.enqueue(session, topics.SESSION_DISCONNECT, {"session_id": session_id, "reason": f"asked for by {who}"})


def _service(session: Db, service_id: str) -> Service:
    return services.get_service(session, parse_id(service_id, "service"))


def _service_values(values: dict[str, Any]) -> dict[str, Any]:
    for field in ("contract_id", "plan_id"):
        if field in values:
            values[field] = reference(values[field], field)
    if "address" in values:
        values["address"] = {key: value for key, value in values["address"].items() if value is not None}
    if "status" in values:
        values["status"] = ServiceStatus(values["status"])
    if "nas_id" in values:
        values["nas_lock"] = _references(_lock_values(values.pop("nas_id")), "nas_id")
    for field in ("mac_lock", "circuit_lock"):
        if field in values:
            values[field] = _lock_values(values[field])
    return values


def _lock_values(given: str | list[str] | None) -> list[str] | None:
    """As `core.locks` wants them."""
    if given is None or isinstance(given, list):
        return given
    return [] if given == "learn" else [given]


def _references(ids: list[str] | None, field: str) -> list[str] | None:
    return None if ids is None else [str(reference(one, field)) for one in ids]

"""Gathers the facts for an explanation of a service, a login, an address, a device or a NAS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.orm import Session as DatabaseSession

from core import holds, incidents, policies, services
from core.explain.attempts import refusal_findings
from core.explain.facts import (
    Attempt,
    Explanation,
    Facts,
    Finding,
    HoldFact,
    IncidentFact,
    LocksFact,
    NasFact,
    Sources,
    Verdict,
)
from core.explain.nas import diagnose_nas, stranger_findings
from core.explain.service import diagnose
from core.explain.verdict import conclude
from core.explain.voice import Voice
from core.locks import canonical_mac
from core.models.network import Nas, Session
from core.models.service import Plan, Service, ServiceStatus

SESSIONS_SHOWN = 5
SERVICES_SHOWN = 3


def explain_service(session: DatabaseSession, service: Service, voice: Voice, sources: Sources) -> Explanation:
    """Why this subscriber can connect, or cannot."""
    return diagnose(_facts(session, service, sources), voice)


def explain_login(session: DatabaseSession, login: str, voice: Voice, sources: Sources) -> Explanation:
    """The same for a login, which may be nobody's."""
    service = services.find_by_login(session, login)
    if service is not None:
        return explain_service(session, service, voice, sources)
    near = [f"“{one.login}”" for one in services.find_near_logins(session, login)]
    advice = voice.phrase("near_logins", logins=", ".join(near)) if near else voice.phrase("no_near_login")
    attempts = [one for one in sources.attempts(login, None) if one.login == login]
    findings = [
        voice.finding("login_unknown", login=login, advice=advice),
        *refusal_findings(attempts, _nas_names(session, (one.nas_id for one in attempts)), voice),
        *([] if attempts else stranger_findings(sources.strangers(), voice)),
    ]
    return conclude(Verdict.UNKNOWN_LOGIN, findings, voice, login, None, can_connect=False, online=False)


def explain_address(session: DatabaseSession, address: str, voice: Voice, sources: Sources) -> Explanation:
    """Whoever holds this IP address now, else whose fixed address it is. Raises ValueError where it is none."""
    plain = str(ip_address(address))
    holder = session.scalars(select(Session).where(Session.stopped_at.is_(None), _holds(plain))).first()
    if holder is not None:
        since = voice.moment(holder.started_at)
        first = voice.finding("holds_address", address=plain, login=holder.login, since=since)
        return _of_session(session, holder, first, voice, sources)
    owner = session.scalars(
        select(Service).where(Service.ipv4_address == plain, Service.status != ServiceStatus.CANCELLED)
    ).first()
    if owner is None:
        free = [voice.finding("address_free", address=plain)]
        return conclude(Verdict.UNKNOWN_LOGIN, free, voice, None, None, can_connect=False, online=False)
    fixed = voice.finding("fixed_address", address=plain, login=owner.login or owner.id)
    return _behind(fixed, explain_service(session, owner, voice, sources))


def explain_device(session: DatabaseSession, mac: str, voice: Voice, sources: Sources) -> Explanation:
    """Whoever uses this MAC address now, is locked to it, or tried with it of late. `mac` is in its canonical form."""
    shown = voice.device(mac)
    live = session.scalars(select(Session).where(Session.stopped_at.is_(None), _is_station(mac))).first()
    if live is not None:
        return _of_session(session, live, voice.finding("uses_device", device=shown, login=live.login), voice, sources)
    locked = services.find_by_mac_lock(session, mac)
    logins = [one.login or str(one.id) for one in locked] or [one.login for one in sources.attempts_of_station(mac)]
    if not logins:
        unknown = [voice.finding("device_unknown", device=shown)]
        return conclude(Verdict.UNKNOWN_LOGIN, unknown, voice, None, None, can_connect=False, online=False)
    first = voice.finding("uses_device", device=shown, login="”, “".join(dict.fromkeys(logins[:SERVICES_SHOWN])))
    if locked:
        return _behind(first, explain_service(session, locked[0], voice, sources))
    return _behind(first, explain_login(session, logins[0], voice, sources))


def explain_nas(session: DatabaseSession, nas: Nas, voice: Voice, sources: Sources) -> Explanation:
    attempts = sources.attempts_at(nas.id)
    return diagnose_nas(_nas_fact(session, nas, sources), attempts, sources.strangers(), voice)


def explain_anything(session: DatabaseSession, what: str, voice: Voice, sources: Sources) -> Explanation:
    """What a person types: a login before all, else an IP address, a MAC address or a NAS's name; else a login that
    nobody has.
    """
    if services.find_by_login(session, what) is not None:
        return explain_login(session, what, voice, sources)
    nas = session.scalars(select(Nas).where(or_(Nas.name == what, Nas.address == what))).first()
    if nas is not None:
        return explain_nas(session, nas, voice, sources)
    try:
        return explain_address(session, what, voice, sources)
    except ValueError:
        pass
    mac = canonical_mac(what)
    if mac is not None:
        return explain_device(session, mac, voice, sources)
    return explain_login(session, what, voice, sources)


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Ids are text there."""
    found = asdict(explanation)
    return found | {"service_id": None if explanation.service_id is None else str(explanation.service_id)}


def _facts(session: DatabaseSession, service: Service, sources: Sources) -> Facts:
    of_service = select(Session).where(Session.service_id == service.id)
    latest = session.scalars(of_service.order_by(Session.id.desc()).limit(SESSIONS_SHOWN)).all()
    attempts = sources.attempts(service.login, service.id) if service.login else ()
    locked = [int(nas_id) for nas_id in service.nas_lock or ()]
    heard = _nas_ids(latest, attempts)
    names = _nas_names(session, (*heard, *locked))
    nas = session.get(Nas, heard[0]) if heard else None
    plan = session.get(Plan, service.plan_id)
    return Facts(
        login=service.login,
        status=service.status,
        access=service.access,
        intended_fingerprint=service.policy_fingerprint,
        service_id=service.id,
        policy=policies.read(session, service.policy_fingerprint),
        plan=plan.name if plan else "",
        holds=tuple(HoldFact(one.reason, one.effect, one.note) for one in holds.live_holds(session, service.id)),
        incidents=[
            IncidentFact(one.title, one.opened_at, one.expires_at)
            for one in incidents.outages_of_service(session, service.id)
        ],
        locks=LocksFact(
            service.mac_lock,
            service.circuit_lock,
            None if service.nas_lock is None else [names.get(nas_id, str(nas_id)) for nas_id in locked],
        ),
        sessions=latest,
        nas=_nas_fact(session, nas, sources) if nas else None,
        attempts=attempts,
        steps=sources.steps(service.id),
        strangers=() if heard else sources.strangers(),
        nas_names=names,
    )


def _nas_ids(latest: Sequence[Session], attempts: Sequence[Attempt]) -> list[int]:
    """Of the NASes that asked or told, the one that was heard last of them first."""
    of_sessions, of_attempts = [one.nas_id for one in latest], [one.nas_id for one in attempts]
    if latest and (not attempts or latest[0].updated_at >= attempts[0].at):
        return of_sessions + of_attempts
    return of_attempts + of_sessions


def _nas_fact(session: DatabaseSession, nas: Nas, sources: Sources) -> NasFact:
    heard_at, live = session.execute(
        select(func.max(Session.updated_at), func.count()).where(Session.nas_id == nas.id, Session.stopped_at.is_(None))
    ).one()
    return NasFact(nas, heard_at, live, sources.coa_silent(nas.id), sources.nas_findings(nas.id))


def _of_session(session: DatabaseSession, live: Session, first: Finding, voice: Voice, sources: Sources) -> Explanation:
    service = session.get(Service, live.service_id) if live.service_id is not None else None
    if service is None:
        return _behind(first, explain_login(session, live.login, voice, sources))
    return _behind(first, explain_service(session, service, voice, sources))


def _behind(first: Finding, found: Explanation) -> Explanation:
    """What was asked comes before what is found out about it."""
    return Explanation(
        found.login, found.service_id, found.verdict, found.can_connect, found.online,
        f"{first.message} {found.summary}", found.next_step, (first, *found.findings),
    )  # fmt: skip


def _holds(address: str) -> ColumnElement[bool]:
    """A session's condition: it has this address, or a prefix around it."""
    if ":" not in address:
        return Session.framed_ipv4 == address
    inside = "CAST({} AS inet) >>= CAST(:address AS inet)"
    prefixes = (inside.format("framed_ipv6_prefix"), inside.format("delegated_ipv6_prefix"))
    return text(f"({' OR '.join(prefixes)})").bindparams(address=address)  # type: ignore[return-value]


def _is_station(mac: str) -> ColumnElement[bool]:
    """A session's condition: this is its device, however the NAS writes it."""
    digits = func.upper(func.regexp_replace(Session.calling_station_id, "[^0-9A-Fa-f]", "", "g"))
    return digits.startswith(mac.replace(":", ""))


def _nas_names(session: DatabaseSession, nas_ids: Iterable[int]) -> dict[int, str]:
    rows = session.execute(select(Nas.id, Nas.name).where(Nas.id.in_(set(nas_ids))))
    return {row.id: row.name for row in rows}

"""Why somebody can connect or cannot, and what is wrong with a NAS, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from aaa import attempts
from api import schemas
from api.access import mask, sees_personal_data
from api.context import Caller, Db, Given, Services, Who, parse_id
from api.resources.views import log_reveal
from core import explain, network, services
from core.errors import InvalidInput
from core.explain import NasFinding, Voice
from core.language import Language
from core.locks import canonical_mac
from core.models.network import Nas
from provisioning import evidence

What = Annotated[str | None, Query(min_length=1, max_length=253, pattern=schemas.NO_NUL)]
STRANGERS_SHOWN = 200

explain_routes = APIRouter(tags=["services"])
finding_routes = APIRouter(tags=["nas"])


class FindingOut(schemas.Output):
    code: str
    message: str
    next_step: str


class ExplanationOut(schemas.Output):
    """`summary` answers in plain words, `next_step` is what to do first; `findings` say all, worst first."""

    login: str | None
    service_id: str | None
    verdict: explain.Verdict
    can_connect: bool
    online: bool
    summary: str
    next_step: str
    findings: list[FindingOut]


class NasFindingOut(schemas.Output):
    """`detail` by kind: the role (auth, acct) that met it, skew_s of a clock, code of a packet that does not belong."""

    kind: str
    source: str
    first_at: datetime
    last_at: datetime
    count: int
    detail: dict[str, Any]
    message: str
    next_step: str


class NasFindingsOut(schemas.Output):
    items: list[NasFindingOut]


@explain_routes.get("/services/{service_id}/explain")
def explain_service(
    service_id: str, session: Db, caller: Who, given: Given, language: Language = "pt_BR"
) -> ExplanationOut:
    """Why this subscriber can or cannot connect, in words."""
    service = services.get_service(session, parse_id(service_id, "service"))
    voice, sources = _voice(caller, given, language), evidence.sources(session)
    log_reveal(session, caller.role, caller.actor, "service", [service.id])
    return _out(explain.explain_service(session, service, voice, sources))


@explain_routes.get("/explain")
def explain_anybody(
    session: Db, caller: Who, given: Given, login: What = None, address: What = None, mac: What = None,
    language: Language = "pt_BR",
) -> ExplanationOut:  # fmt: skip
    """The same by one of three: a login, which may be nobody's, the IP address that somebody holds now, or the MAC
    address of a device."""
    wanted = {"login": login, "address": address, "mac": mac}
    if sum(value is not None for value in wanted.values()) != 1:
        raise InvalidInput("give one of login, address and mac", field="login")
    voice, sources = _voice(caller, given, language), evidence.sources(session)
    if login is not None:
        found = explain.explain_login(session, login, voice, sources)
    elif mac is not None:
        found = explain.explain_device(session, _mac(mac), voice, sources)
    else:
        try:
            found = explain.explain_address(session, address or "", voice, sources)
        except ValueError:
            raise InvalidInput("is no IP address", field="address") from None
    log_reveal(session, caller.role, caller.actor, "service", [] if found.service_id is None else [found.service_id])
    return _out(found)


@finding_routes.get("/nas/{nas_id}/findings")
def list_nas_findings(
    nas_id: str, session: Db, caller: Who, given: Given, language: Language = "pt_BR"
) -> NasFindingsOut:
    """What has been wrong between us and this NAS, the latest first: each trouble once, with how often it happened."""
    nas = network.get_nas(session, parse_id(nas_id, "nas"))
    voice = _voice(caller, given, language)
    return NasFindingsOut(items=[_finding_view(one, nas, voice) for one in attempts.nas_findings(session, nas.id)])


@finding_routes.get("/unknown-clients")
def list_unknown_clients(session: Db, caller: Who, given: Given, language: Language = "pt_BR") -> NasFindingsOut:
    """Addresses that are no NAS of ours and sent RADIUS requests in the last day, the most insistent first."""
    voice = _voice(caller, given, language)
    return NasFindingsOut(
        items=[_finding_view(one, None, voice) for one in attempts.strangers(session, STRANGERS_SHOWN)]
    )


def _voice(caller: Caller, given: Services, language: str) -> Voice:
    hide = None if sees_personal_data(caller.role) else lambda address: mask(address) or ""
    return Voice(language, given.zone, hide)


def _mac(text: str) -> str:
    found = canonical_mac(text)
    if found is None:
        raise InvalidInput("a MAC address has twelve hexadecimal digits, as AA:BB:CC:DD:EE:FF", field="mac")
    return found


def _out(found: explain.Explanation) -> ExplanationOut:
    return ExplanationOut.model_validate(explain.as_json(found))


def _finding_view(one: NasFinding, nas: Nas | None, voice: Voice) -> NasFindingOut:
    names: Mapping[int, str] = {} if nas is None else {nas.id: nas.name}
    said = explain.trouble_finding(one, names, voice)
    return NasFindingOut(
        kind=one.kind, source=one.source, first_at=one.first_at, last_at=one.last_at, count=one.count,
        detail=dict(one.detail), message=said.message, next_step=said.next_step,
    )  # fmt: skip

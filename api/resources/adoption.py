"""An existing router, looked at and taken over: what of it becomes plans and services. Passwords are never shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import Db, Paged, Who, list_page, parse_id
from api.schemas import NO_NUL, Flag, Input, Kbps, Name, Number, Output, PageOf, Text
from core import network
from provisioning.adopt import store
from provisioning.adopt.models import AdoptedLogin, BoxAdoption, Standing
from provisioning.adopt.proposal import Choices

adoption_routes = APIRouter(prefix="/nas", tags=["provisioning"])


Login = Annotated[str, Field(min_length=1, max_length=253, pattern=NO_NUL)]


class RateIn(Input):
    down_kbps: Kbps
    up_kbps: Kbps


class AdoptionIn(Input):
    """Without `take` the router is only looked at; with it customers, contracts, services, plans and holds are made.
    `rates`, by profile, where nothing at the router tells; `blocked_plan` of those whose profile is for debtors: a plan
    here, or a profile of the router; `due_day` of the contracts."""

    take: Flag = False
    rates: Annotated[dict[Name, RateIn], Field(max_length=1000)] = Field(default_factory=dict)
    blocked_plan: Text | None = None
    due_day: Annotated[int, Field(ge=1, le=31), Number] = 10


class OwnIn(Input):
    """`logins`, or all that are services here: null. `differing`: those too who get something else here than there."""

    logins: Annotated[list[Login], Field(min_length=1, max_length=10_000)] | None
    differing: Flag = False


class OwnIntentIn(Input):
    """Without `confirm` the rows are only named."""

    confirm: Flag = False


class LoginTold(Output):
    login: str
    told: str


class OwnedOut(Output):
    """`refused`: who stays the router's own, and why. `told`: what else is to be known of a login."""

    services: int
    refused: list[LoginTold]
    told: list[LoginTold]


class OwnedIntentOut(Output):
    """`rows` that have the name of one of the intent; `kept`: they are ours from the next plan on."""

    rows: list[str]
    kept: bool


class ProposedIntentOut(Output):
    """`body` as `PUT …/intent` takes it. `told`: what of the router is not in it."""

    body: dict[str, Any]
    told: list[str]


class AdoptedPlan(Output):
    """`keeps_profile_for`: what only the router's profile says, so that it is kept. Rates are null where the plan is
    one that is here."""

    name: str
    profile: str
    down_kbps: int | None
    up_kbps: int | None
    services: int
    keeps_profile_for: list[str]
    lost: list[str]


class AdoptionOut(Output):
    """`state`: working (the router is being read), read, taken, or failed (see `error`). `logins`: how many are new,
    here already, rejected, left out, and kept by us. `counts`: what the last taking made. `blocks`: profiles and lists
    for those who do not pay. `owned` and `owned_intent`: which rows became ours by the last word; null before."""

    nas_id: str
    state: str
    asked_by: str
    looked_at: datetime | None
    taken_at: datetime | None
    error: str | None
    plans: list[AdoptedPlan]
    blocks: list[str]
    logins: dict[str, int]
    counts: dict[str, dict[str, int]]
    owned: OwnedOut | None
    owned_intent: OwnedIntentOut | None


class AdoptedLoginOut(Output):
    """`told`: in what it differs here, what would be lost, or why it is left out. `hold`: what restricts it there."""

    login: str
    standing: Standing
    service_id: str | None
    plan: str | None
    customer: str | None
    ipv4_address: str | None
    hold: str | None
    told: list[str]


@adoption_routes.get("/{nas_id}/adoption")
def get_adoption(nas_id: str, session: Db, _: Who) -> AdoptionOut:
    """Of the last look."""
    return _view(session, store.get_adoption(session, parse_id(nas_id, "NAS")))


@adoption_routes.post("/{nas_id}/adoption", status_code=202)
def adopt(nas_id: str, body: AdoptionIn, session: Db, caller: Who) -> AdoptionOut:
    """The router is read within seconds. Nothing changes there. Taken twice, nothing is made twice."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    rates = {profile: (rate.down_kbps, rate.up_kbps) for profile, rate in body.rates.items()}
    choices = Choices(rates, body.blocked_plan)
    return _view(session, store.ask(session, nas, choices, body.due_day, caller.actor, take=body.take))


@adoption_routes.get("/{nas_id}/adoption/intent")
def propose_intent(nas_id: str, session: Db, _: Who) -> ProposedIntentOut:
    """What the router is, by the last look, as an intent would say it: to be looked at, completed, and put."""
    row = store.get_adoption(session, parse_id(nas_id, "NAS"))
    return ProposedIntentOut(body=row.intent.get("body", {}), told=row.intent.get("told", []))


@adoption_routes.post("/{nas_id}/adoption/own", status_code=202)
def own(nas_id: str, body: OwnIn, session: Db, caller: Who) -> AdoptionOut:
    """Secrets at the router become ours, by the local access that keeps them; who is online stays online. It is read
    anew, its configuration is kept first, and nobody becomes ours who would lose by it."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    return _view(session, store.ask_to_own(session, nas, body.logins, caller.actor, differing=body.differing))


@adoption_routes.post("/{nas_id}/adoption/own-intent", status_code=202)
def own_intent(nas_id: str, body: OwnIntentIn, session: Db, caller: Who) -> AdoptionOut:
    """Rows of the router that its intent names become ours for the next plan, which shows what that means there."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    return _view(session, store.ask_to_own_intent(session, nas, caller.actor, confirm=body.confirm))


@adoption_routes.get("/{nas_id}/adoption/logins")
def list_logins(
    nas_id: str, session: Db, _: Who, paged: Paged, standing: Standing | None = None
) -> PageOf[AdoptedLoginOut]:
    """Of the last look."""
    query = select(AdoptedLogin).where(
        AdoptedLogin.nas_id == store.get_adoption(session, parse_id(nas_id, "NAS")).nas_id
    )
    if standing is not None:
        query = query.where(AdoptedLogin.standing == standing)
    rows, cursor = list_page(session, query, AdoptedLogin.id, paged)
    return PageOf(items=[_login(row) for row in rows], next_cursor=cursor)


def _view(session: Session, row: BoxAdoption) -> AdoptionOut:
    return AdoptionOut(
        nas_id=str(row.nas_id), state=_state(row), asked_by=row.asked_by, looked_at=row.looked_at,
        taken_at=row.taken_at, error=row.error, plans=[AdoptedPlan(**one) for one in row.plans], blocks=row.blocks,
        logins={standing.value: count for standing, count in store.counted(session, row.nas_id).items()},
        counts=row.counts, owned=_owned(row),
        owned_intent=OwnedIntentOut(**row.owned_intent) if row.owned_intent else None,
    )  # fmt: skip


def _owned(row: BoxAdoption) -> OwnedOut | None:
    if not row.owned:
        return None
    refused, told = (
        [LoginTold(login=login, told=what) for login, what in row.owned[which]] for which in ("refused", "told")
    )
    return OwnedOut(services=row.owned["services"], refused=refused, told=told)


def _state(row: BoxAdoption) -> str:
    if row.asked_at is not None:
        return "working"
    if row.error is not None:
        return "failed"
    return "taken" if row.taken_at is not None else "read"


def _login(row: AdoptedLogin) -> AdoptedLoginOut:
    return AdoptedLoginOut(
        login=row.login, standing=row.standing, service_id=str(row.service_id) if row.service_id else None,
        plan=row.plan, customer=row.customer, ipv4_address=row.ipv4_address, hold=row.hold, told=row.told,
    )  # fmt: skip

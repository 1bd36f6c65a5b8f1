"""An existing router, looked at and taken over: what of it becomes plans and services. Passwords are never shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import Db, Paged, Who, list_page, parse_id
from api.schemas import Flag, Input, Kbps, Name, Number, Output, PageOf, Text
from core import network
from provisioning.adopt import store
from provisioning.adopt.models import AdoptedLogin, BoxAdoption, Standing
from provisioning.adopt.proposal import Choices

adoption_routes = APIRouter(prefix="/nas", tags=["provisioning"])


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
    for those who do not pay."""

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
        counts=row.counts,
    )  # fmt: skip


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

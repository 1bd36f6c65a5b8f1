"""What a service uses: by day, in its billing cycle, and what is left of what was paid in advance."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.context import Db, Given, Who, parse_id
from api.idempotency import OnceOnly
from api.schemas import Day, Input, Number, Output
from core import prepaid, services, usage
from core.errors import InvalidInput
from core.models.service import Plan, Service
from core.models.usage import PrepaidBalance

usage_routes = APIRouter(prefix="/services/{service_id}", tags=["usage"])

#: What one answer holds.
DAYS_MAX = 400


class DayOut(Output):
    day: date
    down_octets: int
    up_octets: int
    seconds: int


class CycleOut(Output):
    first: date
    last: date
    down_octets: int
    up_octets: int
    seconds: int
    #: Null on a plan without a quota.
    quota_bytes: int | None
    remaining_bytes: int | None


class BalanceOut(Output):
    octets: int
    seconds: int


class UsageOut(Output):
    cycle: CycleOut
    #: Null where the plan is not prepaid.
    prepaid: BalanceOut | None
    days: list[DayOut]


class CreditIn(Input):
    """Octets on a plan that counts volume, seconds on one that counts time."""

    octets: Annotated[int, Field(ge=0, le=10**18), Number] = 0
    seconds: Annotated[int, Field(ge=0, le=1 << 31), Number] = 0


@usage_routes.get("/usage")
def service_usage(
    service_id: str, session: Db, _: Who, given: Given,
    first: Annotated[Day | None, Query(alias="from", description="first day; default: the cycle's")] = None,
    last: Annotated[Day | None, Query(alias="until", description="last day; default: today")] = None,
) -> UsageOut:  # fmt: skip
    service = _service(session, service_id)
    plan = session.get_one(Plan, service.plan_id)
    today = given.today()
    cycle = usage.cycle_of_service(session, service, today)
    begins, ends = first or cycle.start, last or today
    if not timedelta(0) <= ends - begins <= timedelta(days=DAYS_MAX):
        raise InvalidInput(f"from one day to a later one, {DAYS_MAX} days at most", field="from")
    used = usage.since(session, service.id, cycle.start)
    quota = plan.quota_bytes
    return UsageOut(
        cycle=CycleOut(
            first=cycle.start, last=cycle.end - timedelta(days=1), down_octets=used.down_octets,
            up_octets=used.up_octets, seconds=used.seconds, quota_bytes=quota,
            remaining_bytes=None if quota is None else max(0, quota - used.octets),
        ),
        prepaid=_balance(session, service, plan),
        days=[DayOut.model_validate(row) for row in usage.by_day(session, service.id, begins, ends)],
    )  # fmt: skip


@usage_routes.post("/credits", status_code=201, response_model=BalanceOut)
def add_credit(service_id: str, body: CreditIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """A recharge of a prepaid service; a hold for want of credit is lifted with it."""
    balance = prepaid.add_credit(
        session, _service(session, service_id), octets=body.octets, seconds=body.seconds, actor=caller.actor,
        now=given.clock(), zone=given.zone,
    )  # fmt: skip
    return once.created(BalanceOut(octets=balance.octets, seconds=balance.seconds))


def _service(session: Db, service_id: str) -> Service:
    return services.get_service(session, parse_id(service_id, "service"))


def _balance(session: Db, service: Service, plan: Plan) -> BalanceOut | None:
    if plan.prepaid is None:
        return None
    balance = session.get(PrepaidBalance, service.id)
    return BalanceOut(octets=balance.octets, seconds=balance.seconds) if balance else BalanceOut(octets=0, seconds=0)

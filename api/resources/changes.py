"""What a customer changes of his service: another plan, and a pause."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import select

from api.context import Db, Given, Paged, RefFilter, Who, list_page, matching, parse_id, reference
from api.idempotency import OnceOnly
from api.resources.views import text_id
from api.schemas import Day, Flag, Input, Number, Output, PageOf, Ref, Text
from billing_hooks import pauses, plan_change_preview, plan_changes
from billing_hooks.invoicing.facts import CENTS_MAX
from billing_hooks.invoicing.period import Span
from billing_hooks.models import Pause, PlanChange
from billing_hooks.plan_change_preview import PeriodPreview, Preview
from billing_hooks.plan_changes import Wish

change_routes = APIRouter(tags=["plan-changes"])
pause_routes = APIRouter(tags=["pauses"])


class PlanChangeIn(Input):
    """`on`: a day of the provider's calendar, today or later; null: now. `price_cents`: null: the plan's price.

    `preview`: say what it would mean, and do nothing.
    """

    plan_id: Ref
    on: Day | None = None
    price_cents: Annotated[int, Field(ge=0, le=CENTS_MAX), Number] | None = None
    note: Text | None = None
    preview: Flag = False


class PlanChangeOut(Output):
    """`error`: why it could not be done on its day; withdraw it, and ask anew for what the customer still wants."""

    id: str
    contract_id: str
    service_id: str
    on: date
    old_plan_id: str
    new_plan_id: str
    old_price_cents: int
    new_price_cents: int
    asked_by: str
    note: str | None
    created_at: datetime
    applied_at: datetime | None
    withdrawn_at: datetime | None
    error: str | None


class PreviewLineOut(Output):
    text: str
    text_pt: str
    amount_cents: int


class PeriodPreviewOut(Output):
    """What is charged from `start` up to, and without, `end`; `lines` are those with the change.

    `invoiced`: it was invoiced already, and the difference comes with the next invoice.
    """

    start: date
    end: date
    before_cents: int
    after_cents: int
    difference_cents: int
    invoiced: bool
    lines: list[PreviewLineOut]


class PreviewOut(Output):
    """Prices are those of a month. The first period is the one in which the day lies."""

    service_id: str
    on: date
    old_plan_id: str
    new_plan_id: str
    old_price_cents: int
    new_price_cents: int
    periods: list[PeriodPreviewOut]


class PauseIn(Input):
    """From `start`, today or later, up to, and without, `end`: 30 to 120 days."""

    start: Day
    end: Day
    note: Text | None = None


class PauseOut(Output):
    """`ended_at`: when the service was back; `charged_from`: the first day that is charged again."""

    id: str
    contract_id: str
    service_id: str
    start: date
    end: date
    asked_by: str
    note: str | None
    created_at: datetime
    hold_id: str | None
    ended_at: datetime | None
    charged_from: date | None
    withdrawn_at: datetime | None


@change_routes.get("/plan-changes")
def list_plan_changes(
    session: Db, _: Who, paged: Paged, service_id: RefFilter = None, contract_id: RefFilter = None,
    failed: bool = False,
) -> PageOf[PlanChangeOut]:  # fmt: skip
    """`failed=true`: those that could not be done on their day and wait for a person."""
    query = matching(
        select(PlanChange),
        (PlanChange.service_id, reference(service_id, "service_id")),
        (PlanChange.contract_id, reference(contract_id, "contract_id")),
    )
    rows, cursor = list_page(session, query.where(plan_changes.failed()) if failed else query, PlanChange.id, paged)
    return PageOf(items=[_change_view(row) for row in rows], next_cursor=cursor)


@change_routes.post(
    "/services/{service_id}/plan-changes", status_code=201, response_model=PlanChangeOut,
    responses={200: {"model": PreviewOut, "description": "The preview; nothing was kept"}},
)  # fmt: skip
def change_plan(
    service_id: str, body: PlanChangeIn, session: Db, caller: Who, given: Given, once: OnceOnly
) -> Response:
    """Now: the session follows at once. On a day: soon after it begins."""
    found = parse_id(service_id, "service")
    plan_id = reference(body.plan_id, "plan_id")
    wish = Wish(plan_id or 0, body.on, body.price_cents, body.note)
    if body.preview:
        seen = plan_change_preview.preview(session, found, wish, caller.actor, given.clock(), given.zone)
        return once.created(_preview_view(found, seen), 200)
    change = plan_changes.ask(session, given.keyring, found, wish, caller.actor, given.clock(), given.zone)
    return once.created(_change_view(change))


@change_routes.delete("/plan-changes/{change_id}")
def withdraw_plan_change(change_id: str, session: Db, caller: Who, given: Given) -> PlanChangeOut:
    """Until it is done."""
    found = parse_id(change_id, "plan change")
    return _change_view(plan_changes.withdraw(session, found, caller.actor, given.clock()))


@pause_routes.get("/pauses")
def list_pauses(
    session: Db, _: Who, paged: Paged, service_id: RefFilter = None, contract_id: RefFilter = None
) -> PageOf[PauseOut]:
    query = matching(
        select(Pause),
        (Pause.service_id, reference(service_id, "service_id")),
        (Pause.contract_id, reference(contract_id, "contract_id")),
    )
    rows, cursor = list_page(session, query, Pause.id, paged)
    return PageOf(items=[_pause_view(row) for row in rows], next_cursor=cursor)


@pause_routes.post("/services/{service_id}/pauses", status_code=201, response_model=PauseOut)
def pause_service(service_id: str, body: PauseIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """No service and no price meanwhile; it returns by itself."""
    pause = pauses.ask(
        session, parse_id(service_id, "service"), Span(body.start, body.end), caller.actor, given.clock(), given.zone,
        body.note,
    )  # fmt: skip
    return once.created(_pause_view(pause))


@pause_routes.post("/pauses/{pause_id}/end")
def end_pause(pause_id: str, session: Db, caller: Who, given: Given) -> PauseOut:
    """The customer wants his service back now."""
    found = parse_id(pause_id, "pause")
    return _pause_view(pauses.end(session, found, caller.actor, given.clock(), given.zone))


@pause_routes.delete("/pauses/{pause_id}")
def withdraw_pause(pause_id: str, session: Db, caller: Who, given: Given) -> PauseOut:
    """Before it begins."""
    return _pause_view(pauses.withdraw(session, parse_id(pause_id, "pause"), caller.actor, given.clock()))


def _change_view(row: PlanChange) -> PlanChangeOut:
    return PlanChangeOut(
        id=str(row.id), contract_id=str(row.contract_id), service_id=str(row.service_id), on=row.on,
        old_plan_id=str(row.old_plan_id), new_plan_id=str(row.new_plan_id), old_price_cents=row.old_cents,
        new_price_cents=row.new_cents, asked_by=row.asked_by, note=row.note, created_at=row.created_at,
        applied_at=row.applied_at, withdrawn_at=row.withdrawn_at, error=row.error,
    )  # fmt: skip


def _preview_view(service_id: int, seen: Preview) -> PreviewOut:
    return PreviewOut(
        service_id=str(service_id), on=seen.on, old_plan_id=str(seen.old_plan_id), new_plan_id=str(seen.new_plan_id),
        old_price_cents=seen.old_cents, new_price_cents=seen.new_cents,
        periods=[_period_view(one) for one in seen.periods],
    )  # fmt: skip


def _period_view(seen: PeriodPreview) -> PeriodPreviewOut:
    lines = [
        PreviewLineOut(text=line.words.en, text_pt=line.words.pt, amount_cents=line.amount_cents)
        for line in seen.after.lines
    ]
    return PeriodPreviewOut(
        start=seen.after.period.start, end=seen.after.period.end, before_cents=seen.before.charged_cents,
        after_cents=seen.after.charged_cents, difference_cents=seen.difference_cents, invoiced=seen.invoiced,
        lines=lines,
    )  # fmt: skip


def _pause_view(row: Pause) -> PauseOut:
    return PauseOut(
        id=str(row.id), contract_id=str(row.contract_id), service_id=str(row.service_id), start=row.start, end=row.end,
        asked_by=row.asked_by, note=row.note, created_at=row.created_at, hold_id=text_id(row.hold_id),
        ended_at=row.ended_at, charged_from=row.charged_from, withdrawn_at=row.withdrawn_at,
    )  # fmt: skip

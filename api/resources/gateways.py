"""What gateways told (the inbox), and the charges that we have there."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import APIRouter, Response
from sqlalchemy import select

from api.context import Db, Filter, Given, Paged, RefFilter, Who, list_page, matching, parse_id, reference
from api.idempotency import OnceOnly
from api.schemas import Flag, Input, Output, PageOf, Ref
from billing_hooks import charges, inbox, policies
from billing_hooks.models import Charge, ChargeStatus, InboxEntry, InboxStatus

inbox_routes = APIRouter(prefix="/inbox", tags=["inbox"])
charge_routes = APIRouter(tags=["charges"])


class InboxOut(Output):
    """An event as it was kept. `failed` ones wait for a person; `found`: no webhook told of it."""

    id: str
    account_id: str
    gateway: str
    event_id: str
    received_at: datetime
    status: InboxStatus
    error: str | None
    found: bool
    done_at: datetime | None


class ChargeIn(Input):
    """`due_date`: a new day for an invoice that is overdue, with fine and interest until then unless `waive_late`;
    else the invoice's own."""

    account_id: Ref
    due_date: date | None = None
    waive_late: Flag = False


class ChargeOut(Output):
    """`surcharge_cents` of the amount are fine and interest; who pays by `early_discount_until` pays
    `early_discount_cents` less."""

    id: str
    invoice_id: str
    account_id: str
    amount_cents: int
    surcharge_cents: int
    early_discount_cents: int
    early_discount_until: date | None
    due_date: date
    status: ChargeStatus
    charge_id: str | None
    error: str | None
    created_at: datetime
    closed_at: datetime | None


@inbox_routes.get("")
def list_entries(
    session: Db, _: Who, paged: Paged, status: InboxStatus | None = None, gateway: Filter = None,
    account_id: RefFilter = None,
) -> PageOf[InboxOut]:  # fmt: skip
    query = matching(
        select(InboxEntry), (InboxEntry.status, status), (InboxEntry.gateway, gateway),
        (InboxEntry.account_id, reference(account_id, "account_id")),
    )  # fmt: skip
    rows, cursor = list_page(session, query, InboxEntry.id, paged)
    return PageOf(items=[_entry_view(row) for row in rows], next_cursor=cursor)


@inbox_routes.post("/{entry_id}/retry")
def retry_entry(entry_id: str, session: Db, caller: Who) -> InboxOut:
    """Once the cause of its failure is mended: done again from the start."""
    return _entry_view(inbox.retry(session, parse_id(entry_id, "inbox entry"), caller.actor))


@charge_routes.get("/invoices/{invoice_id}/charges")
def list_charges(invoice_id: str, session: Db, _: Who) -> list[ChargeOut]:
    of_invoice = Charge.invoice_id == parse_id(invoice_id, "invoice")
    return [_charge_view(row) for row in session.scalars(select(Charge).where(of_invoice).order_by(Charge.id))]


@charge_routes.post("/invoices/{invoice_id}/charges", status_code=201, response_model=ChargeOut)
def order_charge(invoice_id: str, body: ChargeIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """Have a boleto with Pix made at a gateway for what is still owed, or a second copy; it is there within seconds."""
    charge = charges.order_charge(
        session, parse_id(invoice_id, "invoice"), reference(body.account_id, "account_id") or 0, caller.actor,
        given.today(), policies.load_holidays(session, given.country).closes_banks,
        due_date=body.due_date, waive_late=body.waive_late,
    )  # fmt: skip
    return once.created(_charge_view(charge))


def _entry_view(entry: InboxEntry) -> InboxOut:
    return InboxOut(
        id=str(entry.id), account_id=str(entry.account_id), gateway=entry.gateway, event_id=entry.event_id,
        received_at=entry.received_at, status=entry.status, error=entry.error, found=entry.found,
        done_at=entry.done_at,
    )  # fmt: skip


def _charge_view(charge: Charge) -> ChargeOut:
    return ChargeOut(
        id=str(charge.id), invoice_id=str(charge.invoice_id), account_id=str(charge.account_id),
        amount_cents=charge.amount_cents, surcharge_cents=charge.surcharge_cents,
        early_discount_cents=charge.early_discount_cents, early_discount_until=charge.early_discount_until,
        due_date=charge.due_date,
        status=charge.status, charge_id=charge.charge_id, error=charge.error, created_at=charge.created_at,
        closed_at=charge.closed_at,
    )  # fmt: skip

"""Invoices of our own: how they are made, what is charged beside the prices, what comes next, and how one is paid."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy import select

from api.context import Db, Given, IfMatch, Paged, Who, check_version, list_page, parse_id, reference, tagged
from api.idempotency import OnceOnly
from api.resources.views import text_id
from api.schemas import Cents, Day, Input, Name, Number, Output, PageOf, Ref, Text
from billing_hooks import policies
from billing_hooks.invoicing.lines import Kind, Line
from billing_hooks.invoicing.pdf import draw
from billing_hooks.invoicing.period import Timing
from billing_hooks.invoicing.words import Words
from billing_hooks.issuing import adjustments, terms
from billing_hooks.issuing.issue import Issuing, Planned
from billing_hooks.issuing.kept import lines_of
from billing_hooks.issuing.payable import payable_on, sheet_of
from billing_hooks.models import Adjustment, AdjustmentKind, BilledPeriod, InvoicingTerms
from core import invoices
from core.language import Language
from core.models.party import CustomerKind

terms_routes = APIRouter(prefix="/invoicing-terms", tags=["invoicing-terms"])
issuing_routes = APIRouter(tags=["invoicing"])
payable_routes = APIRouter(tags=["invoices"])

BasisPoints = Annotated[int, Field(ge=0, le=10_000), Number]
LeadDays = Annotated[int, Field(ge=terms.NOTICE_DAYS, le=terms.LEAD_DAYS_MAX), Number]


class TermsIn(Input):
    """`fine_bp` once and `interest_bp_month` a month, in hundredths of a percent: of a person at most 200 and 100.
    `early_discount_bp` is let off who pays the whole at least `early_discount_days` before the due date.

    `account_id`: the gateway account that charges each invoice. Without one, `pix_key`, `pix_name` and `pix_city` make
    a static Pix code.
    """

    name: Name
    default_for: CustomerKind | None = None
    timing: Timing = Timing.IN_ADVANCE
    lead_days: LeadDays = 10
    fine_bp: BasisPoints = 200
    interest_bp_month: BasisPoints = 100
    early_discount_bp: Annotated[int, Field(ge=0, lt=10_000), Number] = 0
    early_discount_days: Annotated[int, Field(ge=0, le=terms.LEAD_DAYS_MAX), Number] = 0
    account_id: Ref | None = None
    pix_key: Text | None = None
    pix_name: Name | None = None
    pix_city: Name | None = None
    notice: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] | None = None


class TermsPatch(TermsIn):
    """What is given is changed."""

    name: Name = ""


class TermsOut(Output):
    id: str
    name: str
    default_for: CustomerKind | None
    timing: Timing
    lead_days: int
    fine_bp: int
    interest_bp_month: int
    early_discount_bp: int
    early_discount_days: int
    account_id: str | None
    pix_key: str | None
    pix_name: str | None
    pix_city: str | None
    notice: str | None
    version: int


class AdjustmentIn(Input):
    """`extra`: charged once, with the period of `valid_from` or the next one. `credit`: taken off until it is used up.

    `discount`: an amount a cycle, or a share in hundredths of a percent, of all items while it is valid.
    """

    kind: AdjustmentKind
    text_pt: Text
    text_en: Text | None = None
    amount_cents: Cents | None = None
    percent_bp: BasisPoints | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None


class AdjustmentOut(Output):
    id: str
    contract_id: str
    kind: AdjustmentKind
    text_pt: str
    text_en: str
    amount_cents: int | None
    percent_bp: int | None
    valid_from: date | None
    valid_until: date | None
    used_cents: int
    billed_period_id: str | None
    corrects_period_id: str | None
    given_by: str
    withdrawn: bool


class LineOut(Output):
    """`days`: how many of the cycle's. `id` is of the contract's item, the adjustment, or the reason."""

    kind: Kind
    id: str
    text_pt: str
    text_en: str
    amount_cents: int
    days: int


class PlannedOut(Output):
    """An invoice as it would be made now. `issues_on`: when that is done by itself. `end` is its last day."""

    contract_id: str
    customer: str
    start: date
    end: date
    due_date: date
    issues_on: date
    lines: list[LineOut]
    total_cents: int
    carried_cents: int


class PeriodOut(Output):
    """A period that was invoiced; without an invoice where nothing was to be paid. `end` is its last day."""

    id: str
    contract_id: str
    start: date
    end: date
    invoice_id: str | None
    lines: list[LineOut]
    total_cents: int
    corrected_cents: int
    cancelled: bool


class PayableOut(Output):
    """What pays the invoice until the day `until`, and the codes that ask for exactly that."""

    invoice_id: str
    until: date
    principal_cents: int
    discount_cents: int
    fine_cents: int
    interest_cents: int
    total_cents: int
    pix_code: str | None
    boleto_line: str | None
    url: str | None


@terms_routes.get("")
def list_terms(session: Db, _: Who, paged: Paged) -> PageOf[TermsOut]:
    rows, cursor = list_page(session, select(InvoicingTerms), InvoicingTerms.id, paged)
    return PageOf(items=[_terms_view(row) for row in rows], next_cursor=cursor)


@terms_routes.post("", status_code=201, response_model=TermsOut)
def create_terms(body: TermsIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    return once.created(_terms_view(terms.create_terms(session, _values(body.model_dump()), caller.actor)))


@terms_routes.get("/{terms_id}")
def get_terms(terms_id: str, session: Db, _: Who, response: Response) -> TermsOut:
    return tagged(response, _terms_view(terms.get_terms(session, parse_id(terms_id, "invoicing terms"))))


@terms_routes.patch("/{terms_id}")
def update_terms(
    terms_id: str, body: TermsPatch, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> TermsOut:
    """Invoices that are made already stay as they are."""
    row = terms.get_terms(session, parse_id(terms_id, "invoicing terms"))
    check_version(row.version, if_match)
    terms.update_terms(session, row, _values(body.model_dump(exclude_unset=True)), caller.actor)
    return tagged(response, _terms_view(row))


@terms_routes.delete("/{terms_id}", status_code=204)
def remove_terms(terms_id: str, session: Db, caller: Who) -> None:
    terms.remove_terms(session, terms.get_terms(session, parse_id(terms_id, "invoicing terms")), caller.actor)


@issuing_routes.get("/contracts/{contract_id}/adjustments")
def list_adjustments(contract_id: str, session: Db, _: Who) -> list[AdjustmentOut]:
    rows = adjustments.list_adjustments(session, parse_id(contract_id, "contract"))
    return [_adjustment_view(row) for row in rows]


@issuing_routes.post("/contracts/{contract_id}/adjustments", status_code=201, response_model=AdjustmentOut)
def give_adjustment(contract_id: str, body: AdjustmentIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    row = adjustments.give(
        session, parse_id(contract_id, "contract"), body.kind, Words(body.text_pt, body.text_en or body.text_pt),
        caller.actor, amount_cents=body.amount_cents, percent_bp=body.percent_bp, valid_from=body.valid_from,
        valid_until=body.valid_until,
    )  # fmt: skip
    return once.created(_adjustment_view(row))


@issuing_routes.delete("/adjustments/{adjustment_id}")
def withdraw_adjustment(adjustment_id: str, session: Db, caller: Who, given: Given) -> AdjustmentOut:
    """One that no invoice has yet."""
    row = adjustments.withdraw(session, parse_id(adjustment_id, "adjustment"), caller.actor, given.clock())
    return _adjustment_view(row)


@issuing_routes.get("/contracts/{contract_id}/next-invoice")
def preview_invoice(contract_id: str, session: Db, _: Who, given: Given) -> PlannedOut:
    """What its next invoice will say, as far as it is known now."""
    return _planned_view(_issuing(given).preview(session, parse_id(contract_id, "contract")))


@issuing_routes.get("/contracts/{contract_id}/billed-periods")
def list_periods(contract_id: str, session: Db, _: Who, paged: Paged) -> PageOf[PeriodOut]:
    of_contract = select(BilledPeriod).where(BilledPeriod.contract_id == parse_id(contract_id, "contract"))
    rows, cursor = list_page(session, of_contract, BilledPeriod.id, paged)
    return PageOf(items=[_period_view(row) for row in rows], next_cursor=cursor)


@issuing_routes.post("/contracts/{contract_id}/billed-periods", status_code=201, response_model=PeriodOut)
def issue_next(contract_id: str, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """Make the next invoice now, before its day."""
    row = _issuing(given).issue_next(session, parse_id(contract_id, "contract"), caller.actor)
    return once.created(_period_view(row))


@issuing_routes.post("/billed-periods/{period_id}/invoice", status_code=201, response_model=PeriodOut)
def reissue(period_id: str, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """Invoice a period anew whose invoice was cancelled."""
    row = _issuing(given).reissue(session, parse_id(period_id, "billed period"), caller.actor)
    return once.created(_period_view(row))


@issuing_routes.get("/invoicing/plan")
def plan(session: Db, _: Who, given: Given, as_of: Annotated[Day | None, Query()] = None) -> list[PlannedOut]:
    """The dry run: every invoice that would be made by that day, today if none is said."""
    return [_planned_view(one) for one in _issuing(given).plan(session, as_of)]


@payable_routes.get("/invoices/{invoice_id}/payable")
def get_payable(invoice_id: str, session: Db, _: Who, given: Given) -> PayableOut:
    """What it costs today, and how it is paid. 409 where it is not open."""
    invoice = invoices.get_invoice(session, parse_id(invoice_id, "invoice"))
    holidays = policies.load_holidays(session, given.country)
    found = payable_on(session, invoice, given.today(), holidays)
    amount = found.amount
    return PayableOut(
        invoice_id=str(invoice.id), until=found.until, principal_cents=amount.principal_cents,
        discount_cents=amount.discount_cents, fine_cents=amount.fine_cents, interest_cents=amount.interest_cents,
        total_cents=amount.total_cents, pix_code=found.pix_code, boleto_line=found.boleto_line, url=found.url,
    )  # fmt: skip


@payable_routes.get(
    "/invoices/{invoice_id}/pdf", response_class=Response, responses={200: {"content": {"application/pdf": {}}}}
)
def get_pdf(invoice_id: str, session: Db, _: Who, given: Given, language: Language = "pt_BR") -> Response:
    """The invoice as its payer sees it, with the QR code and the barcode of what pays it today."""
    invoice = invoices.get_invoice(session, parse_id(invoice_id, "invoice"))
    holidays = policies.load_holidays(session, given.country)
    sheet = sheet_of(session, invoice, given.today(), given.zone, holidays)
    name = {"Content-Disposition": f'attachment; filename="fatura-{invoice.id}.pdf"'}
    return Response(draw(sheet, language, given.clock()), media_type="application/pdf", headers=name)


def _issuing(given: Given) -> Issuing:
    return Issuing(given.zone, given.clock, given.country)


def _values(values: dict[str, Any]) -> dict[str, Any]:
    if "account_id" in values:
        values["account_id"] = reference(values["account_id"], "account_id")
    return values


def _terms_view(row: InvoicingTerms) -> TermsOut:
    return TermsOut(
        id=str(row.id), name=row.name, default_for=row.default_for, timing=row.timing, lead_days=row.lead_days,
        fine_bp=row.fine_bp, interest_bp_month=row.interest_bp_month, early_discount_bp=row.early_discount_bp,
        early_discount_days=row.early_discount_days, account_id=text_id(row.account_id),
        pix_key=row.pix_key, pix_name=row.pix_name, pix_city=row.pix_city, notice=row.notice, version=row.version,
    )  # fmt: skip


def _adjustment_view(row: Adjustment) -> AdjustmentOut:
    return AdjustmentOut(
        id=str(row.id), contract_id=str(row.contract_id), kind=row.kind, text_pt=row.text_pt, text_en=row.text_en,
        amount_cents=row.amount_cents, percent_bp=row.percent_bp, valid_from=row.valid_from,
        valid_until=row.valid_until, used_cents=row.used_cents, billed_period_id=text_id(row.billed_period_id),
        corrects_period_id=text_id(row.corrects_period_id), given_by=row.given_by,
        withdrawn=row.withdrawn_at is not None,
    )  # fmt: skip


def _planned_view(one: Planned) -> PlannedOut:
    return PlannedOut(
        contract_id=str(one.account.contract_id), customer=one.account.customer, start=one.period.start,
        end=one.period.last, due_date=one.due_date, issues_on=one.issues_on,
        lines=[_line_view(line) for line in one.draft.lines], total_cents=one.draft.total_cents,
        carried_cents=sum(credit.amount_cents for credit in one.draft.carried),
    )  # fmt: skip


def _period_view(row: BilledPeriod) -> PeriodOut:
    return PeriodOut(
        id=str(row.id), contract_id=str(row.contract_id), start=row.start, end=row.end - date.resolution,
        invoice_id=text_id(row.invoice_id), lines=[_line_view(line) for line in lines_of(row)],
        total_cents=row.total_cents, corrected_cents=row.corrected_cents, cancelled=row.cancelled_at is not None,
    )  # fmt: skip


def _line_view(line: Line) -> LineOut:
    return LineOut(
        kind=line.kind, id=line.id, text_pt=line.words.pt, text_en=line.words.en, amount_cents=line.amount_cents,
        days=line.days,
    )  # fmt: skip

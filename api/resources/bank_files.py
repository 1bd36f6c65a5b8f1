"""What banks send: return files and statements, and the lines that wait for a person."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import select

from api.context import Db, Given, Paged, RefFilter, Who, list_page, matching, parse_id, reference
from api.resources.views import text_id
from api.schemas import NO_NUL, Input, Output, PageOf, Ref, Text
from billing_hooks.bank_files import store
from billing_hooks.bank_files.base import Kind
from billing_hooks.models import BankFile, BankFileLine, BankLineStatus

file_routes = APIRouter(prefix="/bank-files", tags=["bank-files"])
line_routes = APIRouter(prefix="/bank-lines", tags=["bank-files"])

Word = Annotated[str, Query(min_length=1, max_length=200, pattern=NO_NUL)]


class BankFileOut(Output):
    """`problems`: the lines that could not be read, each with its field and why; the others were taken."""

    id: str
    name: str
    format: str
    layout: str
    bank: str
    account: str
    period_from: date | None
    period_until: date | None
    lines_new: int
    lines_repeated: int
    problems: list[dict[str, Any]]
    imported_by: str
    imported_at: datetime


class BankLineOut(Output):
    """Amounts in centavos. `suggestions`: invoices that a waiting line might pay, with the reasons."""

    id: str
    file_id: str
    number: int
    kind: Kind
    status: BankLineStatus
    paid_cents: int
    interest_cents: int
    discount_cents: int
    fee_cents: int
    occurred_on: date | None
    credited_on: date | None
    document: str
    payer_name: str
    memo: str
    reason: str | None
    suggestions: list[dict[str, Any]]
    invoice_id: str | None
    payment_id: str | None
    decided_by: str | None
    decided_at: datetime | None


class MatchIn(Input):
    invoice_id: Ref


class DismissIn(Input):
    reason: Text


async def file_body(request: Request) -> bytes:
    """The file itself, as the bank made it; read before a database connection is taken."""
    return await request.body()


FileBody = Annotated[bytes, Depends(file_body)]
_OCTETS = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}


@file_routes.get("")
def list_files(session: Db, _: Who, paged: Paged) -> PageOf[BankFileOut]:
    rows, cursor = list_page(session, select(BankFile), BankFile.id, paged)
    return PageOf(items=[_file_view(row) for row in rows], next_cursor=cursor)


@file_routes.post("", status_code=201, openapi_extra=_OCTETS)
def import_file(
    body: FileBody, session: Db, caller: Who, given: Given, name: Word, layout: Word | None = None,
    account: Word | None = None,
) -> BankFileOut:  # fmt: skip
    """The file's octets as the body. The same file again is the first one's result; of what it says, only news is done.

    `layout`: where the file does not say what it is; `account`: the agreement or account that it has to be of.
    """
    file = store.import_file(
        session, body, name=name, actor=caller.actor, now=given.clock(), how=layout, account=account
    )
    return _file_view(file)


@line_routes.get("")
def list_lines(
    session: Db, _: Who, paged: Paged, file_id: RefFilter = None, status: BankLineStatus | None = None
) -> PageOf[BankLineOut]:
    """`status=waiting`: those that a person has to look at."""
    query = matching(
        select(BankFileLine), (BankFileLine.file_id, reference(file_id, "file_id")), (BankFileLine.status, status)
    )
    rows, cursor = list_page(session, query, BankFileLine.id, paged)
    return PageOf(items=[_line_view(row) for row in rows], next_cursor=cursor)


@line_routes.post("/{line_id}/match")
def match_line(line_id: str, body: MatchIn, session: Db, caller: Who, given: Given) -> BankLineOut:
    """It pays this invoice, or takes its payment back."""
    invoice_id = reference(body.invoice_id, "invoice_id") or 0
    line = store.match_line(session, parse_id(line_id, "bank line"), invoice_id, caller.actor, now=given.clock())
    return _line_view(line)


@line_routes.post("/{line_id}/dismiss")
def dismiss_line(line_id: str, body: DismissIn, session: Db, caller: Who, given: Given) -> BankLineOut:
    line = store.dismiss_line(session, parse_id(line_id, "bank line"), body.reason, caller.actor, now=given.clock())
    return _line_view(line)


def _file_view(file: BankFile) -> BankFileOut:
    return BankFileOut(
        id=str(file.id), name=file.name, format=file.format, layout=file.layout, bank=file.bank, account=file.account,
        period_from=file.period_from, period_until=file.period_until, lines_new=file.lines_new,
        lines_repeated=file.lines_repeated, problems=file.problems.get("lines", []), imported_by=file.imported_by,
        imported_at=file.imported_at,
    )  # fmt: skip


def _line_view(line: BankFileLine) -> BankLineOut:
    return BankLineOut(
        id=str(line.id), file_id=str(line.file_id), number=line.number, kind=line.kind, status=line.status,
        paid_cents=line.paid_cents, interest_cents=line.interest_cents, discount_cents=line.discount_cents,
        fee_cents=line.fee_cents, occurred_on=line.occurred_on, credited_on=line.credited_on, document=line.document,
        payer_name=line.payer_name, memo=line.memo, reason=line.reason,
        suggestions=line.suggestions.get("invoices", []), invoice_id=text_id(line.invoice_id),
        payment_id=text_id(line.payment_id), decided_by=line.decided_by, decided_at=line.decided_at,
    )  # fmt: skip

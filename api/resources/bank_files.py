"""What banks send: return files, statements and CSVs; lines that wait for a person; what is missing."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import (
    Db,
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
from api.resources.views import text_id
from api.schemas import NO_NUL, Day, Flag, Input, Name, Number, Output, PageOf, Ref, Text
from billing_hooks import policies
from billing_hooks.bank_files import deciding, expected, mappings, preview, store, suggesting, working
from billing_hooks.bank_files.base import BankLine, Kind
from billing_hooks.bank_files.matching import Match
from billing_hooks.bank_files.spreadsheet import DEBIT_SIGNS, CsvMapping
from billing_hooks.bank_files.store import How
from billing_hooks.days import Calendar
from billing_hooks.invoicing.words import columns
from billing_hooks.models import BankFile, BankFileLine, BankFileStatus, BankLineStatus, BankMapping, ExpectedBankFile

file_routes = APIRouter(prefix="/bank-files", tags=["bank-files"])
line_routes = APIRouter(prefix="/bank-lines", tags=["bank-files"])
mapping_routes = APIRouter(prefix="/bank-mappings", tags=["bank-files"])
expected_routes = APIRouter(prefix="/expected-bank-files", tags=["bank-files"])

Word = Annotated[str, Query(min_length=1, max_length=200, pattern=NO_NUL)]
#: A bank's code in the clearing.
Bank = Annotated[str, Field(pattern="^[0-9]{3}$")]
BankWeekday = Annotated[int, Field(ge=0, le=4), Number]
#: A column by its name in the file's first line, or by its number from 1.
Column = Annotated[int, Field(ge=1, le=500), Number] | Name


class ProblemOut(Output):
    line: int
    field: str
    detail: str


class BankFileOut(Output):
    """`received`: stored, and not read yet; `read`: its lines are being done; `done`; `refused`: `problems` says why.

    `problems` else: the lines that could not be read; the others were taken. `lines`: of those that no earlier file
    held, how many are how far.
    """

    id: str
    name: str
    status: BankFileStatus
    format: str
    layout: str
    bank: str
    account: str
    written_on: date | None
    period_from: date | None
    period_until: date | None
    lines_new: int
    lines_repeated: int
    lines: dict[BankLineStatus, int]
    problems: list[ProblemOut]
    imported_by: str
    imported_at: datetime
    finished_at: datetime | None


class SuggestionOut(Output):
    """An invoice that a line might pay, and what speaks for it."""

    invoice_id: str
    customer: str
    amount_cents: int
    due_date: date
    reasons: list[str]
    reasons_pt: list[str]


class BankLineOut(Output):
    """Amounts in centavos. `suggestions`: the likeliest invoices of a line that waits, as they are now."""

    id: str
    file_id: str
    number: int
    kind: Kind
    status: BankLineStatus
    bank: str
    account: str
    title: str
    paid_cents: int
    interest_cents: int
    discount_cents: int
    fee_cents: int
    occurred_on: date | None
    credited_on: date | None
    due_on: date | None
    document: str
    reference: str
    payer_name: str
    memo: str
    method: str
    end_to_end_id: str
    reason: str | None
    reason_pt: str | None
    suggestions: list[SuggestionOut]
    invoice_id: str | None
    payment_id: str | None
    decided_by: str | None
    decided_at: datetime | None


class MatchIn(Input):
    invoice_id: Ref


class SamePaymentIn(Input):
    payment_id: Ref


class DismissIn(Input):
    reason: Text


class RetriedOut(Output):
    """How many lines are looked at again."""

    lines: int


class ColumnsIn(Input):
    """Money is one signed `amount`, or one whose direction stands in `sign`, or two columns, `credit` and `debit`.

    `invoice`: our invoice's number or reference; `document`: the boleto's document number; `entry_id`: the bank's own
    id of the entry.
    """

    date: Column
    amount: Column | None = None
    credit: Column | None = None
    debit: Column | None = None
    sign: Column | None = None
    entry_id: Column | None = None
    name: Column | None = None
    memo: Column | None = None
    payer_document: Column | None = None
    invoice: Column | None = None
    document: Column | None = None


class MappingIn(Input):
    """How a CSV of an account is written. `encoding` null: UTF-8 where it is that, else Windows-1252.

    `lines_before`: lines in front of the one with the columns' names; `named` false: there are no names, columns are
    numbers. `debit_signs`: what stands in the column `sign` of money that went out.
    """

    name: Name
    bank: Bank
    account: Name
    columns: ColumnsIn
    delimiter: Annotated[str, Field(min_length=1, max_length=1, pattern=NO_NUL)] = ";"
    encoding: Name | None = None
    date_format: Name = "%d/%m/%Y"
    decimal_comma: Flag = True
    debit_signs: list[Name] = Field(list(DEBIT_SIGNS), max_length=10)
    lines_before: Annotated[int, Field(ge=0, le=200), Number] = 0
    named: Flag = True


class MappingOut(Output):
    id: str
    name: str
    bank: str
    account: str
    columns: dict[str, int | str | None]
    delimiter: str
    encoding: str | None
    date_format: str
    decimal_comma: bool
    debit_signs: list[str]
    lines_before: int
    named: bool
    version: int


class PreviewLineOut(Output):
    """A line as it reads, and the invoice that it would pay; `reason`: why it names none."""

    number: int
    kind: Kind
    occurred_on: date | None
    paid_cents: int
    title: str
    payer_name: str
    memo: str
    document: str
    reference: str
    method: str
    invoice_id: str | None
    reason: str | None
    reason_pt: str | None


class PreviewOut(Output):
    lines: list[PreviewLineOut]
    problems: list[ProblemOut]


class ExpectedIn(Input):
    """A file for each of these weekdays (0 is Monday) that is a bank's day, by `hour` of the bank's next day.

    `since` null: from today on. A later day is how to say that the files of the days before it do not come.
    """

    bank: Bank
    account: Name
    weekdays: list[BankWeekday] = Field([0, 1, 2, 3, 4], min_length=1, max_length=5)
    hour: Annotated[int, Field(ge=0, le=23), Number] = 10
    since: Day | None = None


class ExpectedOut(Output):
    """`missing`: what of it is missing now, in words; `missing_pt` in Portuguese."""

    id: str
    bank: str
    account: str
    weekdays: list[int]
    hour: int
    since: date
    missing: str | None
    missing_pt: str | None
    version: int


async def file_body(request: Request) -> bytes:
    """The file itself, as the bank made it; read before a database connection is taken."""
    return await request.body()


FileBody = Annotated[bytes, Depends(file_body)]
_OCTETS = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}


@file_routes.get("")
def list_files(session: Db, _: Who, paged: Paged, status: BankFileStatus | None = None) -> PageOf[BankFileOut]:
    query = matching(select(BankFile), (BankFile.status, status))
    rows, cursor = list_page(session, query, BankFile.id, paged)
    return PageOf(items=_file_views(session, rows), next_cursor=cursor)


@file_routes.post("", status_code=201, openapi_extra=_OCTETS)
def import_file(
    body: FileBody, session: Db, caller: Who, given: Given, name: Word, layout: Word | None = None,
    account: Word | None = None, mapping_id: RefFilter = None,
) -> BankFileOut:  # fmt: skip
    """The file's octets as the body, 16 MiB at most. It is stored, and its lines are done within seconds: see `status`.

    The same file again is the first one; one that was refused is read again. `layout` or `mapping_id`: where the file
    does not say what it is; `account`: the agreement or account that it has to be of.
    """
    mapping = mappings.find_mapping(session, reference(mapping_id, "mapping_id") or 0) if mapping_id else None
    how = How(layout, mapping, account)
    file = store.receive(session, body, name=name, actor=caller.actor, now=given.clock(), how=how)
    return _file_views(session, [file])[0]


@file_routes.get("/{file_id}")
def get_file(file_id: str, session: Db, _: Who) -> BankFileOut:
    return _file_views(session, [store.get_file(session, parse_id(file_id, "bank file"))])[0]


@line_routes.get("")
def list_lines(
    session: Db, _: Who, given: Given, paged: Paged, file_id: RefFilter = None, status: BankLineStatus | None = None
) -> PageOf[BankLineOut]:
    """`status=waiting`: those that a person has to look at."""
    query = matching(
        select(BankFileLine), (BankFileLine.file_id, reference(file_id, "file_id")), (BankFileLine.status, status)
    )
    rows, cursor = list_page(session, query, BankFileLine.id, paged)
    return PageOf(items=_line_views(session, rows, given), next_cursor=cursor)


@line_routes.post("/retry")
def retry_lines(session: Db, _: Who, file_id: RefFilter = None) -> RetriedOut:
    """Look again at every line that waits, or at one file's. The newest are looked at every minute anyway."""
    return RetriedOut(lines=working.retry(session, reference(file_id, "file_id")))


@line_routes.get("/{line_id}")
def get_line(line_id: str, session: Db, _: Who, given: Given) -> BankLineOut:
    return _line_views(session, [deciding.get_line(session, parse_id(line_id, "bank line"))], given)[0]


@line_routes.post("/{line_id}/match")
def match_line(line_id: str, body: MatchIn, session: Db, caller: Who, given: Given) -> BankLineOut:
    """It pays this invoice, or takes its payment back."""
    invoice_id = reference(body.invoice_id, "invoice_id") or 0
    line = deciding.match_line(session, parse_id(line_id, "bank line"), invoice_id, caller.actor, now=given.clock())
    return _line_views(session, [line], given)[0]


@line_routes.post("/{line_id}/same-payment")
def same_payment(line_id: str, body: SamePaymentIn, session: Db, caller: Who, given: Given) -> BankLineOut:
    """It tells of a payment that a gateway or a person told of as well: the payment is one, and names both."""
    payment_id = reference(body.payment_id, "payment_id") or 0
    line = deciding.same_payment(session, parse_id(line_id, "bank line"), payment_id, caller.actor, now=given.clock())
    return _line_views(session, [line], given)[0]


@line_routes.post("/{line_id}/dismiss")
def dismiss_line(line_id: str, body: DismissIn, session: Db, caller: Who, given: Given) -> BankLineOut:
    line = deciding.dismiss_line(session, parse_id(line_id, "bank line"), body.reason, caller.actor, now=given.clock())
    return _line_views(session, [line], given)[0]


@mapping_routes.get("")
def list_mappings(session: Db, _: Who, paged: Paged) -> PageOf[MappingOut]:
    rows, cursor = list_page(session, select(BankMapping), BankMapping.id, paged)
    return PageOf(items=[_mapping_view(row) for row in rows], next_cursor=cursor)


@mapping_routes.post("", status_code=201, response_model=MappingOut)
def create_mapping(body: MappingIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    return once.created(_mapping_view(mappings.create_mapping(session, body.name, _mapping(body), caller.actor)))


@mapping_routes.get("/{mapping_id}")
def get_mapping(mapping_id: str, session: Db, _: Who, response: Response) -> MappingOut:
    return tagged(response, _mapping_view(_found_mapping(session, mapping_id)))


@mapping_routes.put("/{mapping_id}")
def replace_mapping(
    mapping_id: str, body: MappingIn, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> MappingOut:
    """For files that come from now on."""
    row = _found_mapping(session, mapping_id)
    check_version(row.version, if_match)
    return tagged(
        response, _mapping_view(mappings.replace_mapping(session, row, body.name, _mapping(body), caller.actor))
    )


@mapping_routes.delete("/{mapping_id}", status_code=204)
def delete_mapping(mapping_id: str, session: Db, caller: Who) -> None:
    mappings.delete_mapping(session, _found_mapping(session, mapping_id), caller.actor)


@mapping_routes.post("/{mapping_id}/preview", openapi_extra=_OCTETS)
def preview_file(mapping_id: str, body: FileBody, session: Db, _: Who) -> PreviewOut:
    """How the first fifty lines of a file read, and which invoices they would pay. Nothing is recorded."""
    found = preview.preview(session, body, mappings.from_body(_found_mapping(session, mapping_id).body))
    return PreviewOut(
        lines=[_preview_view(line, match) for line, match in found.lines],
        problems=[ProblemOut(**one._asdict()) for one in found.problems],
    )


@expected_routes.get("")
def list_expected(session: Db, _: Who, given: Given, paged: Paged) -> PageOf[ExpectedOut]:
    rows, cursor = list_page(session, select(ExpectedBankFile), ExpectedBankFile.id, paged)
    return PageOf(items=[_expected_view(session, row, given) for row in rows], next_cursor=cursor)


@expected_routes.post("", status_code=201, response_model=ExpectedOut)
def expect_file(body: ExpectedIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    row = expected.create_expectation(session, _expectation(body, given), caller.actor)
    return once.created(_expected_view(session, row, given))


@expected_routes.get("/{expected_id}")
def get_expected(expected_id: str, session: Db, _: Who, given: Given, response: Response) -> ExpectedOut:
    row = expected.get_expectation(session, parse_id(expected_id, "expected bank file"))
    return tagged(response, _expected_view(session, row, given))


@expected_routes.put("/{expected_id}")
def replace_expected(
    expected_id: str, body: ExpectedIn, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> ExpectedOut:  # fmt: skip
    row = expected.get_expectation(session, parse_id(expected_id, "expected bank file"))
    check_version(row.version, if_match)
    expected.replace_expectation(session, row, _expectation(body, given), caller.actor)
    return tagged(response, _expected_view(session, row, given))


@expected_routes.delete("/{expected_id}", status_code=204)
def delete_expected(expected_id: str, session: Db, caller: Who) -> None:
    row = expected.get_expectation(session, parse_id(expected_id, "expected bank file"))
    expected.delete_expectation(session, row, caller.actor)


def _calendar(session: Session, given: Given) -> Calendar:
    return Calendar(policies.load_holidays(session, given.country), given.zone)


def _file_views(session: Session, files: list[BankFile]) -> list[BankFileOut]:
    counts = store.count_lines(session, [file.id for file in files])
    return [
        BankFileOut(
            id=str(file.id), name=file.name, status=file.status, format=file.format, layout=file.layout,
            bank=file.bank, account=file.account, written_on=file.written_on, period_from=file.period_from,
            period_until=file.period_until, lines_new=file.lines_new, lines_repeated=file.lines_repeated,
            lines=counts[file.id], problems=file.problems.get("lines", []), imported_by=file.imported_by,
            imported_at=file.imported_at, finished_at=file.finished_at,
        )
        for file in files
    ]  # fmt: skip


def _line_views(session: Session, lines: list[BankFileLine], given: Given) -> list[BankLineOut]:
    calendar = _calendar(session, given)
    return [_line_view(line, _suggestions(session, line, calendar)) for line in lines]


def _suggestions(session: Session, line: BankFileLine, calendar: Calendar) -> list[SuggestionOut]:
    if line.status is not BankLineStatus.WAITING:
        return []
    return [
        SuggestionOut(
            invoice_id=str(one.invoice.id), customer=one.invoice.payer_name, amount_cents=one.invoice.amount_cents,
            due_date=one.invoice.due_on, reasons=[words.en for words in one.reasons],
            reasons_pt=[words.pt for words in one.reasons],
        )
        for one in suggesting.suggest(session, line, lambda day: not calendar.banks_open(day))
    ]  # fmt: skip


def _line_view(line: BankFileLine, suggestions: list[SuggestionOut]) -> BankLineOut:
    return BankLineOut(
        id=str(line.id), file_id=str(line.file_id), number=line.number, kind=line.kind, status=line.status,
        bank=line.bank, account=line.account, title=line.title, paid_cents=line.paid_cents,
        interest_cents=line.interest_cents, discount_cents=line.discount_cents, fee_cents=line.fee_cents,
        occurred_on=line.occurred_on, credited_on=line.credited_on, due_on=line.due_on, document=line.document,
        reference=line.reference, payer_name=line.payer_name, memo=line.memo, method=line.method,
        end_to_end_id=line.end_to_end_id, reason=line.reason, reason_pt=line.reason_pt, suggestions=suggestions,
        invoice_id=text_id(line.invoice_id), payment_id=text_id(line.payment_id), decided_by=line.decided_by,
        decided_at=line.decided_at,
    )  # fmt: skip


def _found_mapping(session: Session, mapping_id: str) -> BankMapping:
    return mappings.get_mapping(session, parse_id(mapping_id, "bank mapping"))


def _mapping(body: MappingIn) -> CsvMapping:
    values: dict[str, Any] = body.model_dump(exclude={"name", "columns"}) | body.columns.model_dump()
    return mappings.from_body(values)


def _mapping_view(row: BankMapping) -> MappingOut:
    columns = {name: row.body[name] for name in ColumnsIn.model_fields}
    rest = {name: value for name, value in row.body.items() if name not in columns}
    return MappingOut(id=str(row.id), name=row.name, columns=columns, version=row.version, **rest)


def _preview_view(line: BankLine, match: Match) -> PreviewLineOut:
    reason = match.reason if match.invoice_id is None else None
    return PreviewLineOut(
        number=line.number, kind=line.kind, occurred_on=line.occurred_on, paid_cents=line.paid_cents, title=line.title,
        payer_name=line.payer_name, memo=line.memo, document=line.document, reference=line.reference,
        method=line.method, invoice_id=text_id(match.invoice_id), reason=reason.en if reason else None,
        reason_pt=reason.pt if reason else None,
    )  # fmt: skip


def _expectation(body: ExpectedIn, given: Given) -> dict[str, Any]:
    today = given.today()
    return body.model_dump() | {"since": body.since or today}


def _expected_view(session: Session, row: ExpectedBankFile, given: Given) -> ExpectedOut:
    missing = expected.missing_of(session, row, _calendar(session, given), given.clock())
    return ExpectedOut(
        id=str(row.id), bank=row.bank, account=row.account, weekdays=row.weekdays, hour=row.hour, since=row.since,
        version=row.version, **columns("missing", missing),
    )  # fmt: skip

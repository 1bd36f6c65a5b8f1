"""Statements and payment lists as CSV, by a mapping that says where what stands. Pure.

A spreadsheet has no end mark, so a last line without its line end may be half of one: it is named and not taken.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from billing_hooks.bank_files.base import (
    BankFileMalformed,
    BankLine,
    BankRows,
    Problem,
    Unreadable,
    cents_in_bounds,
    clean,
    day,
    decode,
    end_to_end_id_in,
    ended,
    is_number,
    plain_document,
)
from billing_hooks.bank_files.ofx import bank_code, is_balance, kind_of, method_of, synthetic_id
from core.errors import InvalidInput

#: A column by its name in the first line, or by its number from 1.
Column = str | int

#: Its day is no month and its year no day, so a format that mixes them up does not read it back.
_SOME_DAY: Final = datetime(2026, 12, 31)  # noqa: DTZ001

DEBIT_SIGNS: Final = ("D", "-", "DÉBITO", "DEBITO")
_ROLES: Final = (
    "date", "amount", "credit", "debit", "sign", "entry_id", "name", "memo", "payer_document", "invoice", "document",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """How one bank's or program's CSV is written.

    Money is one signed `amount`, or an amount whose sign stands in `sign` ("D" or any of `debit_signs`: out), or two
    columns, `credit` and `debit`. `invoice` names the column with our invoice's number or reference, `document` one
    with the document number of the boleto, `entry_id` the bank's own id of the entry. `bank` and `account` say whose
    statement it is, which a CSV does not.
    """

    date: Column
    bank: str
    account: str
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
    delimiter: str = ";"
    #: None: UTF-8, else Windows-1252.
    encoding: str | None = None
    date_format: str = "%d/%m/%Y"
    decimal_comma: bool = True
    debit_signs: tuple[str, ...] = DEBIT_SIGNS
    #: Lines in front of the one with the names; a file without names is mapped by numbers.
    lines_before: int = 0
    named: bool = True

    def check(self) -> None:
        """Raises InvalidInput for a mapping that reads nothing, naming its field."""
        two = self.credit is not None and self.debit is not None
        if (self.amount is not None) == two or (self.amount is None and (self.credit is None) != (self.debit is None)):
            raise InvalidInput("give `amount`, or both `credit` and `debit`", field="columns.amount")
        if self.sign is not None and self.amount is None:
            raise InvalidInput("is of `amount`, which is not mapped", field="columns.sign")
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\x00':
            raise InvalidInput("is one character", field="delimiter")
        if not _reads_days(self.date_format):
            raise InvalidInput(f"{self.date_format[:40]!r} tells no day; %d/%m/%Y does", field="date_format")
        if self.encoding is not None and not _is_encoding(self.encoding):
            raise InvalidInput(f"there is no encoding {self.encoding[:40]}", field="encoding")
        for role in _ROLES:
            self._check_column(role)
        if not self.account or not self.bank:
            raise InvalidInput("say whose statement it is", field="bank" if self.account else "account")

    def _check_column(self, role: str) -> None:
        column: Column | None = getattr(self, role)
        if isinstance(column, int) and column < 1:
            raise InvalidInput("columns are counted from 1", field=f"columns.{role}")
        if isinstance(column, str) and not self.named:
            raise InvalidInput("a file without names is mapped by numbers", field=f"columns.{role}")


def _reads_days(date_format: str) -> bool:
    try:
        return datetime.strptime(_SOME_DAY.strftime(date_format), date_format) == _SOME_DAY  # noqa: DTZ007
    except ValueError:
        return False


def _is_encoding(name: str) -> bool:
    try:
        b"ab".decode(name, "replace")
    except (LookupError, ValueError):
        return False
    return True


def read(octets: bytes, mapping: CsvMapping) -> BankRows:
    """Raises BankFileMalformed with line and column, and InvalidInput for the mapping."""
    mapping.check()
    text = decode(octets, mapping.encoding)
    lines: list[BankLine] = []
    problems: list[Problem] = []
    alike: Counter[tuple[str, ...]] = Counter()
    places: Mapping[str, int] | None = None
    for number, row in _rows(text, mapping, problems):
        if places is None:
            places = _places(row, number, mapping)
            if mapping.named:
                continue
        try:
            line = _line(_Cells(row, places, mapping), number, mapping, alike)
        except Unreadable as unreadable:
            problems.append(Problem(number, unreadable.field, unreadable.detail))
            continue
        if line is not None:
            lines.append(line)
    if places is None:
        raise BankFileMalformed("the file has no rows", line=1, field="file")
    return BankRows(
        format="csv", layout="csv", bank=bank_code(mapping.bank), account=mapping.account, lines=tuple(lines),
        problems=tuple(sorted(problems)),
    )  # fmt: skip


def _rows(text: str, mapping: CsvMapping, problems: list[Problem]) -> Sequence[tuple[int, list[str]]]:
    """Rows that hold anything, each with the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mapping.delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    began = 1
    try:
        for row in reader:
            if began > mapping.lines_before and any(cell.strip() for cell in row):
                rows.append((began, row))
            began = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(began, "row", f"{error}: nothing after it was read"))
        return rows
    if rows and not ended(text) and not (mapping.named and len(rows) == 1):
        number, _ = rows.pop()
        problems.append(Problem(number, "row", "the last line has no line end and may be half of one: end it"))
    return rows


def _places(row: Sequence[str], number: int, mapping: CsvMapping) -> dict[str, int]:
    """Where each role's cell is in a row, from 0."""
    names = [clean(cell).lower() for cell in row]
    places: dict[str, int] = {}
    for role in _ROLES:
        column: Column | None = getattr(mapping, role)
        if isinstance(column, int):
            places[role] = column - 1
        elif column is not None:
            if clean(column).lower() not in names:
                detail = f"there is no column {column!r}; there are {', '.join(clean(one) for one in row)[:200]}"
                raise BankFileMalformed(detail, line=number, field=column)
            places[role] = names.index(clean(column).lower())
    return places


class _Cells:
    def __init__(self, row: Sequence[str], places: Mapping[str, int], mapping: CsvMapping) -> None:
        self._row = row
        self._places = places
        self._mapping = mapping

    def column(self, role: str) -> str:
        """What a person calls this column."""
        return str(getattr(self._mapping, role))

    def text(self, role: str) -> str:
        place = self._places.get(role)
        if place is None:
            return ""
        if place >= len(self._row):
            raise Unreadable(self.column(role), f"the line has {len(self._row)} columns")
        return clean(self._row[place])

    def cents(self, role: str) -> int:
        text = self.text(role)
        plain = text.replace("R$", "").replace(" ", "")
        if plain.endswith("-"):
            plain = "-" + plain[:-1]
        thousands, mark = (".", ",") if self._mapping.decimal_comma else (",", ".")
        whole, found, decimals = plain.partition(mark)
        digits = whole.removeprefix("-").removeprefix("+").replace(thousands, "")
        if not is_number(digits) or (found and not (is_number(decimals) and len(decimals) <= 2)):
            raise Unreadable(self.column(role), f"{text[:40]!r} is no amount with a decimal {mark!r}")
        amount = int(digits) * 100 + int(decimals.ljust(2, "0") or "0")
        return cents_in_bounds(-amount if whole.startswith("-") else amount, self.column(role))


def _line(cells: _Cells, number: int, mapping: CsvMapping, alike: Counter[tuple[str, ...]]) -> BankLine | None:
    """None for a balance."""
    name, memo = cells.text("name"), cells.text("memo")
    said = f"{name} {memo}".strip()
    if is_balance(said):
        return None
    posted_on = _day(cells, mapping)
    amount_cents = _amount(cells, mapping)
    entry_id = cells.text("entry_id")
    end_to_end_id = end_to_end_id_in(" ".join((entry_id, cells.text("invoice"), cells.text("document"), said)))
    if not entry_id.strip("0"):
        entry_id = synthetic_id(alike, mapping.account, posted_on, amount_cents, said)
    return BankLine(
        number=number,
        kind=kind_of(amount_cents, said),
        bank=bank_code(mapping.bank),
        account=mapping.account,
        title=entry_id,
        paid_cents=amount_cents,
        occurred_on=posted_on,
        credited_on=posted_on,
        document=cells.text("document"),
        reference=cells.text("invoice"),
        payer_name=name,
        payer_document=plain_document(cells.text("payer_document")),
        memo=memo,
        method=method_of(said, end_to_end_id),
        end_to_end_id=end_to_end_id,
    )


def _day(cells: _Cells, mapping: CsvMapping) -> date:
    text = cells.text("date")
    try:
        found = datetime.strptime(text, mapping.date_format)  # noqa: DTZ007  (a day has no zone)
    except ValueError:
        raise Unreadable(cells.column("date"), f"{text[:40]!r} is not written as {mapping.date_format}") from None
    return day(found.year, found.month, found.day, cells.column("date"))


def _amount(cells: _Cells, mapping: CsvMapping) -> int:
    if mapping.amount is None:
        money_in = cells.cents("credit") if cells.text("credit") else 0
        money_out = cells.cents("debit") if cells.text("debit") else 0
        if (money_in != 0) == (money_out != 0):
            raise Unreadable(cells.column("credit"), "needs an amount either here or in the column of debits")
        return money_in - abs(money_out)
    amount = cells.cents("amount")
    goes_out = mapping.sign is not None and cells.text("sign").upper() in mapping.debit_signs
    return -abs(amount) if goes_out else amount

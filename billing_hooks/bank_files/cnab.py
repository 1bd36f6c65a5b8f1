"""CNAB return files, 240 and 400 columns: one engine for every layout. Pure.

A file is taken whole or not at all where its frame is concerned: header first, trailer last, every record of the
layout's length, sequence numbers without a gap, and the trailers' counts. So no cut, however it falls, leaves half of a
file behind. A line whose fields cannot be read becomes a Problem, and the others are given.

Lines may lack the blanks that an editor cut off their ends; they are put back. Blank lines count for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from billing_hooks.bank_files.base import (
    PAYS,
    BankFileMalformed,
    BankLine,
    BankRows,
    Kind,
    Problem,
    TextLine,
    Unreadable,
    cents_in_bounds,
    clean,
    day,
    decode,
    is_number,
    plain_document,
    same_account,
    same_document,
    text_lines,
)
from billing_hooks.bank_files.layouts import Field, Layout, Record, layout_for

LENGTHS: Final = (240, 400)
#: DDMMAA: no bank file is older than this, and none is from further ahead than the same century's end.
CENTURY_PIVOT: Final = 80
#: Where each length has the bank's code in its first record.
_BANK_COLUMNS: Final = {240: slice(0, 3), 400: slice(76, 79)}


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the file, filled up with blanks, and the record that it is; None: one that tells us nothing."""

    number: int
    text: str
    record: Record | None

    def is_a(self, name: str) -> bool:
        return self.record is not None and self.record.name == name


def layout_of(octets: bytes) -> Layout | None:
    """The layout of the bank that the file names; None for a file that is no CNAB return of a bank we have."""
    first = next(text_lines(decode(octets)), None)
    if first is None:
        return None
    lengths = [length for length in LENGTHS if len(first.text.rstrip(" ")) <= length]
    found = (layout_for(first.text[_BANK_COLUMNS[length]], length) for length in lengths)
    return next((layout for layout in found if layout is not None and _is_header(layout, first.text)), None)


def read(octets: bytes, layout: Layout) -> BankRows:
    """Raises BankFileMalformed with line and field."""
    rows = [_row(line, layout) for line in text_lines(decode(octets))]
    _check_frame(rows, layout)
    _check_sequence(rows, layout)
    _check_batches(rows, layout)
    _check_trailer(rows, layout)
    return _rows_of(rows, layout)


def _is_header(layout: Layout, text: str) -> bool:
    header = layout.records["header"]
    return len(text.rstrip(" ")) <= layout.length and header.is_this(text.ljust(layout.length))


def _row(line: TextLine, layout: Layout) -> _Row:
    text = line.text.rstrip(" ").ljust(layout.length)
    if len(text) > layout.length:
        detail = f"has {len(text)} columns; {layout.name} has {layout.length}"
        raise BankFileMalformed(detail, line=line.number, field="length")
    if "\x00" in text:
        raise BankFileMalformed("holds a zero octet", line=line.number, field="record")
    record = next((one for one in layout.records.values() if one.is_this(text)), None)
    return _Row(line.number, text, record)


def _check_frame(rows: Sequence[_Row], layout: Layout) -> None:
    if not rows:
        raise BankFileMalformed("the file is empty", line=1, field="header")
    if not rows[0].is_a("header"):
        raise BankFileMalformed(f"is no header of {layout.name}", line=rows[0].number, field="header")
    _check_must(rows[0])
    if len(rows) == 1 or not rows[-1].is_a("trailer"):
        raise BankFileMalformed("is no trailer: the file is cut", line=rows[-1].number, field="trailer")
    _check_must(rows[-1])
    for row in rows[1:-1]:
        if row.is_a("header") or row.is_a("trailer"):
            raise BankFileMalformed("two files in one: send each by itself", line=row.number, field="record")


def _check_must(row: _Row) -> None:
    assert row.record is not None  # noqa: S101  (the frame was looked at)
    for columns, wanted in row.record.must:
        found = columns.of(row.text)
        if found != wanted:
            where = f"columns {columns.first} to {columns.last} say {found!r}, not {wanted!r}"
            raise BankFileMalformed(f"{where}: no return file of this layout", line=row.number, field=row.record.name)


def _check_sequence(rows: Sequence[_Row], layout: Layout) -> None:
    """Records are numbered from 1, in a batched file in each batch anew."""
    expected = 1
    for row in rows:
        if layout.batched and row.is_a("batch_header"):
            expected = 1
        if not all(columns.of(row.text) == wanted for columns, wanted in layout.sequence_where):
            continue
        written = layout.sequence.of(row.text)
        if not is_number(written) or int(written) != expected:
            detail = f"is {written!r} where {expected} comes: a line is missing, or the file was changed"
            raise BankFileMalformed(detail, line=row.number, field="sequence")
        expected += 1


def _check_batches(rows: Sequence[_Row], layout: Layout) -> None:
    """Every batch is closed by its trailer, which counts its records."""
    if not layout.batched:
        return
    opened: int | None = None
    for place, row in enumerate(rows):
        if row.is_a("batch_header"):
            if opened is not None:
                raise BankFileMalformed("opens a batch in a batch", line=row.number, field="batch_header")
            opened = place
        elif row.is_a("batch_trailer"):
            if opened is None:
                raise BankFileMalformed("closes no batch", line=row.number, field="batch_trailer")
            _check_batch_count(row, place - opened + 1, layout)
            opened = None
        elif opened is None and row not in (rows[0], rows[-1]):
            raise BankFileMalformed("stands in no batch", line=row.number, field="record")
    if opened is not None:
        raise BankFileMalformed("the last batch is not closed: the file is cut", line=rows[-1].number, field="trailer")


def _check_batch_count(trailer: _Row, records: int, layout: Layout) -> None:
    right = {"all": records, "between": records - 2}
    allowed = {right[way] for way in layout.batch_counts}
    written = _count(trailer, "records")
    if written not in allowed:
        raise BankFileMalformed(f"counts {written} records of {records}", line=trailer.number, field="batch_trailer")


def _check_trailer(rows: Sequence[_Row], layout: Layout) -> None:
    trailer = rows[-1]
    if layout.batched:
        batches = sum(row.is_a("batch_header") for row in rows)
        _expect(trailer, "batches", batches)
        _expect(trailer, "records", len(rows))
        return
    details = [row for row in rows if row.is_a(layout.details[0])]
    if trailer.record is not None and "records" in trailer.record.fields:
        _expect(trailer, "records", len(details))
    for counted in layout.occurrence_counts:
        occurrence = layout.records[layout.details[0]].fields["occurrence"].columns
        found = sum(occurrence.of(row.text) in counted.codes for row in details)
        written = counted.columns.of(trailer.text)
        if not is_number(written) or int(written) != found:
            detail = f"counts {written!r} of occurrence {', '.join(sorted(counted.codes))}, there are {found}"
            raise BankFileMalformed(detail, line=trailer.number, field="trailer")


def _expect(row: _Row, field: str, wanted: int) -> None:
    written = _count(row, field)
    if written != wanted:
        raise BankFileMalformed(f"counts {written} {field}, there are {wanted}", line=row.number, field="trailer")


def _count(row: _Row, field: str) -> int:
    assert row.record is not None  # noqa: S101  (asked of a trailer)
    written = row.record.fields[field].columns.of(row.text)
    if not is_number(written):
        raise BankFileMalformed(f"{written!r} is no count of {field}", line=row.number, field=row.record.name)
    return int(written)


def _rows_of(rows: Sequence[_Row], layout: Layout) -> BankRows:
    header = _Reader((rows[0],))
    bank, account = header.text("bank"), _account(header)
    company_document = header.document("company_document")
    lines: list[BankLine] = []
    problems: list[Problem] = []
    for batch, parts in _details(rows, layout, problems):
        try:
            reader = _Reader(parts)
            company_document = company_document or reader.document("company_document")
            lines.append(_line(reader, layout, bank, _account_of(batch, account), company_document))
        except Unreadable as unreadable:
            problems.append(Problem(parts[0].number, unreadable.field, unreadable.detail))
    return BankRows(
        format=f"cnab{layout.length}", layout=layout.name, bank=bank, account=account, lines=tuple(lines),
        problems=tuple(sorted(problems)), company_document=company_document, written_on=_written_on(header),
    )  # fmt: skip


def _written_on(header: _Reader) -> date | None:
    """For show, and to know which file is missing: a day that cannot be read is none."""
    try:
        return header.day("written_on")
    except Unreadable:
        return None


def _details(
    rows: Sequence[_Row], layout: Layout, problems: list[Problem]
) -> Iterator[tuple[_Row | None, tuple[_Row, ...]]]:
    """The batch's header, where there are batches, and the records that make a line together.

    One that stands without its fellow is a problem of its own.
    """
    batch: _Row | None = None
    pending: list[_Row] = []
    for row in rows:
        batch = row if row.is_a("batch_header") else batch
        if row.record is None or row.record.name not in layout.details:
            if pending and layout.batched and row.is_a("batch_trailer"):
                problems.append(_alone(pending.pop(), layout))
            continue
        if row.record.name != layout.details[len(pending)]:
            problems.extend(_alone(one, layout) for one in pending)
            pending = []
        if row.record.name != layout.details[len(pending)]:
            problems.append(_alone(row, layout))
            continue
        pending.append(row)
        if len(pending) == len(layout.details):
            yield batch, tuple(pending)
            pending = []


def _alone(row: _Row, layout: Layout) -> Problem:
    assert row.record is not None  # noqa: S101  (only details are pending)
    return Problem(row.number, row.record.name, f"stands alone; {' and '.join(layout.details)} make a line together")


def _line(reader: _Reader, layout: Layout, bank: str, account: str, company_document: str) -> BankLine:
    _check_parts(reader, company_document)
    occurrence = reader.text("occurrence")
    kind = _kind(reader, layout, occurrence)
    line = BankLine(
        number=reader.number,
        kind=kind,
        bank=bank,
        account=account,
        title=_title(reader),
        occurrence=occurrence,
        paid_cents=_paid(reader, layout),
        nominal_cents=reader.cents("nominal"),
        interest_cents=reader.cents("interest") + reader.cents("fine"),
        discount_cents=reader.cents("discount"),
        rebate_cents=reader.cents("rebate"),
        fee_cents=reader.cents("fee"),
        net_cents=_net(reader, layout),
        occurred_on=reader.day("occurred_on"),
        credited_on=reader.day("credited_on"),
        due_on=reader.day("due_on"),
        document=reader.text("document"),
        reference=reader.text("reference"),
        payer_name=reader.text("payer_name"),
        payer_document=reader.document("payer_document"),
        memo=reader.text("reasons"),
        boleto_key=_boleto_key(reader, layout),
    )
    if kind in PAYS | {Kind.REVERSED} and line.occurred_on is None:
        raise Unreadable("occurred_on", "a payment needs its day")
    return line


def _check_parts(reader: _Reader, company_document: str) -> None:
    """Both segments tell of one movement, and the line is of the company that the file is of."""
    codes = reader.all_of("occurrence")
    if len(codes) > 1:
        raise Unreadable("occurrence", f"its two segments say {' and '.join(sorted(codes))}")
    own = reader.document("company_document")
    if own and not same_document(own, company_document):
        raise Unreadable("company_document", f"is of {own}, the file of {company_document}")


def _kind(reader: _Reader, layout: Layout, occurrence: str) -> Kind:
    kind = layout.occurrences.get(occurrence, Kind.OTHER)
    at_notary = kind is Kind.PAID and reader.text("reasons")[:2] in layout.notary_reasons
    return Kind.PAID_AT_NOTARY if at_notary else kind


def _paid(reader: _Reader, layout: Layout) -> int:
    paid = reader.cents("paid")
    return paid + reader.cents("fee") if layout.paid_less_fee and paid else paid


def _net(reader: _Reader, layout: Layout) -> int | None:
    if layout.paid_less_fee:
        return reader.cents("paid") or None
    return reader.cents("net") or None


def _title(reader: _Reader) -> str:
    """The bank's number, else ours: a line has to be known by something."""
    title = reader.text("title")
    return title if title.strip("0") else reader.text("document") or reader.text("reference")


def _boleto_key(reader: _Reader, layout: Layout) -> str:
    """The digits by which the title's number stands in a bar code; empty where it is not of that length."""
    if layout.boleto is None:
        return ""
    key = layout.boleto.title.of(reader.text("title"))
    wanted = layout.boleto.title.last - layout.boleto.title.first + 1
    return key if is_number(key) and len(key) == wanted and key.strip("0") else ""


def _account(header: _Reader) -> str:
    """Agreement, agency and account as far as the layout has them, without the zeros in front."""
    parts = (header.text(name) for name in ("agreement", "agency", "account"))
    return "/".join(stripped for part in parts if (stripped := part.lstrip("0 ")))


def _account_of(batch: _Row | None, account: str) -> str:
    """The file's, unless the batch says another: titles of two agreements may have one number."""
    named = _account(_Reader((batch,))) if batch is not None else ""
    return account if not named or same_account(named, account) else named


class _Reader:
    """The fields of the records that make one line. Raises Unreadable for a field that is none."""

    def __init__(self, parts: tuple[_Row, ...]) -> None:
        self.parts = parts
        self.number = parts[0].number
        self._fields: dict[str, tuple[Field, str]] = {}
        for part in parts:
            assert part.record is not None  # noqa: S101  (these were known by their records)
            for name, field in part.record.fields.items():
                self._fields.setdefault(name, (field, field.columns.of(part.text)))

    def text(self, name: str) -> str:
        _, raw = self._raw(name)
        return clean(raw)

    def all_of(self, name: str) -> set[str]:
        """What stands in a field's columns, in each of the records."""
        field, _ = self._raw(name)
        return {field.columns.of(part.text) for part in self.parts} if field is not None else set()

    def document(self, name: str) -> str:
        return plain_document(self.text(name))

    def cents(self, name: str) -> int:
        _, raw = self._raw(name)
        if not raw.strip(" "):
            return 0
        if not is_number(raw):
            raise Unreadable(name, f"{clean(raw)!r} is no amount in centavos")
        return cents_in_bounds(int(raw), name)

    def day(self, name: str) -> date | None:
        field, raw = self._raw(name)
        if not raw.strip(" 0"):
            return None
        if field is None or not is_number(raw):
            raise Unreadable(name, f"{clean(raw)!r} is no day")
        return _DAYS[field.form](raw, name)

    def _raw(self, name: str) -> tuple[Field | None, str]:
        return self._fields.get(name, (None, ""))


def _short_day(raw: str, name: str) -> date:
    year = int(raw[4:6])
    return day((2000 if year < CENTURY_PIVOT else 1900) + year, int(raw[2:4]), int(raw[:2]), name)


_DAYS: Final[dict[str, Callable[[str, str], date]]] = {
    "DDMMAA": _short_day,
    "DDMMAAAA": lambda raw, name: day(int(raw[4:8]), int(raw[2:4]), int(raw[:2]), name),
    "AAAAMMDD": lambda raw, name: day(int(raw[:4]), int(raw[4:6]), int(raw[6:8]), name),
}

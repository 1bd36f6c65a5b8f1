"""What readers of bank files give: lines about titles (boletos), entries of statements, and what was wrong. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import quote

from billing_hooks.gateways.reading import CENTS_MAX, YEAR_MAX, YEAR_MIN
from core.errors import InvalidInput

#: A day of a large provider's boletos has two or three megabytes.
OCTETS_MAX: Final = 16 * 1024 * 1024
#: Of a name, a memo and the like: no bank's field is longer.
TEXT_LENGTH_MAX: Final = 255

#: BCB, "API Pix": E, the ISPB's 8 digits, yyyyMMddHHmm in UTC, and 11 letters or digits.
_END_TO_END_ID: Final = re.compile(r"(?<![A-Za-z0-9])E[0-9]{20}[A-Za-z0-9]{11}(?![A-Za-z0-9])")
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
#: How a ZIP archive and a gzip file begin.
_PACKED: Final = (b"PK\x03\x04", b"\x1f\x8b")

_LINE_END: Final = re.compile("\r\n|\n|\r")
#: What no printed field holds; PostgreSQL stores no NUL.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Kind(StrEnum):
    """What a line says. Banks have dozens of occurrences; these are the ones that change something here."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    PAID = "paid"
    PAID_AT_NOTARY = "paid_at_notary"
    #: The payment was taken back: a returned cheque, an "estorno".
    REVERSED = "reversed"
    #: Written off: nobody can pay it any more.
    CANCELLED = "cancelled"
    FEE_ONLY = "fee_only"
    #: A statement's money in and money out.
    CREDIT = "credit"
    DEBIT = "debit"
    OTHER = "other"


#: Kinds by which money came in.
PAYS: Final = frozenset({Kind.PAID, Kind.PAID_AT_NOTARY, Kind.CREDIT})


class Problem(NamedTuple):
    """A line that could not be read; the others were."""

    line: int
    field: str
    detail: str


class BankFileMalformed(InvalidInput):
    """Not the file that its layout describes: cut, out of sequence, or no such file. `line` counts from 1."""

    def __init__(self, detail: str, *, line: int, field: str) -> None:
        super().__init__(f"line {line}, {field}: {detail}", field=field)
        self.problem = Problem(line, field, detail)

    @property
    def line(self) -> int:
        return self.problem.line


class BankFileOfAnother(BankFileMalformed):
    """Well formed, and somebody else's: another company's document, or another account or agreement."""


class Unreadable(Exception):
    """A field that is not what it should be; whoever knows the line makes a Problem of it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


@dataclass(frozen=True, slots=True)
class BankLine:
    """One title's occurrence, or one entry of a statement. Amounts in centavos.

    `number` is the line in the file. `title` is the bank's own number of the title ("nosso número"), or a statement's
    id of the entry (FITID). `document` and `reference` are what we told the bank to give back; a statement has them
    only where its mapping names such a column. `paid_cents` is what the payer paid, interest and fine included,
    discount and rebate taken off; of a statement it is the entry, negative where money went out.
    """

    number: int
    kind: Kind
    bank: str
    account: str
    title: str
    occurrence: str = ""
    paid_cents: int = 0
    nominal_cents: int = 0
    interest_cents: int = 0
    discount_cents: int = 0
    rebate_cents: int = 0
    fee_cents: int = 0
    #: What came to the account, where the file says it.
    net_cents: int | None = None
    occurred_on: date | None = None
    credited_on: date | None = None
    due_on: date | None = None
    document: str = ""
    reference: str = ""
    payer_name: str = ""
    payer_document: str = ""
    check_number: str = ""
    memo: str = ""
    method: str = "boleto"
    #: Of a Pix, by which it is known in every bank ("E" and 31 characters); a statement may have it in its text.
    end_to_end_id: str = ""
    #: How the title's number stands in its bar code, where the layout knows: see `layouts.Boleto`.
    boleto_key: str = ""

    @property
    def identity(self) -> str:
        """By which the same line is known in every file that holds it.

        Of a statement's entry what it says is a part: several banks give one id to several entries of a day.
        """
        day = self.occurred_on.isoformat() if self.occurred_on else ""
        parts = [self.bank, self.account, self.title, self.occurrence, day, str(self.paid_cents)]
        if not self.occurrence:
            parts.append(hashlib.sha256(f"{self.payer_name}\n{self.memo}".encode()).hexdigest()[:12])
        return "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True)
class BankRows:
    """A file as it was read. `layout` is a CNAB layout's name, else the format's."""

    format: str
    layout: str
    bank: str
    account: str
    lines: tuple[BankLine, ...]
    problems: tuple[Problem, ...] = ()
    company_document: str = ""
    #: The day on which the bank wrote it, where it says that.
    written_on: date | None = None
    period_from: date | None = None
    period_until: date | None = None

    @property
    def period(self) -> tuple[date | None, date | None]:
        """The first and the last day of which it tells: as it says itself, else by its lines."""
        days = [line.occurred_on for line in self.lines if line.occurred_on is not None]
        first, last = (min(days), max(days)) if days else (None, None)
        return self.period_from or first, self.period_until or last


class TextLine(NamedTuple):
    number: int
    text: str


def end_to_end_id_in(text: str) -> str:
    """The first that a text holds, else nothing."""
    found = _END_TO_END_ID.search(text)
    return found[0] if found is not None else ""


def decode(octets: bytes, encoding: str | None = None) -> str:
    """UTF-8 where it is that, else Windows-1252: what a header says of the encoding is wrong as often as right.

    UTF-16 is known by its byte order mark: spreadsheets save "Unicode text" so. Such a mark, and the Ctrl-Z that old
    systems end a text with, are none of it.
    """
    if len(octets) > OCTETS_MAX:
        raise BankFileMalformed(f"has {len(octets)} octets; the most is {OCTETS_MAX}", line=1, field="file")
    if octets.startswith(_PACKED):
        raise BankFileMalformed("is a packed archive: unpack it and send each file of it", line=1, field="file")
    return _text(octets, encoding).removeprefix("\ufeff").rstrip("\x1a")


def text_lines(text: str) -> Iterator[TextLine]:
    """The lines that hold anything, with their numbers: CRLF, LF and CR end one, and the last may end with none."""
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line.strip(" \x1a"):
            yield TextLine(number, line)


def ended(text: str) -> bool:
    """Whether the last line has its end."""
    return not text or text[-1] in "\r\n"


def clean(text: str) -> str:
    """Text that can be stored and shown: no control characters, single spaces, of bounded length."""
    return " ".join(_CONTROL.sub(" ", text).split())[:TEXT_LENGTH_MAX]


def digits_of(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def is_number(text: str) -> bool:
    """Plain digits; str.isdigit takes other scripts' too."""
    return text.isascii() and text.isdigit()


def cents_in_bounds(amount: int, field: str) -> int:
    if abs(amount) >= CENTS_MAX:
        raise Unreadable(field, "is more money than there is")
    return amount


def day(year: int, month: int, day_: int, field: str) -> date:
    try:
        on = date(year, month, day_)
    except ValueError:
        raise Unreadable(field, f"{day_:02}/{month:02}/{year} is no day") from None
    if not YEAR_MIN <= on.year <= YEAR_MAX:
        raise Unreadable(field, f"{year} is no year of ours")
    return on


def plain_document(text: str) -> str:
    """A CPF or CNPJ out of a field of 14 or 15 columns: zeros in front are the field's, letters are the CNPJ's own.

    IN RFB 2.229/2024: a CNPJ has letters and digits, so nothing here asks for a number.
    """
    plain = "".join(character for character in text.upper() if character.isascii() and character.isalnum())
    stripped = plain.lstrip("0")
    if not stripped:
        return ""
    return stripped.zfill(11 if len(stripped) <= 11 else 14)


def same_document(one: str, other: str) -> bool:
    """Whether two are one, however many zeros a field put in front."""
    return plain_document(one).lstrip("0") == plain_document(other).lstrip("0")


def same_account(one: str, other: str) -> bool:
    """Whether two write one agreement, agency and account: dots, dashes and the zeros in front are nothing."""
    return _plain_account(one) == _plain_account(other)


def _plain_account(account: str) -> list[str]:
    parts = ("".join(filter(str.isalnum, part)).lstrip("0") for part in account.upper().split("/"))
    return [part for part in parts if part]


def _text(octets: bytes, encoding: str | None) -> str:
    if encoding is not None:
        try:
            return octets.decode(encoding)
        except (LookupError, UnicodeError):
            raise BankFileMalformed(f"is not {encoding}", line=1, field="encoding") from None
    if octets.startswith(_UTF_16):
        return octets.decode("utf-16", "replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return octets.decode("cp1252")
    except UnicodeDecodeError:  # five octets mean nothing there; latin-1 knows all
        return octets.decode("latin-1")

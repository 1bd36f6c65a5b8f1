"""Which invoice a line pays, where something proves it; what it might pay, where nothing does.

Proof is the bank's number of the title, as the invoice's own external id (gateway "bank:<code>") or in its boleto
line; our reference ("provedor-123"); or a document number that is an invoice's id, of this amount and due on this day.
What speaks against it, such as another payer's document or another amount, leaves the line to a person.

The invoices that a file could mean are read with a few questions for the whole file.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from difflib import SequenceMatcher
from typing import Any, Final
from unicodedata import combining, normalize

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.base import BankLine, BankRows, Kind, is_number, same_document
from billing_hooks.bank_files.cnab import boleto_key
from billing_hooks.bank_files.layouts import Layout, layouts
from billing_hooks.gateways.base import OUR_REFERENCE, invoice_of_reference
from billing_hooks.models import BankFileLine
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.party import Contract, Customer

#: How far from its due date an invoice may lie to be thought of.
NEAR: Final = timedelta(days=45)
SUGGESTIONS_MAX: Final = 5
#: Names that are alike to this ratio are suggested: "MARIA DA CONCEICAO SIL" of "Maria da Conceição Silva".
ALIKE_MIN: Final = 0.8
#: Of invoices of one amount that are due at about the same time; a provider's plans make many.
_LOOKED_AT_MAX: Final = 500

_REFERENCE: Final = re.compile(rf"(?<![\w-]){re.escape(OUR_REFERENCE)}(\d{{1,18}})(?!\d)")
_ID_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Known:
    """What of an invoice is compared."""

    id: int
    amount_cents: int
    due_on: date
    payer_name: str
    payer_document: str


@dataclass(frozen=True, slots=True)
class Match:
    """The invoice, or why there is none that is proved."""

    invoice_id: int | None
    reason: str = ""


@dataclass(slots=True)
class Candidates:
    """Invoices that the lines of a file name, by what they name them with."""

    by_id: Mapping[int, Known] = field(default_factory=dict)
    by_number: Mapping[str, set[int]] = field(default_factory=dict)
    by_boleto: Mapping[str, set[int]] = field(default_factory=dict)


def gateway_name(bank: str) -> str:
    """The gateway of what a bank tells in files: of payments, and of invoices whose boletos are the bank's own."""
    return f"bank:{bank}"


def candidates(session: Session, rows: BankRows) -> Candidates:
    numbers = _by_number(session, rows)
    boletos = _by_boleto(session, rows)
    ids = {one for line in rows.lines for one in _ids_named(line)}
    for found in (numbers, boletos):
        ids.update(*found.values())
    return Candidates(_known(session, ids), numbers, boletos)


def match(line: BankLine, among: Candidates) -> Match:
    """The one invoice that the line proves to pay."""
    named, how = _named(line, among)
    if not named:
        return Match(None, "no invoice has this number or reference")
    if len(named) > 1:
        return Match(None, f"{how} names the invoices {', '.join(map(str, sorted(named)))}")
    (invoice_id,) = named
    objection = _objection(line, among.by_id[invoice_id], how)
    return Match(None, objection) if objection else Match(invoice_id)


def paid_elsewhere(session: Session, invoice_id: int, line: BankLine) -> str | None:
    """Why a person should look first: this money may be here, told by something else than this title's lines."""
    of_title = select(BankFileLine.payment_id).where(
        BankFileLine.bank == line.bank,
        BankFileLine.account == line.account,
        BankFileLine.title == line.title,
        BankFileLine.payment_id.is_not(None),
    )
    same = select(Payment).where(
        Payment.invoice_id == invoice_id,
        Payment.amount_cents == line.paid_cents,
        Payment.reversed_at.is_(None),
        Payment.id.not_in(of_title),
    )
    payment = session.scalar(same.limit(1))
    if payment is None:
        return None
    return f"invoice {invoice_id} has a payment of this amount already, from {payment.gateway or 'a person'}"


def suggest(session: Session, line: BankLine) -> list[dict[str, Any]]:
    """Open invoices that the line might pay, or paid ones whose payment it might take back; the likeliest first."""
    scored = [
        (score, known.id, reasons) for known in _near(session, line) for score, reasons in [_likeness(line, known)]
    ]
    best = sorted((one for one in scored if one[0] > 0), key=lambda one: (-one[0], one[1]))
    return [{"invoice_id": id_, "reasons": reasons} for _, id_, reasons in best[:SUGGESTIONS_MAX]]


def _named(line: BankLine, among: Candidates) -> tuple[set[int], str]:
    """The invoices that the strongest proof names, and which that is."""
    by_number = set[int]().union(*(among.by_number.get(number, set()) for number in numbers_of(line)))
    if by_number:
        return by_number & among.by_id.keys(), "the title's number"
    by_boleto = among.by_boleto.get(line.boleto_key, set()) if line.boleto_key else set()
    if by_boleto:
        return by_boleto & among.by_id.keys(), "the boleto"
    by_reference = {one for one in _references(line) if one in among.by_id}
    if by_reference:
        return by_reference, "the reference"
    return {one for one in _document_ids(line) if one in among.by_id}, "the document number"


def _objection(line: BankLine, known: Known, how: str) -> str | None:
    if line.payer_document and known.payer_document and not same_document(line.payer_document, known.payer_document):
        return f"{how} names invoice {known.id}, whose payer has another document"
    if line.nominal_cents and line.nominal_cents != known.amount_cents:
        return f"{how} names invoice {known.id}, whose amount is another"
    if not line.occurrence and line.paid_cents != known.amount_cents:
        return f"{how} names invoice {known.id}, whose amount is another"
    if how == "the document number":
        return _bare_number_objection(line, known)
    return None


def _bare_number_objection(line: BankLine, known: Known) -> str | None:
    """A number alone may be any program's: it counts for an invoice's id where the rest is the invoice's too."""
    amount_cents = line.nominal_cents or line.paid_cents
    if amount_cents != known.amount_cents or (line.due_on is not None and line.due_on != known.due_on):
        return f"the document number is that of invoice {known.id}, of another amount or day"
    return None


def numbers_of(line: BankLine) -> set[str]:
    """How an invoice's external id may write the title's number: as the file does, and without zeros or check digit."""
    if not line.occurrence:  # a statement's entry: its id is no title's
        return set()
    written = {line.title, line.boleto_key} - {""}
    return {number for one in written for number in (one, one.lstrip("0")) if number}


def _ids_named(line: BankLine) -> set[int]:
    return _references(line) | _document_ids(line)


def _references(line: BankLine) -> set[int]:
    told = [invoice_of_reference(text) for text in (line.reference, line.document)]
    found = {int(one) for one in _REFERENCE.findall(f"{line.memo} {line.payer_name}")} if not line.occurrence else set()
    return {one for one in (*told, *found) if one is not None}


def _document_ids(line: BankLine) -> set[int]:
    """Numbers that could be an invoice's id; a reference that is a bare number is one too."""
    texts = (line.document, line.reference)
    numbers = {int(text) for text in texts if is_number(text) and len(text) <= 25}
    return {number for number in numbers if 0 < number <= _ID_MAX}


def _by_number(session: Session, rows: BankRows) -> dict[str, set[int]]:
    numbers = {number for line in rows.lines for number in numbers_of(line)}
    found: dict[str, set[int]] = defaultdict(set)
    for chunk in _chunks(sorted(numbers)):
        query = select(Invoice.external_id, Invoice.id).where(
            Invoice.external_gateway == gateway_name(rows.bank), Invoice.external_id.in_(chunk)
        )
        for number, invoice_id in session.execute(query):
            found[number or ""].add(invoice_id)
    return found


def _by_boleto(session: Session, rows: BankRows) -> dict[str, set[int]]:
    """By what a boleto says of its title. An invoice's boleto is of its own amount, and due at about its own day."""
    titles = [line for line in rows.lines if line.boleto_key]
    layout = layouts().get(rows.layout)
    if layout is None or not titles:
        return {}
    due = sorted(on for line in titles if (on := line.due_on or line.occurred_on) is not None)
    if not due:
        return {}
    query = select(Invoice.id, Invoice.boleto_line).where(
        Invoice.boleto_line.is_not(None),
        Invoice.due_date.between(due[0] - NEAR, due[-1] + NEAR),
        Invoice.amount_cents.in_({line.nominal_cents for line in titles}),
    )
    return _keyed(
        layout, {line.boleto_key for line in titles}, [(id_, text or "") for id_, text in session.execute(query)]
    )


def _keyed(layout: Layout, wanted: set[str], found: Iterable[tuple[int, str]]) -> dict[str, set[int]]:
    keyed: dict[str, set[int]] = defaultdict(set)
    for invoice_id, boleto_line in found:
        key = boleto_key(layout, boleto_line)
        if key in wanted:
            keyed[key].add(invoice_id)
    return keyed


def _known(session: Session, ids: Iterable[int]) -> dict[int, Known]:
    found: dict[int, Known] = {}
    for chunk in _chunks(sorted(ids)):
        found |= {known.id: known for known in _invoices(session, Invoice.id.in_(chunk))}
    return found


def _near(session: Session, line: BankLine) -> list[Known]:
    """Invoices of this amount due at about this time, and all of a payer whom the line names by document or name."""
    about = line.due_on or line.occurred_on
    amounts = {line.nominal_cents, abs(line.paid_cents)} - {0}
    ways: list[Any] = []
    if about is not None and amounts:
        ways.append(and_(Invoice.amount_cents.in_(amounts), Invoice.due_date.between(about - NEAR, about + NEAR)))
    if line.payer_document:
        stripped = line.payer_document.lstrip("0")
        ways.append(Customer.document.in_([stripped.zfill(11), stripped.zfill(14)]))
    if line.payer_name:
        ways.append(Customer.name == line.payer_name)
    status = InvoiceStatus.PAID if line.kind is Kind.REVERSED else InvoiceStatus.OPEN
    return _invoices(session, Invoice.status == status, or_(*ways)) if ways else []


def _invoices(session: Session, *where: Any) -> list[Known]:  # noqa: ANN401
    query = (
        select(Invoice.id, Invoice.amount_cents, Invoice.due_date, Customer.name, Customer.document)
        .join(Contract, Contract.id == Invoice.contract_id)
        .join(Customer, Customer.id == Contract.payer_id)
        .where(*where)
        .order_by(Invoice.due_date, Invoice.id)
        .limit(_LOOKED_AT_MAX)
    )
    return [Known(*row[:4], row[4] or "") for row in session.execute(query)]


def _likeness(line: BankLine, known: Known) -> tuple[float, list[str]]:
    score = 0.0
    reasons: list[str] = []
    if known.amount_cents in {line.nominal_cents, abs(line.paid_cents)}:
        score, reasons = score + 2, [*reasons, "same amount"]
    about = line.due_on or line.occurred_on
    days = abs((known.due_on - about).days) if about is not None else None
    if days is not None and days <= NEAR.days:
        said = "due on this day" if days == 0 else f"due {days} days from it"
        score, reasons = score + 1 - days / 60, [*reasons, said]
    if line.payer_document and same_document(line.payer_document, known.payer_document):
        score, reasons = score + 4, [*reasons, "same payer document"]
    said = line.payer_name or ("" if line.occurrence else line.memo)  # a title's memo is the bank's reasons
    ratio = alike(said, known.payer_name)
    if ratio >= ALIKE_MIN:
        score, reasons = score + 2 * ratio, [*reasons, f"the name is {ratio:.0%} alike"]
    certain = len([one for one in reasons if not one.startswith("due")])
    return (score, reasons) if certain else (0.0, [])


def alike(said: str, name: str) -> float:
    """How alike two names are, from 0 to 1: without case and accents; a name that a bank cut off is its whole."""
    one, other = _plain_name(said), _plain_name(name)
    if len(one) < 3 or len(other) < 3:
        return 0.0
    if other in one:
        return 1.0
    shorter = min(len(one), len(other))
    cut = SequenceMatcher(None, one[:shorter], other[:shorter]).ratio() if shorter >= 15 else 0.0
    return max(cut, SequenceMatcher(None, one, other).ratio())


def _plain_name(name: str) -> str:
    decomposed = normalize("NFKD", name)
    return " ".join("".join(one for one in decomposed if not combining(one)).upper().split())


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """As many as one question takes."""
    return (values[start : start + _LOOKED_AT_MAX] for start in range(0, len(values), _LOOKED_AT_MAX))

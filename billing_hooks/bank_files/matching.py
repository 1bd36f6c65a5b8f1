"""Which invoice a line pays, where something proves it, and why not, where nothing does. Pure.

Proof is the bank's number of the title, as the invoice's own external id (gateway "bank:<code>") or in its boleto
line; our reference ("provedor-123", or "FATURA123" of a static Pix code); or a document number that is an invoice's
id, of this amount and due on this day. What speaks against it, such as another payer's document or another amount,
leaves the line to a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from billing_hooks.bank_files.base import BankLine, is_number, same_document
from billing_hooks.gateways.base import OUR_REFERENCE, OUR_TXID, invoice_of_reference
from billing_hooks.invoicing.late import Debt, LateTerms, Parts, amount_due
from billing_hooks.invoicing.words import Words

_REFERENCE: Final = re.compile(rf"(?<![\w-])(?:{re.escape(OUR_REFERENCE)}|{OUR_TXID})(\d{{1,18}})(?!\d)")
_ID_MAX: Final = (1 << 63) - 1
_NUMBER: Final = Words("o número do título", "the title's number")
_BOLETO: Final = Words("o boleto", "the boleto")
_OUR_REFERENCE: Final = Words("a referência", "the reference")
_DOCUMENT: Final = Words("o número do documento", "the document number")
_NO_PARTS: Final = Parts()
UNKNOWN: Final = Words("nenhuma fatura tem este número ou referência", "no invoice has this number or reference")


@dataclass(frozen=True, slots=True)
class Known:
    """What of an invoice is compared."""

    id: int
    amount_cents: int
    due_on: date
    payer_name: str
    payer_document: str
    #: Of what is paid late, or early.
    terms: LateTerms = field(default_factory=LateTerms)


@dataclass(frozen=True, slots=True)
class Match:
    """The invoice, or why there is none that is proved. `parts`: of a statement's entry."""

    invoice_id: int | None
    reason: Words = UNKNOWN
    parts: Parts = _NO_PARTS


@dataclass(slots=True)
class Candidates:
    """Invoices that some lines name: by their id, and by bank and number of the title, or the bar code's part of it."""

    by_id: Mapping[int, Known] = field(default_factory=dict)
    by_number: Mapping[tuple[str, str], set[int]] = field(default_factory=dict)
    by_boleto: Mapping[tuple[str, str], set[int]] = field(default_factory=dict)

    def numbered(self, line: BankLine) -> set[int]:
        """By the title's number."""
        return set[int]().union(*(self.by_number.get((line.bank, number), set()) for number in numbers_of(line)))


def match(line: BankLine, among: Candidates) -> Match:
    """The one invoice that the line proves to pay."""
    named, how = _named(line, among)
    if not named:
        return Match(None)
    if len(named) > 1:
        ids = ", ".join(map(str, sorted(named)))
        return Match(None, Words(f"{how.pt} indica as faturas {ids}", f"{how.en} names the invoices {ids}"))
    known = among.by_id[next(iter(named))]
    objection = _objection(line, known, is_bare=how is _DOCUMENT)
    if objection is None:
        return Match(known.id, parts=parts_in(line, known))
    return Match(None, Words(
        f"{how.pt} indica a fatura {known.id}, {objection.pt}", f"{how.en} names invoice {known.id}, {objection.en}"
    ))  # fmt: skip


def numbers_of(line: BankLine) -> set[str]:
    """How an invoice's external id may write the title's number: as the file does, and without zeros or check digit."""
    if not line.occurrence:  # a statement's entry: its id is no title's
        return set()
    written = {line.title, line.boleto_key} - {""}
    return {number for one in written for number in (one, one.lstrip("0")) if number}


def ids_named(line: BankLine) -> set[int]:
    """Invoices' ids that it may mean."""
    return _references(line) | _document_ids(line)


def parts_in(line: BankLine, known: Known) -> Parts:
    """Of a statement's entry: a static Pix code asks for the amount of its day, and the statement says the sum only."""
    if line.nominal_cents or line.occurrence or line.occurred_on is None:
        return _NO_PARTS
    owed = amount_due(Debt(known.amount_cents, known.due_on, known.terms), line.occurred_on, lambda _: False)
    return owed.parts_of(line.paid_cents)


def _named(line: BankLine, among: Candidates) -> tuple[set[int], Words]:
    """The invoices that the strongest proof names, and which that is."""
    by_number = among.numbered(line)
    if by_number:
        return by_number & among.by_id.keys(), _NUMBER
    by_boleto = among.by_boleto.get((line.bank, line.boleto_key), set()) if line.boleto_key else set()
    if by_boleto:
        return by_boleto & among.by_id.keys(), _BOLETO
    by_reference = _references(line) & among.by_id.keys()
    if by_reference:
        return by_reference, _OUR_REFERENCE
    return _document_ids(line) & among.by_id.keys(), _DOCUMENT


def _objection(line: BankLine, known: Known, *, is_bare: bool) -> Words | None:
    """What speaks against it. A bare number may be any program's: it counts where the rest is the invoice's too."""
    if line.payer_document and known.payer_document and not same_document(line.payer_document, known.payer_document):
        return Words("cujo pagador tem outro documento", "whose payer has another document")
    parts = parts_in(line, known)
    told_cents = line.nominal_cents or line.paid_cents - parts.late_cents + parts.discount_cents
    if told_cents != known.amount_cents and (line.nominal_cents or is_bare or not line.occurrence):
        return Words("de outro valor", "of another amount")
    if is_bare and line.due_on is not None and line.due_on != known.due_on:
        return Words("de outro vencimento", "due on another day")
    return None


def _references(line: BankLine) -> set[int]:
    told = [invoice_of_reference(text) for text in (line.reference, line.document)]
    found = {int(one) for one in _REFERENCE.findall(f"{line.memo} {line.payer_name}")} if not line.occurrence else set()
    return {one for one in (*told, *found) if one is not None}


def _document_ids(line: BankLine) -> set[int]:
    """Numbers that could be an invoice's id; a reference that is a bare number is one too."""
    texts = (line.document, line.reference)
    numbers = {int(text) for text in texts if is_number(text) and len(text) <= 25}
    return {number for number in numbers if 0 < number <= _ID_MAX}

"""Invoices that a waiting line might pay, or paid ones whose payment it might take back, for a person to choose from.

They are looked for when somebody looks: an invoice that is paid by now is none, one that came since is. What speaks for
one is the payer's document or name, the amount (of the invoice, or with fine and interest up to that day), and the
due date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final
from unicodedata import combining, normalize

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.base import BankLine, Kind, plain_document, same_document
from billing_hooks.bank_files.facts import NEAR, known_invoices
from billing_hooks.bank_files.matching import Known, ids_named
from billing_hooks.bank_files.working import as_read
from billing_hooks.invoicing.late import Debt, IsHoliday, amount_due
from billing_hooks.invoicing.words import Words, money
from billing_hooks.models import BankFileLine
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Contract, Customer

SUGGESTIONS_MAX: Final = 5
#: Names that are alike to this ratio are suggested: "MARIA DA CONCEICAO SIL" of "Maria da Conceição Silva".
ALIKE_MIN: Final = 0.8
#: Of invoices of one amount that are due at about the same time; a provider's plans make many.
_LOOKED_AT_MAX: Final = 500
#: Of a name, as much as no bank cuts off.
_NAME_BEGINS: Final = 15
#: How far another's rounding of fine and interest may be from ours.
_ROUNDING_CENTS: Final = 5
#: What a debt grows to in the time that is looked at: 2% and 1.5%, and something to spare.
_GROWS_TO: Final = 1.1
#: A CPF or CNPJ in a text, with its punctuation or without.
_DOCUMENT: Final = re.compile(
    r"(?<![\d.])(\d{3}\.?\d{3}\.?\d{3}-?\d{2}|[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?\d{2})(?![\d.])"
)
_ACCENTS: Final = ("ÁÀÂÃÄÉÈÊËÍÌÎÏÓÒÔÕÖÚÙÛÜÇÑ", "AAAAAEEEEIIIIOOOOOUUUUCN")


#: What speaks for an invoice, and how much.
_Reasons = list[tuple[float, Words]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    invoice: Known
    reasons: Sequence[Words]


def suggest(session: Session, line: BankFileLine, is_holiday: IsHoliday) -> list[Suggestion]:
    """The likeliest first."""
    read = as_read(line)
    scored = [(*likeness(read, known, is_holiday), known) for known in _near(session, read)]
    best = sorted((one for one in scored if one[1]), key=lambda one: (-one[0], one[2].id))
    return [Suggestion(known, reasons) for _, reasons, known in best[:SUGGESTIONS_MAX]]


def likeness(line: BankLine, known: Known, is_holiday: IsHoliday) -> tuple[float, list[Words]]:
    """How much speaks for this invoice, and what. Nothing where only the due date does. Pure."""
    found = _by_payer(line, known) + _by_amount(line, known, is_holiday) + _by_reference(line, known)
    if not found:
        return 0.0, []
    found += _by_day(line, known)
    return sum(weight for weight, _ in found), [words for _, words in found]


def _by_payer(line: BankLine, known: Known) -> _Reasons:
    found: _Reasons = []
    if known.payer_document and any(same_document(one, known.payer_document) for one in _documents(line)):
        found.append((4, Words("o mesmo documento do pagador", "same payer document")))
    ratio = alike(_name_said(line), known.payer_name)
    if ratio >= ALIKE_MIN:
        found.append((2 * ratio, Words(f"nome {ratio:.0%} parecido", f"the name is {ratio:.0%} alike")))
    return found


def _by_amount(line: BankLine, known: Known, is_holiday: IsHoliday) -> _Reasons:
    paid_cents = abs(line.paid_cents)
    if known.amount_cents in {line.nominal_cents, paid_cents}:
        return [(2, Words("o mesmo valor", "same amount"))]
    if line.occurred_on is None:
        return []
    due = amount_due(Debt(known.amount_cents, known.due_on, known.terms), line.occurred_on, is_holiday)
    if abs(due.total_cents - paid_cents) > _ROUNDING_CENTS or due.total_cents == known.amount_cents:
        return []
    said = money(known.amount_cents)
    if due.discount_cents:
        return [(1.8, Words(f"o valor daquele dia: {said} com o desconto",
                            f"the amount of that day: {said} with the discount"))]  # fmt: skip
    return [(1.8, Words(f"o valor daquele dia: {said} com multa e juros",
                        f"the amount of that day: {said} with fine and interest"))]  # fmt: skip


def _by_reference(line: BankLine, known: Known) -> _Reasons:
    named = known.id in ids_named(line)
    return [(3, Words("o número da fatura está na linha", "the line has the invoice's number"))] if named else []


def _by_day(line: BankLine, known: Known) -> _Reasons:
    about = line.due_on or line.occurred_on
    days = abs((known.due_on - about).days) if about is not None else NEAR.days + 1
    if days > NEAR.days:
        return []
    said = Words(f"vence a {days} dias disso", f"due {days} days from it")
    return [(1 - days / 60, said if days else Words("vence neste dia", "due on this day"))]


def alike(said: str, name: str) -> float:
    """How alike two names are, from 0 to 1: without case and accents; a name that a bank cut off is its whole."""
    one, other = folded(said), folded(name)
    if len(one) < 3 or len(other) < 3 or not set(one.split()) & set(other.split()):
        return 0.0
    if other in one:
        return 1.0
    shorter = min(len(one), len(other))
    cut = SequenceMatcher(None, one[:shorter], other[:shorter]).ratio() if shorter >= _NAME_BEGINS else 0.0
    return max(cut, SequenceMatcher(None, one, other).ratio())


def folded(name: str) -> str:
    decomposed = normalize("NFKD", name)
    return " ".join("".join(one for one in decomposed if not combining(one)).upper().split())


def _name_said(line: BankLine) -> str:
    """A statement has the payer in its text; a title's memo is the bank's reasons."""
    return line.payer_name or ("" if line.occurrence else line.memo)


def _documents(line: BankLine) -> list[str]:
    said = [] if line.occurrence else _DOCUMENT.findall(f"{line.payer_name} {line.memo}".upper())
    return [one for one in (line.payer_document, *map(plain_document, said)) if one]


def _near(session: Session, line: BankLine) -> Iterable[Known]:
    """Invoices of such an amount due at about this time, all of a payer whom the line names, and what it refers to."""
    status = InvoiceStatus.PAID if line.kind is Kind.REVERSED else InvoiceStatus.OPEN
    found = [
        known_invoices(session, Invoice.status == status, way, limit=_LOOKED_AT_MAX) for way in _ways(session, line)
    ]
    return {known.id: known for page in found for known in page}.values()


def _ways(session: Session, line: BankLine) -> list[ColumnElement[bool]]:
    ways: list[ColumnElement[bool]] = []
    about, paid_cents = line.due_on or line.occurred_on, abs(line.paid_cents)
    if about is not None and (paid_cents or line.nominal_cents):
        amounts = or_(
            Invoice.amount_cents.in_({line.nominal_cents, paid_cents} - {0}),
            and_(Invoice.amount_cents.between(int(paid_cents / _GROWS_TO), paid_cents), Invoice.due_date < about),
            and_(Invoice.amount_cents - Invoice.early_discount_cents == paid_cents, Invoice.due_date >= about),
        )
        ways.append(and_(amounts, Invoice.due_date.between(about - NEAR, about + NEAR)))
    payers = _payers(session, line)
    if payers:
        ways.append(Customer.id.in_(payers))
    if ids_named(line):
        ways.append(Invoice.id.in_(ids_named(line)))
    return ways


def _payers(session: Session, line: BankLine) -> Sequence[int]:
    """Customers of this document, or whose name begins so."""
    documents = {written for one in _documents(line) for written in (one, one.lstrip("0").zfill(11), one.zfill(14))}
    wanted: list[ColumnElement[bool]] = [Customer.document.in_(documents)] if documents else []
    if len(folded(line.payer_name)) >= 3:
        name = func.translate(func.upper(Customer.name), *_ACCENTS)
        wanted.append(func.left(name, _NAME_BEGINS) == folded(line.payer_name)[:_NAME_BEGINS])
    if not wanted:
        return []
    payers = select(Customer.id).join(Contract, Contract.payer_id == Customer.id).where(or_(*wanted))
    return session.scalars(payers.distinct().limit(_LOOKED_AT_MAX)).all()

"""The same money, told by two: a gateway's webhook, and a line of the bank's file.

Two of one invoice and one amount are the same money where both have a Pix's endToEndId and these are equal; they are
two payments where these differ. Where one of them has none, they are the same if both came the same way (Pix, or
boleto) and within two days. Each payment is told once by each of the two, so a payer who pays twice by mistake is told
twice by one of them, and the second is another payment.

What is less certain than that is recorded as it was told, with the suspicion in words, for a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, auto
from typing import Final

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.base import PAYS, digits_of, end_to_end_id_in
from billing_hooks.gateways.reading import BRASILIA
from billing_hooks.invoicing.words import Words, day
from billing_hooks.models import BankFileLine
from core.models.billing import Invoice, Payment

#: How far apart the days may be that two say of one payment: a bank books what came in the evening on the next day.
NEAR: Final = timedelta(days=2)
#: How a boleto or a Pix may be told of as well: a boleto paid by its Pix code, a statement that says "transfer" only.
_ALIKE: Final = frozenset({"pix", "boleto", "transfer", "undefined", "unknown", "manual"})
BANK: Final = "bank:"


class Verdict(Enum):
    SAME = auto()
    PERHAPS = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Telling:
    """What somebody says of a payment. `boleto_bank`: the bank whose boleto was paid, where that is known."""

    amount_cents: int
    on: date
    method: str
    end_to_end_id: str = ""
    boleto_bank: str = ""


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A payment that was not taken back, and by whom it was told: a gateway, a bank's file, or neither, a person."""

    id: int
    telling: Telling
    gateway: str
    by_gateway: bool
    by_bank: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The payment that this is, or why it may be one of those there are."""

    payment_id: int | None = None
    doubt: Words | None = None


NOTHING: Final = Found()


def compare(one: Telling, other: Telling) -> Verdict:
    """Whether two who told of one invoice told of the same money. Pure."""
    if one.amount_cents != other.amount_cents:
        return Verdict.OTHER
    if one.end_to_end_id and other.end_to_end_id:
        return Verdict.SAME if one.end_to_end_id == other.end_to_end_id else Verdict.OTHER
    other_boleto = bool(one.boleto_bank and other.boleto_bank and one.boleto_bank != other.boleto_bank)
    if one.method == other.method and one.method in {"pix", "boleto"} and not other_boleto:
        return Verdict.SAME if abs(one.on - other.on) <= NEAR else Verdict.PERHAPS
    return Verdict.PERHAPS if {one.method, other.method} <= _ALIKE else Verdict.OTHER


def recognise(told: Telling, known: Sequence[KnownPayment], *, by_bank: bool) -> Found:
    """Which of an invoice's payments the other of the two tells of here: a bank's line, or else a gateway. Pure.

    Of several the nearest, so that two payments of a day and their two lines become two.
    """
    verdicts = [(payment, _compare(told, payment, by_bank=by_bank)) for payment in known]
    same = [payment for payment, verdict in verdicts if verdict is Verdict.SAME]
    if same:
        return Found(min(same, key=lambda one: (*_distance(told, one.telling), one.id)).id)
    perhaps = [payment for payment, verdict in verdicts if verdict is Verdict.PERHAPS]
    return Found(doubt=_doubt(perhaps[0])) if perhaps else NOTHING


def known_payments(session: Session, invoice_ids: Collection[int]) -> dict[int, list[KnownPayment]]:
    """Those of these invoices that were not taken back."""
    line = and_(BankFileLine.payment_id == Payment.id, BankFileLine.kind.in_(PAYS))
    rows = session.execute(
        select(Payment, BankFileLine.end_to_end_id, Invoice.boleto_line, Invoice.external_account_id)
        .join(Invoice, Invoice.id == Payment.invoice_id)
        .outerjoin(BankFileLine, line)
        .where(Payment.invoice_id.in_(invoice_ids), Payment.reversed_at.is_(None))
        .order_by(Payment.id)
    )
    found: dict[int, list[KnownPayment]] = defaultdict(list)
    for payment, end_to_end_id, boleto_line, account_id in rows:
        boleto = boleto_line if payment.account_id == account_id else None
        found[payment.invoice_id].append(_known(payment, end_to_end_id or "", boleto))
    return found


def told_by_gateway(
    invoice: Invoice, account_id: int, payment_id: str, amount_cents: int, paid_at: datetime, method: str
) -> Telling:
    """What an account of ours says of a payment of this invoice."""
    boleto = invoice.boleto_line if invoice.external_account_id == account_id else None
    return Telling(amount_cents, _day(paid_at), method, end_to_end_id_in(payment_id), _bank_of(boleto, method))


def _known(payment: Payment, end_to_end_id: str, boleto_line: str | None) -> KnownPayment:
    tellers = [one for one in (payment.gateway, payment.also_gateway) if one]
    banks = [one.removeprefix(BANK) for one in tellers if one.startswith(BANK)]
    telling = Telling(
        payment.amount_cents, _day(payment.paid_at), payment.method,
        end_to_end_id or end_to_end_id_in(payment.external_id or ""),
        banks[0] if banks and payment.method == "boleto" else _bank_of(boleto_line, payment.method),
    )  # fmt: skip
    return KnownPayment(payment.id, telling, payment.gateway or "", len(tellers) > len(banks), bool(banks))


def _bank_of(boleto_line: str | None, method: str) -> str:
    """The bank whose boleto this is: the first three digits of its line."""
    return digits_of(boleto_line or "")[:3] if method == "boleto" else ""


def _day(moment: datetime) -> date:
    return moment.astimezone(BRASILIA).date()


def _compare(told: Telling, payment: KnownPayment, *, by_bank: bool) -> Verdict:
    if told.amount_cents == payment.telling.amount_cents and not (payment.by_bank or payment.by_gateway):
        return Verdict.PERHAPS  # a person entered it, in words of his own
    verdict = compare(told, payment.telling)
    if verdict is Verdict.OTHER:
        return verdict
    if by_bank:  # two files of the bank, a return and a statement, may tell of one payment as well
        return verdict if payment.by_gateway and not payment.by_bank else Verdict.PERHAPS
    return Verdict.OTHER if payment.by_gateway else verdict  # gateways tell of each payment under one id


def _distance(one: Telling, other: Telling) -> tuple[bool, int]:
    return one.end_to_end_id != other.end_to_end_id, abs((one.on - other.on).days)


def _doubt(payment: KnownPayment) -> Words:
    by = payment.gateway or "a person"
    by_pt = payment.gateway or "uma pessoa"
    on = payment.telling.on
    return Words(
        f"pode ser o mesmo dinheiro do pagamento {payment.id}, do mesmo valor, informado por {by_pt} em "
        f"{day(on, 'pt_BR')} ({payment.telling.method})",
        f"it may be the money of payment {payment.id}, of the same amount, that {by} told on {day(on, 'en')} "
        f"({payment.telling.method})",
    )

"""What is done with a line, from what is known of it. Pure.

pay    it is a payment of this invoice
same   a gateway told of this very money before
wait   a person says what it is, for the reason that is given
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from billing_hooks.bank_files.base import PAYS, BankLine, Kind
from billing_hooks.bank_files.matching import UNKNOWN, Candidates, match
from billing_hooks.invoicing.words import Words
from billing_hooks.models import BankFileLine, BankLineStatus
from billing_hooks.same_money import Found, KnownPayment, Telling, recognise
from core.models.billing import Invoice, InvoiceStatus

#: A line of a day further ahead than this says something else than a payment that was made.
AHEAD_MAX: Final = timedelta(days=1)
CURRENCY: Final = "BRL"


#: Bank, account and number of a title; of a statement, of an entry.
Title = tuple[str, str, str]


class TitleLine(NamedTuple):
    """What another line of a title said, as far as it was taken."""

    id: int
    kind: Kind
    status: BankLineStatus
    occurrence: str
    paid_cents: int
    occurred_on: date | None
    payment_id: int | None
    decided_by: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    candidates: Candidates
    invoices: Mapping[int, Invoice]
    payments: Mapping[int, Sequence[KnownPayment]]
    titles: Mapping[Title, Sequence[TitleLine]]

    def of_title(self, line: BankLine) -> Sequence[TitleLine]:
        return self.titles.get(title_of(line), ()) if line.title else ()

    def told_elsewhere(self, line: BankLine, invoice_id: int) -> list[KnownPayment]:
        """Payments of the invoice that this title's own lines did not tell."""
        own = {one.payment_id for one in self.of_title(line) if one.kind in PAYS}
        return [payment for payment in self.payments.get(invoice_id, ()) if payment.id not in own]


def title_of(line: BankLine | BankFileLine) -> Title:
    return line.bank, line.account, line.title


@dataclass(frozen=True, slots=True)
class Pay:
    """`late_cents` and `discount_cents`: what of it is fine and interest, or was let off, where the line does not say
    so itself."""

    invoice_id: int
    late_cents: int = 0
    discount_cents: int = 0


@dataclass(frozen=True, slots=True)
class Same:
    invoice_id: int
    payment_id: int


@dataclass(frozen=True, slots=True)
class Wait:
    reason: Words


def judge_payment(line: BankLine, facts: Facts, today: date) -> Pay | Same | Wait:
    """Of a line by which money came in."""
    found = match(line, facts.candidates)
    if found.invoice_id is None:
        return Wait(found.reason)
    objection = _objection(line, facts.of_title(line), today)
    if objection is not None:
        return Wait(objection)
    told = told_before(line, facts, found.invoice_id)
    if told.payment_id is not None:
        return Same(found.invoice_id, told.payment_id)
    if told.doubt is not None:
        return Wait(
            Words(f"fatura {found.invoice_id}: {told.doubt.pt}", f"invoice {found.invoice_id}: {told.doubt.en}")
        )
    return _as_payment(line, facts, Pay(found.invoice_id, *found.parts))


def judge_reversal(line: BankLine, facts: Facts) -> Wait | None:
    """Of one that takes back nothing that its own title's lines brought. None: the payment may still come."""
    if not line.occurrence:
        return Wait(Words("nada diz qual pagamento isto devolve", "nothing says which payment this takes back"))
    invoice_id = match(line, facts.candidates).invoice_id
    if invoice_id is None:
        return None
    amounts = {0, abs(line.paid_cents)}
    others = [one for one in facts.told_elsewhere(line, invoice_id) if {one.telling.amount_cents, 0} & amounts - {0}]
    if not others:
        return None
    told = others[-1]
    return Wait(Words(
        f"indica a fatura {invoice_id}, cujo pagamento {told.id} foi informado por {told.gateway or 'uma pessoa'}: "
        "diga se é ele que isto devolve",
        f"names invoice {invoice_id}, whose payment {told.id} was told by {told.gateway or 'a person'}: "
        "say whether this takes it back",
    ))  # fmt: skip


def told_before(line: BankLine, facts: Facts, invoice_id: int) -> Found:
    assert line.occurred_on is not None  # noqa: S101  (readers give no payment without its day)
    bank = line.bank if line.method == "boleto" else ""
    telling = Telling(line.paid_cents, line.occurred_on, line.method, line.end_to_end_id, bank)
    return recognise(telling, facts.told_elsewhere(line, invoice_id), by_bank=True)


def _objection(line: BankLine, of_title: Sequence[TitleLine], today: date) -> Words | None:
    """Why a line that names an invoice is looked at by a person first."""
    if line.paid_cents <= 0:
        return Words("diz que foi pago, e nenhum valor", "says that it was paid, and no amount")
    if line.occurred_on is not None and line.occurred_on > today + AHEAD_MAX:
        return Words("está no futuro", "lies in the future")
    twin = _twin(line, of_title)
    if twin is None:
        return None
    return Words(
        f"o mesmo título foi pago com este valor neste dia pela ocorrência {twin}: pode ter sido informado duas vezes",
        f"the same title was paid with this amount on this day by occurrence {twin}: it may be told twice",
    )


def _twin(line: BankLine, of_title: Sequence[TitleLine]) -> str | None:
    """The occurrence of another line that could be this payment."""
    if not line.occurrence:
        return None
    alike = (line.paid_cents, line.occurred_on)
    twins = [
        one.occurrence
        for one in of_title
        if one.kind in PAYS and one.status is BankLineStatus.RECORDED and (one.paid_cents, one.occurred_on) == alike
    ]
    return twins[0] if twins else None


def _as_payment(line: BankLine, facts: Facts, pay: Pay) -> Pay | Wait:
    invoice_id = pay.invoice_id
    invoice = facts.invoices.get(invoice_id)
    if invoice is None:
        return Wait(UNKNOWN)
    if invoice.currency != CURRENCY:
        return Wait(Words(
            f"a fatura {invoice_id} é em {invoice.currency}", f"invoice {invoice_id} is in {invoice.currency}"
        ))  # fmt: skip
    if line.kind is Kind.CREDIT and invoice.status is not InvoiceStatus.OPEN:
        return Wait(Words(f"a fatura {invoice_id} não está aberta", f"invoice {invoice_id} is not open"))
    return pay


class Movement(NamedTuple):
    """A payment or a reversal of a title. `id` is the line's."""

    on: date
    amount_cents: int
    identity: str
    id: int


def pair_reversals(payments: Sequence[Movement], reversals: Sequence[Movement]) -> dict[int, int]:
    """Which reversal takes back which payment: the last one before it, of its amount where it has one.

    The same for the same lines in any order.
    """
    left = sorted(payments)
    pairs: dict[int, int] = {}
    for reversal in sorted(reversals):
        earlier = [one for one in left if one.on <= reversal.on and reversal.amount_cents in {0, one.amount_cents}]
        if earlier:
            pairs[reversal.id] = earlier[-1].id
            left.remove(earlier[-1])
    return pairs


@dataclass(frozen=True, slots=True)
class Parts:
    """Of what was paid: fine and interest, and what was let off. amount - surcharge + discount pays the invoice."""

    surcharge_cents: int
    discount_cents: int


def parts_of(line: BankLine) -> Parts:
    """What the bank says, where it adds up to what was paid; else no more of it than is over, or missing.

    So what was not asked for stays an overpayment, and what was not let off stays owed.
    """
    let_off = line.discount_cents + line.rebate_cents
    if not line.nominal_cents:
        return Parts(0, 0)
    if line.paid_cents == line.nominal_cents + line.interest_cents - let_off and line.interest_cents <= line.paid_cents:
        return Parts(line.interest_cents, let_off)
    over = line.paid_cents - line.nominal_cents
    return Parts(min(max(over, 0), line.interest_cents), min(max(-over, 0), let_off))

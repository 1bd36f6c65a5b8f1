"""How an invoice can be paid today, and the sheet that says so.

Who pays early pays less where his code asks for less: that of a charge with the discount, or the static code of a day
on which it is given. The sheet has the code of the whole amount, good on its due date, and that one beside it.

The codes on an invoice are those of the charge that was made last. While that charge is not due yet they are what the
payer uses, the charge of a second copy with its fine and interest. Where no gateway makes codes, a static Pix code is
written for the amount of the day. An invoice that is late and has neither is shown as it was made: whoever registered
its boleto adds what late payment costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.days import Holidays
from billing_hooks.gateways.base import our_txid
from billing_hooks.invoicing import br_code, words
from billing_hooks.invoicing.boleto_line import read_line
from billing_hooks.invoicing.late import AmountDue, Debt, SecondCopy, amount_due, payable_until
from billing_hooks.invoicing.lines import Kind, Line
from billing_hooks.invoicing.pdf import Party, Sheet
from billing_hooks.invoicing.period import Span
from billing_hooks.invoicing.words import Words
from billing_hooks.issuing import terms
from billing_hooks.issuing.kept import lines_of
from billing_hooks.issuing.owed import debt_of
from billing_hooks.models import (
    BilledPeriod,
    Charge,
    ChargeStatus,
    ContractBilling,
    DebtMessage,
    InvoicingTerms,
)
from core import payments
from core.errors import Conflict, InvalidInput
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Company, Contact, Contract, Customer
from core.models.service import Service

_CLOSED: Final = {
    InvoiceStatus.PAID: "Fatura paga. / Paid.",
    InvoiceStatus.CANCELLED: "Fatura cancelada. / Cancelled.",
    InvoiceStatus.REFUNDED: "Fatura estornada. / Refunded.",
}


@dataclass(frozen=True, slots=True)
class Payable:
    """What pays the invoice until the day `until`, and the codes that ask for exactly that."""

    amount: AmountDue
    until: date
    pix_code: str | None
    boleto_line: str | None
    url: str | None


def static_code(of: InvoicingTerms, invoice: Invoice, amount_cents: int) -> str | None:
    """None where the terms name no key. Its txid is the invoice, so that a statement's line finds it."""
    if not (of.pix_key and of.pix_name and of.pix_city):
        return None
    code = br_code.StaticCode(of.pix_key, of.pix_name, of.pix_city, amount_cents, our_txid(invoice.id))
    return br_code.encode(code)


def payable_on(session: Session, invoice: Invoice, today: date, holidays: Holidays) -> Payable:
    """Raises Conflict for an invoice that is not open."""
    if invoice.status is not InvoiceStatus.OPEN:
        raise Conflict(f"invoice {invoice.id} is {invoice.status.value}, not open")
    debt = _offered(session, invoice, today, holidays)
    charge = _live_charge(session, invoice, today)
    if charge is not None:
        amount, until = _asked_by(charge, debt, today, holidays)
        return Payable(amount, until, invoice.pix_code, invoice.boleto_line, invoice.url)
    is_late = today > payable_until(invoice.due_date, holidays.closes_banks)
    until = today if is_late else max(today, invoice.due_date)
    if debt.terms.discount_until is not None:
        until = max(today, debt.terms.discount_until)
    amount = amount_due(debt, until, holidays.closes_banks)
    code = static_code(terms_of(session, invoice.contract_id), invoice, amount.total_cents)
    if code is None and not is_late:
        code = invoice.pix_code
    return Payable(amount, until, code, None if is_late else invoice.boleto_line, invoice.url)


def _offered(session: Session, invoice: Invoice, today: date, holidays: Holidays) -> Debt:
    """With its discount while there is a code that gives it, or none at all: then it is paid to a person."""
    debt, charge = debt_of(session, invoice), _live_charge(session, invoice, today)
    until = debt.terms.discount_until
    if charge is not None:
        last = charge.early_discount_until
        return debt if last is not None and today <= last else debt.without_discount()
    if until is None or today > payable_until(until, holidays.closes_banks):
        return debt.without_discount()
    has_key = terms_of(session, invoice.contract_id).pix_key is not None
    has_code = invoice.pix_code is not None or invoice.boleto_line is not None
    return debt if has_key or not has_code else debt.without_discount()


def terms_of(session: Session, contract_id: int) -> InvoicingTerms:
    row = session.get(ContractBilling, contract_id)
    kind = session.scalars(
        select(Customer.kind).join(Contract, Contract.payer_id == Customer.id).where(Contract.id == contract_id)
    ).one()
    return terms.load(session).of(row.invoicing_terms_id if row else None, kind)


def sheet_of(session: Session, invoice: Invoice, today: date, zone: tzinfo, holidays: Holidays) -> Sheet:
    """What the payer sees. Raises Conflict where nobody can tell whose invoice it is."""
    contract = session.get_one(Contract, invoice.contract_id)
    row = session.scalar(select(BilledPeriod).where(BilledPeriod.invoice_id == invoice.id))
    issued_on = invoice.created_at.astimezone(zone).date()
    paid = payable_on(session, invoice, today, holidays) if invoice.status is InvoiceStatus.OPEN else None
    copy = _copy(session, invoice, paid)
    pix_code, boleto_line = (paid.pix_code, paid.boleto_line) if paid else (None, None)
    if paid is not None and copy is None and paid.until > invoice.due_date:  # late, and as it was made
        pix_code, boleto_line = invoice.pix_code, invoice.boleto_line
    debt = _offered(session, invoice, today, holidays)
    total_cents = copy.amount.total_cents if copy else debt.principal_cents
    early_code = pix_code if paid is not None and _is_less(pix_code, paid, total_cents) else None
    if early_code is not None:
        pix_code = static_code(terms_of(session, invoice.contract_id), invoice, total_cents)
    return Sheet(
        number=str(invoice.id), issued_on=issued_on, due_date=invoice.due_date,
        period=Span(row.start, row.end) if row else None, provider=_provider(session, contract),
        payer=_payer(session, contract), lines=_lines(session, invoice, row), terms=debt.terms,
        copy=copy, pix_code=_fitting_pix(pix_code, total_cents), early_pix_code=early_code,
        boleto_line=_fitting_boleto(boleto_line, total_cents, copy.due_date if copy else invoice.due_date),
        notice=_notice(session, invoice, terms_of(session, invoice.contract_id)),
    )  # fmt: skip


def _live_charge(session: Session, invoice: Invoice, today: date) -> Charge | None:
    """The one whose codes stand on the invoice, until it is due."""
    made = select(Charge).where(Charge.invoice_id == invoice.id, Charge.charge_id == invoice.external_id)
    charge = session.scalar(made.order_by(Charge.id.desc()).limit(1)) if invoice.external_id else None
    if charge is None or charge.status is not ChargeStatus.OPEN or charge.due_date < today:
        return None
    return charge


def _asked_by(charge: Charge, debt: Debt, today: date, holidays: Holidays) -> tuple[AmountDue, date]:
    """And until when it asks for that. A surcharge that was agreed otherwise is told as a fine."""
    if charge.early_discount_until is not None and today <= charge.early_discount_until:
        early = AmountDue(charge.amount_cents, discount_cents=charge.early_discount_cents)
        return early, charge.early_discount_until
    owed = amount_due(debt.without_discount(), charge.due_date, holidays.closes_banks)
    if charge.amount_cents == owed.total_cents:
        return owed, charge.due_date
    asked = AmountDue(charge.amount_cents - charge.surcharge_cents, fine_cents=charge.surcharge_cents)
    return asked, charge.due_date


def _is_less(code: str | None, paid: Payable, total_cents: int) -> bool:
    """Whether it is the static code of a day on which less is paid."""
    if code is None or not paid.amount.discount_cents:
        return False
    return _fitting_pix(code, total_cents) is None and _fitting_pix(code, paid.amount.total_cents) is not None


def _copy(session: Session, invoice: Invoice, paid: Payable | None) -> SecondCopy | None:
    """A second copy asks for another amount or another day than the invoice, by codes of its own."""
    if paid is None or paid.until <= invoice.due_date or not (paid.pix_code or paid.boleto_line):
        return None
    return SecondCopy(debt_of(session, invoice), paid.until, paid.amount)


def _lines(session: Session, invoice: Invoice, row: BilledPeriod | None) -> tuple[Line, ...]:
    """With what was paid of it already."""
    said = lines_of(row) if row is not None else ()
    if not said:
        text = words.name(invoice.description or f"Fatura {invoice.id}")
        said = (Line(Kind.EXTRA, str(invoice.id), text, invoice.amount_cents),)
    paid_cents = invoice.amount_cents - payments.missing_cents(session, invoice)
    if not paid_cents or invoice.status is not InvoiceStatus.OPEN:
        return said
    return (*said, Line(Kind.CREDIT, "paid", Words("Pago em parte", "Paid in part"), -paid_cents))


def _provider(session: Session, contract: Contract) -> Party:
    companies = session.scalars(select(Company).order_by(Company.id).limit(2)).all()
    company = session.get(Company, contract.company_id) if contract.company_id is not None else None
    if company is None and len(companies) == 1:
        company = companies[0]
    if company is None:
        raise Conflict(f"contract {contract.id} names no company, and it is not clear whose invoice this is")
    return Party(company.name, company.document)


def _payer(session: Session, contract: Contract) -> Party:
    customer = session.get_one(Customer, contract.payer_id)
    contact = session.scalar(select(Contact).where(Contact.customer_id == customer.id).order_by(Contact.id).limit(1))
    found = select(Service.address).where(Service.contract_id == contract.id).order_by(Service.id).limit(1)
    reached_by = tuple(one for one in (contact.email, contact.phone) if one) if contact else ()
    return Party(customer.name, customer.document or "", _address(session.scalar(found) or {}), reached_by)


def _address(address: dict[str, Any]) -> tuple[str, ...]:
    street = ", ".join(str(address[name]) for name in ("street", "number", "district") if address.get(name))
    city = " - ".join(str(address[name]) for name in ("city", "state", "postal_code") if address.get(name))
    return tuple(line for line in (street, city) if line)


def _notice(session: Session, invoice: Invoice, of: InvoicingTerms) -> str | None:
    """What every invoice says, and the notices of debts that did not reach otherwise: printed on the next bill."""
    if invoice.status is not InvoiceStatus.OPEN:
        return _CLOSED[invoice.status]
    owed = (
        select(DebtMessage.text_pt)
        .join(Invoice, Invoice.id == DebtMessage.invoice_id)
        .where(
            DebtMessage.contract_id == invoice.contract_id, DebtMessage.is_notice, DebtMessage.reached_at.is_(None),
            Invoice.status == InvoiceStatus.OPEN,
        )
        .order_by(DebtMessage.id)
    )  # fmt: skip
    return "\n".join(filter(None, [of.notice, *session.scalars(owed)])) or None


def _fitting_pix(code: str | None, total_cents: int) -> str | None:
    """Only a code that asks for this amount is drawn; a dynamic one says so where it leads."""
    try:
        said = br_code.parse(code) if code else None
    except InvalidInput:
        return None
    fits = not isinstance(said, br_code.StaticCode) or said.amount_cents in {None, total_cents}
    return code if said is not None and fits else None


def _fitting_boleto(line: str | None, total_cents: int, due_date: date) -> str | None:
    try:
        said = read_line(line, due_date) if line else None
    except InvalidInput:
        return None
    fits = said is not None and said.amount_cents in {0, total_cents} and said.due_date in {None, due_date}
    return line if fits else None

"""What is known about some lines, read for all of them in a handful of statements.

candidates   the invoices that they name
read         that, and what was paid of those invoices and what other lines said of the same titles
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from billing_hooks import same_money
from billing_hooks.bank_files.base import BankLine, Kind
from billing_hooks.bank_files.judging import Facts, Title, TitleLine, title_of
from billing_hooks.bank_files.layouts import Boleto, boleto_of_bank
from billing_hooks.bank_files.matching import Candidates, Known, ids_named, numbers_of
from billing_hooks.invoicing.late import LateTerms, PayerKind
from billing_hooks.models import BankFileLine, BankLineStatus
from core import invoices
from core.models.billing import Invoice, Payment
from core.models.party import Contract, Customer

#: How far from its due date an invoice may lie to be thought of.
NEAR: Final = timedelta(days=45)
#: Lines that say something of their title: what was done by them, and reversals that are still to be done.
TAKEN: Final = or_(
    BankFileLine.status.in_([BankLineStatus.RECORDED, BankLineStatus.AWAITS_PAYMENT]),
    and_(BankFileLine.status == BankLineStatus.WAITING, BankFileLine.kind == Kind.REVERSED),
)


def gateway_name(bank: str) -> str:
    """The gateway of what a bank tells in files: of payments, and of invoices whose boletos are the bank's own."""
    return f"{same_money.BANK}{bank}"


def read(session: Session, lines: Sequence[BankLine], *, lock: bool) -> Facts:
    """`lock`: the invoices that they name stay as they are until the transaction ends."""
    found = candidates(session, lines)
    if lock:
        locked = invoices.lock_invoices(session, found.by_id.keys())
    else:
        locked = list(session.scalars(select(Invoice).where(Invoice.id.in_(found.by_id))))
    payments = same_money.known_payments(session, found.by_id.keys())
    return Facts(found, {invoice.id: invoice for invoice in locked}, payments, _titles(session, lines))


def candidates(session: Session, lines: Sequence[BankLine]) -> Candidates:
    found = Candidates(by_number=_by_number(session, lines))
    unnumbered = [line for line in lines if not found.numbered(line)]
    found.by_boleto = _by_boleto(session, [line for line in unnumbered if line.boleto_key])
    ids = {one for line in unnumbered for one in ids_named(line)}
    ids.update(*found.by_number.values(), *found.by_boleto.values())
    found.by_id = {known.id: known for known in known_invoices(session, Invoice.id.in_(ids))}
    return found


def known_invoices(session: Session, *where: ColumnElement[bool], limit: int | None = None) -> list[Known]:
    paid = exists().where(Payment.invoice_id == Invoice.id, Payment.reversed_at.is_(None))
    query = (
        select(
            Invoice.id,
            Invoice.amount_cents,
            Invoice.due_date,
            Customer.name,
            Customer.document,
            Invoice.fine_bp,
            Invoice.interest_bp_month,
            Invoice.early_discount_cents,
            Invoice.early_discount_until,
            and_(Invoice.early_discount_cents > 0, paid),
        )
        .join(Contract, Contract.id == Invoice.contract_id)
        .join(Customer, Customer.id == Contract.payer_id)
        .where(*where)
        .order_by(Invoice.due_date, Invoice.id)
        .limit(limit)
    )
    return [Known(*row[:4], row[4] or "", _terms(*row[5:9], is_paid=row[9])) for row in session.execute(query)]


def _terms(
    fine_bp: int, interest_bp_month: int, let_off_cents: int, until: date | None, *, is_paid: bool
) -> LateTerms:  # fmt: skip
    """Who paid a part of it has no discount on the rest."""
    early = (0, None) if is_paid else (let_off_cents, until)
    return LateTerms(fine_bp, interest_bp_month, PayerKind.BUSINESS, *early)


def _by_number(session: Session, lines: Iterable[BankLine]) -> dict[tuple[str, str], set[int]]:
    wanted: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        wanted[line.bank] |= numbers_of(line)
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for bank, numbers in wanted.items():
        query = select(Invoice.external_id, Invoice.id).where(
            Invoice.external_gateway == gateway_name(bank), Invoice.external_id.in_(sorted(numbers))
        )
        for number, invoice_id in session.execute(query):
            found[bank, number or ""].add(invoice_id)
    return found


def _by_boleto(session: Session, titles: Iterable[BankLine]) -> dict[tuple[str, str], set[int]]:
    """By what a boleto says of its title. An invoice's boleto is of its own amount, and due at about its own day."""
    wanted: dict[str, list[BankLine]] = defaultdict(list)
    for line in titles:
        wanted[line.bank].append(line)
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for bank, lines in wanted.items():
        boleto = boleto_of_bank(bank)
        due = sorted(on for line in lines if (on := line.due_on or line.occurred_on) is not None)
        if boleto is None or not due:
            continue
        key = _key_in_boleto_line(boleto)
        query = select(key, Invoice.id).where(
            Invoice.boleto_line.startswith(bank),
            Invoice.due_date.between(due[0] - NEAR, due[-1] + NEAR),
            Invoice.amount_cents.in_({line.nominal_cents for line in lines}),
            key.in_({line.boleto_key for line in lines}),
        )
        for boleto_key, invoice_id in session.execute(query):
            found[bank, boleto_key].add(invoice_id)
    return found


def _key_in_boleto_line(boleto: Boleto) -> ColumnElement[str]:
    """The digits of the title in an invoice's typed line (47 digits) or bar code (44), whose free field has 25."""
    digits = func.translate(Invoice.boleto_line, " .-", "")
    free = case(
        (func.length(digits) == 47,
         func.concat(func.substr(digits, 5, 5), func.substr(digits, 11, 10), func.substr(digits, 22, 10))),
        (func.length(digits) == 44, func.substr(digits, 20, 25)),
    )  # fmt: skip
    return func.concat(*(func.substr(free, one.first, one.last - one.first + 1) for one in boleto.free_field))


def _titles(session: Session, lines: Iterable[BankLine]) -> dict[Title, list[TitleLine]]:
    wanted = sorted({title_of(line) for line in lines if line.title})
    columns = [getattr(BankFileLine, name) for name in TitleLine._fields]
    title = tuple_(BankFileLine.bank, BankFileLine.account, BankFileLine.title)
    found: dict[Title, list[TitleLine]] = defaultdict(list)
    rows = session.execute(
        select(BankFileLine.bank, BankFileLine.account, BankFileLine.title, *columns).where(TAKEN, title.in_(wanted))
    )
    for bank, account, number, *values in rows:
        found[bank, account, number].append(TitleLine(*values))
    return found

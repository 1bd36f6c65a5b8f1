"""What an invoice costs on a day, the second copy that asks for it, and the sheet that the payer sees."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from billing_factories import make_invoice
from factories import make_contract
from pypdf import PdfReader
from sqlalchemy.orm import Session

from billing_hooks import charges, inbox
from billing_hooks.days import Holidays
from billing_hooks.gateways.base import PaymentReceived
from billing_hooks.invoicing.boleto_line import Boleto, barcode_of, line_of
from billing_hooks.invoicing.late import AmountDue
from billing_hooks.invoicing.pdf import draw
from billing_hooks.issuing import terms
from billing_hooks.issuing.owed import owed_on, parts_in
from billing_hooks.issuing.payable import payable_on, sheet_of
from billing_hooks.models import Charge, ChargeStatus, DebtMessage, GatewayAccount, InboxEntry
from core import parties, payments
from core.audit import Actor
from core.errors import Conflict, InvalidInput
from core.models import Contract, CustomerKind, Invoice, InvoiceStatus
from core.payments import Terms

ZONE = ZoneInfo("America/Sao_Paulo")
ACTOR = Actor("test:person")
HOLIDAYS = Holidays("BR")
DUE = date(2026, 11, 10)  # a Tuesday
LATE = date(2026, 11, 25)  # 15 days
NOW = datetime(2026, 11, 25, 12, tzinfo=ZONE)
PIX = {"pix_key": "financeiro@provedor.example", "pix_name": "Provedor", "pix_city": "Sobral"}


@pytest.fixture
def contract(session: Session) -> Contract:
    contract = make_contract(session)
    parties.create_company(session, {"name": "Provedor Ltda", "document": "11.222.333/0001-81"}, ACTOR)
    payer = parties.get_customer(session, contract.payer_id)
    parties.update_customer(session, payer, {"document": "529.982.247-25"}, None, ACTOR)
    return contract


@pytest.fixture
def invoice(session: Session, contract: Contract) -> Invoice:
    """R$ 100,00, due on 10 November 2026."""
    return make_invoice(session, contract, due_date=DUE, amount_cents=10_000, description="Mensalidade")


@pytest.fixture
def account(session: Session) -> GatewayAccount:
    account = GatewayAccount(gateway="asaas", name="a", secret_encrypted=b"x", credentials_encrypted=b"y")
    session.add(account)
    session.flush()
    return account


def order(session: Session, invoice: Invoice, account: GatewayAccount, **values: Any) -> Charge:
    return charges.order_charge(session, invoice.id, account.id, ACTOR, LATE, HOLIDAYS.closes_banks, **values)


def make(session: Session, invoice: Invoice, charge: Charge) -> None:
    """As the gateway makes it."""
    charge.status, charge.charge_id = ChargeStatus.OPEN, f"pay_{charge.id}"
    invoice.external_gateway, invoice.external_account_id = "asaas", charge.account_id
    invoice.external_id = charge.charge_id
    invoice.boleto_line = line_of(barcode_of(Boleto("001", "0" * 25, charge.due_date, charge.amount_cents)))
    session.flush()


def pay(session: Session, charge: Charge, amount_cents: int) -> None:
    entry = InboxEntry(account_id=charge.account_id, gateway="asaas", event_id=f"evt_{charge.id}", body=b"")
    session.add(entry)
    session.flush()
    paid = PaymentReceived(
        payment_id=f"p_{charge.id}", invoice_id=None, charge_id=charge.charge_id, amount_cents=amount_cents,
        paid_at=NOW, method="pix",
    )  # fmt: skip
    inbox.conclude(session, entry, [paid], lambda: NOW)


def text_of(session: Session, invoice: Invoice, today: date = LATE) -> str:
    octets = draw(sheet_of(session, invoice, today, ZONE, HOLIDAYS), "pt_BR", NOW)
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(octets)).pages)


def test_late_it_costs_two_percent_and_a_thirtieth_of_one_for_each_day(session: Session, invoice: Invoice) -> None:
    owed = owed_on(session, invoice, LATE, HOLIDAYS.closes_banks)
    assert (owed.principal_cents, owed.fine_cents, owed.interest_cents) == (10_000, 200, 50)
    assert owed_on(session, invoice, DUE, HOLIDAYS.closes_banks).total_cents == 10_000


def test_a_part_that_was_paid_bears_neither_fine_nor_interest(session: Session, invoice: Invoice) -> None:
    payments.record_payment(session, invoice.id, amount_cents=4000, paid_at=NOW, method="pix", actor=ACTOR, now=NOW)
    owed = owed_on(session, invoice, LATE, HOLIDAYS.closes_banks)
    assert (owed.principal_cents, owed.fine_cents, owed.interest_cents) == (6000, 120, 30)


def test_due_on_a_holiday_it_is_in_time_on_the_next_business_day(session: Session, contract: Contract) -> None:
    invoice = make_invoice(session, contract, due_date=date(2026, 11, 20), amount_cents=10_000)  # Consciência Negra
    assert owed_on(session, invoice, date(2026, 11, 23), HOLIDAYS.closes_banks).total_cents == 10_000
    assert owed_on(session, invoice, date(2026, 11, 24), HOLIDAYS.closes_banks).interest_cents == 13


def test_a_second_copy_asks_for_the_amount_of_its_day_and_pays_the_invoice_exactly(
    session: Session, invoice: Invoice, account: GatewayAccount
) -> None:
    charge = order(session, invoice, account, due_date=LATE)
    assert (charge.amount_cents, charge.surcharge_cents) == (10_250, 250)
    make(session, invoice, charge)
    pay(session, charge, 10_250)
    assert invoice.status is InvoiceStatus.PAID
    assert payments.missing_cents(session, invoice) == 0
    payment = payments.find_payment(session, account.id, f"p_{charge.id}")
    assert payment is not None
    assert (payment.amount_cents, payment.surcharge_cents) == (10_250, 250)


def test_fine_and_interest_are_waived_by_who_says_so(
    session: Session, invoice: Invoice, account: GatewayAccount
) -> None:
    charge = order(session, invoice, account, due_date=LATE, waive_late=True)
    assert (charge.amount_cents, charge.surcharge_cents) == (10_000, 0)


def test_a_copy_is_not_due_in_the_past(session: Session, invoice: Invoice, account: GatewayAccount) -> None:
    with pytest.raises(InvalidInput, match="say a new day"):
        order(session, invoice, account)


@pytest.mark.parametrize(("paid_cents", "surcharge_cents"), [(10_250, 250), (10_100, 100), (10_000, 0), (10_300, 0)])
def test_of_what_a_person_enters_fine_and_interest_are_found(
    session: Session, invoice: Invoice, paid_cents: int, surcharge_cents: int
) -> None:
    assert parts_in(session, invoice, paid_cents, LATE, HOLIDAYS.closes_banks) == Terms(surcharge_cents)


# ------------------------------------------------------------------------------------------------ who pays early

EARLY = date(2026, 11, 2)  # All Souls: good until Tuesday the 3rd
IN_TIME = date(2026, 10, 30)


@pytest.fixture
def discounted(session: Session, invoice: Invoice) -> Invoice:
    """R$ 100,00 due on the 10th, R$ 5,00 less until the 2nd."""
    invoice.early_discount_cents, invoice.early_discount_until = 500, EARLY
    session.flush()
    return invoice


@pytest.mark.parametrize(
    ("paid_on", "paid_cents", "let_off"),
    [
        (EARLY, 9500, 500), (EARLY, 9600, 400), (EARLY, 9499, 0), (EARLY, 10_000, 0), (EARLY, 10_001, 0),
        (EARLY + timedelta(days=1), 9500, 500), (EARLY + timedelta(days=2), 9500, 0), (LATE, 9500, 0),
    ],
)  # fmt: skip
def test_of_what_a_person_enters_the_discount_is_found_no_more_and_no_later(
    session: Session, discounted: Invoice, paid_on: date, paid_cents: int, let_off: int
) -> None:
    assert parts_in(session, discounted, paid_cents, paid_on, HOLIDAYS.closes_banks) == Terms(0, let_off)


def test_who_paid_a_part_has_no_discount_on_the_rest(session: Session, discounted: Invoice) -> None:
    payments.record_payment(session, discounted.id, amount_cents=100, paid_at=NOW, method="pix", actor=ACTOR, now=NOW)
    assert owed_on(session, discounted, IN_TIME, HOLIDAYS.closes_banks) == AmountDue(9900)
    assert parts_in(session, discounted, 9400, IN_TIME, HOLIDAYS.closes_banks) == Terms()


def test_a_charge_carries_the_discount_and_asks_for_the_whole_afterwards(
    session: Session, discounted: Invoice, account: GatewayAccount
) -> None:
    charge = charges.order_charge(session, discounted.id, account.id, ACTOR, IN_TIME, HOLIDAYS.closes_banks)
    assert (charge.amount_cents, charge.early_discount_cents, charge.early_discount_until) == (10_000, 500, EARLY)
    make(session, discounted, charge)
    early = payable_on(session, discounted, IN_TIME, HOLIDAYS)
    assert (early.amount, early.until) == (AmountDue(10_000, discount_cents=500), EARLY)
    after = payable_on(session, discounted, EARLY + timedelta(days=1), HOLIDAYS)
    assert (after.amount, after.until) == (AmountDue(10_000), DUE)
    assert "Desconto" not in text_of(session, discounted, EARLY + timedelta(days=1))
    text = text_of(session, discounted, IN_TIME)
    assert "Desconto de R$ 5,00 para pagamento até 02/11/2026." in text
    assert "Total a pagar R$ 100,00" in text.replace("\n", " ")
    entry = InboxEntry(account_id=account.id, gateway="asaas", event_id="evt", body=b"")
    session.add(entry)
    session.flush()
    paid = PaymentReceived(
        payment_id="p", invoice_id=None, charge_id=charge.charge_id, amount_cents=9500, paid_at=NOW, method="pix",
        discount_cents=500,
    )  # fmt: skip
    inbox.conclude(session, entry, [paid], lambda: NOW)
    assert (discounted.status, charge.status) == (InvoiceStatus.PAID, ChargeStatus.CLOSED)


@pytest.mark.parametrize(
    ("ordered_on", "due_date"), [(EARLY + timedelta(days=1), None), (LATE, LATE), (IN_TIME, DUE + timedelta(days=1))]
)
def test_a_charge_that_is_ordered_later_or_for_a_later_day_carries_none(
    session: Session, discounted: Invoice, account: GatewayAccount, ordered_on: date, due_date: date | None
) -> None:
    charge = charges.order_charge(
        session, discounted.id, account.id, ACTOR, ordered_on, HOLIDAYS.closes_banks, due_date=due_date
    )
    assert (charge.early_discount_cents, charge.early_discount_until) == (0, None)


def test_a_charge_at_a_gateway_that_takes_no_discount_offers_none(session: Session, discounted: Invoice) -> None:
    other = GatewayAccount(gateway="mercadopago", name="m", secret_encrypted=b"x", credentials_encrypted=b"y")
    session.add(other)
    session.flush()
    charge = charges.order_charge(session, discounted.id, other.id, ACTOR, IN_TIME, HOLIDAYS.closes_banks)
    make(session, discounted, charge)
    found = payable_on(session, discounted, IN_TIME, HOLIDAYS)
    assert (found.amount, found.until) == (AmountDue(10_000), DUE)
    assert "Desconto" not in text_of(session, discounted, IN_TIME)


def test_a_static_code_of_the_day_asks_for_less_until_the_discounts_last_day(
    session: Session, discounted: Invoice
) -> None:
    terms.create_terms(session, {"name": "p", "default_for": CustomerKind.PERSON, **PIX}, ACTOR)
    early = payable_on(session, discounted, IN_TIME, HOLIDAYS)
    assert (early.amount.total_cents, early.until) == (9500, EARLY)
    assert "540595.00" in (early.pix_code or "")
    after = payable_on(session, discounted, EARLY + timedelta(days=2), HOLIDAYS)
    assert (after.amount.total_cents, after.until) == (10_000, DUE)
    assert "5406100.00" in (after.pix_code or "")
    sheet = sheet_of(session, discounted, IN_TIME, ZONE, HOLIDAYS)
    assert ("5406100.00" in (sheet.pix_code or ""), sheet.early_pix_code) == (True, early.pix_code)
    text = text_of(session, discounted, IN_TIME)
    assert "Até 02/11/2026: R$ 95,00" in text
    assert "esconto" not in text_of(session, discounted, EARLY + timedelta(days=2))


@pytest.mark.parametrize(
    ("paid_on", "status"), [(EARLY, InvoiceStatus.PAID), (EARLY + timedelta(days=2), InvoiceStatus.OPEN)]
)
def test_what_another_system_tells_of_a_static_code_pays_with_the_discount(
    session: Session, discounted: Invoice, account: GatewayAccount, paid_on: date, status: InvoiceStatus
) -> None:
    entry = InboxEntry(account_id=account.id, gateway="standard", event_id="evt", body=b"")
    session.add(entry)
    session.flush()
    paid = PaymentReceived(
        payment_id="p", invoice_id=discounted.id, charge_id=None, amount_cents=9500,
        paid_at=datetime.combine(paid_on, time(12), ZONE), method="pix",
    )  # fmt: skip
    inbox.conclude(session, entry, [paid], lambda: NOW)
    assert discounted.status is status


def test_codes_of_another_program_ask_for_the_whole_so_nothing_less_is_offered(
    session: Session, discounted: Invoice
) -> None:
    discounted.boleto_line = line_of(barcode_of(Boleto("001", "0" * 25, DUE, 10_000)))
    session.flush()
    assert payable_on(session, discounted, IN_TIME, HOLIDAYS).amount == AmountDue(10_000)
    assert "Desconto" not in text_of(session, discounted, IN_TIME)


def test_what_is_payable_is_the_live_charge_then_the_amount_of_today(
    session: Session, invoice: Invoice, account: GatewayAccount
) -> None:
    charge = order(session, invoice, account, due_date=LATE + timedelta(days=2))
    make(session, invoice, charge)
    live = payable_on(session, invoice, LATE, HOLIDAYS)
    assert (live.until, live.amount.total_cents) == (charge.due_date, charge.amount_cents)
    assert live.boleto_line == invoice.boleto_line
    later = payable_on(session, invoice, LATE + timedelta(days=3), HOLIDAYS)
    assert (later.amount.interest_cents, later.boleto_line) == (60, None)


def test_a_static_code_asks_for_the_amount_of_today(session: Session, invoice: Invoice) -> None:
    terms.create_terms(session, {"name": "pix", "default_for": CustomerKind.PERSON, **PIX}, ACTOR)
    assert "5406102.50" in (payable_on(session, invoice, LATE, HOLIDAYS).pix_code or "")
    assert "5406100.00" in (payable_on(session, invoice, DUE, HOLIDAYS).pix_code or "")


def test_a_paid_invoice_is_not_payable(session: Session, invoice: Invoice) -> None:
    payments.record_payment(session, invoice.id, amount_cents=10_000, paid_at=NOW, method="pix", actor=ACTOR, now=NOW)
    with pytest.raises(Conflict, match="is paid"):
        payable_on(session, invoice, LATE, HOLIDAYS)
    assert "Fatura paga" in text_of(session, invoice)


def test_the_sheet_of_a_second_copy_shows_what_it_is_made_of(
    session: Session, invoice: Invoice, account: GatewayAccount
) -> None:
    payments.record_payment(session, invoice.id, amount_cents=4000, paid_at=NOW, method="pix", actor=ACTOR, now=NOW)
    make(session, invoice, order(session, invoice, account, due_date=LATE))
    said = text_of(session, invoice)
    for part in ("2ª via", "Pago em parte", "-R$ 40,00", "R$ 1,20", "R$ 0,30", "R$ 61,50", "Pague com boleto"):
        assert part in said


def test_late_and_without_a_copy_the_sheet_is_as_it_was_made(
    session: Session, invoice: Invoice, account: GatewayAccount
) -> None:
    first = charges.order_charge(session, invoice.id, account.id, ACTOR, DUE, HOLIDAYS.closes_banks)
    make(session, invoice, first)
    said = text_of(session, invoice)
    assert "2ª via" not in said
    assert "R$ 100,00" in said
    assert "Pague com boleto" in said
    assert "multa de 2,00%" in said


@pytest.mark.parametrize("line", ["", "12345", line_of(barcode_of(Boleto("001", "0" * 25, DUE, 9999)))])
def test_a_code_that_asks_for_something_else_is_not_drawn(session: Session, invoice: Invoice, line: str) -> None:
    invoice.boleto_line, invoice.pix_code = line, "no code"
    said = text_of(session, invoice, DUE)
    assert "boleto" not in said
    assert "Pix" not in said


def test_the_notice_of_another_debt_is_printed_on_the_next_bill(
    session: Session, invoice: Invoice, contract: Contract
) -> None:
    older = make_invoice(session, contract, due_date=date(2026, 10, 10))
    session.add(
        DebtMessage(
            contract_id=contract.id, invoice_id=older.id, policy="p", step="notice", is_notice=True, text_en="You owe.",
            text_pt="Há um débito de outubro.",
        )
    )  # fmt: skip
    session.flush()
    assert "Há um débito de outubro." in text_of(session, invoice, DUE)


def test_whose_invoice_it_is_has_to_be_clear(session: Session, invoice: Invoice, contract: Contract) -> None:
    other = parties.create_company(session, {"name": "Outra", "document": "45.997.418/0001-53"}, ACTOR)
    with pytest.raises(Conflict, match="names no company"):
        text_of(session, invoice)
    parties.update_contract(session, parties.get_contract(session, contract.id), {"company_id": other.id}, None, ACTOR)
    assert "Outra" in text_of(session, invoice)

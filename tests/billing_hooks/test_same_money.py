"""Money that a gateway and the bank's file tell of: one payment, and never one where there were two."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import bank_files
import pytest
from bank_files import Detail, entry, itau_return, ofx
from billing_factories import SECRET, interpret, make_invoice, payment_event, reversal_event, signed
from factories import make_contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import accounts, inbox
from billing_hooks.bank_files.deciding import same_payment
from billing_hooks.bank_files.working import BankFiles
from billing_hooks.gateways.base import Delivery
from billing_hooks.models import BankFileLine, BankLineStatus
from billing_hooks.same_money import Telling, Verdict, compare
from core import payments
from core.audit import Actor
from core.clock import ManualClock
from core.errors import Conflict, InvalidInput
from core.keyring import Keyring
from core.models import Event, Invoice, Payment

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = date(2026, 11, 20)
ACTOR = Actor("operator:ana")
_numbers = itertools.count(1)


def pix_id(number: int) -> str:
    """An endToEndId."""
    return f"E18236120202611201505{number:011d}"


@pytest.fixture
def account(session: Session, keyring: Keyring) -> None:
    accounts.create_account(session, keyring, "standard", "erp", SECRET, ACTOR)


def webhook(session: Session, keyring: Keyring, invoice: Invoice, payment_id: str, on: date = DAY, **data: Any) -> None:
    """A gateway tells of a payment, and the worker does it."""
    body = payment_event(invoice, payment_id, paid_at=f"{on}T15:00:00Z", **data)
    deliver(session, keyring, body)


def deliver(session: Session, keyring: Keyring, body: bytes) -> None:
    event_id = f"sm-{next(_numbers)}"
    inbox.receive(session, keyring, "standard", Delivery(signed(body, event_id=event_id, at=NOW), body), NOW)
    query = select(inbox.InboxEntry.id).where(inbox.InboxEntry.event_id == event_id)
    interpret(session, session.scalars(query).one(), ManualClock(NOW))


def statement(session: Session, invoice: Invoice, fitid: str, on: date = DAY, text: str = "PIX RECEBIDO") -> None:
    line = entry(fitid, "99.90", f"{text} provedor-{invoice.id}", on=f"{on:%Y%m%d}")
    bank_files.bring(session, ofx(line, entry(f"fee-{next(_numbers)}", "-1.00", "TARIFA")), NOW)


def payments_of(session: Session, invoice: Invoice) -> list[Payment]:
    living = (Payment.invoice_id == invoice.id, Payment.reversed_at.is_(None))
    return list(session.scalars(select(Payment).where(*living).order_by(Payment.id)))


def waiting(session: Session) -> list[BankFileLine]:
    query = select(BankFileLine).where(BankFileLine.status == BankLineStatus.WAITING)
    return list(session.scalars(query.order_by(BankFileLine.id)))


def told(session: Session, type_: str) -> list[dict[str, Any]]:
    return [event.payload for event in session.scalars(select(Event).where(Event.type == type_).order_by(Event.id))]


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("bank_first", [True, False])
@pytest.mark.parametrize("shows_id", [True, False])
def test_a_pix_in_the_statement_and_by_webhook_is_one_payment_that_names_both(
    session: Session, keyring: Keyring, bank_first: bool, shows_id: bool
) -> None:
    invoice = make_invoice(session, make_contract(session))
    text = f"PIX RECEBIDO {pix_id(1)}" if shows_id else "PIX RECEBIDO"
    if bank_first:
        statement(session, invoice, "1", text=text)
    webhook(session, keyring, invoice, pix_id(1))
    if not bank_first:
        statement(session, invoice, "1", DAY + timedelta(1), text)
    (payment,) = payments_of(session, invoice)
    assert (payment.gateway, payment.external_id, payment.also_gateway) == ("standard", pix_id(1), "bank:341")
    assert (payment.also_id or "").startswith("341/35110-4/1/")
    assert told(session, "invoice.overpaid") == []
    assert len(told(session, "payment.told_again")) == 1
    (line,) = session.scalars(select(BankFileLine).where(BankFileLine.title == "1"))
    assert (line.status, line.payment_id) == (BankLineStatus.RECORDED, payment.id)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("bank_first", [True, False])
def test_a_boleto_of_the_gateway_in_the_banks_return_is_one_payment(
    session: Session, keyring: Keyring, bank_first: bool
) -> None:
    invoice = make_invoice(session, make_contract(session), external_gateway="bank:341", external_id="77")
    detail = Detail("06", 77, DAY, 10212, interest=222, credited=date(2026, 11, 23))
    if bank_first:
        bank_files.bring(session, itau_return(detail), NOW)
    webhook(session, keyring, invoice, "pay_1", method="boleto", amount_cents=10212)
    if not bank_first:
        bank_files.bring(session, itau_return(detail), NOW)
    (payment,) = payments_of(session, invoice)
    assert (payment.external_id, payment.also_gateway, payment.surcharge_cents) == ("pay_1", "bank:341", 222)
    assert payment.settled_at == datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert (invoice.status.value, payments.missing_cents(session, invoice)) == ("paid", 0)


@pytest.mark.usefixtures("account")
def test_a_gateway_takes_back_what_the_bank_told_of_first_and_repeats_what_it_told(
    session: Session, keyring: Keyring
) -> None:
    invoice = make_invoice(session, make_contract(session))
    statement(session, invoice, "1")
    for _ in range(3):
        webhook(session, keyring, invoice, pix_id(1))
    assert len(payments_of(session, invoice)) == 1
    deliver(session, keyring, reversal_event(pix_id(1)))
    assert (payments_of(session, invoice), invoice.status.value) == ([], "open")


@pytest.mark.usefixtures("account")
def test_a_payer_who_pays_twice_on_a_day_has_two_payments_whoever_tells(session: Session, keyring: Keyring) -> None:
    invoice = make_invoice(session, make_contract(session))
    statement(session, invoice, "1", text=f"PIX {pix_id(1)}")
    webhook(session, keyring, invoice, pix_id(2))
    assert len(payments_of(session, invoice)) == 2
    assert [one["surplus_cents"] for one in told(session, "invoice.overpaid")] == [9990]
    webhook(session, keyring, invoice, pix_id(1))
    statement(session, invoice, "2", text=f"PIX {pix_id(2)}")
    first, second = payments_of(session, invoice)
    assert {first.external_id, second.external_id} == {pix_id(1), pix_id(2)}
    assert {first.also_gateway, second.also_gateway} == {"bank:341"}
    assert waiting(session) == []


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("method", "on"), [("boleto", DAY), ("pix", DAY - timedelta(3)), ("undefined", DAY)], ids=["way", "day", "unknown"]
)
def test_what_is_not_certain_is_recorded_as_told_with_the_suspicion_in_words(
    session: Session, keyring: Keyring, method: str, on: date
) -> None:
    invoice = make_invoice(session, make_contract(session))
    statement(session, invoice, "1")
    webhook(session, keyring, invoice, "pay_1", on, method=method)
    bank, gateway = payments_of(session, invoice)
    assert bank.doubt is None
    assert gateway.doubt == (
        f"it may be the money of payment {bank.id}, of the same amount, that bank:341 told on 2026-11-20 (pix)"
    )
    assert "pode ser o mesmo dinheiro" in (gateway.doubt_pt or "")
    assert [one["payment_id"] for one in told(session, "payment.doubted")] == [gateway.id]
    assert len(told(session, "invoice.overpaid")) == 1
    (line,) = session.scalars(select(BankFileLine).where(BankFileLine.title == "1"))
    same_payment(session, line.id, gateway.id, ACTOR, now=NOW)  # a person looked, and it is
    (one,) = payments_of(session, invoice)
    assert (one.id, one.also_gateway, one.doubt, line.payment_id) == (gateway.id, "bank:341", None, gateway.id)
    assert invoice.status.value == "paid"
    with pytest.raises(Conflict):
        same_payment(session, line.id, gateway.id, ACTOR, now=NOW)


@pytest.mark.usefixtures("account")
def test_a_line_that_may_be_a_gateways_payment_waits_and_is_not_said_to_be_one_of_another_amount(
    session: Session, keyring: Keyring
) -> None:
    invoice = make_invoice(session, make_contract(session))
    other = make_invoice(session, make_contract(session), amount_cents=5000)
    webhook(session, keyring, invoice, "pay_1", DAY - timedelta(5))
    webhook(session, keyring, other, "pay_2", amount_cents=5000)
    statement(session, invoice, "1")
    (line,) = waiting(session)
    assert (line.reason or "").startswith(f"invoice {invoice.id}: it may be the money of payment ")
    with pytest.raises(InvalidInput):
        same_payment(session, line.id, payments_of(session, other)[0].id, ACTOR, now=NOW)
    assert len(payments_of(session, invoice)) == 1


@pytest.mark.usefixtures("account")
def test_a_boleto_of_another_bank_is_another_boleto(session: Session, keyring: Keyring) -> None:
    """The gateway's boleto is Santander's, and Itaú's own was paid on the same day: a person looks."""
    account_id = session.scalars(select(accounts.GatewayAccount.id)).one()
    invoice = make_invoice(
        session, make_contract(session), boleto_line="0339" + "0" * 43, external_gateway="standard",
        external_account_id=account_id, external_id="ch_1",
    )  # fmt: skip
    webhook(session, keyring, invoice, "pay_1", method="boleto")
    octets = itau_return(Detail("06", 77, DAY, 9990, reference=f"provedor-{invoice.id}"))
    bank_files.bring(session, octets, NOW)
    assert [line.title for line in waiting(session)] == ["00000077"]


@pytest.mark.usefixtures("account")
def test_a_card_and_a_boleto_are_two_payments(session: Session, keyring: Keyring) -> None:
    invoice = make_invoice(session, make_contract(session), external_gateway="bank:341", external_id="77")
    webhook(session, keyring, invoice, "pay_1", method="credit_card")
    bank_files.bring(session, itau_return(Detail("06", 77, DAY, 9990)), NOW)
    assert len(payments_of(session, invoice)) == 2
    assert waiting(session) == []


A = Telling(9990, DAY, "pix", "E1")


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        (Telling(9990, DAY + timedelta(20), "transfer", "E1"), Verdict.SAME),
        (Telling(9990, DAY, "pix", "E2"), Verdict.OTHER),
        (Telling(9990, DAY + timedelta(2), "pix"), Verdict.SAME),
        (Telling(9990, DAY + timedelta(3), "pix"), Verdict.PERHAPS),
        (Telling(9991, DAY, "pix"), Verdict.OTHER),
        (Telling(9990, DAY, "boleto"), Verdict.PERHAPS),
        (Telling(9990, DAY, "credit_card"), Verdict.OTHER),
    ],
)
def test_who_tells_the_same(other: Telling, verdict: Verdict) -> None:
    assert compare(A, other) is compare(other, A) is verdict


@dataclass(frozen=True)
class Paid:
    """A payment that somebody made: when the gateway and the bank say it was, and whether the bank shows its id."""

    number: int
    day: int
    later: int
    shows_id: bool


PAID = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.booleans()), min_size=1, max_size=4
).map(lambda made: [Paid(number, *one) for number, one in enumerate(made, 1)])  # fmt: skip


@pytest.mark.usefixtures("account")
@given(PAID, st.randoms())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_order_two_tell_and_repeat_there_are_as_many_payments_as_were_made(
    session: Session, keyring: Keyring, made: list[Paid], chance: random.Random
) -> None:
    tellings = [(paid, by) for paid in made for by in ("gateway", "bank")]
    tellings += chance.sample(tellings, min(2, len(tellings)))
    chance.shuffle(tellings)
    with session.begin_nested() as nested:
        invoice = make_invoice(session, make_contract(session))
        for paid, by in tellings:
            tell(session, keyring, invoice, paid, by)
        for _ in made:
            BankFiles(lambda: NOW).look_again(session)
            bank_files.work_to_end(session, NOW)
        found = payments_of(session, invoice)
        assert {payment.external_id for payment in found} == {pix_id(paid.number) for paid in made}
        assert len(found) == len(made)
        joined = {payment.also_id for payment in found if payment.also_id}
        assert len(joined) + len(waiting(session)) == len(made)
        if len({paid.shows_id for paid in made}) == 1:  # a bank shows ids or it does not; else one may have gone astray
            assert waiting(session) == []
        nested.rollback()


def tell(session: Session, keyring: Keyring, invoice: Invoice, paid: Paid, by: str) -> None:
    day = DAY + timedelta(paid.day)
    if by == "gateway":
        webhook(session, keyring, invoice, pix_id(paid.number), day)
    else:
        text = f"PIX {pix_id(paid.number)}" if paid.shows_id else "PIX RECEBIDO"
        statement(session, invoice, str(paid.number), day + timedelta(paid.later), text)

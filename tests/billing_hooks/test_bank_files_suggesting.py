"""What a person is offered for a line that nothing proves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import bank_files
import pytest
from bank_files import Detail, entry, itau_return, ofx
from billing_factories import make_invoice
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.suggesting import SUGGESTIONS_MAX, alike, suggest
from billing_hooks.models import BankFileLine
from core.models import Contract, Customer, CustomerKind, Invoice

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = date(2026, 11, 20)


def owed_by(session: Session, name: str, document: str | None = None, **values: Any) -> Invoice:
    customer = Customer(name=name, kind=CustomerKind.PERSON, document=document)
    session.add(customer)
    session.flush()
    contract = Contract(customer_id=customer.id, payer_id=customer.id, due_day=10, started_on=date(2026, 1, 1))
    session.add(contract)
    session.flush()
    return make_invoice(session, contract, **values)


def offered(session: Session, octets: bytes | str) -> list[tuple[int, list[str]]]:
    file = bank_files.bring(session, octets, NOW)
    line = session.scalars(select(BankFileLine).where(BankFileLine.file_id == file.id)).one()
    found = suggest(session, line, lambda _: False)
    return [(one.invoice.id, [reason.en for reason in one.reasons]) for one in found]


def test_an_amount_with_fine_and_interest_is_known_for_the_invoices(session: Session) -> None:
    """99.90 ten days late: 1.99 of fine and 0.33 of interest; the bank may round another way."""
    late = owed_by(session, "Ana", amount_cents=9990)
    owed_by(session, "Bia", amount_cents=9000)
    owed_by(session, "Caio", amount_cents=9990, due_date=DAY + timedelta(1))
    assert offered(session, ofx(entry("1", "102.23", "PIX RECEBIDO", on="20261120"))) == [
        (late.id, ["the amount of that day: R$ 99,90 with fine and interest", "due 10 days from it"])
    ]
    assert offered(session, ofx(entry("2", "102.60", "PIX RECEBIDO", on="20261120"))) == []


@pytest.mark.parametrize("said", ["529.982.247-25", "52998224725", "PIX 52998224725 M SOUZA"])
def test_the_payers_document_in_a_statements_text_finds_all_that_is_owed(session: Session, said: str) -> None:
    dear = owed_by(session, "Maria", "52998224725", amount_cents=30000, due_date=date(2026, 1, 5))
    assert offered(session, ofx(entry("1", "50.00", said))) == [(dear.id, ["same payer document"])]


def test_a_name_without_accents_that_a_bank_cut_off_finds_its_invoices_of_any_amount(session: Session) -> None:
    invoice = owed_by(session, "José Antônio da Conceição Júnior", amount_cents=30000, due_date=date(2026, 3, 10))
    owed_by(session, "José Antônio", amount_cents=30000, due_date=date(2026, 3, 10))
    found = offered(session, itau_return(Detail("06", 1, DAY, 5000, payer="JOSE ANTONIO DA CONCEICAO JUNI")))
    assert found == [(invoice.id, ["the name is 100% alike"])]


def test_the_likeliest_come_first_and_no_more_than_a_person_reads(session: Session) -> None:
    for number in range(SUGGESTIONS_MAX + 3):
        owed_by(session, f"Cliente {number}", amount_cents=9990, due_date=DAY + timedelta(number))
    best = owed_by(session, "Maria Souza", "52998224725", amount_cents=9990, due_date=date(2026, 10, 10))
    found = offered(session, ofx(entry("1", "99.90", "PIX RECEBIDO MARIA SOUZA 529.982.247-25")))
    assert len(found) == SUGGESTIONS_MAX
    reasons = ["same payer document", "the name is 100% alike", "same amount", "due 44 days from it"]
    assert found[0] == (best.id, reasons)


@pytest.mark.parametrize(
    ("said", "name", "much"),
    [
        ("MARIA DA CONCEICAO SILVA E SOU", "Maria da Conceição Silva e Souza", True),
        ("PIX RECEBIDO ANA LIMA", "Ana Lima", True),
        ("JOAO SILVA", "João Silva", True),
        ("JOAO SILVA", "Maria Souza", False),
        ("", "Maria", False),
        ("JO", "Jo", False),
    ],
)
def test_names_alike(said: str, name: str, much: bool) -> None:
    assert (alike(said, name) >= 0.8) is much

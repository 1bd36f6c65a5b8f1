"""Bank files from the octets to the invoice: once each, in any order, and what a person decides."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import bank_files
import pytest
from bank_files import Detail, as_file, entry, itau_return, ofx, vector, vector_lines, with_columns
from billing_factories import make_invoice
from factories import make_contract
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_hooks.bank_files.base import BankFileMalformed
from billing_hooks.bank_files.deciding import dismiss_line, match_line
from billing_hooks.bank_files.judging import Movement, pair_reversals
from billing_hooks.bank_files.spreadsheet import CsvMapping
from billing_hooks.bank_files.store import How, receive
from billing_hooks.bank_files.suggesting import suggest
from billing_hooks.models import BankFile, BankFileLine, BankFileStatus, BankLineStatus
from core import parties, payments
from core.audit import Actor
from core.database import Database
from core.errors import Conflict, InvalidInput, NotFound
from core.invoices import External
from core.models import AuditEntry, Contract, Customer, CustomerKind, Event, Invoice, Payment

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ACTOR = Actor("operator:ana", "192.0.2.7")
DAY = date(2026, 11, 20)


def bring(session: Session, octets: bytes | str, **how: Any) -> BankFile:
    return bank_files.bring(session, octets, NOW, how=How(**how))


def problems_of(file: BankFile) -> list[tuple[int, str]]:
    return [(one["line"], one["field"]) for one in file.problems["lines"]]


def suggested(session: Session, line: BankFileLine) -> list[tuple[int, list[str]]]:
    found = suggest(session, line, lambda _: False)
    return [(one.invoice.id, [reason.en for reason in one.reasons]) for one in found]


def lines_of(session: Session, file: BankFile) -> list[BankFileLine]:
    query = select(BankFileLine).where(BankFileLine.file_id == file.id).order_by(BankFileLine.number)
    return list(session.scalars(query))


def payments_of(session: Session, invoice: Invoice) -> list[Payment]:
    return list(session.scalars(select(Payment).where(Payment.invoice_id == invoice.id).order_by(Payment.id)))


def titled(session: Session, title: str, **values: Any) -> Invoice:
    """An invoice whose boleto Itaú knows by this number."""
    return make_invoice(session, make_contract(session), external_gateway="bank:341", external_id=title, **values)


def owed_by(session: Session, name: str, document: str | None = None, **values: Any) -> Invoice:
    customer = Customer(name=name, kind=CustomerKind.PERSON, document=document)
    session.add(customer)
    session.flush()
    contract = Contract(customer_id=customer.id, payer_id=customer.id, due_day=10, started_on=date(2026, 1, 1))
    session.add(contract)
    session.flush()
    return make_invoice(session, contract, **values)


def test_a_title_is_paid_by_the_banks_number_with_what_it_consists_of(session: Session) -> None:
    invoice = titled(session, "1003")
    detail = Detail("06", 1003, DAY, 10212, fee=210, interest=222, credited=date(2026, 11, 23))
    file = bring(session, itau_return(detail))
    assert (file.layout, file.bank, file.account, file.lines_new, file.problems) == (
        "itau-400", "341", "730/351104", 1, {"lines": []},
    )  # fmt: skip
    (payment,) = payments_of(session, invoice)
    assert invoice.status.value == "paid"
    assert (payment.amount_cents, payment.surcharge_cents, payment.discount_cents, payment.net_cents) == (
        10212,
        222,
        0,
        10002,
    )
    assert (payment.method, payment.gateway, payment.account_id) == ("boleto", "bank:341", 0)
    assert payment.external_id == "341/730%2F351104/00001003/06/2026-11-20/10212"
    assert payment.paid_at == datetime(2026, 11, 20, 15, tzinfo=UTC)
    assert payment.settled_at == datetime(2026, 11, 23, 15, tzinfo=UTC)
    (line,) = lines_of(session, file)
    assert (line.status, line.invoice_id, line.payment_id) == (BankLineStatus.RECORDED, invoice.id, payment.id)


def test_what_was_let_off_pays_and_what_was_not_is_still_owed(session: Session) -> None:
    let_off, short, much = titled(session, "1"), titled(session, "2"), titled(session, "3")
    bring(
        session,
        itau_return(
            Detail("06", 1, DAY, 9490, discount=500),
            Detail("06", 2, DAY, 5000),
            Detail("06", 3, DAY, 12000, interest=100),
        ),
    )
    assert [one.status.value for one in (let_off, short, much)] == ["paid", "open", "paid"]
    assert [payments_of(session, one)[0].discount_cents for one in (let_off, short, much)] == [500, 0, 0]
    assert payments_of(session, much)[0].surcharge_cents == 100


BOLETO_OF_1002 = "34191.09008 00100.240730 03511.040000 1 12340000009990"


@pytest.mark.parametrize(
    ("named", "detail"),
    [
        ({"external_gateway": "bank:341", "external_id": "00001002"}, {}),
        ({"boleto_line": BOLETO_OF_1002}, {}),
        ({}, {"reference": "provedor-{id}"}),
        ({}, {"document": "{id}"}),
        ({}, {"reference": "{id}"}),
    ],
    ids=["number", "boleto line", "our reference", "document", "bare reference"],
)
def test_an_invoice_is_found_by(session: Session, named: dict[str, str], detail: dict[str, str]) -> None:
    invoice = make_invoice(session, make_contract(session), **named)
    told = {key: text.format(id=invoice.id) for key, text in detail.items()}
    bring(session, itau_return(Detail("06", 1002, DAY, 9990, **told)))
    assert invoice.status.value == "paid"


def test_another_banks_number_or_gateways_charge_is_not_this_title(session: Session) -> None:
    others = [
        make_invoice(session, make_contract(session), external_gateway=gateway, external_id="1002")
        for gateway in ("bank:237", "efi")
    ]
    file = bring(session, itau_return(Detail("06", 1002, DAY, 9990)))
    assert [invoice.status.value for invoice in others] == ["open", "open"]
    (line,) = lines_of(session, file)
    assert line.status is BankLineStatus.WAITING
    assert {invoice_id for invoice_id, _ in suggested(session, line)} == {invoice.id for invoice in others}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nominal": 5000, "paid": 5000}, "amount"),
        ({"due": date(2026, 11, 11)}, "another day"),
    ],
)
def test_a_bare_number_that_does_not_fit_waits(session: Session, change: dict[str, Any], words: str) -> None:
    invoice = make_invoice(session, make_contract(session))
    file = bring(session, itau_return(Detail("06", 9, DAY, **{"paid": 9990, "document": str(invoice.id)} | change)))
    (line,) = lines_of(session, file)
    assert line.status is BankLineStatus.WAITING
    assert words in (line.reason or "")
    assert payments_of(session, invoice) == []


def test_another_payers_document_and_another_amount_speak_against_a_number(session: Session) -> None:
    lines = vector_lines("sicoob-240.ret")
    invoice = owed_by(
        session, "Outra Pessoa", "11144477735", amount_cents=9990, external_gateway="bank:756", external_id="00001234"
    )
    file = bring(session, as_file(lines))
    assert "another document" in (lines_of(session, file)[0].reason or "")
    assert payments_of(session, invoice) == []
    dearer = titled(session, "77", amount_cents=20000)
    waiting = lines_of(session, bring(session, itau_return(Detail("06", 77, DAY, 9990))))[0]
    assert (waiting.status, payments_of(session, dearer)) == (BankLineStatus.WAITING, [])


def test_an_unknown_payment_waits_with_suggestions_and_is_never_guessed(session: Session) -> None:
    by_name = owed_by(session, "Maria da Conceição Silva e Souza", amount_cents=9990, due_date=date(2026, 11, 12))
    by_amount = owed_by(session, "José", amount_cents=9990, due_date=date(2026, 11, 10))
    owed_by(session, "Longe", amount_cents=9990, due_date=date(2026, 6, 10))
    owed_by(session, "Outro valor", amount_cents=5000, due_date=date(2026, 11, 10))
    file = bring(session, itau_return(Detail("06", 55, DAY, 9990, payer="MARIA DA CONCEICAO SILVA E SOU")))
    (line,) = lines_of(session, file)
    assert suggested(session, line) == [
        (by_name.id, ["the name is 100% alike", "same amount", "due 2 days from it"]),
        (by_amount.id, ["same amount", "due on this day"]),
    ]
    assert payments_of(session, by_name) == []
    waiting = session.scalars(select(Event).where(Event.type == "bank_line.waiting")).all()
    assert [event.subject for event in waiting] == [f"bank_file_line:{line.id}"]


def test_the_payers_document_suggests_invoices_of_other_amounts(session: Session) -> None:
    invoice = owed_by(session, "Maria", "52998224725", amount_cents=12345)
    (line, _) = lines_of(session, bring(session, vector("sicoob-240.ret")))
    assert suggested(session, line)[0][0] == invoice.id
    assert "same payer document" in suggested(session, line)[0][1]


def test_the_same_file_again_answers_with_the_first_ones_result(session: Session) -> None:
    invoice = titled(session, "1")
    octets = itau_return(Detail("06", 1, DAY, 9990))
    first = bring(session, octets)
    assert bring(session, octets).id == first.id
    assert len(payments_of(session, invoice)) == 1
    assert session.scalar(select(func.count()).select_from(BankFile)) == 1


def test_the_same_line_in_another_file_or_twice_in_one_is_the_same_line(session: Session) -> None:
    invoice = titled(session, "1")
    detail = Detail("06", 1, DAY, 9990)
    bring(session, itau_return(detail))
    second = bring(session, itau_return(detail, Detail("02", 2, DAY), detail, number=2))
    assert (second.lines_new, second.lines_repeated) == (1, 2)
    assert len(payments_of(session, invoice)) == 1


def test_a_repeated_line_brings_the_day_of_the_credit(session: Session) -> None:
    invoice = titled(session, "1")
    bring(session, itau_return(Detail("06", 1, DAY, 9990)))
    assert payments_of(session, invoice)[0].settled_at is None
    bring(session, itau_return(Detail("06", 1, DAY, 9990, credited=date(2026, 11, 23)), number=2))
    (payment,) = payments_of(session, invoice)
    assert payment.settled_at == datetime(2026, 11, 23, 15, tzinfo=UTC)


def test_a_bad_line_is_named_and_the_good_ones_are_recorded(session: Session) -> None:
    good, bad = titled(session, "1"), titled(session, "2")
    octets = itau_return(Detail("06", 1, DAY, 9990), Detail("06", 2, DAY, 9990)).split(b"\r\n")
    octets[2] = octets[2][:253] + b"00000000999,0" + octets[2][266:]
    file = bring(session, b"\r\n".join(octets))
    assert problems_of(file) == [(3, "paid")]
    assert (good.status.value, bad.status.value) == ("paid", "open")


def test_a_returned_cheque_makes_the_invoice_owed_again_and_a_new_payment_pays_it(session: Session) -> None:
    invoice = titled(session, "1")
    bring(session, itau_return(Detail("06", 1, DAY, 9990)))
    bring(session, itau_return(Detail("69", 1, DAY + timedelta(2), 9990), number=2))
    assert invoice.status.value == "open"
    bring(session, itau_return(Detail("06", 1, DAY + timedelta(3), 9990), number=3))
    assert invoice.status.value == "paid"
    assert [payment.reversed_at is None for payment in payments_of(session, invoice)] == [False, True]


def test_a_reversal_that_comes_before_its_payment_waits_for_it(session: Session) -> None:
    invoice = titled(session, "1")
    file = bring(session, itau_return(Detail("69", 1, DAY + timedelta(2), 9990), number=2))
    (reversal,) = lines_of(session, file)
    assert (reversal.status, reversal.invoice_id) == (BankLineStatus.AWAITS_PAYMENT, invoice.id)
    bring(session, itau_return(Detail("06", 1, DAY, 9990)))
    assert invoice.status.value == "open"
    assert reversal.status is BankLineStatus.RECORDED
    assert payments_of(session, invoice)[0].reversed_at == NOW


def test_a_payment_told_by_two_occurrences_on_a_day_waits_for_a_person(session: Session) -> None:
    invoice = titled(session, "1")
    file = bring(session, itau_return(Detail("06", 1, DAY, 9990), Detail("08", 1, DAY, 9990)))
    assert len(payments_of(session, invoice)) == 1
    assert "may be told twice" in (lines_of(session, file)[1].reason or "")


def test_money_that_another_told_already_is_not_recorded_twice(session: Session) -> None:
    invoice = titled(session, "1")
    payments.record_payment(
        session, invoice.id, amount_cents=9990, paid_at=NOW, method="pix", actor=ACTOR, now=NOW,
        external=External("asaas", 1, "pay_1"),
    )  # fmt: skip
    (line,) = lines_of(session, bring(session, itau_return(Detail("06", 1, DAY, 9990))))
    assert line.status is BankLineStatus.WAITING
    payment_id = payments_of(session, invoice)[0].id
    assert line.reason == (
        f"invoice {invoice.id}: it may be the money of payment {payment_id}, of the same amount, that asaas told on "
        "2026-11-24 (pix)"
    )
    assert len(payments_of(session, invoice)) == 1


@pytest.mark.parametrize(("paid", "on", "words"), [(0, DAY, "no amount"), (9990, date(2026, 12, 24), "future")])
def test_a_payment_without_an_amount_or_of_the_future_waits(session: Session, paid: int, on: date, words: str) -> None:
    titled(session, "1")
    (line,) = lines_of(session, bring(session, itau_return(Detail("06", 1, on, paid))))
    assert words in (line.reason or "")


def test_occurrences_that_pay_nothing_are_kept_with_their_invoice(session: Session) -> None:
    invoice = titled(session, "1005")
    file = bring(session, vector("itau-400.ret"))
    told = {line.occurrence: line for line in lines_of(session, file)}
    assert [(told[code].status.value, told[code].kind.value) for code in ("02", "09", "29")] == [
        ("told", "confirmed"), ("told", "cancelled"), ("told", "fee_only"),
    ]  # fmt: skip
    assert told["09"].invoice_id == invoice.id
    (cancelled,) = session.scalars(select(Event).where(Event.type == "bank_title.cancelled"))
    assert cancelled.payload["invoice_id"] == invoice.id


def test_another_companys_file_and_another_accounts_are_refused_until_that_is_mended(session: Session) -> None:
    parties.create_company(session, {"name": "Nós", "document": "11.222.333/0001-81"}, ACTOR)
    octets = itau_return(Detail("06", 1, DAY, 9990))
    refused = bring(session, octets)
    assert (refused.status, problems_of(refused)) == (BankFileStatus.REFUSED, [(1, "company_document")])
    parties.create_company(session, {"name": "Nós também", "document": "12.345.678/0001-95"}, ACTOR)
    again = bring(session, octets, account="0730/12345-6")
    assert (again.id, again.status, problems_of(again)) == (refused.id, BankFileStatus.REFUSED, [(1, "account")])
    assert session.scalar(select(func.count()).select_from(BankFileLine)) == 0
    assert bring(session, octets, account="730/35110-4").lines_new == 1


def test_a_person_matches_a_waiting_line_once(session: Session) -> None:
    invoice = make_invoice(session, make_contract(session))
    (line,) = lines_of(session, bring(session, itau_return(Detail("06", 1, DAY, 9990, fee=100))))
    match_line(session, line.id, invoice.id, ACTOR, now=NOW)
    (payment,) = payments_of(session, invoice)
    assert (invoice.status.value, payment.amount_cents, line.payment_id) == ("paid", 9990, payment.id)
    assert (line.status, line.decided_by, line.decided_at) == (BankLineStatus.RECORDED, "operator:ana", NOW)
    audited = session.scalars(select(AuditEntry).where(AuditEntry.resource == "bank_file_line")).one()
    assert (audited.actor, audited.action, audited.changes["invoice_id"]) == ("operator:ana", "match", invoice.id)
    with pytest.raises(Conflict) as refused:
        match_line(session, line.id, invoice.id, ACTOR, now=NOW)
    assert refused.value.field == "status"


def test_a_person_dismisses_a_waiting_line_and_says_why(session: Session) -> None:
    file = bring(session, itau_return(Detail("06", 1, DAY, 9990), Detail("02", 2, DAY)))
    waiting, told = lines_of(session, file)
    with pytest.raises(InvalidInput) as refused:
        dismiss_line(session, waiting.id, "  ", ACTOR, now=NOW)
    assert refused.value.field == "reason"
    dismiss_line(session, waiting.id, "an old system's title", ACTOR, now=NOW)
    assert (waiting.status, waiting.reason) == (BankLineStatus.DISMISSED, "an old system's title")
    bring(session, itau_return(Detail("06", 1, DAY, 9990), number=2))
    assert waiting.status is BankLineStatus.DISMISSED
    with pytest.raises(Conflict):
        dismiss_line(session, waiting.id, "again", ACTOR, now=NOW)
    with pytest.raises(InvalidInput):
        dismiss_line(session, told.id, "waits for nobody", ACTOR, now=NOW)
    with pytest.raises(NotFound):
        match_line(session, 10**9, 1, ACTOR, now=NOW)


def test_a_match_with_an_invoice_that_there_is_not_changes_nothing(session: Session) -> None:
    (line,) = lines_of(session, bring(session, itau_return(Detail("06", 1, DAY, 9990))))
    with pytest.raises(NotFound):
        match_line(session, line.id, 10**9, ACTOR, now=NOW)
    assert line.status is BankLineStatus.WAITING


def test_a_reversal_takes_back_what_a_person_matched(session: Session) -> None:
    invoice = make_invoice(session, make_contract(session))
    file = bring(session, itau_return(Detail("06", 1, DAY, 9990), Detail("69", 1, DAY + timedelta(1), 9990)))
    (line, reversal) = lines_of(session, file)
    match_line(session, line.id, invoice.id, ACTOR, now=NOW)
    assert invoice.status.value == "open"
    assert (reversal.status, reversal.payment_id) == (BankLineStatus.RECORDED, line.payment_id)


def test_a_statement_pays_by_our_reference_and_otherwise_waits(session: Session) -> None:
    named = make_invoice(session, make_contract(session))
    other = make_invoice(session, make_contract(session))
    file = bring(
        session,
        ofx(
            entry("1", "99.90", f"PIX RECEBIDO provedor-{named.id} obrigado"), entry("2", "99.90", "PIX RECEBIDO"),
            entry("3", "-12.50", "TARIFA"), entry("4", "50.00", f"metade de provedor-{other.id}"),
            entry("5", "99.90", f"xprovedor-{other.id} provedor-{other.id}0000000000000000000"),
        ),
    )  # fmt: skip
    paid, unknown, fee, half, alike = lines_of(session, file)
    assert (named.status.value, paid.status.value, fee.status.value) == ("paid", "recorded", "told")
    assert [line.status.value for line in (unknown, half, alike)] == ["waiting"] * 3
    assert payments_of(session, named)[0].method == "pix"
    assert payments_of(session, other) == []
    assert [invoice_id for invoice_id, _ in suggested(session, unknown)] == [other.id]
    assert suggested(session, half)[0] == (other.id, ["the line has the invoice's number", "due 13 days from it"])


@pytest.mark.parametrize(("amount", "status", "surcharge_cents"), [("102.09", "paid", 219), ("102.60", "open", 0)])
def test_a_static_pix_code_pays_with_the_fine_and_interest_of_its_day_and_no_more(
    session: Session, amount: str, status: str, surcharge_cents: int
) -> None:
    """R$ 99,90 due on 16 November, paid on the 23rd: R$ 1,99 of fine and 23 centavos of interest at most."""
    invoice = make_invoice(session, make_contract(session), due_date=date(2026, 11, 16))
    (line,) = lines_of(session, bring(session, ofx(entry("1", amount, f"PIX FATURA{invoice.id}"))))
    assert invoice.status.value == status
    assert [one.surcharge_cents for one in payments_of(session, invoice)] == [surcharge_cents] * (status == "paid")
    assert (line.status.value == "waiting") == (status == "open")


@pytest.mark.parametrize(
    ("amount", "on", "status", "let_off"),
    [("94.90", "20261118", "paid", 500), ("94.89", "20261118", "open", 0), ("94.90", "20261119", "open", 0)],
)
def test_a_static_pix_code_pays_less_by_the_discount_until_its_day_and_no_less(
    session: Session, amount: str, on: str, status: str, let_off: int
) -> None:
    """R$ 99,90 due on 25 November, R$ 5,00 less until the 18th."""
    invoice = discounted(session)
    bring(session, ofx(entry("1", amount, f"PIX FATURA{invoice.id}", on=on)))
    assert invoice.status.value == status
    assert [one.discount_cents for one in payments_of(session, invoice)] == [let_off] * (status == "paid")


def test_of_an_entry_that_a_person_matches_the_discount_and_what_was_late_are_found(session: Session) -> None:
    early, late = discounted(session), make_invoice(session, make_contract(session), due_date=date(2026, 11, 16))
    first, second = lines_of(session, bring(session, ofx(
        entry("1", "94.90", "PIX RECEBIDO", on="20261118"), entry("2", "102.09", "PIX RECEBIDO", on="20261123")
    )))  # fmt: skip
    assert suggested(session, first) == [
        (early.id, ["the amount of that day: R$ 99,90 with the discount", "due 7 days from it"])
    ]
    match_line(session, first.id, early.id, ACTOR, now=NOW)
    match_line(session, second.id, late.id, ACTOR, now=NOW)
    assert [one.status.value for one in (early, late)] == ["paid", "paid"]
    assert [(one.surcharge_cents, one.discount_cents) for one in payments_of(session, early)] == [(0, 500)]
    assert [(one.surcharge_cents, one.discount_cents) for one in payments_of(session, late)] == [(219, 0)]


def discounted(session: Session) -> Invoice:
    return make_invoice(
        session, make_contract(session), due_date=date(2026, 11, 25), early_discount_cents=500,
        early_discount_until=date(2026, 11, 18),
    )  # fmt: skip


def test_a_statements_money_for_an_invoice_that_is_paid_waits(session: Session) -> None:
    invoice = make_invoice(session, make_contract(session))
    memo = f"provedor-{invoice.id}"
    file = bring(session, ofx(entry("1", "99.90", memo), entry("2", "99.90", memo)))
    assert [line.status.value for line in lines_of(session, file)] == ["recorded", "waiting"]


def test_a_statements_reversal_waits_for_a_person_who_says_whose(session: Session) -> None:
    invoice = make_invoice(session, make_contract(session))
    memo = f"PIX provedor-{invoice.id}"
    file = bring(session, ofx(entry("1", "99.90", memo), entry("2", "-99.90", "PIX DEVOLUÇÃO", on="20261124")))
    _, reversal = lines_of(session, file)
    assert reversal.status is BankLineStatus.WAITING
    assert [invoice_id for invoice_id, _ in suggested(session, reversal)] == [invoice.id]
    match_line(session, reversal.id, invoice.id, ACTOR, now=NOW)
    assert invoice.status.value == "open"
    assert reversal.payment_id == payments_of(session, invoice)[0].id


def test_overlapping_statements_are_one(session: Session) -> None:
    invoice = make_invoice(session, make_contract(session))
    days = [
        entry("", "99.90", f"PIX provedor-{invoice.id}"),
        entry("0", "-1.00", "TARIFA"),
        entry("9", "5.00", "DEPOSITO"),
    ]
    bring(session, ofx(*days[:2]))
    again = bring(session, ofx(*days))
    assert (again.lines_new, again.lines_repeated) == (1, 2)
    assert len(payments_of(session, invoice)) == 1


def test_a_csv_pays_by_the_column_that_names_the_invoice(session: Session) -> None:
    first, second = make_invoice(session, make_contract(session)), make_invoice(session, make_contract(session))
    text = f"d;v;f\n23/11/2026;99,90;{first.id}\n23/11/2026;99,90;provedor-{second.id}\n23/11/2026;1,00;{second.id}\n"
    mapping = CsvMapping(date="d", amount="v", invoice="f", bank="1", account="9")
    file = bring(session, text, mapping=mapping)
    assert (first.status.value, second.status.value) == ("paid", "paid")
    assert [line.status.value for line in lines_of(session, file)] == ["recorded", "recorded", "waiting"]
    assert bring(session, text, mapping=mapping).id == file.id


def test_a_named_layout_reads_a_bank_that_we_have_not(session: Session) -> None:
    octets = vector("febraban-240.ret")
    with pytest.raises(BankFileMalformed):
        bring(session, octets)
    assert bring(session, octets, layout="febraban-240").bank == "999"


@pytest.mark.parametrize("name", ["itau-400.ret", "sicoob-240.ret"])
def test_no_cut_of_a_file_records_half_a_line(session: Session, name: str) -> None:
    """Every cut is imported; whatever is recorded in the end is what the whole file records."""
    octets = vector(name)
    titles = {"1002", "1003", "1004"} if name.startswith("itau") else {"0000001234"}
    bank = "bank:341" if name.startswith("itau") else "bank:756"
    made = [
        make_invoice(session, make_contract(session), external_gateway=bank, external_id=title)
        for title in sorted(titles)
    ]
    taken = 0
    for length in random.Random(7).sample(range(len(octets)), 150) + list(range(len(octets) - 230, len(octets))):
        try:
            file = bring(session, octets[:length])
        except BankFileMalformed:
            continue
        taken += file.status is BankFileStatus.DONE
    cut = {payment.external_id for invoice in made for payment in payments_of(session, invoice)}
    bring(session, octets)
    whole = {payment.external_id for invoice in made for payment in payments_of(session, invoice)}
    assert len(whole) == len(titles)
    assert cut == (whole if taken else set())


MOVES = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["06", "06", "69"]), st.integers(0, 4), st.sampled_from([9990, 5000])),
    min_size=1,
    max_size=8,
)


@given(MOVES, st.randoms())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_lines_and_files_gives_the_same_payments(
    session: Session, moves: list[tuple[int, str, int, int]], chance: random.Random
) -> None:
    """In one file as they happened, and again in many files, shuffled and repeated: the same to the centavo."""
    details = [Detail(code, title, DAY + timedelta(days), paid) for title, code, days, paid in moves]
    again = details * 3
    chance.shuffle(again)
    sizes = [chance.randint(1, 4) for _ in again]
    assert _brought(session, [details]) == _brought(session, _cut(again, sizes))


def _cut(details: list[Detail], sizes: list[int]) -> list[list[Detail]]:
    files = []
    for size in sizes:
        files.append(details[:size])
        details = details[size:]
    return [file for file in files if file]


def _brought(session: Session, files: list[list[Detail]]) -> list[Any]:
    """What the invoices of three titles come to; nothing of it stays."""
    with session.begin_nested() as nested:
        made = [titled(session, str(title)) for title in (1, 2, 3)]
        for number, details in enumerate(files, 1):
            bring(session, itau_return(*details, number=number))
        ends = [_end_of(session, invoice) for invoice in made]
        nested.rollback()
    return ends


def _end_of(session: Session, invoice: Invoice) -> tuple[str, list[tuple[str | None, int, bool]]]:
    session.refresh(invoice)
    told = ((one.external_id, one.amount_cents, one.reversed_at is None) for one in payments_of(session, invoice))
    return invoice.status.value, sorted(told, key=str)


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 5, 7])), max_size=6),
       st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 5, 7])), max_size=6), st.randoms())  # fmt: skip
def test_which_reversal_takes_back_which_payment_does_not_hang_on_their_order(
    paid: list[tuple[int, int]], taken: list[tuple[int, int]], chance: random.Random
) -> None:
    payments = [Movement(DAY + timedelta(on), amount or 5, f"p{id_}", id_) for id_, (on, amount) in enumerate(paid)]
    reversals = [Movement(DAY + timedelta(on), amount, f"r{id_}", id_) for id_, (on, amount) in enumerate(taken)]
    pairs = pair_reversals(payments, reversals)
    assert len(set(pairs.values())) == len(pairs)
    for reversal_id, payment_id in pairs.items():
        assert payments[payment_id].on <= reversals[reversal_id].on
        assert reversals[reversal_id].amount_cents in {0, payments[payment_id].amount_cents}
    chance.shuffle(payments_again := list(payments))
    chance.shuffle(reversals_again := list(reversals))
    assert pair_reversals(payments_again, reversals_again) == pairs


def test_two_who_send_one_file_at_once_get_one(database: Database) -> None:
    octets = itau_return(*(Detail("06", title, DAY, 9990) for title in range(1, 21)))
    with database.transaction() as session:
        invoice_id = titled(session, "1").id
    together = Barrier(2)

    def send(_: int) -> int:
        with database.transaction() as session:
            session.execute(select(1))
            together.wait()
            return receive(session, octets, name="a.ret", actor=ACTOR, now=NOW).id

    with ThreadPoolExecutor(2) as senders:
        assert len(set(senders.map(send, range(2)))) == 1
    with database.transaction() as session:
        bank_files.work_to_end(session, NOW)
        assert len(payments_of(session, session.get_one(Invoice, invoice_id))) == 1
        assert session.scalar(select(func.count()).select_from(BankFileLine)) == 20


def test_a_line_of_a_layout_that_knows_no_day_is_a_problem_and_no_payment(session: Session) -> None:
    lines = vector_lines("sicredi-400.ret")
    lines[2] = with_columns(lines[2], 111, "000000")
    file = bring(session, as_file(lines))
    assert problems_of(file) == [(3, "occurred_on")]

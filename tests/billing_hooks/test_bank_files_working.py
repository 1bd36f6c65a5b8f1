"""Bank files as work: in chunks, each line once whatever dies, and looked at again when what they need has come."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import bank_files
import pytest
from bank_files import Detail, entry, itau_return, ofx, work_to_end
from billing_factories import make_invoice
from factories import make_contract, make_service
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from billing_hooks.bank_files import store, working
from billing_hooks.bank_files.deciding import match_line
from billing_hooks.bank_files.working import CHUNK, BankFiles, retry
from billing_hooks.models import (
    BankFile,
    BankFileLine,
    BankFileStatus,
    BankLineStatus,
    Charge,
    ChargeStatus,
    GatewayAccount,
)
from core import holds, invoices, outbox, payments, topics
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.database import Database
from core.errors import Conflict
from core.invoices import External
from core.models import AuditEntry, Contract, Event, Invoice, OutboxItem, Payment

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ACTOR = Actor("operator:ana", "192.0.2.7")
DAY = date(2026, 11, 20)
FILES = BankFiles(lambda: NOW)


def bring(session: Session, octets: bytes | str) -> BankFile:
    return bank_files.bring(session, octets, NOW)


def lines_of(session: Session, file: BankFile) -> list[BankFileLine]:
    query = select(BankFileLine).where(BankFileLine.file_id == file.id).order_by(BankFileLine.number)
    return list(session.scalars(query))


def titled(session: Session, title: int, **values: Any) -> Invoice:
    return make_invoice(session, make_contract(session), external_gateway="bank:341", external_id=str(title), **values)


def count(session: Session, kind: Any, *where: Any) -> int:
    return session.scalar(select(func.count()).select_from(kind).where(*where)) or 0


def test_a_worker_that_dies_anywhere_leaves_nothing_half_done_and_each_line_is_done_once(database: Database) -> None:
    """Every other piece of work dies just before it is committed; the file comes to its end all the same."""
    titles = range(1, CHUNK * 2 + 21)
    with database.transaction() as session:
        contract = make_contract(session)
        for title in titles:
            make_invoice(session, contract, external_gateway="bank:341", external_id=str(title))
        octets = itau_return(*(Detail("06", title, DAY, 9990) for title in titles))
        file_id = store.receive(session, octets, name="a.ret", actor=ACTOR, now=NOW).id
    chance, steps = random.Random(7), 0
    while (item_id := _owed(database)) is not None:
        steps += 1
        try:
            with database.transaction() as session:
                item = outbox.claim(session, item_id)
                assert item is not None
                FILES.handle_due(session, item.payload)
                _die(chance.random() < 0.5)
        except Killed:
            continue
    assert steps > 5
    with database.transaction() as session:
        file = store.get_file(session, file_id)
        assert (file.status, file.lines_new) == (BankFileStatus.DONE, len(titles))
        assert store.count_lines(session, [file_id])[file_id] == {BankLineStatus.RECORDED: len(titles)}
        assert count(session, Payment) == len(titles)
        assert count(session, AuditEntry, AuditEntry.action == "record") == len(titles)
        for told in ("payment.recorded", "invoice.paid"):
            assert count(session, Event, Event.type == told) == len(titles)
        assert count(session, Event, Event.type == "bank_file.imported") == 1


class Killed(Exception):
    pass


def _die(now: bool) -> None:
    if now:
        raise Killed


def _owed(database: Database) -> int | None:
    with database.transaction() as session:
        return session.scalar(select(OutboxItem.id).where(OutboxItem.topic == topics.BANK_FILE_DUE.name).limit(1))


def test_a_chunk_costs_as_many_statements_for_many_lines_as_for_few(session: Session) -> None:
    for title in range(1, CHUNK + 3):
        titled(session, title)
    few = _statements_of(session, itau_return(Detail("06", CHUNK + 1, DAY, 9990), Detail("06", CHUNK + 2, DAY, 9990)))
    many = _statements_of(session, itau_return(*(Detail("06", title, DAY, 9990) for title in range(1, CHUNK + 1))))
    assert count(session, Payment) == CHUNK + 2
    assert many == few < 40


def _statements_of(session: Session, octets: bytes) -> int:
    """Of doing the lines of a file that was read."""
    file = store.receive(session, octets, name="a", actor=ACTOR, now=NOW)
    FILES.handle_due(session, {"file_id": file.id})
    seen: list[str] = []

    def note(*given: Any) -> None:
        seen.append(given[2])

    event.listen(session.get_bind().engine, "before_cursor_execute", note)
    FILES.handle_due(session, {"file_id": file.id})
    event.remove(session.get_bind().engine, "before_cursor_execute", note)
    return len(seen)


def test_what_follows_a_payment_is_owed_for_who_is_held_or_charged_and_nobody_else(
    session: Session, keyring: Any
) -> None:
    held, charged, plain = titled(session, 1), titled(session, 2), titled(session, 3)
    service = make_service(session, keyring, contract=session.get_one(Contract, held.contract_id))
    holds.place_hold(
        session, service.id, reason=HoldReason.BILLING, effect=HoldEffect.BLOCK, actor=ACTOR, now=NOW, note="debt"
    )
    account = GatewayAccount(gateway="asaas", name="a", secret_encrypted=b"x")
    session.add(account)
    session.flush()
    charge = {"account_id": account.id, "amount_cents": 9990, "due_date": DAY}
    session.add(Charge(invoice_id=charged.id, status=ChargeStatus.OPEN, charge_id="ch_1", **charge))
    session.add(Charge(invoice_id=plain.id, status=ChargeStatus.CLOSED, charge_id="ch_2", **charge))
    for item in session.scalars(select(OutboxItem)):
        session.delete(item)
    bring(session, itau_return(*(Detail("06", title, DAY, 9990) for title in (1, 2, 3))))
    owed = {(item.topic, str(item.payload)) for item in session.scalars(select(OutboxItem))}
    assert owed == {
        (topics.STANDING_CHANGED.name, str({"contract_id": held.contract_id})),
        (topics.INVOICE_CLOSED.name, str({"invoice_id": charged.id})),
    }


def test_a_line_that_cannot_be_done_waits_with_the_reason_and_the_others_are_done(session: Session) -> None:
    good, bad = titled(session, 1), titled(session, 2)
    session.execute(text(
        f"ALTER TABLE payment ADD CONSTRAINT ck_payment_test CHECK (invoice_id <> {bad.id}) NOT VALID"
    ))  # fmt: skip
    file = bring(session, itau_return(Detail("06", 1, DAY, 9990), Detail("06", 2, DAY, 9990)))
    assert [line.status.value for line in lines_of(session, file)] == ["recorded", "waiting"]
    assert (good.status.value, bad.status.value, file.status.value) == ("paid", "open", "done")
    assert lines_of(session, file)[1].reason == "IntegrityError"


def test_a_line_is_looked_at_again_when_its_invoice_comes_or_is_given_its_number(session: Session) -> None:
    file = bring(session, itau_return(Detail("06", 1, DAY, 9990), Detail("06", 2, DAY, 9990)))
    assert FILES.look_again(session) == 0
    created = titled(session, 1)
    charged = make_invoice(session, make_contract(session))
    assert FILES.look_again(session) == 1
    work_to_end(session, NOW)
    invoices.update_invoice(session, charged, {"external_gateway": "bank:341", "external_id": "00000002"}, ACTOR)
    assert FILES.look_again(session) == 1
    assert FILES.look_again(session) == 0  # it is owed already
    work_to_end(session, NOW)
    assert [line.status.value for line in lines_of(session, file)] == ["recorded", "recorded"]
    assert (created.status.value, charged.status.value, file.status.value) == ("paid", "paid", "done")
    assert count(session, Event, Event.type == "bank_line.waiting") == 2


def test_a_reversal_whose_payment_another_told_is_a_persons_to_decide(session: Session) -> None:
    """A returned cheque: the bank tells of the reversal, and nobody told it of the payment."""
    invoice = titled(session, 1)
    file = bring(session, itau_return(Detail("69", 1, DAY + timedelta(2), 9990)))
    (reversal,) = lines_of(session, file)
    assert (reversal.status, FILES.look_again(session)) == (BankLineStatus.AWAITS_PAYMENT, 0)
    payment = payments.record_payment(
        session, invoice.id, amount_cents=9990, paid_at=NOW, method="pix", actor=ACTOR, now=NOW,
        external=External("asaas", 1, "pay_1"),
    )  # fmt: skip
    assert FILES.look_again(session) == 1
    work_to_end(session, NOW)
    assert reversal.status is BankLineStatus.WAITING
    assert f"payment {payment.id} was told by asaas" in (reversal.reason or "")
    match_line(session, reversal.id, invoice.id, ACTOR, now=NOW)
    assert (invoice.status.value, reversal.payment_id) == ("open", payment.id)


def test_a_reversal_that_a_person_was_asked_about_takes_back_its_own_titles_payment_when_that_comes(
    session: Session,
) -> None:
    invoice = titled(session, 1)
    paid = payments.record_payment(
        session, invoice.id, amount_cents=9990, paid_at=datetime(2026, 11, 20, 15, tzinfo=UTC), method="boleto",
        actor=ACTOR, now=NOW, external=External("asaas", 1, "pay_1"),
    )  # fmt: skip
    (reversal,) = lines_of(session, bring(session, itau_return(Detail("69", 1, DAY + timedelta(2), 9990))))
    assert reversal.status is BankLineStatus.WAITING
    bring(session, itau_return(Detail("06", 1, DAY, 9990), number=2))
    session.refresh(paid)
    assert (reversal.status, reversal.payment_id, paid.also_gateway) == (BankLineStatus.RECORDED, paid.id, "bank:341")
    assert paid.reversed_at == NOW


def test_nobody_decides_a_line_whose_turn_has_not_come(session: Session) -> None:
    invoice = titled(session, 1)
    file = store.receive(session, itau_return(Detail("06", 1, DAY, 9990)), name="a", actor=ACTOR, now=NOW)
    FILES.handle_due(session, {"file_id": file.id})
    (line,) = lines_of(session, file)
    with pytest.raises(Conflict, match="its turn comes"):
        match_line(session, line.id, invoice.id, ACTOR, now=NOW)


def test_retry_looks_at_all_that_waits_or_at_one_files(session: Session) -> None:
    first = bring(session, itau_return(Detail("06", 1, DAY, 9990), Detail("69", 2, DAY, 9990)))
    bring(session, itau_return(Detail("06", 3, DAY, 9990), number=2))
    assert (retry(session, first.id), retry(session)) == (2, 3)
    work_to_end(session, NOW)
    assert count(session, BankFileLine, BankFileLine.due_file_id.is_not(None)) == 0
    assert count(session, Event, Event.type == "bank_line.waiting") == 2  # said once, for the same reason


def test_one_id_for_several_entries_of_a_day_is_several_entries(session: Session) -> None:
    """Banks that number by the day, or give every Pix one id; the same statement again is still the same."""
    one, other = make_invoice(session, make_contract(session)), make_invoice(session, make_contract(session))
    entries = (entry("20261120", "99.90", f"PIX RECEBIDO provedor-{invoice.id}") for invoice in (one, other))
    written = ofx(*entries)
    assert bring(session, written).lines_new == 2
    assert (one.status.value, other.status.value) == ("paid", "paid")
    again = bring(session, written.replace("\n", "\r\n"))
    assert (again.lines_new, again.lines_repeated) == (0, 2)
    assert count(session, Payment) == 2


def test_two_accounts_in_one_statement_are_two(session: Session) -> None:
    first = ofx(entry("1", "99.90", "PIX"))
    second = ofx(entry("1", "99.90", "PIX"), account="99999-9").partition("<BANKMSGSRSV1>")[2]
    file = bring(session, first.replace("</OFX>", "<BANKMSGSRSV1>" + second.partition("</OFX>")[0] + "</OFX>"))
    assert [line.account for line in lines_of(session, file)] == ["35110-4", "99999-9"]


def test_one_file_under_another_name_is_one_file(session: Session) -> None:
    octets = itau_return(Detail("06", 1, DAY, 9990))
    first = bank_files.bring(session, octets, NOW, name="CB241126.RET")
    assert bank_files.bring(session, octets, NOW, name="copy of CB241126.RET").id == first.id
    assert working.work(session, first, NOW) is False

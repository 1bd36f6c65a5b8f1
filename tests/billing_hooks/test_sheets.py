"""Plans and decisions as spreadsheets: opened again, they say who, what, why, by which rule and with which message."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest
from billing_factories import make_invoice, run_to_end
from factories import make_contract, make_service
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing_hooks import sheets
from billing_hooks.invoicing.words import Words
from billing_hooks.models import BillingRun
from billing_hooks.runs import Billing
from billing_hooks.sheets import Row
from core import invoices
from core.audit import Actor
from core.clock import ManualClock
from core.errors import InvalidInput
from core.keyring import Keyring
from core.language import Language
from core.models import Customer

ZONE = ZoneInfo("America/Sao_Paulo")
NOW = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


def make_row(customer: str = "Ana", **values: object) -> Row:
    defaults: dict[str, object] = {
        "contract_id": 7, "logins": ["ana", "ana-2"], "action": "place", "effect": "walled_garden",
        "service_ids": [1, 2], "policy": "Anatel 765", "step": "suspension", "invoice_id": 12,
        "reason": Words("fatura 12 vencida", "invoice 12 is overdue"), "message": None,
    }  # fmt: skip
    return Row(customer, **defaults | values)  # type: ignore[arg-type]


def written(*rows: Row, language: Language = "pt_BR", became: bool = False) -> bytes:
    file = io.BytesIO()
    write = sheets.write_decisions if became else sheets.write_plan
    assert write(file, iter(rows), language, ZONE) == len(rows)
    return file.getvalue()


def read(octets: bytes) -> list[tuple[object, ...]]:
    sheet = load_workbook(io.BytesIO(octets)).active
    assert sheet is not None
    return [tuple(cell.value for cell in row) for row in sheet.iter_rows()]


def test_a_plan_says_all_in_portuguese_and_in_english() -> None:
    tells = make_row(
        action="tell", effect=None, service_ids=[], message=Words("Lembrete: vence amanhã", "Reminder: due tomorrow")
    )
    headers, first, second = read(written(make_row(), tells))
    assert headers == (
        "Cliente", "Contrato", "Login", "O quê", "Efeito", "Serviços", "Por quê", "Política", "Passo", "Fatura",
        "Mensagem",
    )  # fmt: skip
    assert first == (
        "Ana", 7, "ana, ana-2", "restringir", "só a página de aviso", "1, 2", "fatura 12 vencida", "Anatel 765",
        "suspension", 12, None,
    )  # fmt: skip
    assert (second[3], second[10]) == ("avisar", "Lembrete: vence amanhã")
    headers, first, second = read(written(make_row(), tells, language="en"))
    assert headers[:4] == ("Customer", "Contract", "Login", "What")
    assert (first[3], first[6], second[10]) == ("restrict", "invoice 12 is overdue", "Reminder: due tomorrow")


@pytest.mark.parametrize("name", ["=1+1", '=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", "http://x", "007"])
def test_what_might_be_a_formula_a_link_or_a_number_stays_text(name: str) -> None:
    octets = written(make_row(name, policy=name, logins=[name]))
    sheet = load_workbook(io.BytesIO(octets)).active
    assert sheet is not None
    (cells,) = sheet.iter_rows(min_row=2)
    assert [(cells[place].value, cells[place].data_type) for place in (0, 2, 7)] == [(name, "s")] * 3
    with ZipFile(io.BytesIO(octets)) as parts:
        xml = parts.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml
    assert "<hyperlink" not in xml


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
@settings(max_examples=30)
def test_any_name_comes_out_as_it_went_in(name: str) -> None:
    assert read(written(make_row(name)))[1][0] == (name or None)


def test_what_became_of_a_decision_stands_beside_it() -> None:
    done = make_row(done_at=datetime(2026, 11, 24, 13, 5, tzinfo=UTC))
    headers, first, second = read(written(done, make_row(outcome="no longer right"), became=True))
    assert headers[-2:] == ("Feito em", "Resultado")
    assert first[-2:] == (datetime(2026, 11, 24, 10, 5), None)
    assert second[-2:] == (None, "não era mais o caso")


def test_ten_times_the_rows_take_no_more_memory() -> None:
    def peak(count: int) -> int:
        rows: Iterator[Row] = (make_row(f"Customer {number}") for number in range(count))
        tracemalloc.start()
        sheets.write_plan(io.BytesIO(), rows, "en", ZONE)
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    few = peak(300)
    # the finished file is in memory here and not where it is written to disk: some octets a row
    assert peak(3000) < few + 3000 * 200


def test_more_than_a_sheet_holds_is_refused_and_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "ROWS_MAX", 2)
    with pytest.raises(InvalidInput, match="a sheet holds 2 rows"):
        written(make_row(), make_row(), make_row())


def test_a_dry_run_and_the_decisions_of_a_run_from_the_engine(session: Session, keyring: Keyring) -> None:
    actor, clock = Actor("test"), ManualClock(NOW)
    contract = make_contract(session)
    session.execute(update(Customer).where(Customer.id == contract.customer_id).values(name="=cmd|' /C calc'!A0"))
    service = make_service(session, keyring, contract=contract, login="ana")
    invoice = make_invoice(session, contract, due_date=date(2026, 10, 20))
    invoices.mark_notified(session, invoice, NOW - timedelta(days=20), actor, NOW)
    untold = make_contract(session)
    make_invoice(session, untold, due_date=date(2026, 11, 20))
    billing, file = Billing(ZONE, clock), io.BytesIO()
    assert sheets.write_plan(file, map(sheets.of_change, billing.changes(session)), "pt_BR", ZONE) == 2
    _, place, tell = read(file.getvalue())
    assert place[:6] == (
        "=cmd|' /C calc'!A0", contract.id, "ana", "restringir", "só a página de aviso", str(service.id)
    )  # fmt: skip
    assert place[6] == f"fatura {invoice.id} vencida há 35 dias, com o prazo do aviso cumprido"
    assert (tell[3], tell[8]) == ("avisar", "notice of debt")
    assert "poderá ser suspenso" in str(tell[10])

    run_to_end(session, billing)
    run_id = session.query(BillingRun.id).scalar()
    file = io.BytesIO()
    assert sheets.write_decisions(file, sheets.decisions_of(session, run_id), "pt_BR", ZONE) == 2
    rows = {row[1]: row for row in read(file.getvalue())[1:]}
    assert rows[contract.id][:11] == place
    assert rows[untold.id][:11] == tell
    assert rows[contract.id][11] == datetime(2026, 11, 24, 10, 0)

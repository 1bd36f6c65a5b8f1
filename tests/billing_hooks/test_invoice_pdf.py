"""The invoice as a PDF: what is written on it, and that its codes can be read again."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from billing_hooks.invoicing import words
from billing_hooks.invoicing.bars import interleaved_2_of_5, qr_matrix
from billing_hooks.invoicing.boleto_line import Boleto, barcode_of, line_of
from billing_hooks.invoicing.br_code import StaticCode, encode
from billing_hooks.invoicing.facts import Credit, Discount, Facts, Item, Reason, Uncharged
from billing_hooks.invoicing.late import Debt, LateTerms, second_copy
from billing_hooks.invoicing.lines import draft
from billing_hooks.invoicing.pdf import (
    BARCODE_HEIGHT_MM,
    BARCODE_WIDTH_MM,
    QR_SQUARE_MM,
    Party,
    Sheet,
    draw,
    terms_words,
)
from billing_hooks.invoicing.period import Span, Terms, periods
from billing_hooks.invoicing.words import Words, name
from core.errors import InvalidInput

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DUE = date(2026, 12, 5)
USUAL = LateTerms(fine_bp=200, interest_bp_month=100)
FOREVER = Span(date(2026, 1, 5))
POINTS_A_MM = 72 / 25.4
FACTS = Facts(
    (Item("plan", name("Fibra 500 Mega"), 149_990, FOREVER), Item("ip", name("IP fixo"), 1500, FOREVER)),
    discounts=(Discount("loyal", Words("Fidelidade", "Loyalty"), FOREVER, percent_bp=1000),),
    credits=(Credit("old", Words("Acerto de novembro", "November's correction"), 1000),),
    uncharged=(Uncharged(Span(date(2026, 12, 10), date(2026, 12, 13)), Reason.SUSPENDED),),
)
PERIOD = list(periods(Terms(date(2026, 1, 5), 5), date(2026, 12, 6)))[-1]
DRAFT = draft(PERIOD, FACTS)


def pix_of(cents: int) -> str:
    return encode(StaticCode("financeiro@provedor.com.br", "Provedor São João", "São Paulo", cents, "FATURA2026120001"))


def boleto_of(cents: int, due: date = DUE) -> str:
    return line_of(barcode_of(Boleto("341", "1101234567880057123457000", due, cents)))


SHEET = Sheet(
    "2026-12/0001", date(2026, 11, 24), DUE, Span(PERIOD.start, PERIOD.end),
    Party("Provedor São João Telecom Ltda.", "11222333000181", ("Rua das Flores, 10, São Paulo - SP",), ("0800 123",)),
    Party("Maria Conceição de Souza", "52998224725", ("Av. Brasil, 1000, apto. 12",)),
    DRAFT.lines, USUAL,
    pix_code=pix_of(DRAFT.total_cents), boleto_line=boleto_of(DRAFT.total_cents),
    notice="Aviso de débito: há uma fatura em aberto.\nSuspensão a partir de 20/12/2026.",
)  # fmt: skip


def reader_of(pdf: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(pdf))


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in reader_of(pdf).pages)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def rectangles(pdf: bytes) -> list[tuple[float, float, float, float]]:
    """Filled ones, as (left, top, width, height) in mm."""
    found = []
    for page in reader_of(pdf).pages:
        contents = page.get_contents()
        assert contents is not None
        number = rb"(-?[\d.]+)"
        for match in re.finditer(rb" ".join([number] * 4) + rb" re f", contents.get_data()):
            left, bottom, width, height = (float(one) / POINTS_A_MM for one in match.groups())
            found.append((left, 297 - bottom, width, -height if height < 0 else height))
    return found


def drawn_matrix(pdf: bytes) -> tuple[tuple[bool, ...], ...]:
    """The dark squares, read back from the page."""
    runs = [one for one in rectangles(pdf) if abs(one[3] - QR_SQUARE_MM) < 0.01]
    left, top = min(one[0] for one in runs), min(one[1] for one in runs)
    dark = {
        (round((y - top) / QR_SQUARE_MM), round((x - left) / QR_SQUARE_MM) + at)
        for x, y, width, _ in runs
        for at in range(round(width / QR_SQUARE_MM))
    }
    size = max(row for row, _ in dark) + 1
    return tuple(tuple((row, column) in dark for column in range(size)) for row in range(size))


def read_interleaved(bars: list[tuple[float, float]], narrow: float) -> str:
    """The digits of bars, each (left, width): two bars-and-spaces fives a pair of digits, after 4 and before 3."""
    elements = []
    for (left, width), (after, _) in zip(bars, [*bars[1:], (None, None)], strict=True):
        elements.append(round(width / narrow))
        if after is not None:
            elements.append(round((after - left - width) / narrow))
    assert elements[:4] == [1, 1, 1, 1]
    assert elements[-3:] == [3, 1, 1]
    weights = (1, 2, 4, 7, 0)  # of the wide ones; 4 and 7 make the 0
    digits = ""
    for at in range(4, len(elements) - 3, 10):
        for offset in (0, 1):
            five = elements[at + offset : at + 10 : 2]
            assert sorted(five) == [1, 1, 1, 3, 3]
            total = sum(weight for weight, width in zip(weights, five, strict=True) if width == 3)
            digits += str(0 if total == 11 else total)
    return digits


@pytest.fixture(scope="module")
def pdf() -> bytes:
    return draw(SHEET, "pt_BR", NOW)


@pytest.mark.parametrize(
    "said",
    [
        "Provedor São João Telecom Ltda.", "CNPJ 11.222.333/0001-81", "Rua das Flores, 10", "0800 123",
        "Fatura 2026-12/0001", "Maria Conceição de Souza - CPF 529.982.247-25", "Av. Brasil, 1000, apto. 12",
        "05/12/2026", "24/11/2026", "05/12/2026 a 04/01/2027", "Fibra 500 Mega, 05/12/2026 a 09/12/2026 (5 de 31 dias)",
        "Serviço suspenso, 10/12/2026 a 12/12/2026 (3 dias não cobrados)", "Desconto: Fidelidade", "Acerto de novembro",
        "Subtotal", "Descontos", "Créditos", "Total a pagar",
        "Após o vencimento: multa de 2,00% e juros de 1,00% ao mês", "Suspensão a partir de 20/12/2026",
        "Pague com Pix", "Pague com boleto",
    ],
)  # fmt: skip
def test_an_invoice_says_in_portuguese(pdf: bytes, said: str) -> None:
    assert squeezed(said) in squeezed(text_of(pdf))


def test_the_amounts_are_in_brazilian_format_and_sum_up(pdf: bytes) -> None:
    text = squeezed(text_of(pdf))
    charged = sum(line.amount_cents for line in DRAFT.lines if line.amount_cents > 0)
    assert DRAFT.total_cents == 122_146  # 151490 of 28 days in 31, less 10%, rounded down, less 1000
    assert squeezed(f"Total a pagar {words.money(DRAFT.total_cents)}") == "TotalapagarR$1.221,46"
    for said in ("TotalapagarR$1.221,46", f"Subtotal{squeezed(words.money(charged))}", "Créditos-R$10,00"):
        assert said in text


def test_an_invoice_says_in_english() -> None:
    text = squeezed(text_of(draw(SHEET, "en", NOW)))
    for said in (
        "Invoice 2026-12/0001", "Due date 2026-12-05", "Reference period 2026-12-05 to 2027-01-04", "Discount: Loyalty",
        "Service suspended, 2026-12-10 to 2026-12-12 (3 days not charged)", "Total to pay R$ 1.221,46",
        "After the due date: a fine of 2,00% and interest of 1,00% a month", "Pay by Pix", "Pay by boleto",
    ):  # fmt: skip
        assert squeezed(said) in text


def test_the_pix_code_is_there_to_copy_and_drawn_as_the_same_code(pdf: bytes) -> None:
    assert SHEET.pix_code is not None
    assert squeezed(SHEET.pix_code) in squeezed(text_of(pdf))
    assert drawn_matrix(pdf) == qr_matrix(SHEET.pix_code)
    assert drawn_matrix(pdf) != qr_matrix(pix_of(1))


def test_the_boleto_is_written_and_its_bars_say_the_same_digits(pdf: bytes) -> None:
    assert SHEET.boleto_line is not None
    assert squeezed("34191.10121 34567.880058 71234.570001") in squeezed(text_of(pdf))
    bars = sorted((x, width) for x, _, width, height in rectangles(pdf) if abs(height - BARCODE_HEIGHT_MM) < 0.1)
    assert bars[-1][0] + bars[-1][1] - bars[0][0] == pytest.approx(BARCODE_WIDTH_MM, abs=0.1)
    digits = read_interleaved(bars, BARCODE_WIDTH_MM / 405)
    assert digits == barcode_of(Boleto("341", "1101234567880057123457000", DUE, DRAFT.total_cents))


@given(st.from_regex(r"([0-9]{2}){1,22}", fullmatch=True))
def test_bars_say_their_digits(digits: str) -> None:
    widths = interleaved_2_of_5(digits)
    lefts = [sum(widths[:at]) for at in range(len(widths))]
    bars = [(float(left), float(width)) for left, width in zip(lefts, widths, strict=True)][::2]
    assert read_interleaved(bars, 1.0) == digits


@given(st.text("abc0", min_size=1, max_size=300))
def test_a_qr_code_is_a_square_with_its_three_corners(text: str) -> None:
    matrix = qr_matrix(text)
    size = len(matrix)
    assert size % 4 == 1
    assert all(len(row) == size for row in matrix)
    for row, column in ((0, 0), (0, size - 7), (size - 7, 0)):
        assert all(matrix[row][column + at] and matrix[row + 6][column + at] for at in range(7))
        assert all(matrix[row + at][column] and matrix[row + at][column + 6] for at in range(7))


def test_the_same_input_gives_the_same_octets(pdf: bytes) -> None:
    assert draw(SHEET, "pt_BR", NOW) == pdf
    assert draw(SHEET, "pt_BR", NOW.replace(hour=13)) != pdf
    metadata = reader_of(pdf).metadata
    assert metadata is not None
    assert metadata.creation_date == NOW
    assert metadata.title == "Fatura 2026-12/0001"


def test_another_process_gives_the_same_octets_too() -> None:
    """Nothing hangs on the order of a hash table."""
    program = (
        "import sys, hashlib; sys.path.insert(0, 'tests/billing_hooks');"
        "from test_invoice_pdf import *; print(hashlib.sha256(draw(SHEET, 'en', NOW)).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_a_second_copy_shows_what_was_added_and_both_dates() -> None:
    debt = Debt(DRAFT.total_cents, DUE, USUAL)
    copy = second_copy(debt, date(2027, 1, 4), lambda _: False)
    total = copy.amount.total_cents
    sheet = replace(
        SHEET, copy=copy, pix_code=pix_of(total), boleto_line=boleto_of(total, date(2027, 1, 4)), notice=None
    )
    text = squeezed(text_of(draw(sheet, "pt_BR", NOW)))
    for said in (
        "Fatura 2026-12/0001 (2ª via)", "Vencimento 04/01/2027", "Vencimento original 05/12/2026",
        "Valor original R$ 1.221,46", "Multa por atraso R$ 24,42", "Juros de mora R$ 12,21",
        "Total a pagar R$ 1.258,09",
    ):  # fmt: skip
        assert squeezed(said) in text


def test_an_invoice_without_codes_and_terms_says_nothing_of_them() -> None:
    bare = replace(SHEET, pix_code=None, boleto_line=None, terms=None, notice=None)
    pdf = draw(bare, "pt_BR", NOW)
    for said in ("Pague com", "Condições de pagamento", "Aviso"):
        assert squeezed(said) not in squeezed(text_of(pdf))
    assert rectangles(pdf) == []


def test_many_lines_go_on_over_pages_and_no_code_is_cut_in_two() -> None:
    items = tuple(
        Item(f"item-{at:03d}", name(f"Item {at:03d} " + "muito longo " * (at % 12)), 100, FOREVER) for at in range(90)
    )
    made = draft(PERIOD, Facts(items))
    sheet = replace(SHEET, lines=made.lines, pix_code=pix_of(9000), boleto_line=boleto_of(9000))
    pdf = draw(sheet, "pt_BR", NOW)
    pages = [page.extract_text() for page in reader_of(pdf).pages]
    assert len(pages) > 2
    assert all(f"Item {at:03d}" in "".join(pages) for at in range(90))
    assert drawn_matrix(pdf) == qr_matrix(pix_of(9000))
    assert f"página {len(pages)}" in pages[-1]
    assert all(left >= 15.9 and left + width <= 194.1 and 0 < top < 285 for left, top, width, _ in rectangles(pdf))


@pytest.mark.parametrize("count", range(6, 40, 3))
def test_codes_stay_on_one_page_wherever_the_lines_end(count: int) -> None:
    made = draft(PERIOD, Facts(tuple(Item(str(at), name("Item"), 100, FOREVER) for at in range(count))))
    sheet = replace(SHEET, lines=made.lines, pix_code=pix_of(count * 100), boleto_line=boleto_of(count * 100))
    pdf = draw(sheet, "pt_BR", NOW)
    assert all(top + height <= 297 - 16 for _, top, _, height in rectangles(pdf))
    assert drawn_matrix(pdf) == qr_matrix(pix_of(count * 100))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pix_code": pix_of(DRAFT.total_cents + 1)}, "pix_code"),
        ({"pix_code": "00020126"}, "63"),
        ({"early_pix_code": pix_of(DRAFT.total_cents - 1)}, "early_pix_code"),
        ({"boleto_line": boleto_of(DRAFT.total_cents - 1)}, "boleto_line"),
        ({"boleto_line": boleto_of(DRAFT.total_cents, date(2026, 12, 6))}, "boleto_line"),
        ({"boleto_line": "0" * 47}, "currency"),
        ({"period": Span(DUE)}, "period"),
        ({"lines": DRAFT.lines[-1:]}, "lines"),
        ({"copy": second_copy(Debt(1, DUE), date(2027, 1, 4), lambda _: False)}, "copy"),
        (
            {"copy": second_copy(Debt(DRAFT.total_cents, date(2026, 12, 1)), date(2027, 1, 4), lambda _: False)},
            "copy",
        ),
    ],
)
def test_a_sheet_that_contradicts_itself_is_refused_by_name(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        replace(SHEET, **changed)
    assert refused.value.field == field


def test_a_moment_without_a_zone_and_codes_that_nobody_can_draw_are_refused() -> None:
    for make, field in (
        (lambda: draw(SHEET, "en", datetime(2026, 11, 24)), "created_at"),
        (lambda: qr_matrix("x" * 4000), "text"),
        (lambda: interleaved_2_of_5("123"), "digits"),
        (lambda: interleaved_2_of_5("1a"), "digits"),
    ):
        with pytest.raises(InvalidInput) as refused:
            make()
        assert refused.value.field == field


def test_terms_are_said_as_sentences() -> None:
    early = LateTerms(discount_cents=1000, discount_until=date(2026, 12, 1))
    assert terms_words(early).pt.startswith("Desconto de R$ 10,00 para pagamento até 01/12/2026. Vencimento em sábado")
    assert "Após o vencimento" not in terms_words(early).pt
    assert terms_words(LateTerms(fine_bp=150)).en.startswith("After the due date: a fine of 1,50%. Due on a Saturday")


@pytest.mark.parametrize(
    ("cents", "shown"),
    [
        (0, "R$ 0,00"),
        (5, "R$ 0,05"),
        (123456, "R$ 1.234,56"),
        (-1000, "-R$ 10,00"),
        (123456789012, "R$ 1.234.567.890,12"),
    ],
)
def test_money_is_written_as_in_brazil(cents: int, shown: str) -> None:
    assert words.money(cents) == shown


@pytest.mark.parametrize(
    ("plain", "shown"),
    [("52998224725", "529.982.247-25"), ("11222333000181", "11.222.333/0001-81"),
     ("12ABC34501DE35", "12.ABC.345/01DE-35"), ("X1234", "X1234")],
)  # fmt: skip
def test_documents_have_their_punctuation(plain: str, shown: str) -> None:
    assert words.document(plain) == shown

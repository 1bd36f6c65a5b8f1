"""A boleto's line and barcode, one from the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.invoicing.boleto_line import (
    CYCLE_DAYS,
    Boleto,
    BoletoLineMalformed,
    UtilityLine,
    barcode_of,
    barcode_of_line,
    date_of,
    factor_of,
    line_of,
    read_barcode,
    read_line,
    written,
)
from core.errors import InvalidInput

FILE = Path(__file__).parents[1] / "vectors" / "boleto_line.txt"
VECTORS = [line.split(" | ") for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
DAY = timedelta(days=1)
TODAY = date(2026, 11, 24)
#: Companhias of water, light and telephone; with modulus 10 and 11.
UTILITIES = (
    "83640000001-1 33120138000-2 81288462711-6 08013618155-1",
    "85890000460-9 52460179160-5 60759305086-5 83148300001-0",
    "82620000000 6 62730534000 2 00202200107 3 25520100504 8",
)

due_dates = st.dates(date(2000, 7, 3), date(2060, 12, 31))
free_fields = st.from_regex(r"[0-9]{25}", fullmatch=True)
banks = st.from_regex(r"[0-79][0-9]{2}", fullmatch=True)
boletos = st.builds(Boleto, banks, free_fields, due_dates, st.integers(0, 10**10 - 1)) | st.builds(
    Boleto, banks, free_fields, st.none(), st.integers(0, 10**13 - 1)
)


@pytest.mark.parametrize(("line", "barcode", "bank", "due_date", "amount", "near"), VECTORS)
def test_the_banks_examples(line: str, barcode: str, bank: str, due_date: str, amount: str, near: str) -> None:
    assert barcode_of_line(line) == barcode
    assert written(line_of(barcode)) == line
    said = read_line(line, date.fromisoformat(near))
    assert (said.bank, said.due_date, said.amount_cents) == (bank, date.fromisoformat(due_date), int(amount))
    assert barcode_of(said) == barcode


@given(boletos)
def test_what_is_written_is_read_as_it_was_both_ways(boleto: Boleto) -> None:
    barcode = barcode_of(boleto)
    assert len(barcode) == 44
    assert barcode[4] != "0"
    line = line_of(barcode)
    assert len(line) == 47
    assert barcode_of_line(line) == barcode
    assert barcode_of_line(written(line)) == barcode
    near = boleto.due_date or TODAY
    assert read_barcode(barcode, near) == read_line(line, near) == boleto


@given(boletos, st.integers(0, 46), st.integers(1, 9))
def test_no_digit_of_the_first_three_blocks_can_be_mistyped(boleto: Boleto, at: int, more: int) -> None:
    line = line_of(barcode_of(boleto))
    typed = line[:at] + str((int(line[at]) + more) % 10) + line[at + 1 :]
    if at < 32:
        with pytest.raises(InvalidInput):
            barcode_of_line(typed)
        return
    with suppress(BoletoLineMalformed):  # modulus 11 with 0, 10 and 11 as 1 cannot tell all of the rest
        assert barcode_of_line(typed) != barcode_of(boleto)


@given(st.text(max_size=60) | st.text("0123456789 .-", min_size=44, max_size=52))
def test_any_text_is_a_line_or_refused(text: str) -> None:
    try:
        said: str | None = barcode_of_line(text)
    except (BoletoLineMalformed, UtilityLine) as refused:
        said = refused.field
    assert said


@given(st.from_regex(r"[0-9]{44}", fullmatch=True))
def test_any_digits_are_a_barcode_or_refused(digits: str) -> None:
    with suppress(BoletoLineMalformed, UtilityLine):
        assert barcode_of_line(line_of(digits)) == digits


@pytest.mark.parametrize(
    ("due_date", "factor"),
    [
        ("2000-07-03", 1000), ("2000-07-05", 1002), ("2002-05-01", 1667), ("2010-11-17", 4789), ("2012-04-27", 5316),
        ("2025-02-20", 9998), ("2025-02-21", 9999), ("2025-02-22", 1000), ("2025-02-23", 1001), ("2049-10-13", 9999),
        ("2049-10-14", 1000),
    ],
)  # fmt: skip
def test_the_factor_counts_days_and_began_again_on_22_february_2025(due_date: str, factor: int) -> None:
    day = date.fromisoformat(due_date)
    assert factor_of(day) == factor
    assert date_of(factor, near=day) == day


@given(due_dates, st.integers(-CYCLE_DAYS // 2 + 1, CYCLE_DAYS // 2 - 1))
def test_a_factor_means_the_day_nearest_to_the_one_given(due_date: date, offset: int) -> None:
    near = max(due_date + offset * DAY, date(1996, 1, 1))
    assert date_of(factor_of(due_date), near) == due_date


@given(st.integers(1000, 9999), st.dates(date(2001, 1, 1), date(2100, 1, 1)))
def test_no_other_day_of_a_factor_is_nearer(factor: int, near: date) -> None:
    found = date_of(factor, near)
    assert factor_of(found) == factor
    for other in (found - CYCLE_DAYS * DAY, found + CYCLE_DAYS * DAY):
        assert other < date(2000, 7, 3) or abs(other - near) >= abs(found - near)


@pytest.mark.parametrize("line", UTILITIES)
def test_a_utilitys_bill_is_known_and_said_not_to_be_ours(line: str) -> None:
    with pytest.raises(UtilityLine, match="not a boleto of ours"):
        barcode_of_line(line)
    digits = "".join(one for one in line if one.isdigit())
    with pytest.raises(UtilityLine):
        line_of("".join(digits[at : at + 11] for at in range(0, 48, 12)))


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: Boleto("01", "0" * 25), "bank"),
        (lambda: Boleto("836", "0" * 25), "bank"),
        (lambda: Boleto("00১", "0" * 25), "bank"),
        (lambda: Boleto("001", "0" * 24), "free_field"),
        (lambda: Boleto("001", "0" * 25, TODAY, 10**10), "amount_cents"),
        (lambda: Boleto("001", "0" * 25, None, 10**13), "amount_cents"),
        (lambda: Boleto("001", "0" * 25, TODAY, -1), "amount_cents"),
        (lambda: Boleto("001", "0" * 25, date(2000, 7, 2)), "due_date"),
        (lambda: date_of(999, TODAY), "factor"),
        (lambda: barcode_of_line("0019"), "line"),
        (lambda: barcode_of_line("8" * 47), "block 1"),
        (lambda: line_of("0" * 43), "barcode"),
        (lambda: line_of("00103" + "0" * 39), "currency"),
        (lambda: line_of("00190" + "0" * 39), "check digit"),
    ],
)
def test_what_is_no_boleto_is_refused_by_name(make: Callable[[], object], where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make()
    assert refused.value.field == where

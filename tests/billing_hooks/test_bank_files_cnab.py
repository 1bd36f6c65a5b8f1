"""CNAB returns: every layout against a file written by hand from the bank's document, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from bank_files import VECTORS, Detail, as_file, is_named, itau_return, outcome, vector, vector_lines, with_columns
from billing_factories import make_invoice
from factories import make_contract
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from billing_hooks.bank_files import cnab, source
from billing_hooks.bank_files.base import BankFileMalformed, BankFileOfAnother, BankLine, BankRows, Kind
from billing_hooks.bank_files.facts import candidates
from billing_hooks.bank_files.layouts import get_layout, layouts
from core.errors import InvalidInput

FILES = sorted(path.name for path in VECTORS.glob("*.ret"))
D = date


def read(name: str) -> BankRows:
    return source.read(vector(name), name.removesuffix(".ret"))


def told(line: BankLine) -> tuple[object, ...]:
    return (
        line.kind.value, line.title, line.paid_cents, line.nominal_cents, line.interest_cents, line.discount_cents,
        line.rebate_cents, line.fee_cents, line.net_cents, line.occurred_on, line.credited_on, line.due_on,
        line.document, line.reference, line.payer_document,
    )  # fmt: skip


def test_every_layout_has_a_file_written_by_hand() -> None:
    assert sorted(f"{name}.ret" for name in layouts()) == FILES


def test_febraban_240_is_read_as_its_document_says() -> None:
    rows = read("febraban-240.ret")
    assert (rows.format, rows.bank, rows.account, rows.company_document, rows.problems) == (
        "cnab240", "999", "123456/12340/543216", "12345678000195", (),
    )  # fmt: skip
    maria, no = "52998224725", None
    assert [told(line) for line in rows.lines] == [
        ("confirmed", "00000000000000001001", 0, 9990, 0, 0, 0, 0, no, D(2026, 11, 20), no, D(2026, 12, 10), "1001",
         "provedor-1001", maria),
        ("paid", "00000000000000001002", 10200, 9990, 210, 0, 0, 199, 10001, D(2026, 11, 23), D(2026, 11, 24),
         D(2026, 11, 10), "1002", "provedor-1002", maria),
        ("paid_at_notary", "00000000000000001003", 9400, 10000, 0, 500, 100, 199, 9201, D(2026, 11, 20),
         D(2026, 11, 23), D(2026, 11, 20), "1003", "provedor-1003", "12ABC34501DE35"),
        ("cancelled", "00000000000000001004", 0, 5000, 0, 0, 0, 0, no, D(2026, 11, 23), no, D(2026, 10, 10), "1004",
         "provedor-1004", ""),
        ("fee_only", "", 0, 0, 0, 0, 0, 1250, no, D(2026, 11, 23), no, no, "", "", ""),
        ("rejected", "00000000000000001005", 0, 9990, 0, 0, 0, 0, no, D(2026, 11, 20), no, D(2027, 1, 10), "1005",
         "provedor-1005", maria),
    ]  # fmt: skip
    assert [line.number for line in rows.lines] == [3, 5, 7, 9, 11, 13]
    assert rows.lines[0].payer_name == "MARIA DA CONCEICAO"


def test_banco_do_brasil_240_pays_bounces_and_pays_at_the_notary() -> None:
    rows = read("banco-do-brasil-240.ret")
    assert (rows.bank, rows.account) == ("001", "3128557/12345/543211")
    assert [(line.kind.value, line.title, line.paid_cents, line.occurred_on) for line in rows.lines] == [
        ("paid", "31285570000000042", 9990, D(2026, 11, 10)),
        ("reversed", "31285570000000042", 9990, D(2026, 11, 13)),
        ("paid_at_notary", "31285570000000043", 9990, D(2026, 11, 16)),
    ]
    assert rows.lines[0].payer_name == "MARIA DA CONCEIÇÃO"
    assert (rows.lines[0].net_cents, rows.lines[0].fee_cents) == (9887, 103)


def test_sicoob_240_has_its_number_in_ten_columns() -> None:
    (paid, confirmed) = read("sicoob-240.ret").lines
    assert told(paid) == (
        "paid", "0000001234", 10023, 9990, 33, 0, 0, 170, 9853, D(2026, 11, 12), D(2026, 11, 13), D(2026, 11, 10), "77",
        "provedor-77", "52998224725",
    )  # fmt: skip
    assert (confirmed.kind, confirmed.title) == (Kind.CONFIRMED, "0000001242")


def test_caixa_240_has_modality_and_number_in_seventeen_columns() -> None:
    rows = read("caixa-240.ret")
    assert rows.account == "654321/12341"
    (paid, reversed_) = rows.lines
    assert told(paid) == (
        "paid", "14000000000000077", 9990, 9990, 0, 0, 0, 250, 9740, D(2026, 11, 10), D(2026, 11, 12), D(2026, 11, 10),
        "77", "provedor-77", "52998224725",
    )  # fmt: skip
    assert (reversed_.kind, reversed_.occurrence, reversed_.occurred_on) == (Kind.REVERSED, "44", D(2026, 11, 16))


def test_santander_240_is_four_columns_to_the_left_and_its_pix_segments_are_passed_over() -> None:
    rows = read("santander-240.ret")
    assert (rows.account, rows.company_document) == ("7125577/12345/6789012", "12345678000195")
    (confirmed, paid) = rows.lines
    assert (confirmed.kind, confirmed.title) == (Kind.CONFIRMED, "0000000000124")
    assert told(paid) == (
        "paid", "0000000000132", 9990, 9990, 0, 0, 0, 260, 9990, D(2026, 11, 23), D(2026, 11, 24), D(2026, 11, 10),
        "13", "provedor-13", "52998224725",
    )  # fmt: skip


def test_itau_400_tells_what_came_to_the_account_and_the_fee_is_put_back() -> None:
    rows = read("itau-400.ret")
    assert (rows.format, rows.account, rows.company_document) == ("cnab400", "730/351104", "12345678000195")
    no = None
    assert [told(line)[:11] for line in rows.lines] == [
        ("confirmed", "00001001", 0, 9990, 0, 0, 0, 0, no, D(2026, 11, 20), no),
        ("paid", "00001002", 9990, 9990, 0, 0, 0, 210, 9780, D(2026, 11, 20), D(2026, 11, 23)),
        ("paid", "00001003", 10212, 9990, 222, 0, 0, 210, 10002, D(2026, 11, 23), D(2026, 11, 24)),
        ("paid_at_notary", "00001004", 9490, 9990, 0, 500, 0, 210, 9280, D(2026, 11, 23), D(2026, 11, 24)),
        ("cancelled", "00001005", 0, 9990, 0, 0, 0, 210, no, D(2026, 11, 23), no),
        ("fee_only", "00001006", 0, 9990, 0, 0, 0, 150, no, D(2026, 11, 23), no),
        ("reversed", "00001002", 9990, 9990, 0, 0, 0, 0, 9990, D(2026, 11, 24), no),
    ]
    assert (rows.lines[1].document, rows.lines[1].reference) == ("1002", "provedor-1002")


def test_bradesco_400_has_a_check_digit_that_may_be_a_letter() -> None:
    rows = read("bradesco-400.ret")
    assert rows.account == "4540691"
    assert [(line.kind.value, line.title, line.paid_cents, line.interest_cents) for line in rows.lines] == [
        ("confirmed", "00000005135P", 0, 0), ("paid", "000000051460", 10200, 210),
        ("paid_at_notary", "000000051478", 9990, 0), ("cancelled", "000000051486", 0, 0),
        ("reversed", "000000051460", 10200, 0), ("fee_only", "", 0, 0),
    ]  # fmt: skip
    assert (rows.lines[1].fee_cents, rows.lines[1].credited_on, rows.lines[1].due_on) == (
        160, D(2026, 11, 24), D(2026, 11, 10),
    )  # fmt: skip


def test_sicredi_400_writes_fine_and_interest_apart_and_the_credits_day_year_first() -> None:
    rows = read("sicredi-400.ret")
    assert (rows.account, rows.company_document) == ("54321", "12345678000195")
    assert [(line.kind.value, line.title, line.paid_cents) for line in rows.lines] == [
        ("confirmed", "262000421", 0), ("paid", "262000430", 10222), ("paid_at_notary", "262000448", 9990),
        ("cancelled", "262000456", 0),
    ]  # fmt: skip
    paid = rows.lines[1]
    assert (paid.interest_cents, paid.fee_cents, paid.credited_on) == (232, 150, D(2026, 11, 24))


@pytest.mark.parametrize("name", FILES)
def test_the_bank_that_a_file_names_chooses_the_layout(name: str) -> None:
    layout = cnab.layout_of(vector(name))
    assert (layout.name if layout else "febraban-240") == name.removesuffix(".ret")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "dressed",
    [
        lambda lines: "\r\n".join(lines).encode("latin-1"),
        lambda lines: "\n".join(lines).encode("cp1252") + b"\n",
        lambda lines: "\r".join(lines).encode("latin-1"),
        lambda lines: "\r\n".join(line.rstrip() for line in lines).encode("utf-8"),
        lambda lines: b"\xef\xbb\xbf" + "\n\n".join(lines).encode("utf-8") + b"\r\n\x1a",
        lambda lines: "\n".join(line + "   " for line in lines).encode("latin-1"),
    ],
    ids=[
        "no last line end",
        "LF and cp1252",
        "CR",
        "trimmed and UTF-8",
        "BOM, blank lines and Ctrl-Z",
        "blanks behind",
    ],
)
def test_the_same_file_in_every_dress(name: str, dressed: Callable[[list[str]], bytes]) -> None:
    rows = source.read(dressed(vector_lines(name)), name.removesuffix(".ret"))
    plain = read(name)
    assert [told(line) for line in rows.lines] == [told(line) for line in plain.lines]
    assert [line.payer_name for line in rows.lines] == [line.payer_name for line in plain.lines]


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_at_any_octet_is_refused_or_whole(name: str) -> None:
    """Whatever is left of it, nothing of it is half a line."""
    whole, octets = read(name), vector(name)
    results = [outcome(octets[:length], name.removesuffix(".ret")) for length in range(len(octets))]
    assert all(result == whole or (isinstance(result, BankFileMalformed) and is_named(result)) for result in results)
    refused = sum(isinstance(result, BankFileMalformed) for result in results)
    assert refused > len(octets) - 2 * get_layout(name.removesuffix(".ret")).length


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_any_one_of_its_lines_is_refused(name: str) -> None:
    lines = vector_lines(name)
    for place in range(len(lines)):
        with pytest.raises(BankFileMalformed):
            source.read(as_file(lines[:place] + lines[place + 1 :]), name.removesuffix(".ret"))


@given(st.binary(max_size=1200), st.sampled_from(sorted(layouts())))
def test_any_octets_are_rows_or_a_malformed_file_that_names_the_line(octets: bytes, name: str) -> None:
    assert is_named(outcome(octets, name))


@given(st.data(), st.sampled_from(FILES))
def test_any_change_of_a_file_is_rows_or_a_malformed_file_that_names_the_line(data: st.DataObject, name: str) -> None:
    """Much nearer to a file than random octets are, so that fields are reached as well."""
    octets = bytearray(vector(name))
    for _ in range(data.draw(st.integers(1, 6))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert is_named(outcome(bytes(octets), name.removesuffix(".ret")))


def test_a_bad_field_is_named_with_its_line_and_the_others_are_read() -> None:
    lines = vector_lines("itau-400.ret")
    lines[2] = with_columns(lines[2], 254, "00000000978,0")
    lines[3] = with_columns(lines[3], 111, "310226")
    rows = source.read(as_file(lines))
    assert [(one.line, one.field) for one in rows.problems] == [(3, "paid"), (4, "occurred_on")]
    assert [line.number for line in rows.lines] == [2, 5, 6, 7, 8]


def test_a_segment_without_its_fellow_and_two_that_differ_are_named() -> None:
    lines = vector_lines("febraban-240.ret")
    lines[3] = with_columns(lines[3], 14, "Y")
    lines[5] = with_columns(lines[5], 16, "09")
    rows = source.read(as_file(lines), "febraban-240")
    assert [(one.line, one.field) for one in rows.problems] == [(3, "T"), (5, "occurrence")]
    assert [line.number for line in rows.lines] == [7, 9, 11, 13]


@pytest.mark.parametrize(
    ("place", "first", "text", "field"),
    [
        (0, 143, "1", "header"),  # a remittance
        (0, 8, "1", "header"),
        (4, 9, "00007", "sequence"),
        (14, 18, "000012", "batch_trailer"),
        (15, 18, "000002", "trailer"),
        (15, 24, "000017", "trailer"),
        (15, 24, "00001 ", "trailer"),
        (15, 8, "5", "trailer"),
        (1, 8, "4", "record"),
    ],
)
def test_a_broken_frame_refuses_the_whole_file(place: int, first: int, text: str, field: str) -> None:
    lines = vector_lines("febraban-240.ret")
    lines[place] = with_columns(lines[place], first, text)
    with pytest.raises(BankFileMalformed) as refused:
        source.read(as_file(lines), "febraban-240")
    assert refused.value.field == field


def test_counts_of_the_trailers_of_400_columns_are_compared() -> None:
    for name, first, text in (("itau-400.ret", 213, "00000006"), ("bradesco-400.ret", 58, "00002")):
        lines = vector_lines(name)
        lines[-1] = with_columns(lines[-1], first, text)
        with pytest.raises(BankFileMalformed) as refused:
            source.read(as_file(lines))
        assert (refused.value.line, refused.value.field) == (len(lines), "trailer")


def test_a_line_that_is_too_long_and_two_files_in_one_are_refused() -> None:
    lines = vector_lines("itau-400.ret")
    with pytest.raises(BankFileMalformed, match="line 3, length"):
        source.read(as_file([*lines[:2], lines[2] + "X", *lines[3:]]), "itau-400")
    with pytest.raises(BankFileMalformed, match="two files in one"):
        source.read(as_file(lines + lines))


def test_a_file_of_nobody_we_know_says_so() -> None:
    with pytest.raises(BankFileMalformed, match="name a layout"):
        source.read(b"data;valor\n")
    with pytest.raises(BankFileMalformed):
        source.read(b"")
    with pytest.raises(InvalidInput, match="itau-400") as refused:
        source.read(b"", "banco-que-nao-ha")
    assert refused.value.field == "layout"


def test_another_companys_file_or_accounts_is_refused_with_its_reason() -> None:
    rows = read("itau-400.ret")
    source.refuse_another(rows, documents=[])
    source.refuse_another(rows, documents=["11222333000181", "12345678000195"], account="0730/35110-4")
    with pytest.raises(BankFileOfAnother, match="12345678000195") as refused:
        source.refuse_another(rows, documents=["11222333000181"])
    assert refused.value.field == "company_document"
    with pytest.raises(BankFileOfAnother, match="730/351104") as refused:
        source.refuse_another(rows, documents=[], account="0730/99999-9")
    assert refused.value.field == "account"


def test_an_alphanumeric_cnpj_passes_as_company_and_as_payer() -> None:
    lines = [
        with_columns(line, 19, "12ABC34501DE35") if line[7] == "0" else line for line in vector_lines("sicoob-240.ret")
    ]
    rows = source.read(as_file(lines))
    source.refuse_another(rows, documents=["12ABC34501DE35"])
    assert read("febraban-240.ret").lines[2].payer_document == "12ABC34501DE35"
    with pytest.raises(BankFileOfAnother):
        source.refuse_another(rows, documents=["12345678000195"])


def test_a_line_of_another_company_is_named() -> None:
    lines = vector_lines("itau-400.ret")
    lines[3] = with_columns(lines[3], 4, "99345678000195")
    rows = source.read(as_file(lines))
    assert [(one.line, one.field) for one in rows.problems] == [(4, "company_document")]


@pytest.mark.parametrize(
    ("written", "is_day"), [("010100", D(2000, 1, 1)), ("311279", D(2079, 12, 31)), ("010180", None), ("300226", None)]
)
def test_two_figures_of_a_year_are_of_this_century(written: str, is_day: date | None) -> None:
    lines = vector_lines("itau-400.ret")
    lines[2] = with_columns(lines[2], 111, written)
    rows = source.read(as_file(lines))
    assert [line.occurred_on for line in rows.lines if line.number == 3] == ([is_day] if is_day else [])
    assert [one.field for one in rows.problems] == ([] if is_day else ["occurred_on"])


@given(
    st.lists(
        st.builds(
            Detail, st.sampled_from(["02", "06", "08", "09"]), st.integers(1, 99999999),
            st.dates(D(2020, 1, 1), D(2079, 12, 31)), st.integers(1000, 10**9), st.integers(0, 10**9),
            st.integers(0, 999),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_what_is_written_is_read(details: list[Detail]) -> None:
    rows = source.read(itau_return(*details))
    assert rows.problems == ()
    assert [
        (line.occurrence, int(line.title), line.occurred_on, line.paid_cents, line.fee_cents) for line in rows.lines
    ] == [(one.code, one.title, one.on, one.paid, one.fee) for one in details]


BOLETOS = {
    # bank, the free field as the bank's own rule builds it, the title
    "itau-400": ("10900001002407303511040 00".replace(" ", ""), "00001002"),
    "bradesco-400": ("1467090000000514600196690", "00000005146"),
    "banco-do-brasil-240": ("0000003128557000000004217", "31285570000000042"),
    "sicoob-240": ("1303901000481600001234001", "00001234"),
    "sicredi-400": ("1126200043001650154321107", "262000430"),
    "santander-240": ("9712557700000000001320101", "0000000000132"),
    "caixa-240": ("6543216000100040000000770", "000000000000077"),
}


@pytest.mark.parametrize("name", sorted(BOLETOS))
def test_a_boletos_typed_line_and_bar_code_have_the_titles_number(session: Session, name: str) -> None:
    free, key = BOLETOS[name]
    layout = get_layout(name)
    (line,) = {one.boleto_key: one for one in read(f"{name}.ret").lines if one.boleto_key == key}.values()
    typed = f"{layout.bank}9{free[:5]}.0 {free[5:15]}.0 {free[15:]}0 1 00000000009990"
    barcode = f"{layout.bank}9100000000009990{free}"[:19] + free
    assert len(free) == 25
    due = {"due_date": line.due_on, "amount_cents": line.nominal_cents}
    made = [
        make_invoice(session, make_contract(session), boleto_line=text, **due)
        for text in (typed, barcode, "999" + typed[3:], typed[:-1], "")
    ]
    assert candidates(session, [line]).by_boleto == {(layout.bank, key): {made[0].id, made[1].id}}


def test_batches_of_two_accounts_are_two_and_a_batch_that_names_none_is_the_files() -> None:
    """FEBRABAN: a batch's header has agreement, agency and account one column to the right of the file's."""
    lines = vector_lines("febraban-240.ret")
    batch = lines[1:-1]
    same = with_columns(batch[0], 34, lines[0][32:71])
    other = with_columns(same, 60, f"{77777:013}")
    written = [lines[0], *batch, same, *batch[1:], other, *batch[1:], lines[-1]]
    written[-1] = with_columns(with_columns(written[-1], 18, "000003"), 24, f"{len(written):06}")
    rows = source.read(as_file(written), "febraban-240")
    per_batch = (len(batch) - 2) // 2
    assert [line.account for line in rows.lines[:: per_batch]] == [
        rows.account, rows.account, rows.account.rpartition("/")[0] + "/77777"
    ]  # fmt: skip
    assert len({line.identity for line in rows.lines}) == 2 * per_batch


@pytest.mark.parametrize("name", FILES)
def test_the_day_on_which_a_bank_wrote_a_file_is_known(name: str) -> None:
    assert read(name).written_on == D(2026, 11, 24)


def test_a_day_of_writing_that_is_none_spoils_nothing() -> None:
    lines = vector_lines("itau-400.ret")
    rows = source.read(as_file([with_columns(lines[0], 95, "999999"), *lines[1:]]))
    assert (rows.written_on, rows.lines) == (None, read("itau-400.ret").lines)
    assert rows.period == (min(one.occurred_on for one in rows.lines if one.occurred_on), D(2026, 11, 24))

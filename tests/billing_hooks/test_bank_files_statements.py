"""Statements: OFX as Brazilian banks write it, thread by thread, and CSV by a mapping."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from bank_files import VECTORS, entry, is_named, ofx, outcome
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.bank_files import source
from billing_hooks.bank_files.base import BankFileMalformed, BankLine, BankRows, Kind, Unreadable
from billing_hooks.bank_files.ofx import is_balance, statement_cents
from billing_hooks.bank_files.spreadsheet import CsvMapping
from core.errors import InvalidInput

D = date


def told(line: BankLine) -> tuple[object, ...]:
    return line.kind.value, line.paid_cents, line.occurred_on, line.title, line.memo


def only(rows: BankRows) -> BankLine:
    assert rows.problems == ()
    (line,) = rows.lines
    return line


def test_a_whole_statement_of_sgml() -> None:
    rows = source.read((VECTORS / "statement-sgml.ofx").read_bytes())
    assert (rows.format, rows.bank, rows.account) == ("ofx", "001", "1234-5/54321-1")
    assert (rows.period_from, rows.period_until) == (D(2026, 11, 1), D(2026, 11, 30))
    assert [told(line) for line in rows.lines] == [
        ("credit", 9990, D(2026, 11, 10), "20261110001", "Pix - Recebido 10/11 10:05 MARIA DA CONCEIÇÃO"),
        ("debit", -1250, D(2026, 11, 11), "20261111001", "Tarifa Pacote de Serviços"),
        ("reversed", -9990, D(2026, 11, 12), "20261112001", "Pix - Devolução"),
    ]
    assert [line.number for line in rows.lines] == [31, 38, 45]
    assert (rows.lines[0].check_number, rows.lines[0].method) == ("101005", "pix")


def test_a_whole_statement_of_xml() -> None:
    rows = source.read((VECTORS / "statement-xml.ofx").read_bytes())
    assert (rows.bank, rows.account, rows.problems) == ("077", "1234567-8", ())
    assert [told(line) for line in rows.lines] == [
        ("credit", 12345, D(2026, 11, 10), "6f1c0d0e", "Pix recebido & <agradecido>"),
        ("debit", -500, D(2026, 11, 11), "6f1c0d0f", "Tarifa"),
    ]
    assert rows.lines[0].payer_name == "JOÃO SOUZA"


def test_a_balance_without_its_decimal_separator_is_not_read_as_money() -> None:
    """jseutter/ofxparse#174, Itaú: BALAMT 12345 means 123.45; no balance is read, so none is read wrong."""
    text = ofx(entry("1", "123.45")).replace("<BALAMT>0", "<BALAMT>12345")
    line = only(source.read(text.encode()))
    assert line.paid_cents == 12345


def test_balance_rows_without_an_id_are_skipped_and_the_others_read() -> None:
    """securo-finance/securo#99, Banco do Brasil."""
    entries = [
        entry("", "1500.00", "Saldo Anterior"), entry("7", "99.90", "Pix - Recebido"), entry("", "0.00", "S A L D O"),
        entry("", "1599.90", "Saldo do dia"), entry("9", "1.00", "SALDO TOTAL DISPONÍVEL DIA"),
    ]  # fmt: skip
    rows = source.read(ofx(*entries).encode("cp1252"))
    assert only(rows).title == "7"


@pytest.mark.parametrize("said", ["Pix recebido SALDO DEVEDOR", "saldo da fatura Maria", "Salário", ""])
def test_an_entry_that_only_mentions_a_balance_is_money(said: str) -> None:
    assert not is_balance(said)


@pytest.mark.parametrize(
    "head", ["ENCODING:ISO-8859-1\n", "ENCODING:WINDOWS-1252\n", "ENCODING:UTF-8\nCHARSET:NONE\n", ""]
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig"])
def test_whatever_encoding_the_header_names_the_octets_decide(head: str, encoding: str) -> None:
    """securo-finance/securo#746 and PR#794 (ofxparse fails on these headers); OCA/bank-statement-import#968 (the header
    says 1252, the body is UTF-8)."""
    text = ofx(entry("1", "1.00", "São João — Conceição"), head="OFXHEADER:100\n" + head)
    assert only(source.read(text.encode(encoding))).memo == "São João — Conceição"


def test_accents_of_bradesco_are_kept() -> None:
    """Trust-Code/odoo-brasil#1095."""
    text = ofx(entry("1", "386,80", "TRANSFERÊNCIA PIX REM: JOSÉ ANTÔNIO"), bank="0237")
    line = only(source.read(text.encode("latin-1")))
    assert (line.bank, line.memo, line.paid_cents) == ("237", "TRANSFERÊNCIA PIX REM: JOSÉ ANTÔNIO", 38680)


def test_closed_and_unclosed_tags_in_one_file() -> None:
    """asgrim/ofxparser#15, Banco do Brasil: CODE is closed, DTSERVER and LANGUAGE are not."""
    status = "<STATUS><CODE>0</CODE>\n<SEVERITY>INFO</SEVERITY></STATUS>\n"
    sign_on = f"<OFX>\n<SIGNONMSGSRSV1><SONRS>{status}<DTSERVER>20151209\n<LANGUAGE>POR\n"
    mixed = (
        "<TRNTYPE>XFER</TRNTYPE>\n<DTPOSTED>20261123120000[-3:BRT]\n<TRNAMT>99.90</TRNAMT>\n<FITID>5\n<MEMO>Pix</MEMO>"
    )
    text = ofx(mixed).replace("<OFX>\n", sign_on + "</SONRS></SIGNONMSGSRSV1>\n", 1)
    assert told(only(source.read(text.encode()))) == ("credit", 9990, D(2026, 11, 23), "5", "Pix")


def test_entries_whose_end_is_missing_end_where_the_next_begins() -> None:
    text = ofx(entry("1", "1.00"), entry("2", "2.00")).replace("</STMTTRN>\n", "")
    assert [line.title for line in source.read(text.encode()).lines] == ["1", "2"]


def test_points_and_commas_in_one_file() -> None:
    """jseutter/ofxparse#83, Santander."""
    rows = source.read(ofx(entry("1", "            -12.80"), entry("2", "           -200,00")).encode())
    assert [line.paid_cents for line in rows.lines] == [-1280, -20000]


@pytest.mark.parametrize(
    ("written", "cents"),
    [
        ("1.234,56", 123456), ("1,234.56", 123456), ("1.234.567,8", 123456780), ("-10", -1000), ("10", 1000),
        ("+0,05", 5), (",5", 50), ("12,80-", -1280), ("R$ 99,90", 9990), ("100.0000", 10000), ("0", 0), ("−5,00", -500),
    ],
)  # fmt: skip
def test_amounts(written: str, cents: int) -> None:
    assert statement_cents(written, "TRNAMT") == cents


@pytest.mark.parametrize(
    "written",
    ["", "-", ".", "1.2.3", "1,23,45", "12a", "1e5", "NaN", "٣,00", "1.234", "9" * 30, "--1", "1 . . 2", "12.34,567"],
)
def test_what_is_no_amount_is_said(written: str) -> None:
    with pytest.raises(Unreadable):
        statement_cents(written, "TRNAMT")


def test_entries_without_an_id_get_one_and_two_alike_are_two() -> None:
    twins = [entry("", "10.00", "Pix"), entry("000000", "10.00", "Pix"), entry("", "10.00", "Pix", on="20261124")]
    first, second, third = (line.title for line in source.read(ofx(*twins).encode()).lines)
    assert len({first, second, third}) == 3
    again = source.read(ofx(*reversed(twins)).encode())
    assert {line.title for line in again.lines} == {first, second, third}


def test_a_bad_entry_is_named_and_the_others_are_read() -> None:
    rows = source.read(ofx(entry("1", "x"), entry("2", "2.00", on="20261301"), entry("3", "3.00")).encode())
    assert [(one.line, one.field) for one in rows.problems] == [(14, "TRNAMT"), (21, "DTPOSTED")]
    assert [line.title for line in rows.lines] == ["3"]


def test_a_debit_without_its_sign_pays_nothing() -> None:
    assert only(source.read(ofx(entry("1", "10.00", kind="DEBIT")).encode())).kind is Kind.DEBIT


@pytest.mark.parametrize("name", ["statement-sgml.ofx", "statement-xml.ofx"])
def test_a_statement_cut_at_any_octet_is_refused_or_whole(name: str) -> None:
    octets = (VECTORS / name).read_bytes()
    whole = source.read(octets)
    results = [outcome(octets[:length]) for length in range(len(octets))]
    taken = [result for result in results if not isinstance(result, BankFileMalformed)]
    assert len(taken) <= 2  # what follows </OFX> is a line end
    assert all(rows == whole for rows in taken)
    assert all(map(is_named, results))


@given(st.binary(max_size=400) | st.text(alphabet="<>/OFXSTMRNADPIE0123456789.,- \n", max_size=400).map(str.encode))
def test_any_octets_are_a_statement_or_malformed(octets: bytes) -> None:
    assert is_named(outcome(octets))
    assert is_named(outcome(b"<OFX><STMTTRN>" + octets + b"</STMTTRN></OFX>"))


MAPPING = CsvMapping(
    date="Data", amount="Valor", name="Nome", memo="Histórico", invoice="Fatura", payer_document="CPF", bank="260",
    account="1234-5",
)  # fmt: skip
CSV = (
    "Data;Histórico;Nome;CPF;Fatura;Valor\r\n"
    "23/11/2026;Pix recebido;Maria da Conceição;529.982.247-25;provedor-7;99,90\r\n"
    '24/11/2026;"Pix; com ponto e vírgula";José;;;"1.234,56"\r\n'
    "24/11/2026;SALDO DO DIA;;;;5.000,00\r\n"
    "25/11/2026;Tarifa;;;;-12,50\r\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig"])
def test_a_csv_by_names(encoding: str) -> None:
    rows = source.read(CSV.encode(encoding), MAPPING)
    assert (rows.format, rows.bank, rows.account, rows.problems) == ("csv", "260", "1234-5", ())
    assert [(line.number, line.paid_cents, line.occurred_on, line.payer_name) for line in rows.lines] == [
        (2, 9990, D(2026, 11, 23), "Maria da Conceição"), (3, 123456, D(2026, 11, 24), "José"),
        (5, -1250, D(2026, 11, 25), ""),
    ]  # fmt: skip
    assert (rows.lines[0].reference, rows.lines[0].payer_document, rows.lines[0].method) == (
        "provedor-7", "52998224725", "pix",
    )  # fmt: skip


def test_a_csv_by_numbers_with_two_columns_of_money() -> None:
    mapping = CsvMapping(
        date=1, credit=3, debit=4, memo=2, entry_id=5, bank="1", account="9", delimiter=",", date_format="%Y-%m-%d",
        decimal_comma=False, named=False, lines_before=2,
    )  # fmt: skip
    text = "Extrato\nde novembro\n2026-11-23,Boleto,99.90,,A1\n2026-11-24,Tarifa,,1.50,A2\n2026-11-24,Nada,,,A3\n"
    rows = source.read(text.encode(), mapping)
    assert [(line.number, line.paid_cents, line.title) for line in rows.lines] == [(3, 9990, "A1"), (4, -150, "A2")]
    assert [(one.line, one.field) for one in rows.problems] == [(5, "3")]


def test_a_csv_with_a_column_of_signs() -> None:
    mapping = CsvMapping(date="d", amount="v", sign="s", bank="1", account="9")
    rows = source.read(b"d;v;s\n01/11/2026;10,00;C\n01/11/2026;10,00;D\n", mapping)
    assert [line.paid_cents for line in rows.lines] == [1000, -1000]


def test_errors_name_line_and_column() -> None:
    text = CSV + "32/11/2026;a;b;;;1,00\n26/11/2026;a;b;;;1.00.0,1x\n26/11/2026;a\n27/11/2026;b;;;;2,00\n"
    rows = source.read(text.encode(), MAPPING)
    assert [(one.line, one.field) for one in rows.problems] == [(6, "Data"), (7, "Valor"), (8, "Nome")]
    assert rows.lines[-1].occurred_on == D(2026, 11, 27)
    with pytest.raises(BankFileMalformed, match="line 1, Valor") as refused:
        source.read(CSV.replace("Valor", "Total").encode(), MAPPING)
    assert refused.value.field == "Valor"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": None}, "columns.amount"), ({"credit": "a", "debit": "b"}, "columns.amount"),
        ({"amount": None, "credit": "a"}, "columns.amount"), ({"delimiter": ";;"}, "delimiter"),
        ({"date": 0}, "columns.date"), ({"named": False}, "columns.date"), ({"account": ""}, "account"),
        ({"bank": ""}, "bank"), ({"amount": None, "credit": "a", "debit": "b", "sign": "s"}, "columns.sign"),
    ],
)  # fmt: skip
def test_a_mapping_that_reads_nothing_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        source.read(CSV.encode(), replace(MAPPING, **change))
    assert refused.value.field == field


def test_a_csv_cut_at_any_octet_gives_no_half_line() -> None:
    octets = CSV.encode()
    whole = {line.identity: line for line in source.read(octets, MAPPING).lines}
    for result in (outcome(octets[:length], MAPPING) for length in range(len(octets))):
        assert is_named(result)
        assert isinstance(result, BankFileMalformed) or {line.identity for line in result.lines} <= whole.keys()


@given(st.binary(max_size=300) | st.text(alphabet='0123456789/;,.-"\nDX', max_size=300).map(str.encode))
def test_any_octets_are_a_csv_or_malformed(octets: bytes) -> None:
    mapping = CsvMapping(date=1, amount=2, memo=3, bank="1", account="9", named=False)
    assert is_named(outcome(octets, mapping))


def test_an_encoding_that_the_mapping_names_is_believed() -> None:
    assert (
        source.read(CSV.encode("latin-1"), replace(MAPPING, encoding="latin-1")).lines[0].payer_name
        == "Maria da Conceição"
    )
    with pytest.raises(BankFileMalformed, match="is not utf-8"):
        source.read(CSV.encode("latin-1"), replace(MAPPING, encoding="utf-8"))
    with pytest.raises(InvalidInput) as refused:
        source.read(CSV.encode(), replace(MAPPING, encoding="klingon"))
    assert refused.value.field == "encoding"


def test_a_spreadsheets_unicode_text_is_read_by_its_mark() -> None:
    mapping = replace(MAPPING, delimiter="\t")
    octets = CSV.replace(";", "\t").encode("utf-16")
    assert source.read(octets, mapping).lines == source.read(CSV.replace(";", "\t").encode(), mapping).lines


@pytest.mark.parametrize("octets", [b"PK\x03\x04\x14\x00", b"\x1f\x8b\x08\x00"])
def test_an_archive_says_that_it_is_to_be_unpacked(octets: bytes) -> None:
    for how in (None, "itau-400", MAPPING):
        with pytest.raises(BankFileMalformed, match="unpack it"):
            source.read(octets, how)


def test_a_pix_is_known_by_its_id_wherever_the_statement_has_it() -> None:
    id_ = "E18236120202611201505s0123456789"
    entries = [
        entry("1", "1.00", f"RECEBIMENTO {id_}"), entry(id_, "1.00", "Recebimento"),
        entry("3", "1.00", f"x{id_}"), entry("4", "1.00", "LIQUIDACAO BOLETO"), entry("5", "1.00", "TED"),
    ]  # fmt: skip
    lines = source.read(ofx(*entries).encode()).lines
    assert [line.end_to_end_id for line in lines] == [id_, id_, "", "", ""]
    assert [line.method for line in lines] == ["pix", "pix", "transfer", "boleto", "transfer"]


def test_an_entry_is_known_by_what_it_says_as_well_as_by_its_id() -> None:
    one, other, again = source.read(
        ofx(entry("7", "1.00", "PIX ANA"), entry("7", "1.00", "PIX BIA"), entry("7", "1.00", "PIX  ANA ")).encode()
    ).lines
    assert one.identity == again.identity != other.identity


@pytest.mark.parametrize("date_format", ["day", "%d/%m", "%", "%Y-%d", ""])
def test_a_format_that_tells_no_day_is_refused(date_format: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        replace(MAPPING, date_format=date_format).check()
    assert refused.value.field == "date_format"


@given(st.binary(max_size=200) | st.sampled_from([b"", b"\xff\xfe\x00", b"\xfe\xff", b"\xef\xbb\xbf", b"\x1a"]))
def test_any_octets_are_a_file_or_malformed_with_line_and_field(octets: bytes) -> None:
    assert is_named(outcome(octets))
    for how in (MAPPING, replace(MAPPING, date=1, amount=2, named=False, name=None, memo=None, invoice=None)):
        assert is_named(outcome(octets, replace(how, payer_document=None, entry_id=None)))

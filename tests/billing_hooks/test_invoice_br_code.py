"""The Pix BR Code, written and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_hooks.invoicing.br_code import (
    AMOUNT_CENTS_MAX,
    BrCodeMalformed,
    DynamicCode,
    StaticCode,
    crc16,
    encode,
    fold_name,
    parse,
)
from core.errors import InvalidInput

RANDOM_KEY = "123e4567-e12b-12d1-a456-426655440000"
CODE = StaticCode(RANDOM_KEY, "Fulano de Tal", "BRASILIA")
FILE = Path(__file__).parents[1] / "vectors" / "br_code.txt"
VECTORS = [line.split(" | ") for line in FILE.read_text().splitlines() if line and not line.startswith("#")]

keys = (
    st.just(RANDOM_KEY)
    | st.uuids().map(str)
    | st.sampled_from(["52998224725", "11222333000181", "12ABC34501DE35"])
    | st.from_regex(r"\+55[1-9][0-9]{9,10}", fullmatch=True)
    | st.from_regex(r"[a-z0-9.]{1,20}@[a-z0-9]{1,20}\.com\.br", fullmatch=True)
)
latin = st.text(st.sampled_from("aãAÇéñ &@.'z9-/\tÿ"), min_size=1, max_size=40).map(lambda text: "a" + text)
txids = st.none() | st.from_regex(r"[a-zA-Z0-9]{1,25}", fullmatch=True)
codes = st.builds(
    StaticCode, keys, latin, latin, st.none() | st.integers(1, AMOUNT_CENTS_MAX), txids,
    st.text(st.sampled_from("aã &@~9"), max_size=12),
)  # fmt: skip


def field(id_: str, value: str) -> str:
    return f"{id_}{len(value):02d}{value}"


def sealed(text: str) -> str:
    return f"{text}6304{crc16(text + '6304'):04X}"


def built(**changed: str | None) -> str:
    """A code of these fields, f26="..." and the like, with a right CRC; None leaves one out."""
    fields: dict[str, str | None] = {
        "00": "01", "26": field("00", "br.gov.bcb.pix") + field("01", RANDOM_KEY), "52": "0000", "53": "986",
        "58": "BR", "59": "Fulano de Tal", "60": "BRASILIA", "62": field("05", "***"),
    }  # fmt: skip
    fields |= {id_[1:]: value for id_, value in changed.items()}
    return sealed("".join(field(id_, value) for id_, value in sorted(fields.items()) if value is not None))


@pytest.mark.parametrize(("name", "code", "subject", "amount", "txid"), VECTORS, ids=[vector[0] for vector in VECTORS])
def test_the_central_banks_examples(name: str, code: str, subject: str, amount: str, txid: str) -> None:
    assert f"{crc16(code[:-4]):04X}" == code[-4:]
    what, value = subject.split(" ")
    if what == "refused":
        with pytest.raises(BrCodeMalformed) as refused:
            parse(code)
        assert refused.value.field == value
        return
    said = parse(code)
    assert said.name == "Fulano de Tal"
    assert said.city == "BRASILIA"
    assert said.amount_cents == (None if amount == "-" else int(amount))
    assert said.txid == (None if txid == "-" else txid)
    if isinstance(said, DynamicCode):
        assert (what, value, said.single) == ("location", said.location, True)
    else:
        assert (what, value) == ("key", said.key)


def test_the_static_example_is_what_we_write_bit_for_bit() -> None:
    assert encode(CODE) == VECTORS[0][1]
    assert crc16("123456789") == 0x29B1


@given(codes)
def test_what_is_written_is_read_as_it_was(code: StaticCode) -> None:
    written = encode(code)
    assert written.isascii()
    assert parse(written) == code.folded()
    assert encode(code.folded()) == written
    assert len(code.folded().name) <= 25
    assert len(code.folded().city) <= 15


@given(codes, st.data())
def test_no_single_character_can_be_changed(code: StaticCode, data: st.DataObject) -> None:
    written = encode(code)
    at = data.draw(st.integers(0, len(written) - 1))
    other = data.draw(
        (st.characters() | st.sampled_from("0123456789ABCDEFabcdef")).filter(lambda it: it != written[at])
    )
    with pytest.raises(BrCodeMalformed):
        parse(written[:at] + other + written[at + 1 :])


def test_a_crc_is_written_in_capitals_only() -> None:
    code = VECTORS[0][1]
    with pytest.raises(BrCodeMalformed, match="mistyped or altered"):
        parse(code[:-4] + "1d3D")


@given(codes, st.data())
def test_no_code_is_read_that_was_cut_or_has_something_behind_it(code: StaticCode, data: st.DataObject) -> None:
    written = encode(code)
    with pytest.raises(BrCodeMalformed):
        parse(written[: data.draw(st.integers(0, len(written) - 1))])
    with pytest.raises(BrCodeMalformed):
        parse(written + data.draw(st.text(min_size=1, max_size=4)))


@given(st.text() | st.text("0123456789", max_size=60).map(lambda text: sealed(f"000201{text}")))
def test_any_text_is_read_or_refused_with_a_place_and_a_reason(text: str) -> None:
    said: object
    try:
        said = parse(text)
    except BrCodeMalformed as refused:
        said = refused.field and refused.detail
    assert said


@given(
    st.dictionaries(st.integers(0, 99).map(lambda id_: f"f{id_:02d}"), st.text("09.-Aa@/+ ", min_size=1, max_size=20))
)
def test_any_fields_under_a_right_crc_are_read_or_refused(changed: dict[str, str]) -> None:
    said: object
    try:
        said = parse(built(**changed))
    except BrCodeMalformed as refused:
        said = refused.field
    assert said


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"f00": "02"}, "00"), ({"f01": "13"}, "01"), ({"f01": "12"}, "01"), ({"f53": "840"}, "53"),
        ({"f53": None}, "53"), ({"f58": "PT"}, "58"), ({"f59": None}, "59"), ({"f60": None}, "60"),
        ({"f59": "x" * 26}, "59"), ({"f60": "x" * 16}, "60"), ({"f62": None}, "62"),
        ({"f62": field("01", "x")}, "62-05"), ({"f62": field("05", "a b")}, "62-05"),
        ({"f62": "0"}, "62-0"), ({"f26": None}, "26"), ({"f52": "12"}, "52"),
        ({"f26": field("00", "br.gov.bcb.pix")}, "26"), ({"f26": field("00", "com.other") + field("01", "x")}, "26"),
        ({"f27": field("00", "BR.GOV.BCB.PIX") + field("01", RANDOM_KEY)}, "26"),
        ({"f26": field("00", "br.gov.bcb.pix") + field("01", RANDOM_KEY) + field("25", "a.b/c")}, "26"),
        ({"f26": field("00", "br.gov.bcb.pix") + field("01", "not a key")}, "26-01"),
        ({"f26": field("00", "br.gov.bcb.pix") + field("01", "12345678901")}, "26-01"),
        ({"f26": field("00", "br.gov.bcb.pix") + field("25", "https://a.b/c")}, "26-25"),
        ({"f54": "1,00"}, "54"), ({"f54": "1.000"}, "54"), ({"f54": "-1.00"}, "54"), ({"f54": "12345678901"}, "54"),
    ],
)  # fmt: skip
def test_a_code_that_is_not_as_the_manual_has_it_is_refused_where_it_differs(
    changed: dict[str, str | None], place: str
) -> None:
    with pytest.raises(BrCodeMalformed) as refused:
        parse(built(**changed))
    assert refused.value.field == place


def test_a_field_that_stands_there_twice_or_is_empty_or_too_long_is_refused() -> None:
    good = built()[:-8]
    for text in (good + field("59", "Other"), good + "6100", good + "6199x", good + "61"):
        with pytest.raises(BrCodeMalformed):
            parse(sealed(text))


@pytest.mark.parametrize(
    ("written", "cents"),
    [("10", 1000), ("10.5", 1050), ("10.05", 1005), ("0.00", None), ("9999999999.99", AMOUNT_CENTS_MAX)],
)
def test_amounts_as_others_write_them(written: str, cents: int | None) -> None:
    assert parse(built(f54=written)).amount_cents == cents


def test_a_dynamic_code_may_be_payable_more_than_once_and_have_an_amount_for_show() -> None:
    account = field("00", "BR.GOV.BCB.PIX") + field("25", "qrpix.bank.com.br/cobv/9d36b84f")
    said = parse(built(f26=account, f54="25.00", f62=field("05", "abc123")))
    assert said == DynamicCode("qrpix.bank.com.br/cobv/9d36b84f", "Fulano de Tal", "BRASILIA", 2500, "abc123")


@pytest.mark.parametrize(
    ("text", "length", "folded"),
    [
        ("São João & Cia. Ltda.", 25, "Sao Joao e Cia. Ltda."),
        ("Açaí Net Telecomunicações e Serviços", 25, "Acai Net Telecomunicacoes"),
        ("Provedor @casa (matriz)", 25, "Provedor casa matriz"),
        ("São José dos Campos", 15, "Sao Jose dos Ca"),
        ("Águas de Lindóia", 15, "Aguas de Lindoi"),
        ("東京", 15, ""),
    ],
)
def test_names_are_folded_to_what_every_bank_reads(text: str, length: int, folded: str) -> None:
    assert fold_name(text, length) == folded


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: replace(CODE, key="123"), "key"),
        (lambda: replace(CODE, key="52998224724"), "key"),
        (lambda: replace(CODE, key="Maria@Example.com"), "key"),
        (lambda: replace(CODE, key=f"{'a' * 77}@b.c"), "key"),
        (lambda: replace(CODE, key=f"{RANDOM_KEY}\n"), "key"),
        (lambda: replace(CODE, amount_cents=0), "amount_cents"),
        (lambda: replace(CODE, amount_cents=AMOUNT_CENTS_MAX + 1), "amount_cents"),
        (lambda: replace(CODE, txid=""), "txid"),
        (lambda: replace(CODE, txid="***"), "txid"),
        (lambda: replace(CODE, txid="a" * 26), "txid"),
        (lambda: replace(CODE, additional="x" * 38), "additional"),
        (lambda: encode(replace(CODE, name="東京")), "name"),
        (lambda: encode(replace(CODE, city=" ")), "city"),
    ],
)
def test_what_no_code_can_hold_is_refused_by_name(make: Callable[[], object], where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make()
    assert refused.value.field == where


def test_the_additional_text_has_the_room_that_the_key_leaves() -> None:
    assert parse(encode(replace(CODE, additional="Fatura 123 de março" + "x" * 18))) == replace(
        CODE, additional="Fatura 123 de marco" + "x" * 18
    )

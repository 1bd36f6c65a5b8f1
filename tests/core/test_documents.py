"""CPF and CNPJ. Vectors: Receita Federal's example of the alphanumeric CNPJ (12.ABC.345/01DE-35) and known numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome

from core.documents import normalise_document
from core.errors import InvalidInput

ALPHANUMERIC = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=12)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),  # Receita Federal, "Cálculo do dígito verificador", 2024
        ("12.abc.345/01de-35", "12ABC34501DE35"),
        ("00.000.000/0001-91", "00000000000191"),  # Banco do Brasil
        ("33.000.167/0001-01", "33000167000101"),  # Petrobras
        ("529.982.247-25", "52998224725"),
        (" 111 444 777 35 ", "11144477735"),
    ],
)
def test_known_documents_are_kept_plain(given: str, plain: str) -> None:
    assert normalise_document(given) == plain


@pytest.mark.parametrize(
    "document",
    [
        "", "1", "111.111.111-11", "529.982.247-26", "12.ABC.345/01DE-36", "12ABC34501DE3A", "11.222.333/0001-82",
        "ÀÁ.ABC.345/01DE-35", "٥٢٩٩٨٢٢٤٧٢٥", "52998224725\0", "529982247251",
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused_by_its_field(document: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise_document(document)
    assert refused.value.field == "document"


def check_digits(base: str) -> str:
    """The calculation as Receita Federal's document writes it: weights from a table, one digit after the other."""
    digits = ""
    for weights in ([5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]):
        values = [ord(character) - 48 for character in base + digits]
        rest = sum(value * weight for value, weight in zip(values, weights, strict=True)) % 11
        digits += "0" if rest in {0, 1} else str(11 - rest)
    return digits


@given(ALPHANUMERIC)
def test_any_base_with_its_check_digits_is_good_and_keeps_its_form(base: str) -> None:
    document = base + check_digits(base)
    dotted = f"{document[:2]}.{document[2:5]}.{document[5:8]}/{document[8:12]}-{document[12:]}"
    assert normalise_document(dotted.lower()) == document
    assert normalise_document(document) == document


@given(ALPHANUMERIC, st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_one_wrong_character_is_noticed_unless_the_sum_cannot_tell(base: str, place: int, other: str) -> None:
    document = base + check_digits(base)
    wrong = document[:place] + other + document[place + 1 :]
    if check_digits(wrong[:12]) == wrong[12:]:
        return  # the same character, or one whose value differs by 11
    with pytest.raises(InvalidInput):
        normalise_document(wrong)


@given(st.text(max_size=30))
def test_any_text_is_a_document_or_refused(text: str) -> None:
    found = outcome(normalise_document, text)
    if isinstance(found, InvalidInput):
        assert found.field == "document"
        return
    assert len(found) in {11, 14}
    assert found.isascii()


def test_another_countrys_document_is_kept_as_given() -> None:
    assert normalise_document("ab-12.3", country="PY") == "AB123"

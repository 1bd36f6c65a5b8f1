"""Which contract a subscriber of another system is: by login, reference or document, and never by a guess."""

from __future__ import annotations

import pytest
from factories import make_contract, make_service
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from billing_hooks.follow.base import Word
from billing_hooks.follow.matching import Ours, load_ours, match
from core.keyring import Keyring
from core.models import ContractStatus, Customer


def word(key: str, *logins: str, document: str = "", customer_ref: str = "") -> Word:
    return Word(key, None, document=document, customer_ref=customer_ref, logins=logins)


def test_a_login_goes_before_a_reference_and_that_before_a_document(session: Session, keyring: Keyring) -> None:
    by_login, by_reference, by_document = (make_contract(session) for _ in range(3))
    make_service(session, keyring, contract=by_login, login="ana@fibra")
    session.get_one(Customer, by_reference.customer_id).external_ref = "77"
    session.get_one(Customer, by_document.customer_id).document = "11144477735"
    session.flush()
    words = [
        word("exact", "ana@fibra", document="11144477735", customer_ref="77"),
        word("reference", document="11144477735", customer_ref="77"),
        word("document", document="11144477735"),
        word("nobody", "bia", document="52998224725"),
    ]
    found = match(words, load_ours(session, words, {}), {}).found
    assert found == {"exact": by_login.id, "reference": by_reference.id, "document": by_document.id}


@pytest.mark.parametrize("spelled", ["ANA", "ana@fibra", "Ana@other"])
def test_a_login_is_found_by_another_spelling_where_only_one_line_has_it(
    session: Session, keyring: Keyring, spelled: str
) -> None:
    contract = make_contract(session)
    make_service(session, keyring, contract=contract, login="ana")
    words = [word("1", spelled)]
    assert match(words, load_ours(session, words, {}), {}).found == {"1": contract.id}


def test_what_leads_to_several_or_is_another_subscriber_already_is_left_to_a_person(
    session: Session, keyring: Keyring
) -> None:
    one, other, ended = (make_contract(session) for _ in range(3))
    make_service(session, keyring, contract=one, login="ana@a")
    make_service(session, keyring, contract=other, login="ana@b")
    make_service(session, keyring, contract=ended, login="old")
    ended.status = ContractStatus.CANCELLED
    session.flush()
    words = [word("1", "ana"), word("2", "ana@a"), word("3", "ana@a"), word("4", "old"), word("5", "ana@b")]
    known = {"5": other.id, "4": ended.id}
    matches = match(words, load_ours(session, words, known), known)
    # 1, 2 and 3 all lead to what is left; 4's contract is over
    assert matches.found == {"5": other.id}
    assert matches.ambiguous == dict.fromkeys("123", (one.id,))


_ids = st.integers(min_value=1, max_value=5)
_keys = st.text("xyz", min_size=1, max_size=2)
_index = st.dictionaries(st.sampled_from("abc"), st.frozensets(_ids, min_size=1, max_size=3))


@given(
    by_login=_index, by_document=_index,
    words=st.lists(
        st.builds(word, _keys, st.sampled_from("abcd"), document=st.sampled_from("abc")),
        unique_by=lambda one: one.key, max_size=6,
    ),
    known=st.dictionaries(_keys, _ids, max_size=3),
)  # fmt: skip
def test_no_contract_is_two_subscribers_and_none_is_guessed(
    by_login: dict[str, frozenset[int]],
    by_document: dict[str, frozenset[int]],
    words: list[Word],
    known: dict[str, int],
) -> None:
    known = {key: contract_id for contract_id, key in {c: k for k, c in known.items()}.items()}
    ours = Ours(by_login, {}, {}, by_document, frozenset(known.values()))
    matches = match(words, ours, known)
    assert len(set(matches.found.values())) == len(matches.found)
    assert known.items() <= matches.found.items()
    assert not set(matches.found) & set(matches.ambiguous)

"""Logins and passwords as RADIUS can carry them: UTF-8, 253 and 128 octets (RFC 2865 5.1, 5.2)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import outcome

from core.errors import InvalidInput
from core.logins import check_login, check_password


@given(st.text(max_size=260))
def test_any_text_is_a_login_in_its_normal_form_or_refused(text: str) -> None:
    login = outcome(check_login, text)
    if isinstance(login, InvalidInput):
        assert login.field == "login"
        return
    assert login == unicodedata.normalize("NFC", text)
    assert check_login(login) == login
    assert 1 <= len(login.encode()) <= 253
    assert not any(unicodedata.category(character) == "Cc" for character in login)
    assert login == login.strip()


def test_253_octets_are_the_most_and_they_are_octets() -> None:
    assert check_login("a" * 253)
    assert check_login("é" * 126 + "a")
    for login in ("a" * 254, "é" * 127, "😀" * 64):
        with pytest.raises(InvalidInput):
            check_login(login)


def test_two_ways_to_type_an_accent_are_one_login() -> None:
    assert check_login("joa\u0303o") == check_login("jo\u00e3o") == "jo\u00e3o"


@pytest.mark.parametrize(
    "login", ["", " ana", "ana ", "a\0b", "a\tb", "a\r\nb", "a\x7fb", "a\x85b", "\ud800", "\u2003"]
)
def test_what_no_device_sends_alike_is_refused(login: str) -> None:
    with pytest.raises(InvalidInput):
        check_login(login)


@given(st.text(max_size=140))
def test_any_text_is_a_password_as_given_or_refused_without_showing_it(text: str) -> None:
    found = outcome(check_password, text)
    if isinstance(found, InvalidInput):
        assert found.field == "password"
        assert len(text) < 16 or text not in found.detail
        return
    assert found == text
    assert 1 <= len(text.encode()) <= 128
    assert "\0" not in text

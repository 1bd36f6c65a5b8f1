"""Credentials: RFC vectors for MS-CHAP, every method right and wrong, contradictions refused."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa import mschap, testclient
from aaa.authenticator import SharedSecret, chap_response, hide_password, salt_decrypt
from aaa.credentials import (
    HINT_BLANK,
    HINT_CASE,
    HINT_EMPTY,
    HINT_WRONG_SECRET,
    MICROSOFT,
    MS_CHAP2_RESPONSE,
    MS_CHAP2_SUCCESS,
    MS_CHAP_CHALLENGE,
    MS_CHAP_ERROR,
    MS_CHAP_MPPE_KEYS,
    MS_CHAP_RESPONSE,
    MS_MPPE_RECV_KEY,
    MS_MPPE_SEND_KEY,
    check,
)
from aaa.packet import Kind, Packet, attribute, header, parse, vendor_attribute
from aaa.reasons import Reason
from aaa.snapshot import PolicyEntry, Subscriber
from core.access import Access
from core.policy import Policy

SECRET = SharedSecret(b"testing123")


def known(password: bytes) -> Subscriber:
    return Subscriber(1, password, PolicyEntry("", Policy(Access.FULL)))


def test_the_domain_does_not_count_in_the_challenge() -> None:
    assert mschap.challenge_hash(b"p" * 16, b"c" * 16, b"DOMAIN\\ana") == mschap.challenge_hash(
        b"p" * 16, b"c" * 16, b"ana"
    )


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text), st.sampled_from(testclient.METHODS))
def test_a_right_password_is_right_and_a_wrong_one_wrong_by_every_method(password: str, method: str) -> None:
    request = testclient.access_request(1, "ana", password, method, b"", SECRET, os.urandom)
    packet = parse(request.octets)
    right = check(packet, known(password.encode()), SECRET, os.urandom)
    assert (right.reason, right.method) == (None, method)
    assert check(packet, known(password.encode() + b"x"), SECRET, os.urandom).reason is Reason.WRONG_PASSWORD


def test_mschapv2_proves_the_server_and_hands_over_keys() -> None:
    request = testclient.access_request(1, "ana", "pw", "mschapv2", b"", SECRET, os.urandom)
    packet = parse(request.octets)
    verdict = check(packet, known(b"pw"), SECRET, os.urandom)
    reply = parse(header(2, 1, len(verdict.accept_attributes)) + bytes(16) + verdict.accept_attributes)
    assert reply.vendor_values(MICROSOFT, MS_CHAP2_SUCCESS) == [request.proof]
    sealed = reply.vendor_values(MICROSOFT, MS_MPPE_SEND_KEY)[0]
    key = salt_decrypt(sealed, packet.authenticator, SECRET)
    assert key is not None
    assert len(key) == 16


def test_a_wrong_mschap_password_is_told_with_error_691() -> None:
    packet = parse(testclient.access_request(1, "ana", "pw", "mschapv2", b"", SECRET, os.urandom).octets)
    verdict = check(packet, known(b"other"), SECRET, os.urandom)
    reply = parse(header(3, 1, len(verdict.reject_attributes)) + bytes(16) + verdict.reject_attributes)
    assert reply.vendor_values(MICROSOFT, MS_CHAP_ERROR)[0][1:].startswith(b"E=691 R=0")


def pap(password: bytes, secret: SharedSecret) -> Packet:
    """A request without Message-Authenticator."""
    authenticator = os.urandom(16)
    body = attribute(Kind.USER_NAME, b"ana") + attribute(
        Kind.USER_PASSWORD, hide_password(password, authenticator, secret)
    )
    return parse(header(1, 1, len(body)) + authenticator + body)


def test_noise_instead_of_a_password_hints_at_the_shared_secret() -> None:
    for password in (b"pw", b"a-long-password", b"a password of more than 16 octets"):
        verdict = check(pap(password, SharedSecret(b"other")), known(b"a-long-password"), SECRET, os.urandom)
        assert (verdict.reason, verdict.hint) == (Reason.WRONG_PASSWORD, HINT_WRONG_SECRET)


def test_a_wrong_password_in_an_old_encoding_is_no_noise() -> None:
    for password in ("senha-do-joão", "coração"):
        assert not check(pap(password.encode("latin-1"), SECRET), known(b"other"), SECRET, os.urandom).hint


def test_noise_in_a_signed_request_is_no_wrong_secret() -> None:
    """Its Message-Authenticator was right, so the secret is."""
    packet = parse(testclient.access_request(1, "ana", "\x01\x02\x03\x04", "pap", b"", SECRET, os.urandom).octets)
    assert not check(packet, known(b"other"), SECRET, os.urandom).hint


@pytest.mark.parametrize("method", ["pap", "chap"])
@pytest.mark.parametrize(
    ("given", "password", "hint"),
    [
        ("Senha-123", "senha-123", HINT_CASE),
        ("SENHA-123", "senha-123", HINT_CASE),
        ("senha-123", "Senha-123", HINT_CASE),
        ("senha-123 ", "senha-123", HINT_BLANK),
        ("", "senha-123", HINT_EMPTY),
        ("senha-124", "senha-123", ""),
    ],
)
def test_a_password_that_is_nearly_right_is_refused_and_told_as_that(
    method: str, given: str, password: str, hint: str
) -> None:
    packet = parse(testclient.access_request(1, "ana", given, method, b"", SECRET, os.urandom).octets)
    verdict = check(packet, known(password.encode()), SECRET, os.urandom)
    assert (verdict.reason, verdict.hint) == (Reason.WRONG_PASSWORD, hint)


PPP = attribute(7, b"\0\0\0\1")


@pytest.mark.parametrize(
    ("login", "password", "given", "more", "is_right"),
    [
        ("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F8", "", b"", True),
        ("00:E1:0C:38:C8:F8", "00e10c38c8f8", "", b"", True),
        ("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F8", "", PPP, False),
        ("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F8", "", attribute(6, b"\0\0\0\2"), False),
        ("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F9", "", b"", False),
        ("00:E1:0C:38:C8:F8", "senha", "", b"", False),
        ("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F8 ana", "", b"", False),
        ("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F8", "x", b"", False),
        ("ana", "ana", "", b"", False),
    ],
)
def test_a_device_that_dhcp_asks_for_is_let_in_where_its_address_is_all_that_is_asked(
    login: str, password: str, given: str, more: bytes, is_right: bool
) -> None:
    """The request as RouterOS's DHCP server makes it: no Service-Type, no Framed-Protocol, an empty User-Password."""
    authenticator = bytes(range(16))
    body = attribute(1, login.encode()) + attribute(2, hide_password(given.encode(), authenticator, SECRET)) + more
    packet = parse(header(1, 1, len(body)) + authenticator + body)
    reason = check(packet, known(password.encode()), SECRET, os.urandom).reason
    assert reason is (None if is_right else Reason.WRONG_PASSWORD)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.CREDENTIALS_MISSING),
        (attribute(2, b"x" * 16) + attribute(3, b"x" * 17), Reason.CREDENTIALS_CONTRADICTORY),
        (attribute(2, b"x" * 15), Reason.CREDENTIALS_CONTRADICTORY),
        (attribute(3, b"x" * 16), Reason.CREDENTIALS_CONTRADICTORY),
        (attribute(79, b"\2\1\0\5\1"), Reason.METHOD_UNSUPPORTED),
    ],
)
def test_what_proves_nothing_is_refused(body: bytes, reason: Reason) -> None:
    body = attribute(Kind.USER_NAME, b"ana") + body
    packet = parse(header(1, 1, len(body)) + bytes(16) + body)
    assert check(packet, known(b"pw"), SECRET, os.urandom).reason is reason


def request_with(body: bytes, authenticator: bytes = bytes(range(16)), name: bytes = b"User") -> Packet:
    body = attribute(Kind.USER_NAME, name) + body
    return parse(header(1, 1, len(body)) + authenticator + body)


def in_reply(attributes: bytes) -> Packet:
    return parse(header(2, 1, len(attributes)) + bytes(16) + attributes)


@given(st.binary(min_size=1, max_size=128), st.binary(min_size=1, max_size=253), st.integers(0, 255), st.booleans())
def test_chap_takes_its_challenge_from_its_attribute_else_from_the_header(
    password: bytes, challenge: bytes, ident: int, in_attribute: bool
) -> None:
    authenticator = challenge.ljust(16, b"\0")[:16]
    used = challenge if in_attribute else authenticator
    body = attribute(Kind.CHAP_PASSWORD, bytes((ident,)) + chap_response(ident, password, used))
    if in_attribute:
        body += attribute(Kind.CHAP_CHALLENGE, challenge)
    packet = request_with(body, authenticator)
    assert check(packet, known(password), SECRET, os.urandom).reason is None
    assert check(packet, known(password + b"x"), SECRET, os.urandom).reason is Reason.WRONG_PASSWORD


@given(st.text(min_size=1, max_size=128).filter(lambda text: "\0" not in text and len(text.encode()) <= 128))
def test_any_password_that_may_be_stored_is_right_by_every_method(password: str) -> None:
    plain = password.encode()
    for method in testclient.METHODS:
        packet = parse(testclient.access_request(1, "ana", password, method, b"", SECRET, os.urandom).octets)
        assert check(packet, known(plain), SECRET, os.urandom).reason is None
    packet = request_with(ms_chap_v1(plain, bytes(8)))
    assert check(packet, known(plain), SECRET, os.urandom).reason is None


def ms_chap_v1(password: bytes, challenge: bytes, *, flags: int = 1) -> bytes:
    response = mschap.challenge_response(challenge, mschap.nt_keys(password))
    value = bytes((7, flags)) + bytes(24) + response
    return vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, challenge) + vendor_attribute(
        MICROSOFT, MS_CHAP_RESPONSE, value
    )


def test_ms_chap_version_1_hands_over_the_keys_of_rfc_3079() -> None:
    packet = request_with(ms_chap_v1(b"clientPass", bytes.fromhex("102db5df085d3041")))
    verdict = check(packet, known(b"clientPass"), SECRET, os.urandom)
    assert (verdict.reason, verdict.method) == (None, "mschapv1")
    reply = in_reply(verdict.accept_attributes)
    (sealed,) = reply.vendor_values(MICROSOFT, MS_CHAP_MPPE_KEYS)
    assert len(sealed) == 32
    keys = plain_of(sealed, packet.authenticator)
    assert keys == bytes(8) + bytes.fromhex("41c00c584bd2d91c4017a2a12fa59f3f") + bytes(8)


def plain_of(sealed: bytes, authenticator: bytes) -> bytes:
    """RFC 2865 5.2 the other way, without taking padding off."""
    plain, previous = b"", authenticator
    for start in range(0, len(sealed), 16):
        block = sealed[start : start + 16]
        stream = hashlib.md5(SECRET.octets + previous).digest()
        plain += bytes(left ^ right for left, right in zip(block, stream, strict=True))
        previous = block
    return plain


def test_ms_chap_version_2_hands_over_the_keys_of_rfc_3079_and_the_proof_of_rfc_2759() -> None:
    response = bytes.fromhex("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df")
    value = bytes((9, 0)) + bytes.fromhex("21402324255e262a28295f2b3a337c7e") + bytes(8) + response
    challenge = bytes.fromhex("5b5d7c7d7b3f2f3e3c2c602132262628")
    body = vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, challenge)
    body += vendor_attribute(MICROSOFT, MS_CHAP2_RESPONSE, value)
    packet = request_with(body)
    reply = in_reply(check(packet, known(b"clientPass"), SECRET, os.urandom).accept_attributes)
    assert reply.vendor_values(MICROSOFT, MS_CHAP2_SUCCESS) == [b"\x09S=407A5589115FD0D6209F510FE9C04566932CDA56"]
    (sealed_send,) = reply.vendor_values(MICROSOFT, MS_MPPE_SEND_KEY)
    (sealed_receive,) = reply.vendor_values(MICROSOFT, MS_MPPE_RECV_KEY)
    send = salt_decrypt(sealed_send, packet.authenticator, SECRET)
    assert send == bytes.fromhex("8b7cdc149b993a1ba118cb153f56dccb")
    receive = salt_decrypt(sealed_receive, packet.authenticator, SECRET)
    assert receive not in {None, send}
    assert sealed_send[:2] != sealed_receive[:2], "salts are unique within a packet"
    assert sealed_send[0] & sealed_receive[0] & 0x80


@given(st.binary(min_size=3, max_size=3))
def test_two_salts_of_one_packet_are_never_equal(drawn: bytes) -> None:
    packet = parse(testclient.access_request(1, "ana", "pw", "mschapv2", b"", SECRET, os.urandom).octets)
    reply = in_reply(check(packet, known(b"pw"), SECRET, lambda _: drawn).accept_attributes)
    salts = {reply.vendor_values(MICROSOFT, kind)[0][:2] for kind in (MS_MPPE_SEND_KEY, MS_MPPE_RECV_KEY)}
    assert len(salts) == 2


@pytest.mark.parametrize(
    ("body", "reason", "error"),
    [
        (ms_chap_v1(b"wrong", bytes(8)), Reason.WRONG_PASSWORD, b"\x07E=691 R=0 V=2"),
        (ms_chap_v1(b"pw", bytes(8), flags=0), Reason.METHOD_UNSUPPORTED, b"\x07E=691 R=0 V=2"),
        (ms_chap_v1(b"pw", bytes(16)), Reason.CREDENTIALS_CONTRADICTORY, None),
        (vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, bytes(8)), Reason.CREDENTIALS_MISSING, None),
        (vendor_attribute(MICROSOFT, MS_CHAP_RESPONSE, bytes(50)), Reason.CREDENTIALS_MISSING, None),
        (ms_chap_v1(b"pw", bytes(8)) + vendor_attribute(MICROSOFT, MS_CHAP2_RESPONSE, bytes(50)),
         Reason.CREDENTIALS_CONTRADICTORY, None),
        (vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, bytes(16))
         + vendor_attribute(MICROSOFT, MS_CHAP2_RESPONSE, bytes(49)), Reason.CREDENTIALS_CONTRADICTORY, None),
        (vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, bytes(16))
         + vendor_attribute(MICROSOFT, MS_CHAP2_RESPONSE, b"\x05" + bytes(49)),
         Reason.WRONG_PASSWORD, b"\x05E=691 R=0 C=" + b"AB" * 16 + b" V=3"),
    ],
)  # fmt: skip
def test_ms_chap_that_is_wrong_or_makes_no_sense(body: bytes, reason: Reason, error: bytes | None) -> None:
    verdict = check(request_with(body), known(b"pw"), SECRET, lambda octets: b"\xab" * octets)
    assert verdict.reason is reason
    assert verdict.accept_attributes == b""
    assert in_reply(verdict.reject_attributes).vendor_values(MICROSOFT, MS_CHAP_ERROR) == ([error] if error else [])


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 26, 60, 79, 80]), st.binary(max_size=80)), max_size=6))
def test_any_attributes_give_a_verdict(pairs: list[tuple[int, bytes]]) -> None:
    microsoft = b"".join(
        bytes((26, len(value) + 8)) + MICROSOFT.to_bytes(4, "big") + bytes((kind, len(value) + 2)) + value
        for kind, value in pairs
    )
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in pairs) + microsoft
    packet = parse(header(1, 1, len(body)) + bytes(16) + body)
    check(packet, known(b"pw"), SECRET, os.urandom)

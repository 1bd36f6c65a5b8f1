"""Credentials: RFC vectors for MS-CHAP, every method right and wrong, contradictions refused."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa import mschap, testclient
from aaa.authenticator import SharedSecret, salt_decrypt
from aaa.credentials import HINT_WRONG_SECRET, MICROSOFT, MS_CHAP2_SUCCESS, MS_CHAP_ERROR, MS_MPPE_SEND_KEY, check
from aaa.packet import Kind, attribute, header, parse
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


def test_noise_instead_of_a_password_hints_at_the_shared_secret() -> None:
    packet = parse(
        testclient.access_request(1, "ana", "a-long-password", "pap", b"", SharedSecret(b"other"), os.urandom).octets
    )
    verdict = check(packet, known(b"a-long-password"), SECRET, os.urandom)
    assert verdict.reason is Reason.WRONG_PASSWORD
    assert verdict.hint == HINT_WRONG_SECRET


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

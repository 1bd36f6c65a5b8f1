"""What a proxy owes: nothing lost, nothing doubled, secrets hidden anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aaa.authenticator import (
    SharedSecret,
    hide_password,
    message_authenticator_valid,
    request_authenticator_valid,
    reveal_password,
    salt_decrypt,
    salt_encrypt,
    sign_access_request,
    sign_reply,
    sign_request,
)
from aaa.credentials import MICROSOFT, MS_CHAP_MPPE_KEYS
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, parse, vendor_attribute
from aaa.takeover.forwarding import forwarded_access_request, forwarded_accounting_request, returned_attributes

NAS, HOME = SharedSecret(b"of the nas"), SharedSecret(b"of the home server")
THEIRS, OURS = bytes(range(16)), bytes(range(100, 116))
_OWN = {
    int(Kind.USER_PASSWORD),
    int(Kind.MESSAGE_AUTHENTICATOR),
    int(Kind.CHAP_PASSWORD),
    int(Kind.VENDOR_SPECIFIC),
    69,
}
plain_attributes = st.lists(
    st.tuples(st.integers(1, 255).filter(lambda kind: kind not in _OWN), st.binary(min_size=1, max_size=60)),
    max_size=12,
)


def request(attributes: bytes) -> Packet:
    return parse(sign_access_request(7, THEIRS, attributes, NAS))


def forward(packet: Packet) -> Packet:
    octets = forwarded_access_request(packet, "192.0.2.9", NAS, HOME, 33, OURS, b"mine")
    assert octets is not None
    forwarded = parse(octets)
    assert message_authenticator_valid(forwarded, HOME)
    assert (forwarded.identifier, forwarded.authenticator) == (33, OURS)
    return forwarded


def encoded(pairs: list[tuple[int, bytes]]) -> bytes:
    return b"".join(attribute(kind, value) for kind, value in pairs)


@given(plain_attributes, st.binary(min_size=1, max_size=128).filter(lambda password: not password.endswith(b"\0")))
def test_attributes_keep_their_order_and_the_password_is_hidden_anew(
    pairs: list[tuple[int, bytes]], password: bytes
) -> None:
    hidden = attribute(Kind.USER_PASSWORD, hide_password(password, THEIRS, NAS))
    forwarded = forward(request(encoded(pairs) + hidden))
    sent = [pair for pair in forwarded.attributes if pair[0] not in _OWN]
    named = {kind for kind, _ in pairs} & {Kind.NAS_IP_ADDRESS, Kind.NAS_IPV6_ADDRESS}
    added = [] if named else [(int(Kind.NAS_IP_ADDRESS), b"\xc0\0\2\x09")]
    assert sent == [*pairs, *added, (int(Kind.PROXY_STATE), b"mine")]
    assert reveal_password(forwarded.first(Kind.USER_PASSWORD) or b"", OURS, HOME) == password


def test_a_password_of_an_impossible_length_cannot_be_forwarded() -> None:
    packet = request(attribute(Kind.USER_PASSWORD, b"x" * 15))
    assert forwarded_access_request(packet, "192.0.2.9", NAS, HOME, 1, OURS, b"mine") is None


def test_what_grows_too_long_cannot_be_forwarded() -> None:
    packet = request(attribute(Kind.REPLY_MESSAGE, b"x" * 253) * 15 + attribute(Kind.REPLY_MESSAGE, b"x" * 228))
    assert len(packet.octets) == 4093
    assert forwarded_access_request(packet, "192.0.2.9", NAS, HOME, 1, OURS, b"mine") is None


@given(plain_attributes)
def test_the_answer_comes_back_without_our_proxy_state_and_with_all_others(pairs: list[tuple[int, bytes]]) -> None:
    body = encoded(pairs) + attribute(Kind.PROXY_STATE, b"mine")
    reply = parse(sign_reply(Code.ACCESS_ACCEPT, 33, OURS, body, HOME))
    asked = sign_access_request(33, OURS, b"", HOME)
    assert returned_attributes(reply, request(b""), asked, b"mine", HOME, NAS) == encoded(pairs)


def test_a_proxy_state_of_the_nas_that_equals_ours_is_given_back_once() -> None:
    body = attribute(Kind.PROXY_STATE, b"mine") * 2
    reply = parse(sign_reply(Code.ACCESS_ACCEPT, 33, OURS, body, HOME))
    asked = sign_access_request(33, OURS, b"", HOME)
    assert returned_attributes(reply, request(b""), asked, b"mine", HOME, NAS) == attribute(Kind.PROXY_STATE, b"mine")


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=2, max_size=2))
def test_tunnel_passwords_are_hidden_anew(password: bytes, salt: bytes) -> None:
    sealed = attribute(69, b"\1" + salt_encrypt(password, salt, OURS, HOME))
    reply = parse(sign_reply(Code.ACCESS_ACCEPT, 33, OURS, sealed, HOME))
    asked = sign_access_request(33, OURS, b"", HOME)
    back = returned_attributes(reply, request(b""), asked, b"mine", HOME, NAS)
    assert back[:3] == sealed[:2] + b"\1"
    assert salt_decrypt(back[3:], THEIRS, NAS) == password


@given(st.binary(min_size=24, max_size=24))
def test_keys_of_mschap_version_1_are_hidden_anew_and_others_beside_them_stay(keys: bytes) -> None:
    sealed = vendor_attribute(MICROSOFT, MS_CHAP_MPPE_KEYS, hide_password(keys + bytes(8), OURS, HOME))
    other = vendor_attribute(MICROSOFT, 7, b"\0\0\0\1") + vendor_attribute(9, 1, b"ip:x=y")
    reply = parse(sign_reply(Code.ACCESS_ACCEPT, 33, OURS, sealed + other, HOME))
    asked = sign_access_request(33, OURS, b"", HOME)
    back = returned_attributes(reply, request(b""), asked, b"mine", HOME, NAS)
    assert back.endswith(other)
    found = parse(sign_reply(2, 1, THEIRS, back, NAS)).vendor_values(MICROSOFT, MS_CHAP_MPPE_KEYS)[0]
    assert (reveal_password(found, THEIRS, NAS) or b"").ljust(32, b"\0") == keys + bytes(8)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 100_000))
def test_accounting_says_how_long_it_waited_in_all(delay_s: int, waited_s: int) -> None:
    body = integer_attribute(Kind.ACCT_STATUS_TYPE, 1) + integer_attribute(Kind.ACCT_DELAY_TIME, delay_s)
    packet = parse(sign_request(Code.ACCOUNTING_REQUEST, 1, body, NAS, message_authenticator=False))
    octets = forwarded_accounting_request(packet, "2001:db8::1", HOME, 5, waited_s, b"mine")
    assert octets is not None
    forwarded = parse(octets)
    assert request_authenticator_valid(forwarded, HOME)
    assert forwarded.every(Kind.ACCT_DELAY_TIME) == [min(delay_s + waited_s, 0xFFFFFFFF).to_bytes(4, "big")]
    assert forwarded.first(Kind.NAS_IPV6_ADDRESS) is not None
    assert forwarded.every(Kind.PROXY_STATE) == [b"mine"]

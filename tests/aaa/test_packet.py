"""The codec: any octets give a packet or MalformedPacket, and pyrad reads and writes the same octets."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrad.client import Client as _PyradClient  # noqa: F401  (pyrad is complete)
from pyrad.dictionary import Dictionary
from pyrad.packet import AcctPacket, AuthPacket, CoAPacket, Packet

from aaa.accept_class import class_attribute, decode_class
from aaa.authenticator import (
    SharedSecret,
    hide_password,
    message_authenticator_valid,
    request_authenticator_valid,
    response_valid,
    reveal_password,
    salt_decrypt,
    salt_encrypt,
    sign_access_request,
    sign_accounting_response,
    sign_reply,
    sign_request,
)
from aaa.dictionary import describe
from aaa.packet import (
    Kind,
    MalformedPacket,
    attribute,
    header,
    parse,
    readable,
    text_attribute,
    vendor_attribute,
)

DICTIONARY = Dictionary(str(Path(__file__).parent.parent.parent / "core" / "dictionaries" / "dictionary"))
attributes = st.lists(st.tuples(st.integers(1, 255), st.binary(min_size=1, max_size=253)), max_size=12)
secrets = st.binary(min_size=1, max_size=100)
authenticators = st.binary(min_size=16, max_size=16)


def encoded(pairs: list[tuple[int, bytes]]) -> bytes:
    return b"".join(attribute(kind, value) for kind, value in pairs)


@given(
    st.binary(max_size=200)
    | st.binary(min_size=16, max_size=80).map(lambda b: struct.pack("!BBH", 1, 1, len(b) + 4) + b)
)
def test_any_octets_are_a_packet_or_malformed_and_nothing_else(octets: bytes) -> None:
    try:
        packet = parse(octets)
    except MalformedPacket:
        return
    assert (
        header(packet.code, packet.identifier, len(packet.octets) - 20)
        + packet.authenticator
        + encoded_all(packet.attributes)
        == packet.octets
    )
    describe(packet)


def encoded_all(pairs: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes((kind, len(value) + 2)) + value for kind, value in pairs)


@given(attributes, authenticators, st.binary(max_size=30))
def test_parsing_gives_back_what_was_encoded_and_ignores_padding(
    pairs: list[tuple[int, bytes]], authenticator: bytes, padding: bytes
) -> None:
    body = encoded(pairs)
    packet = parse(header(1, 7, len(body)) + authenticator + body + padding)
    assert packet.attributes == pairs
    for kind, _ in pairs:
        assert packet.every(kind) == [value for number, value in pairs if number == kind]
        assert packet.first(kind) == packet.every(kind)[0]


@given(attributes.filter(bool), authenticators)
def test_a_packet_cut_anywhere_is_malformed(pairs: list[tuple[int, bytes]], authenticator: bytes) -> None:
    body = encoded(pairs)
    octets = header(1, 7, len(body)) + authenticator + body
    for length in range(len(octets)):
        with pytest.raises(MalformedPacket):
            parse(octets[:length])


@given(
    secrets, st.text(min_size=1, max_size=40).filter(lambda s: len(s.encode()) <= 128 and "\0" not in s), authenticators
)
def test_pyrad_reads_our_password_and_we_read_pyrads(secret: bytes, password: str, authenticator: bytes) -> None:
    theirs = AuthPacket(id=1, secret=secret, authenticator=authenticator, dict=DICTIONARY)
    ours = SharedSecret(secret)
    hidden = theirs.PwCrypt(password)
    assert reveal_password(hidden, authenticator, ours) == password.encode()
    assert hide_password(password.encode(), authenticator, ours) == hidden


@given(secrets, attributes, authenticators)
def test_pyrad_accepts_our_message_authenticator(
    secret: bytes, pairs: list[tuple[int, bytes]], authenticator: bytes
) -> None:
    body = encoded([pair for pair in pairs if pair[0] not in {26, 80}])
    octets = sign_access_request(9, authenticator, body, SharedSecret(secret))
    theirs = AuthPacket(packet=octets, secret=secret, dict=DICTIONARY)
    assert theirs.verify_message_authenticator()
    assert message_authenticator_valid(parse(octets), SharedSecret(secret))


@given(secrets, attributes, authenticators, st.data())
def test_a_changed_bit_fails_verification(
    secret: bytes, pairs: list[tuple[int, bytes]], authenticator: bytes, data: st.DataObject
) -> None:
    shared = SharedSecret(secret)
    body = encoded([pair for pair in pairs if pair[0] != Kind.MESSAGE_AUTHENTICATOR])
    signed = sign_request(43, 3, body, shared, message_authenticator=True)
    assert request_authenticator_valid(parse(signed), shared)
    bit = data.draw(st.integers(0, len(signed) * 8 - 1))
    broken = bytearray(signed)
    broken[bit // 8] ^= 1 << bit % 8
    try:
        packet = parse(bytes(broken))
    except MalformedPacket:
        return
    assert not request_authenticator_valid(packet, shared)


@given(secrets, attributes, authenticators)
def test_a_reply_has_its_message_authenticator_first_and_verifies(
    secret: bytes, pairs: list[tuple[int, bytes]], authenticator: bytes
) -> None:
    shared = SharedSecret(secret)
    reply = parse(sign_reply(2, 5, authenticator, encoded([p for p in pairs if p[0] != 80]), shared))
    assert reply.attributes[0][0] == Kind.MESSAGE_AUTHENTICATOR
    assert response_valid(reply, authenticator, shared, message_authenticator_required=True)
    assert not response_valid(reply, authenticator, SharedSecret(secret + b"x"))


@given(secrets, st.binary(min_size=1, max_size=40), authenticators, st.binary(min_size=2, max_size=2))
def test_salt_encryption_is_undone(secret: bytes, value: bytes, authenticator: bytes, salt: bytes) -> None:
    shared = SharedSecret(secret)
    assert salt_decrypt(salt_encrypt(value, salt, authenticator, shared), authenticator, shared) == value


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8))
def test_class_round_trips(service_id: int, accept_id: bytes, fingerprint: bytes) -> None:
    octets = class_attribute(service_id, accept_id, fingerprint)
    assert octets[0] == Kind.CLASS
    assert len(octets) == octets[1]
    assert decode_class(octets[2:]) == (service_id, accept_id.hex(), fingerprint.hex())


@given(st.binary(max_size=40))
def test_a_strange_class_is_nobodys(value: bytes) -> None:
    assert decode_class(value) is None or value.startswith(b"PVD1")


@given(st.binary(max_size=60))
def test_text_from_the_network_is_printable(value: bytes) -> None:
    assert readable(value).isprintable()


def test_a_vendors_values_are_found_in_any_of_its_attributes() -> None:
    body = text_attribute(1, "x") + vendor_attribute(14988, 8, b"1k/2k") + vendor_attribute(9, 1, b"a=b")
    packet = parse(header(2, 1, len(body)) + bytes(16) + body)
    assert packet.vendor_values(14988, 8) == [b"1k/2k"]
    assert packet.vendor_values(14988, 9) == []
    assert ("Mikrotik-Rate-Limit", "1k/2k") in describe(packet)


readable_values = {
    "User-Name": st.text(min_size=1, max_size=60),
    "NAS-IP-Address": st.ip_addresses(v=4).map(str),
    "NAS-Port": st.integers(0, 0xFFFFFFFF),
    "Calling-Station-Id": st.text(min_size=1, max_size=60),
    "Acct-Session-Id": st.text(min_size=1, max_size=60),
    "Acct-Session-Time": st.integers(0, 0xFFFFFFFF),
    "Acct-Input-Octets": st.integers(0, 0xFFFFFFFF),
    "Acct-Input-Gigawords": st.integers(0, 0xFFFFFFFF),
    "Framed-IP-Address": st.ip_addresses(v=4).map(str),
    "Mikrotik-Rate-Limit": st.from_regex(r"[0-9]{1,7}k/[0-9]{1,7}k", fullmatch=True),
    "Mikrotik-Address-List": st.text(min_size=1, max_size=60),
    "Class": st.binary(min_size=1, max_size=253),
}
named_values = st.dictionaries(st.sampled_from(sorted(readable_values)), st.none(), max_size=8).flatmap(
    lambda names: st.fixed_dictionaries({name: readable_values[name] for name in names})
)


def with_values(packet: Packet, values: dict[str, Any]) -> Packet:
    for name, value in values.items():
        packet[name] = value
    return packet


@given(named_values, secrets)
def test_what_pyrad_writes_we_verify_and_read_by_the_same_names(values: dict[str, Any], secret: bytes) -> None:
    shared = SharedSecret(secret)
    for kind in (AcctPacket, CoAPacket):
        theirs = with_values(kind(id=7, secret=secret, dict=DICTIONARY), values)
        ours = parse(theirs.RequestPacket())
        assert request_authenticator_valid(ours, shared)
        described = dict(describe(ours))
        for name, value in values.items():
            wanted = readable(value.encode()) if isinstance(value, str) else value
            wanted = "0x" + value.hex() if isinstance(value, bytes) else str(wanted)
            assert described[name] == wanted


@given(named_values, secrets)
def test_what_we_write_pyrad_verifies_and_reads_by_the_same_names(values: dict[str, Any], secret: bytes) -> None:
    body = b"".join(
        with_values(Packet(dict=DICTIONARY), {name: value})._PktEncodeAttributes() for name, value in values.items()
    )
    body = encoded(parse(header(4, 1, len(body)) + bytes(16) + body).attributes)
    octets = sign_request(4, 7, body, SharedSecret(secret), message_authenticator=False)
    theirs = AcctPacket(packet=octets, secret=secret, dict=DICTIONARY)
    assert theirs.VerifyAcctRequest()
    assert {name: theirs[name] for name in values} == {name: [value] for name, value in values.items()}


@given(secrets, authenticators, attributes, st.sampled_from([2, 3, 5]))
def test_pyrad_takes_our_replies(
    secret: bytes, authenticator: bytes, pairs: list[tuple[int, bytes]], code: int
) -> None:
    shared = SharedSecret(secret)
    # pyrad wants the request's Proxy-States back, of which there are none.
    body = encoded([pair for pair in pairs if pair[0] not in {26, Kind.PROXY_STATE, 80}])
    request = AuthPacket(id=5, secret=secret, authenticator=authenticator, dict=DICTIONARY)
    if code == 5:
        ours = sign_accounting_response(parse(header(4, 5, 0) + authenticator), body, shared)
    else:
        ours = sign_reply(code, 5, authenticator, body, shared)
    assert request.VerifyReply(Packet(packet=ours, dict=DICTIONARY), rawreply=ours)
    assert not request.VerifyReply(Packet(packet=ours, dict=DICTIONARY), rawreply=ours[:4] + bytes(16) + ours[20:])


@given(secrets, authenticators, st.binary(min_size=1, max_size=200))
def test_pyrad_opens_what_we_salt_and_we_open_pyrads(secret: bytes, authenticator: bytes, value: bytes) -> None:
    theirs = Packet(id=1, secret=secret, authenticator=authenticator, dict=DICTIONARY)
    ours = SharedSecret(secret)
    assert theirs.SaltDecrypt(salt_encrypt(value, b"\x01\x02", authenticator, ours)) == value
    assert salt_decrypt(theirs.SaltCrypt(value), authenticator, ours) == value

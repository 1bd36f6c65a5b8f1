"""Published examples, by name: decoded, verified, and encoded again octet by octet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aaa import mschap
from aaa.authenticator import (
    SharedSecret,
    chap_response,
    hide_password,
    message_authenticator_valid,
    response_valid,
    reveal_password,
    sign_access_request,
    sign_accounting_response,
)
from aaa.credentials import check
from aaa.packet import Code, Kind, MalformedPacket, Packet, attribute, header, parse
from aaa.reasons import Reason
from aaa.snapshot import PolicyEntry, Subscriber
from aaa.vendors.mikrotik import rate_limit
from core.access import Access
from core.policy import Burst, Policy

VECTORS = Path(__file__).parent.parent / "vectors"
Vector = dict[str, str]


def lines(name: str) -> list[str]:
    return [line for line in (VECTORS / name).read_text().splitlines() if not line.startswith("#")]


def vectors(*names: str) -> list[object]:
    """The blocks of `field: value` lines in these files."""
    found = []
    for name in names:
        for block in "\n".join(lines(name)).split("\n\n"):
            fields = dict(line.split(":", 1) for line in block.splitlines() if line)
            if fields:
                vector = {field: value.strip() for field, value in fields.items()}
                found.append(pytest.param(vector, id=f"{name.removesuffix('.txt')} {vector['name']}"))
    return found


def encoded_again(packet: Packet) -> bytes:
    body = b"".join(attribute(kind, value) for kind, value in packet.attributes)
    return header(packet.code, packet.identifier, len(body)) + packet.authenticator + body


def listed(packet: Packet) -> str:
    return " ".join(f"{kind}={value.hex()}" for kind, value in packet.attributes)


@pytest.mark.parametrize("vector", vectors("rfc2865.txt", "rfc5997.txt"))
def test_an_exchange_is_decoded_verified_and_encoded_again(vector: Vector) -> None:
    secret = SharedSecret(vector["secret"].encode())
    packets = {}
    for which in ("request", "reply"):
        octets = bytes.fromhex(vector[which])
        packets[which] = parse(octets)
        assert listed(packets[which]) == vector[f"{which} holds"]
        assert encoded_again(packets[which]) == octets
        for length in range(len(octets)):
            with pytest.raises(MalformedPacket):
                parse(octets[:length])
    assert response_valid(packets["reply"], packets["request"].authenticator, secret)
    assert not response_valid(packets["reply"], bytes(16), secret)
    assert not response_valid(packets["reply"], packets["request"].authenticator, SharedSecret(b"xyzzy5462"))


@pytest.mark.parametrize("vector", vectors("rfc2865.txt"))
def test_a_password_is_revealed_hidden_again_and_accepted(vector: Vector) -> None:
    secret, password = SharedSecret(vector["secret"].encode()), vector["password"].encode()
    request = parse(bytes.fromhex(vector["request"]))
    hidden, chap = request.first(Kind.USER_PASSWORD), request.first(Kind.CHAP_PASSWORD)
    if hidden is not None:
        assert reveal_password(hidden, request.authenticator, secret) == password
        assert hide_password(password, request.authenticator, secret) == hidden
    else:
        assert chap is not None
        assert chap[1:] == chap_response(chap[0], password, request.authenticator)
    for known, reason in ((password, None), (password + b"x", Reason.WRONG_PASSWORD)):
        subscriber = Subscriber(1, known, PolicyEntry("", Policy(Access.FULL)))
        assert check(request, subscriber, secret, os.urandom).reason is reason


@pytest.mark.parametrize("vector", vectors("rfc5997.txt"))
def test_a_status_server_is_signed_as_in_the_rfc(vector: Vector) -> None:
    secret = SharedSecret(vector["secret"].encode())
    request, reply = parse(bytes.fromhex(vector["request"])), parse(bytes.fromhex(vector["reply"]))
    assert message_authenticator_valid(request, secret)
    if len(request.attributes) == 1:  # ours puts the Message-Authenticator first
        again = sign_access_request(
            request.identifier, request.authenticator, b"", secret, code=Code.STATUS_SERVER
        )  # fmt: skip
        assert again == request.octets
    if reply.code == Code.ACCOUNTING_RESPONSE:
        assert sign_accounting_response(request, b"", secret) == reply.octets


@pytest.mark.parametrize("vector", vectors("mschap.txt"))
def test_ms_chap_computes_what_the_rfcs_print(vector: Vector) -> None:
    password_hash = mschap.nt_password_hash(vector["password"].encode())
    challenge, response = bytes.fromhex(vector["challenge"]), bytes.fromhex(vector["response"])
    assert password_hash.hex() == vector["password hash"]
    keys = mschap.nt_keys(vector["password"].encode())
    assert mschap.challenge_response(challenge, keys) == response
    assert mschap.response_matches(response, challenge, keys)
    if "user name" not in vector:
        return
    peer, ours = (bytes.fromhex(vector[f"{whose} challenge"]) for whose in ("peer", "authenticator"))
    assert mschap.challenge_hash(peer, ours, vector["user name"].encode()) == challenge
    proof = mschap.authenticator_response(keys, response, challenge)
    assert proof.decode() == vector["authenticator response"]
    assert mschap.mppe_keys_v1(keys)[8:24].hex() == vector["password hash hash"]
    send_key, _ = mschap.mppe_keys_v2(keys, response)
    assert send_key.hex() == vector["send start key"]


def rates(text: str) -> list[int]:
    """A rate limit in bit/s and seconds, with everything written out that the manual lets one leave away."""
    units = {"k": 1000, "M": 1_000_000, "": 1}
    pairs = []
    for word in text.split():
        parts = [
            int(number) * units[unit]
            for number, unit in (re.fullmatch(r"(\d+)([kM]?)", part).groups() for part in word.split("/"))  # type: ignore[union-attr]
        ]
        pairs.append(parts if len(parts) == 2 else parts * 2)
    if len(pairs) > 1:
        pairs += [pairs[0]] if len(pairs) == 2 else []
        pairs += [[1, 1]] if len(pairs) == 3 else []
    return [number for pair in pairs for number in pair]


@pytest.mark.parametrize("line", [line for line in lines("mikrotik_rate_limit.txt") if line])
def test_a_rate_limit_means_what_the_manual_says(line: str) -> None:
    rate, burst, threshold, seconds, manual = [*map(str.strip, line.split("|"))]
    up, down = map(int, rate.split())
    numbers: Callable[[str], list[int]] = lambda text: [int(one) for one in text.split()]  # noqa: E731
    shaped = None
    if burst:
        (burst_up, burst_down), (above_up, above_down) = numbers(burst), numbers(threshold)
        shaped = Burst(burst_down, burst_up, above_down, above_up, int(seconds))
    written = rate_limit(Policy(Access.FULL, down_kbps=down, up_kbps=up, burst=shaped))
    assert rates(written) == rates(manual)
    assert written.startswith(f"{up}k/{down}k"), "upload first"

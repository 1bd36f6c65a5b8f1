"""Differences by meaning, and rates in every dialect."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.authenticator import SharedSecret, sign_reply
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, parse, text_attribute, vendor_attribute
from aaa.takeover import words
from aaa.takeover.compare import LONG_DIFFERENCES, Comparison, Difference, Ours, compare, encode_comparisons
from aaa.takeover.rates import (
    Direction,
    RateLimit,
    parse_cisco_rate,
    parse_filter_rate,
    parse_rate_limit,
)
from aaa.vendors.mikrotik import rate_limit
from core.access import Access
from core.policy import Burst, Policy

SECRET = SharedSecret(b"s")


def accepted(attributes: bytes, code: int = Code.ACCESS_ACCEPT) -> Packet:
    return parse(sign_reply(code, 1, bytes(16), attributes, SECRET))


def accept(attributes: bytes) -> Ours:
    return Ours(True, "accepted", attributes)


def limit(text: str) -> bytes:
    return vendor_attribute(14988, 8, text.encode())


def test_order_and_spelling_are_no_difference() -> None:
    ours = text_attribute(Kind.FRAMED_POOL, "p") + limit("50000k/200000k")
    ours += text_attribute(Kind.FRAMED_ROUTE, "10.9.0.0/24 0.0.0.0 1")
    theirs = (
        limit("50M/200M") + text_attribute(Kind.FRAMED_ROUTE, "10.9.0.0/24") + text_attribute(Kind.FRAMED_POOL, "p")
    )
    theirs += attribute(Kind.CLASS, b"theirs") + text_attribute(Kind.REPLY_MESSAGE, "Hi")
    assert compare(accept(ours), accepted(theirs)) == ()


def test_each_attribute_that_differs_is_named_and_harmless_ones_are_marked() -> None:
    ours = integer_attribute(Kind.SERVICE_TYPE, 2) + text_attribute(Kind.FRAMED_POOL, "p") + limit("1M/2M")
    theirs = limit("1M/3M") + integer_attribute(Kind.IDLE_TIMEOUT, 600)
    assert compare(accept(ours), accepted(theirs)) == (
        Difference("extra", "Framed-Pool", "p", ""),
        Difference("missing", "Idle-Timeout", "", "600"),
        Difference("different", "Mikrotik-Rate-Limit", "1M/2M", "1M/3M"),
        Difference("extra", "Service-Type", "Framed-User", "", True),
    )


def test_an_address_that_is_leased_is_compared_and_one_that_is_not_leased_yet_is_said_to_be_free() -> None:
    theirs = attribute(Kind.FRAMED_IP_ADDRESS, bytes((100, 64, 0, 9)))
    same, other = theirs, attribute(Kind.FRAMED_IP_ADDRESS, bytes((100, 64, 0, 7)))
    assert compare(accept(same), accepted(theirs)) == ()
    assert compare(accept(other), accepted(theirs)) == (
        Difference("different", "Framed-IP-Address", "100.64.0.7", "100.64.0.9"),
    )
    none_yet = Ours(True, "accepted", b"", {"Framed-IP-Address": "homes"})
    (found,) = compare(none_yet, accepted(theirs))
    assert words.say(found.kind, found.attribute, found.ours, found.theirs, "en") == (
        "Framed-IP-Address: the old server sends 100.64.0.9; we would give one that is free in the pool homes."
    )
    assert compare(none_yet, accepted(b"")) == ()  # the NAS's own pool gives it


def test_secrets_are_never_shown() -> None:
    theirs = attribute(69, b"\0\x80\1" + b"tunnel-secret-16") + vendor_attribute(14988, 7, b"wireless-secret")
    found = compare(accept(b""), accepted(theirs))
    assert found
    assert "secret" not in repr(found)


def test_every_kind_has_words_in_both_languages() -> None:
    found = [
        *compare(Ours(False, "wrong_password"), accepted(b"")), *compare(accept(b""), accepted(b"", 3)),
        *compare(accept(b""), None), Difference("missing", "A", "", "1"), Difference("extra", "A", "1"),
        Difference("different", "A", "1", "2"), Difference("no_lease", "A", "homes", "1"),
    ]  # fmt: skip
    assert len({one.kind for one in found}) == 7
    for one in found:
        for language in ("pt_BR", "en"):
            said = words.say(one.kind, one.attribute, one.ours, one.theirs, language)
            assert said.endswith(".")
            assert "{" not in said
    assert words.say("we_refuse", "", "wrong_password", "accepted", "pt_BR").endswith("recusaríamos: senha errada.")


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_octets_can_be_compared(ours: bytes, theirs: bytes) -> None:
    mine = b"".join(attribute(26, ours[start : start + 20]) for start in range(0, len(ours), 20))
    other = b"".join(attribute(26, theirs[start : start + 20]) for start in range(0, len(theirs), 20))
    found = compare(accept(mine), accepted(other))
    assert found == () if mine == other else True
    assert all(len(one.ours) <= 200 for one in found)


rates = st.integers(1, 4_000_000)


@st.composite
def bursts(draw: st.DrawFn, down: int, up: int) -> Burst:
    down_burst, up_burst = down + draw(rates), up + draw(rates)
    return Burst(down_burst, up_burst, draw(st.integers(1, down_burst)), draw(st.integers(1, up_burst)),
                 draw(st.integers(1, 3600)))  # fmt: skip


@given(st.data(), rates, rates)
def test_what_our_adapter_writes_is_read_back(data: st.DataObject, down: int, up: int) -> None:
    burst = data.draw(st.none() | bursts(down, up))
    found = parse_rate_limit(rate_limit(Policy(Access.FULL, down, up, burst)))
    if burst is None:
        assert found == RateLimit(Direction(up), Direction(down))
        return
    assert found == RateLimit(
        Direction(up, burst.up_kbps, burst.up_threshold_kbps, burst.seconds),
        Direction(down, burst.down_kbps, burst.down_threshold_kbps, burst.seconds),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10M", RateLimit(Direction(10_000), Direction(10_000))),
        ("5m/10M", RateLimit(Direction(5000), Direction(10_000))),
        ("1024k/2048k 0/0 0/0 0/0 5", RateLimit(Direction(1024), Direction(2048), 5)),
        ("1M/2M 2M/4M", RateLimit(Direction(1000, 2000, 1000, 1), Direction(2000, 4000, 2000, 1))),
        ("10M/50M 20M/100M 8M/40M 10/10 8 1M/5M",
         RateLimit(Direction(10_000, 20_000, 8000, 10), Direction(50_000, 100_000, 40_000, 10), 8, True)),
        ("512000/1024000", RateLimit(Direction(512), Direction(1024))),
        ("", None), ("fast", None), ("0/0", None), ("1M/", RateLimit(Direction(1000), Direction(1000))), ("1M/x", None),
    ],
)  # fmt: skip
def test_rate_limits_as_people_write_them(text: str, expected: RateLimit | None) -> None:
    assert parse_rate_limit(text) == expected


@given(st.text(max_size=40))
def test_any_text_is_a_rate_or_none(text: str) -> None:
    parse_rate_limit(text)
    parse_filter_rate(text)
    parse_cisco_rate(text)


def test_the_other_dialects() -> None:
    assert parse_filter_rate("10240/2048") == (10_240, 2048)
    assert parse_filter_rate("fw.in") is None
    assert parse_cisco_rate("lcp:interface-config#1=rate-limit output 10240000 1920000 3840000") == ("down", 10_240)
    assert parse_cisco_rate("rate-limit input access-group 101 512000 8000 8000 conform-action x") == ("up", 512)
    assert parse_cisco_rate("ip:sub-qos-policy-out=GOLD") is None


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 200))
def test_comparisons_are_told_in_datagrams_that_can_be_read(differences: list[int], length: int) -> None:
    one = Difference("different", "X", "\u20ac" * length, "\u20ac" * length)
    left = [Comparison(1, str(number), [one] * count) for number, count in enumerate(differences)]
    told: list[Comparison] = []
    while left:
        encoded = encode_comparisons(left)
        assert len(encoded.octets) <= 65536
        told += msgspec.msgpack.decode(encoded.octets, type=list[Comparison])
        left = left[encoded.count :]
    assert [one.login for one in told] == [str(number) for number in range(len(differences))]
    assert all(len(one.differences) in {count, LONG_DIFFERENCES} for one, count in zip(told, differences, strict=True))

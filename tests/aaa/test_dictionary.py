"""Attributes by name for people, and never a secret among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.dictionary import HIDDEN, describe
from aaa.packet import attribute, header, parse, vendor_attribute

SECRET = b"\x5asecret-value"


def described(attributes: bytes) -> list[tuple[str, str]]:
    return describe(parse(header(1, 1, len(attributes)) + bytes(16) + attributes))


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (attribute(2, SECRET), "User-Password"),
        (attribute(3, SECRET), "CHAP-Password"),
        (attribute(69, SECRET), "Tunnel-Password"),
        (vendor_attribute(311, 1, SECRET), "MS-CHAP-Response"),
        (vendor_attribute(311, 12, SECRET), "MS-CHAP-MPPE-Keys"),
        (vendor_attribute(311, 16, SECRET), "MS-MPPE-Send-Key"),
        (vendor_attribute(311, 17, SECRET), "MS-MPPE-Recv-Key"),
        (vendor_attribute(311, 25, SECRET), "MS-CHAP2-Response"),
        (vendor_attribute(311, 26, SECRET), "MS-CHAP2-Success"),
        (vendor_attribute(14988, 16, SECRET), "Mikrotik-Wireless-PSK"),
    ],
)
def test_what_is_a_secret_is_hidden(octets: bytes, name: str) -> None:
    assert described(octets) == [(name, HIDDEN)]


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (attribute(1, "joão".encode()), ("User-Name", "joão")),
        (attribute(1, b"a\x1b[31m"), ("User-Name", "a\\x1b[31m")),
        (attribute(4, bytes((192, 0, 2, 1))), ("NAS-IP-Address", "192.0.2.1")),
        (attribute(95, bytes(15) + b"\1"), ("NAS-IPv6-Address", "::1")),
        (attribute(123, b"\0\x38\x20\x01\x0d\xb8"), ("Delegated-IPv6-Prefix", "2001:db8::/56")),
        (attribute(40, b"\0\0\0\3"), ("Acct-Status-Type", "Interim-Update")),
        (attribute(40, b"\0\0\0\x63"), ("Acct-Status-Type", "99")),
        (attribute(55, (1_700_000_000).to_bytes(4, "big")), ("Event-Timestamp", "2023-11-14T22:13:20Z")),
        (vendor_attribute(14988, 8, b"1M/2M"), ("Mikrotik-Rate-Limit", "1M/2M")),
        (attribute(200, b"\1\2"), ("Attr-200", "0102")),
        (vendor_attribute(4242, 9, b"\1"), ("Attr-26.4242.9", "01")),
    ],
)
def test_values_are_shown_as_people_write_them(octets: bytes, shown: tuple[str, str]) -> None:
    assert described(octets) == [shown]


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(min_size=1, max_size=40)), max_size=6))
def test_any_attributes_are_described(attributes: list[tuple[int, bytes]]) -> None:
    octets = b"".join(attribute(kind, value) for kind, value in attributes)
    assert all(value.isprintable() for _, value in described(octets))

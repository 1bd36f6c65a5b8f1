"""Attributes that people write themselves: checked against the dictionary when they are saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.dictionary import describe
from aaa.packet import header, parse
from core.attributes import MADE_FROM, check_vendor_attributes, dictionary, encode
from core.errors import InvalidInput
from core.models.network import Vendor

VENDORS = frozenset(Vendor)


def listed(octets: bytes) -> list[tuple[str, str]]:
    return describe(parse(header(2, 1, len(octets)) + bytes(16) + octets))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Framed-MTU", "1492", ("Framed-MTU", "1492")),
        ("Mikrotik-Mark-Id", "ouro", ("Mikrotik-Mark-Id", "ouro")),
        ("Service-Type", "Framed-User", ("Service-Type", "Framed-User")),
        ("Huawei-Subnet-Mask", "255.255.255.0", ("Huawei-Subnet-Mask", "255.255.255.0")),
        ("Framed-IPv6-Address", "2001:db8::1", ("Framed-IPv6-Address", "2001:db8::1")),
        ("ERX-IPv6-NdRa-Prefix", "2001:db8::/64", ("ERX-IPv6-NdRa-Prefix", "2001:db8::/64")),
        ("Tunnel-Type:1", "3", ("Tunnel-Type:1", "3")),
        ("Tunnel-Private-Group-Id:2", "101", ("Tunnel-Private-Group-Id:2", "101")),
        ("Cisco-AVPair", "ip:mobile=yes", ("Cisco-AVPair", "ip:mobile=yes")),
        ("Alc-Lease-Time", "3600", ("Alc-Lease-Time", "3600")),
    ],
)
def test_what_is_written_is_what_the_nas_is_told(name: str, value: str, shown: tuple[str, str]) -> None:
    assert listed(encode({name: [value]})) == [shown]


def test_one_value_or_several_per_vendor_come_out_in_one_form() -> None:
    given = {"all": {"Framed-MTU": 1492}, "cisco": {"Cisco-AVPair": ["b=2", "a=1"]}, "nokia": {}}
    checked = check_vendor_attributes(given, VENDORS)
    assert checked == {"all": {"Framed-MTU": ["1492"]}, "cisco": {"Cisco-AVPair": ["b=2", "a=1"]}}
    assert check_vendor_attributes(checked, VENDORS) == checked
    assert listed(encode(checked["cisco"])) == [("Cisco-AVPair", "b=2"), ("Cisco-AVPair", "a=1")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mikrotic": {"Framed-MTU": "1492"}}, "mikrotic: is no vendor; write accel_ppp, cisco"),
        ({"mikrotik": {"Mikrotik-Mark": "x"}}, "Mikrotik-Mark: is not in the dictionary"),
        ({"mikrotik": {"Mikrotik-Rate-Limit": "1M/1M"}}, "is made from down_kbps and up_kbps; set that instead"),
        ({"cisco": {"Cisco-AVPair": "ip:sub-qos-policy-out=fast"}}, "made from profile, down_kbps and up_kbps"),
        ({"all": {"Class": "x"}}, "Class: is written by the server itself"),
        ({"all": {"Tunnel-Password": "x"}}, "Tunnel-Password: is a secret"),
        ({"juniper": {"ERX-LI-Action": "1"}}, "ERX-LI-Action: is a secret"),
        ({"all": {"Framed-MTU": "big"}}, "Framed-MTU: 'big' is no integer"),
        ({"all": {"Framed-MTU": "4294967296"}}, "is no integer"),
        ({"all": {"Framed-IPv6-Address": "192.0.2.1"}}, "is no ipv6addr"),
        ({"all": {"Framed-MTU:1": "1492"}}, "Framed-MTU: has no tag"),
        ({"all": {"Tunnel-Type:99": "3"}}, "a tag is a number from 1 to 31"),
        ({"mikrotik": {"Mikrotik-Mark-Id": "x" * 248}}, "a value has 1 to 247 octets"),
        ({"mikrotik": {"Mikrotik-Mark-Id": ""}}, "a value has 1 to 247 octets"),
        ({"all": {"Framed-MTU": []}}, "a value is a text, a number or a list of them"),
        ({"all": {"Framed-MTU": True}}, "a value is a text, a number or a list of them"),
        ({"cisco": {"Cisco-AVPair": ["x" * 200] * 8}}, "cisco: has more than 1500 octets"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name_and_the_fix(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        check_vendor_attributes(given, VENDORS)  # type: ignore[arg-type]
    assert words in error.value.detail
    assert error.value.field == "vendor_attributes"


def test_every_name_that_is_made_from_a_field_is_in_the_dictionary() -> None:
    assert set(MADE_FROM) <= set(dictionary().attributes)


@given(st.sampled_from(sorted(dictionary().attributes)), st.text(max_size=300))
def test_any_attribute_with_any_value_is_encoded_whole_or_refused(name: str, value: str) -> None:
    try:
        octets = encode({name: [value]})
    except InvalidInput:
        return
    assert [shown for shown, _ in listed(octets)] in ([name], [name + ":0"]) or listed(octets)[0][0].startswith(name)

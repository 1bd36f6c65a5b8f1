"""RADIUS attributes by name: the dictionary, and attributes that people write themselves on a plan or a service.

`vendor_attributes` says what we do not model, for one vendor's NASes or for all:
{"mikrotik": {"Mikrotik-Mark-Id": ["gold"]}, "all": {"Framed-MTU": ["1492"]}}. It is checked against the dictionary when
it is saved, so that no reply is ever built from a name or a value that does not exist. Dictionaries are read by pyrad.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pyrad import tools
from pyrad.dictionary import Attribute, Dictionary

from core.errors import InvalidInput

ALL: Final = "all"
#: Octets that a plan's or service's own attributes may have for one vendor: a reply holds 4,096 in all.
OCTETS_MAX: Final = 1500
_VALUE_OCTETS_MAX: Final = 253
_VENDOR_VALUE_OCTETS_MAX: Final = 247
#: RFC 2868 3.1: a greater first octet is the value's own.
TAG_MAX: Final = 0x1F
_DIRECTORY: Final = Path(__file__).parent / "dictionaries"
#: Attributes that are made from fields of ours: a second way to say the same would undo a throttle or a hold.
MADE_FROM: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Mikrotik-Rate-Limit", "Ascend-Data-Rate", "Ascend-Xmit-Rate"), "down_kbps and up_kbps"),
    **dict.fromkeys(("WISPr-Bandwidth-Max-Up", "WISPr-Bandwidth-Max-Down"), "down_kbps and up_kbps"),
    **dict.fromkeys(("Huawei-Input-Average-Rate", "Huawei-Input-Peak-Rate"), "up_kbps and burst"),
    **dict.fromkeys(("Huawei-Output-Average-Rate", "Huawei-Output-Peak-Rate"), "down_kbps and burst"),
    **dict.fromkeys(
        (
            "Mikrotik-Group", "Huawei-Qos-Profile-Name", "Cisco-Sub-QoS-Pol-In", "Cisco-Sub-QoS-Pol-Out",
            "Alc-SLA-Prof-Str",
        ),
        "profile",
    ),
    "Alc-Subscriber-QoS-Override": "down_kbps and up_kbps",
    "ERX-Service-Activate": "profile",
    "ERX-Service-Deactivate": "profile",
    "Mikrotik-Address-List": "address_list",
    "Filter-Id": "ingress_filter and egress_filter",
    "Alc-Subscriber-Filter": "ingress_filter and egress_filter",
    "ERX-Ingress-Policy-Name": "ingress_filter",
    "ERX-Egress-Policy-Name": "egress_filter",
    "Cisco-In-ACL": "ingress_filter",
    "Cisco-Out-ACL": "egress_filter",
    "Framed-IP-Address": "ipv4_address",
    "Framed-IP-Netmask": "ipv4_address",
    "Framed-Route": "ipv4_routes",
    "Framed-Pool": "address_pool",
    "Framed-IPv6-Prefix": "ipv6_prefix",
    "Delegated-IPv6-Prefix": "delegated_ipv6_prefix",
    **dict.fromkeys(("Framed-IPv6-Pool", "Stateful-IPv6-Address-Pool", "Alc-SLAAC-IPv6-Pool"), "ipv6_pool"),
    **dict.fromkeys(
        (
            "Delegated-IPv6-Prefix-Pool", "Mikrotik-Delegated-IPv6-Pool", "Huawei-Delegated-IPv6-Prefix-Pool",
            "ERX-IPv6-Delegated-Pool-Name", "Alc-Delegated-IPv6-Pool",
        ),
        "delegated_ipv6_pool",
    ),
    **dict.fromkeys(
        (
            "MS-Primary-DNS-Server", "MS-Secondary-DNS-Server", "DNS-Server-IPv6-Address", "Huawei-Primary-DNS",
            "Huawei-Secondary-DNS", "Huawei-DNS-Server-IPv6-address", "ERX-Primary-Dns", "ERX-Secondary-Dns",
            "ERX-Ipv6-Primary-Dns", "ERX-Ipv6-Secondary-Dns", "Alc-Primary-Dns", "Alc-Secondary-Dns",
            "Alc-Ipv6-Primary-Dns", "Alc-Ipv6-Secondary-Dns",
        ),
        "dns_servers",
    ),
    **dict.fromkeys(
        ("Huawei-VPN-Instance", "ERX-Virtual-Router-Name", "Alc-Retail-Serv-Id", "Accel-VRF-Name"), "vrf"
    ),
    "Session-Timeout": "session_seconds",
    **dict.fromkeys(("Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords"), "prepaid"),
    "Idle-Timeout": "idle_seconds",
    "Acct-Interim-Interval": "interim_seconds",
}  # fmt: skip
#: What only the server writes into a reply.
_SERVERS_OWN: Final = frozenset(
    {
        "User-Name", "CHAP-Challenge", "State", "Class", "Proxy-State", "EAP-Message", "Message-Authenticator",
        "Error-Cause", "Event-Timestamp", "Reply-Message",
    }
)  # fmt: skip
#: Values from which a secret can be guessed away from the server, beyond what its name gives away.
_SECRETS: Final = frozenset(
    {
        "MS-CHAP-Response", "MS-CHAP-CPW-1", "MS-CHAP-CPW-2", "MS-CHAP-LM-Enc-PW", "MS-CHAP-NT-Enc-PW",
        "MS-CHAP-MPPE-Keys", "MS-CHAP2-Response", "MS-CHAP2-Success", "MS-CHAP2-CPW", "Mikrotik-Wireless-PSK",
        "Mikrotik-Wireless-MPKey",
    }
)  # fmt: skip

VendorAttributes = dict[str, dict[str, list[str]]]


@cache
def dictionary() -> Dictionary:
    return Dictionary(str(_DIRECTORY / "dictionary"))


@cache
def by_number() -> dict[tuple[int, int], Attribute]:
    """(vendor, number) to attribute; vendor 0 is none. pyrad keeps them by name; ours is the other way."""
    numbers = {}
    for attribute in dictionary().attributes.values():
        numbers[_vendor_number(attribute), attribute.code] = attribute
    return numbers


def is_secret(attribute: Attribute) -> bool:
    """Whether its value may be neither shown nor kept in the open."""
    name = str(attribute.name)
    return bool(attribute.encrypt) or name in _SECRETS or "Password" in name or name.endswith("-Key")


def check_vendor_attributes(given: Mapping[str, Any], vendors: frozenset[str]) -> VendorAttributes:
    """In canonical form: each vendor's attributes by name, each with its values as text.

    Raises InvalidInput naming the vendor or attribute and what to do.
    """
    checked: VendorAttributes = {}
    for vendor, attributes in given.items():
        if vendor not in vendors and vendor != ALL:
            raise _invalid(f"{vendor}: is no vendor; write {', '.join(sorted(vendors))} or {ALL}")
        values = {name: _texts(value) for name, value in sorted(attributes.items())}
        if len(encode(values)) > OCTETS_MAX:
            raise _invalid(f"{vendor}: has more than {OCTETS_MAX} octets")
        if values:
            checked[vendor] = values
    return checked


def encode(attributes: Mapping[str, list[str]]) -> bytes:
    """The attributes as octets, in the order of their names. A tag is written `Name:1` (RFC 2868)."""
    return b"".join(_encode_one(name, value) for name in sorted(attributes) for value in attributes[name])


def _encode_one(written: str, value: str) -> bytes:
    attribute, tag = _known(written)
    if attribute.name == "Cisco-AVPair" and "qos-policy" in value:
        raise _invalid(f"{written}: a QoS policy is made from profile, down_kbps and up_kbps; set those instead")
    octets = tag + _encode_value(attribute, written, value)
    vendor = _vendor_number(attribute)
    limit = _VENDOR_VALUE_OCTETS_MAX if vendor else _VALUE_OCTETS_MAX
    if not octets or len(octets) > limit:
        raise _invalid(f"{written}: a value has 1 to {limit} octets")
    if not vendor:
        return bytes((attribute.code, len(octets) + 2)) + octets
    inner = struct.pack("!IBB", vendor, attribute.code, len(octets) + 2) + octets
    return bytes((26, len(inner) + 2)) + inner


def _known(written: str) -> tuple[Attribute, bytes]:
    """The attribute that is meant, and the octet of its tag."""
    name, _, tag = written.partition(":")
    attribute = dictionary().attributes.get(name)
    if attribute is None:
        raise _invalid(f"{name}: is not in the dictionary")
    if name in MADE_FROM:
        raise _invalid(f"{name}: is made from {MADE_FROM[name]}; set that instead")
    if name in _SERVERS_OWN:
        raise _invalid(f"{name}: is written by the server itself")
    if is_secret(attribute):
        raise _invalid(f"{name}: is a secret, which would be kept in the open here")
    if not attribute.has_tag:
        if tag:
            raise _invalid(f"{name}: has no tag")
        return attribute, b""
    if not tag:
        return attribute, b"" if attribute.type == "string" else b"\0"
    if not tag.isdecimal() or not 1 <= int(tag) <= TAG_MAX:
        raise _invalid(f"{name}: a tag is a number from 1 to {TAG_MAX}")
    return attribute, bytes((int(tag),))


def _encode_value(attribute: Attribute, written: str, value: str) -> bytes:
    if attribute.values.HasForward(value):
        octets = bytes(attribute.values.GetForward(value))
    else:
        plain: Any = int(value) if attribute.type in {"integer", "integer64", "date"} and value.isdecimal() else value
        try:
            octets = bytes(tools.EncodeAttr(attribute.type, plain))
        except (ValueError, TypeError, struct.error):
            raise _invalid(f"{written}: {value!r} is no {attribute.type}") from None
    # RFC 2868 3.1: a tagged integer has three octets after its tag.
    return octets[1:] if attribute.has_tag and attribute.type == "integer" else octets


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in values):
        raise _invalid("a value is a text, a number or a list of them")
    return [str(one) for one in values]


def _vendor_number(attribute: Attribute) -> int:
    return int(dictionary().vendors.GetForward(attribute.vendor)) if attribute.vendor else 0


def _invalid(detail: str) -> InvalidInput:
    return InvalidInput(detail, field="vendor_attributes")

"""Attributes by name, for people: what `radius test` and `radius trace` print."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pyrad.dictionary import Attribute

from aaa.packet import Kind, Packet, readable
from core.attributes import TAG_MAX, by_number, is_secret

HIDDEN: Final = "(hidden)"


def describe(packet: Packet) -> list[tuple[str, str]]:
    """(name, value) of every attribute in order; unknown ones by number."""
    described = []
    for kind, value in packet.attributes:
        if kind == Kind.VENDOR_SPECIFIC and len(value) > 4:
            described += _describe_vendor(value)
        else:
            described.append(_describe((0, kind), value))
    return described


def _describe_vendor(field: bytes) -> list[tuple[str, str]]:
    vendor = int.from_bytes(field[:4], "big")
    described: list[tuple[str, str]] = []
    at = 4
    while at + 2 <= len(field):
        end = at + field[at + 1]
        if end > len(field) or end < at + 2:
            return [*described, (f"Vendor-{vendor}", field[at:].hex())]
        described.append(_describe((vendor, field[at]), field[at + 2 : end]))
        at = end
    return described


def _describe(number: tuple[int, int], value: bytes) -> tuple[str, str]:
    known = by_number().get(number)
    if known is None:
        name = f"Attr-{number[1]}" if number[0] == 0 else f"Attr-26.{number[0]}.{number[1]}"
        return name, value.hex()
    if is_secret(known):
        return known.name, HIDDEN
    if known.has_tag and value and value[0] <= TAG_MAX:
        tag = f":{value[0]}" if value[0] else ""
        return known.name + tag, _readable(known, value[1:] if known.type == "string" else b"\0" + value[1:])
    return known.name, _readable(known, value)


def _readable(known: Attribute, value: bytes) -> str:
    kind = known.type
    if kind == "string":
        return readable(value)
    if kind == "integer" and len(value) == 4:
        named = known.values.HasBackward(value)
        return str(known.values.GetBackward(value) if named else int.from_bytes(value, "big"))
    if kind == "ipaddr" and len(value) == 4:
        return str(IPv4Address(value))
    if kind == "ipv6addr" and len(value) == 16:
        return str(IPv6Address(value))
    if kind == "date" and len(value) == 4:
        return datetime.fromtimestamp(int.from_bytes(value, "big"), UTC).isoformat().replace("+00:00", "Z")
    if kind == "ipv6prefix" and 2 <= len(value) <= 18:
        return f"{IPv6Address(value[2:].ljust(16, bytes(1)))}/{value[1]}"
    return "0x" + value.hex()

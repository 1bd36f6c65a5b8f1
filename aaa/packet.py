"""The RADIUS packet: octets to values and back, with no socket, secret or clock.

    0        1            2        3 4                 19 20
    Code     Identifier   Length     Authenticator        Attributes: Type, Length, Value ...

RFC 2865 section 3. `parse` accepts exactly what that section accepts and raises `MalformedPacket` for all else;
octets beyond Length are padding and ignored. Attributes keep their order; a Vendor-Specific attribute stays one
(26, value) pair until somebody asks for a vendor's attribute, because an unknown one must not matter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from core.errors import ProvedorError

HEADER_OCTETS = 20
PACKET_OCTETS_MAX = 4096
VALUE_OCTETS_MAX = 253
#: A vendor's value inside one Vendor-Specific attribute: 253 less vendor id (4), type (1) and length (1).
VENDOR_VALUE_OCTETS_MAX = 247


_pack_header = struct.Struct("!BBH").pack


class Code(IntEnum):
    ACCESS_REQUEST = 1
    ACCESS_ACCEPT = 2
    ACCESS_REJECT = 3
    ACCOUNTING_REQUEST = 4
    ACCOUNTING_RESPONSE = 5
    ACCESS_CHALLENGE = 11
    STATUS_SERVER = 12
    DISCONNECT_REQUEST = 40
    DISCONNECT_ACK = 41
    DISCONNECT_NAK = 42
    COA_REQUEST = 43
    COA_ACK = 44
    COA_NAK = 45


class Kind:
    """Numbers of the standard attributes that our code itself handles (RFC 2865, 2866, 2869, 3162, 4818).

    Plain integers: they are looked up several times a packet, and a member of an enumeration costs twice as much.
    """

    USER_NAME: Final = 1
    USER_PASSWORD: Final = 2
    CHAP_PASSWORD: Final = 3
    NAS_IP_ADDRESS: Final = 4
    NAS_PORT: Final = 5
    SERVICE_TYPE: Final = 6
    FRAMED_PROTOCOL: Final = 7
    FRAMED_IP_ADDRESS: Final = 8
    FRAMED_IP_NETMASK: Final = 9
    FILTER_ID: Final = 11
    REPLY_MESSAGE: Final = 18
    FRAMED_ROUTE: Final = 22
    STATE: Final = 24
    CLASS: Final = 25
    VENDOR_SPECIFIC: Final = 26
    SESSION_TIMEOUT: Final = 27
    IDLE_TIMEOUT: Final = 28
    CALLED_STATION_ID: Final = 30
    CALLING_STATION_ID: Final = 31
    NAS_IDENTIFIER: Final = 32
    PROXY_STATE: Final = 33
    ACCT_STATUS_TYPE: Final = 40
    ACCT_DELAY_TIME: Final = 41
    ACCT_INPUT_OCTETS: Final = 42
    ACCT_OUTPUT_OCTETS: Final = 43
    ACCT_SESSION_ID: Final = 44
    ACCT_SESSION_TIME: Final = 46
    ACCT_INPUT_PACKETS: Final = 47
    ACCT_OUTPUT_PACKETS: Final = 48
    ACCT_TERMINATE_CAUSE: Final = 49
    ACCT_MULTI_SESSION_ID: Final = 50
    ACCT_INPUT_GIGAWORDS: Final = 52
    ACCT_OUTPUT_GIGAWORDS: Final = 53
    EVENT_TIMESTAMP: Final = 55
    CHAP_CHALLENGE: Final = 60
    NAS_PORT_TYPE: Final = 61
    EAP_MESSAGE: Final = 79
    MESSAGE_AUTHENTICATOR: Final = 80
    ACCT_INTERIM_INTERVAL: Final = 85
    NAS_PORT_ID: Final = 87
    FRAMED_POOL: Final = 88
    NAS_IPV6_ADDRESS: Final = 95
    FRAMED_IPV6_PREFIX: Final = 97
    FRAMED_IPV6_POOL: Final = 100
    ERROR_CAUSE: Final = 101
    DELEGATED_IPV6_PREFIX: Final = 123
    DNS_SERVER_IPV6_ADDRESS: Final = 169
    DELEGATED_IPV6_PREFIX_POOL: Final = 171
    STATEFUL_IPV6_ADDRESS_POOL: Final = 172


class MalformedPacket(ProvedorError):
    """The octets are no RADIUS packet; RFC 2865 section 3 says to discard them silently."""

    title = "Malformed packet"


class Packet(msgspec.Struct, frozen=True, gc=False):
    """A parsed packet; made by `parse` only."""

    #: The packet itself, without padding.
    octets: bytes
    code: int
    identifier: int
    authenticator: bytes
    #: The value of the first attribute of each type, for who reads many of them in a hurry.
    firsts: dict[int, bytes]
    #: Whether some type stands more than once.
    repeats: bool
    #: Offset of the value of the first Message-Authenticator of 16 octets, 0 where there is none.
    message_authenticator_at: int

    def __repr__(self) -> str:
        return f"Packet(code={self.code}, identifier={self.identifier})"

    @property
    def attributes(self) -> list[tuple[int, bytes]]:
        """All attributes in their order."""
        octets, offset, attributes = self.octets, HEADER_OCTETS, []
        while offset < len(octets):
            end = offset + octets[offset + 1]
            attributes.append((octets[offset], octets[offset + 2 : end]))
            offset = end
        return attributes

    def first(self, kind: int) -> bytes | None:
        """The value of the first attribute of this type."""
        return self.firsts.get(kind)

    def every(self, kind: int) -> list[bytes]:
        """The values of all attributes of this type, in order."""
        value = self.firsts.get(kind)
        if value is None:
            return []
        if not self.repeats:
            return [value]
        return [value for number, value in self.attributes if number == kind]

    def text(self, kind: int) -> str | None:
        """The first value as text; octets that are no UTF-8 are shown escaped, NUL as well."""
        value = self.firsts.get(kind)
        return None if value is None else readable(value)

    def integer(self, kind: int) -> int | None:
        """The first value as an unsigned 32-bit integer; None where absent or of another length."""
        value = self.firsts.get(kind)
        return int.from_bytes(value, "big") if value is not None and len(value) == 4 else None

    def vendor_firsts(self, vendor: int) -> dict[int, bytes]:
        """The value of the first attribute of each of this vendor's types."""
        firsts: dict[int, bytes] = {}
        for field in self.every(Kind.VENDOR_SPECIFIC):
            for number, value in vendor_attributes(field, vendor):
                firsts.setdefault(number, value)
        return firsts

    def vendor_values(self, vendor: int, kind: int) -> list[bytes]:
        """All values of one vendor's attribute, whatever Vendor-Specific attributes they stand in."""
        return [
            value
            for field in self.every(Kind.VENDOR_SPECIFIC)
            for number, value in vendor_attributes(field, vendor)
            if number == kind
        ]


def parse(datagram: bytes) -> Packet:
    """The packet in a datagram; raises MalformedPacket."""
    came = len(datagram)
    if came < HEADER_OCTETS:
        raise MalformedPacket(f"{came} octets are less than a header")
    length = datagram[2] << 8 | datagram[3]
    if not HEADER_OCTETS <= length <= PACKET_OCTETS_MAX:
        raise MalformedPacket(f"Length says {length}, which no packet has")
    if length > came:
        raise MalformedPacket(f"Length says {length} and {came} octets came")
    octets = datagram if length == came else datagram[:length]
    firsts: dict[int, bytes] = {}
    repeats = False
    message_authenticator_at = 0
    offset = HEADER_OCTETS
    try:
        while offset < length:
            kind = octets[offset]
            size = octets[offset + 1]
            if size < 2:
                break
            if kind in firsts:
                repeats = True
            else:
                firsts[kind] = octets[offset + 2 : offset + size]
                if kind == 80 and size == 18:  # Kind.MESSAGE_AUTHENTICATOR
                    message_authenticator_at = offset + 2
            offset += size
    except IndexError:  # a type and no length
        pass
    if offset != length:
        raise MalformedPacket(f"an attribute near octet {offset} has an impossible length")
    return Packet(octets, octets[0], octets[1], octets[4:20], firsts, repeats, message_authenticator_at)


def vendor_attributes(value: bytes, vendor: int) -> Iterator[tuple[int, bytes]]:
    """The (type, value) pairs in a Vendor-Specific value of this vendor (RFC 2865 5.26, recommended format).

    Stops at the first pair whose length is impossible: what a vendor puts there is its own affair.
    """
    if len(value) < 6 or int.from_bytes(value[:4], "big") != vendor:
        return
    offset, size = 4, len(value)
    while offset + 2 <= size:
        end = offset + value[offset + 1]
        if end > size or end < offset + 2:
            return
        yield value[offset], value[offset + 2 : end]
        offset = end


def attribute(kind: int, value: bytes) -> bytes:
    """One encoded attribute; a value of more than 253 octets is our bug."""
    if not 0 < len(value) <= VALUE_OCTETS_MAX:
        raise ValueError(f"attribute {kind} cannot have {len(value)} octets")
    return bytes((kind, len(value) + 2)) + value


def text_attribute(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode())


def integer_attribute(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4, "big"))


def vendor_attribute(vendor: int, kind: int, value: bytes) -> bytes:
    """One vendor's attribute in a Vendor-Specific attribute of its own."""
    if not 0 < len(value) <= VENDOR_VALUE_OCTETS_MAX:
        raise ValueError(f"attribute {vendor}/{kind} cannot have {len(value)} octets")
    return attribute(Kind.VENDOR_SPECIFIC, struct.pack("!IBB", vendor, kind, len(value) + 2) + value)


def proxy_states(packet: Packet) -> bytes:
    """What every reply gives back, unchanged and in order (RFC 2865 5.33)."""
    values = packet.every(Kind.PROXY_STATE)
    return b"".join([attribute(Kind.PROXY_STATE, value) for value in values if value]) if values else b""


def header(code: int, identifier: int, attribute_octets: int) -> bytes:
    """Code, Identifier and Length of a packet with that many octets of attributes."""
    return _pack_header(code, identifier, HEADER_OCTETS + attribute_octets)


def readable(value: bytes) -> str:
    """Octets from the network as text that is safe to log and store: valid UTF-8 without control characters."""
    text = value.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)

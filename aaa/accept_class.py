"""The Class attribute that we put into each Access-Accept and read back from accounting.

    "PVD1"  service id (8 octets)  accept id (8, random)  policy fingerprint (8)

It says which service a session belongs to and which policy it started on. The random accept id makes a session
of ours unique even where a NAS counts its Acct-Session-Ids from the start again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

_MAGIC = b"PVD1"
_LAYOUT = struct.Struct("!4sQ8s8s")
_ATTRIBUTE = struct.Struct("!BB4sQ8s8s")


class AcceptClass(NamedTuple):
    service_id: int
    #: 16 hexadecimal characters.
    accept_id: str
    #: 16 hexadecimal characters, as core.policy.Policy.fingerprint.
    fingerprint: str


def class_attribute(service_id: int, accept_id: bytes, fingerprint: bytes) -> bytes:
    """The whole Class attribute; `accept_id` and `fingerprint` have eight octets each."""
    return _ATTRIBUTE.pack(25, _ATTRIBUTE.size, _MAGIC, service_id, accept_id, fingerprint)


def decode_class(value: bytes) -> AcceptClass | None:
    """What we put into this Class; None where it is not ours."""
    if len(value) != _LAYOUT.size or not value.startswith(_MAGIC):
        return None
    _, service_id, accept_id, fingerprint = _LAYOUT.unpack(value)
    if service_id >= 1 << 63:
        return None
    return AcceptClass(service_id, accept_id.hex(), fingerprint.hex())


def find_class(values: Iterable[bytes]) -> AcceptClass | None:
    """Ours among all Class attributes of a request (other servers, and some NAS, add their own)."""
    for value in values:
        ours = decode_class(value)
        if ours is not None:
            return ours
    return None

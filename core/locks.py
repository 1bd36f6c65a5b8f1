"""What a service may be locked to: MAC addresses, circuits, NAS entries. Their canonical forms, in which they are kept.

A lock is a list of the values that are let in. An empty list is a lock that has yet to be learned: the first accepted
login fills it. No list is no lock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from core.errors import InvalidInput

#: Values a lock may have: a household's devices, the circuits of a rebuilt street, a pair of BRASes.
VALUES_MAX: Final = 20
_CIRCUIT_CHARACTERS_MAX: Final = 253
#: Six pairs of hexadecimal digits with at most one separator between two, and no digit beside them: AA:BB:CC:DD:EE:FF,
#: aa-bb-cc-dd-ee-ff, aabb.ccdd.eeff, aabb-ccdd-eeff, aabbccddeeff, with whatever a NAS writes before or behind.
_MAC: Final = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[:.-]?){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")
#: RouterOS's DHCP server sends the client's id for it: the type (1, Ethernet), and each octet without leading zeros.
_CLIENT_ID: Final = re.compile(r"1((?::[0-9A-Fa-f]{1,2}){6})")
_NO_HEXADECIMAL: Final = re.compile(r"[^0-9A-Fa-f]")
#: Junos numbers its dynamic interfaces anew, from 2**30, whenever somebody logs in: ae1.1073741834:100-503.
_JUNOS_UNIT: Final = re.compile(r"\.[123][0-9]{9}(?![0-9])")
_BLANKS: Final = re.compile(r"\s+")


class LearnedLocks(NamedTuple):
    """What one accepted login says of the locks of its service that are to be learned; None of the others."""

    service_id: int
    mac: str | None
    circuit: str | None
    nas_id: int | None


def canonical_mac(text: str) -> str | None:
    """The MAC address in this text as AA:BB:CC:DD:EE:FF; None where there is none."""
    if (client := _CLIENT_ID.fullmatch(text)) is not None:
        return ":".join(octet.zfill(2).upper() for octet in client[1].split(":")[1:])
    found = _MAC.search(text)
    if found is None:
        return None
    digits = _NO_HEXADECIMAL.sub("", found.group()).upper()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def canonical_circuit(text: str) -> str:
    """A circuit as two NASes, or one NAS after its update, would write it alike. Huawei ends in a semicolon."""
    return _BLANKS.sub(" ", _JUNOS_UNIT.sub("", text)).strip(" ;").casefold()


def check_mac_lock(values: Sequence[str]) -> list[str]:
    """Raises InvalidInput naming `mac_lock`."""
    macs = [canonical_mac(value) for value in _bounded(values, "mac_lock")]
    if None in macs:
        raise InvalidInput("a MAC address has twelve hexadecimal digits, as AA:BB:CC:DD:EE:FF", field="mac_lock")
    return list(dict.fromkeys(mac for mac in macs if mac is not None))


def check_circuit_lock(values: Sequence[str]) -> list[str]:
    """Raises InvalidInput naming `circuit_lock`."""
    circuits = [canonical_circuit(value) for value in _bounded(values, "circuit_lock")]
    if not all(circuit.isprintable() and 0 < len(circuit) <= _CIRCUIT_CHARACTERS_MAX for circuit in circuits):
        raise InvalidInput("a circuit has 1 to 253 printable characters", field="circuit_lock")
    return list(dict.fromkeys(circuits))


def check_nas_lock(values: Sequence[str]) -> list[str]:
    """Ids of NAS entries; whether there are such entries is not known here."""
    return list(dict.fromkeys(_bounded(values, "nas_id")))


def _bounded(values: Sequence[str], field: str) -> Sequence[str]:
    if len(values) > VALUES_MAX:
        raise InvalidInput(f"a lock has at most {VALUES_MAX} values", field=field)
    return values

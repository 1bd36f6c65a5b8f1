"""Is this device at the place where its service may be used? Pure: locks and a request in, a refusal or nothing out.

A MAC is looked for in Calling-Station-Id. A circuit is what the access node says of the line (Agent-Circuit-Id and
Agent-Remote-Id, TR-101, in the Broadband Forum's attributes of RFC 4679, or in Redback's, which RouterOS has) or what
the NAS calls its port; a lock is kept if one of them is in it. Of a lock that is to be learned, the most telling of
them is kept.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from aaa.packet import Kind, Packet, readable
from aaa.reasons import Reason
from core.locks import LearnedLocks, canonical_circuit, canonical_mac

_BROADBAND_FORUM: Final = 3561
_AGENT_CIRCUIT_ID: Final = 1
_AGENT_REMOTE_ID: Final = 2
_REDBACK: Final = 2352
_REDBACK_REMOTE_ID: Final = 96
_REDBACK_CIRCUIT_ID: Final = 97


class ServiceLocks(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The locks of one service, as the feeder tells them: what is let in. Empty: to be learned. None: no such lock."""

    service_id: int
    macs: tuple[str, ...] | None = None
    circuits: tuple[str, ...] | None = None
    nas_ids: tuple[int, ...] | None = None


class LockRefusal(NamedTuple):
    """What came and what would have been let in, for who has to explain it."""

    reason: Reason
    came: str
    expected: str


def refusal(locks: ServiceLocks, packet: Packet, nas_id: int) -> LockRefusal | None:
    """Why this login is refused, or None."""
    if locks.nas_ids and nas_id not in locks.nas_ids:
        return LockRefusal(Reason.LOCKED_NAS, str(nas_id), ", ".join(map(str, locks.nas_ids)))
    if locks.macs:
        mac = _mac(packet)
        if mac not in locks.macs:
            return LockRefusal(Reason.LOCKED_MAC, mac or "", ", ".join(locks.macs))
    if locks.circuits:
        circuits = _circuits(packet)
        if not set(circuits) & set(locks.circuits):
            return LockRefusal(Reason.LOCKED_CIRCUIT, circuits[0] if circuits else "", ", ".join(locks.circuits))
    return None


def learn(locks: ServiceLocks, packet: Packet, nas_id: int) -> LearnedLocks | None:
    """What this accepted login teaches; a lock whose attribute did not come stays to be learned."""
    mac = _mac(packet) if locks.macs == () else None
    circuit = next(iter(_circuits(packet)), None) if locks.circuits == () else None
    nas = nas_id if locks.nas_ids == () else None
    if mac is None and circuit is None and nas is None:
        return None
    return LearnedLocks(locks.service_id, mac, circuit, nas)


def with_learned(locks: ServiceLocks, learned: LearnedLocks) -> ServiceLocks:
    """The locks as they are from now on."""
    return ServiceLocks(
        locks.service_id,
        locks.macs if learned.mac is None else (learned.mac,),
        locks.circuits if learned.circuit is None else (learned.circuit,),
        locks.nas_ids if learned.nas_id is None else (learned.nas_id,),
    )


def _mac(packet: Packet) -> str | None:
    return canonical_mac(packet.text(Kind.CALLING_STATION_ID) or "")


def _circuits(packet: Packet) -> list[str]:
    """What the request says of the line, the most telling first."""
    line, redback = packet.vendor_firsts(_BROADBAND_FORUM), packet.vendor_firsts(_REDBACK)
    said = (
        line.get(_AGENT_CIRCUIT_ID), redback.get(_REDBACK_CIRCUIT_ID), line.get(_AGENT_REMOTE_ID),
        redback.get(_REDBACK_REMOTE_ID), packet.first(Kind.NAS_PORT_ID),
    )  # fmt: skip
    return [circuit for circuit in (canonical_circuit(readable(one)) for one in said if one) if circuit]

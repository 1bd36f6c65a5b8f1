"""The menus of a small router: who is online, and the little that a client asks to know whom it talks to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from provisioning.simulators.routeros.menus import Listing, Menu, Row, Single
from provisioning.simulators.routeros.router import Router, Version


@dataclass(frozen=True)
class ActiveSession:
    """A row of /ppp/active."""

    number: int
    login: str
    caller_id: str
    address: str
    #: As Acct-Session-Id has it: hexadecimal, without a prefix.
    session_id: str
    started_at: float
    service: str = "pppoe"
    radius: bool = True

    @property
    def row_id(self) -> str:
        return f"*{0x80000000 + self.number:X}"

    def row(self, now: float) -> Row:
        return {
            ".id": self.row_id, "name": self.login, "service": self.service, "caller-id": self.caller_id,
            "address": self.address, "uptime": duration(now - self.started_at), "encoding": "",
            "session-id": f"0x{self.session_id.upper()}", "limit-bytes-in": "0", "limit-bytes-out": "0",
            "radius": "true" if self.radius else "false",
        }  # fmt: skip


@dataclass
class Online:
    """Sessions of a router that is simulated alone; a connection may end one."""

    sessions: list[ActiveSession] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> list[ActiveSession]:
        with self._lock:
            return list(self.sessions)

    def end(self, session: ActiveSession) -> bool:
        with self._lock:
            had = session in self.sessions
            self.sessions = [one for one in self.sessions if one != session]
            return had


def router_of(
    read: Callable[[], Iterable[ActiveSession]], end: Callable[[ActiveSession], bool], *, clock: Callable[[], float],
    identity: str = "MikroTik", version: Version = Version.V7_18, users: Mapping[str, str],
    others: Mapping[str, Menu] | None = None,
) -> Router:  # fmt: skip
    """`others` are menus instead of those that are here."""
    booted = clock()

    def end_row(row_id: str) -> bool:
        found = next((one for one in read() if one.row_id == row_id), None)
        return found is not None and end(found)

    menus: dict[str, Menu] = {
        "/ppp/active": Listing(lambda: [one.row(clock()) for one in read()], end_row),
        "/ip/hotspot/active": Listing(list, lambda _: False),
        "/ip/dhcp-server/lease": Listing(list),
        "/system/identity": Single(lambda: {"name": identity}),
        "/system/resource": Single(lambda: _resource(version, clock() - booted)),
    }
    return Router({**menus, **(others or {})}, version, users)


def duration(seconds: float) -> str:
    """As RouterOS writes times: weeks to seconds, what is zero left out."""
    left, parts = max(0, int(seconds)), ""
    for name, unit in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, unit)
        parts += f"{count}{name}" if count else ""
    return parts or "0s"


def _resource(version: Version, uptime_s: float) -> Row:
    channel = "long-term" if version.startswith("6.") else "stable"
    return {
        "uptime": duration(uptime_s), "version": f"{version} ({channel})", "free-memory": "805306368",
        "total-memory": "1073741824", "cpu": "QEMU", "cpu-count": "2", "cpu-load": "3",
        "free-hdd-space": "67108864", "total-hdd-space": "134217728", "architecture-name": "x86_64",
        "board-name": "CHR", "platform": "MikroTik",
    }  # fmt: skip

"""The sessions of a small router, and such a router."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from provisioning.simulators.routeros.menus import Listing, Menu, Row
from provisioning.simulators.routeros.router import Router
from provisioning.simulators.routeros.values import duration
from provisioning.simulators.routeros.versions import Version

__all__ = ["ActiveSession", "Online", "duration", "router_of"]


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
    #: Octets of it so far, and bits a second now; uploaded is what the router received.
    uploaded: int = 0
    downloaded: int = 0
    upload_bps: int = 0
    download_bps: int = 0

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

    @property
    def interface(self) -> str:
        return f"<{self.service}-{self.login}>"

    def interface_row(self) -> Row:
        return {
            ".id": f"*F{self.number:05X}", "name": self.interface, "type": f"{self.service}-in", "mtu": "1480",
            "actual-mtu": "1480", "running": "true", "disabled": "false", "dynamic": "true",
            "rx-byte": str(self.uploaded), "tx-byte": str(self.downloaded),
        }  # fmt: skip


@dataclass
class Online:
    """Sessions of a router that is simulated alone; a connection may end one."""

    sessions: list[ActiveSession] = field(default_factory=list)
    #: Called with each that has ended.
    on_end: list[Callable[[ActiveSession], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> list[ActiveSession]:
        with self._lock:
            return list(self.sessions)

    def end(self, session: ActiveSession) -> bool:
        with self._lock:
            had = session in self.sessions
            self.sessions = [one for one in self.sessions if one != session]
        for tell in self.on_end if had else ():
            tell(session)
        return had

    def begin(self, session: ActiveSession) -> None:
        with self._lock:
            self.sessions.append(session)

    def forget(self, sessions: Collection[ActiveSession]) -> None:
        """They are not there any more, and nothing follows from that."""
        with self._lock:
            self.sessions = [one for one in self.sessions if one not in sessions]


def router_of(
    read: Callable[[], Iterable[ActiveSession]], end: Callable[[ActiveSession], bool], *, clock: Callable[[], float],
    identity: str = "MikroTik", version: Version = Version.V7_18, users: Mapping[str, str],
    others: Mapping[str, Menu] | None = None, device_mode: str = "advanced",
    firewall: bool = False, answering: Callable[[str], bool] = lambda _: True,
) -> Router:  # fmt: skip
    """`others` are menus instead of those that are here."""

    def end_row(row_id: str) -> bool:
        found = next((one for one in read() if one.row_id == row_id), None)
        return found is not None and end(found)

    listings: dict[str, Menu] = {
        "/ppp/active": Listing(lambda: [one.row(clock()) for one in read()], end_row),
        "/ip/hotspot/active": Listing(list, lambda _: False),
    }
    router = Router(
        version,
        users,
        clock=clock,
        identity=identity,
        listings={**listings, **(others or {})},
        device_mode=device_mode,
        firewall=firewall,
        answering=answering,
    )
    router.sessions = read
    return router

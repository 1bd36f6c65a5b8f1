"""The sessions that a router shows, for whoever takes over: /ppp/active as values, and how many it cannot tell of.

Hotspot users and DHCP leases show no session id, by which accounting would know them again; only their number is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap
from provisioning.routeros.values import parse_duration, session_number, text_of

_ACTIVE: Final = (".id", "name", "caller-id", "address", "uptime", "session-id", "radius")


@dataclass(frozen=True, slots=True)
class PppSession:
    login: str
    acct_session_id: str
    caller_id: str | None
    address: str | None
    uptime: timedelta


@dataclass(frozen=True, slots=True)
class Shown:
    identity: str
    sessions: tuple[PppSession, ...]
    #: Logins of rows without a session id or a time.
    unreadable: tuple[str, ...]
    #: Logins that the router itself let in, whom RADIUS does not account for.
    local: tuple[str, ...]
    hotspot_users: int
    radius_leases: int


def shown_by(client: RouterOs) -> Shown:
    """Raises RouterOsError."""
    rows = client.rows("/ppp/active", _ACTIVE)
    by_radius = [row for row in rows if row.get("radius") == "true"]
    read = [(row, _session(row)) for row in by_radius]
    identity = next((row.get("name", "") for row in client.rows("/system/identity", ("name",))), "")
    return Shown(
        identity,
        tuple(found for _, found in read if found is not None),
        tuple(_login(row) for row, found in read if found is None),
        tuple(_login(row) for row in rows if row.get("radius") != "true"),
        len(_rows(client, "/ip/hotspot/active", "radius=true")),
        len(_rows(client, "/ip/dhcp-server/lease", "radius=true", "status=bound")),
    )


def _session(row: Row) -> PppSession | None:
    uptime, number = parse_duration(row.get("uptime", "")), session_number(row.get("session-id", ""))
    if uptime is None or number is None or not row.get("name"):
        return None
    # RADIUS has the same eight digits in small letters.
    return PppSession(_login(row), f"{number:08x}", row.get("caller-id") or None, _host(row), uptime)


def _login(row: Row) -> str:
    return text_of(row.get("name", ""))


def _host(row: Row) -> str | None:
    """0.0.0.0 is none."""
    try:
        found = ip_address(row.get("address", ""))
    except ValueError:
        return None
    return None if found.is_unspecified else str(found)


def _rows(client: RouterOs, menu: str, *queries: str) -> list[Row]:
    try:
        return client.rows(menu, (".id",), *queries)
    except Trap as trap:
        if trap.no_such_command:
            return []
        raise

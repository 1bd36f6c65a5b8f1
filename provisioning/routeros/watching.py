"""One session as its router has it now: how long it has been up, what it carries and has carried, what limits it.

A subscriber's interface is called after his login. What it receives he uploads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aaa.liveness import Addressee
from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap
from provisioning.routeros.lines import TIMEOUT_S
from provisioning.routeros.liveness import rows_of
from provisioning.routeros.presence import PPP, menus_for, ours_among
from provisioning.routeros.values import parse_duration

_QUEUE: Final = ("name", "target", "max-limit", "disabled")


@dataclass(frozen=True, slots=True)
class Seen:
    """Octets and bits a second; None: the router does not say, as of a DHCP lease. `max_limit`: of the first queue that
    counts for its address, upload first."""

    address: str
    uptime: timedelta | None
    uploaded: int | None = None
    downloaded: int | None = None
    upload_bps: int | None = None
    download_bps: int | None = None
    max_limit: str | None = None


def watch_at(access: RouterOsAccess, session: Addressee, now: datetime) -> Seen | None:
    """By a connection of its own. Raises RouterOsError."""
    client = RouterOs(access, timeout_s=TIMEOUT_S)
    try:
        return watch(client, session, now)
    finally:
        client.close()


def watch(client: RouterOs, session: Addressee, now: datetime) -> Seen | None:
    """None where the router shows no such session. Raises RouterOsError."""
    for menu in menus_for(session):
        row = ours_among(session, rows_of(client, session, menu), menu, now)
        if row is None:
            continue
        address, uptime = row.get(menu.address, ""), parse_duration(row.get("uptime", ""))
        limit = _limit(client, address)
        if menu is not PPP:
            return Seen(address, uptime, max_limit=limit)
        name = f"<{_service(client, row)}-{row.get(menu.login, '')}>"
        interface, traffic = _interface(client, name), _traffic(client, name)
        return Seen(
            address, uptime, _number(interface, "rx-byte"), _number(interface, "tx-byte"),
            _number(traffic, "rx-bits-per-second"), _number(traffic, "tx-bits-per-second"), limit,
        )  # fmt: skip
    return None


def _service(client: RouterOs, row: Row) -> str:
    found = client.rows(PPP.path, ("service",), f".id={row['.id']}")
    return found[0].get("service", "pppoe") if found else "pppoe"


def _interface(client: RouterOs, name: str) -> Row:
    return next(iter(client.rows("/interface", ("rx-byte", "tx-byte"), f"name={name}")), {})


def _traffic(client: RouterOs, name: str) -> Row:
    """None of one whose interface is called otherwise."""
    try:
        return next(iter(client.call("/interface/monitor-traffic", {"interface": name, "once": ""})), {})
    except Trap:
        return {}


def _limit(client: RouterOs, address: str) -> str | None:
    queues = client.rows("/queue/simple", _QUEUE)
    targets = {address, f"{address}/32"}
    own = (row for row in queues if targets & set(row.get("target", "").split(",")) and row.get("disabled") != "true")
    return next((row.get("max-limit") for row in own), None)


def _number(row: Row, name: str) -> int | None:
    value = row.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() else None

"""Changes of a session that is up which RADIUS cannot make, over the router's API: its address list and its rate,
without a redial; and its end, where no Disconnect ends it.

The session is looked for first: an address that is another's by now is left alone. What is written bears the session's
mark, and is taken away when it has ended (see `provisioning.live_rows`), by a profile of ours at once.

An entry that the login itself made is the router's. Whether it lets us take that away no document says, so it is tried;
where it does not, the session has to dial again. A queue of ours is put before all others, where it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from ipaddress import ip_network
from typing import Final

from aaa.liveness import Addressee, Liveness
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap
from provisioning.routeros.liveness import look, rows_of
from provisioning.routeros.planning.script import quote
from provisioning.routeros.presence import Menu, menus_for, ours_among

#: Of the marks of what is written for one session, that RADIUS let in and that the router did by itself.
FAMILY: Final = "session"
LOCAL_FAMILY: Final = "live"
QUEUES: Final = "/queue/simple"
LISTS: Final = {4: "/ip/firewall/address-list", 6: "/ipv6/firewall/address-list"}


class Answer(Enum):
    DONE = auto()
    #: The router does not let us.
    REFUSED = auto()
    #: It has no such session.
    GONE = auto()
    #: What it shows might be the session or might not.
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class RouterChange:
    """`leave`, `enter`: address lists, as the router calls them. `limits`: fields of a queue; None: its rate stays."""

    leave: str | None = None
    enter: str | None = None
    limits: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    menu: Menu
    row: Row
    addresses: tuple[str, ...]


def change(client: RouterOs, session: Addressee, wanted: RouterChange, now: datetime) -> Answer:
    """Raises RouterOsError where it cannot be asked."""
    found = _find(client, session, now)
    if isinstance(found, Answer):
        return found
    try:
        if wanted.enter is not None:
            _enter(client, session, found, wanted.enter)
        if wanted.limits is not None:
            _limit(client, session, found, wanted.limits)
        if wanted.leave is not None:
            _leave(client, found, wanted.leave)
    except Trap:
        return Answer.REFUSED
    return Answer.DONE


def end(client: RouterOs, session: Addressee, now: datetime) -> Answer:
    """Raises RouterOsError where it cannot be asked."""
    found = _find(client, session, now)
    if isinstance(found, Answer):
        return found
    try:
        client.call(f"{found.menu.path}/remove", {".id": found.row[".id"]})
    except Trap:
        return Answer.REFUSED
    return Answer.DONE


def clear(client: RouterOs, session_id: int) -> None:
    """What was written for a session that has ended. Raises RouterOsError."""
    for menu in (*LISTS.values(), QUEUES):
        for row in _rows(client, menu, f"comment={_comment(session_id)}"):
            client.call(f"{menu}/remove", {".id": row[".id"]})


def leave_list(name: str) -> str:
    """A profile's `on-down`: whoever gets the address next is not in the list for what we wrote there."""
    where = f'list={quote(name)} address=$"remote-address" comment~"^provedor:({LOCAL_FAMILY}|{FAMILY})/"'
    return f"/ip firewall address-list remove [find {where}]"


def _find(client: RouterOs, session: Addressee, now: datetime) -> _Found | Answer:
    for menu in menus_for(session):
        row = ours_among(session, rows_of(client, session, menu), menu, now)
        if row is not None:
            return _Found(menu, row, tuple(_addresses(session, row.get(menu.address, ""))))
    return Answer.GONE if look(client, session, now) is Liveness.GONE else Answer.UNKNOWN


def _addresses(session: Addressee, shown: str) -> Iterator[str]:
    """What the router shows, and the prefixes that accounting told of."""
    if shown:
        yield shown
    yield from (address for address in session.addresses if "/" in address)


def _enter(client: RouterOs, session: Addressee, found: _Found, name: str) -> None:
    for address in found.addresses:
        menu = LISTS[ip_network(address).version]
        if not _rows(client, menu, f"list={name}", f"address={address}"):
            client.call(f"{menu}/add", {"list": name, "address": address, "comment": _comment(session.session_id)})


def _leave(client: RouterOs, found: _Found, name: str) -> None:
    for address in found.addresses:
        menu = LISTS[ip_network(address).version]
        for row in _rows(client, menu, f"list={name}", f"address={address}"):
            client.call(f"{menu}/remove", {".id": row[".id"]})


def _limit(client: RouterOs, session: Addressee, found: _Found, limits: Mapping[str, str]) -> None:
    (queue,) = _rows(client, QUEUES, f"comment={_comment(session.session_id)}")[:1] or (None,)
    if queue is not None:
        client.call(f"{QUEUES}/set", {".id": queue[".id"], **limits})
        return
    first = _rows(client, QUEUES)[:1]
    name, target = f"provedor-session-{session.session_id}", ",".join(found.addresses)
    before = {"place-before": first[0][".id"]} if first else {}
    values = {"name": name, "target": target, "comment": _comment(session.session_id), **limits, **before}
    client.call(f"{QUEUES}/add", values)


def _rows(client: RouterOs, menu: str, *queries: str) -> list[Row]:
    try:
        return client.rows(menu, (".id", "dynamic"), *queries)
    except Trap as trap:
        if trap.no_such_command:
            return []  # without the IPv6 package there are no such lists
        raise


def _comment(session_id: int) -> str:
    return f"provedor:{FAMILY}/{session_id}"

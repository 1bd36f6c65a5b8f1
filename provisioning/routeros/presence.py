"""Is a session of ours among those that its router shows? Pure: what to ask for, and what the rows say.

/ppp/active shows `session-id`, which is Acct-Session-Id; /ip/hotspot/active and a DHCP lease show none. A row of the
same login, as far as that can be told (a NAS may change a login's case or realm), is

    this session       it has our session's id; or it has none, is of the same device, and is not younger
    another session    of another device, or with another id and clearly younger: the same device dialled anew
    perhaps            anything else

Gone is what is nowhere: no row is the session, none is perhaps. That is said only of a session that these menus would
show (it has an address: RADIUS at a RouterOS also serves radio links, ports and logins, which have none), by the box
that had it: its identity is the session's NAS-Identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from aaa.liveness import Addressee, Liveness
from provisioning.routeros.client import Row
from provisioning.routeros.values import mac_address, parse_duration, session_number, text_of

#: A row that began so much later than our session is another's: clocks and rounding are no reason any more.
YOUNGER: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Menu:
    """Where sessions are shown, and how its properties are called; empty where it has no such."""

    path: str
    login: str
    device: str
    address: str
    session_id: str = ""

    @property
    def properties(self) -> tuple[str, ...]:
        return (".id", *filter(None, (self.login, self.device, self.address, self.session_id)), "uptime")


PPP: Final = Menu("/ppp/active", "name", "caller-id", "address", "session-id")
HOTSPOT: Final = Menu("/ip/hotspot/active", "user", "mac-address", "address")
#: Here the login is the device.
LEASES: Final = Menu("/ip/dhcp-server/lease", "active-mac-address", "active-mac-address", "active-address")


class _Verdict(Enum):
    OURS = auto()
    ANOTHERS = auto()
    PERHAPS = auto()


def menus_for(session: Addressee) -> Iterator[Menu]:
    """Where a session of this login could be."""
    yield PPP
    yield HOTSPOT
    if mac_address(session.login):
        yield LEASES


def queries(session: Addressee, menu: Menu) -> list[str]:
    """Rows with its login, its device or one of its addresses."""
    if menu is LEASES:
        return [f"{menu.login}={mac_address(session.login)}"]
    wanted = [(menu.login, session.login), (menu.device, _device(session.calling_station_id or ""))]
    wanted += [(menu.address, address) for address in session.addresses if "/" not in address]
    found = [f"{name}={value}" for name, value in wanted if value]
    return [*found, f"#{'|' * (len(found) - 1)}"] if len(found) > 1 else found


def is_among(session: Addressee, menu: Menu, rows: Iterable[Row], now: datetime) -> Liveness:
    """GONE: not in this menu."""
    verdicts = {_judge(session, menu, row, now) for row in rows if _same_login(session.login, row.get(menu.login, ""))}
    if _Verdict.OURS in verdicts:
        return Liveness.ALIVE
    return Liveness.UNKNOWN if _Verdict.PERHAPS in verdicts else Liveness.GONE


def ours_among(session: Addressee, rows: Iterable[Row], menu: Menu, now: datetime) -> Row | None:
    """The row that is this session, and not only perhaps."""
    same_login = (row for row in rows if _same_login(session.login, row.get(menu.login, "")))
    return next((row for row in same_login if _judge(session, menu, row, now) is _Verdict.OURS), None)


def can_be_missed(session: Addressee, identity: str) -> bool:
    """Whether a session that is in none of the menus of the router of this name is gone."""
    has_it = session.routeros is not None and session.box in {identity, session.routeros.address}
    return bool(session.login and session.addresses and has_it)


def all_say(answers: Sequence[Liveness]) -> Liveness:
    """Of several menus."""
    if Liveness.ALIVE in answers:
        return Liveness.ALIVE
    return Liveness.UNKNOWN if Liveness.UNKNOWN in answers else Liveness.GONE


def _judge(session: Addressee, menu: Menu, row: Row, now: datetime) -> _Verdict:
    same_id = _same_id(session.acct_session_id, row.get(menu.session_id, ""))
    same_device = _same_device(session.calling_station_id or "", row.get(menu.device, ""))
    if same_id:
        return _Verdict.OURS
    if same_device is False:
        return _Verdict.ANOTHERS
    younger = _is_younger(session, row, now)
    if same_id is False:
        return _Verdict.ANOTHERS if younger else _Verdict.PERHAPS
    return _Verdict.OURS if same_device and not younger else _Verdict.PERHAPS


def _same_id(ours: str, theirs: str) -> bool | None:
    """None where it cannot be told."""
    one, other = session_number(ours), session_number(theirs)
    return None if one is None or other is None else one == other


def _same_device(ours: str, theirs: str) -> bool | None:
    """None where one of them is not known, or they are of different kinds: a circuit is no MAC address."""
    if not ours or not theirs or (mac_address(ours) is None) != (mac_address(theirs) is None):
        return None
    return _device(ours) == _device(theirs)


def _device(text: str) -> str:
    """A tunnel's caller is an address, not a MAC."""
    return mac_address(text) or text


def _is_younger(session: Addressee, row: Row, now: datetime) -> bool:
    uptime = parse_duration(row.get("uptime", ""))
    return uptime is not None and session.started_at is not None and now - uptime > session.started_at + YOUNGER


def _same_login(ours: str, theirs: str) -> bool:
    """As far as that can be told: without case, blanks and realm, or as the same MAC address."""
    if mac_address(ours) and mac_address(ours) == mac_address(theirs):
        return True
    return _bare(ours) == _bare(text_of(theirs))


def _bare(login: str) -> str:
    return login.partition("@")[0].strip().casefold()

"""Which table of which vendor tells of sessions, and what it says of one.

Each is here because a source says what its rows are (docs/sessions.md has them side by side). Nokia is not: no source
was found that ties the rows of its subscriber tables to what RADIUS knows of a session.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from operator import eq
from typing import Final

from aaa.liveness import Addressee, Liveness
from core.models.network import Vendor

#: RFC 3418: hundredths of a second since the agent was last re-initialised.
SYS_UP_TIME: Final = "1.3.6.1.2.1.1.3.0"
#: An agent that is up for less may not know all that its box does.
SETTLED_S: Final = 300
#: A session that is younger than this may not have come into the agent's own cache.
YOUNG: Final = timedelta(seconds=60)

_HEX_ID: Final = re.compile(r"[0-9A-Fa-f]{1,8}")
#: `<pppoe-ana>`, `<l2tp-ana@isp>`: RouterOS's name of a PPP server's dynamic interface.
_PPP_INTERFACE: Final = re.compile(r"<[a-z0-9]+-(.+)>")
#: A second session of `ana` is `<pppoe-ana-1>`, and so is the first one of `ana-1`.
_NUMBERED: Final = re.compile(r"-[0-9]+$")


class Absence(StrEnum):
    """When a column that does not have a session says something."""

    NEVER = "never"
    #: Once the agent has vouched for a session by this column.
    VOUCHED = "vouched"
    #: As VOUCHED, and the NAS entry says that every session is such a row.
    PPP_ONLY = "ppp only"
    #: Where others are in it. For a column that every agent has, and where presence says nothing.
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Row:
    """A row whose index the session tells, None where it cannot: one question finds it."""

    oid: str
    index: Callable[[Addressee], str | None]
    #: Whether this value is of that session.
    same: Callable[[str, Addressee], bool]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of names, read whole; a session is looked up by `key`, None where it has none.

    `name` is what a value says, None for one that is no session. Names that `fold` makes equal are alike: if they are
    not the `same`, it is not known whether they are.
    """

    oid: str
    key: Callable[[Addressee], str | None]
    name: Callable[[str], str | None]
    fold: Callable[[str], str]
    same: Callable[[str, str], bool]
    absence: Absence
    #: Whether a name belongs to one session at a time only.
    presence: bool = True


Table = Row | Column


@dataclass(slots=True)
class Reading:
    """A column as it was read. Two sessions of one name need two rows: each row vouches for one of them."""

    table: Column
    began_at: datetime
    #: Whether the agent was up for long when it began, and was the same one when it ended.
    settled: bool
    names: Mapping[str, list[str]] = field(default_factory=dict)
    _vouched_for: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def says(self, addressee: Addressee, *, vouched: bool, ppp_only: bool) -> Liveness:
        key = self.table.key(addressee)
        if key is None:
            return Liveness.UNKNOWN
        alike = self.names.get(self.table.fold(key), [])
        if not alike:
            counts = _absence_counts(self.table.absence, vouched=vouched, ppp_only=ppp_only)
            return absent(addressee, self.began_at, proves=counts and self.settled and bool(self.names))
        if not self.table.presence:
            return Liveness.UNKNOWN
        rows = sum(self.table.same(name, key) for name in alike)
        vouched_for = self._vouched_for[key]
        if addressee.session_id not in vouched_for and len(vouched_for) >= rows:
            return Liveness.UNKNOWN
        vouched_for.add(addressee.session_id)
        return Liveness.ALIVE


def read(table: Column, began_at: datetime, values: Iterable[object], uptimes: tuple[object, object]) -> Reading:
    names: dict[str, list[str]] = defaultdict(list)
    for value in values:
        name = table.name(text(value))
        if name:
            names[table.fold(name)].append(name)
    before, after = uptimes
    same_agent = isinstance(before, int) and isinstance(after, int) and before <= after
    return Reading(table, began_at, same_agent and is_settled(before), dict(names))


def _absence_counts(absence: Absence, *, vouched: bool, ppp_only: bool) -> bool:
    match absence:
        case Absence.NEVER:
            return False
        case Absence.VOUCHED:
            return vouched
        case Absence.PPP_ONLY:
            return vouched and ppp_only
        case Absence.OTHERS:
            return True


def row_says(
    table: Row, addressee: Addressee, answer: Mapping[str, object], oid: str, asked_at: datetime, *, vouched: bool
) -> Liveness:
    """What was answered about sysUpTime and the row; what the agent does not have is not in it."""
    if oid not in answer:
        return absent(addressee, asked_at, proves=vouched and is_settled(answer.get(SYS_UP_TIME)))
    return Liveness.ALIVE if table.same(text(answer[oid]), addressee) else Liveness.UNKNOWN


def absent(addressee: Addressee, looked_at: datetime, *, proves: bool) -> Liveness:
    old = addressee.started_at is not None and addressee.started_at <= looked_at - YOUNG
    return Liveness.GONE if proves and old else Liveness.UNKNOWN


def is_settled(up_time: object) -> bool:
    return isinstance(up_time, int) and up_time >= SETTLED_S * 100


def text(value: object) -> str:
    return value.decode("utf-8", "replace").strip("\0 ") if isinstance(value, bytes) else str(value)


def same_login(name: str, login: str) -> bool:
    """The table's `ana@isp` is our `ana` as well: a NAS that told us no realm tells none of anybody's."""
    return bool(login) and (name == login or ("@" not in login and name.rpartition("@")[0] == login))


def _fold_login(login: str) -> str:
    return (login.rpartition("@")[0] or login).casefold()


def _fold_numbered_login(login: str) -> str:
    return _NUMBERED.sub("", _fold_login(login))


def _ppp_login(interface: str) -> str | None:
    matched = _PPP_INTERFACE.fullmatch(interface)
    return matched[1] if matched else None


def _login(addressee: Addressee) -> str | None:
    return addressee.login or None


def _acct_session_id(addressee: Addressee) -> str | None:
    return addressee.acct_session_id or None


def _cisco_index(addressee: Addressee) -> str | None:
    """IOS writes the number as 8 hexadecimal digits; with more before them (attribute 44 extended) it is not told."""
    matched = _HEX_ID.fullmatch(addressee.acct_session_id)
    return str(int(matched[0], 16)) if matched and int(matched[0], 16) else None


def _accel_index(addressee: Addressee) -> str | None:
    """A string of variable length as an index: its length, then its octets (RFC 2578, 7.7)."""
    octets = addressee.acct_session_id.encode()
    return ".".join(str(number) for number in (len(octets), *octets)) if octets else None


_ACCEL_INTERFACE: Final = re.compile(r"(ppp|ipoe|l2tp|pptp|sstp)[0-9]+")


def _accel_interface(addressee: Addressee) -> str | None:
    return _interface(addressee.nas_port_id or "")


def _interface(name: str) -> str | None:
    return name if _ACCEL_INTERFACE.fullmatch(name) else None


#: MIKROTIK-MIB, `<pppoe-LOGIN>`. Source: FreeRADIUS, checkrad (mikrotik_snmp), and its pull request 2032: when there
#: are many interfaces, the ifTable leaves those of PPP out, this one never does. Hotspot and DHCP make no interface.
MTXR_INTERFACE_STATS_NAME: Final = Column(
    "1.3.6.1.4.1.14988.1.1.14.1.1.2", _login, _ppp_login, _fold_numbered_login, same_login, Absence.PPP_ONLY
)
#: HUAWEI-AAA-MIB, hwAccessTable: users online, always with their domain. Source: LibreNMS (driver of VRP), and public
#: monitors of NE20 and NE40, which look for LOGIN@ in it.
HW_ACCESS_USER_NAME: Final = Column(
    "1.3.6.1.4.1.2011.5.2.1.15.1.3", _login, str, _fold_login, same_login, Absence.VOUCHED
)
#: CISCO-AAA-SESSION-MIB, casnActiveTable (IOS: `aaa session-mib`): "corresponds to RADIUS attribute 44", "entries are
#: removed when the accounting session is ended". Source: the MIB; FreeRADIUS, checkrad (cisco_snmp), for the index.
CASN_USER_ID: Final = Row(
    "1.3.6.1.4.1.9.9.150.1.1.3.1.2", _cisco_index, lambda value, one: same_login(value, one.login)
)
#: CISCO-SUBSCRIBER-SESSION-MIB. Source: the MIB, by which not every session has a name; a public LibreNMS plugin that
#: was checked on IOS XE 15.5(3)S.
CSUB_SESSION_USERNAME: Final = Column(
    "1.3.6.1.4.1.9.9.786.1.1.1.1.24", _login, str, _fold_login, same_login, Absence.NEVER
)
#: JUNIPER-SUBSCRIBER-MIB, jnxSubscriberTable. Source: the MIB.
JNX_SUBSCRIBER_ACCT_SESSION_ID: Final = Column(
    "1.3.6.1.4.1.2636.3.64.1.1.1.3.1.14", _acct_session_id, str, str.casefold, eq, Absence.VOUCHED
)
#: ACCEL-PPP-MIB, sessionTable, indexed by sesSID (module net-snmp, over AgentX). Source: accel-ppp,
#: accel-pppd/extra/net-snmp/sessionTable.h.
SES_SID: Final = Row("1.3.6.1.4.1.8072.100.2.1.1.1", _accel_index, lambda value, one: value == one.acct_session_id)
#: IF-MIB (RFC 2863), of the snmpd beside accel-ppp, whose NAS-Port-Id is the interface (accel-pppd/radius/req.c). Its
#: number is used again and again, so that its presence says nothing.
IF_NAME: Final = Column("1.3.6.1.2.1.31.1.1.1.1", _accel_interface, _interface, str, eq, Absence.OTHERS, presence=False)

#: In the order in which they are asked, until one knows.
TABLES: Final[Mapping[Vendor, tuple[Table, ...]]] = {
    Vendor.MIKROTIK: (MTXR_INTERFACE_STATS_NAME,),
    Vendor.HUAWEI: (HW_ACCESS_USER_NAME,),
    Vendor.CISCO: (CASN_USER_ID, CSUB_SESSION_USERNAME),
    Vendor.JUNIPER: (JNX_SUBSCRIBER_ACCT_SESSION_ID,),
    Vendor.ACCEL_PPP: (SES_SID, IF_NAME),
}

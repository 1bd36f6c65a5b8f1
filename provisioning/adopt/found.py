"""What a router has, read and never changed, and what people wrote there."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap
from provisioning.routeros.planning.desired import mark_in
from provisioning.routeros.planning.matching import is_fixed
from provisioning.routeros.reading import read_rows, release_of
from provisioning.routeros.schema import Release

SECRETS: Final = "/ppp/secret"
PROFILES: Final = "/ppp/profile"
POOLS: Final = "/ip/pool"
IPV6_POOLS: Final = "/ipv6/pool"
QUEUES: Final = "/queue/simple"
LISTS: Final = "/ip/firewall/address-list"
RADIUS: Final = "/radius"
PPPOE: Final = "/interface/pppoe-server/server"
AAA: Final = "/ppp/aaa"
SERVICES: Final = "/ip/service"
NTP: Final = "/system/ntp/client"
SNMP: Final = "/snmp"
MENUS_READ: Final = (
    SECRETS, PROFILES, POOLS, IPV6_POOLS, QUEUES, LISTS, RADIUS, PPPOE, AAA, SERVICES, NTP, SNMP, "/snmp/community",
)  # fmt: skip
_ACTIVE: Final = ("name", "service", "address", "radius")

#: Beginnings of words by which people say that a list or a profile is for those who do not pay.
_BLOCKING: Final = (
    "bloque", "suspen", "inadimpl", "cortad", "devedor", "atrasad", "cancelad", "moros", "caloteir", "block", "debt",
    "overdue", "unpaid", "delinquent",
)  # fmt: skip
_NOT: Final = frozenset({"nao", "no", "not", "never", "nunca", "sem", "anti", "un", "des"})
_WORD: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Found:
    """`active`: who is online. Rows hold passwords, so they are shown to nobody."""

    release: Release
    rows: Mapping[str, Sequence[Row]] = field(repr=False)
    active: Sequence[Row] = ()

    def of(self, menu: str) -> Iterator[Row]:
        """Rows that somebody made."""
        return (row for row in self.rows.get(menu, ()) if not is_fixed(row))

    def single(self, menu: str) -> Row:
        rows = self.rows.get(menu, ())
        return rows[0] if rows else {}


def read_box(client: RouterOs) -> Found:
    """Raises RouterOsError."""
    release = release_of(client)
    return Found(release, read_rows(client, MENUS_READ, release), _active(client))


def _active(client: RouterOs) -> list[Row]:
    try:
        return client.rows("/ppp/active", _ACTIVE)
    except Trap as trap:
        if trap.no_such_command:
            return []
        raise


def is_marked(row: Row) -> bool:
    """It is ours already."""
    return mark_in(row.get("comment", "")) is not None


def is_text(value: str) -> bool:
    """Its octets are UTF-8."""
    return not any("\ud800" <= one <= "\udfff" for one in value)


def words_of(value: str) -> str:
    """What people wrote, in one line. WinBox writes what Windows gives it: octets that are no UTF-8 are CP1252."""
    if not is_text(value):
        value = value.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    kept = "".join(" " if unicodedata.category(one) in {"Cc", "Cs"} else one for one in value)
    return unicodedata.normalize("NFC", " ".join(kept.split()))


def says_blocked(text: str) -> bool:
    """Whether this name or comment is about those who do not pay: "Bloqueados", "clientes-suspensos"; not
    "nao-bloquear"."""
    plain = unicodedata.normalize("NFD", words_of(text)).casefold()
    words = _WORD.findall("".join(one for one in plain if not unicodedata.combining(one)))
    return any(
        word.startswith(_BLOCKING) and not (at and words[at - 1] in _NOT) for at, word in enumerate(words)
    )  # fmt: skip

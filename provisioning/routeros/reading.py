"""What a router is and has, as plans need it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Misunderstood, Trap
from provisioning.routeros.planning.desired import LIVING, family_of, mark_in
from provisioning.routeros.planning.matching import is_fixed
from provisioning.routeros.schema import MENUS, Release, canonical

_MARKS: Final = (".id", "dynamic")
#: {menu: rows as sorted (field, value) pairs, in their order where that counts}
State = Mapping[str, Sequence[tuple[tuple[str, str], ...]]]


def release_of(client: RouterOs) -> Release:
    """Raises RouterOsError."""
    rows = client.rows("/system/resource", ("version",))
    version = rows[0].get("version", "") if rows else ""
    try:
        return Release.parse(version)
    except ValueError as error:
        raise Misunderstood(client.nas_id, str(error)) from None


def read_rows(client: RouterOs, menus: Iterable[str], release: Release) -> dict[str, list[Row]]:
    """A menu that the router does not have (a package that is not installed) has no rows. Raises RouterOsError."""
    return {menu: _rows(client, menu, release) for menu in sorted(menus)}


def count_sessions(client: RouterOs) -> int:
    """Of PPP, whoever let them in; of hotspots and DHCP servers, whom RADIUS let in. Raises RouterOsError."""
    return _count(client, "/ppp/active") + _count(client, "/ip/hotspot/active") + _leases(client)


def _count(client: RouterOs, menu: str) -> int:
    try:
        (answer,) = client.call(f"{menu}/print", {"count-only": ""})
    except Trap as trap:
        if trap.no_such_command:
            return 0
        raise
    return int(answer["ret"])


def _leases(client: RouterOs) -> int:
    try:
        return len(client.rows("/ip/dhcp-server/lease", (".id",), "radius=true", "status=bound"))
    except Trap as trap:
        if trap.no_such_command:
            return 0
        raise


def state_of(actual: Mapping[str, Sequence[Row]]) -> State:
    """What was said of the rows, by whomever: two routers with the same state are configured alike, but for what comes
    and goes with subscribers."""
    return {menu: _state(menu, rows) for menu, rows in actual.items()}


def _state(menu: str, rows: Sequence[Row]) -> Sequence[tuple[tuple[str, str], ...]]:
    schema = MENUS[menu]
    said = {name: field for name, field in schema.fields.items() if not field.read_only}
    static = [
        tuple(sorted((name, canonical(said[name].kind, value)) for name, value in row.items() if name in said))
        for row in rows if not is_fixed(row) and not _lives(row)
    ]  # fmt: skip
    return static if schema.ordered is not None else sorted(static)


def _lives(row: Row) -> bool:
    mark = mark_in(row.get("comment", ""))
    return mark is not None and family_of(mark) in LIVING


def _rows(client: RouterOs, menu: str, release: Release) -> list[Row]:
    try:
        return client.rows(menu, (*_MARKS, *MENUS[menu].known_to(release)))
    except Trap as trap:
        if trap.no_such_command:
            return []
        raise

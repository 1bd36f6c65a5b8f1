"""Rows as `print` has them: what was said, else the default, and what the router adds of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_interface
from typing import Final

from provisioning.routeros.schema import Release
from provisioning.routeros.values import duration_text
from provisioning.simulators.routeros import policies
from provisioning.simulators.routeros.configuration import INTERFACE, INTERFACE_MENUS, Configuration, Place
from provisioning.simulators.routeros.table import Item, Table

#: Not printed of rules, where nobody said them: so probes of a 7.23 report. (It prints them where somebody once did.)
_UNSAID: Final = frozenset({"disabled", "log", "log-prefix"})
_RULES: Final = frozenset({"/ip/firewall/filter", "/ip/firewall/nat", "/ipv6/firewall/filter", "/ipv6/firewall/nat"})
#: Never shown to anybody.
_WRITE_ONLY: Final = frozenset({("/user", "password")})


def rows(
    configuration: Configuration, path: str, now: float, *, secrets: bool, queries: Sequence[str] = ()
) -> Iterator[dict[str, str]]:
    """Without secrets the fields that hold them are not there. With queries, at least the rows that they find."""
    if path == INTERFACE:
        for place in configuration.places(path):
            yield _interface(place)
        return
    table = configuration.tables[path]
    names = _names(path, table, secrets)
    unsaid = _UNSAID if path in _RULES and configuration.release >= (7, 23) else frozenset()
    plain = {name: default for name, default in names.items() if default is not None and name not in unsaid}
    add = _OWN.get(path)
    for item in _candidates(table, queries):
        row = {} if table.schema.single else {".id": item.row_id}
        row |= plain
        row |= {name: value for name, value in item.values.items() if name in names}
        if item.dynamic and "dynamic" in names:
            row["dynamic"] = "true"
        if item.builtin and "default" in names:
            row["default"] = "true"
        if add is not None:
            row |= add(item, now, configuration.release)
        if (volatile := configuration.volatile.get((path, item.number))) is not None:
            row |= volatile
        yield row


def _candidates(table: Table, queries: Sequence[str]) -> Iterable[Item]:
    """One row instead of thousands, where it is asked for by its id or by its whole key."""
    if not queries or any(query.startswith("#") for query in queries):
        return table
    said = dict(
        query.removeprefix("=").split("=", 1) for query in queries if query[:1] not in "<>-" and "=" in query[1:]
    )
    if ".id" in said:
        return [item for item in [table.with_id(said[".id"])] if item is not None]
    key = table.schema.key
    if key and not table.schema.single and said.keys() >= set(key):
        return [item for item in [table.with_key(*(said[name] for name in key))] if item is not None]
    return table


def _names(path: str, table: Table, secrets: bool) -> Mapping[str, str | None]:
    return {
        name: field.default
        for name, field in table.fields.items()
        if (secrets or not field.secret) and (path, name) not in _WRITE_ONLY
    }


def _interface(place: Place) -> dict[str, str]:
    table, item = place.table, place.item
    disabled = table.value(item, "disabled") or "false"
    row = {
        ".id": item.row_id, "name": item.values["name"], "type": INTERFACE_MENUS[place.path],
        "mtu": table.value(item, "mtu") or "auto", "actual-mtu": "1500", "mac-address": mac(item),
        "running": "false" if disabled == "true" else "true", "disabled": disabled,
    }  # fmt: skip
    if (default_name := item.values.get("default-name")) is not None:
        row["default-name"] = default_name
    if (comment := item.values.get("comment")) is not None:
        row["comment"] = comment
    return row


def mac(item: Item) -> str:
    return item.values.get("mac-address") or b"\x02\x00\x00".hex(":") + f":00:00:{item.number % 256:02X}"


def _of_interface(item: Item, _now: float, _release: Release) -> dict[str, str]:
    running = "false" if "disabled" in item.values else "true"
    return {"mac-address": mac(item), "running": running}


def _of_address(item: Item, _now: float, _release: Release) -> dict[str, str]:
    found = ip_interface(item.values["address"])
    return {
        "network": item.values.get("network") or str(found.network.network_address),
        "actual-interface": item.values["interface"],
    }


def _of_entry(item: Item, now: float, _release: Release) -> dict[str, str]:
    if item.expires_at is None:
        return {}
    return {"timeout": duration_text(timedelta(seconds=max(1, round(item.expires_at - now))))}


def _of_group(item: Item, _now: float, release: Release) -> dict[str, str]:
    return {"policy": policies.shown(item.values.get("policy", ""), release)}


def date_and_time(moment: float, *, iso: bool) -> str:
    """7.10 writes `2026-11-27 18:00:00`; before, it was `nov/27/2026 18:00:00`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S" if iso else "%b/%d/%Y %H:%M:%S").lower()


_OWN: Final[Mapping[str, Callable[[Item, float, Release], dict[str, str]]]] = {
    **dict.fromkeys(INTERFACE_MENUS, _of_interface),
    "/ip/address": _of_address,
    "/user/group": _of_group,
    "/ip/firewall/address-list": _of_entry,
    "/ipv6/firewall/address-list": _of_entry,
}

"""What somebody changed at a box said in its intent, as far as an intent can say it; pure.

Whatever differs suggests edits: a pool's ranges are those that the box has, a server that is gone is not wanted. An
edit is taken only where, with it, less differs than before and nothing else. So what one value says for several rows
(every server's timeout, every service's networks) is taken when all of them changed, and planning again gives nothing
for what was taken. Secrets are not an intent's to say; names of rows are by what the box knows them, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import msgspec

from core.errors import InvalidInput
from provisioning.routeros.bras.checking import intent_of
from provisioning.routeros.bras.desired import Surroundings, desired_of
from provisioning.routeros.bras.intent import DhcpServer, Hotspot, Intent
from provisioning.routeros.planning import Add, Change, Move, Plan, Step, make_plan
from provisioning.routeros.planning.desired import Owned, mark_in
from provisioning.routeros.planning.plan import Actual
from provisioning.routeros.planning.script import commands
from provisioning.routeros.schema import MENUS
from provisioning.routeros.values import parse_duration

Body = dict[str, Any]
#: Where in an intent's body something is said: ("pools", 0, "ranges").
Path = tuple[str | int, ...]
#: One value instead of another; None in a list: that element is not there.
Edit = tuple[Path, Any]
_GONE: Final = object()
_NO_SERVER: Final = frozenset({None, "", "0.0.0.0"})  # noqa: S104  (what 6.x prints where there is none)


@dataclass(frozen=True, slots=True)
class Accepted:
    """`taken`: what the intent says now, for people. `rest`: what there is still to do at the box to put it back."""

    intent: Intent
    taken: tuple[str, ...]
    rest: tuple[str, ...]


def accept(intent: Intent, around: Surroundings, actual: Actual, owned: Owned) -> Accepted:
    """Raises InvalidInput where the intent cannot be had at this release at all."""
    taken: list[str] = []
    plan = _plan(intent, around, actual, owned)
    found = _next(intent, plan, around, actual, owned)
    while found is not None:
        edit, intent, plan, before = found
        taken.append(_told(edit, before))
        found = _next(intent, plan, around, actual, owned)
    return Accepted(intent, tuple(taken), tuple(commands(plan.steps)))


def _next(
    intent: Intent, plan: Plan, around: Surroundings, actual: Actual, owned: Owned
) -> tuple[Edit, Intent, Plan, Body] | None:
    """The first edit that leaves less to do; what it makes of the intent and of the plan."""
    body, differing = msgspec.to_builtins(intent), _differences(plan)
    for edit in _suggested(plan.steps, body):
        try:
            edited = intent_of(_edited(body, edit))
            left = _plan(edited, around, actual, owned)
        except InvalidInput:
            continue
        if _differences(left) < differing:
            return edit, edited, left, body
    return None


def _plan(intent: Intent, around: Surroundings, actual: Actual, owned: Owned) -> Plan:
    desired = desired_of(intent, around)
    return make_plan(desired, actual, around.release, owned)


def _differences(plan: Plan) -> frozenset[tuple[str, ...]]:
    problems = {("problem", one.menu, one.what, one.detail) for one in plan.problems}
    return frozenset(problems.union(*map(_of_step, plan.steps)))


def _of_step(step: Step) -> set[tuple[str, ...]]:
    if isinstance(step, Add):
        return {("add", step.menu, step.mark)}
    if isinstance(step, Change):
        return {("change", step.menu, step.row_id or "", name) for name in step.values}
    return {("move" if isinstance(step, Move) else "remove", step.menu, step.row_id)}


# What a difference suggests


def _suggested(steps: Sequence[Step], body: Body) -> Iterator[Edit]:
    for step in steps:
        if isinstance(step, Change):
            for name, value in step.was.items():
                suggest = _FIELDS.get((step.menu, name))
                if suggest is not None:
                    yield from suggest(body, step, value)
        elif isinstance(step, Add):
            yield from _without(body, step)


def _without(body: Body, step: Add) -> Iterator[Edit]:
    """A row of ours that somebody removed."""
    name = step.mark.partition("/")[2]
    management = body.get("management") or {}
    if step.menu == "/radius":
        yield ("radius", "servers", int(name) - 1), _GONE
    for listed in _LISTS.values():
        if step.menu == listed.menu:
            yield from ((path, _GONE) for path, called, _ in listed.elements(body) if called == name)
    if step.menu.endswith("/address-list") and body.get("walled_garden"):
        for part in ("allowed", "dns"):
            reached = enumerate(body["walled_garden"][part])
            yield from ((("walled_garden", part, number), _GONE) for number, one in reached if one == name)
    if step.menu.startswith("/ip/hotspot/walled-garden"):
        for path, called, one in _LISTS["hotspots"].elements(body):
            allowed = enumerate(one["allowed"])
            yield from (((*path, "allowed", at), _GONE) for at, it in allowed if f"{called}/{it}" == name)
    if step.menu == "/system/logging" and management.get("syslog"):
        topics = management["syslog"]["topics"]
        yield from ((("management", "syslog", "topics", at), _GONE) for at, one in enumerate(topics) if one == name)


@dataclass(frozen=True, slots=True)
class _List:
    """A part that is a list: where, the menu of its rows, and by what name rows of ours know an element."""

    path: tuple[str, ...]
    menu: str
    called: Callable[[Any], str]

    def elements(self, body: Body) -> Iterator[tuple[Path, str, Any]]:
        part: Any = body
        for name in self.path:
            part = (part or {}).get(name)
        for number, one in enumerate(part or ()):
            yield (*self.path, number), self.called(one), one


_LISTS: Final = {
    "pools": _List(("pools",), "/ip/pool", itemgetter("name")),
    "ipv6_pools": _List(("ipv6_pools",), "/ipv6/pool", itemgetter("name")),
    "pppoe": _List(("pppoe",), "/interface/pppoe-server/server", itemgetter("interface")),
    "dhcp": _List(("dhcp",), "/ip/dhcp-server", lambda one: msgspec.convert(one, DhcpServer).called),
    "hotspots": _List(("hotspots",), "/ip/hotspot", lambda one: msgspec.convert(one, Hotspot).called),
    "types": _List(("queues", "types"), "/queue/type", itemgetter("name")),
    "trees": _List(("queues", "trees"), "/queue/tree", itemgetter("name")),
}

Suggest = Callable[[Body, Change, str | None], Iterator[Edit]]
Convert = Callable[[str | None], Any]


def _at(path: Path, convert: Convert) -> Suggest:
    """Said in one place."""
    return lambda _body, _step, value: iter([(path, convert(value))])


def _in_list(part: str, name: str, convert: Convert) -> Suggest:
    """Said in the element of this part that the row is made from."""

    def suggest(body: Body, step: Change, value: str | None) -> Iterator[Edit]:
        known = _known(step)
        for path, called, _ in _LISTS[part].elements(body):
            # before 7.17 each VLAN of an interface has a PPPoE server
            if known == called or (part == "pppoe" and known.startswith(f"{called}.")):
                yield (*path, name), convert(value)

    return suggest


def _of_server(name: str) -> Suggest:
    """Of the RADIUS server that the row's mark counts."""

    def suggest(_body: Body, step: Change, value: str | None) -> Iterator[Edit]:
        number = _known(step)
        if number.isdecimal():
            yield ("radius", "servers", int(number) - 1, name), _as(int if name.endswith("port") else str)(value)

    return suggest


def _service(body: Body, step: Change, value: str | None) -> Iterator[Edit]:
    """Switched on or off."""
    name, services = step.row.get("name", ""), list((body.get("management") or {}).get("services", ()))
    on = value in {None, "false", "no"}
    changed = [*services, name] if on else [one for one in services if one != name]
    yield ("management", "services"), changed


def _ntp(body: Body, step: Change, _value: str | None) -> Iterator[Edit]:
    """Before 7.0 two fields are one list."""
    shown = {**step.row, **step.was}
    both = (shown.get("primary-ntp"), shown.get("secondary-ntp"))
    servers = [one for one in both if one not in _NO_SERVER]
    if body.get("management") and servers:
        yield ("management", "ntp"), servers


def _known(step: Change) -> str:
    """By what the row is ours: its mark's name, or its key where it has no comment."""
    mark = mark_in(step.row.get("comment", ""))
    if mark is not None:
        return mark.partition("/")[2]
    key = MENUS[step.menu].key
    return step.row.get(key[0], "") if key else ""


# Values of a router's as an intent has them


def _as(kind: type) -> Convert:
    def convert(value: str | None) -> Any:  # noqa: ANN401
        try:
            return kind(value or "")
        except ValueError:
            return value  # which no intent takes

    return convert


def _some(value: str | None) -> str | None:
    return value if value not in {None, "", "none"} else None


def _words(value: str | None) -> list[str]:
    return [one for one in (value or "").split(",") if one]


def _milliseconds(value: str | None) -> int | None:
    duration = parse_duration(value or "")
    return None if duration is None else round(duration.total_seconds() * 1000)


def _seconds(value: str | None) -> int | None:
    milliseconds = _milliseconds(value)
    return None if milliseconds is None else milliseconds // 1000


def _count(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None


def _whole_seconds(value: str | None) -> int | None:
    return None if value in {None, "", "none"} else _seconds(value)


def _of_static_only(value: str | None) -> str | None:
    """Without a pool a server gives nobody an address whom RADIUS does not know."""
    return None if value == "static-only" else _some(value)


def _asks_radius(value: str | None) -> str:
    return {"true": "leases", "yes": "leases", "accounting": "accounting"}.get(value or "", "no")


def _yes(value: str | None) -> bool:
    return value in {"true", "yes"}


_SERVERS: Final = "/interface/pppoe-server/server"
_FIELDS: Final[Mapping[tuple[str, str], Suggest]] = {
    ("/radius", "address"): _of_server("address"),
    ("/radius", "authentication-port"): _of_server("authentication_port"),
    ("/radius", "accounting-port"): _of_server("accounting_port"),
    ("/radius", "timeout"): _at(("radius", "timeout_ms"), _milliseconds),
    ("/radius", "src-address"): _at(("radius", "source"), _some),
    ("/ppp/aaa", "interim-update"): _at(("radius", "interim_seconds"), _seconds),
    ("/ip/pool", "ranges"): _in_list("pools", "ranges", _as(str)),
    ("/ip/pool", "next-pool"): _in_list("pools", "next", _some),
    ("/ipv6/pool", "prefix"): _in_list("ipv6_pools", "prefix", _as(str)),
    ("/ipv6/pool", "prefix-length"): _in_list("ipv6_pools", "prefix_length", _as(int)),
    ("/ppp/profile", "local-address"): _at(("profile", "local_address"), _as(str)),
    ("/ppp/profile", "dns-server"): _at(("profile", "dns"), _words),
    ("/ppp/profile", "remote-address"): _at(("profile", "pool"), _some),
    ("/ppp/profile", "dhcpv6-pd-pool"): _at(("profile", "delegated_ipv6_pool"), _some),
    (_SERVERS, "service-name"): _in_list("pppoe", "service_name", _as(str)),
    (_SERVERS, "authentication"): _in_list("pppoe", "authentication", _words),
    (_SERVERS, "max-mtu"): _in_list("pppoe", "mtu", _as(int)),
    (_SERVERS, "max-sessions"): _in_list("pppoe", "max_sessions", _count),
    (_SERVERS, "one-session-per-host"): _in_list("pppoe", "one_session_per_host", _yes),
    (_SERVERS, "pado-delay"): _in_list("pppoe", "pado_delay_ms", _as(int)),
    (_SERVERS, "pppoe-over-vlan-range"): _in_list("pppoe", "vlans", _some),
    ("/ip/dhcp-server", "address-pool"): _in_list("dhcp", "pool", _of_static_only),
    ("/ip/dhcp-server", "use-radius"): _in_list("dhcp", "radius", _asks_radius),
    ("/ip/dhcp-server", "lease-time"): _in_list("dhcp", "lease_seconds", _seconds),
    ("/ip/dhcp-server", "add-arp"): _in_list("dhcp", "add_arp", _yes),
    ("/ip/dhcp-server", "delay-threshold"): _in_list("dhcp", "delay_threshold_seconds", _whole_seconds),
    ("/ip/dhcp-server", "insert-queue-before"): _in_list("dhcp", "insert_queue_before", _some),
    ("/ip/dhcp-server/network", "dns-server"): _in_list("dhcp", "dns", _words),
    ("/ipv6/dhcp-server", "address-pool"): _in_list("dhcp", "delegated_ipv6_pool", _of_static_only),
    ("/ipv6/dhcp-server", "prefix-pool"): _in_list("dhcp", "delegated_ipv6_pool", _some),
    ("/ip/hotspot/profile", "hotspot-address"): _in_list("hotspots", "address", _as(str)),
    ("/ip/hotspot/profile", "dns-name"): _in_list("hotspots", "dns_name", _as(str)),
    ("/ip/hotspot/profile", "login-by"): _in_list("hotspots", "login_by", _words),
    ("/ip/hotspot/profile", "ssl-certificate"): _in_list("hotspots", "certificate", _some),
    ("/ip/hotspot", "address-pool"): _in_list("hotspots", "pool", _as(str)),
    ("/ip/hotspot", "addresses-per-mac"): _in_list("hotspots", "addresses_per_mac", _as(int)),
    ("/queue/type", "pcq-rate"): _in_list("types", "rate", _as(str)),
    ("/queue/type", "pcq-classifier"): _in_list("types", "classifier", _some),
    ("/queue/type", "cake-diffserv"): _in_list("types", "diffserv", _as(str)),
    ("/queue/type", "cake-nat"): _in_list("types", "nat", _yes),
    ("/queue/tree", "parent"): _in_list("trees", "parent", _as(str)),
    ("/queue/tree", "queue"): _in_list("trees", "queue", _as(str)),
    ("/queue/tree", "packet-mark"): _in_list("trees", "packet_marks", _words),
    ("/queue/tree", "max-limit"): _in_list("trees", "max_limit", _as(str)),
    ("/queue/tree", "limit-at"): _in_list("trees", "limit_at", _as(str)),
    ("/queue/tree", "priority"): _in_list("trees", "priority", _as(int)),
    ("/user", "address"): _at(("management", "user", "networks"), _words),
    ("/ip/service", "address"): _at(("management", "networks"), _words),
    ("/ip/service", "disabled"): _service,
    ("/system/ntp/client", "servers"): _at(("management", "ntp"), _words),
    ("/system/ntp/client", "primary-ntp"): _ntp,
    ("/system/ntp/client", "secondary-ntp"): _ntp,
    ("/system/logging/action", "remote"): _at(("management", "syslog", "server"), _as(str)),
    ("/system/logging/action", "remote-port"): _at(("management", "syslog", "port"), _as(int)),
    ("/snmp", "contact"): _at(("management", "snmp", "contact"), _as(str)),
    ("/snmp", "location"): _at(("management", "snmp", "location"), _as(str)),
    ("/snmp/community", "addresses"): _at(("management", "snmp", "networks"), _words),
    ("/ip/firewall/nat", "to-addresses"): _at(("walled_garden", "portal"), _as(str)),
    ("/ip/firewall/nat", "to-ports"): _at(("walled_garden", "portal_port"), _as(int)),
}


# Edits


def _edited(body: Body, edit: Edit) -> Body:
    """A copy with it. Raises InvalidInput where the intent has no such place."""
    path, value = edit
    return _put(body, path, value)  # type: ignore[no-any-return]


def _put(part: Any, path: Path, value: Any) -> Any:  # noqa: ANN401
    name, rest = path[0], path[1:]
    if isinstance(name, int):
        if not isinstance(part, (list, tuple)) or name >= len(part):
            raise InvalidInput("the intent says no such thing")
        changed = [_put(part[name], rest, value)] if rest else ([] if value is _GONE else [value])
        return [*part[:name], *changed, *part[name + 1 :]]
    if not isinstance(part, dict):
        raise InvalidInput("the intent says no such thing")
    return {**part, name: _put(part.get(name), rest, value) if rest else value}


def _told(edit: Edit, before: Body) -> str:
    path, value = edit
    where, said = "", before
    for name in path:
        where += f"[{name}]" if isinstance(name, int) else f".{name}"
        said = said[name]  # type: ignore[index]
    if value is _GONE:
        return f"{where.lstrip('.')}: {_shown(said)} is not wanted any more"
    return f"{where.lstrip('.')}: {_shown(said)} -> {_shown(value)}"


def _shown(value: Any) -> str:  # noqa: ANN401
    return msgspec.json.encode(value).decode()

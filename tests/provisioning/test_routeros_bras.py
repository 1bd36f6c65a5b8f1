"""What a provider says of a BRAS, as the rows that it should have."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from bras_intents import COMMUNITY, EVERYTHING, MODERN, NAT, V3_USER, around
from hypothesis import given, settings
from hypothesis import strategies as st
from planned_router import PlannedRouter

from core.errors import InvalidInput
from provisioning.routeros.bras import SnmpAgent, desired_of, intent_of
from provisioning.routeros.client import Row
from provisioning.routeros.planning import Add, Remove, Wanted, added, make_plan
from provisioning.routeros.planning.matching import key_of
from provisioning.routeros.planning.script import commands
from provisioning.routeros.schema import MENUS, Kind, Release

RELEASES = [Release(6, 49), Release(7, 12), Release(7, 18)]


def fresh_router() -> PlannedRouter:
    menus: dict[str, list[Row]] = {path: [{}] if menu.single else [] for path, menu in MENUS.items()}
    menus["/interface"] = [{".id": f"*{n}", "name": f"ether{n}"} for n in range(1, 6)]
    names = ("api", "api-ssl", "ftp", "ssh", "telnet", "winbox", "www", "www-ssl")
    menus["/user"] = [{".id": "*1", "name": "provedor", "group": "full", "address": ""}]
    menus["/ip/service"] = [{".id": f"*{n}", "name": name, "disabled": "false"} for n, name in enumerate(names)]
    return PlannedRouter(menus)


BODIES = [*((release, EVERYTHING) for release in RELEASES), *((one, {**EVERYTHING, **MODERN}) for one in RELEASES[1:])]


@pytest.mark.parametrize(("release", "body"), BODIES)
def test_a_fresh_router_becomes_a_bras_and_stays_one(release: Release, body: Mapping[str, Any]) -> None:
    router, wanted = fresh_router(), desired_of(intent_of(body), around(release))
    plan = make_plan(wanted, router.menus, release, {})
    for step in plan.steps:
        values = getattr(step, "values", {})
        assert set(values) <= set(MENUS[step.menu].known_to(release))
        for name, value in values.items():
            field = MENUS[step.menu].fields[name]
            assert field.kind is not Kind.CHOICE or value in field.choices, f"{step.menu} {name}"
        if step.menu == "/interface/vlan":
            router.menus["/interface"].append({".id": f"*v{values['name']}", "name": values["name"]})
        router.apply(step)
    assert plan.problems == ()
    again = make_plan(wanted, router.menus, release, added(plan, release))
    assert (again.steps, again.problems) == ((), ())


@pytest.mark.parametrize("release", RELEASES)
def test_every_mark_is_said_once_in_its_menu(release: Release) -> None:
    wanted = desired_of(intent_of(EVERYTHING), around(release))
    marks = [(row.menu, row.mark) for row in wanted.rows if row.mark is not None]
    assert len(set(marks)) == len(marks)


def test_before_7_17_each_vlan_has_an_interface_and_a_server() -> None:
    def of(release: Release, menu: str) -> list[Wanted]:
        wanted = desired_of(intent_of({**EVERYTHING, "dhcp": []}), around(release))
        return [row for row in wanted.rows if row.menu == menu]

    assert [row.values["name"] for row in of(Release(7, 12), "/interface/vlan")] == [
        "ether3.100", "ether3.101", "ether3.102", "ether3.200",
    ]  # fmt: skip
    assert of(Release(7, 18), "/interface/vlan") == []
    servers = of(Release(7, 18), "/interface/pppoe-server/server")
    assert [row.values["pppoe-over-vlan-range"] for row in servers] == ["", "100-102,200"]


@pytest.mark.parametrize(("part", "field"), [("radius", "radius.radsec"), ("queues", "queues.types[1].kind")])
def test_what_a_release_does_not_have_is_refused_by_its_name(part: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        desired_of(intent_of({**EVERYTHING, part: MODERN[part]}), around(Release(6, 49)))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"service_name": "a\nb"}, "pppoe[0].service_name"),
        ({"service_name": "\udce7"}, "pppoe[0].service_name"),
        ({"authentication": ["\udce7"]}, None),
    ],
)
def test_no_text_that_a_router_or_our_database_could_not_hold_is_taken(
    said: Mapping[str, Any], field: str | None
) -> None:
    with pytest.raises(InvalidInput) as refused:
        intent_of({**EVERYTHING, "pppoe": [{"interface": "ether2", **said}]})
    assert refused.value.field == field


def test_an_interface_and_a_vlan_of_it_have_one_pppoe_server_each_and_from_7_17_one_for_both() -> None:
    twice = {**EVERYTHING, "pppoe": [{"interface": "ether2", "vlans": "1-9"}, {"interface": "ether2", "vlans": "9"}]}
    with pytest.raises(InvalidInput) as refused:
        intent_of(twice)
    assert refused.value.field == "pppoe"
    both = {**EVERYTHING, "pppoe": [{"interface": "ether2"}, {"interface": "ether2", "vlans": "9"}]}
    assert len(rows_of(both, "/interface/pppoe-server/server", Release(7, 12))) == 2
    with pytest.raises(InvalidInput) as refused:
        rows_of(both, "/interface/pppoe-server/server", Release(7, 18))
    assert refused.value.field == "pppoe"


def rows_of(body: Mapping[str, Any], menu: str, release: Release = RELEASES[-1]) -> list[Mapping[str, str | None]]:
    return [row.values for row in desired_of(intent_of(body), around(release)).rows if row.menu == menu]


def test_radius_is_asked_for_what_the_box_does_and_by_radsec_under_the_secret_that_it_has() -> None:
    (first, _) = rows_of(EVERYTHING, "/radius")
    assert (first["service"], first["protocol"], first["secret"]) == ("dhcp,hotspot,ppp", "udp", "s3cret")
    (alone, _) = rows_of({"radius": EVERYTHING["radius"]}, "/radius")
    assert alone["service"] == "ppp"
    (radsec, _) = rows_of({"radius": MODERN["radius"]}, "/radius")
    assert (radsec["protocol"], radsec["certificate"], radsec["secret"]) == ("radsec", "radsec-client", "radsec")
    assert (radsec["authentication-port"], radsec["accounting-port"]) == ("2083", "2083")


def test_ipoe_is_a_server_on_each_line_with_the_boxs_address_and_prefixes_as_the_release_has_them() -> None:
    direct, tagged = rows_of(EVERYTHING, "/ip/dhcp-server")
    assert (direct["interface"], direct["address-pool"], direct["use-radius"]) == ("ether4", "static-only", "yes")
    assert (tagged["interface"], tagged["address-pool"], tagged["use-radius"]) == ("ether4.300", "homes", "accounting")
    assert {row["address"] for row in rows_of(EVERYTHING, "/ip/address")} == {"100.66.0.1/22", "100.66.4.1/24"}
    assert rows_of(EVERYTHING, "/interface/vlan")[0]["vlan-id"] == "300"
    (old,) = rows_of(EVERYTHING, "/ipv6/dhcp-server", Release(7, 12))
    (new,) = rows_of(EVERYTHING, "/ipv6/dhcp-server", Release(7, 18))
    assert (old["address-pool"], old.get("prefix-pool")) == ("delegated", None)
    assert (new["address-pool"], new["prefix-pool"]) == ("static-only", "delegated")


def test_what_is_reached_before_a_hotspots_login_is_known_by_address_or_by_the_name_that_is_asked_for() -> None:
    (by_name,) = rows_of(EVERYTHING, "/ip/hotspot/walled-garden")
    assert by_name["dst-host"] == "*.bank.example.com"
    by_address = rows_of(EVERYTHING, "/ip/hotspot/walled-garden/ip")
    assert [row.get("dst-address") or row.get("dst-host") for row in by_address] == [
        "192.0.2.80", "198.51.100.0/24", "pix.example.com",
    ]  # fmt: skip


def test_our_own_user_is_changed_and_never_made_or_taken_away() -> None:
    wanted = desired_of(intent_of(EVERYTHING), around(RELEASES[-1]))
    (user,) = (row for row in wanted.rows if row.menu == "/user")
    assert user.mark is None
    assert user.values == {
        "name": "provedor", "group": "provedor-api", "address": "192.0.2.0/28", "disabled": "no",
    }  # fmt: skip
    (group,) = rows_of(EVERYTHING, "/user/group")
    manual = (Path(__file__).parents[2] / "docs" / "provisioning.md").read_text()
    (told,) = re.findall(r"/user group add name=provedor policy=(\S+)", manual)
    assert sorted((group["policy"] or "").split(",")) == sorted(told.split(","))
    without = {**EVERYTHING, "management": {"networks": ["192.0.2.0/24"]}}
    assert "/user" not in desired_of(intent_of(without), around(RELEASES[-1])).menus


@pytest.mark.parametrize("release", RELEASES)
def test_a_pool_that_a_part_uses_of_which_nothing_is_said_stays(release: Release) -> None:
    router = fresh_router()
    made = make_plan(desired_of(intent_of(EVERYTHING), around(release)), router.menus, release, {})
    for step in made.steps:
        if isinstance(step, Add):
            router.menus[step.menu].append({".id": f"*{len(router.menus[step.menu]) + 1:X}", **step.values})
    little = desired_of(intent_of({"pools": [{"name": "other", "ranges": "10.0.0.0/24"}]}), around(release))
    plan = make_plan(little, {menu: router.menus[menu] for menu in sorted(little.menus)}, release, added(made, release))
    assert not [step for step in plan.steps if isinstance(step, Remove) and step.menu in {"/ip/pool", "/ipv6/pool"}]
    assert sorted((one.menu, one.what, one.detail) for one in plan.problems) == [
        ("/ip/pool", "homes", "still used by /ip/dhcp-server ipoe-ether4.300, which stays"),
        ("/ip/pool", "more", "still used by /ip/hotspot hotspot-ether5, which stays"),
        ("/ipv6/pool", "delegated", "still used by /ipv6/dhcp-server ipoe-ether4, which stays"),
    ]


def test_nat_rules_are_those_that_the_connection_log_answers_from() -> None:
    rows = [row.values for row in desired_of(intent_of({"cgnat": ["cgnat-1"]}), around(RELEASES[-1])).rows]
    jumps = [row for row in rows if row["action"] == "jump"]
    assert [row["src-address"] for row in jumps] == ["100.64.0.0-100.64.0.31", "100.64.0.32-100.64.0.40"]
    for row in rows:
        if row["action"] == "jump" or "protocol" not in row:
            continue
        first, _, last = (row["to-ports"] or "").partition("-")
        inside = IPv4Address(row["src-address"] or "")
        outside = IPv4Address(row["to-addresses"] or "")
        assert [NAT.inside_of(outside, int(port)) for port in (first, last)] == [inside, inside]
        assert row["chain"] == f"cgnat-cgnat-1-{'100.64.0.0' if inside < ip_address('100.64.0.32') else '100.64.0.32'}"


def test_what_is_not_said_is_not_touched() -> None:
    wanted = desired_of(intent_of({"walled_garden": {"portal": "192.0.2.80"}}), around(RELEASES[-1]))
    assert wanted.families == {"garden"}
    assert not wanted.settings
    assert "/ppp/profile" not in wanted.menus


def test_snmp_is_asked_as_the_nas_entry_has_it() -> None:
    def community(agent: SnmpAgent) -> Mapping[str, str | None]:
        wanted = desired_of(intent_of(EVERYTHING), around(RELEASES[-1], agent))
        (row,) = (row for row in wanted.rows if row.menu == "/snmp/community")
        return row.values

    assert community(COMMUNITY) == {
        "name": "c0mmunity", "addresses": "192.0.2.0/24", "read-access": "yes", "write-access": "no",
        "security": "none",
    }  # fmt: skip
    user = community(V3_USER)
    assert (user["name"], user["security"]) == ("noc-user", "private")
    assert (user["authentication-protocol"], user["authentication-password"]) == ("SHA1", "auth-passphrase")
    assert (user["encryption-protocol"], user["encryption-password"]) == ("AES", "priv-passphrase")
    assert community(SnmpAgent("noc-user", "md5", "auth-passphrase"))["security"] == "authorized"


@pytest.mark.parametrize("agent", [None, SnmpAgent("u", "sha256", "x" * 8), SnmpAgent("u", "md5", "x", "aes256", "y")])
def test_snmp_that_nobody_set_or_routeros_cannot_do_is_refused_by_its_name(agent: SnmpAgent | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        desired_of(intent_of(EVERYTHING), around(RELEASES[-1], agent))
    assert refused.value.field == "management.snmp"


def secrets_of(agent: SnmpAgent) -> set[str]:
    return {"s3cret", agent.name, agent.authentication_passphrase, agent.encryption_passphrase} - {""}


@pytest.mark.parametrize("agent", [COMMUNITY, V3_USER])
@pytest.mark.parametrize("release", RELEASES)
def test_no_command_or_problem_for_people_has_a_secret_in_it(release: Release, agent: SnmpAgent) -> None:
    """Whether rows are added, changed, taken away, or somebody else's."""
    router, wanted = fresh_router(), desired_of(intent_of(EVERYTHING), around(release, agent))
    made = make_plan(wanted, router.menus, release, {})
    for menu, values in ((step.menu, step.values) for step in made.steps if isinstance(step, Add)):
        router.menus[menu].append({".id": f"*{len(router.menus[menu]) + 1:X}", **values})
    owned = added(made, release)
    other = {name: value for name, value in EVERYTHING.items() if name != "radius"} | {
        "management": {"networks": ["192.0.2.0/24"]}, "radius": {"servers": [{"address": "192.0.2.12"}]},
    }  # fmt: skip
    plans = [made, make_plan(desired_of(intent_of(other), around(release)), router.menus, release, owned)]
    for row in router.menus["/snmp/community"]:
        row.update({"addresses": "0.0.0.0/0"})
    plans.append(make_plan(wanted, router.menus, release, owned))
    for row in router.menus["/snmp/community"]:
        row.pop("comment", None)
    plans.append(make_plan(wanted, router.menus, release, {}))
    assert plans[-1].problems
    told = [line for plan in plans for line in [*commands(plan.steps), *map(repr, plan.problems)]]
    assert any("/snmp community remove" in line for line in told)
    assert any("/snmp community set" in line for line in told)
    for secret in secrets_of(agent):
        assert [line for line in told if secret in line] == []


def change(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def apply(body: dict[str, Any]) -> None:
        for name in path[:-1]:
            body = body[name]
        body[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        (change("radius", "servers", to=[]), "radius.servers"),
        (change("radius", "servers", to=[{"address": "ns1"}]), "radius.servers"),
        (change("radius", "timeout_ms", to="3s"), "radius.timeout_ms"),
        (change("radius", "interim_seconds", to=5), "radius.interim_seconds"),
        (change("pools", 0, "ranges", to="100.64.0.9-100.64.0.2"), "pools[0].ranges"),
        (change("pools", 0, "ranges", to="2001:db8::/64"), "pools[0].ranges"),
        (change("pools", 0, "next", to="nowhere"), "pools[0].next"),
        (change("pools", 1, "name", to="homes"), "pools"),
        (change("pools", 1, "next", to="homes"), "pools"),
        (change("ipv6_pools", 0, "prefix_length", to=65), "ipv6_pools[0].prefix_length"),
        (change("ipv6_pools", 0, "prefix", to="192.0.2.0/24"), "ipv6_pools[0].prefix"),
        (change("profile", to=None), "profile"),
        (change("profile", "pool", to="nowhere"), "profile.pool"),
        (change("pppoe", 1, "vlans", to="200-100"), "pppoe[1].vlans"),
        (change("pppoe", 1, "vlans", to="4095"), "pppoe[1].vlans"),
        (change("pppoe", 0, "authentication", to=["eap"]), "pppoe[0].authentication[0]"),
        (change("pppoe", 0, "mtu", to=1), "pppoe[0].mtu"),
        (change("pppoe", 0, "speed", to=1), "pppoe[0]"),
        (change("walled_garden", "portal", to="2001:db8::1"), "walled_garden.portal"),
        (change("walled_garden", "allowed", to=["not a host"]), "walled_garden.allowed"),
        (change("management", "networks", to=[]), "management.networks"),
        (change("management", "services", to=["ssh"]), "management.services"),
        (change("radius", "radsec", to={"certificate": "no name"}), "radius.radsec.certificate"),
        (change("radius", to=None), "radius"),
        (change("dhcp", 0, "network", to="100.66.0.1/22"), "dhcp[0].network"),
        (change("dhcp", 0, "gateway", to="100.67.0.1"), "dhcp[0].gateway"),
        (change("dhcp", 0, "radius", to="no"), "dhcp[0].pool"),
        (change("dhcp", 1, "pool", to="nowhere"), "dhcp[1].pool"),
        (change("dhcp", 1, "vlan", to=4095), "dhcp[1].vlan"),
        (change("dhcp", 1, "network", to="100.66.3.0/24"), "dhcp[1].gateway"),
        (change("dhcp", 0, "delegated_ipv6_pool", to="homes"), "dhcp[0].delegated_ipv6_pool"),
        (
            change("dhcp", 1, to={"interface": "ether3", "vlan": 101, "network": "10.0.0.0/24", "gateway": "10.0.0.1"}),
            "dhcp[1].vlan",
        ),
        (change("dhcp", 1, "vlan", to=None), "dhcp"),
        (change("dhcp", 0, "network", to="100.64.0.0/10"), "dhcp"),
        (change("hotspots", 0, "pool", to="nowhere"), "hotspots[0].pool"),
        (change("hotspots", 0, "login_by", to=["https"]), "hotspots[0].certificate"),
        (change("hotspots", 0, "allowed", to=["2001:db8::/32"]), "hotspots[0].allowed"),
        (change("hotspots", 0, "allowed", to=["not a host"]), "hotspots[0].allowed"),
        (change("queues", "types", 0, "name", to="default"), "queues.types[0].name"),
        (change("queues", "types", 0, "classifier", to=None), "queues.types[0].classifier"),
        (change("queues", "types", 0, "rate", to="fast"), "queues.types[0].rate"),
        (change("queues", "trees", 0, "parent", to="homes"), "queues.trees[0].parent"),
        (change("queues", "trees", 1, "queue", to="nothing"), "queues.trees[1].queue"),
        (change("queues", "trees", 1, "max_limit", to="1Mbit"), "queues.trees[1].max_limit"),
        (change("management", "user", "networks", to=[]), "management.user.networks"),
        (change("management", "back_doors", to="open"), "management.back_doors"),
        (change("probe", "ping", to=[]), "probe.ping"),
        (change("probe", "ping", to=["example.com"]), "probe.ping"),
        (change("probe", "source", to="2001:db8::1"), "probe.ping"),
        (change("probe", "count", to=11), "probe.count"),
        (change("probe", "loss_percent", to=100), "probe.loss_percent"),
        (change("management", "snmp", "networks", to=[]), "management.snmp.networks"),
        (change("management", "snmp", "community", to="public"), "management.snmp"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(changed: Callable[[dict[str, Any]], None], field: str) -> None:
    body = copy.deepcopy(dict(EVERYTHING))
    changed(body)
    with pytest.raises(InvalidInput) as refused:
        intent_of(body)
    assert refused.value.field == field


FIELDS = st.sampled_from(
    [
        "radius",
        "pools",
        "profile",
        "pppoe",
        "walled_garden",
        "management",
        "servers",
        "address",
        "name",
        "ranges",
        "dhcp",
        "hotspots",
        "queues",
        "types",
        "trees",
        "probe",
        "ping",
        "interface",
        "network",
        "allowed",
    ]
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    )
)
def test_whatever_is_said_is_taken_or_refused(body: Any) -> None:
    try:
        intent_of(body if isinstance(body, dict) else {"radius": body})
    except InvalidInput:
        return


def leaves(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in an intent something is said."""
    inner = body.items() if isinstance(body, Mapping) else enumerate(body) if isinstance(body, list) else ()
    found = [leaf for key, value in inner for leaf in leaves(value, (*path, key))]
    yield from (found or [path])


def at(body: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        body = body[key]
    return body


WHOLE = {**EVERYTHING, **MODERN}
LEAVES = list(leaves(WHOLE))
SAID = st.sampled_from([at(WHOLE, path) for path in LEAVES])
ODD = st.sampled_from(
    ["", "*", "a b", "0", "none", "all", "::1", "0.0.0.0/0", "*.x", "é", 0, -1, 65536, True, None, []]
)


@settings(max_examples=300)
@given(st.sampled_from(LEAVES), SAID | ODD, st.sampled_from(BODIES))
def test_whatever_one_thing_is_changed_to_it_is_refused_by_its_name_or_makes_rows_as_routers_have_them(
    path: tuple[Any, ...], value: Any, of: tuple[Release, Any]
) -> None:
    body = copy.deepcopy(dict(WHOLE))
    change(*path, to=value)(body)
    release = of[0]
    try:
        wanted = desired_of(intent_of(body), around(release))
    except InvalidInput as refused:
        assert refused.field  # noqa: PT017
        return
    marks = [(row.menu, row.mark) for row in wanted.rows if row.mark is not None]
    keys = [(row.menu, key_of(MENUS[row.menu], row.values)) for row in wanted.rows if MENUS[row.menu].key]
    assert len(set(marks)) == len(marks)
    assert len(set(keys)) == len(keys)
    for row in (*wanted.rows, *wanted.settings):
        for name, said in row.values.items():
            known = MENUS[row.menu].fields[name]
            assert known.kind is not Kind.CHOICE or said in {None, *known.choices}, f"{row.menu} {name}"
    make_plan(wanted, fresh_router().menus, release, {})


def test_the_manual_lists_every_menu_and_parameter_and_the_releases_that_know_it() -> None:
    told = {}
    for line in (Path(__file__).parents[2] / "docs" / "provisioning.md").read_text().splitlines():
        if line.startswith("| `/"):
            menu, parameters = (part.strip() for part in line.strip("|").split("|"))
            told[menu.strip("`")] = set(parameters.split(", "))
    used: dict[str, set[str]] = {}
    for (release, body), snmp in product(BODIES, (COMMUNITY, V3_USER)):
        wanted = desired_of(intent_of(body), around(release, snmp))
        for row in (*wanted.rows, *wanted.settings):
            used.setdefault(row.menu, set()).update(row.values)
    used["/interface/pppoe-server/server"].add("accept-untagged")
    assert told == {menu: {_told(menu, name) for name in names} for menu, names in used.items()}


def _told(menu: str, name: str) -> str:
    field = MENUS[menu].fields[name]
    if field.until is not None:
        return f"{name} (before {field.until.major}.{field.until.minor})"
    return name if field.since is None else f"{name} ({field.since.major}.{field.since.minor}+)"

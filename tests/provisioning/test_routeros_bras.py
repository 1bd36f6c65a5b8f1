"""What a provider says of a BRAS, as the rows that it should have."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, ip_address
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned_router import PlannedRouter

from aaa.connection_log.models import NatOrder
from aaa.connection_log.nat import DeterministicNat
from core.errors import InvalidInput
from provisioning.routeros.bras import SnmpAgent, Surroundings, desired_of, intent_of
from provisioning.routeros.client import Row
from provisioning.routeros.planning import Add, Wanted, added, make_plan
from provisioning.routeros.planning.script import commands
from provisioning.routeros.schema import MENUS, Kind, Release

RELEASES = [Release(6, 49), Release(7, 12), Release(7, 18)]
EVERYTHING: Mapping[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}, {"address": "192.0.2.11"}], "source": "192.0.2.1"},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254", "next": "more"},
              {"name": "more", "ranges": "100.65.0.0/22"}],
    "ipv6_pools": [{"name": "delegated", "prefix": "2001:db8::/32", "prefix_length": 56}],
    "profile": {"local_address": "100.64.0.1", "dns": ["192.0.2.53"], "pool": "homes",
                "delegated_ipv6_pool": "delegated"},
    "pppoe": [{"interface": "ether2", "service_name": "isp"}, {"interface": "ether3", "vlans": "100-102,200"}],
    "walled_garden": {"portal": "192.0.2.80", "portal_port": 8080, "dns": ["192.0.2.53", "2001:db8::53"],
                      "allowed": ["198.51.100.0/24", "pix.example.com"]},
    "cgnat": ["cgnat-1"],
    "management": {"networks": ["192.0.2.0/24"], "ntp": ["192.0.2.123"], "syslog": {"server": "192.0.2.44"},
                   "snmp": {"networks": ["192.0.2.0/24"], "contact": "noc"}},
    "probe": {"ping": ["198.51.100.1"], "source": "192.0.2.1"},
}  # fmt: skip
NAT = DeterministicNat(IPv4Address("100.64.0.0"), IPv4Address("100.64.0.40"), IPv4Address("203.0.113.0"),
                       IPv4Address("203.0.113.1"), 2000, 1024, 65535, NatOrder.PORTS_FIRST)  # fmt: skip


COMMUNITY = SnmpAgent("c0mmunity")
V3_USER = SnmpAgent("noc-user", "sha1", "auth-passphrase", "aes128", "priv-passphrase")


def around(release: Release, snmp: SnmpAgent | None = COMMUNITY) -> Surroundings:
    return Surroundings(release, "s3cret", 3799, "walled-garden", {"cgnat-1": NAT}, snmp)


def fresh_router() -> PlannedRouter:
    menus: dict[str, list[Row]] = {path: [{}] if menu.single else [] for path, menu in MENUS.items()}
    menus["/interface"] = [{".id": f"*{n}", "name": f"ether{n}"} for n in range(1, 6)]
    names = ("api", "api-ssl", "ftp", "ssh", "telnet", "winbox", "www", "www-ssl")
    menus["/ip/service"] = [{".id": f"*{n}", "name": name, "disabled": "false"} for n, name in enumerate(names)]
    return PlannedRouter(menus)


@pytest.mark.parametrize("release", RELEASES)
def test_a_fresh_router_becomes_a_bras_and_stays_one(release: Release) -> None:
    router, wanted = fresh_router(), desired_of(intent_of(EVERYTHING), around(release))
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
        return [row for row in desired_of(intent_of(EVERYTHING), around(release)).rows if row.menu == menu]

    assert [row.values["name"] for row in of(Release(7, 12), "/interface/vlan")] == [
        "ether3.100", "ether3.101", "ether3.102", "ether3.200",
    ]  # fmt: skip
    assert of(Release(7, 18), "/interface/vlan") == []
    servers = of(Release(7, 18), "/interface/pppoe-server/server")
    assert [row.values["pppoe-over-vlan-range"] for row in servers] == ["", "100-102,200"]


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
    ["radius", "pools", "profile", "pppoe", "walled_garden", "management", "servers", "address", "name", "ranges"]
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


def test_the_manual_lists_every_menu_and_parameter_and_the_releases_that_know_it() -> None:
    told = {}
    for line in (Path(__file__).parents[2] / "docs" / "provisioning.md").read_text().splitlines():
        if line.startswith("| `/"):
            menu, parameters = (part.strip() for part in line.strip("|").split("|"))
            told[menu.strip("`")] = set(parameters.split(", "))
    used: dict[str, set[str]] = {}
    for release, snmp in product(RELEASES, (COMMUNITY, V3_USER)):
        wanted = desired_of(intent_of(EVERYTHING), around(release, snmp))
        for row in (*wanted.rows, *wanted.settings):
            used.setdefault(row.menu, set()).update(row.values)
    used["/interface/pppoe-server/server"].add("accept-untagged")
    assert told == {menu: {_told(menu, name) for name in names} for menu, names in used.items()}


def _told(menu: str, name: str) -> str:
    field = MENUS[menu].fields[name]
    if field.until is not None:
        return f"{name} (before {field.until.major}.{field.until.minor})"
    return name if field.since is None else f"{name} ({field.since.major}.{field.since.minor}+)"

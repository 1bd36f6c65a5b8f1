"""What somebody changed at a box, said in its intent: all that an intent can say, and then nothing of it differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routeros_boxes import do, lone_router, rows

from provisioning.routeros.bras import Accepted, Intent, SnmpAgent, Surroundings, accept, desired_of, intent_of
from provisioning.routeros.change.applying import apply_step
from provisioning.routeros.client import Row
from provisioning.routeros.planning import added, make_plan
from provisioning.routeros.planning.script import commands
from provisioning.routeros.schema import MENUS
from provisioning.simulators.routeros import Router, Version

BODY: dict[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}, {"address": "192.0.2.11"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254", "next": "more"},
              {"name": "more", "ranges": "100.65.0.0/24"}],
    "ipv6_pools": [{"name": "six", "prefix": "2001:db8::/40", "prefix_length": 56}],
    "profile": {"local_address": "100.64.0.1", "dns": ["192.0.2.53"], "pool": "homes", "delegated_ipv6_pool": "six"},
    "pppoe": [{"interface": "ether2"}, {"interface": "ether3", "vlans": "100-102"}],
    "dhcp": [{"interface": "ether4", "network": "100.66.0.0/24", "gateway": "100.66.0.1", "pool": "more"}],
    "hotspots": [{"interface": "ether5", "address": "10.5.0.1", "pool": "more", "allowed": ["198.51.100.7"]}],
    "queues": {"types": [{"name": "each", "kind": "pcq", "rate": "5M", "classifier": "dst-address"}],
               "trees": [{"name": "all", "parent": "ether1", "queue": "each", "max_limit": "100M"}]},
    "walled_garden": {"portal": "192.0.2.80", "dns": ["192.0.2.53"], "allowed": ["198.51.100.0/24"]},
    "management": {"networks": ["192.0.2.0/24"], "ntp": ["192.0.2.123"], "services": ["api", "ssh"],
                   "syslog": {"server": "192.0.2.20"},
                   "snmp": {"networks": ["192.0.2.0/24"]}},
}  # fmt: skip
VERSIONS = [Version.V6_49, Version.V7_12, Version.V7_18, Version.V7_23]


class World:
    """A simulated router that is what its intent says."""

    def __init__(self, version: Version, body: Mapping[str, Any] = BODY) -> None:
        self.version = version
        self.intent = intent_of(body)
        self.router: Router = lone_router(version)
        self.around = Surroundings(version.release, "s3cret", 3799, "walled-garden", snmp=SnmpAgent("watch"))
        desired = desired_of(self.intent, self.around)
        self.menus = desired.menus | {one.menu for one in desired.settings}
        plan = make_plan(desired, self.actual(), version.release, {})
        self.owned = added(plan, version.release)
        for step in plan.steps:
            _apply(self.router, step)
        assert self.left(self.intent) == []

    def actual(self) -> dict[str, list[Row]]:
        return {menu: rows(self.router, menu) for menu in self.menus}

    def left(self, intent: Intent) -> list[str]:
        desired = desired_of(intent, self.around)
        return commands(make_plan(desired, self.actual(), self.version.release, self.owned).steps)

    def accepted(self) -> Accepted:
        found = accept(self.intent, self.around, self.actual(), self.owned)
        assert self.left(found.intent) == list(found.rest)
        return found

    def set(self, menu: str, number: str | None = None, **values: str) -> None:
        which = {} if number is None else {"numbers": number}
        do(self.router, f"{menu}/set", **which, **values)

    def ids(self, menu: str, **said: str) -> list[str]:
        return [row[".id"] for row in rows(self.router, menu) if all(row.get(k) == v for k, v in said.items())]


def _apply(router: Router, step: Any) -> None:
    apply_step(_Local(router), step)  # type: ignore[arg-type]


class _Local:
    """What steps ask of a client, at a router without a socket."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def call(self, command: str, arguments: Mapping[str, str]) -> list[Row]:
        do(self._router, command, **{name.replace("-", "_") if name != ".id" else "_id": value
                                     for name, value in arguments.items()})  # fmt: skip
        return []


CHANGES: dict[str, tuple[str, dict[str, str], dict[str, str], str]] = {
    "a pool's ranges": ("/ip/pool", {"name": "homes"}, {"ranges": "100.64.0.2-100.64.7.254"}, "pools[0].ranges"),
    "the pool that follows": ("/ip/pool", {"name": "homes"}, {"next_pool": "none"}, "pools[0].next"),
    "an IPv6 pool": ("/ipv6/pool", {"name": "six"}, {"prefix": "2001:db8:100::/40"}, "ipv6_pools[0].prefix"),
    "a RADIUS port": ("/radius", {"address": "192.0.2.11"}, {"authentication_port": "11812"},
                      "radius.servers[1].authentication_port"),
    "a RADIUS server": ("/radius", {"address": "192.0.2.11"}, {"address": "192.0.2.12"}, "radius.servers[1].address"),
    "the profile's DNS": ("/ppp/profile", {"name": "provedor"}, {"dns_server": "192.0.2.53,192.0.2.54"}, "profile.dns"),
    "the profile's address": ("/ppp/profile", {"name": "provedor"}, {"local_address": "100.64.0.9"},
                              "profile.local_address"),
    "who syslog goes to": ("/system/logging/action", {"name": "provedor"}, {"remote": "192.0.2.21"},
                           "management.syslog.server"),
    "a service": ("/ip/service", {"name": "winbox"}, {"disabled": "no", "address": "192.0.2.0/24"},
                  "management.services"),
    "PPPoE's sessions": ("/interface/pppoe-server/server", {"interface": "ether2"}, {"max_sessions": "500"},
                         "pppoe[0].max_sessions"),
    "PPPoE's one session": ("/interface/pppoe-server/server", {"interface": "ether2"}, {"one_session_per_host": "no"},
                            "pppoe[0].one_session_per_host"),
    "a DHCP server's time": ("/ip/dhcp-server", {"name": "ipoe-ether4"}, {"lease_time": "30m"},
                             "dhcp[0].lease_seconds"),
    "a DHCP server's pool": ("/ip/dhcp-server", {"name": "ipoe-ether4"}, {"address_pool": "static-only"},
                             "dhcp[0].pool"),
    "who a DHCP server asks": ("/ip/dhcp-server", {"name": "ipoe-ether4"}, {"use_radius": "accounting"},
                               "dhcp[0].radius"),
    "a network's DNS": ("/ip/dhcp-server/network", {"address": "100.66.0.0/24"}, {"dns_server": "192.0.2.53"},
                        "dhcp[0].dns"),
    "a hotspot's name": ("/ip/hotspot/profile", {"name": "hotspot-ether5"}, {"dns_name": "login.example"},
                         "hotspots[0].dns_name"),
    "a hotspot's devices": ("/ip/hotspot", {"name": "hotspot-ether5"}, {"addresses_per_mac": "4"},
                            "hotspots[0].addresses_per_mac"),
    "a queue's rate": ("/queue/type", {"name": "each"}, {"pcq_rate": "8M"}, "queues.types[0].rate"),
    "a tree's limit": ("/queue/tree", {"name": "all"}, {"max_limit": "200M"}, "queues.trees[0].max_limit"),
    "PPPoE's MTU": ("/interface/pppoe-server/server", {"interface": "ether2"}, {"max_mtu": "1492", "max_mru": "1492"},
                    "pppoe[0].mtu"),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", CHANGES)
def test_what_an_intent_can_say_is_taken_and_nothing_of_it_differs_then(version: Version, what: str) -> None:
    menu, which, values, path = CHANGES[what]
    world = World(version)
    (number,) = world.ids(menu, **which)
    world.set(menu, number, **values)
    found = world.accepted()
    assert [line.partition(":")[0] for line in found.taken] == [path]
    assert found.rest == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_ntp_servers_and_settings(version: Version) -> None:
    world = World(version)
    servers = {"servers": "192.0.2.1,192.0.2.2"}
    if version.release < (7, 0):
        servers = {"primary_ntp": "192.0.2.1", "secondary_ntp": "192.0.2.2"}
    world.set("/system/ntp/client", **servers)
    world.set("/ppp/aaa", interim_update="10m")
    world.set("/ip/dhcp-server/config", interim_update="10m")
    world.set("/snmp", location="the tower")
    found = world.accepted()
    assert found.rest == ()
    assert found.intent.management is not None
    assert found.intent.management.ntp == ("192.0.2.1", "192.0.2.2")
    assert found.intent.radius is not None
    assert found.intent.radius.interim_seconds == 600


@pytest.mark.parametrize("version", VERSIONS)
def test_what_one_value_says_for_many_rows_is_taken_when_all_of_them_changed(version: Version) -> None:
    """A timeout is every server's; of one server alone an intent cannot say it."""
    world = World(version)
    first, second = world.ids("/radius")
    world.set("/radius", first, timeout="5s")
    alone = world.accepted()
    assert (alone.taken, len(alone.rest)) == ((), 1)
    assert "timeout=3000ms" in alone.rest[0]
    world.set("/radius", second, timeout="5s")
    assert world.accepted().taken == ("radius.timeout_ms: 3000 -> 5000",)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_secret_and_what_is_no_intents_to_say_are_left(version: Version) -> None:
    world = World(version)
    world.set("/radius", world.ids("/radius")[0], secret="his own")
    world.set("/radius/incoming", port="3800")
    world.set("/ppp/profile", "provedor", change_tcp_mss="no")
    found = world.accepted()
    assert found.taken == ()
    assert len(found.rest) == 3
    assert "his own" not in str(found)
    assert "s3cret" not in str(found.rest)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_somebody_removed_is_not_wanted_any_more(version: Version) -> None:
    """A pool goes only after who names it."""
    world = World(version)
    world.set("/ip/pool", "homes", next_pool="none")
    world.set("/ip/dhcp-server", "ipoe-ether4", address_pool="homes")
    world.set("/ip/hotspot", "hotspot-ether5", address_pool="homes")
    do(world.router, "/ip/pool/remove", numbers="more")
    (allowed,) = world.ids("/ip/firewall/address-list", address="198.51.100.0/24")
    do(world.router, "/ip/firewall/address-list/remove", _id=allowed)
    (second,) = world.ids("/radius", address="192.0.2.11")
    do(world.router, "/radius/remove", _id=second)
    (server,) = world.ids("/interface/pppoe-server/server", interface="ether2")
    do(world.router, "/interface/pppoe-server/server/remove", _id=server)
    (reached,) = world.ids("/ip/hotspot/walled-garden/ip", server="hotspot-ether5")
    do(world.router, "/ip/hotspot/walled-garden/ip/remove", _id=reached)
    do(world.router, "/queue/tree/remove", numbers="all")
    found = world.accepted()
    assert found.rest == ()
    assert found.intent.queues is not None
    assert found.intent.queues.trees == ()
    assert [one.name for one in found.intent.pools] == ["homes"]
    assert [one.interface for one in found.intent.pppoe] == ["ether3"]
    assert found.intent.radius is not None
    assert len(found.intent.radius.servers) == 1


def test_a_profile_without_its_pool_and_the_pool_gone_is_taken_in_two_edits() -> None:
    world = World(Version.V7_18)
    do(world.router, "/ppp/profile/unset", numbers="provedor", value_name="remote-address")
    world.set("/ip/pool", "homes", next_pool="none")
    do(world.router, "/ip/pool/remove", numbers="homes")
    found = world.accepted()
    assert found.rest == ()
    assert found.intent.profile is not None
    assert found.intent.profile.pool is None


def test_an_intent_that_is_kept_is_accepted_as_it_is() -> None:
    world = World(Version.V7_18)
    found = world.accepted()
    assert (found.intent, found.taken, found.rest) == (world.intent, (), ())


_VALUES = st.sampled_from([
    "yes", "no", "none", "", "1", "1492", "5s", "10m", "192.0.2.77", "192.0.2.0/25", "10.0.0.0/8", "homes", "more",
    "100.66.0.0/24", "pap,chap", "unlimited", "é", "2001:db8:77::/48", "64", "provedor", "100-110",
])  # fmt: skip
_CHANGED = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000), _VALUES), max_size=6)
_REMOVED = st.lists(st.integers(0, 10_000), max_size=3)


@settings(max_examples=150, deadline=None)
@given(changed=_CHANGED, removed=_REMOVED)
def test_whatever_somebody_changed_less_differs_then_and_the_rest_is_told(
    changed: list[tuple[int, int, str]], removed: list[int]
) -> None:
    """Rows of our own, any of their fields to anything, and any of them gone."""
    actual = {menu: [dict(row) for row in found] for menu, found in ACTUAL.items()}
    places = [(menu, row) for menu, found in actual.items() for row in found]
    for at, which, value in changed:
        menu, row = places[at % len(places)]
        names = [name for name, field in MENUS[menu].known_to(RELEASE).items() if name != "comment"]
        row[names[which % len(names)]] = value
    for at in removed:
        menu, row = places[at % len(places)]
        if not MENUS[menu].single:
            actual[menu] = [one for one in actual[menu] if one is not row]
    found = accept(INTENT, AROUND, actual, OWNED)
    before = _plan(INTENT, actual)
    after = _plan(found.intent, actual)
    assert list(found.rest) == after
    assert len(after) <= len(before)
    assert bool(found.taken) == (found.intent != INTENT)
    again = accept(found.intent, AROUND, actual, OWNED)
    assert (again.taken, again.rest) == ((), found.rest)


def _plan(intent: Intent, actual: dict[str, list[Row]]) -> list[str]:
    return commands(make_plan(desired_of(intent, AROUND), actual, RELEASE, OWNED).steps)


RELEASE = Version.V7_18.release
INTENT = intent_of(BODY)
AROUND = Surroundings(RELEASE, "s3cret", 3799, "walled-garden", snmp=SnmpAgent("watch"))
_WORLD = World(Version.V7_18)
ACTUAL, OWNED = _WORLD.actual(), _WORLD.owned

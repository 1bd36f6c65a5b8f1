"""What a router is, as an intent: planned for, nothing at it changes but that rows become ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from routeros_boxes import USER, Box, box, do

from provisioning.adopt.found import MENUS_READ, PPPOE, Found, read_box
from provisioning.adopt.intent import ProposedIntent, propose_intent
from provisioning.adopt.owning import rows_named
from provisioning.routeros.bras import Surroundings, desired_of
from provisioning.routeros.bras.checking import intent_of
from provisioning.routeros.client import RouterOs
from provisioning.routeros.planning import Change, Plan, make_plan
from provisioning.routeros.reading import read_rows
from provisioning.routeros.schema import Release
from provisioning.simulators.routeros import Version, load

EXPORT = Path(__file__).parents[1] / "small_provider.rsc"


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def bras(request: pytest.FixtureRequest) -> Iterator[Box]:
    """As somebody set it up by hand."""
    with box(version=request.param) as one:
        do(one.router, "/ip/pool/add", name="reserva", ranges="100.65.0.2-100.65.0.254", comment="de sobra")
        do(one.router, "/ip/pool/add", name="clientes", ranges="100.64.0.2-100.64.3.254", **{"next-pool": "reserva"})
        do(one.router, "/ppp/profile/add", name="base", **{
            "local-address": "100.64.0.1", "remote-address": "clientes", "dns-server": "192.0.2.53",
        })  # fmt: skip
        do(one.router, "/interface/pppoe-server/server/add", interface="ether2", disabled="no", **{
            "default-profile": "base", "max-mtu": "1480", "max-mru": "1480", "service-name": "internet",
            "max-sessions": "500",
        })  # fmt: skip
        yield one


def _read(one: Box) -> Found:
    client = RouterOs(one.access())
    try:
        return read_box(client)
    finally:
        client.close()


def _plan(one: Box, proposed: ProposedIntent, *, adopted: bool) -> Plan:
    client = RouterOs(one.access())
    release = _read(one).release
    desired = desired_of(intent_of(proposed.body), Surroundings(release, "x", 3799, "walled-garden"))
    rows = read_rows(client, desired.menus | {setting.menu for setting in desired.settings}, release)
    client.close()
    owned = rows_named(desired, rows, {}) if adopted else {}
    return make_plan(desired, rows, release, owned)


def test_a_router_set_up_by_hand_is_said_as_an_intent(bras: Box) -> None:
    found = propose_intent(_read(bras))
    assert found.body["pools"] == [
        {"name": "reserva", "ranges": "100.65.0.2-100.65.0.254"},
        {"name": "clientes", "ranges": "100.64.0.2-100.64.3.254", "next": "reserva"},
    ]
    assert found.body["profile"] == {
        "name": "base", "local_address": "100.64.0.1", "dns": ["192.0.2.53"], "pool": "clientes",
        "delegated_ipv6_pool": None,
    }  # fmt: skip
    (server,) = found.body["pppoe"]
    assert (server["interface"], server["max_sessions"], server["one_session_per_host"]) == ("ether2", 500, False)
    assert "radius" not in found.body
    assert "management" not in found.body


def test_planned_for_it_is_ours_only_when_adopted_and_nothing_else_changes(bras: Box) -> None:
    proposed = propose_intent(_read(bras))
    stranger = _plan(bras, proposed, adopted=False)
    assert stranger.steps == ()
    assert len(stranger.problems) == 4
    plan = _plan(bras, proposed, adopted=True)
    assert plan.problems == ()
    for step in plan.steps:
        assert isinstance(step, Change)
        # what takes our entries away when a session ends is added to the profile, whose own script there was none
        assert set(step.values) - {"on-down"} <= {"comment"}
        assert (step.values.get("comment") or "provedor:access/").startswith("provedor:access/")
        assert "on-down" not in step.values or (step.menu, step.was["on-down"]) == ("/ppp/profile", "")


def test_what_an_intent_cannot_say_is_told() -> None:
    with box() as one:
        load(one.router, EXPORT.read_text(errors="surrogateescape"), USER)
        do(one.router, "/ip/pool/add", name="com espaço", ranges="100.66.0.2-100.66.0.9")
        do(one.router, "/ppp/aaa/set", **{"use-radius": "yes", "interim-update": "10m"})
        for service in ("telnet", "ftp", "www", "ssh", "www-ssl", "winbox", "api-ssl"):
            do(one.router, "/ip/service/set", _id=service, disabled="yes")
        do(one.router, "/ip/service/set", _id="api", address="127.0.0.0/8")
        do(one.router, "/system/ntp/client/set", enabled="yes", servers="192.0.2.123")
        found = propose_intent(_read(one))
    assert found.body["radius"]["servers"] == [
        {"address": "192.0.2.10", "authentication_port": 1812, "accounting_port": 1813}
    ]
    assert found.body["radius"]["interim_seconds"] == 600
    assert found.body["management"] == {"networks": ["127.0.0.0/8"], "services": ["api"], "ntp": ["192.0.2.123"]}
    assert "velho" not in str(found)
    told = "\n".join(found.told)
    assert "pool com espaço: letters, digits" in told
    assert "10M says what no profile of every session does" in told


_TEXT = st.text(max_size=8) | st.sampled_from(
    ["100.64.0.1", "homes", "true", "false", "yes", "1480", "auto", "ppp", "ppp,login", "2001:db8::/40", "56", "10-20",
     "100.64.0.2-100.64.0.9", "api", "192.0.2.1", "\udce7"]
)  # fmt: skip
_ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(
            ["name", "ranges", "next-pool", "prefix", "prefix-length", "local-address", "remote-address", "dns-server",
             "interface", "default-profile", "max-mtu", "disabled", "authentication", "service", "address", "servers",
             "enabled", "use-radius", "timeout", "interim-update", "max-sessions", "pppoe-over-vlan-range"]
        ),
        _TEXT,
        max_size=8,
    ),
    max_size=3,
)  # fmt: skip


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(MENUS_READ), _ROWS))
@example({PPPOE: [{"authentication": "\udce7"}]})
@example({PPPOE: [{"service-name": "\udce7"}]})
@example({PPPOE: [{"authentication": "\0"}]})
def test_whatever_a_router_has_the_intent_is_one_that_can_be(menus: dict[str, list[dict[str, Any]]]) -> None:
    rows = {
        menu: [{".id": f"*{number}", **_whole(menu, row)} for number, row in enumerate(found)]
        for menu, found in menus.items()
    }
    proposed = propose_intent(Found(Release(7, 18), rows))
    intent_of(proposed.body)
    kept = json.dumps([proposed.body, proposed.told], ensure_ascii=False)
    kept.encode()
    assert "\\u0000" not in kept  # which PostgreSQL holds in no text


def _whole(menu: str, row: dict[str, str]) -> dict[str, str]:
    """A router shows these of every row."""
    ports = {"authentication-port": "1812", "accounting-port": "1813"} if menu == "/radius" else {}
    return {**ports, **row}

"""Who cuts himself off from the simulated router is cut off, until it undoes what he did."""

from __future__ import annotations

import time
from typing import Any

import librouteros
import pytest
from librouteros.exceptions import ConnectionClosed, TrapError
from routeros_boxes import PASSWORD, USER, Box, Clock, box, do, lone_router, rows

from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import Unreachable
from provisioning.simulators.routeros import Router
from provisioning.simulators.routeros.reach import Client, Verdict, verdict

FILTER = "/ip/firewall/filter"
HERE = "10.9.0.5"


def connect(found: Box) -> Any:
    return librouteros.connect("127.0.0.1", USER, PASSWORD, port=found.server.port, encoding="utf-8", timeout=5)


def ours(found: Box) -> RouterOs:
    access = RouterOsAccess(1, "127.0.0.1", found.server.port, USER, PASSWORD, tls=False)
    return RouterOs(access, timeout_s=0.3)


def furnished() -> Router:
    router = lone_router()
    do(router, "/ip/firewall/address-list/add", list="admins", address="10.9.0.0/24")
    do(router, "/interface/list/add", name="LAN")
    do(router, "/interface/list/member/add", list="LAN", interface="ether1")
    return router


@pytest.mark.parametrize(
    ("rule", "new", "established"),
    [
        ({}, Verdict.DROP, Verdict.DROP),
        ({"disabled": "yes"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"chain": "forward"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"action": "reject"}, Verdict.REFUSE, Verdict.REFUSE),
        ({"protocol": "tcp", "dst-port": "22,8000-9000"}, Verdict.DROP, Verdict.DROP),
        ({"protocol": "tcp", "dst-port": "22,8729"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"protocol": "udp"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"connection-state": "new"}, Verdict.DROP, Verdict.ACCEPT),
        ({"connection-state": "!established,related"}, Verdict.DROP, Verdict.ACCEPT),
        ({"src-address": "10.9.0.0/24"}, Verdict.DROP, Verdict.DROP),
        ({"src-address": "!10.9.0.0/24"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"src-address": "10.9.0.1-10.9.0.4"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"src-address-list": "!admins"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"src-address-list": "admins"}, Verdict.DROP, Verdict.DROP),
        ({"in-interface": "ether2"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"in-interface-list": "LAN"}, Verdict.DROP, Verdict.DROP),
        ({"in-interface-list": "!LAN"}, Verdict.ACCEPT, Verdict.ACCEPT),
        ({"limit": "10,5:packet"}, Verdict.ACCEPT, Verdict.ACCEPT),
    ],
)
def test_a_rule_of_the_input_chain_decides(rule: dict[str, str], new: Verdict, established: Verdict) -> None:
    router = furnished()
    do(router, f"{FILTER}/add", **{"chain": "input", "action": "drop", **rule})
    client = Client(HERE)
    assert verdict(router.configuration, client, established=False) is new
    assert verdict(router.configuration, client, established=True) is established


def test_chains_are_jumped_to_and_returned_from_and_circles_end() -> None:
    router = furnished()
    do(router, f"{FILTER}/add", chain="input", action="jump", jump_target="mgmt")
    do(router, f"{FILTER}/add", chain="mgmt", action="return", src_address="10.9.0.0/24")
    do(router, f"{FILTER}/add", chain="mgmt", action="drop")
    do(router, f"{FILTER}/add", chain="input", action="jump", jump_target="input", src_address="10.8.0.0/24")
    assert verdict(router.configuration, Client(HERE), established=False) is Verdict.ACCEPT
    assert verdict(router.configuration, Client("192.0.2.1"), established=False) is Verdict.DROP
    do(router, f"{FILTER}/remove", numbers=rows(router, FILTER)[2][".id"])
    assert verdict(router.configuration, Client("10.8.0.1"), established=False) is Verdict.ACCEPT


def test_a_client_comes_in_where_the_router_has_an_address_of_his_network() -> None:
    router = furnished()
    do(router, f"{FILTER}/add", chain="input", action="drop", in_interface_list="!LAN")
    assert verdict(router.configuration, Client(HERE), established=False) is Verdict.ACCEPT
    do(router, "/ip/address/add", address="10.9.0.1/24", interface="ether3")
    assert verdict(router.configuration, Client(HERE), established=False) is Verdict.DROP
    do(router, "/ip/address/disable", numbers="*1")
    assert verdict(router.configuration, Client(HERE), established=False) is Verdict.ACCEPT


@pytest.mark.parametrize("change", [{"disabled": "yes"}, {"address": "192.0.2.0/24"}])
def test_a_service_that_is_off_lets_nobody_new_in(change: dict[str, str]) -> None:
    with box(firewall=True, seen_as=HERE) as found:
        api = connect(found)
        tuple(api("/ip/service/set", numbers="api", **change))
        assert next(iter(api("/system/identity/print"))) == {"name": "bras-1"}  # who is in stays in
        with pytest.raises((ConnectionClosed, OSError)):
            connect(found)


def test_a_user_comes_from_where_he_may() -> None:
    with box(firewall=True, seen_as=HERE) as found:
        do(found.router, "/user/set", numbers=USER, address="10.9.0.0/24")
        connect(found)
        do(found.router, "/user/set", numbers=USER, address="10.8.0.0/24")
        with pytest.raises(TrapError, match="invalid user name or password"):
            connect(found)


def test_a_dead_mans_switch_brings_back_who_cut_himself_off() -> None:
    clock = Clock()
    with box(firewall=True, seen_as=HERE, clock=clock) as found:
        client = ours(found)
        arm = {
            "name": "undo",
            "interval": "1m",
            "on-event": "/system scheduler remove undo; /ip firewall filter remove [find]",
        }
        client.call("/system/scheduler/add", arm)
        client.call(f"{FILTER}/add", {"chain": "input", "action": "drop", "src-address": "10.9.0.0/24"})
        with pytest.raises(Unreachable, match="no answer"):
            client.call("/system/identity/set", {"name": "x"})
        with pytest.raises(Unreachable, match="no answer"):
            client.rows("/system/identity", ("name",))
        clock.now += 60
        found.router.tick()
        assert client.rows("/system/identity", ("name",)) == [{"name": "bras-1"}]
        client.close()


def test_safe_mode_misses_a_connection_that_was_cut_off_only_when_tcp_gives_up() -> None:
    clock = Clock()
    with box(firewall=True, seen_as=HERE, clock=clock) as found:
        client = ours(found)
        client.call("/safe-mode/take", {})
        client.call(f"{FILTER}/add", {"chain": "input", "action": "drop"})
        with pytest.raises(Unreachable):
            client.rows("/system/identity", ("name",))
        while found.server.connections:
            time.sleep(0.001)
        clock.now += 539
        assert len(rows(found.router, FILTER)) == 1
        clock.now += 1
        assert rows(found.router, FILTER) == []
        assert client.rows("/system/identity", ("name",)) == [{"name": "bras-1"}]
        client.close()

"""Policies on the wire: what a MikroTik is told, and what of it can change live."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aaa.dictionary import describe
from aaa.packet import header, parse
from aaa.vendors import LiveChange, RedialNeeded, SessionKeys, adapter
from core.access import Access
from core.policy import Burst, Policy, ServiceTerms, intended_policy

MIKROTIK = adapter("mikrotik")
PLAN = Policy(Access.FULL, 200_000, 50_000, address_pool="residential", interim_seconds=300, session_seconds=86400)


def named(body: bytes) -> dict[str, str]:
    return dict(describe(parse(header(2, 1, len(body)) + bytes(16) + body)))


def test_upload_comes_first_in_a_mikrotik_rate_limit() -> None:
    policy = replace(PLAN, burst=Burst(400_000, 100_000, 150_000, 40_000, 10))
    given = named(MIKROTIK.accept_attributes(policy, {}))
    assert given["Mikrotik-Rate-Limit"] == "50000k/200000k 100000k/400000k 40000k/150000k 10/10"
    assert given["Framed-Pool"] == "residential"
    assert given["Session-Timeout"] == "86400"
    assert given["Acct-Interim-Interval"] == "300"


def test_static_addresses_prefixes_and_routes() -> None:
    policy = Policy(
        Access.FULL, 1, 1, ipv4_address="100.64.7.9", ipv4_routes=("192.0.2.0/29",), ipv6_prefix="2001:db8:1::/64",
        delegated_ipv6_prefix="2001:db8:2::/56",
    )  # fmt: skip
    given = named(MIKROTIK.accept_attributes(policy, {}))
    assert given["Framed-IP-Address"] == "100.64.7.9"
    assert given["Framed-IP-Netmask"] == "255.255.255.255"
    assert given["Framed-Route"] == "192.0.2.0/29 0.0.0.0 1"
    assert given["Framed-IPv6-Prefix"] == "2001:db8:1::/64"
    assert given["Delegated-IPv6-Prefix"] == "2001:db8:2::/56"


def test_names_that_differ_at_a_nas_are_used_there() -> None:
    names = {"pools": {"residential": "pool-a"}, "address_lists": {"walled-garden": "devedores"}}
    policy = replace(PLAN, address_list="walled-garden")
    given = named(MIKROTIK.accept_attributes(policy, names))
    assert (given["Framed-Pool"], given["Mikrotik-Address-List"]) == ("pool-a", "devedores")


@pytest.mark.parametrize(
    ("change", "live"),
    [
        ({"down_kbps": 1000}, True),
        ({"up_kbps": 1000, "access": Access.THROTTLED}, True),
        ({"session_seconds": None}, True),
        ({"interim_seconds": 600}, True),
        ({"address_pool": "other"}, False),
        ({"address_list": "walled-garden", "access": Access.WALLED_GARDEN}, False),
        ({"ipv4_address": "100.64.0.1"}, False),
        ({"ipv4_routes": ("192.0.2.0/29",)}, False),
        ({"delegated_ipv6_prefix": "2001:db8::/56"}, False),
        ({"access": Access.BLOCKED}, False),
    ],
)
def test_what_a_mikrotik_changes_live_and_what_needs_a_redial(change: dict[str, object], live: bool) -> None:
    answer = MIKROTIK.live_change(PLAN, replace(PLAN, **change), {})  # type: ignore[arg-type]
    assert isinstance(answer, LiveChange if live else RedialNeeded)


def test_session_keys_are_exact() -> None:
    keys = MIKROTIK.session_keys(SessionKeys("ana", "81A0000b", "100.64.0.9", "10.0.0.1"))
    assert named(keys) == {
        "User-Name": "ana", "Acct-Session-Id": "81A0000b", "Framed-IP-Address": "100.64.0.9",
        "NAS-IP-Address": "10.0.0.1",
    }  # fmt: skip


@pytest.mark.parametrize("login", ["", "\\xff" * 64], ids=["none", "octets that were no text"])
def test_a_session_whose_login_cannot_be_told_is_identified_by_the_rest(login: str) -> None:
    keys = MIKROTIK.session_keys(SessionKeys(login, "81A0000b", "100.64.0.9", None))
    assert named(keys) == {"Acct-Session-Id": "81A0000b", "Framed-IP-Address": "100.64.0.9"}


def test_a_static_address_takes_the_pools_place() -> None:
    from factories import plan_terms

    policy = intended_policy(plan_terms(), ServiceTerms(ipv4_address="100.64.0.1"), Access.FULL)
    assert policy.address_pool is None

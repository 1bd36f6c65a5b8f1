"""From policies to rows of a router, for any policies; and what is to be done with a session, case by case."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned_router import PlannedRouter

from aaa.vendors import Local
from core.access import Access
from core.policy import Burst, Policy
from provisioning.local import live
from provisioning.local.live import End, Enter, Leave, Session
from provisioning.local.models import LocalMode
from provisioning.local.profiles import FAMILY as PROFILE_FAMILY
from provisioning.local.profiles import MENU as PROFILES
from provisioning.local.profiles import Base, profile_of
from provisioning.local.rows import FAMILY, QUEUES, SECRETS, Subscriber, Way, rows_of
from provisioning.routeros.bras.intent import Profile
from provisioning.routeros.planning import Desired, added, make_plan
from provisioning.routeros.schema import Release

BASE = Base(Profile("100.64.0.1", dns=("192.0.2.53",), pool="homes"), Local({}, {}), "walled-garden")
FULL = Policy(Access.FULL, down_kbps=200_000, up_kbps=50_000)
GARDEN = Policy(Access.WALLED_GARDEN, down_kbps=1000, up_kbps=512, address_list="walled-garden")
RELEASES = [Release(6, 49), Release(7, 18)]
ENTRY = {".id": "*7", "list": "walled-garden", "address": "100.64.0.2"}

_addresses = st.integers(1, 250).map(lambda last: f"203.0.113.{last}")
_policies = st.builds(
    Policy,
    access=st.sampled_from(list(Access)),
    down_kbps=st.integers(64, 10**7),
    up_kbps=st.integers(64, 10**7),
    burst=st.none() | st.builds(Burst, *[st.integers(64, 10**6)] * 4, st.integers(1, 60)),
    address_list=st.sampled_from([None, "walled-garden", "gold"]),
    session_seconds=st.none() | st.integers(1, 10**6),
    idle_seconds=st.none() | st.integers(1, 10**6),
    dns_servers=st.sampled_from([(), ("192.0.2.1",), ("192.0.2.1", "192.0.2.2")]),
    ipv4_address=st.none() | _addresses,
)
#: What people call themselves, and what breaks programs.
_words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@st.composite
def _subscribers(draw: st.DrawFn) -> list[Subscriber]:
    logins = draw(st.lists(_words, max_size=8, unique=True))
    policies = [draw(_policies) for _ in logins]
    taken: set[str] = set()
    found = []
    for number, (login, policy) in enumerate(zip(logins, policies, strict=True)):
        address = None if policy.ipv4_address in taken else policy.ipv4_address
        taken.add(address or "")
        own = dataclasses.replace(policy, ipv4_address=address)
        found.append(Subscriber(number + 1, login, draw(_words), own))
    return found


@given(before=_subscribers(), after=_subscribers(), mode=st.sampled_from([LocalMode.SERVE, LocalMode.STANDBY]),
       in_use=st.booleans(), release=st.sampled_from(RELEASES))  # fmt: skip
def test_from_any_subscribers_to_any_others_and_then_there_is_nothing_to_do(
    before: list[Subscriber], after: list[Subscriber], mode: LocalMode, in_use: bool, release: Release
) -> None:
    theirs: dict[str, list[dict[str, str]]] = {
        SECRETS: [{".id": "*1", "name": "provedor's own", "password": "x"}],
        PROFILES: [{".id": "*2", "name": "default", "default": "true"}, {".id": "*3", "name": "gold"}],
        QUEUES: [{".id": "*4", "name": "everybody", "target": "100.64.0.0/10"}],
    }
    router = PlannedRouter({menu: [dict(row) for row in rows] for menu, rows in theirs.items()})
    owned: dict[tuple[str, tuple[str, ...]], str] = {}
    for subscribers in (before, after):
        for _ in range(2):
            wanted = tuple(rows_of(subscribers, BASE, Way(mode, in_use)))
            desired = Desired(wanted, (), frozenset({FAMILY, PROFILE_FAMILY}), frozenset(theirs))
            plan = make_plan(desired, router.menus, release, owned)
            for step in plan.steps:
                router.apply(step)
            owned |= added(plan, release)
        assert not plan
        assert not plan.problems
    for menu, rows in theirs.items():
        assert [row for row in router.menus[menu] if row in rows] == rows
    enabled = {row["name"] for row in router.menus[SECRETS] if row.get("disabled") == "no"}
    may = {one.login for one in after if one.policy.access is not Access.BLOCKED}
    assert enabled == (may if mode is LocalMode.SERVE or in_use else set())


@given(_policies.filter(lambda policy: policy.access is not Access.BLOCKED), _addresses)
def test_a_profile_is_shared_by_all_whose_policy_differs_by_their_addresses_only(policy: Policy, other: str) -> None:
    mine, same = (dataclasses.replace(policy, ipv4_address=one) for one in ("203.0.113.251", other))
    assert profile_of(mine, BASE) == profile_of(same, BASE)
    faster = dataclasses.replace(policy, ipv4_address=None, down_kbps=(policy.down_kbps or 0) + 1)
    assert profile_of(dataclasses.replace(policy, ipv4_address=None), BASE) != profile_of(faster, BASE)


def test_a_profile_in_words() -> None:
    wanted = profile_of(dataclasses.replace(GARDEN, dns_servers=("192.0.2.99",)), BASE)
    name = wanted.values["name"] or ""
    assert name.startswith("provedor-1m-512k-garden-")
    assert wanted.values == {
        "name": name, "local-address": "100.64.0.1", "remote-address": "homes", "dns-server": "192.0.2.99",
        "rate-limit": "512k/1000k", "address-list": "walled-garden", "incoming-filter": None, "outgoing-filter": None,
        "session-timeout": None, "idle-timeout": None, "change-tcp-mss": "yes", "only-one": "default",
        "use-ipv6": "no", "remote-ipv6-prefix-pool": None, "dhcpv6-pd-pool": None,
        "on-down": '/ip firewall address-list remove [find list=walled-garden address=$"remote-address"'
                   ' comment~"^provedor:(live|session)/"]',
    }  # fmt: skip


def test_a_secret_with_routes_and_a_device() -> None:
    policy = dataclasses.replace(
        FULL, ipv4_address="203.0.113.7", ipv4_routes=("198.51.100.0/28", "198.51.100.16/28"),
        ipv6_prefix="2001:db8:7::/64",
    )  # fmt: skip
    subscriber = Subscriber(9, "acme", "pw", policy, "02:00:00:00:00:09")
    secret, queue, _profile = rows_of([subscriber], BASE, Way(LocalMode.SERVE, False))
    assert secret.comment == queue.comment == "provedor:local/9"
    assert secret.values | {"profile": ""} == {
        "name": "acme", "password": "pw", "service": "pppoe", "profile": "", "caller-id": "02:00:00:00:00:09",
        "remote-address": "203.0.113.7", "remote-ipv6-prefix": "2001:db8:7::/64", "disabled": "no",
        "routes": "198.51.100.0/28 203.0.113.7 1,198.51.100.16/28 203.0.113.7 1",
    }  # fmt: skip


def test_a_plan_whose_profile_is_the_boxes_own_keeps_it_and_a_debtor_has_ours() -> None:
    gold = dataclasses.replace(FULL, profile="gold")
    (secret,) = rows_of([Subscriber(1, "a", "b", gold)], BASE, Way(LocalMode.SERVE, False))
    assert secret.values["profile"] == "gold"
    held = dataclasses.replace(gold, access=Access.THROTTLED, down_kbps=1000, up_kbps=512)
    secret, profile = rows_of([Subscriber(1, "a", "b", held)], BASE, Way(LocalMode.SERVE, False))
    assert secret.values["profile"] == profile.values["name"] != "gold"


def _decided(session: Session, policy: Policy | None, base: Base = BASE) -> list[Any]:
    subscriber = None if policy is None else Subscriber(5, "ana", "pw", policy, throttled_rate="512k/1000k")
    return list(live.decide(session, subscriber, base))


SESSION = Session("*80000001", "ana", "100.64.0.2", (), "50M/200M")
IN_GARDEN = dataclasses.replace(SESSION, entries=(ENTRY,))
THROTTLED = dataclasses.replace(SESSION, max_limit="512k/1M")
V6_BASE = dataclasses.replace(BASE, profile=Profile("100.64.0.1", pool="homes", delegated_ipv6_pool="v6"))


@pytest.mark.parametrize(
    ("session", "policy", "base", "expected"),
    [
        (SESSION, FULL, BASE, []),
        (SESSION, None, BASE, [End(SESSION, paced=True)]),
        (SESSION, Policy(Access.BLOCKED), BASE, [End(SESSION, paced=True)]),
        (SESSION, GARDEN, BASE, [Enter("100.64.0.2", "provedor:live/5")]),
        (IN_GARDEN, GARDEN, BASE, []),
        # IPv6 addresses that only the session knows would be outside the garden
        (SESSION, GARDEN, V6_BASE, [End(SESSION, paced=True)]),
        (IN_GARDEN, FULL, BASE, [Leave(ENTRY, IN_GARDEN)]),
        (THROTTLED, FULL, BASE, [End(THROTTLED, paced=False)]),
        (SESSION, dataclasses.replace(FULL, access=Access.THROTTLED, down_kbps=1000, up_kbps=512), BASE,
         [End(SESSION, paced=True)]),
        (SESSION, dataclasses.replace(FULL, down_kbps=300_000), BASE, [End(SESSION, paced=True, waits=True)]),
        (dataclasses.replace(SESSION, max_limit=None), dataclasses.replace(FULL, down_kbps=300_000), BASE, []),
    ],
)  # fmt: skip
def test_what_is_done_with_a_session(session: Session, policy: Policy | None, base: Base, expected: list[Any]) -> None:
    assert _decided(session, policy, base) == expected


def test_only_entries_of_ours_are_ours() -> None:
    assert live.is_ours({"comment": "provedor:live/7"})
    assert not live.is_ours({"comment": "provedor:garden/portal"})
    assert not live.is_ours({"comment": "mine"})
    assert not live.is_ours({})

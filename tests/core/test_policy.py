"""Policies by content: equal content, equal fingerprint, whatever the order, the process or the release."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access import Access, HoldEffect, effective_access
from core.policy import Burst, PlanTerms, Policy, ServiceTerms, intended_policy

kbps = st.integers(1, 10**9)
burst = st.builds(Burst, kbps, kbps, kbps, kbps, st.integers(1, 3600))
names = st.none() | st.text(min_size=1, max_size=12)
plans = st.builds(
    PlanTerms,
    kbps,
    kbps,
    st.none() | burst,
    names,
    names,
    st.integers(60, 86400),
    st.none() | st.integers(60),
    kbps,
    kbps,
)
services = st.builds(
    ServiceTerms,
    st.none() | st.ip_addresses(v=4).map(str),
    st.lists(st.sampled_from(["10.0.0.0/8", "192.0.2.0/24"]), max_size=2).map(tuple),
    st.none() | st.just("2001:db8::/64"),
    st.none() | st.just("2001:db8:1::/56"),
)


@given(plans, services, st.sampled_from(Access))
def test_a_policy_comes_back_from_its_body_with_its_fingerprint(
    plan: PlanTerms, service: ServiceTerms, access: Access
) -> None:
    policy = intended_policy(plan, service, access)
    body = policy.to_body()
    again = Policy.from_body(dict(reversed(body.items())))
    assert (again, again.fingerprint) == (policy, policy.fingerprint)
    assert None not in body.values()


@given(plans, services, plans, services)
def test_fingerprints_are_equal_exactly_where_policies_are(
    plan: PlanTerms, service: ServiceTerms, other_plan: PlanTerms, other_service: ServiceTerms
) -> None:
    one, other = (intended_policy(p, s, Access.FULL) for p, s in ((plan, service), (other_plan, other_service)))
    assert (one.fingerprint == other.fingerprint) == (one == other)


@pytest.mark.parametrize(
    ("values", "fingerprint"),
    [
        ({"access": Access.BLOCKED}, "a9d8877b1a884217"),
        ({"access": Access.FULL, "down_kbps": 1000, "up_kbps": 500, "address_pool": "é"}, "e9ab1731aa3d1ed6"),
    ],
)
def test_fingerprints_are_what_they_were_in_every_release(values: dict[str, Any], fingerprint: str) -> None:
    """They stand in Class attributes and in the database: a change here would put every live session out of step."""
    assert Policy(**values).fingerprint == fingerprint


@given(plans, services)
def test_a_restriction_never_gives_more(plan: PlanTerms, service: ServiceTerms) -> None:
    throttled = intended_policy(plan, service, Access.THROTTLED)
    garden = intended_policy(plan, service, Access.WALLED_GARDEN)
    assert (throttled.down_kbps, throttled.burst) == (plan.throttle_down_kbps, None)
    assert garden.address_list == "walled-garden"
    assert (throttled.ipv4_address, throttled.address_pool) == (garden.ipv4_address, garden.address_pool)
    assert intended_policy(plan, service, Access.BLOCKED) == Policy(access=Access.BLOCKED)


effects = st.lists(st.sampled_from(HoldEffect))


@given(effects, effects)
def test_effective_access_is_the_worst_of_all_in_any_order(one: list[HoldEffect], other: list[HoldEffect]) -> None:
    """A join semilattice: order, grouping and repetition do not matter, and one more hold never gives more."""
    order = list(Access)
    rank = {access: order.index(access) for access in order}
    both = effective_access([*one, *other])
    assert both == effective_access([*other, *one, *one])
    assert rank[both] == max(rank[effective_access(one)], rank[effective_access(other)])
    assert effective_access([]) is Access.FULL

"""What our adapters send, at boxes that follow the vendors' documents: a live change ends where a new login would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.bras.dialect import Configured, Dialect, Site
from aaa.bras.dialects import dialect
from aaa.bras.subscriber import Grant
from aaa.packet import Code, Packet, header, parse
from aaa.vendors import Local, RedialNeeded, adapter
from core.access import Access
from core.models.network import Vendor
from core.policy import Burst, Policy

#: Every name that a policy may have here exists at the box: lists and filters, and profiles.
NAMES = ["a", "b", "20", "30", "walled-garden"]
PROFILES = {"default": (0, 0), "gold": (70_000, 700_000), "silver": (30_000, 300_000)}
CASES: dict[str, tuple[Vendor, dict[str, Any], dict[str, str], str]] = {
    "mikrotik": (Vendor.MIKROTIK, {}, {}, "walled-garden"),
    "huawei": (Vendor.HUAWEI, {}, {}, "walled-garden"),
    "huawei, a group for everybody": (
        Vendor.HUAWEI, {"address_lists": {"full": "a"}, "urls": {"walled-garden": "http://x"}}, {}, "walled-garden",
    ),
    "cisco ios": (Vendor.CISCO, {}, {}, "walled-garden"),
    "cisco ios_xr": (Vendor.CISCO, {}, {"platform": "ios_xr"}, "walled-garden"),
    "juniper": (Vendor.JUNIPER, {}, {}, "walled-garden"),
    "nokia, a filter": (Vendor.NOKIA, {"address_lists": {"walled-garden": "40"}}, {}, "40"),
    "nokia, an SLA profile": (Vendor.NOKIA, {}, {"ingress": "q:1", "egress": "a:root"}, "walled-garden"),
    "accel-ppp, l4_redirect": (Vendor.ACCEL_PPP, {}, {"l4_redirect": "243"}, "walled-garden"),
    "accel-ppp, a pool": (Vendor.ACCEL_PPP, {"pools": {"walled-garden": "shut"}}, {"shaper": "mikrotik"}, "shut"),
    "generic": (Vendor.GENERIC, {}, {}, "walled-garden"),
}  # fmt: skip

names = st.none() | st.sampled_from(NAMES)
rates = st.sampled_from([512, 1024, 50_000, 10_000_000])
policies = st.builds(
    Policy,
    access=st.sampled_from([Access.FULL, Access.THROTTLED, Access.WALLED_GARDEN]),
    down_kbps=rates,
    up_kbps=rates,
    burst=st.none() | st.just(Burst(20_000_000, 20_000_000, 150_000, 40_000, 10)),
    address_pool=names,
    ipv4_address=st.none() | st.just("100.64.0.1"),
    address_list=names,
    session_seconds=st.none() | st.just(3600),
    idle_seconds=st.none() | st.just(600),
    dns_servers=st.sampled_from([(), ("192.0.2.53",), ("192.0.2.53", "2001:db8::53")]),
    vrf=names,
    ingress_filter=names,
    egress_filter=names,
    ipv6_pool=names,
    delegated_ipv6_pool=names,
    profile=st.none() | st.sampled_from(["gold", "silver"]),
    profile_limits=st.booleans(),
)


def at(vendor: Vendor, options: dict[str, str], walled_garden: str) -> Dialect:
    configured = Configured(options=options, profiles=PROFILES, walled_garden=walled_garden, known=frozenset(NAMES))
    return dialect(vendor, Site("bras-1", b"\x7f\0\0\1", 1, configured))


def packet(code: Code, attributes: bytes) -> Packet:
    return parse(header(code, 1, len(attributes)) + bytes(16) + attributes)


def seen(grant: Grant) -> dict[str, Any]:
    """The policy that a Cisco runs its rates in stays where there are other rates, and does nothing then."""
    named = {place: name for place, name in grant.names.items() if name and place not in {"in", "out"}}
    return {
        "names": named,
        "rates": (grant.up_kbps, grant.down_kbps), "walled_garden": grant.walled_garden,
        "address_list": grant.address_list, "services": {one.name for one in grant.services.values()},
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@given(applied=policies, intended=policies)
def test_every_live_change_is_taken_and_ends_where_a_new_login_would(
    case: tuple[Vendor, dict[str, Any], dict[str, str], str], applied: Policy, intended: Policy
) -> None:
    vendor, families, options, walled_garden = case
    box, ours, local = at(vendor, options, walled_garden), adapter(vendor), Local(families, options)
    grant, wanted = (
        box.accept(packet(Code.ACCESS_ACCEPT, ours.accept_attributes(policy, local))) for policy in (applied, intended)
    )
    change = ours.live_change(applied, intended, local)
    if isinstance(change, RedialNeeded):
        return
    for request in change.requests:
        grant = box.change(grant, packet(Code.COA_REQUEST, request))
    assert seen(grant) == seen(wanted)


def test_a_plans_pool_that_is_called_as_the_walled_gardens_hides_no_way_out() -> None:
    vendor, families, options, _ = CASES["accel-ppp, a pool"]
    inside = Policy(Access.WALLED_GARDEN, 512, 512, address_pool="walled-garden", address_list="walled-garden")
    outside = Policy(Access.FULL, 1024, 1024, address_pool="a")
    assert isinstance(adapter(vendor).live_change(inside, outside, Local(families, options)), RedialNeeded)

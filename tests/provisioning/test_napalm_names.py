"""Names that RADIUS replies use, read from what our own templates put there and from what others write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.vendors import Local
from core.models.network import Vendor
from provisioning.napalm import names
from provisioning.napalm.names import Kind, Needed, missing, needed, read

RENDERED = Path(__file__).parents[1] / "vectors" / "bng"
#: What a whole intent makes a plan able to name (see test_bng_rendering).
THERE: dict[str, dict[Kind, list[str]]] = {
    "huawei_vrp8": {Kind.QOS_PROFILE: ["gold"], Kind.POOL: ["homes"], Kind.IPV6_POOL: ["homes6"],
                    Kind.USER_GROUP: ["6080", "6081", "6082", "walled-garden"]},
    "cisco_ios": {Kind.POLICY_MAP: ["gold-down", "gold-up"], Kind.SERVICE: ["walled-garden"], Kind.POOL: ["homes"],
                  Kind.IPV6_POOL: ["homes6"],
                  Kind.FILTER: ["walled-garden-http", "walled-garden-in", "walled-garden-out"]},
    "cisco_iosxr": {Kind.POLICY_MAP: ["gold-down", "gold-up"], Kind.SERVICE: ["walled-garden"],
                    Kind.FILTER: ["walled-garden"], Kind.POOL: ["homes"], Kind.IPV6_POOL: ["homes6"]},
    "juniper_junos": {Kind.DYNAMIC_PROFILE: ["gold", "internet", "provedor-pppoe", "walled-garden"],
                      Kind.FILTER: ["gold-down", "gold-up", "walled-garden"], Kind.POOL: ["homes", "homes6"]},
    "nokia_sros": {Kind.SLA_PROFILE: ["gold", "walled-garden"], Kind.FILTER: ["walled-garden"]},
}  # fmt: skip
VENDORS = {
    "huawei_vrp8": Vendor.HUAWEI, "cisco_ios": Vendor.CISCO, "cisco_iosxr": Vendor.CISCO,
    "juniper_junos": Vendor.JUNIPER, "nokia_sros": Vendor.NOKIA,
}  # fmt: skip
PLAN = {"profile": "gold", "address_pool": "homes", "delegated_ipv6_pool": "homes6", "address_list": "walled-garden"}


@pytest.mark.parametrize("platform", list(THERE))
def test_what_a_template_makes_is_what_a_plan_may_name(platform: str) -> None:
    there = read(platform, (RENDERED / f"{platform}.txt").read_text())
    for kind, expected in THERE[platform].items():
        assert there[kind.value] == expected, kind
    plan = {**PLAN, "profile": "gold-up/gold-down" if platform.startswith("cisco") else "gold"}
    assert missing(platform, there, needed(VENDORS[platform], plan, Local())) == []


@pytest.mark.parametrize(
    ("vendor", "plan", "expected"),
    [
        (Vendor.HUAWEI, {"profile": "a", "throttle_profile": "b"},
         [("profile", Kind.QOS_PROFILE, "a"), ("throttle_profile", Kind.QOS_PROFILE, "b")]),
        (Vendor.HUAWEI, {"ingress_filter": "3001", "egress_filter": "3002"},
         [("ingress_filter", Kind.USER_GROUP, "3001")]),
        (Vendor.CISCO, {"profile": "u/d"}, [("profile", Kind.POLICY_MAP, "u"), ("profile", Kind.POLICY_MAP, "d")]),
        (Vendor.CISCO, {"profile": "both"}, [("profile", Kind.POLICY_MAP, "both")]),
        (Vendor.JUNIPER, {"profile": "gold(1m,2m)"}, [("profile", Kind.DYNAMIC_PROFILE, "gold")]),
        (Vendor.JUNIPER, {}, [("profile", Kind.DYNAMIC_PROFILE, "internet")]),
        (Vendor.NOKIA, {"profile": "sla", "ingress_filter": "12", "egress_filter": "named"},
         [("profile", Kind.SLA_PROFILE, "sla"), ("ingress_filter", Kind.FILTER, "12")]),
        (Vendor.MIKROTIK, {"profile": "x", "address_list": "y"}, []),
    ],
)  # fmt: skip
def test_a_plan_names_what_its_vendors_adapter_names(vendor: Vendor, plan: dict[str, Any], expected: list[Any]) -> None:
    assert list(needed(vendor, plan, Local())) == [Needed(*one) for one in expected]


def test_another_spelling_is_another_name_and_the_nearest_is_told() -> None:
    there = {"QoS profile": ["Gold-300M", "silver"]}
    (one,) = missing("huawei_vrp8", there, [Needed("profile", Kind.QOS_PROFILE, "gold-300m")])
    assert str(one) == "no QoS profile gold-300m; it has Gold-300M, in other letters"
    (one,) = missing("huawei_vrp8", there, [Needed("profile", Kind.QOS_PROFILE, "silvr")])
    assert one.near == "silver"
    assert missing("huawei_vrp8", there, [Needed("vrf", Kind.VRF, "unknown kind")]) == []


@given(st.sampled_from(list(THERE)), st.text())
def test_whatever_a_box_shows_is_read(platform: str, text: str) -> None:
    for found in read(platform, text).values():
        assert found == sorted(set(found))
    assert names.knows(platform)
    assert not names.knows("")

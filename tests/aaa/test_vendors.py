"""Policies on the wire: what each vendor's NAS is told, and what of it can change live."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.dictionary import describe
from aaa.packet import header, parse
from aaa.vendors import LiveChange, Local, RedialNeeded, SessionKeys, VendorAdapter, adapter
from core.access import Access
from core.attributes import MADE_FROM
from core.models.network import Vendor
from core.policy import Burst, Policy, ServiceTerms, intended_policy

PLAN = Policy(Access.FULL, 200_000, 50_000, address_pool="residential", interim_seconds=300, session_seconds=86400)
RICH = replace(
    PLAN, ipv4_routes=("192.0.2.0/29",), ipv6_pool="six", delegated_ipv6_pool="pd", idle_seconds=900,
    dns_servers=("192.0.2.53", "2001:db8::53"), vrf="business", ingress_filter="up", egress_filter="down",
)  # fmt: skip
BURST = Burst(400_000, 100_000, 150_000, 40_000, 10)
GARDEN = replace(
    PLAN, access=Access.WALLED_GARDEN, down_kbps=1024, up_kbps=512, address_list="walled-garden"
)  # fmt: skip


def listed(body: bytes) -> list[str]:
    return [f"{name}={value}" for name, value in describe(parse(header(2, 1, len(body)) + bytes(16) + body))]


def told(vendor: Vendor, policy: Policy, local: Local | None = None) -> list[str]:
    """The reply's attributes besides those of every framed session."""
    common = {"Service-Type=Framed-User", "Framed-Protocol=PPP"}
    return [one for one in listed(adapter(vendor).accept_attributes(policy, local or Local())) if one not in common]


def change(vendor: Vendor, applied: Policy, intended: Policy, local: Local | None = None) -> list[list[str]] | None:
    """The CoAs, or None where a new login is needed."""
    answer = adapter(vendor).live_change(applied, intended, local or Local())
    return [listed(request) for request in answer.requests] if isinstance(answer, LiveChange) else None


def test_upload_comes_first_in_a_mikrotik_rate_limit() -> None:
    assert told(Vendor.MIKROTIK, replace(PLAN, burst=BURST)) == [
        "Mikrotik-Rate-Limit=50000k/200000k 100000k/400000k 40000k/150000k 10/10",
        "Framed-Pool=residential",
        "Session-Timeout=86400",
        "Acct-Interim-Interval=300",
    ]


def test_download_comes_first_in_accel_ppps_filter_id_and_upload_in_the_mikrotik_attribute_it_may_read() -> None:
    assert "Filter-Id=200000/50000" in told(Vendor.ACCEL_PPP, replace(PLAN, burst=BURST))
    mikrotik = Local(options={"shaper": "mikrotik"})
    assert "Mikrotik-Rate-Limit=50000k/200000k" in told(Vendor.ACCEL_PPP, replace(PLAN, burst=BURST), mikrotik)


def test_static_addresses_prefixes_and_routes() -> None:
    policy = Policy(
        Access.FULL, ipv4_address="100.64.7.9", ipv4_routes=("192.0.2.0/29",), ipv6_prefix="2001:db8:1::/64",
        delegated_ipv6_prefix="2001:db8:2::/56",
    )  # fmt: skip
    for vendor in Vendor:
        given = told(vendor, policy)
        assert [one for one in given if not one.startswith(("L4", "Attr"))] == [
            "Framed-IP-Address=100.64.7.9",
            "Framed-IP-Netmask=255.255.255.255",
            "Framed-Route=192.0.2.0/29 0.0.0.0 1",
            "Framed-IPv6-Prefix=2001:db8:1::/64",
            "Delegated-IPv6-Prefix=2001:db8:2::/56",
        ]


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        (
            Vendor.MIKROTIK,
            {"Filter-Id=up.in", "Filter-Id=down.out", "Mikrotik-Delegated-IPv6-Pool=pd", "Idle-Timeout=900"},
        ),
        (
            Vendor.HUAWEI,
            {
                "Huawei-Input-Average-Rate=50000000", "Huawei-Input-Peak-Rate=50000000",
                "Huawei-Output-Average-Rate=200000000", "Huawei-Output-Peak-Rate=200000000", "Filter-Id=up",
                "Framed-IPv6-Pool=six", "Huawei-Delegated-IPv6-Prefix-Pool=pd", "Huawei-VPN-Instance=business",
                "Huawei-Primary-DNS=192.0.2.53", "Huawei-DNS-Server-IPv6-address=2001:db8::53",
            },
        ),
        (
            Vendor.CISCO,
            {
                "Cisco-AVPair=ip:qos-policy-in=add-class(sub,(class-default),police(50000000))",
                "Cisco-AVPair=ip:qos-policy-out=add-class(sub,(class-default),shape(200000000))",
                "Cisco-In-ACL=up", "Cisco-Out-ACL=down", "Cisco-AVPair=ipv6:ipv6-addr-pool=six",
                "Cisco-AVPair=ipv6:delegated-ipv6-pool=pd", "Cisco-AVPair=ip:vrf-id=business",
                "Cisco-AVPair=ip:dns-servers=192.0.2.53", "Cisco-AVPair=ipv6:ipv6-dns-servers-addr=2001:db8::53",
            },
        ),
        (
            Vendor.JUNIPER,
            {
                "ERX-Service-Activate:1=internet(200000k,50000k)", "ERX-Ingress-Policy-Name=up",
                "ERX-Egress-Policy-Name=down", "Framed-IPv6-Pool=six", "ERX-IPv6-Delegated-Pool-Name=pd",
                "ERX-Virtual-Router-Name=business", "ERX-Primary-Dns=192.0.2.53", "ERX-Ipv6-Primary-Dns=2001:db8::53",
            },
        ),
        (
            Vendor.NOKIA,
            {
                "Alc-Subscriber-QoS-Override=i:p:1:pir=50000", "Alc-Subscriber-QoS-Override=e:r:rate=200000",
                "Alc-SLAAC-IPv6-Pool=six", "Alc-Delegated-IPv6-Pool=pd",
                "Alc-Primary-Dns=192.0.2.53", "Alc-Ipv6-Primary-Dns=2001:db8::53",
            },
        ),
        (
            Vendor.ACCEL_PPP,
            {
                "Stateful-IPv6-Address-Pool=six", "Delegated-IPv6-Prefix-Pool=pd", "Accel-VRF-Name=business",
                "MS-Primary-DNS-Server=192.0.2.53", "DNS-Server-IPv6-Address=2001:db8::53",
            },
        ),
        (
            Vendor.GENERIC,
            {
                "WISPr-Bandwidth-Max-Up=50000000", "WISPr-Bandwidth-Max-Down=200000000", "Filter-Id=up",
                "Filter-Id=down", "Framed-IPv6-Pool=six", "Delegated-IPv6-Prefix-Pool=pd",
                "MS-Primary-DNS-Server=192.0.2.53", "DNS-Server-IPv6-Address=2001:db8::53",
            },
        ),
    ],
)  # fmt: skip
def test_a_rich_plan_in_every_dialect(vendor: Vendor, expected: set[str]) -> None:
    given = told(vendor, RICH)
    assert expected <= set(given)
    standard = {"Framed-Pool=residential", "Framed-Route=192.0.2.0/29 0.0.0.0 1", "Session-Timeout=86400"}
    assert standard <= set(given)


def test_a_burst_is_a_huawei_peak() -> None:
    given = told(Vendor.HUAWEI, replace(PLAN, burst=BURST))
    assert {"Huawei-Input-Peak-Rate=100000000", "Huawei-Output-Peak-Rate=400000000"} <= set(given)


def test_ten_gigabits_are_all_that_32_bits_of_bits_hold() -> None:
    given = told(Vendor.HUAWEI, replace(PLAN, down_kbps=10_000_000))
    assert "Huawei-Output-Average-Rate=4294967295" in given


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        (Vendor.MIKROTIK, "Mikrotik-Group=gold"),
        (Vendor.HUAWEI, "Huawei-Qos-Profile-Name=gold"),
        (Vendor.CISCO, "Cisco-AVPair=ip:sub-qos-policy-in=gold"),
        (Vendor.JUNIPER, "ERX-Service-Activate:1=gold"),
        (Vendor.NOKIA, "Alc-SLA-Prof-Str=gold"),
    ],
)
def test_a_profile_carries_the_rates_where_the_vendor_has_such_a_thing(vendor: Vendor, expected: str) -> None:
    given = told(vendor, replace(PLAN, profile="gold", profile_limits=True))
    assert expected in given
    assert vendor is Vendor.MIKROTIK or not any("50000" in one for one in given)


def test_a_cisco_profile_may_have_another_name_in_each_direction() -> None:
    local = Local({"profiles": {"gold": "gold-up/gold-down"}}, {"platform": "ios_xr"})
    given = told(Vendor.CISCO, replace(PLAN, profile="gold", profile_limits=True), local)
    assert given[:2] == [
        "Cisco-AVPair=subscriber:sub-qos-policy-in=gold-up", "Cisco-AVPair=subscriber:sub-qos-policy-out=gold-down",
    ]  # fmt: skip


def test_rates_are_kilobits_with_a_burst_on_ios_xr() -> None:
    given = told(Vendor.CISCO, PLAN, Local(options={"platform": "ios_xr"}))
    assert given[:2] == [
        "Cisco-AVPair=ip:qos-policy-in=add-class(sub,(class-default),police(50000,625,0,0,transmit,drop,drop))",
        "Cisco-AVPair=ip:qos-policy-out=add-class(sub,(class-default),shape(200000))",
    ]


def test_a_throttle_without_a_profile_of_its_own_overrides_the_plans() -> None:
    """Nokia's SLA profile stays, for what else is in it, and its rates are overridden."""
    throttled = replace(PLAN, access=Access.THROTTLED, down_kbps=1024, up_kbps=512, profile="gold")
    assert told(Vendor.NOKIA, throttled)[:3] == [
        "Alc-SLA-Prof-Str=gold", "Alc-Subscriber-QoS-Override=i:p:1:pir=512",
        "Alc-Subscriber-QoS-Override=e:r:rate=1024",
    ]  # fmt: skip
    full = replace(PLAN, profile="gold", profile_limits=True)
    assert change(Vendor.NOKIA, throttled, full) == [
        ["Alc-Subscriber-QoS-Override=i:p:1:pir=-2", "Alc-Subscriber-QoS-Override=e:r:rate=-2"]
    ]
    assert change(Vendor.HUAWEI, throttled, full) == [["Huawei-Qos-Profile-Name=gold"]]


def test_names_that_differ_at_a_nas_are_used_there() -> None:
    local = Local({"pools": {"residential": "pool-a"}, "address_lists": {"walled-garden": "devedores"}})
    given = told(Vendor.MIKROTIK, GARDEN, local)
    assert {"Framed-Pool=pool-a", "Mikrotik-Address-List=devedores"} <= set(given)


@pytest.mark.parametrize(
    ("vendor", "local", "coas"),
    [
        (
            Vendor.HUAWEI,
            Local({"address_lists": {"full": "normal"}, "urls": {"walled-garden": "http://aviso.example"}}),
            [
                [
                    "Huawei-Input-Average-Rate=512000", "Huawei-Input-Peak-Rate=512000",
                    "Huawei-Output-Average-Rate=1024000", "Huawei-Output-Peak-Rate=1024000", "Filter-Id=walled-garden",
                    "Huawei-HTTP-Redirect-URL=http://aviso.example",
                ]
            ],
        ),
        (
            Vendor.CISCO,
            Local(),
            [
                [
                    "Cisco-AVPair=ip:qos-policy-in=add-class(sub,(class-default),police(512000))",
                    "Cisco-AVPair=ip:qos-policy-out=add-class(sub,(class-default),shape(1024000))",
                ],
                ["Cisco-Command-Code=\\x0bwalled-garden"],
            ],
        ),
        (
            Vendor.CISCO,
            Local(options={"platform": "ios_xr"}),
            [
                [
                    "Cisco-AVPair=subscriber:command=account-update",
                    "Cisco-AVPair=ip:qos-policy-in=add-class(sub,(class-default),police(512,10,0,0,transmit,drop,drop))",
                    "Cisco-AVPair=ip:qos-policy-out=add-class(sub,(class-default),shape(1024))",
                    "Cisco-AVPair=subscriber:sa=walled-garden",
                ]
            ],
        ),
        (
            Vendor.JUNIPER,
            Local(),
            [
                [
                    "ERX-Service-Deactivate=internet", "ERX-Service-Activate:1=internet(1024k,512k)",
                    "ERX-Service-Activate:2=walled-garden",
                ]
            ],
        ),
        (
            Vendor.NOKIA,
            Local({"address_lists": {"walled-garden": "20"}}),
            [
                [
                    "Alc-Subscriber-QoS-Override=i:p:1:pir=512", "Alc-Subscriber-QoS-Override=e:r:rate=1024",
                    "Alc-Subscriber-Filter=Ingr-v4:20,Ingr-v6:20",
                ]
            ],
        ),
        (
            Vendor.NOKIA,
            Local(),
            [
                [
                    "Alc-SLA-Prof-Str=walled-garden", "Alc-Subscriber-QoS-Override=i:p:1:pir=512",
                    "Alc-Subscriber-QoS-Override=e:r:rate=1024",
                ]
            ],
        ),
        (
            Vendor.ACCEL_PPP,
            Local(options={"l4_redirect": "243"}),
            [["Filter-Id=1024/512", "Attr-243=00000001"]],
        ),
    ],
)  # fmt: skip
def test_the_walled_garden_is_entered_live(vendor: Vendor, local: Local, coas: list[list[str]]) -> None:
    assert change(vendor, PLAN, GARDEN, local) == coas


@pytest.mark.parametrize(
    ("vendor", "local"),
    [(Vendor.MIKROTIK, Local()), (Vendor.GENERIC, Local()),
     (Vendor.ACCEL_PPP, Local({"pools": {"walled-garden": "garden"}}))],
)  # fmt: skip
def test_where_a_coa_cannot_move_to_the_walled_garden_a_new_login_does(vendor: Vendor, local: Local) -> None:
    assert change(vendor, PLAN, GARDEN, local) is None
    assert change(vendor, GARDEN, PLAN, local) is None


@pytest.mark.parametrize(
    ("vendor", "local", "given_back"),
    [
        (Vendor.HUAWEI, Local({"address_lists": {"full": "normal"}}), "Filter-Id=normal"),
        (Vendor.CISCO, Local(), "Cisco-Command-Code=\\x0cwalled-garden"),
        (Vendor.CISCO, Local(options={"platform": "ios_xr"}), "Cisco-AVPair=subscriber:sd=walled-garden"),
        (Vendor.JUNIPER, Local(), "ERX-Service-Deactivate=walled-garden"),
        (
            Vendor.NOKIA,
            Local({"address_lists": {"walled-garden": "20"}}),
            "Alc-Subscriber-Filter=Ingr-v4:-2,Ingr-v6:-2",
        ),
        (Vendor.ACCEL_PPP, Local(options={"l4_redirect": "243"}), "Attr-243=00000000"),
    ],
)
def test_and_left_live_with_the_full_rate(vendor: Vendor, local: Local, given_back: str) -> None:
    coas = change(vendor, GARDEN, PLAN, local)
    assert coas is not None
    assert given_back in [one for coa in coas for one in coa]


def test_a_huawei_group_that_nothing_would_take_away_needs_a_new_login() -> None:
    assert change(Vendor.HUAWEI, GARDEN, PLAN) is None


@pytest.mark.parametrize(
    ("values", "live"),
    [
        ({"down_kbps": 1000}, True),
        ({"up_kbps": 1000, "access": Access.THROTTLED}, True),
        ({"session_seconds": None}, True),
        ({"interim_seconds": 600}, True),
        ({"ingress_filter": "other"}, True),
        ({"profile": "other"}, True),
        ({"vrf": "a MikroTik is never told"}, True),
        ({"address_pool": "other"}, False),
        ({"address_list": "walled-garden", "access": Access.WALLED_GARDEN}, False),
        ({"ipv4_address": "100.64.0.1"}, False),
        ({"ipv4_routes": ("192.0.2.0/29",)}, False),
        ({"delegated_ipv6_prefix": "2001:db8::/56"}, False),
        ({"vendor_attributes": (("mikrotik", "0b0378"),)}, False),
        ({"access": Access.BLOCKED}, False),
    ],
)
def test_what_a_mikrotik_changes_live_and_what_needs_a_redial(values: dict[str, Any], live: bool) -> None:
    assert (change(Vendor.MIKROTIK, PLAN, replace(PLAN, **values)) is not None) == live


def test_a_filter_that_goes_away_cannot_be_taken_away_live() -> None:
    assert change(Vendor.MIKROTIK, replace(PLAN, ingress_filter="up"), PLAN) is None


def test_a_nokia_filter_has_a_number_and_one_that_ends_gives_way_to_the_profiles() -> None:
    """A host that is told of any other filter is not set up."""
    local = Local({"filters": {"up": "101", "down": "201"}})
    both = replace(PLAN, ingress_filter="up", egress_filter="down")
    assert "Alc-Subscriber-Filter=Ingr-v4:101,Egr-v4:201" in told(Vendor.NOKIA, both, local)
    assert not any("Alc-Subscriber-Filter" in one for one in told(Vendor.NOKIA, both))
    upload = replace(PLAN, ingress_filter="up")
    assert change(Vendor.NOKIA, both, upload, local) == [["Alc-Subscriber-Filter=Ingr-v4:101,Egr-v4:-2"]]
    assert change(Vendor.NOKIA, upload, PLAN, local) == [["Alc-Subscriber-Filter=Ingr-v4:-2"]]


def test_what_concerns_the_next_login_only_asks_nothing_of_the_nas() -> None:
    for vendor in Vendor:
        assert change(vendor, PLAN, replace(PLAN, interim_seconds=600)) == []


names = st.none() | st.sampled_from(["a", "b", "20", "walled-garden"])
rates = st.sampled_from([512, 1024, 50_000, 10_000_000])
policies = st.builds(
    Policy,
    access=st.sampled_from([Access.FULL, Access.THROTTLED, Access.WALLED_GARDEN]),
    down_kbps=rates,
    up_kbps=rates,
    burst=st.none() | st.just(BURST),
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
    profile=names,
    profile_limits=st.booleans(),
)
locals_ = {
    Vendor.CISCO: [Local(), Local(options={"platform": "ios_xr"})],
    Vendor.ACCEL_PPP: [
        Local(),
        Local(options={"l4_redirect": "243"}),
        Local({"pools": {"walled-garden": "garden"}}, {"shaper": "mikrotik"}),
    ],
    Vendor.HUAWEI: [Local(), Local({"address_lists": {"full": "normal"}, "urls": {"walled-garden": "http://x"}})],
    Vendor.NOKIA: [Local(), Local({"vrfs": {"a": "7"}}, {"ingress": "q:1", "egress": "a:root"})],
}


@given(st.data(), st.sampled_from(list(Vendor)), policies, policies)
def test_a_live_change_says_something_exactly_where_something_that_matters_differs(
    data: st.DataObject, vendor: Vendor, applied: Policy, intended: Policy
) -> None:
    local = data.draw(st.sampled_from(locals_.get(vendor, [Local()])))
    one: VendorAdapter = adapter(vendor)
    same = one.accept_attributes(applied, local) == one.accept_attributes(intended, local)
    answer = one.live_change(applied, intended, local)
    if same:
        assert answer == LiveChange(())
    if isinstance(answer, RedialNeeded):
        assert set(answer.fields) <= {field.name for field in fields(Policy)}
        assert answer.fields
    else:
        assert all(listed(request) for request in answer.requests)


#: Made from our fields, but repeatable, so that another of it beside ours contradicts nothing.
_REPEATABLE = {"Cisco-AVPair", "Cisco-Account-Info", "Alc-Subsc-Prof-Str", "Huawei-HTTP-Redirect-URL"}


@given(st.data(), st.sampled_from(list(Vendor)), policies)
def test_nobody_can_write_beside_a_plan_what_is_made_from_it(
    data: st.DataObject, vendor: Vendor, policy: Policy
) -> None:
    local = data.draw(st.sampled_from(locals_.get(vendor, [Local()])))
    for line in listed(adapter(vendor).accept_attributes(policy, local)):
        name = line.partition("=")[0].partition(":")[0]
        assert name in MADE_FROM or name in _REPEATABLE or name in {"Service-Type", "Framed-Protocol", "Attr-243"}


def test_own_attributes_go_to_their_vendor_and_to_all() -> None:
    policy = replace(PLAN, vendor_attributes=(("all", "0c06000005d4"), ("mikrotik", "1a0d00003a8c0b07676f6c6421")))
    assert "Framed-MTU=1492" in told(Vendor.HUAWEI, policy)
    assert "Mikrotik-Mark-Id=gold!" in told(Vendor.MIKROTIK, policy)
    assert "Mikrotik-Mark-Id=gold!" not in told(Vendor.HUAWEI, policy)


KEYS = SessionKeys("ana", "81A0000b", "100.64.0.9", "10.0.0.1", "slot=2;port=22;")


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        (Vendor.MIKROTIK, ["User-Name=ana", "Acct-Session-Id=81A0000b", "Framed-IP-Address=100.64.0.9",
                           "NAS-IP-Address=10.0.0.1"]),
        (Vendor.HUAWEI, ["User-Name=ana", "Acct-Session-Id=81A0000b", "Framed-IP-Address=100.64.0.9",
                         "NAS-IP-Address=10.0.0.1", "NAS-Port-Id=slot=2;port=22;"]),
        (Vendor.CISCO, ["Acct-Session-Id=81A0000b"]),
        (Vendor.JUNIPER, ["Acct-Session-Id=81A0000b"]),
        (Vendor.NOKIA, ["Acct-Session-Id=81A0000b"]),
        (Vendor.ACCEL_PPP, ["Acct-Session-Id=81A0000b"]),
    ],
)  # fmt: skip
def test_session_keys_are_those_that_the_vendor_wants(vendor: Vendor, expected: list[str]) -> None:
    assert listed(adapter(vendor).session_keys(KEYS)) == expected


@pytest.mark.parametrize("login", ["", "\\xff" * 64], ids=["none", "octets that were no text"])
def test_a_session_whose_login_cannot_be_told_is_identified_by_the_rest(login: str) -> None:
    keys = adapter(Vendor.MIKROTIK).session_keys(SessionKeys(login, "81A0000b", "100.64.0.9", None))
    assert listed(keys) == ["Acct-Session-Id=81A0000b", "Framed-IP-Address=100.64.0.9"]


def test_a_static_address_takes_the_pools_place() -> None:
    from factories import plan_terms

    policy = intended_policy(plan_terms(), ServiceTerms(ipv4_address="100.64.0.1"), Access.FULL)
    assert policy.address_pool is None

"""What each vendor's adapter does, written down from the adapters themselves: the tables of docs/radius.md.

Nothing here knows a vendor. Each field of a policy is set, and what the reply then says that it did not say before is
what the field becomes; the same policy with another value is what a live change is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from aaa.dictionary import describe
from aaa.packet import header, parse
from aaa.vendors import LiveChange, Local, SessionKeys, VendorAdapter, adapter
from core.access import Access
from core.models.network import Vendor
from core.nas_options import NAME_FAMILIES, OPTIONS
from core.policy import WALLED_GARDEN_LIST, Burst, Policy

_PLAIN: Final = Policy(Access.FULL, 200_000, 50_000, interim_seconds=300)
_UNLIMITED: Final = replace(_PLAIN, down_kbps=None, up_kbps=None)
_BURST: Final = Burst(400_000, 100_000, 150_000, 40_000, 10)
#: What a plan or service says -> the fields of the policy, with a value and another one.
_SUBJECTS: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "rates": ({"down_kbps": 200_000, "up_kbps": 50_000}, {"down_kbps": 100_000, "up_kbps": 20_000}),
    "burst": ({"burst": _BURST}, {"burst": replace(_BURST, down_kbps=300_000)}),
    "profile": ({"profile": "gold", "profile_limits": True}, {"profile": "silver", "profile_limits": True}),
    "address_pool": ({"address_pool": "homes"}, {"address_pool": "shops"}),
    "ipv4_address": ({"ipv4_address": "192.0.2.7"}, {"ipv4_address": "192.0.2.8"}),
    "ipv4_routes": ({"ipv4_routes": ("198.51.100.0/29",)}, {"ipv4_routes": ("198.51.100.8/29",)}),
    "ipv6_prefix": ({"ipv6_prefix": "2001:db8:1::/64"}, {"ipv6_prefix": "2001:db8:2::/64"}),
    "delegated_ipv6_prefix": (
        {"delegated_ipv6_prefix": "2001:db8:100::/56"},
        {"delegated_ipv6_prefix": "2001:db8:200::/56"},
    ),
    "ipv6_pool": ({"ipv6_pool": "six"}, {"ipv6_pool": "six-b"}),
    "delegated_ipv6_pool": ({"delegated_ipv6_pool": "pd"}, {"delegated_ipv6_pool": "pd-b"}),
    "dns_servers": (
        {"dns_servers": ("192.0.2.53", "2001:db8::53")},
        {"dns_servers": ("192.0.2.54", "2001:db8::54")},
    ),
    "vrf": ({"vrf": "100"}, {"vrf": "200"}),
    "ingress_filter": ({"ingress_filter": "101"}, {"ingress_filter": "102"}),
    "egress_filter": ({"egress_filter": "201"}, {"egress_filter": "202"}),
    "address_list": ({"address_list": "vip"}, {"address_list": "vip-b"}),
    "session_seconds": ({"session_seconds": 86400}, {"session_seconds": 43200}),
    "idle_seconds": ({"idle_seconds": 900}, {"idle_seconds": 600}),
    "interim_seconds": ({"interim_seconds": 600}, {"interim_seconds": 900}),
}
_THROTTLED: Final = replace(_PLAIN, access=Access.THROTTLED, down_kbps=1024, up_kbps=512)
_GARDEN: Final = replace(_THROTTLED, access=Access.WALLED_GARDEN, address_list=WALLED_GARDEN_LIST)
#: Boxes as they stand in the tables: heading, vendor, and what is particular to them.
_BOXES: Final[tuple[tuple[str, Vendor, Local], ...]] = (
    ("mikrotik", Vendor.MIKROTIK, Local()),
    (
        "huawei",
        Vendor.HUAWEI,
        Local({"address_lists": {"full": "normal"}, "urls": {WALLED_GARDEN_LIST: "http://…"}}),
    ),
    ("cisco (ios)", Vendor.CISCO, Local()),
    ("cisco (ios_xr)", Vendor.CISCO, Local(options={"platform": "ios_xr"})),
    ("juniper", Vendor.JUNIPER, Local()),
    ("nokia", Vendor.NOKIA, Local({"address_lists": {WALLED_GARDEN_LIST: "20"}})),
    ("accel_ppp", Vendor.ACCEL_PPP, Local(options={"l4_redirect": "243"})),
    ("generic", Vendor.GENERIC, Local()),
)


def markdown() -> str:
    """All of it, for docs/radius.md."""
    return "\n".join([*_overview(), *(line for box in _BOXES for line in _box(*box)), *_options(), *_families()])


def _overview() -> list[str]:
    rows = []
    for heading, vendor, local in _BOXES:
        one = adapter(vendor)
        effects = [_live(one, _PLAIN, after, local) for after in (_THROTTLED, _GARDEN)]
        rows.append([heading, *effects, "Disconnect, and Reject", one.coa, one.octets])
    columns = ["NAS", "throttle", "walled garden", "block", "CoA", "octets"]
    return ["### What a hold does to a live session", "", *_rows(columns, rows)]


def _box(heading: str, vendor: Vendor, local: Local) -> list[str]:
    one = adapter(vendor)
    rows = [[f"`{name}`", _told(one, first, local), _change(one, first, other, local)]
            for name, (first, other) in _SUBJECTS.items()]  # fmt: skip
    garden = [line for line in _listed(one.accept_attributes(_GARDEN, local))
              if line not in _listed(one.accept_attributes(_THROTTLED, local))]  # fmt: skip
    rows.append(["prepaid volume", _lines(_listed(one.volume_limit(10 << 30))), "ended by the server"])
    rows.append(
        ["walled garden", _lines(garden) or "not expressed: only throttled", _live(one, _PLAIN, _GARDEN, local)]
    )
    keys = one.session_keys(SessionKeys("ana", "81A00001", "100.64.0.9", "192.0.2.1", "ether2"))
    said = [line.partition(" = ")[0] for line in _listed(keys)]
    return [
        "", f"### {heading}", "", f"After: {one.sources}. Session keys: {', '.join(said)}.", "",
        *_rows(["plan or service", "attributes", "changes"], rows),
    ]  # fmt: skip


def _options() -> list[str]:
    rows = [
        [f"`{vendor}`", f"`{name}`", f"`{option.default}`" if option.default else "", option.meaning]
        for vendor, options in OPTIONS.items()
        for name, option in options.items()
    ]
    return ["", "### `options` of a NAS", "", *_rows(["vendor", "option", "default", "meaning"], rows)]


def _families() -> list[str]:
    rows = [[f"`{family}`", meaning] for family, meaning in NAME_FAMILIES.items()]
    return ["", "### `names` of a NAS", "", *_rows(["family", "what of ours has another name there"], rows), ""]


def _told(one: VendorAdapter, values: dict[str, Any], local: Local) -> str:
    without = _UNLIMITED if "down_kbps" in values else _PLAIN
    before = _listed(one.accept_attributes(without, local))
    return _lines(
        line for line in _listed(one.accept_attributes(replace(_PLAIN, **values), local)) if line not in before
    )


def _change(one: VendorAdapter, first: dict[str, Any], other: dict[str, Any], local: Local) -> str:
    before, after = (replace(_PLAIN, **values) for values in (first, other))
    if one.accept_attributes(before, local) == one.accept_attributes(after, local):
        return ""
    return _live(one, before, after, local)


def _live(one: VendorAdapter, before: Policy, after: Policy, local: Local) -> str:
    answer = one.live_change(before, after, local)
    if not isinstance(answer, LiveChange):
        return "new login"
    if not answer.requests:
        return "at the next login"
    return "CoA" if len(answer.requests) == 1 else f"{len(answer.requests)} CoAs"


def _listed(octets: bytes) -> list[str]:
    packet = parse(header(2, 0, len(octets)) + bytes(16) + octets)
    return [f"{name} = {value}" for name, value in describe(packet)]


def _lines(lines: Iterable[str]) -> str:
    return "<br>".join(f"`{line}`" for line in lines).replace("|", "\\|")


def _rows(columns: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]

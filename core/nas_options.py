"""What a NAS entry says about its own box: names that differ there, and what its vendor leaves to choose.

Both are data that the vendor adapters read (see aaa.vendors); here is what may be written, and what each means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.errors import InvalidInput
from core.logins import check_name
from core.models.network import Vendor

#: Families of names in `Nas.names`: what of ours is called otherwise at this box.
NAME_FAMILIES: Final[Mapping[str, str]] = {
    "pools": "address_pool, ipv6_pool, delegated_ipv6_pool",
    "address_lists": "address_list, and walled-garden: a list, user group, service or filter, as the vendor has it",
    "profiles": "profile and throttle_profile",
    "filters": "ingress_filter and egress_filter; a Nokia knows them by numbers only",
    "vrfs": "vrf",
    "urls": "walled-garden: where the box itself redirects to, where the vendor has such an attribute",
}


@dataclass(frozen=True, slots=True)
class Option:
    """`pattern` is what may be written, in full; `meaning` is for people."""

    default: str
    pattern: str
    meaning: str


#: A Nokia QoS override goes to a queue, a policer, the root arbiter or a scheduler; the aggregate rate is egress only.
_OVERRIDE: Final = r"[qp]:[1-9][0-9]?|a:root|s:[A-Za-z0-9_.-]{1,32}"
OPTIONS: Final[Mapping[Vendor, Mapping[str, Option]]] = {
    Vendor.CISCO: {
        "platform": Option("ios", "ios|ios_xr", "ios: IOS and IOS XE with ISG; ios_xr: ASR 9000 and others with BNG"),
    },
    Vendor.JUNIPER: {
        "rate_service": Option(
            "internet", r"[A-Za-z0-9_.-]{1,64}", "dynamic profile that takes (download, upload), as 50000k,10000k"
        ),
    },
    Vendor.NOKIA: {
        "ingress": Option("p:1", _OVERRIDE, "what limits the upload: q:ID, p:ID, a:root or s:NAME"),
        "egress": Option("r", f"r|{_OVERRIDE}", "what limits the download: r, q:ID, p:ID, a:root or s:NAME"),
        "subscriber_profile": Option("", r"[A-Za-z0-9_.-]{0,32}", "Alc-Subsc-Prof-Str of every subscriber"),
    },
    Vendor.ACCEL_PPP: {
        "shaper": Option(
            "filter_id", "filter_id|mikrotik", "attribute that its [shaper] reads: Filter-Id, or Mikrotik-Rate-Limit"
        ),
        "l4_redirect": Option("", r"|[1-9][0-9]{0,2}", "number of its attr-l4-redirect (IPoE); empty: it has none"),
    },
}


def check_names(names: Mapping[str, Any]) -> None:
    """Each of them becomes an attribute of every reply that needs it. Raises InvalidInput."""
    for family, given in names.items():
        if family not in NAME_FAMILIES:
            raise InvalidInput(f"{family}: write one of {', '.join(NAME_FAMILIES)}", field="names")
        for theirs in given.values():
            check_name(theirs, field="names")


def check_options(vendor: Vendor, options: Mapping[str, Any]) -> None:
    """Raises InvalidInput naming the option and what it may be."""
    known = OPTIONS.get(vendor, {})
    for name, value in options.items():
        if name not in known:
            choices = ", ".join(known) or "nothing"
            raise InvalidInput(f"{name}: a NAS of vendor {vendor} leaves {choices} to choose", field="options")
        if not re.fullmatch(known[name].pattern, str(value)):
            raise InvalidInput(f"{name}: {value!r} is not allowed; {known[name].meaning}", field="options")

"""The intended policy of a service: everything a NAS is to apply, as one value with a fingerprint.

A policy is content-addressed. Its fingerprint travels in Class, stands beside each session as what it started
on or was changed to, and beside each service as what is intended; equal fingerprints mean nothing to do. So an
edit that changes nothing for a session disturbs nobody. Bodies are kept by fingerprint for ever, because the
difference between two of them decides how a live session is brought in step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from core.access import Access

#: Hexadecimal characters of a fingerprint (64 bits).
FINGERPRINT_LENGTH = 16
#: Address list that a MikroTik (or another vendor's like means) puts a walled-garden subscriber in.
WALLED_GARDEN_LIST = "walled-garden"


@dataclass(frozen=True, slots=True)
class Burst:
    """MikroTik-style burst: above the rate for `seconds` while the average stays under the threshold."""

    down_kbps: int
    up_kbps: int
    down_threshold_kbps: int
    up_threshold_kbps: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What the network is to do for one service. None means: the NAS decides."""

    access: Access
    down_kbps: int | None = None
    up_kbps: int | None = None
    burst: Burst | None = None
    address_pool: str | None = None
    ipv4_address: str | None = None
    ipv4_routes: tuple[str, ...] = ()
    ipv6_prefix: str | None = None
    delegated_ipv6_prefix: str | None = None
    address_list: str | None = None
    interim_seconds: int | None = None
    session_seconds: int | None = None
    idle_seconds: int | None = None
    dns_servers: tuple[str, ...] = ()
    vrf: str | None = None
    #: Names at the NAS of what filters traffic from and to the subscriber.
    ingress_filter: str | None = None
    egress_filter: str | None = None
    ipv6_pool: str | None = None
    delegated_ipv6_pool: str | None = None
    #: Name at the NAS of what it does for this plan (QoS profile, SLA profile, policy map, service).
    profile: str | None = None
    #: The profile carries the rates, where the vendor has such a thing; otherwise down_kbps and up_kbps are applied.
    profile_limits: bool = False
    #: (vendor, attributes as hexadecimal octets), ordered; vendor "all" is for every NAS.
    vendor_attributes: tuple[tuple[str, str], ...] = ()

    def to_body(self) -> dict[str, Any]:
        """As plain JSON values, without what is unset, so that a new field never changes old fingerprints."""
        return {
            key: value
            for key, value in asdict(self).items()
            if value is not None and value != () and value is not False
        }

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> Policy:
        values = dict(body)
        values["access"] = Access(values["access"])
        for name in ("ipv4_routes", "dns_servers"):
            values[name] = tuple(values.get(name, ()))
        values["vendor_attributes"] = tuple((vendor, octets) for vendor, octets in values.get("vendor_attributes", ()))
        if values.get("burst") is not None:
            values["burst"] = Burst(**values["burst"])
        return cls(**values)

    @property
    def fingerprint(self) -> str:
        canonical = json.dumps(self.to_body(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


#: By vendor: attributes by name, each as hexadecimal octets (see core.attributes).
OwnAttributes = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """The part of a plan that shapes the policy."""

    down_kbps: int
    up_kbps: int
    burst: Burst | None
    address_pool: str | None
    address_list: str | None
    interim_seconds: int
    session_seconds: int | None
    throttle_down_kbps: int
    throttle_up_kbps: int
    idle_seconds: int | None = None
    dns_servers: tuple[str, ...] = ()
    vrf: str | None = None
    ingress_filter: str | None = None
    egress_filter: str | None = None
    ipv6_pool: str | None = None
    delegated_ipv6_pool: str | None = None
    profile: str | None = None
    throttle_profile: str | None = None
    vendor_attributes: OwnAttributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceTerms:
    """The part of a service that shapes the policy."""

    ipv4_address: str | None = None
    ipv4_routes: tuple[str, ...] = ()
    ipv6_prefix: str | None = None
    delegated_ipv6_prefix: str | None = None
    vendor_attributes: OwnAttributes = field(default_factory=dict)


def intended_policy(plan: PlanTerms, service: ServiceTerms, access: Access) -> Policy:
    """The policy of a service on this plan under this access.

    A throttled service keeps its addresses and loses rate and burst. In the walled garden it is throttled too
    and put in the walled garden's address list. A blocked one has no session at all, so nothing else matters.
    A restricted service keeps the plan's profile, for what else is in it, where the plan names none for the throttle.
    """
    if access is Access.BLOCKED:
        return Policy(access=access)
    full = access is Access.FULL
    limited_by = plan.profile if full else plan.throttle_profile
    return Policy(
        access=access,
        down_kbps=plan.down_kbps if full else plan.throttle_down_kbps,
        up_kbps=plan.up_kbps if full else plan.throttle_up_kbps,
        burst=plan.burst if full else None,
        address_pool=None if service.ipv4_address else plan.address_pool,
        ipv4_address=service.ipv4_address,
        ipv4_routes=service.ipv4_routes,
        ipv6_prefix=service.ipv6_prefix,
        delegated_ipv6_prefix=service.delegated_ipv6_prefix,
        address_list=WALLED_GARDEN_LIST if access is Access.WALLED_GARDEN else plan.address_list,
        interim_seconds=plan.interim_seconds,
        session_seconds=plan.session_seconds,
        idle_seconds=plan.idle_seconds,
        dns_servers=plan.dns_servers,
        vrf=plan.vrf,
        ingress_filter=plan.ingress_filter,
        egress_filter=plan.egress_filter,
        ipv6_pool=None if service.ipv6_prefix else plan.ipv6_pool,
        delegated_ipv6_pool=None if service.delegated_ipv6_prefix else plan.delegated_ipv6_pool,
        profile=limited_by or plan.profile,
        profile_limits=limited_by is not None,
        vendor_attributes=_own_attributes(plan.vendor_attributes, service.vendor_attributes),
    )


def _own_attributes(plan: OwnAttributes, service: OwnAttributes) -> tuple[tuple[str, str], ...]:
    """What is written on the service takes the place of what its plan says under the same name."""
    own = []
    for vendor in sorted({*plan, *service}):
        values = {**plan.get(vendor, {}), **service.get(vendor, {})}
        own.append((vendor, "".join(values[name] for name in sorted(values))))
    return tuple(own)

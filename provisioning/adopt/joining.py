"""Services that are here already under the login of a secret, from wherever they came: in what the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from core.access import Access
from core.policy import WALLED_GARDEN_LIST, Burst, Policy, ServiceTerms
from provisioning.adopt.effect import Effect
from provisioning.adopt.found import words_of
from provisioning.adopt.terms import PlanTerms

#: Of a plan, and what people call it.
_TERMS: Final = {
    "address_pool": "pool", "address_list": "address list", "session_seconds": "session timeout",
    "idle_seconds": "idle timeout", "ingress_filter": "incoming filter", "egress_filter": "outgoing filter",
    "ipv6_pool": "IPv6 pool", "delegated_ipv6_pool": "delegated IPv6 pool", "dns_servers": "DNS servers",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceHere:
    """`policy`: what it is to have now. `elsewhere`: why it may not log in at this router, "" where it may.
    `garden_list`: what the list of debtors is called at this router."""

    service_id: int
    password: str = field(repr=False)
    plan: str
    policy: Policy
    mac_lock: Sequence[str] | None = None
    elsewhere: str = ""
    garden_list: str = WALLED_GARDEN_LIST


@dataclass(frozen=True, slots=True)
class Joined:
    """`differences`: what the router says otherwise. `lost`: what of the secret has no counterpart here. `queues`: of
    his address alone, `other_queues` limit him, too."""

    here: ServiceHere
    differences: tuple[str, ...]
    lost: tuple[str, ...]
    queues: tuple[str, ...] = ()
    other_queues: tuple[str, ...] = ()


def differences(
    effect: Effect, plan: PlanTerms | None, service: ServiceTerms, mac_lock: Sequence[str] | None, here: ServiceHere
) -> Iterator[str]:
    """In words, the router's side first; never a password. `plan`: None where the router does not tell it."""
    if effect.password != here.password:
        yield "another password"
    yield from _access(effect, here.policy.access)
    if effect.blocked and effect.address_list and here.policy.access is Access.WALLED_GARDEN:
        yield from _told("list of debtors", words_of(effect.address_list), here.garden_list)
    yield from _told("fixed address", service.ipv4_address, here.policy.ipv4_address)
    if here.policy.access is not Access.BLOCKED:
        yield from _told("routes", ", ".join(service.ipv4_routes), ", ".join(here.policy.ipv4_routes))
        yield from _told("IPv6 prefix", service.ipv6_prefix, here.policy.ipv6_prefix)
    yield from _told("device", ", ".join(mac_lock or ()), ", ".join(here.mac_lock or ()))
    if not effect.blocked and here.policy.access is Access.FULL:
        yield from _rates(effect, plan, here.policy)


def _access(effect: Effect, access: Access) -> Iterator[str]:
    at_router = Access.BLOCKED if effect.keeps_out else Access.WALLED_GARDEN if effect.blocked else Access.FULL
    same = at_router is access or (at_router is not Access.BLOCKED and {at_router, access} == _RESTRICTED)
    if not same:
        why = f" ({effect.blocked})" if effect.blocked else ""
        yield f"access {at_router.value}{why}, {access.value} here"


#: An address list of debtors may be a slow one.
_RESTRICTED: Final = {Access.WALLED_GARDEN, Access.THROTTLED}


def _rates(effect: Effect, plan: PlanTerms | None, policy: Policy) -> Iterator[str]:
    if plan is None:
        yield f"no rate that could be read, {policy.down_kbps}/{policy.up_kbps} kbit/s here"
        return
    there = f"{plan.down_kbps}/{plan.up_kbps}"
    yield from _told("kbit/s", there, f"{policy.down_kbps}/{policy.up_kbps}")
    if policy.profile == effect.profile:
        return  # it stays in its profile, whatever else that says
    burst = None if plan.burst is None else Burst(*plan.burst)
    if burst != policy.burst:
        yield "another burst"
    for name, called in _TERMS.items():
        if name != "address_pool" or policy.ipv4_address is None:
            yield from _told(called, _text(getattr(plan, name)), _text(getattr(policy, name)))
    if plan.profile is not None:
        yield f"only its profile {plan.profile} says all of it"


def _told(what: str, there: str | None, here: str | None) -> Iterator[str]:
    if (there or "") != (here or ""):
        yield f"{what} {there or 'none'}, {here or 'none'} here"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)

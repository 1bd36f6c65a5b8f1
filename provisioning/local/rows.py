"""From a service to its rows at a router, and what watches there for RADIUS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from core.access import Access
from core.policy import Policy
from provisioning.local.models import LocalMode
from provisioning.local.profiles import Base, profile_of
from provisioning.routeros.planning import Place, Wanted
from provisioning.routeros.planning.script import quote
from provisioning.routeros.queues import limits
from provisioning.routeros.values import duration_text

#: Marks of what one service has.
FAMILY: Final = "local"
SECRETS: Final = "/ppp/secret"
QUEUES: Final = "/queue/simple"
LISTS: Final = "/ip/firewall/address-list"
#: What the box itself watches with.
WATCH_FAMILY: Final = "localwatch"
SCHEDULER: Final = "/system/scheduler"
#: Its one entry is disabled while RADIUS is away: so the box says that the secrets are in use.
SENTINEL_LIST: Final = "provedor-radius-answers"
#: Documentation addresses (RFC 5737): nothing is there.
_SENTINEL_ADDRESS: Final = "192.0.2.255"
#: What its script needs.
_POLICY: Final = "read,write,policy,test"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A service as its router should know it."""

    service_id: int
    login: str
    password: str = field(repr=False)
    policy: Policy
    #: The one device that may log in, as it says of itself; None: any.
    caller_id: str | None = None
    #: What its plan leaves of the rate where it is restricted: "512k/1024k", upload first.
    throttled_rate: str = ""
    #: What of it the router cannot know.
    problems: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        return f"{FAMILY}/{self.service_id}"

    @property
    def comment(self) -> str:
        return f"provedor:{self.mark}"


@dataclass(frozen=True, slots=True)
class Way:
    """How rows lie at this box. `in_use`: it lets subscribers in by them now."""

    mode: LocalMode
    in_use: bool


def rows_of(subscribers: Iterable[Subscriber], base: Base, way: Way) -> Iterator[Wanted]:
    """Secrets, queues, and the profiles that they need, each once."""
    profiles: dict[str, Wanted] = {}
    for one in subscribers:
        if one.policy.access is Access.BLOCKED:
            yield from _blocked(one, way)
            continue
        name = one.policy.profile if _has_own_profile(one.policy) else None
        if name is None:
            profile = profile_of(one.policy, base)
            name = profile.values["name"] or ""
            profiles[name] = profile
        yield _secret(one, name, way)
        if one.policy.ipv4_address:
            yield _queue(one)
    yield from profiles.values()


def only_by_radius(policy: Policy, mac_lock: Sequence[str] | None) -> tuple[str, ...]:
    """What of a service no secret can say."""
    said = {
        "its delegated IPv6 prefix": policy.delegated_ipv6_prefix,
        "its VRF": policy.vrf,
        "its attributes of its own": policy.vendor_attributes,
        "its lock to several devices": mac_lock is not None and len(mac_lock) > 1,
    }
    return tuple(what for what, is_there in said.items() if is_there)


def watch_rows(servers: Sequence[str], every_s: int) -> tuple[Wanted, Wanted]:
    """While none of these RADIUS servers answers a ping, the box uses its secrets. Raises nothing, asks nobody."""
    scheduler = {
        "name": "provedor-standby", "interval": duration_text(timedelta(seconds=every_s)), "policy": _POLICY,
        "on-event": _watch(servers), "disabled": "no",
    }  # fmt: skip
    sentinel = {"list": SENTINEL_LIST, "address": _SENTINEL_ADDRESS}
    return (
        Wanted(LISTS, f"{WATCH_FAMILY}/sentinel", sentinel, note="enabled while RADIUS answers"),
        Wanted(SCHEDULER, f"{WATCH_FAMILY}/watch", scheduler),
    )


def _watch(servers: Sequence[str]) -> str:
    """The sentinel goes first when RADIUS is gone, and last when it is back."""
    asked = "\n".join(f":if ([/ping {server} count=3] > 0) do={{ :set up 1 }}" for server in servers)
    sentinel = f"[find list={SENTINEL_LIST}"
    secrets = f"[find comment~{quote(f'^provedor:{FAMILY}/')}"
    return "\n".join(
        [
            ":local up 0",
            asked,
            ":if ($up = 0) do={",
            f"/ip firewall address-list disable {sentinel} disabled=no]",
            f"/ppp secret enable {secrets} disabled=yes]",
            "} else={",
            f"/ppp secret disable {secrets} disabled=no]",
            f"/ip firewall address-list enable {sentinel} disabled=yes]",
            "}",
        ]
    )


def _blocked(one: Subscriber, way: Way) -> Iterator[Wanted]:
    """In standby it has no row: the router enables all of ours at once. It needs no profile of ours, which may go."""
    if way.mode is LocalMode.SERVE:
        values = {
            "name": one.login, "password": one.password, "service": "pppoe", "profile": "default", "disabled": "yes",
        }  # fmt: skip
        yield Wanted(SECRETS, one.mark, values)


def _secret(one: Subscriber, profile: str, way: Way) -> Wanted:
    policy = one.policy
    values = {
        "name": one.login,
        "password": one.password,
        "service": "pppoe",
        "profile": profile,
        "caller-id": one.caller_id or "",
        "remote-address": policy.ipv4_address,
        "remote-ipv6-prefix": policy.ipv6_prefix,
        "routes": ",".join(f"{route} {policy.ipv4_address} 1" for route in policy.ipv4_routes),
        "disabled": "no" if way.mode is LocalMode.SERVE or way.in_use else "yes",
    }
    return Wanted(SECRETS, one.mark, values)


def _queue(one: Subscriber) -> Wanted:
    """It limits what an address of the service's own carries, whoever let it in."""
    values = {
        "name": f"provedor-{one.login}",
        "target": f"{one.policy.ipv4_address}/32",
        **limits(one.policy),
        "disabled": "no",
    }
    return Wanted(QUEUES, one.mark, values, Place.ANYWHERE)


def _has_own_profile(policy: Policy) -> bool:
    """The plan names a profile at the box, which limits; a restricted service has ours."""
    return policy.profile is not None and policy.access is Access.FULL

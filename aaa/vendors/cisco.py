"""Cisco BRAS and BNG (vendor 9): IOS and IOS XE with ISG, and IOS XR (ASR 9000), which differ in almost everything.

Source: Cisco, ISG RADIUS-based policing, ASR 9000 BNG guide and "BNG VSA's". Names of policy maps carry the rates where
the plan has a profile; otherwise rates are parameters of the policy that is active on the session (bit/s on IOS, kbit/s
on XR), and one must be active. The two never stand in one message: routers refuse that. Every key given must match,
so the session's id is given alone. One XR CoA with several actions succeeds or fails as a whole; ISG takes each service
command in a CoA of its own. Names of IPv6 pools are as XR has them; IOS XE takes them, older IOS may not.
"""

from __future__ import annotations

from typing import Final

from aaa.packet import vendor_attribute
from aaa.vendors.base import (
    LiveChange,
    Local,
    RedialNeeded,
    SessionKeys,
    address_attributes,
    framed_ppp,
    own_attributes,
    rate_bps,
    redial_needed,
    session_id_key,
    timer_attributes,
    vendor_text,
    visible_changes,
)
from core.models.network import Vendor
from core.policy import Policy

VENDOR: Final = 9
AVPAIR: Final = 1
IN_ACL: Final = 57
OUT_ACL: Final = 58
ACCOUNT_INFO: Final = 250
COMMAND_CODE: Final = 252
_ACTIVATE: Final = b"\x0b"
_DEACTIVATE: Final = b"\x0c"
_IOS_XR: Final = "ios_xr"
#: A policer's burst, as time at its rate; and the least that is configured, in kilobytes.
_BURST_S: Final = 0.1
_BURST_KILOBYTES_MIN: Final = 10
_LIMITS: Final = frozenset({"down_kbps", "up_kbps", "profile", "profile_limits"})
_LIVE: Final = _LIMITS | {"address_list"}
_NEXT_LOGIN: Final = frozenset({"interim_seconds", "session_seconds", "idle_seconds", "dns_servers"})


class CiscoAdapter:
    vendor = Vendor.CISCO
    sources = "Cisco IOS ISG, RADIUS-based policing; ASR 9000 BNG, VSAs and multi-action CoA; IOS CoA session keys"
    octets = "input is from the subscriber"
    coa = "`aaa server radius dynamic-author`; port 1700 on IOS, 3799 on XR; Acct-Session-Id is the key"

    def accept_attributes(self, policy: Policy, local: Local) -> bytes:
        return b"".join(
            [
                framed_ppp(),
                *_pairs(_limits(policy, local)),
                _service_at_login(policy, local),
                _filters(policy, local),
                address_attributes(policy, local),
                *_pairs(_names(policy, local)),
                timer_attributes(policy),
                own_attributes(policy, self.vendor),
            ]
        )

    def live_change(self, applied: Policy, intended: Policy, local: Local) -> LiveChange | RedialNeeded:
        changed = visible_changes(self, applied, intended, local)
        redial = redial_needed(changed, intended, live=_LIVE, next_login=_NEXT_LOGIN)
        if redial is not None:
            return redial
        limits = _limits(intended, local) if changed & _LIMITS else []
        if not limits and changed & _LIMITS:
            return RedialNeeded(tuple(sorted(changed & _LIMITS)))
        before, after = (_list(policy, local) for policy in (applied, intended))
        if before == after:
            before = after = None
        return LiveChange(_xr(limits, before, after) if _is_xr(local) else _isg(limits, before, after))

    def session_keys(self, keys: SessionKeys) -> bytes:
        return session_id_key(keys)

    def volume_limit(self, octets: int) -> bytes:  # noqa: ARG002
        return b""


def _isg(limits: list[str], before: str | None, after: str | None) -> tuple[bytes, ...]:
    commands = ((_DEACTIVATE, before), (_ACTIVATE, after))
    requests = [b"".join(_pairs(limits))] if limits else []
    requests += [vendor_attribute(VENDOR, COMMAND_CODE, code + name.encode()) for code, name in commands if name]
    return tuple(requests)


def _xr(limits: list[str], before: str | None, after: str | None) -> tuple[bytes, ...]:
    pairs = ["subscriber:command=account-update", *limits] if limits else []
    pairs += [f"subscriber:sd={before}"] if before else []
    pairs += [f"subscriber:sa={after}"] if after else []
    return (b"".join(_pairs(pairs)),) if pairs else ()


def _limits(policy: Policy, local: Local) -> list[str]:
    """For the upload (`in`) and the download (`out`)."""
    if policy.profile and policy.profile_limits:
        upload, _, download = local.name("profiles", policy.profile).partition("/")
        prefix = "subscriber" if _is_xr(local) else "ip"
        return [f"{prefix}:sub-qos-policy-in={upload}", f"{prefix}:sub-qos-policy-out={download or upload}"]
    if policy.up_kbps is None or policy.down_kbps is None:
        return []
    if _is_xr(local):
        actions = (_xr_police(policy.up_kbps), f"shape({policy.down_kbps})")
    else:
        actions = (f"police({rate_bps(policy.up_kbps)})", f"shape({rate_bps(policy.down_kbps)})")
    ways = zip(("in", "out"), actions, strict=True)
    return [f"ip:qos-policy-{way}=add-class(sub,(class-default),{action})" for way, action in ways]


def _xr_police(rate_kbps: int) -> str:
    burst_kilobytes = max(_BURST_KILOBYTES_MIN, int(rate_kbps * _BURST_S / 8))
    return f"police({rate_kbps},{burst_kilobytes},0,0,transmit,drop,drop)"


def _service_at_login(policy: Policy, local: Local) -> bytes:
    name = _list(policy, local)
    if name is None:
        return b""
    return b"".join(_pairs([f"subscriber:sa={name}"])) if _is_xr(local) else _text(ACCOUNT_INFO, f"A{name}")


def _list(policy: Policy, local: Local) -> str | None:
    """A list is here a service (ISG) or a dynamic template (XR)."""
    return local.name("address_lists", policy.address_list) if policy.address_list else None


def _filters(policy: Policy, local: Local) -> bytes:
    named = ((IN_ACL, policy.ingress_filter), (OUT_ACL, policy.egress_filter))
    return b"".join(_text(kind, local.name("filters", name)) for kind, name in named if name)


def _names(policy: Policy, local: Local) -> list[str]:
    pools = (("ipv6:ipv6-addr-pool", policy.ipv6_pool), ("ipv6:delegated-ipv6-pool", policy.delegated_ipv6_pool))
    pairs = [f"{name}={local.name('pools', pool)}" for name, pool in pools if pool]
    if policy.vrf:
        pairs.append(f"ip:vrf-id={local.name('vrfs', policy.vrf)}")
    return pairs + _dns(policy, local)


def _dns(policy: Policy, local: Local) -> list[str]:
    ipv4 = [server for server in policy.dns_servers if ":" not in server]
    ipv6 = [f"ipv6:ipv6-dns-servers-addr={server}" for server in policy.dns_servers if ":" in server]
    if not ipv4:
        return ipv6
    if _is_xr(local):
        return [
            f"ip:{which}-dns={server}" for which, server in zip(("primary", "secondary"), ipv4, strict=False)
        ] + ipv6
    return ["ip:dns-servers=" + " ".join(ipv4), *ipv6]


def _is_xr(local: Local) -> bool:
    return local.option(Vendor.CISCO, "platform") == _IOS_XR


def _pairs(pairs: list[str]) -> list[bytes]:
    return [_text(AVPAIR, pair) for pair in pairs]


def _text(kind: int, value: str) -> bytes:
    return vendor_text(VENDOR, kind, value)

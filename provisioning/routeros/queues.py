"""A policy's rates, as a simple queue has them: upload first."""

from __future__ import annotations

from core.policy import Policy


def limits(policy: Policy) -> dict[str, str]:
    burst = policy.burst
    return {
        "max-limit": _pair(policy.up_kbps, policy.down_kbps),
        "burst-limit": _pair(burst.up_kbps, burst.down_kbps) if burst else "0/0",
        "burst-threshold": _pair(burst.up_threshold_kbps, burst.down_threshold_kbps) if burst else "0/0",
        "burst-time": f"{burst.seconds}s/{burst.seconds}s" if burst else "0s/0s",
    }


def _pair(up_kbps: int | None, down_kbps: int | None) -> str:
    return f"{_rate(up_kbps)}/{_rate(down_kbps)}"


def _rate(kbps: int | None) -> str:
    return f"{kbps}k" if kbps else "0"

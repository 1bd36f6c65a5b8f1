"""RADIUS clients, CoA, and that PPP asks them."""

from __future__ import annotations

from collections.abc import Iterator

from provisioning.routeros.bras.intent import Radius
from provisioning.routeros.planning import Place, Setting, Wanted


def rows(radius: Radius, secret: str, coa_port: int) -> Iterator[Wanted | Setting]:
    for number, server in enumerate(radius.servers, 1):
        values = {
            "service": "ppp",
            "address": server.address,
            "secret": secret,
            "authentication-port": str(server.authentication_port),
            "accounting-port": str(server.accounting_port),
            "timeout": f"{radius.timeout_ms}ms",
            "src-address": radius.source,
            "protocol": "udp",
            # CVE-2024-3596 (BlastRADIUS); before 7.15 a router neither sends nor asks for it.
            "require-message-auth": "yes-for-request-resp",
            "disabled": "no",
        }
        yield Wanted("/radius", f"radius/{number}", values, Place.FIRST)
    yield Setting("/radius/incoming", {"accept": "yes", "port": str(coa_port)})
    interim = f"{radius.interim_seconds}s"
    yield Setting("/ppp/aaa", {"use-radius": "yes", "accounting": "yes", "interim-update": interim})

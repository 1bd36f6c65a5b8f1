"""RADIUS clients, CoA, and that PPP asks them; DHCP servers and hotspots say so themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from core.errors import InvalidInput
from provisioning.routeros.bras.intent import Radius
from provisioning.routeros.planning import Place, Setting, Wanted
from provisioning.routeros.schema import Release
from provisioning.saying import RadiusServer

#: Console trees of 7.9 have it; of older releases nothing that we know says since when.
RADSEC_SINCE: Final = Release(7, 0)
#: RFC 6614, 2.3; RouterOS takes no other, whatever is set.
_RADSEC_SECRET: Final = "radsec"  # noqa: S105


def rows(
    radius: Radius, services: Iterable[str], secret: str, coa_port: int, release: Release
) -> Iterator[Wanted | Setting]:
    """Raises InvalidInput for RadSec where there is none."""
    if radius.radsec is not None and release < RADSEC_SINCE:
        detail = f"RouterOS {release.major}.{release.minor} is not known to have RadSec: leave radius.radsec out"
        raise InvalidInput(detail, field="radius.radsec")
    for number, server in enumerate(radius.servers, 1):
        values = {
            "service": ",".join(sorted(services)),
            "address": server.address,
            "timeout": f"{radius.timeout_ms}ms",
            "src-address": radius.source,
            **_transport(radius, server, secret),
            # CVE-2024-3596 (BlastRADIUS); before 7.15 a router neither sends nor asks for it.
            "require-message-auth": "yes-for-request-resp",
            "disabled": "no",
        }
        yield Wanted("/radius", f"radius/{number}", values, Place.FIRST)
    yield Setting("/radius/incoming", {"accept": "yes", "port": str(coa_port)})
    interim = f"{radius.interim_seconds}s"
    yield Setting("/ppp/aaa", {"use-radius": "yes", "accounting": "yes", "interim-update": interim})


def _transport(radius: Radius, server: RadiusServer, secret: str) -> dict[str, str]:
    if radius.radsec is None:
        ports = {"authentication-port": server.authentication_port, "accounting-port": server.accounting_port}
        return {"protocol": "udp", "secret": secret, "certificate": "none"} | {k: str(v) for k, v in ports.items()}
    port = str(radius.radsec.port)
    return {
        "protocol": "radsec", "secret": _RADSEC_SECRET, "certificate": radius.radsec.certificate,
        "authentication-port": port, "accounting-port": port,
    }  # fmt: skip

"""How a RouterOS box is managed: the access to its API that a NAS entry may hold.

The API serves one command after another to a user of the router. Its plain port shows everything to whoever listens,
so TLS is the rule: the certificate is verified as any other, or is the very one whose fingerprint the entry has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import InvalidInput

TLS_PORT: Final = 8729
PLAIN_PORT: Final = 8728
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RouterOsAccess:
    """Everything that a connection to one router needs; of the same NAS entry there may be several routers."""

    nas_id: int
    address: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: bool = True
    #: Lower-case hexadecimal; None: the certificate is verified against the system's authorities.
    certificate_sha256: str | None = None
    #: The router may take this one already: it is being changed.
    next_password: str | None = field(default=None, repr=False)


def check_routeros(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as it is kept. Raises InvalidInput saying what cannot be."""
    tls = values.get("tls", True)
    fingerprint = values.get("certificate_sha256")
    if fingerprint is not None:
        fingerprint = fingerprint.replace(":", "").replace(" ", "").lower()
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise InvalidInput("a SHA-256 fingerprint has 64 hexadecimal digits", field="routeros.certificate_sha256")
        if not tls:
            raise InvalidInput("there is no certificate without TLS", field="routeros.certificate_sha256")
    port = values.get("port") or (TLS_PORT if tls else PLAIN_PORT)
    if values.get("user") is None:
        raise InvalidInput("names a user, or a credential", field="routeros.user")
    return {"user": values["user"], "port": port, "tls": tls, "certificate_sha256": fingerprint}

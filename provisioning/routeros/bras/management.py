"""Who may manage the box and by what, its clock, its log, SNMP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from core.errors import InvalidInput
from provisioning.routeros.bras.intent import Management, Service, Snmp, Syslog
from provisioning.routeros.planning import Setting, Wanted
from provisioning.routeros.schema import Release

_SERVICES: Final[tuple[str, ...]] = get_args(Service)
#: As the NAS entry calls them, and RouterOS, which has no others.
_AUTHENTICATION: Final = {"md5": "MD5", "sha1": "SHA1"}
_ENCRYPTION: Final = {"des": "DES", "aes128": "AES"}


@dataclass(frozen=True, slots=True)
class SnmpAgent:
    """How the NAS entry has the box asked: `name` is v2c's community, or v3's user, whose passphrases these are."""

    name: str = field(repr=False)
    authentication: str | None = None
    authentication_passphrase: str = field(default="", repr=False)
    encryption: str | None = None
    encryption_passphrase: str = field(default="", repr=False)


def rows(management: Management, agent: SnmpAgent | None, release: Release) -> Iterator[Wanted | Setting]:
    """Raises InvalidInput for SNMP that the NAS entry knows nothing of, or RouterOS cannot do."""
    networks = ",".join(management.networks)
    for name in _SERVICES:
        wanted = name in management.services
        values = {"name": name, "disabled": "no", "address": networks} if wanted else {"name": name, "disabled": "yes"}
        yield Wanted("/ip/service", None, values)
    if management.ntp:
        yield _ntp(management.ntp, release)
    if management.syslog is not None:
        yield from _syslog(management.syslog)
    if management.snmp is not None:
        yield from _snmp(management.snmp, agent)


def _ntp(servers: Sequence[str], release: Release) -> Setting:
    if release.major >= 7:
        return Setting("/system/ntp/client", {"enabled": "yes", "servers": ",".join(servers)})
    second = servers[1] if len(servers) > 1 else None
    return Setting("/system/ntp/client", {"enabled": "yes", "primary-ntp": servers[0], "secondary-ntp": second})


def _syslog(syslog: Syslog) -> Iterator[Wanted]:
    action = {"name": "provedor", "target": "remote", "remote": syslog.server, "remote-port": str(syslog.port)}
    yield Wanted("/system/logging/action", "management/syslog", action)
    for topic in syslog.topics:
        values = {"topics": topic, "action": "provedor", "disabled": "no"}
        yield Wanted("/system/logging", f"management/{topic}", values)


def _snmp(snmp: Snmp, agent: SnmpAgent | None) -> Iterator[Wanted | Setting]:
    if agent is None:
        raise InvalidInput("management.snmp needs `snmp` and its secret in the NAS entry", field="management.snmp")
    networks = ",".join(snmp.networks)
    values = {"name": agent.name, "addresses": networks, "read-access": "yes", "write-access": "no", **_user(agent)}
    yield Wanted("/snmp/community", "management/snmp", values)
    yield Setting("/snmp", {"enabled": "yes", "contact": snmp.contact, "location": snmp.location})


def _user(agent: SnmpAgent) -> Mapping[str, str | None]:
    """Of v2c, and of a user without a passphrase, nothing but that nothing is asked of him."""
    if agent.authentication is None:
        return {"security": "none"}
    values: dict[str, str | None] = {
        "security": "authorized",
        "authentication-protocol": _known(_AUTHENTICATION, agent.authentication),
        "authentication-password": agent.authentication_passphrase,
    }
    if agent.encryption is None:
        return values
    return {
        **values,
        "security": "private",
        "encryption-protocol": _known(_ENCRYPTION, agent.encryption),
        "encryption-password": agent.encryption_passphrase,
    }


def _known(names: Mapping[str, str], name: str) -> str:
    if name not in names:
        raise InvalidInput(f"management.snmp: RouterOS has {' and '.join(names)}, no {name}", field="management.snmp")
    return names[name]

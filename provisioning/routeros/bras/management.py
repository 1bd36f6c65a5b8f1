"""Who may manage the box and by what, its clock, its log, SNMP; our own user's rights, and no back doors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from core.errors import InvalidInput
from provisioning.routeros.bras.intent import ApiUser, Management, Service, Snmp, Syslog
from provisioning.routeros.planning import Setting, Wanted
from provisioning.routeros.schema import Release

#: All that Provedor does at a box: it reads (secrets, too, or one that somebody changed would not be noticed), writes,
#: has the box undo (`policy`: scripts and schedulers), pings (`test`), and keeps what is configured (`ftp`: a file).
API_POLICIES: Final = ("api", "ftp", "policy", "read", "sensitive", "test", "write")
_GROUP: Final = "provedor-api"
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
    if management.back_doors == "closed":
        yield from _CLOSED


def user_rows(user: ApiUser, name: str) -> Iterator[Wanted]:
    """The row of the user by which we are connected is changed and never taken away; that he is let in afterwards, with
    what he needs, the second connection proves. His password stays the NAS entry's."""
    yield Wanted("/user/group", f"user/{_GROUP}", {"name": _GROUP, "policy": ",".join(API_POLICIES)})
    values = {"name": name, "group": _GROUP, "address": ",".join(user.networks), "disabled": "no"}
    yield Wanted("/user", None, values)


#: "none" is a list of interfaces that every router has.
_CLOSED: Final = (
    Setting("/tool/mac-server", {"allowed-interface-list": "none"}),
    Setting("/tool/mac-server/mac-winbox", {"allowed-interface-list": "none"}),
    Setting("/tool/mac-server/ping", {"enabled": "no"}),
    Setting("/ip/neighbor/discovery-settings", {"discover-interface-list": "none"}),
    Setting("/tool/bandwidth-server", {"enabled": "no"}),
)


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

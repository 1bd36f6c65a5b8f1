"""Who may manage the box and by what, its clock, its log, SNMP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, get_args

from provisioning.routeros.bras.intent import Management, Service, Snmp, Syslog
from provisioning.routeros.planning import Setting, Wanted
from provisioning.routeros.schema import Release

_SERVICES: Final[tuple[str, ...]] = get_args(Service)


def rows(management: Management, release: Release) -> Iterator[Wanted | Setting]:
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
        yield from _snmp(management.snmp)


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


def _snmp(snmp: Snmp) -> Iterator[Wanted | Setting]:
    networks = ",".join(snmp.networks)
    values = {"name": snmp.community, "addresses": networks, "read-access": "yes", "write-access": "no"}
    yield Wanted("/snmp/community", "management/snmp", values)
    yield Setting("/snmp", {"enabled": "yes", "contact": snmp.contact, "location": snmp.location})

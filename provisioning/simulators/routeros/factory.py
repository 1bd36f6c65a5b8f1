"""What a router has that nobody configured: builtin rows, services, five interfaces, and the users of its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from provisioning.routeros.schema import MENUS, Release
from provisioning.simulators.routeros.configuration import Configuration
from provisioning.simulators.routeros.policies import POLICIES
from provisioning.simulators.routeros.table import Item

ETHERNETS: Final = 5
_WRITE: Final = POLICIES - {"ftp", "policy"}
_READ: Final = _WRITE - {"write"}
_SERVICES: Final = {
    "telnet": 23, "ftp": 21, "www": 80, "ssh": 22, "www-ssl": 443, "api": 8728, "winbox": 8291, "api-ssl": 8729,
}  # fmt: skip
_QUEUE_KINDS: Final = {
    "default": "pfifo", "default-small": "pfifo", "ethernet-default": "pfifo", "hotspot-default": "sfq",
    "multi-queue-ethernet-default": "mq-pfifo", "only-hardware-queue": "none", "pcq-download-default": "pcq",
    "pcq-upload-default": "pcq", "synchronous-default": "red", "wireless-default": "sfq",
}  # fmt: skip
_SAID: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "/ppp/profile": {"default-encryption": {"use-encryption": "yes"}},
    "/queue/type": {
        **{name: {"kind": kind} for name, kind in _QUEUE_KINDS.items()},
        "default-small": {"kind": "pfifo", "pfifo-limit": "10"},
        "pcq-download-default": {"kind": "pcq", "pcq-classifier": "dst-address"},
        "pcq-upload-default": {"kind": "pcq", "pcq-classifier": "src-address"},
    },
    "/system/logging/action": {name: {"target": name} for name in ("disk", "echo", "memory", "remote")},
    "/user/group": {
        name: {"policy": ",".join(sorted(policies))}
        for name, policies in {"full": POLICIES, "read": _READ, "write": _WRITE}.items()
    },
}
#: Ids that real routers have always had for these rows.
_IDS: Final = {("/ppp/profile", "default"): 0, ("/ppp/profile", "default-encryption"): 0xFFFFFFFE}


def new_configuration(release: Release, identity: str, users: Mapping[str, str]) -> Configuration:
    configuration = Configuration(release)
    for path, menu in MENUS.items():
        table = configuration.tables[path]
        if menu.single:
            table.put(Item(0))
        for name in sorted(menu.builtin, key=lambda one: (_IDS.get((path, one), 0) < 1 << 31, one)):
            number = _IDS.get((path, name))
            said = _SAID.get(path, {}).get(name, {})
            table.put(Item(table.next_number() if number is None else number, {"name": name, **said}, builtin=True))
    _add(configuration, "/ip/service", *({"name": name, "port": str(port)} for name, port in _SERVICES.items()))
    _add(
        configuration, "/interface/ethernet",
        *({"name": f"ether{number}", "default-name": f"ether{number}"} for number in range(1, ETHERNETS + 1)),
    )  # fmt: skip
    logged = ({"topics": topic} for topic in ("info", "error", "warning"))
    _add(configuration, "/system/logging", *logged, {"topics": "critical", "action": "echo"}, builtin=True)
    _add(configuration, "/user", *({"name": name, "group": "full", "password": word} for name, word in users.items()))
    if identity != "MikroTik":
        configuration.tables["/system/identity"].put(Item(0, {"name": identity}))
    return configuration


def _add(configuration: Configuration, path: str, *rows: Mapping[str, str], builtin: bool = False) -> None:
    table = configuration.tables[path]
    for values in rows:
        said = {name: value for name, value in values.items() if value != table.fields[name].default}
        table.put(Item(table.next_number(), said, builtin))

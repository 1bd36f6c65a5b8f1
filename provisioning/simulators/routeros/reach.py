"""Does this client still reach the API? What the router's services, its users' addresses and its input chain say.

Who changes a router can cut himself off, and must be able to try what happens then. A new connection is refused where
the service is off or not for its address; any packet is dropped or rejected where a rule of the input chain says so.
Rules are matched by protocol, port, source, state and interface; one with any other matcher matches nothing. A client
comes in on the interface that has an address of his network, else on the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address, ip_interface
from typing import Final

from provisioning.simulators.routeros.configuration import Configuration
from provisioning.simulators.routeros.edit import FILTER
from provisioning.simulators.routeros.table import Item


class Verdict(Enum):
    ACCEPT = auto()
    #: It is told so.
    REFUSE = auto()
    #: It hears nothing.
    DROP = auto()


@dataclass(frozen=True, slots=True)
class Client:
    address: str
    tls: bool = False

    @property
    def service(self) -> str:
        return "api-ssl" if self.tls else "api"


def verdict(configuration: Configuration, client: Client, *, established: bool) -> Verdict:
    service = configuration.tables["/ip/service"].with_key(client.service)
    port = (service.values.get("port") if service else None) or "8728"
    passed = _Packet(configuration, client, port, established).through("input", frozenset())
    if passed is not None and passed is not Verdict.ACCEPT:
        return passed
    if established or service is None:
        return Verdict.ACCEPT
    closed = "disabled" in service.values or not allows(service.values.get("address", ""), client.address)
    return Verdict.REFUSE if closed else Verdict.ACCEPT


def allows(addresses: str, address: str) -> bool:
    """None said is all."""
    return not addresses or any(_within(one, address) for one in addresses.split(","))


@dataclass(frozen=True, slots=True)
class _Packet:
    configuration: Configuration
    client: Client
    port: str
    established: bool

    def through(self, chain: str, above: frozenset[str]) -> Verdict | None:
        """None: no rule decides. A jump to where one came from is none."""
        table = self.configuration.tables[FILTER]
        for rule in table:
            if rule.values.get("chain") != chain or "disabled" in rule.values or not self._meets(rule):
                continue
            action = table.value(rule, "action") or "accept"
            if action == "return":
                return None
            target = rule.values.get("jump-target", "")
            if action == "jump" and target not in {chain, *above}:
                decided = self.through(target, above | {chain})
            else:
                decided = _DECIDED.get(action)
            if decided is not None:
                return decided
        return None

    def _meets(self, rule: Item) -> bool:
        matchers = (item for item in rule.values.items() if item[0] not in _NO_MATCHERS)
        return all(self._matches(name, value) for name, value in matchers)

    def _matches(self, name: str, value: str) -> bool:
        test = _TESTS.get(name)
        if test is None:
            return False
        plain = value.removeprefix("!")
        return test(self, plain) is (plain == value)

    def is_tcp(self, value: str) -> bool:
        return value in {"tcp", "6"}

    def is_port(self, value: str) -> bool:
        port = int(self.port)
        ends = (one.partition("-") for one in value.split(","))
        return any(int(first) <= port <= int(last or first) for first, _, last in ends if first.isdecimal())

    def is_source(self, value: str) -> bool:
        return _within(value, self.client.address)

    def is_listed(self, value: str) -> bool:
        entries = self.configuration.tables["/ip/firewall/address-list"]
        return any(
            entry.values.get("list") == value and "disabled" not in entry.values
            and _within(entry.values["address"], self.client.address)
            for entry in entries
        )  # fmt: skip

    def is_state(self, value: str) -> bool:
        return ("established" if self.established else "new") in value.split(",")

    @property
    def interface(self) -> str:
        for address in self.configuration.tables["/ip/address"]:
            if "disabled" not in address.values and _within(address.values["address"], self.client.address):
                return address.values["interface"]
        return next(iter(self.configuration.tables["/interface/ethernet"])).values["name"]

    def is_interface(self, value: str) -> bool:
        ethernet = self.configuration.tables["/interface/ethernet"].with_key(self.interface)
        return value == self.interface or (value == "all-ethernet" and ethernet is not None)

    def is_interface_list(self, value: str) -> bool:
        members = self.configuration.tables["/interface/list/member"]
        return value == "all" or members.with_key(value, self.interface) is not None


_DECIDED: Final[Mapping[str, Verdict]] = {
    "accept": Verdict.ACCEPT, "drop": Verdict.DROP, "tarpit": Verdict.DROP, "reject": Verdict.REFUSE,
}  # fmt: skip
_NO_MATCHERS: Final = frozenset({
    "action", "address-list", "address-list-timeout", "chain", "comment", "jump-target", "log", "log-prefix",
    "reject-with",
})  # fmt: skip
_TESTS: Final[Mapping[str, Callable[[_Packet, str], bool]]] = {
    "protocol": _Packet.is_tcp, "dst-port": _Packet.is_port, "port": _Packet.is_port,
    "src-address": _Packet.is_source, "src-address-list": _Packet.is_listed, "connection-state": _Packet.is_state,
    "in-interface": _Packet.is_interface, "in-interface-list": _Packet.is_interface_list,
}  # fmt: skip


def _within(written: str, address: str) -> bool:
    """An address, a network, or a range. A name is nobody's address."""
    try:
        wanted = ip_address(address)
        first, dash, last = written.partition("-")
        if not dash:
            return wanted in ip_interface(written).network
        low, high = ip_address(first), ip_address(last)
    except ValueError:
        return False
    return low.version == wanted.version and int(low) <= int(wanted) <= int(high)

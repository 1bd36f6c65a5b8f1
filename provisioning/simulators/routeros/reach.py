"""Does this client still reach the API, and the router whom it asks? What its services, its users' addresses and its
input and output chains say.

Who changes a router can cut himself off, or the router from its servers, and must be able to try what happens then. A
new connection is refused where the service is off or not for its address; any packet is dropped or rejected where a
rule of its chain says so. Rules are matched by protocol, ports, addresses, state and interface, as far as they are
known of the packet; one with any other matcher matches nothing. A client comes in on, and a question goes out of, the
interface that has an address of its network, else the first one.
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What the router asks of another: an echo, or a datagram to a port. `source`: its own address, where said."""

    address: str
    protocol: str = "icmp"
    port: int | None = None
    source: str = ""


def verdict(configuration: Configuration, client: Client, *, established: bool) -> Verdict:
    service = configuration.tables["/ip/service"].with_key(client.service)
    port = (service.values.get("port") if service else None) or "8728"
    passed = _Packet(configuration, client.address, "tcp", client.address, "", None, int(port), established).through(
        "input", frozenset()
    )
    if passed is not None and passed is not Verdict.ACCEPT:
        return passed
    if established or service is None:
        return Verdict.ACCEPT
    closed = "disabled" in service.values or not allows(service.values.get("address", ""), client.address)
    return Verdict.REFUSE if closed else Verdict.ACCEPT


def lets_ask(configuration: Configuration, asked: Asked) -> bool:
    """Neither the question is kept in, nor its answer out."""
    there, here, port = asked.address, asked.source, asked.port
    question = _Packet(configuration, there, asked.protocol, here, there, None, port, established=False)
    answer = _Packet(configuration, there, asked.protocol, there, here, port, None, established=True)
    passed = question.through("output", frozenset()), answer.through("input", frozenset())
    return all(one in {None, Verdict.ACCEPT} for one in passed)


def allows(addresses: str, address: str) -> bool:
    """None said is all."""
    return not addresses or any(_within(one, address) for one in addresses.split(","))


@dataclass(frozen=True, slots=True)
class _Packet:
    """`peer`: the other end, by which the interface is found. Empty or None: not known, and no rule matches by it."""

    configuration: Configuration
    peer: str
    protocol: str
    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    established: bool

    def through(self, chain: str, above: frozenset[str]) -> Verdict | None:
        """None: no rule decides. A jump to where one came from is none."""
        table = self.configuration.tables[FILTER if self.is_v4 else "/ipv6/firewall/filter"]
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
        plain = value.removeprefix("!")
        found = None if test is None else test(self, plain)
        return found is not None and found is (plain == value)

    @property
    def is_v4(self) -> bool:
        return ip_address(self.peer).version == 4

    def is_protocol(self, value: str) -> bool:
        return value in _PROTOCOLS[self.protocol]

    def is_port(self, value: str) -> bool | None:
        ends = [self.is_source_port(value), self.is_destination_port(value)]
        return None if ends == [None, None] else True in ends

    def is_source_port(self, value: str) -> bool | None:
        return _is_port(value, self.source_port)

    def is_destination_port(self, value: str) -> bool | None:
        return _is_port(value, self.destination_port)

    def is_source(self, value: str) -> bool | None:
        return _within(value, self.source) if self.source else None

    def is_destination(self, value: str) -> bool | None:
        return _within(value, self.destination) if self.destination else None

    def is_source_listed(self, value: str) -> bool | None:
        return self._is_listed(value, self.source) if self.source else None

    def is_destination_listed(self, value: str) -> bool | None:
        return self._is_listed(value, self.destination) if self.destination else None

    def _is_listed(self, value: str, address: str) -> bool:
        entries = self.configuration.tables[f"/{'ip' if self.is_v4 else 'ipv6'}/firewall/address-list"]
        return any(
            entry.values.get("list") == value and "disabled" not in entry.values
            and _within(entry.values["address"], address)
            for entry in entries
        )  # fmt: skip

    def is_state(self, value: str) -> bool:
        return ("established" if self.established else "new") in value.split(",")

    @property
    def interface(self) -> str:
        for address in self.configuration.tables["/ip/address"]:
            if "disabled" not in address.values and _within(address.values["address"], self.peer):
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
_PROTOCOLS: Final = {"tcp": {"tcp", "6"}, "udp": {"udp", "17"}, "icmp": {"icmp", "1", "icmpv6", "58"}}
_TESTS: Final[Mapping[str, Callable[[_Packet, str], bool | None]]] = {
    "protocol": _Packet.is_protocol, "port": _Packet.is_port, "src-port": _Packet.is_source_port,
    "dst-port": _Packet.is_destination_port, "src-address": _Packet.is_source, "dst-address": _Packet.is_destination,
    "src-address-list": _Packet.is_source_listed, "dst-address-list": _Packet.is_destination_listed,
    "connection-state": _Packet.is_state, "in-interface": _Packet.is_interface, "out-interface": _Packet.is_interface,
    "in-interface-list": _Packet.is_interface_list, "out-interface-list": _Packet.is_interface_list,
}  # fmt: skip


def _is_port(value: str, port: int | None) -> bool | None:
    if port is None:
        return None
    ends = (one.partition("-") for one in value.split(","))
    return any(int(first) <= port <= int(last or first) for first, _, last in ends if first.isdecimal())


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

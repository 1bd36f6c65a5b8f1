"""Deterministic NAT: which inside address has which ports of which outside address, both ways, by arithmetic.

RFC 7422 section 2: inside addresses and outside ports are cut once, when the rule is configured, so that a log of the
rule and its times answers for every subscriber. Two orders are in use:

ports_first      the first inside addresses fill the ports of the first outside address, then those of the second.
                 RFC 7422's sequential allocation; Juniper's deterministic-port-block-allocation, Cisco's and A10's
                 deterministic NAT; MikroTik scripts that loop over ports inside a loop over public addresses.
addresses_first  the n-th inside address goes to outside address n modulo their number; the ports advance after each
                 round. Scripts that loop over public addresses inside a loop over port ranges, and netmap of equal
                 pieces, where each piece of the inside network is mapped to the whole outside network.

Ports that are left over at the end of an outside address are nobody's; a rule that has no ports for its last inside
addresses is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from aaa.connection_log.models import NatOrder
from core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Block:
    """Ports of an outside address, both ends included."""

    outside: IPv4Address
    port_first: int
    port_last: int


@dataclass(frozen=True, slots=True)
class DeterministicNat:
    """Raises InvalidInput where the ranges do not fit each other."""

    inside_first: IPv4Address
    inside_last: IPv4Address
    outside_first: IPv4Address
    outside_last: IPv4Address
    ports_per_subscriber: int
    first_port: int
    last_port: int
    order: NatOrder

    def __post_init__(self) -> None:
        for name in ("inside", "outside"):
            if getattr(self, f"{name}_last") < getattr(self, f"{name}_first"):
                raise InvalidInput("ends before it begins", field=f"{name}_last")
        if not 1 <= self.first_port <= self.last_port <= 65535:
            raise InvalidInput("ports are from 1 to 65535, the last not below the first", field="last_port")
        if self.ports_per_subscriber < 1 or self.blocks_per_outside == 0:
            raise InvalidInput("an outside address has fewer ports than that", field="ports_per_subscriber")
        room = self.outsides * self.blocks_per_outside
        if self.insides > room:
            raise InvalidInput(f"{self.insides} inside addresses, ports for {room}", field="ports_per_subscriber")

    @property
    def insides(self) -> int:
        return int(self.inside_last) - int(self.inside_first) + 1

    @property
    def outsides(self) -> int:
        return int(self.outside_last) - int(self.outside_first) + 1

    @property
    def blocks_per_outside(self) -> int:
        return (self.last_port - self.first_port + 1) // self.ports_per_subscriber

    def block_of(self, inside: IPv4Address) -> Block | None:
        """The ports of an inside address; None for one that is not the rule's."""
        number = int(inside) - int(self.inside_first)
        if not 0 <= number < self.insides:
            return None
        if self.order is NatOrder.PORTS_FIRST:
            outside, block = divmod(number, self.blocks_per_outside)
        else:
            block, outside = divmod(number, self.outsides)
        first = self.first_port + block * self.ports_per_subscriber
        return Block(self.outside_first + outside, first, first + self.ports_per_subscriber - 1)

    def inside_of(self, outside: IPv4Address, port: int) -> IPv4Address | None:
        """Who has this port of this outside address; None where nobody has."""
        block = (port - self.first_port) // self.ports_per_subscriber
        if not self.first_port <= port <= self.last_port or block >= self.blocks_per_outside:
            return None
        return self._inside(outside, block)

    def insides_of(self, outside: IPv4Address) -> list[IPv4Address]:
        """All who share an outside address."""
        found = (self._inside(outside, block) for block in range(self.blocks_per_outside))
        return [inside for inside in found if inside is not None]

    def _inside(self, outside: IPv4Address, block: int) -> IPv4Address | None:
        place = int(outside) - int(self.outside_first)
        if not 0 <= place < self.outsides:
            return None
        ports_first = self.order is NatOrder.PORTS_FIRST
        number = place * self.blocks_per_outside + block if ports_first else block * self.outsides + place
        return self.inside_first + number if number < self.insides else None

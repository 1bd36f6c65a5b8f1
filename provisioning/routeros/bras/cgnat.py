"""NAT rules of deterministic port blocks, by the very rules from which the connection log answers (RFC 7422).

Each inside address has a chain's worth of three rules: TCP and UDP from its ports, and what has no ports from its
outside address. Addresses jump to a chain of their /27, so that a packet passes some dozens of rules and not thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from itertools import groupby
from typing import Final

from aaa.connection_log.nat import DeterministicNat
from core.errors import InvalidInput
from provisioning.routeros.planning import Place, Wanted

_NAT: Final = "/ip/firewall/nat"
#: Addresses of one chain.
_TOGETHER: Final = 32


def rows(names: Sequence[str], rules: Mapping[str, DeterministicNat]) -> Iterator[Wanted]:
    """Raises InvalidInput for a rule that there is not."""
    for name in names:
        if name not in rules:
            raise InvalidInput(f"the connection log has no rule {name} in force", field="cgnat")
        yield from _rule(name, rules[name])


def _rule(name: str, nat: DeterministicNat) -> Iterator[Wanted]:
    insides = [nat.inside_first + number for number in range(nat.insides)]
    chains = [list(group) for _, group in groupby(insides, lambda one: int(one) // _TOGETHER)]
    for chain in chains:
        values = {"chain": "srcnat", "action": "jump", "jump-target": _chain(name, chain), "disabled": "no",
                  "src-address": f"{chain[0]}-{chain[-1]}" if len(chain) > 1 else str(chain[0])}  # fmt: skip
        yield Wanted(_NAT, f"cgnat/{name}/{chain[0]}", values, Place.FIRST)
    for chain in chains:
        for inside in chain:
            yield from _subscriber(name, _chain(name, chain), inside, nat)


def _chain(name: str, insides: Sequence[IPv4Address]) -> str:
    return f"cgnat-{name}-{insides[0]}"


def _subscriber(name: str, chain: str, inside: IPv4Address, nat: DeterministicNat) -> Iterator[Wanted]:
    block = nat.block_of(inside)
    assert block is not None  # noqa: S101  (it is one of the rule's)
    match = {"chain": chain, "action": "src-nat", "src-address": str(inside), "to-addresses": str(block.outside),
             "disabled": "no"}  # fmt: skip
    for protocol in ("tcp", "udp"):
        ports = {"protocol": protocol, "to-ports": f"{block.port_first}-{block.port_last}"}
        yield Wanted(_NAT, f"cgnat/{name}/{inside}/{protocol}", {**match, **ports})
    yield Wanted(_NAT, f"cgnat/{name}/{inside}/other", match)

"""What a change must not cut, asked of the box itself, before and after: pings, and whether RADIUS still answers.

A ping goes out of the box as whatever it sends: it proves routes, the uplink, and the output, input and source NAT
rules on its way. It does not go through the forward chain, as subscribers' packets do, and a RADIUS server that answers
pings may yet refuse us.

For that there are the box's own counters: a server that is asked while we look, and gives no answer that the box
accepts, is silent. While nobody logs in and no session reports, they prove nothing.

What did not answer before is nobody's harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap
from provisioning.routeros.schema import Release

#: Between two pings: ten of them and the last one's answer come within the time of one command.
_INTERVAL: Final = "200ms"
#: Of RADIUS: a request that is not answered is sent again within this (`radius.timeout_ms` is 3000 unless said
#: otherwise), and sessions of a full BRAS report every moment.
WATCH_S: Final = 6.0
#: A path that was just changed may need a moment, and a second look.
AGAIN_S: Final = 5.0
_ANSWERS: Final = ("accepts", "rejects")
_VAIN: Final = ("resends", "timeouts", "bad-replies")


@dataclass(frozen=True, slots=True)
class Ping:
    """`vrf`: before 7.0 a routing table. `loss_percent`: so many may be lost of `count`."""

    target: str
    source: str | None = None
    interface: str | None = None
    vrf: str | None = None
    count: int = 5
    loss_percent: int = 40

    def __str__(self) -> str:
        return self.target if self.source is None else f"{self.target} from {self.source}"


@dataclass(frozen=True, slots=True)
class Proof:
    """Of one box. `radius`: its counters are looked at."""

    pings: tuple[Ping, ...] = ()
    radius: bool = False


NO_PROOF: Final = Proof()


class Heard(Enum):
    """Of a RADIUS server, while we looked."""

    ANSWERED = auto()
    #: It was asked, and gave no answer that the box takes.
    SILENT = auto()
    NOT_ASKED = auto()


@dataclass(frozen=True, slots=True)
class Seen:
    """`radius`: by the server's address."""

    answering: frozenset[Ping]
    radius: Mapping[str, Heard]


Wait = Callable[[float], None]


def look(client: RouterOs, proof: Proof, release: Release, wait: Wait) -> Seen:
    """Raises RouterOsError."""
    answering = frozenset(one for one in proof.pings if _answers(client, one, release))
    return Seen(answering, dict(_listen(client, wait)) if proof.radius else {})


def lost(client: RouterOs, proof: Proof, before: Seen, release: Release, wait: Wait) -> list[str]:
    """What answered before and does not now, for people. Raises RouterOsError."""
    gone = [one for one in proof.pings if one in before.answering and not _answers(client, one, release)]
    if gone:
        wait(AGAIN_S)
        gone = [one for one in gone if not _answers(client, one, release)]
    heard = dict(_listen(client, wait)) if proof.radius and not gone else {}
    cut = [address for address, now in sorted(heard.items()) if now is Heard.SILENT and _was_there(address, before)]
    return [f"{one} does not answer pings any more" for one in gone] + [
        f"RADIUS server {address} was asked, and gave no answer that the box takes" for address in cut
    ]


def _was_there(address: str, before: Seen) -> bool:
    """It answered before; or nobody asked it, and it answered pings. One that is new has to answer."""
    heard = before.radius.get(address, Heard.ANSWERED)
    pinged = any(one.target == address for one in before.answering)
    return heard is Heard.ANSWERED or (heard is Heard.NOT_ASKED and pinged)


def _answers(client: RouterOs, ping: Ping, release: Release) -> bool:
    table = "vrf" if release.major >= 7 else "routing-table"
    said = {"src-address": ping.source, "interface": ping.interface, table: ping.vrf}
    rows = client.call(
        "/ping",
        {"address": ping.target, "count": str(ping.count), "interval": _INTERVAL}
        | {name: value for name, value in said.items() if value is not None},
    )
    received = max((int(row.get("received", "0")) for row in rows), default=0)
    return received > 0 and (ping.count - received) * 100 <= ping.loss_percent * ping.count


def _listen(client: RouterOs, wait: Wait) -> Iterator[tuple[str, Heard]]:
    first = dict(_counters(client))
    if not first:
        return
    wait(WATCH_S)
    for row_id, (address, after) in _counters(client):
        if row_id in first:
            yield address, _heard(first[row_id][1], after)


def _heard(before: Mapping[str, int], after: Mapping[str, int]) -> Heard:
    def grew(names: Sequence[str]) -> bool:
        return any(after[name] > before[name] for name in names)

    if grew(_ANSWERS):
        return Heard.ANSWERED
    return Heard.SILENT if grew(_VAIN) else Heard.NOT_ASKED


def _counters(client: RouterOs) -> Iterator[tuple[str, tuple[str, dict[str, int]]]]:
    """{id: (address, counters)} of the servers that are asked."""
    for server in client.rows("/radius", (".id", "address", "disabled")):
        if server.get("disabled") != "true" and (found := _monitored(client, server)) is not None:
            yield server[".id"], (server.get("address", ""), found)


def _monitored(client: RouterOs, server: Row) -> dict[str, int] | None:
    """None where it was taken away meanwhile."""
    try:
        rows = client.call("/radius/monitor", {".id": server[".id"], "once": ""})
    except Trap as trap:
        if "no such item" in trap.message:
            return None
        raise
    return {name: int(rows[0].get(name, "0")) if rows else 0 for name in (*_ANSWERS, *_VAIN)}

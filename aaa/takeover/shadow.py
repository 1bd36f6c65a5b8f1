"""What the authentication worker does for a NAS that we do not serve alone: ask the home server, compare, pass on.

    shadow   every request goes there; its answer is passed on, and compared with what ours would have been
    proxy    a login that we know is ours to answer; all others go there

A home server that is silent must not lock anybody out: in shadow, whom we would accept we then do accept. Whom we would
refuse, and a login that is unknown to us, gets no answer, so that the NAS asks its next server.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aaa.decision import Decision
from aaa.packet import Code, Kind, Packet, readable
from aaa.snapshot import Client
from aaa.takeover.compare import Comparison, Difference, Ours, compare, encode_comparisons
from aaa.takeover.forwarding import forwarded_access_request, returned_attributes
from aaa.takeover.home import PROXY, HomeRow, HomeServer
from aaa.takeover.relay import Question, Relay, Watcher
from aaa.worker import Arrival

#: A comparison of a login that came out as before is told again after this time.
SAME_AGAIN_S: Final = 60.0
TOLD_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a NAS that waits for the home server's answer, and what ours would be."""

    packet: Packet
    client: Client
    arrival: Arrival
    decision: Decision


@dataclass(frozen=True, slots=True)
class Answered:
    """The home server's answer as it goes to the NAS: code and attributes, still to be signed."""

    code: int
    attributes: bytes


#: Told the home server's answer, or None for its silence.
Conclude = Callable[[Asked, "Answered | None"], None]


class Shadow:
    def __init__(
        self,
        watcher: Watcher,
        now: Callable[[], float],
        conclude: Conclude,
        ours: Callable[[Asked], Ours],
        sink_path: str,
    ) -> None:
        """`ours` tells what our own answer would be."""
        self.relay = Relay(watcher, now)
        self._now = now
        self._conclude = conclude
        self._ours = ours
        self._waiting: dict[tuple[bytes, int], Question] = {}
        self._proxy_states = 0
        self._sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sink.setblocking(False)
        self._sink_path = sink_path
        #: What was told of each login last, and when.
        self._told: dict[tuple[int, str], tuple[list[Difference], float]] = {}
        #: The last comparison of each login that the sink has not taken yet.
        self._to_tell: dict[tuple[int, str], Comparison] = {}

    def takes(self, asked: Asked, home: HomeServer) -> bool:
        """Whether the answer is the home server's affair, now that it has been asked."""
        if not _concerns(asked):
            return False
        question = None if self.relay.dead(home) else self._ask(asked, home)
        if question is None:
            self._silence(asked)
            return True
        self._waiting[asked.arrival.name, asked.packet.identifier] = question
        return True

    def again(self, name: bytes, identifier: int) -> None:
        """The NAS repeats a request that waits."""
        question = self._waiting.get((name, identifier))
        if question is not None:
            self.relay.again(question)

    def tick(self, homes: Callable[[], set[HomeRow]]) -> None:
        self.relay.tick()
        self._send()
        if self.relay.states():
            self.relay.forget(homes())

    def _ask(self, asked: Asked, home: HomeServer) -> Question | None:
        packet, client = asked.packet, asked.client
        self._proxy_states += 1
        proxy_state = b"pvd" + self._proxy_states.to_bytes(8, "big")

        def build(identifier: int, authenticator: bytes) -> bytes | None:
            return forwarded_access_request(
                packet, asked.arrival.peer.address, client.secret, home.secret, identifier, authenticator, proxy_state
            )

        def done(reply: Packet | None) -> None:
            key = (asked.arrival.name, packet.identifier)
            if self._waiting.get(key) is question:
                del self._waiting[key]
            if reply is None or question is None:
                return self._silence(asked)
            self._compare(asked, reply)
            attributes = returned_attributes(reply, packet, question.octets, proxy_state, home.secret, client.secret)
            return self._conclude(asked, Answered(reply.code, attributes))

        question = self.relay.ask(home, build, done)
        return question

    def _silence(self, asked: Asked) -> None:
        if asked.decision.entry is not None:
            self._compare(asked, None)
        self._conclude(asked, None)

    def _compare(self, asked: Asked, reply: Packet | None) -> None:
        """Only where one of the two accepts: what both refuse is agreement, and who guesses logins fills no table."""
        client, decision = asked.client, asked.decision
        if client.mode == PROXY or (decision.entry is None and (reply is None or reply.code != Code.ACCESS_ACCEPT)):
            return
        differences = compare(self._ours(asked), reply)
        # As the NAS writes it: what its login rules make of it may be what differs, and is what may be put right.
        login = readable(asked.packet.first(Kind.USER_NAME) or b"")
        self._tell(Comparison(client.nas_id, login, list(differences)))

    def _tell(self, comparison: Comparison) -> None:
        key, now_s = (comparison.nas_id, comparison.login), self._now()
        before = self._told.get(key)
        if before is not None and before[0] == comparison.differences and now_s - before[1] < SAME_AGAIN_S:
            return
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        self._told[key] = (comparison.differences, now_s)
        if key in self._to_tell or len(self._to_tell) < TOLD_MAX:
            self._to_tell[key] = comparison
        self._send()

    def _send(self) -> None:
        """As many as the sink takes now: when everybody dials at once, the rest goes a second later."""
        while self._to_tell:
            told = encode_comparisons(self._to_tell.values())
            try:
                self._sink.sendto(told.octets, self._sink_path)
            except OSError:  # nobody listens, or not fast enough
                return
            for key in list(itertools.islice(self._to_tell, told.count)):
                del self._to_tell[key]


def _concerns(asked: Asked) -> bool:
    """In an emergency we answer, whatever the mode. A login that we know is ours in proxy mode, blocked or not."""
    if asked.client.emergency_fingerprint is not None:
        return False
    decision = asked.decision
    return asked.client.mode != PROXY or (decision.entry is None and decision.subscriber is None)

"""The authentication worker: an Access-Request's way, readable in `handle`.

Rejects leave after REJECT_DELAY_S without anything waiting for them: they lie in a heap, and the request counts as
pending until then.
"""

from __future__ import annotations

import heapq
import os
import random
import socket
import time
from pathlib import Path
from typing import Final

import msgspec

from aaa.accept_class import class_attribute
from aaa.authenticator import message_authenticator_valid, sign_reply
from aaa.decision import Decision, authorize, check_signature, learned_mode
from aaa.duplicates import PENDING, Duplicates
from aaa.feed import LEASE_TRUST_S, Message
from aaa.packet import (
    PACKET_OCTETS_MAX,
    Code,
    Kind,
    MalformedPacket,
    Packet,
    parse,
    proxy_states,
    readable,
)
from aaa.reasons import Reason
from aaa.snapshot import Client, PolicyEntry
from aaa.takeover.shadow import Answered, Asked, Shadow
from aaa.takeover.sink import COMPARISONS_SOCKET
from aaa.worker import Arrival, Peer, Worker, WorkerOptions

_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_ACCESS_ACCEPT: Final = int(Code.ACCESS_ACCEPT)
#: RFC 2865 leaves it to the server; a second makes guessing slow and costs an honest CPE nothing.
REJECT_DELAY_S: Final = 1.0
#: Rejects that may be waiting; more are discarded, and the NAS asks again.
DELAYED_REJECTS_MAX: Final = 50_000
#: One refused attempt per login is reported in this time.
ATTEMPT_INTERVAL_S: Final = 5.0
ATTEMPT_KEYS_MAX: Final = 20_000


class AuthenticationWorker(Worker):
    role = "auth"

    def __init__(self, options: WorkerOptions, attempts_path: str) -> None:
        super().__init__(options, with_services=True)
        self._duplicates = Duplicates(self.now)
        self._delayed: list[tuple[float, int, Arrival, bytes, bytes]] = []
        self._delayed_count = 0
        # Accept ids must be unique, not secret; a generator of our own spares a system call per accept.
        self._random = random.Random(os.urandom(16))  # noqa: S311
        self._attempts = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._attempts.setblocking(False)
        self._attempts_path = attempts_path
        self._reported: dict[bytes, float] = {}
        #: Leases that the feeder was asked for in this second.
        self._wanted: set[tuple[str, int]] = set()
        comparisons_path = str(Path(attempts_path).with_name(COMPARISONS_SOCKET))
        self._shadow = Shadow(self, lambda: self.now, self._conclude, self._our_attributes, comparisons_path)

    def handle(self, arrival: Arrival) -> None:
        client = arrival.peer.client
        if client is None:
            return self.count(Reason.UNKNOWN_CLIENT, arrival.peer)
        try:
            packet = parse(arrival.octets)
        except MalformedPacket as error:
            return self.count(Reason.MALFORMED, arrival.peer, detail=error.detail)
        if packet.code != _ACCESS_REQUEST:
            return self._handle_other(packet, client, arrival)
        refused = check_signature(packet, client)
        if refused is not None:
            return self.count(refused, arrival.peer)
        cached = self._duplicates.find(arrival.name, packet.identifier, packet.authenticator)
        if cached is not None:
            return self._answer_duplicate(cached, arrival)
        if client.message_authenticator == "auto":
            self._learn(packet, client)
        decision = authorize(packet, client, self.follower.current, os.urandom)
        if client.forwards_to is not None:
            self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, PENDING)
            if self._shadow.takes(Asked(packet, client, arrival, decision), client.forwards_to):
                return None
            self._duplicates.forget(arrival.name, packet.identifier)
        if decision.entry is None:
            return self._reject(packet, client, arrival, decision)
        return self._accept(packet, client, arrival, decision, decision.entry)

    def end_batch(self) -> None:
        self._shadow.relay.run_timers()
        while self._delayed and self._delayed[0][0] <= self.now:
            _, _, arrival, authenticator, reply = heapq.heappop(self._delayed)
            if self._duplicates.superseded(arrival.name, reply[1], authenticator):
                continue  # the NAS gave it up for another request (RFC 5080 2.2.2), whose reply is in the cache
            self._duplicates.remember(arrival.name, reply[1], authenticator, reply)
            arrival.reply(reply)

    def timer_s(self) -> float:
        delayed_s = max(0.0, self._delayed[0][0] - self.now) if self._delayed else 1.0
        return min(delayed_s, self._shadow.relay.timer_s())

    def tick(self) -> None:
        self._duplicates.expire(self.now)
        self._wanted.clear()
        self._shadow.tick(
            lambda: {one.forwards_to.row for one in self.follower.current.clients.all() if one.forwards_to}
        )
        if len(self._reported) > ATTEMPT_KEYS_MAX:
            self._reported.clear()

    def _accept(self, packet: Packet, client: Client, arrival: Arrival, decision: Decision, entry: PolicyEntry) -> None:
        service_id = decision.subscriber.service_id if decision.subscriber else 0
        accept_id = self._random.getrandbits(64).to_bytes(8, "big")
        of_policy, pools = entry.attributes_for(client, self.follower.current.pools)
        if pools and service_id:
            leased = self._leased(pools, service_id)
            if isinstance(leased, Reason):
                return self._without_lease(packet, client, arrival, leased)
            of_policy += leased
        attributes = of_policy + class_attribute(service_id, accept_id, entry.fingerprint_octets) + decision.attributes
        if Kind.PROXY_STATE in packet.firsts:
            attributes += proxy_states(packet)
        reply = sign_reply(_ACCESS_ACCEPT, packet.identifier, packet.authenticator, attributes, client.secret)
        if len(reply) > PACKET_OCTETS_MAX:
            return self.count(Reason.MALFORMED, arrival.peer, detail="too much Proxy-State")
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, reply)
        arrival.reply(reply)
        counts, reason = client.counts, decision.reason
        counts[reason] = counts.get(reason, 0) + 1
        if self.trace is not None:
            self.trace_exchange(arrival, reply, reason)
        return None

    def _leased(self, pools: tuple[str, ...], service_id: int) -> bytes | Reason:
        """The attributes of its leases out of these pools, or why it cannot be given one now."""
        snapshot = self.follower.current
        if time.time() - snapshot.fresh_at > LEASE_TRUST_S:
            return Reason.LEASES_STALE
        found = [(pool, snapshot.leases[pool].get(service_id)) for pool in pools]
        missing = [pool for pool, attributes in found if attributes is None]
        for pool in missing:
            if (pool, service_id) not in self._wanted:
                self._wanted.add((pool, service_id))
                self.tell_feeder(Message.LEASE_WANTED, [pool, service_id])
        return Reason.LEASE_AWAITED if missing else b"".join(attributes or b"" for _, attributes in found)

    def _without_lease(self, packet: Packet, client: Client, arrival: Arrival, reason: Reason) -> None:
        """In silence: the NAS asks again in a second or two, or asks another server."""
        self.count(reason, arrival.peer)
        self._report_attempt(packet, client, arrival.peer, Decision(reason))

    def _reject(self, packet: Packet, client: Client, arrival: Arrival, decision: Decision) -> None:
        if decision.reason is Reason.CREDENTIALS_MISSING and not packet.message_authenticator_at:
            return self.count(decision.reason, arrival.peer)  # RFC 3579 3.3, note 1: in silence
        attributes = decision.attributes + proxy_states(packet)
        reply = sign_reply(Code.ACCESS_REJECT, packet.identifier, packet.authenticator, attributes, client.secret)
        if len(reply) > PACKET_OCTETS_MAX:
            return self.count(Reason.MALFORMED, arrival.peer, detail="too much Proxy-State")
        if len(self._delayed) >= DELAYED_REJECTS_MAX:
            return self.count(Reason.OVERLOADED, arrival.peer)
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, PENDING)
        self._delayed_count += 1
        due = self.now + REJECT_DELAY_S
        heapq.heappush(self._delayed, (due, self._delayed_count, arrival, packet.authenticator, reply))
        self.count(decision.reason, arrival.peer)
        self._report_attempt(packet, client, arrival.peer, decision)
        if self.trace is not None:
            self.trace_exchange(arrival, reply, decision.reason, decision.hint)
        return None

    def _conclude(self, asked: Asked, answered: Answered | None) -> None:
        """The home server's answer, or its silence, which leaves an accept of ours to stand for it."""
        packet, client, arrival, decision = asked.packet, asked.client, asked.arrival, asked.decision
        if self._duplicates.superseded(arrival.name, packet.identifier, packet.authenticator):
            return None
        if answered is None:
            self._duplicates.forget(arrival.name, packet.identifier)
            if decision.entry is not None:
                return self._accept(packet, client, arrival, decision, decision.entry)
            return self.count(Reason.HOME_SILENT, arrival.peer)
        return self._pass_on(asked, answered)

    def _our_attributes(self, asked: Asked) -> bytes:
        """What an accept of ours would carry, but for the exchange's own and an address out of a pool of ours."""
        decision = asked.decision
        if decision.entry is None:
            return b""
        return decision.entry.attributes_for(asked.client, self.follower.current.pools)[0] + decision.attributes

    def _pass_on(self, asked: Asked, answered: Answered) -> None:
        packet, client, arrival = asked.packet, asked.client, asked.arrival
        rejected = answered.code == Code.ACCESS_REJECT
        reason = Reason.HOME_REJECTED if rejected else Reason.FORWARDED
        reply = sign_reply(answered.code, packet.identifier, packet.authenticator, answered.attributes, client.secret)
        if len(reply) > PACKET_OCTETS_MAX:
            return self.count(Reason.MALFORMED, arrival.peer, detail="the home server's answer is too long")
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, reply)
        arrival.reply(reply)
        client.counts[reason] = client.counts.get(reason, 0) + 1
        if rejected:
            self._report_attempt(packet, client, arrival.peer, Decision(reason, asked.decision.method))
        if self.trace is not None:
            self.trace_exchange(arrival, reply, reason)
        return None

    def _answer_duplicate(self, cached: bytes, arrival: Arrival) -> None:
        if not cached:  # PENDING
            self._shadow.again(arrival.name, arrival.octets[1])
            return self.count(Reason.DUPLICATE_PENDING, arrival.peer)
        arrival.reply(cached)
        return self.count(Reason.DUPLICATE_ANSWERED, arrival.peer)

    def _handle_other(self, packet: Packet, client: Client, arrival: Arrival) -> None:
        """Status-Server is answered if it is signed (RFC 5997 section 3); nothing else belongs on this port."""
        if packet.code != Code.STATUS_SERVER:
            return self.count(Reason.UNEXPECTED_CODE, arrival.peer, code=packet.code)
        if not message_authenticator_valid(packet, client.secret):
            return self.count(Reason.BAD_AUTHENTICATOR, arrival.peer)
        arrival.reply(
            sign_reply(_ACCESS_ACCEPT, packet.identifier, packet.authenticator, proxy_states(packet), client.secret)
        )
        return self.count(Reason.STATUS_SERVER, arrival.peer)

    def _learn(self, packet: Packet, client: Client) -> None:
        mode = learned_mode(packet, client)
        if mode is not None:
            client.message_authenticator = mode
            self.tell_feeder(Message.LEARNED, [client.nas_id, mode])

    def _report_attempt(self, packet: Packet, client: Client, peer: Peer, decision: Decision) -> None:
        """Tell the shipper of a refusal: lossy, and not each time that a CPE tries again."""
        login = packet.first(Kind.USER_NAME) or b""
        if self.now - self._reported.get(login, -ATTEMPT_INTERVAL_S) < ATTEMPT_INTERVAL_S:
            return
        self._reported[login] = self.now
        attempt = {
            "login": readable(login),
            "nas_id": client.nas_id,
            "source": peer.address,
            "calling_station_id": packet.text(Kind.CALLING_STATION_ID),
            "outcome": "rejected",
            "reason": decision.reason.value,
            "method": decision.method,
            "hint": decision.hint,
        }
        try:
            self._attempts.sendto(msgspec.msgpack.encode(attempt), self._attempts_path)
        except OSError:
            self.counts["attempts_lost"] = self.counts.get("attempts_lost", 0) + 1

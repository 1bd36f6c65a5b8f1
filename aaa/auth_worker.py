"""The authentication worker: an Access-Request's way, readable in `handle`.

Rejects leave after REJECT_DELAY_S without anything waiting for them: they lie in a heap, and the request counts as
pending until then. So does a login of a service with a strict limit of sessions, until the node's registrar has said
whether it may have one more; if it says nothing within PATIENCE_S, the login is accepted.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import time
from pathlib import Path
from typing import Final

import msgspec

from aaa.accept_class import class_attribute
from aaa.admission import PATIENCE_S, Answer, Question, Registry
from aaa.authenticator import message_authenticator_valid, sign_reply
from aaa.credentials import HINT_WRONG_SECRET
from aaa.decision import Decision, authorize, check_signature, learned_mode, local_login
from aaa.duplicates import PENDING, Duplicates
from aaa.feed import LEASE_TRUST_S, Message
from aaa.locks import with_learned
from aaa.oddities import RecentAccepts
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
from aaa.reports import ACCEPTED_AGAIN, DETAIL_CHARACTERS_MAX, DOUBTFUL, AttemptReport, FindingKind
from aaa.snapshot import Client, PolicyEntry
from aaa.takeover.compare import Ours
from aaa.takeover.shadow import Answered, Asked, Shadow
from aaa.takeover.sink import COMPARISONS_SOCKET
from aaa.vendors.base import LEASED_BY, within_balance
from aaa.worker import Arrival, Peer, Worker, WorkerOptions
from core.locks import LearnedLocks

_ACCESS_REQUEST: Final = int(Code.ACCESS_REQUEST)
_ACCESS_ACCEPT: Final = int(Code.ACCESS_ACCEPT)
#: RFC 2865 leaves it to the server; a second makes guessing slow and costs an honest CPE nothing.
REJECT_DELAY_S: Final = 1.0
#: At most for so long somebody is refused because there was no lease for him; then the database is asked once more.
NO_LEASE_S: Final = 10.0
#: A registrar that left a question unanswered is not asked in this time: nobody else need wait for it.
REGISTRAR_REST_S: Final = 2.0
#: Rejects that may be waiting; more are discarded, and the NAS asks again.
DELAYED_REJECTS_MAX: Final = 50_000


class _Parked(msgspec.Struct, frozen=True, gc=False):
    """A login that waits for the registrar's word."""

    due: float
    packet: Packet
    client: Client
    arrival: Arrival
    decision: Decision


class AuthenticationWorker(Worker):
    role = "auth"

    def __init__(self, options: WorkerOptions, reports_path: str, registrar_path: str) -> None:
        super().__init__(options, with_services=True, reports_path=reports_path)
        self._registry = Registry(options.name, registrar_path)
        self._watched[self._registry.fileno()] = self._hear_registrar
        self._parked: dict[int, _Parked] = {}
        #: Of logins that were parked in this batch.
        self._questions: list[Question] = []
        self._ask_registrar_at = 0.0
        self._duplicates = Duplicates(self.now)
        self._delayed: list[tuple[float, int, Arrival, bytes, bytes]] = []
        self._delayed_count = 0
        # Accept ids must be unique, not secret; a generator of our own spares a system call per accept.
        self._random = random.Random(os.urandom(16))  # noqa: S311
        #: Leases that the feeder was asked for in this second.
        self._wanted: set[tuple[str, int]] = set()
        self._ask_again_at = 0.0
        self._accepts = RecentAccepts()
        comparisons_path = str(Path(reports_path).with_name(COMPARISONS_SOCKET))
        self._shadow = Shadow(self, lambda: self.now, self._conclude, self._ours, comparisons_path)

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
            self._report_attempt(packet, client, arrival.peer, refused)
            return self.count(refused, arrival.peer)
        cached = self._duplicates.find(arrival.name, packet.identifier, packet.authenticator)
        if cached is not None:
            return self._answer_duplicate(cached, arrival)
        return self._decide(packet, client, arrival)

    def _decide(self, packet: Packet, client: Client, arrival: Arrival) -> None:
        """A request that was not seen before: ask who must be asked, or answer."""
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
        strict = self.follower.current.strict
        if strict and self._park(packet, client, arrival, decision, strict):
            return None
        return self._accept(packet, client, arrival, decision, decision.entry)

    def end_batch(self) -> None:
        self._shadow.relay.run_timers()
        if self._questions:
            for unasked in self._registry.ask(self._questions):
                self._admit_unheard(unasked.token)
            self._questions = []
        while self._parked and (first := next(iter(self._parked.items())))[1].due <= self.now:
            self._ask_registrar_at = self.now + REGISTRAR_REST_S
            self._admit_unheard(first[0])
        while self._delayed and self._delayed[0][0] <= self.now:
            _, _, arrival, authenticator, reply = heapq.heappop(self._delayed)
            if self._duplicates.superseded(arrival.name, reply[1], authenticator):
                continue  # the NAS gave it up for another request (RFC 5080 2.2.2), whose reply is in the cache
            self._duplicates.remember(arrival.name, reply[1], authenticator, reply)
            arrival.reply(reply)

    def timer_s(self) -> float:
        dues = [self._delayed[0][0]] if self._delayed else []
        dues += [one.due for one in itertools.islice(self._parked.values(), 1)]
        own_s = max(0.0, min(dues) - self.now) if dues else 1.0
        return min(own_s, self._shadow.relay.timer_s())

    def tick(self) -> None:
        self._duplicates.expire(self.now)
        self._wanted.clear()
        if self.now >= self._ask_again_at:
            self.follower.current.without_lease.clear()
            self._ask_again_at = self.now + NO_LEASE_S
        self._shadow.tick(
            lambda: {one.forwards_to.row for one in self.follower.current.clients.all() if one.forwards_to}
        )

    def _park(self, packet: Packet, client: Client, arrival: Arrival, decision: Decision, strict: set[int]) -> bool:
        """Whether the registrar is asked; in an emergency, or while it is silent, the login is simply accepted."""
        subscriber = decision.subscriber
        if subscriber is None or subscriber.service_id not in strict or decision.reason is not Reason.ACCEPTED:
            return False
        if self.now < self._ask_registrar_at:
            self.counts["registrar_silent"] = self.counts.get("registrar_silent", 0) + 1
            return False
        token = self._random.getrandbits(63)
        self._questions.append(Question(token, subscriber.service_id, packet.text(Kind.CALLING_STATION_ID)))
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, PENDING)
        self._parked[token] = _Parked(self.now + PATIENCE_S, packet, client, arrival, decision)
        return True

    def _hear_registrar(self) -> None:
        for answer in self._registry.answers():
            parked = self._parked.pop(answer.token, None)
            if parked is None:
                continue  # it came too late
            if answer.refused:
                self._refuse(parked, answer)
            else:
                self._admit(parked)

    def _admit_unheard(self, token: int) -> None:
        self.counts["registrar_silent"] = self.counts.get("registrar_silent", 0) + 1
        self._admit(self._parked.pop(token))

    def _admit(self, parked: _Parked) -> None:
        packet, arrival, decision = parked.packet, parked.arrival, parked.decision
        if decision.entry is None or self._duplicates.superseded(arrival.name, packet.identifier, packet.authenticator):
            return
        self._accept(packet, parked.client, arrival, decision, decision.entry)

    def _refuse(self, parked: _Parked, answer: Answer) -> None:
        packet, arrival, decision = parked.packet, parked.arrival, parked.decision
        if self._duplicates.superseded(arrival.name, packet.identifier, packet.authenticator):
            return
        refused = Decision(Reason.SESSION_LIMIT, decision.method, decision.subscriber, None, b"", "", answer.detail)
        self._reject(packet, parked.client, arrival, refused)

    def _accept(self, packet: Packet, client: Client, arrival: Arrival, decision: Decision, entry: PolicyEntry) -> None:
        service_id = decision.subscriber.service_id if decision.subscriber else 0
        accept_id = self._random.getrandbits(64).to_bytes(8, "big")
        of_policy, pools = entry.attributes_for(client, self.follower.current.pools)
        if pools and service_id:
            leased = self._leased(pools, service_id)
            if leased is Reason.POOL_EXHAUSTED:
                refused = Decision(leased, decision.method, decision.subscriber, None, b"")
                return self._reject(packet, client, arrival, refused)
            if isinstance(leased, Reason):
                return self._without_lease(packet, client, arrival, leased)
            of_policy += leased
        balance = self.follower.current.balances.get(service_id)
        if balance is not None:
            of_policy = within_balance(of_policy, client.adapter, *balance)
        if decision.learned is not None:
            self._learn_locks(decision.learned)
        attributes = of_policy + class_attribute(service_id, accept_id, entry.fingerprint_octets) + decision.attributes
        if Kind.PROXY_STATE in packet.firsts:
            attributes += proxy_states(packet)
        reply = sign_reply(_ACCESS_ACCEPT, packet.identifier, packet.authenticator, attributes, client.secret)
        if len(reply) > PACKET_OCTETS_MAX:
            return self.count(Reason.MALFORMED, arrival.peer, detail="too much Proxy-State")
        self._duplicates.remember(arrival.name, packet.identifier, packet.authenticator, reply)
        arrival.reply(reply)
        if self._accepts.again(service_id, self.now) and service_id:
            self._report_attempt(packet, client, arrival.peer, ACCEPTED_AGAIN, decision)
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
        if missing and service_id in snapshot.without_lease:
            return Reason.POOL_EXHAUSTED
        for pool in missing:
            if (pool, service_id) not in self._wanted:
                self._wanted.add((pool, service_id))
                self.tell_feeder(Message.LEASE_WANTED, [pool, service_id])
        return Reason.LEASE_AWAITED if missing else b"".join(attributes or b"" for _, attributes in found)

    def _without_lease(self, packet: Packet, client: Client, arrival: Arrival, reason: Reason) -> None:
        """In silence: the NAS asks again in a second or two, or asks another server."""
        self.count(reason, arrival.peer)
        self._report_attempt(packet, client, arrival.peer, reason)

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
        self._report_attempt(packet, client, arrival.peer, decision.reason, decision)
        if decision.hint == HINT_WRONG_SECRET:
            self.find(FindingKind.WRONG_SECRET, arrival.peer, {"method": decision.method})
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

    def _ours(self, asked: Asked) -> Ours:
        """What we would answer ourselves; a lease of the subscriber's is part of it, and none is taken for this."""
        decision, snapshot = asked.decision, self.follower.current
        if decision.entry is None or decision.subscriber is None:
            return Ours(decision.entry is not None, decision.reason)
        attributes, pools = decision.entry.attributes_for(asked.client, snapshot.pools)
        held = {pool: snapshot.leases[pool].get(decision.subscriber.service_id) for pool in pools}
        leases = b"".join(lease for lease in held.values() if lease)
        unleased = {LEASED_BY[snapshot.pools[pool]]: pool for pool, lease in held.items() if lease is None}
        return Ours(True, decision.reason, attributes + leases + decision.attributes, unleased)

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
            decision = Decision(reason, asked.decision.method)
            self._report_attempt(packet, client, arrival.peer, reason, decision)
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

    def _learn_locks(self, learned: LearnedLocks) -> None:
        """They hold here from now on; the first that reaches the database holds everywhere."""
        locks = self.follower.current.locks
        locks[learned.service_id] = with_learned(locks[learned.service_id], learned)
        self.tell_feeder(Message.LOCKS_LEARNED, learned)

    def _report_attempt(
        self, packet: Packet, client: Client, peer: Peer, reason: str, decision: Decision | None = None
    ) -> None:
        """Of a login that was refused, discarded unread, or accepted to no end; not each time that a CPE tries again.

        Without a decision, nobody has vouched for what the packet says.
        """
        login = packet.first(Kind.USER_NAME) or b""
        subscriber = self.follower.current.subscribers.get(local_login(login, client))
        known = subscriber is not None and reason not in DOUBTFUL
        times = self.reports.paces.due(login, reason, client.nas_id, self.now, known=known)
        if not times:
            return
        report = AttemptReport(
            readable(login), client.nas_id, peer.address, packet.text(Kind.CALLING_STATION_ID), reason, time.time(),
            times=times, service_id=subscriber.service_id if subscriber else None,
        )  # fmt: skip
        if decision is not None:
            report.method, report.hint = decision.method, decision.hint
            report.detail = {name: value[:DETAIL_CHARACTERS_MAX] for name, value in decision.detail.items()}
        self.reports.attempt(report)

"""The simulated BRAS as a machine: octets and time in, octets out. `runner` gives it sockets and a clock.

Timers lie in one heap. Requests are retransmitted unchanged as RouterOS does (every 1.1 s, three times), then given
up: an authentication that nobody answers is tried again after a redial pause, an accounting packet after its next
occasion, but a Stop is tried until it is answered. Accounting that finds no Identifier free waits in line for one.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple

from aaa import testclient
from aaa.authenticator import (
    SharedSecret,
    request_authenticator_valid,
    response_valid,
    sign_request,
)
from aaa.bras import mikrotik
from aaa.bras.mikrotik import TerminateCause
from aaa.bras.subscriber import State, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.md5 import md5
from aaa.packet import (
    Code,
    Kind,
    MalformedPacket,
    Packet,
    header,
    integer_attribute,
    parse,
    proxy_states,
    text_attribute,
)

RETRANSMIT_S = 1.1
TRIES = 3
#: RFC 5176 6.3: a request older than this is a replay.
EVENT_AGE_MAX_S = 300
START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8


class Credential(NamedTuple):
    login: str
    password: str
    method: str = "pap"


@dataclass(frozen=True)
class BoxOptions:
    identity: str = "bras-1"
    address: str = "127.0.0.1"
    secret: bytes = field(default=b"testing123", repr=False)
    #: Seconds until a CPE dials again, at random between the two.
    redial_s: tuple[float, float] = (5.0, 90.0)
    #: Logins a second while everybody dials.
    ramp: float = 200.0
    #: Overrides what the server says.
    interim_s: float | None = None
    source_ports: int = 16
    seed: int = 1


class Datagram(NamedTuple):
    """To the server's authentication or accounting port, from one of our source ports."""

    port: int
    accounting: bool
    octets: bytes


class _Event(NamedTuple):
    """Accounting to send; `subscriber` is None where the box speaks of itself."""

    attributes: bytes
    subscriber: Subscriber | None
    status: int


@dataclass
class _Request:
    datagram: Datagram
    subscriber: Subscriber | None
    status: int
    login: testclient.Login | None
    tries: int = 1


class Box:
    """`send` is called with every datagram for the server."""

    def __init__(
        self, options: BoxOptions, credentials: Iterable[Credential], send: Callable[[Datagram], None], now: float
    ) -> None:
        self.options = options
        self._send = send
        self._secret = SharedSecret(options.secret)
        self._random = random.Random(options.seed)  # noqa: S311
        self._address = IPv4Address(options.address).packed
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = 0
        self._free_by_kind = {
            accounting: deque((port, identifier) for identifier in range(256) for port in range(options.source_ports))
            for accounting in (False, True)
        }
        self._requests: dict[tuple[int, bool, int], _Request] = {}
        self._in_line: deque[_Event] = deque()
        self._sessions = 0
        self._addresses = 0
        self._answered: dict[tuple[object, int, bytes], bytes] = {}
        self.paused = False
        self.stopping = False
        self.lost = 0
        self.subscribers = [_line(number, credential) for number, credential in enumerate(credentials)]
        self.by_session: dict[str, Subscriber] = {}
        self._account_box(ON, now)
        for number, subscriber in enumerate(self.subscribers):
            self._at(now + number / options.ramp, lambda moment, one=subscriber: self.dial(one, moment))  # type: ignore[misc]

    def dial(self, subscriber: Subscriber, now: float) -> None:
        if subscriber.state is not State.OFFLINE or self.stopping:
            return
        place = self._take(accounting=False)
        if place is None:
            self._at(now + 0.5, lambda moment: self.dial(subscriber, moment))
            return
        subscriber.state = State.AUTHENTICATING
        self._sessions += 1
        subscriber.acct_session_id = f"81{self.options.seed % 256:02x}{self._sessions:06x}"
        port, identifier = place
        attributes = mikrotik.request_attributes(subscriber, self.options.identity, self._address, self._sessions)
        attributes += text_attribute(Kind.ACCT_SESSION_ID, subscriber.acct_session_id)
        login = testclient.access_request(
            identifier, subscriber.login, subscriber.password, subscriber.method, attributes, self._secret,
            self._random.randbytes,
        )  # fmt: skip
        self._ask(_Request(Datagram(port, False, login.octets), subscriber, 0, login), now)

    def hang_up(
        self, subscriber: Subscriber, now: float, cause: TerminateCause | None = TerminateCause.USER_REQUEST,
        *, redial: bool = True,
    ) -> None:  # fmt: skip
        """End a session; without a cause as in a power cut, when nobody tells the server."""
        if subscriber.state is not State.ONLINE:
            return
        if cause is not None:
            self._account(subscriber, STOP, now, integer_attribute(Kind.ACCT_TERMINATE_CAUSE, cause))
        self.by_session.pop(subscriber.acct_session_id, None)
        subscriber.end()
        if redial:
            self._redial(subscriber, now)

    def reboot(self, now: float) -> None:
        """Every session is lost without a word, then the box says that it is back."""
        for subscriber in self.subscribers:
            self.hang_up(subscriber, now, None)
        self._account_box(ON, now)

    def shut_down(self, now: float) -> None:
        self.stopping = True
        for subscriber in self.subscribers:
            self.hang_up(subscriber, now, TerminateCause.ADMIN_REBOOT, redial=False)
        self._account_box(OFF, now)

    def tick(self, now: float) -> float:
        """Do what is due; returns when something will be next."""
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2](now)
        return self._timers[0][0] if self._timers else now + 1.0

    @property
    def online(self) -> int:
        return len(self.by_session)

    @property
    def pending(self) -> int:
        """Requests that are to be answered yet."""
        return len(self._requests) + len(self._in_line)

    def receive(self, port: int, accounting: bool, octets: bytes, now: float) -> None:
        """A datagram from the server's port."""
        try:
            reply = parse(octets)
        except MalformedPacket:
            return
        key = (port, accounting, reply.identifier)
        request = self._requests.get(key)
        if request is None or not self._genuine(reply, request):
            return
        self._release(key, now)
        if request.login is not None and request.subscriber is not None:
            self._authenticated(request.subscriber, request.login, reply, now)

    def receive_dynamic(self, source: object, octets: bytes, now: float) -> bytes | None:
        """A CoA- or Disconnect-Request; the answer, or None for silence."""
        try:
            request = parse(octets)
        except MalformedPacket:
            return None
        if self.paused or request.code not in {Code.COA_REQUEST, Code.DISCONNECT_REQUEST}:
            return None
        if not request_authenticator_valid(request, self._secret):
            return None
        key = (source, request.identifier, request.authenticator)
        if key not in self._answered:
            stamp = request.integer(Kind.EVENT_TIMESTAMP)
            if stamp is not None and abs(now - stamp) > EVENT_AGE_MAX_S:
                return None
            if len(self._answered) > 10_000:
                self._answered.clear()
            self._answered[key] = self._answer(request, self._obey(request, now))
        return self._answered[key]

    def _obey(self, request: Packet, now: float) -> ErrorCause | None:
        if mikrotik.names_no_session(request):
            return ErrorCause.MISSING_ATTRIBUTE
        found = [one for one in self._candidates(request) if mikrotik.matches(one, request)]
        if not found:
            return ErrorCause.SESSION_CONTEXT_NOT_FOUND
        if request.code == Code.DISCONNECT_REQUEST:
            refused = mikrotik.disconnect_refused(request)
            if refused is None:
                for one in found:
                    self.hang_up(one, now, TerminateCause.ADMIN_RESET)
            return refused
        refused = mikrotik.change_refused(request)
        if refused is None:
            for one in found:
                one.count(now)
                mikrotik.apply_change(one, request)
                self._schedule_timeout(one)
        return refused

    def _candidates(self, request: Packet) -> list[Subscriber]:
        session_id = request.text(Kind.ACCT_SESSION_ID)
        if session_id is None:
            return self.subscribers
        found = self.by_session.get(session_id)
        return [found] if found else []

    def _answer(self, request: Packet, refused: ErrorCause | None) -> bytes:
        """ACK is the request's code and one, NAK and two."""
        attributes = proxy_states(request)
        if refused is not None:
            attributes += integer_attribute(Kind.ERROR_CAUSE, refused)
        head = header(request.code + (2 if refused else 1), request.identifier, len(attributes))
        digest = md5(head + request.authenticator + attributes + self._secret.octets).digest()
        return head + digest + attributes

    def _authenticated(self, subscriber: Subscriber, login: testclient.Login, reply: Packet, now: float) -> None:
        subscriber.state = State.OFFLINE
        if reply.code != Code.ACCESS_ACCEPT or not testclient.server_proven(reply, login):
            subscriber.rejects += 1
            self._redial(subscriber, now)
            return
        if self.stopping:
            return
        mikrotik.apply_accept(subscriber, reply, self.options.interim_s)
        if not subscriber.framed_ipv4:
            self._addresses += 1
            subscriber.framed_ipv4 = (int(IPv4Address("100.64.0.0")) + self._addresses % (1 << 22)).to_bytes(4, "big")
        subscriber.begin(now)
        self.by_session[subscriber.acct_session_id] = subscriber
        self._account(subscriber, START, now)
        self._schedule_interim(subscriber, now)
        self._schedule_timeout(subscriber)

    def _schedule_timeout(self, subscriber: Subscriber) -> None:
        """A session that is given so many seconds has them from its start."""
        session_id, allowed_s = subscriber.acct_session_id, subscriber.session_timeout_s

        def time_out(moment: float) -> None:
            if self.by_session.get(session_id) is subscriber and subscriber.session_timeout_s == allowed_s:
                self.hang_up(subscriber, moment, TerminateCause.SESSION_TIMEOUT)

        if allowed_s:
            self._at(subscriber.started_at + allowed_s, time_out)

    def _schedule_interim(self, subscriber: Subscriber, now: float) -> None:
        session_id = subscriber.acct_session_id

        def interim(moment: float) -> None:
            if self.by_session.get(session_id) is subscriber:
                self._account(subscriber, INTERIM, moment)
                self._schedule_interim(subscriber, moment)

        self._at(now + subscriber.interim_s * self._random.uniform(0.9, 1.0), interim)

    def _account(self, subscriber: Subscriber, status: int, now: float, more: bytes = b"") -> None:
        subscriber.count(now)
        attributes = more + mikrotik.accounting_attributes(subscriber, status, now)
        attributes += mikrotik.request_attributes(subscriber, self.options.identity, self._address, 0)
        self._account_event(_Event(attributes, subscriber, status), now)

    def _account_box(self, status: int, now: float) -> None:
        attributes = (
            integer_attribute(Kind.ACCT_STATUS_TYPE, status)
            + text_attribute(Kind.ACCT_SESSION_ID, "0")
            + text_attribute(Kind.NAS_IDENTIFIER, self.options.identity)
            + integer_attribute(Kind.EVENT_TIMESTAMP, int(now))
        )
        self._account_event(_Event(attributes, None, status), now)

    def _account_event(self, event: _Event, now: float) -> None:
        place = self._take(accounting=True)
        if place is None:
            self._in_line.append(event)
            return
        port, identifier = place
        octets = sign_request(
            Code.ACCOUNTING_REQUEST, identifier, event.attributes, self._secret, message_authenticator=False
        )
        self._ask(_Request(Datagram(port, True, octets), event.subscriber, event.status, None), now)

    def _ask(self, request: _Request, now: float) -> None:
        datagram = request.datagram
        self._requests[datagram.port, datagram.accounting, datagram.octets[1]] = request
        self._send(datagram)
        self._at(now + RETRANSMIT_S, lambda moment: self._again(request, moment))

    def _again(self, request: _Request, now: float) -> None:
        datagram = request.datagram
        key = (datagram.port, datagram.accounting, datagram.octets[1])
        if self._requests.get(key) is not request:
            return
        if request.tries < TRIES or request.status == STOP:
            request.tries += 1
            self._send(datagram)
            self._at(now + RETRANSMIT_S, lambda moment: self._again(request, moment))
            return
        self._release(key, now)
        self.lost += 1
        if request.login is not None and request.subscriber is not None:
            request.subscriber.state = State.OFFLINE
            self._redial(request.subscriber, now)

    def _genuine(self, reply: Packet, request: _Request) -> bool:
        if request.login is not None:
            return testclient.reply_valid(reply, request.login, self._secret)
        return response_valid(reply, request.datagram.octets[4:20], self._secret)

    def _redial(self, subscriber: Subscriber, now: float) -> None:
        self._at(now + self._random.uniform(*self.options.redial_s), lambda moment: self.dial(subscriber, moment))

    def _take(self, *, accounting: bool) -> tuple[int, int] | None:
        free = self._free_by_kind[accounting]
        return free.popleft() if free else None

    def _release(self, key: tuple[int, bool, int], now: float) -> None:
        """The request is over; its Identifier goes to who waits for one."""
        port, accounting, identifier = key
        del self._requests[key]
        self._free_by_kind[accounting].append((port, identifier))
        if accounting and self._in_line:
            self._account_event(self._in_line.popleft(), now)

    def _at(self, due: float, do: Callable[[float], None]) -> None:
        self._order += 1
        heapq.heappush(self._timers, (due, self._order, do))


def _line(number: int, credential: Credential) -> Subscriber:
    mac = ":".join(f"{octet:02X}" for octet in (0x02, *number.to_bytes(5, "big")))
    return Subscriber(credential.login, credential.password, credential.method, mac)

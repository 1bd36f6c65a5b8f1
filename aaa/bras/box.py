"""The simulated BRAS as a machine: octets and time in, octets out. `runner` gives it sockets and a clock.

What its vendor does differently is its dialect's (see `dialect`). Timers lie in one heap. Requests are retransmitted
every 1.1 s, three times (unchanged, or as a new request that says how late it is), then given up: an authentication
that nobody answers is tried again after a redial pause, an accounting packet after its next occasion, but a Stop is
tried until it is answered. Accounting that finds no Identifier free waits in line for one.
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
    response_valid,
    sign_request,
)
from aaa.bras.dialect import Configured, Refused, Site
from aaa.bras.dialects import dialect
from aaa.bras.dynamic import DynamicPort
from aaa.bras.subscriber import Grant, State, Subscriber, TerminateCause
from aaa.packet import (
    Code,
    Kind,
    MalformedPacket,
    Packet,
    integer_attribute,
    parse,
    text_attribute,
)
from core.models.network import Vendor

RETRANSMIT_S = 1.1
TRIES = 3
#: How often a line with a limit of octets is looked at; its rate may have changed.
VOLUME_LOOK_S = 5.0
START, STOP, INTERIM, ON, OFF = 1, 2, 3, 7, 8
#: Why an accounting session ends whose service was taken away.
_ENDED = integer_attribute(Kind.ACCT_TERMINATE_CAUSE, TerminateCause.ADMIN_RESET)


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
    vendor: str = Vendor.MIKROTIK
    configured: Configured = field(default_factory=Configured)


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
    happened_at: float


@dataclass
class _Request:
    datagram: Datagram
    subscriber: Subscriber | None
    status: int
    login: testclient.Login | None
    tries: int = 1
    #: What happened, where it is accounting.
    event: _Event | None = None


class Box:
    """`send` is called with every datagram for the server."""

    def __init__(
        self, options: BoxOptions, credentials: Iterable[Credential], send: Callable[[Datagram], None], now: float
    ) -> None:
        self.options = options
        self._send = send
        self._secret = SharedSecret(options.secret)
        self._random = random.Random(options.seed)  # noqa: S311
        address = IPv4Address(options.address).packed
        self._dialect = dialect(options.vendor, Site(options.identity, address, options.seed, options.configured))
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
        self._dynamic = DynamicPort(self._secret, self._obey, signs_answers=self._dialect.signs_answers)
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
        subscriber.number = self._sessions
        subscriber.acct_session_id = self._dialect.acct_session_id(self._sessions, now)
        subscriber.identification = self._dialect.request_attributes(subscriber)
        port, identifier = place
        attributes = subscriber.identification + text_attribute(Kind.ACCT_SESSION_ID, subscriber.acct_session_id)
        login = testclient.access_request(
            identifier, subscriber.login, subscriber.password, subscriber.method, attributes, self._secret,
            self._random.randbytes, signed=self._dialect.signs_requests,
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

    def report(self, now: float) -> None:
        """Every session sends an Interim-Update, besides those that are due."""
        for subscriber in list(self.by_session.values()):
            self._account(subscriber, INTERIM, now)

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
        return None if self.paused else self._dynamic.receive(source, octets, now)

    def _obey(self, request: Packet, now: float) -> Refused | None:
        """All or nothing (RFC 5176 2.2): what every session would have is known before the first has it."""
        try:
            found = self._dialect.choose(request, self._candidates(request))
            if request.code == Code.DISCONNECT_REQUEST:
                self._dialect.check_disconnect(request)
                for one in found:
                    self.hang_up(one, now, TerminateCause.ADMIN_RESET)
                return None
            granted = [self._dialect.change(one.grant, request) for one in found]
        except Refused as refused:
            return refused
        for one, grant in zip(found, granted, strict=True):
            self._change(one, grant, now)
        return None

    def _change(self, subscriber: Subscriber, grant: Grant, now: float) -> None:
        """Accounting sessions that end with it are stopped while they are there, and new ones started."""
        subscriber.count(now)
        before, had = subscriber.grant, self._dialect.accounting_sessions(subscriber)
        subscriber.take(grant, now)
        after, has = subscriber.grant, self._dialect.accounting_sessions(subscriber)
        subscriber.grant = before
        self._account_each(subscriber, [one for one in had if one not in has], STOP, now, _ENDED)
        subscriber.grant = after
        self._account_each(subscriber, [one for one in has if one not in had], START, now)
        self._schedule_timeout(subscriber)

    def _candidates(self, request: Packet) -> list[Subscriber]:
        session_id = request.text(Kind.ACCT_SESSION_ID)
        if session_id is None:
            return self.subscribers
        found = self.by_session.get(session_id)
        return [found] if found else []

    def _authenticated(self, subscriber: Subscriber, login: testclient.Login, reply: Packet, now: float) -> None:
        subscriber.state = State.OFFLINE
        if reply.code != Code.ACCESS_ACCEPT or not testclient.server_proven(reply, login):
            subscriber.rejects += 1
            self._redial(subscriber, now)
            return
        if self.stopping:
            return
        try:
            grant = self._dialect.accept(reply)
        except Refused:
            subscriber.setup_failures += 1
            self._redial(subscriber, now)
            return
        subscriber.framed_ipv4 = grant.framed_ipv4 or self._address_from_pool()
        subscriber.begin(grant, now)
        self.by_session[subscriber.acct_session_id] = subscriber
        self._account(subscriber, START, now)
        self._schedule_interim(subscriber, now)
        self._schedule_timeout(subscriber)
        self._schedule_volume(subscriber, now)

    def _address_from_pool(self) -> bytes:
        self._addresses += 1
        return (int(IPv4Address("100.64.0.0")) + self._addresses % (1 << 22)).to_bytes(4, "big")

    def _schedule_timeout(self, subscriber: Subscriber) -> None:
        """A session that is given so many seconds has them from its start."""
        session_id, allowed_s = subscriber.acct_session_id, subscriber.grant.session_timeout_s

        def time_out(moment: float) -> None:
            if self.by_session.get(session_id) is subscriber and subscriber.grant.session_timeout_s == allowed_s:
                self.hang_up(subscriber, moment, TerminateCause.SESSION_TIMEOUT)

        if allowed_s:
            self._at(subscriber.started_at + allowed_s, time_out)

    def _schedule_volume(self, subscriber: Subscriber, now: float) -> None:
        """Looked at when it would be used up, and meanwhile, as the rate may change."""
        session_id = subscriber.acct_session_id

        def look(moment: float) -> None:
            if self.by_session.get(session_id) is not subscriber:
                return
            subscriber.count(moment)
            if subscriber.seconds_left() <= 0:
                self.hang_up(subscriber, moment, TerminateCause.SESSION_TIMEOUT)
            else:
                self._schedule_volume(subscriber, moment)

        if subscriber.grant.total_octets:
            self._at(now + min(max(subscriber.seconds_left(), 0.01), VOLUME_LOOK_S), look)

    def _schedule_interim(self, subscriber: Subscriber, now: float) -> None:
        session_id = subscriber.acct_session_id

        def interim(moment: float) -> None:
            if self.by_session.get(session_id) is subscriber:
                self._account(subscriber, INTERIM, moment)
                self._schedule_interim(subscriber, moment)

        every_s = self.options.interim_s or subscriber.grant.interim_s
        self._at(now + every_s * self._random.uniform(0.9, 1.0), interim)

    def _account(self, subscriber: Subscriber, status: int, now: float, more: bytes = b"") -> None:
        subscriber.count(now)
        self._account_each(subscriber, self._dialect.accounting_sessions(subscriber), status, now, more)

    def _account_each(
        self, subscriber: Subscriber, acct_session_ids: Iterable[str], status: int, now: float, more: bytes = b""
    ) -> None:
        for acct_session_id in acct_session_ids:
            attributes = more + self._dialect.accounting_attributes(subscriber, acct_session_id, status, now)
            self._account_event(_Event(attributes + subscriber.identification, subscriber, status, now), now)

    def _account_box(self, status: int, now: float) -> None:
        attributes = (
            integer_attribute(Kind.ACCT_STATUS_TYPE, status)
            + text_attribute(Kind.ACCT_SESSION_ID, "0")
            + text_attribute(Kind.NAS_IDENTIFIER, self.options.identity)
            + integer_attribute(Kind.EVENT_TIMESTAMP, int(now))
        )
        self._account_event(_Event(attributes, None, status, now), now)

    def _account_event(self, event: _Event, now: float) -> None:
        place = self._take(accounting=True)
        if place is None:
            self._in_line.append(event)
            return
        datagram = self._accounting_request(place, event, now)
        self._ask(_Request(datagram, event.subscriber, event.status, None, event=event), now)

    def _accounting_request(self, place: tuple[int, int], event: _Event, now: float) -> Datagram:
        port, identifier = place
        attributes = event.attributes
        if self._dialect.says_delay:
            attributes += integer_attribute(Kind.ACCT_DELAY_TIME, int(now - event.happened_at))
        octets = sign_request(
            Code.ACCOUNTING_REQUEST, identifier, attributes, self._secret, message_authenticator=False
        )
        return Datagram(port, True, octets)

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
            if request.event is not None and self._dialect.repeats_with_delay:
                self._say_delay(request, key, request.event, now)
            self._send(request.datagram)
            self._at(now + RETRANSMIT_S, lambda moment: self._again(request, moment))
            return
        self._release(key, now)
        self.lost += 1
        if request.login is not None and request.subscriber is not None:
            request.subscriber.state = State.OFFLINE
            self._redial(request.subscriber, now)

    def _say_delay(self, request: _Request, key: tuple[int, bool, int], event: _Event, now: float) -> None:
        """RFC 2866 5.2: a changed Acct-Delay-Time changes the Identifier. Where none is free, it stays as it was."""
        place = self._take(accounting=True)
        if place is None:
            return
        del self._requests[key]
        self._free_by_kind[True].append((key[0], key[2]))
        request.datagram = self._accounting_request(place, event, now)
        self._requests[place[0], True, place[1]] = request

    def _genuine(self, reply: Packet, request: _Request) -> bool:
        if request.login is not None:
            return testclient.reply_valid(reply, request.login, self._secret, signed=self._dialect.signs_requests)
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
    mac = b"\x02" + number.to_bytes(5, "big")
    return Subscriber(credential.login, credential.password, credential.method, mac)

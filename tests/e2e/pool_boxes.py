"""Two boxes whose subscribers come and go, and what the boxes themselves saw: who had which address when.

A box asks as real ones do: it retransmits each second, goes to the other server after two tries in vain, leaves one
that was silent alone for a while, and repeats accounting until it is acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from small_provider import NAS_SECRET

from aaa import testclient
from aaa.authenticator import SharedSecret, response_valid, sign_request
from aaa.packet import Code, Kind, MalformedPacket, Packet, attribute, integer_attribute, parse, text_attribute

START, STOP, ON = 1, 2, 7
RETRANSMIT_S: Final = 1.0
TRIES_A_SERVER: Final = 2
LOGIN_TRIES: Final = 4
#: More than anything in the test is away for.
ACCOUNTING_TRIES: Final = 60
SILENT_S: Final = 3.0
PORTS: Final = 4
REBOOT_S: Final = 2.0
#: Of those who go, so many dial at the other box while this one still waits for their line.
MOVES: Final = 0.1
LINE_DETECTED_S: Final = 2.0
_SECRET: Final = SharedSecret(NAS_SECRET.encode())

Valid = Callable[[Packet], bool]


class Server(NamedTuple):
    name: str
    auth_port: int
    acct_port: int


class Taken(NamedTuple):
    """What an Access-Accept gave."""

    login: str
    addresses: tuple[bytes, ...]
    classes: tuple[bytes, ...]


@dataclass
class Witness:
    """Which login has an address, by what the boxes were told and did. An address is held from the accept on."""

    holders: dict[bytes, Counter[str]] = field(default_factory=dict)
    last: dict[bytes, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    accepted_at: list[float] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    def hold(self, taken: Taken) -> None:
        self.accepted_at.append(time.monotonic())
        for address in taken.addresses:
            others = [login for login in self.holders.get(address, ()) if login != taken.login]
            if others:
                self.twice.append(f"{address.hex()} is {others[0]}'s and was given to {taken.login}")
            self.holders.setdefault(address, Counter())[taken.login] += 1
            self.counts["leases taken"] += 1
            self.counts["leases moved"] += self.last.get(address, taken.login) != taken.login
            self.last[address] = taken.login

    def release(self, taken: Taken) -> None:
        for address in taken.addresses:
            holders = self.holders[address]
            holders[taken.login] -= 1
            self.counts["leases given back"] += 1
            if not holders[taken.login]:
                del holders[taken.login]

    def longest_gap_s(self, since: float, until: float) -> float:
        moments = [since, *(moment for moment in self.accepted_at if since < moment < until), until]
        return max(after - before for before, after in itertools.pairwise(moments))


class _Port(asyncio.DatagramProtocol):
    """A source port; an answer finds who waits for its Identifier."""

    def __init__(self) -> None:
        self.free = deque(range(256))
        self.waiting: dict[int, tuple[Valid, asyncio.Future[Packet]]] = {}
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, _: Any) -> None:
        try:
            reply = parse(data)
        except MalformedPacket:
            return
        valid, answered = self.waiting.get(reply.identifier, (None, None))
        if valid is not None and answered is not None and valid(reply) and not answered.done():
            answered.set_result(reply)


class Box:
    def __init__(self, name: str, address: str, servers: list[Server], witness: Witness, seed: int) -> None:
        self.name, self.address = name, address
        self.sessions: dict[str, Taken] = {}
        self.is_up = True
        self.unacknowledged = 0
        self.failures: list[BaseException] = []
        self._servers = servers
        self._witness = witness
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._silent_until: dict[str, float] = {}
        self._ports: dict[bool, list[_Port]] = {False: [], True: []}
        #: What it does for a session, which a reboot ends.
        self._work: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for ports in self._ports.values():
            for _ in range(PORTS):
                _, port = await loop.create_datagram_endpoint(_Port, local_addr=(self.address, 0))
                ports.append(port)
        await self._account(ON, "0", b"", time.time())

    def close(self) -> None:
        for port in itertools.chain(*self._ports.values()):
            port.transport.close()

    async def login(self, login: str, password: str) -> str | None:
        """The number of the session, where one began."""
        number = f"{self.name}-{next(self._numbers)}"
        attributes = text_attribute(Kind.NAS_IDENTIFIER, self.name) + text_attribute(Kind.ACCT_SESSION_ID, number)

        def build(identifier: int) -> tuple[bytes, Valid]:
            asked = testclient.access_request(identifier, login, password, "pap", attributes, _SECRET, os.urandom)
            return asked.octets, lambda reply: testclient.reply_valid(reply, asked, _SECRET)

        reply = await self._ask(False, build, LOGIN_TRIES)
        if reply is None or not self.is_up:
            self._witness.counts["logins unanswered"] += 1
            return None
        if reply.code != Code.ACCESS_ACCEPT:
            self._witness.counts["logins refused"] += 1
            return None
        addresses = tuple(filter(None, map(reply.first, (Kind.FRAMED_IP_ADDRESS, Kind.DELEGATED_IPV6_PREFIX))))
        taken = Taken(login, addresses, tuple(reply.every(Kind.CLASS)))
        self.sessions[number] = taken
        self._witness.hold(taken)
        self._later(self._account_session(START, number, taken))
        return number

    def hang_up(self, number: str) -> None:
        taken = self.sessions.pop(number, None)
        if taken is not None:
            self._witness.release(taken)
            self._later(self._account_session(STOP, number, taken))

    async def reboot(self) -> None:
        """Everything is lost without a word; then it says that it is back."""
        self.is_up = False
        for task in self._work:
            task.cancel()
        for taken in self.sessions.values():
            self._witness.release(taken)
        self.sessions.clear()
        await asyncio.sleep(REBOOT_S)
        self._silent_until.clear()
        self.is_up = True
        await self._account(ON, "0", b"", time.time())

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures.append(error)

    async def _account_session(self, status: int, number: str, taken: Taken) -> None:
        kinds = (Kind.FRAMED_IP_ADDRESS, Kind.DELEGATED_IPV6_PREFIX)
        attributes = b"".join(attribute(kind, value) for kind, value in zip(kinds, taken.addresses, strict=True))
        attributes += b"".join(attribute(Kind.CLASS, value) for value in taken.classes)
        await self._account(status, number, attributes + text_attribute(Kind.USER_NAME, taken.login), time.time())

    async def _account(self, status: int, number: str, more: bytes, at: float) -> None:
        attributes = (
            text_attribute(Kind.NAS_IDENTIFIER, self.name)
            + integer_attribute(Kind.ACCT_STATUS_TYPE, status)
            + text_attribute(Kind.ACCT_SESSION_ID, number)
            + integer_attribute(Kind.EVENT_TIMESTAMP, int(at))
            + more
        )

        def build(identifier: int) -> tuple[bytes, Valid]:
            octets = sign_request(Code.ACCOUNTING_REQUEST, identifier, attributes, _SECRET, message_authenticator=False)
            return octets, lambda reply: response_valid(reply, octets[4:20], _SECRET)

        self.unacknowledged += 1
        try:
            assert await self._ask(True, build, ACCOUNTING_TRIES) is not None, "accounting that nobody acknowledges"
        finally:
            self.unacknowledged -= 1

    async def _ask(self, accounting: bool, build: Callable[[int], tuple[bytes, Valid]], tries: int) -> Packet | None:
        port = await self._free_port(accounting)
        identifier = port.free.popleft()
        octets, valid = build(identifier)
        answered: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        port.waiting[identifier] = valid, answered
        try:
            for server in itertools.islice(self._order(), tries):
                where = server.acct_port if accounting else server.auth_port
                port.transport.sendto(octets, ("127.0.0.1", where))
                await asyncio.wait([answered], timeout=RETRANSMIT_S)
                if answered.done():
                    return answered.result()
            return None
        finally:
            del port.waiting[identifier]
            port.free.append(identifier)

    def _order(self) -> Iterable[Server]:
        """Whom to send to, try by try."""
        now = time.monotonic()
        talking = [one for one in self._servers if self._silent_until.get(one.name, 0.0) < now] or self._servers
        first = self._servers.index(self._random.choice(talking))
        for number in itertools.count(first):
            server = self._servers[number % len(self._servers)]
            yield from itertools.repeat(server, TRIES_A_SERVER)
            self._silent_until[server.name] = time.monotonic() + SILENT_S

    async def _free_port(self, accounting: bool) -> _Port:
        while True:
            port = max(self._ports[accounting], key=lambda one: len(one.free))
            if port.free:
                return port
            await asyncio.sleep(0.05)


class Subscribers:
    """So many logins a second, of anybody who is not online, at either box; a session lasts for some seconds."""

    def __init__(
        self, boxes: list[Box], logins: dict[str, str], *, rate: float, session_s: tuple[float, float]
    ) -> None:
        self._boxes, self._passwords, self._rate, self._session_s = boxes, logins, rate, session_s
        self._random = random.Random(5)
        self._offline = sorted(logins)
        self._busy: set[asyncio.Task[None]] = set()
        self.stopping = False

    async def run(self) -> None:
        """Until `stopping`; who is online then stays."""
        due = time.monotonic()
        while not self.stopping:
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            up = [box for box in self._boxes if box.is_up]
            place = self._random.randrange(len(self._offline))
            self._offline[place], self._offline[-1] = self._offline[-1], self._offline[place]
            task = asyncio.create_task(self._live(self._offline.pop(), self._random.choice(up)))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        while self._busy:
            await asyncio.wait(self._busy, timeout=1)

    async def _live(self, login: str, box: Box) -> None:
        number = await box.login(login, self._passwords[login])
        if number is not None and await self._stay():
            return
        if number is not None and self._random.random() < MOVES:
            await self._move(login, box, number)
        elif number is not None:
            box.hang_up(number)
        self._offline.append(login)

    async def _move(self, login: str, box: Box, number: str) -> None:
        """To the other box, before this one has noticed."""
        others = [one for one in self._boxes if one is not box and one.is_up]
        moved = await others[0].login(login, self._passwords[login]) if others else None
        await asyncio.sleep(LINE_DETECTED_S)
        box.hang_up(number)
        if moved is not None:
            others[0].hang_up(moved)

    async def _stay(self) -> bool:
        """Be online for a while; True where the load ends meanwhile."""
        ends = time.monotonic() + self._random.uniform(*self._session_s)
        while not self.stopping and time.monotonic() < ends:
            await asyncio.sleep(min(0.5, max(0.0, ends - time.monotonic())))
        return self.stopping

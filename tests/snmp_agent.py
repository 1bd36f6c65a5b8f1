"""An SNMP v2c agent on a real socket: it has what a test gives it, and answers as RFC 3416 says."""

from __future__ import annotations

import socket
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from asn1crypto import core, parser

GET, GET_NEXT, RESPONSE, GET_BULK = 0, 1, 2, 5
NO_SUCH_INSTANCE, END_OF_MIB_VIEW = b"\x81\x00", b"\x82\x00"
SYS_UP_TIME = "1.3.6.1.2.1.1.3.0"
DAY = 8_640_000


@dataclass(frozen=True)
class Ticks:
    hundredths: int


Value = str | int | Ticks


class Agent:
    """`has` may be changed while it runs; `before` is called with each request's first OID, and may change it."""

    def __init__(self, has: Mapping[str, Value], *, uptime: int = DAY, community: str = "leitura") -> None:
        self.has: dict[str, Value] = {SYS_UP_TIME: Ticks(uptime), **has}
        self.community = community
        self.asked: list[str] = []
        self.silent = False
        self.before: Callable[[str], None] = lambda _: None
        #: What becomes of an answer on its way.
        self.mangle: Callable[[bytes], bytes] = bytes
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that receives
        self._socket.close()

    def readings(self, column: str) -> int:
        """How many times it was begun to read this column."""
        return self.asked.count(column)

    def _serve(self) -> None:
        while True:
            try:
                octets, source = self._socket.recvfrom(65_535)
                answer = self._answer(octets) if octets else None
                if answer is not None:
                    self._socket.sendto(self.mangle(answer), source)
            except OSError:
                return
            if not octets:
                return  # shut down

    def _answer(self, octets: bytes) -> bytes | None:
        version, community, pdu = _parts(parser.parse(octets)[4])
        request_id, second, third, bindings = _parts(pdu[4])
        oids = [_dotted(_parts(binding[4])[0]) for binding in _parts(bindings[4])]
        self.asked += oids
        self.before(oids[0])
        if self.silent or community[4].decode() != self.community:
            return None
        repetitions = int.from_bytes(third[4], "big") if pdu[2] == GET_BULK else 1
        assert pdu[2] != GET_BULK or int.from_bytes(second[4], "big") == 0  # no non-repeaters
        found = self._get(oids) if pdu[2] == GET else self._next(oids[0], repetitions)
        body = _emitted(request_id) + _integer(0) + _integer(0) + _sequence(b"".join(found))
        return _sequence(_emitted(version) + _emitted(community) + parser.emit(2, 1, RESPONSE, body))

    def _get(self, oids: list[str]) -> list[bytes]:
        return [_binding(oid, _value(self.has[oid]) if oid in self.has else NO_SUCH_INSTANCE) for oid in oids]

    def _next(self, oid: str, repetitions: int) -> list[bytes]:
        order = sorted(self.has, key=_numbers)
        start = bisect_right(order, _numbers(oid), key=_numbers)
        rows = [_binding(one, _value(self.has[one])) for one in order[start : start + repetitions]]
        return rows if len(rows) == repetitions else [*rows, _binding(order[-1], END_OF_MIB_VIEW)]


def column(oid: str, *names: str) -> dict[str, Value]:
    return {f"{oid}.{number}": name for number, name in enumerate(names, start=1)}


_Part = tuple[int, int, int, bytes, bytes, bytes]


def _parts(octets: bytes) -> list[_Part]:
    parts: list[_Part] = []
    while octets:
        part = parser.parse(octets)
        parts.append(part)
        octets = octets[len(part[3]) + len(part[4]) + len(part[5]) :]
    return parts


def _emitted(part: _Part) -> bytes:
    return part[3] + part[4] + part[5]


def _dotted(part: _Part) -> str:
    return str(core.ObjectIdentifier.load(_emitted(part)).dotted)


def _numbers(oid: str) -> list[int]:
    return [int(number) for number in oid.split(".")]


def _integer(value: int) -> bytes:
    return bytes(core.Integer(value).dump())


def _sequence(contents: bytes) -> bytes:
    return bytes(parser.emit(0, 1, 16, contents))


def _value(value: Value) -> bytes:
    if isinstance(value, Ticks):
        return bytes(parser.emit(1, 0, 3, core.Integer(value.hundredths).contents))
    return _integer(value) if isinstance(value, int) else bytes(core.OctetString(value.encode()).dump())


def _binding(oid: str, value: bytes) -> bytes:
    return _sequence(bytes(core.ObjectIdentifier(oid).dump()) + value)

"""What a worker tells of refused and odd logins, and of senders with whom something is wrong.

    worker: AttemptReport, FindingReport --(some at a time, MessagePack, a local socket)--> shipper --> PostgreSQL

Lossy by design: a worker never waits for anybody to take a report. What it tells is bounded three times over, so that a
storm pushes nobody else out: each login with the same trouble tells less and less often (and how often it happened),
each NAS has an allowance, its subscribers and what may be made up apart, and no more than a number waits to be sent.
Findings are facts of a NAS: they are added up, and told once in a while.
"""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import Any, Final

import msgspec

from aaa.reasons import Reason

#: A login that goes on failing in the same way is reported after the first of these, then after twice as long, up to
#: the last.
FIRST_PAUSE_S: Final = 5.0
LAST_PAUSE_S: Final = 320.0
#: Logins whose pace is remembered, twice over.
PACES_MAX: Final = 20_000
#: Attempts that a worker reports of one NAS: at once, and in the long run.
ATTEMPTS_BURST: Final = 500.0
ATTEMPTS_PER_S: Final = 5.0
#: Reports that wait for the socket; a shipper that starts anew takes a second.
WAITING_MAX: Final = 5000
#: Some hundred octets each, and three thousand at the worst (what a socket does not take whole, it never takes).
REPORTS_A_DATAGRAM: Final = 25
DETAIL_CHARACTERS_MAX: Final = 300
#: Findings are told this often; of so many senders at most, strangers (whose addresses may be made up) apart.
FINDINGS_EVERY_S: Final = 5.0
FINDINGS_MAX: Final = 1000
STRANGERS_MAX: Final = 20
#: The nas_id of a sender that is no NAS of ours.
STRANGER: Final = 0
#: Reasons that anybody can provoke with any login.
DOUBTFUL: Final = frozenset(
    {
        Reason.UNKNOWN_LOGIN,
        Reason.BAD_AUTHENTICATOR,
        Reason.MESSAGE_AUTHENTICATOR_MISSING,
        Reason.UNSIGNED_PROXY_STATE,
    }
)
#: The reason of an attempt that was accepted, and accepted again soon after: what follows an accept fails.
ACCEPTED_AGAIN: Final = "accepted_again"


class FindingKind(StrEnum):
    UNKNOWN_CLIENT = "unknown_client"
    WRONG_SECRET = "wrong_secret"  # noqa: S105
    MESSAGE_AUTHENTICATOR_MISSING = "message_authenticator_missing"
    UNSIGNED_PROXY_STATE = "unsigned_proxy_state"
    MALFORMED = "malformed"
    UNEXPECTED_CODE = "unexpected_code"
    INCOMPLETE = "incomplete"
    CLOCK_SKEW = "clock_skew"
    REPLIES_UNHEARD = "replies_unheard"


#: What a discarded packet says of its sender. Where we are full or at fault, it says nothing.
FINDINGS: Final = {
    Reason.UNKNOWN_CLIENT: FindingKind.UNKNOWN_CLIENT,
    Reason.BAD_AUTHENTICATOR: FindingKind.WRONG_SECRET,
    Reason.MESSAGE_AUTHENTICATOR_MISSING: FindingKind.MESSAGE_AUTHENTICATOR_MISSING,
    Reason.UNSIGNED_PROXY_STATE: FindingKind.UNSIGNED_PROXY_STATE,
    Reason.MALFORMED: FindingKind.MALFORMED,
    Reason.UNEXPECTED_CODE: FindingKind.UNEXPECTED_CODE,
    Reason.INCOMPLETE: FindingKind.INCOMPLETE,
}


class AttemptReport(msgspec.Struct, tag="attempt"):
    login: str
    nas_id: int
    source: str
    calling_station_id: str | None
    reason: str
    #: Seconds since 1970.
    at: float
    method: str = ""
    hint: str = ""
    #: Whose login it is, by the NAS's login rules; None: nobody's.
    service_id: int | None = None
    #: How often it came like this since it was told before.
    times: int = 1
    detail: dict[str, str] = {}


class FindingReport(msgspec.Struct, tag="finding"):
    nas_id: int
    source: str
    kind: FindingKind
    count: int
    detail: dict[str, Any]


Report = AttemptReport | FindingReport


class _Pace:
    __slots__ = ("held", "next_at", "pause_s")

    def __init__(self) -> None:
        self.next_at = float("-inf")
        self.pause_s = 0.0
        #: Attempts that were not told yet.
        self.held = 0


class AttemptPaces:
    """Which attempts are told: fewer and fewer of one login, and no more of one NAS than its allowance."""

    def __init__(self) -> None:
        self._young: dict[tuple[bytes, str], _Pace] = {}
        self._old: dict[tuple[bytes, str], _Pace] = {}
        #: By NAS, and whether it is a subscriber who fails: tokens, and when they were counted.
        self._allowances: dict[tuple[int, bool], tuple[float, float]] = {}

    def due(self, login: bytes, reason: str, nas_id: int, now: float, *, known: bool) -> int:
        """How many attempts a report would stand for; 0 where there is to be none now."""
        pace = self._pace((login, reason))
        pace.held += 1
        if now < pace.next_at or not self._take(nas_id, known, now):
            return 0
        goes_on = now - pace.next_at < LAST_PAUSE_S
        pace.pause_s = min(pace.pause_s * 2, LAST_PAUSE_S) if goes_on else FIRST_PAUSE_S
        pace.next_at = now + pace.pause_s
        times, pace.held = pace.held, 0
        return times

    def _pace(self, key: tuple[bytes, str]) -> _Pace:
        pace = self._young.get(key)
        if pace is None:
            pace = self._young[key] = self._old.pop(key) if key in self._old else _Pace()
            if len(self._young) >= PACES_MAX:
                self._old, self._young = self._young, {}
        return pace

    def _take(self, nas_id: int, known: bool, now: float) -> bool:
        tokens, at = self._allowances.get((nas_id, known), (ATTEMPTS_BURST, now))
        tokens = min(ATTEMPTS_BURST, tokens + (now - at) * ATTEMPTS_PER_S)
        allowed = tokens >= 1
        self._allowances[nas_id, known] = (tokens - allowed, now)
        return allowed


class Reporter:
    """A worker's end of the socket."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._waiting: list[Report] = []
        self._findings: dict[tuple[int, str, FindingKind], FindingReport] = {}
        self._strangers = 0
        self._findings_at = 0.0
        self.paces = AttemptPaces()
        self.lost = 0

    def attempt(self, report: AttemptReport) -> None:
        self._put(report)

    def finding(self, nas_id: int, source: str, kind: FindingKind, detail: dict[str, Any], count: int = 1) -> None:
        """`detail` is the latest; senders beyond those that are told of at most are left out."""
        known = self._findings.get((nas_id, source, kind))
        if known is not None:
            known.count += count
            known.detail = detail
            return
        self._strangers += nas_id == STRANGER
        if len(self._findings) < FINDINGS_MAX and (nas_id != STRANGER or self._strangers <= STRANGERS_MAX):
            self._findings[nas_id, source, kind] = FindingReport(nas_id, source, kind, count, detail)

    def send(self, now: float) -> None:
        """What waits, as far as the socket takes it; call it about once a second."""
        if self._findings and now - self._findings_at >= FINDINGS_EVERY_S:
            for finding in self._findings.values():
                self._put(finding)
            self._findings, self._strangers, self._findings_at = {}, 0, now
        while self._waiting:
            some = self._waiting[:REPORTS_A_DATAGRAM]
            try:
                self._socket.sendto(msgspec.msgpack.encode(some), self._path)
            except OSError:  # nobody is there, or it is full: later
                return
            del self._waiting[:REPORTS_A_DATAGRAM]

    def _put(self, report: Report) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(report)
        else:
            self.lost += 1

"""The simulated BRAS's dynamic authorization port (RFC 5176): who may ask, repeated requests, and how it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aaa.authenticator import SharedSecret, request_authenticator_valid, sign_reply
from aaa.bras.dialect import Refused
from aaa.md5 import md5
from aaa.packet import Code, Kind, MalformedPacket, Packet, header, integer_attribute, parse, proxy_states

#: RFC 5176 6.3: a request older than this is a replay.
EVENT_AGE_MAX_S: Final = 300
_ANSWERS_MAX: Final = 10_000


class DynamicPort:
    """`obey` does what a request asks, or says why not; `signs_answers`: with a Message-Authenticator."""

    def __init__(
        self, secret: SharedSecret, obey: Callable[[Packet, float], Refused | None], *, signs_answers: bool
    ) -> None:
        self._secret = secret
        self._obey = obey
        self._signs_answers = signs_answers
        self._answered: dict[tuple[object, int, bytes], bytes] = {}

    def receive(self, source: object, octets: bytes, now: float) -> bytes | None:
        """The answer, or None for silence. A repeated request gets the same answer, and nothing is done twice."""
        try:
            request = parse(octets)
        except MalformedPacket:
            return None
        if request.code not in {Code.COA_REQUEST, Code.DISCONNECT_REQUEST}:
            return None
        if not request_authenticator_valid(request, self._secret):
            return None
        key = (source, request.identifier, request.authenticator)
        if key not in self._answered:
            stamp = request.integer(Kind.EVENT_TIMESTAMP)
            if stamp is not None and abs(now - stamp) > EVENT_AGE_MAX_S:
                return None
            if len(self._answered) > _ANSWERS_MAX:
                self._answered.clear()
            self._answered[key] = self._answer(request, self._obey(request, now))
        return self._answered[key]

    def _answer(self, request: Packet, refused: Refused | None) -> bytes:
        """ACK is the request's code and one, NAK and two."""
        attributes = proxy_states(request)
        if refused is not None and refused.cause is not None:
            attributes += integer_attribute(Kind.ERROR_CAUSE, refused.cause)
        code = request.code + (1 if refused is None else 2)
        if self._signs_answers:
            return sign_reply(code, request.identifier, request.authenticator, attributes, self._secret)
        head = header(code, request.identifier, len(attributes))
        digest = md5(head + request.authenticator + attributes + self._secret.octets).digest()
        return head + digest + attributes

"""A NAS that answers CoA- and Disconnect-Requests as a test says, on a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from aaa.authenticator import SharedSecret
from aaa.coa import ErrorCause, Target
from aaa.md5 import md5
from aaa.packet import Kind, Packet, header, integer_attribute, parse

NOT_FOUND = ErrorCause.SESSION_CONTEXT_NOT_FOUND
SECRET = SharedSecret(b"testing123")
#: What a NAS answers to a session id: an Error-Cause, None for an ACK, or "silence".
Answers = Callable[[str], ErrorCause | str | None]


class Nas:
    """Answers CoA as `answers` says; remembers which sessions it was asked about."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.port, SECRET)

    def close(self) -> None:
        self.answers = lambda _: "silence"
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                octets, source = self.socket.recvfrom(4096)
            except OSError:
                return
            request = parse(octets)
            session_id = request.text(Kind.ACCT_SESSION_ID) or ""
            self.asked.append(session_id)
            answer = self.answers(session_id if request.first(Kind.USER_NAME) is None else f"{session_id} and keys")
            if answer != "silence":
                self.socket.sendto(reply(request, answer), source)


def reply(request: Packet, answer: ErrorCause | str | None) -> bytes:
    attributes = b"" if answer is None else integer_attribute(Kind.ERROR_CAUSE, int(answer))
    head = header(request.code + (1 if answer is None else 2), request.identifier, len(attributes))
    return head + md5(head + request.authenticator + attributes + SECRET.octets).digest() + attributes

"""One connection to the simulated API: octets in, octets out.

login     6.43 and later take the password as it is, and still offer a challenge that leads nowhere; before, the
          challenge is the only way: name, and 00 + md5(00 + password + challenge)
command   `/menu/command`, `=name=value` attributes, `?` queries, a `.tag` that every sentence of the answer repeats
answer    `!re` a row, at the end `!done`; `!trap` with category and message when refused; `!empty` where 7.18 has
          nothing to return
end       `/quit`, or a command from somebody who is not logged in: `!fatal` with the reason, and the connection ends

Faults to order come in between the command and its answer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from provisioning.simulators.routeros.command import NOTHING, Answer, Command, Connection
from provisioning.simulators.routeros.errors import Ended, Refused
from provisioning.simulators.routeros.faults import Fault, FaultKind, When
from provisioning.simulators.routeros.menus import Row
from provisioning.simulators.routeros.reach import Client, Verdict
from provisioning.simulators.routeros.router import Router
from provisioning.simulators.routeros.words import Decoder, Malformed, encode_sentence

CHALLENGE_OCTETS: Final = 16


@dataclass(frozen=True, slots=True)
class Wait:
    """What came is to be sent; what comes next comes so much later."""

    seconds: float


Piece = bytes | Wait


class Dialogue:
    """`over` once the router has ended it. Whoever carries its octets calls `close` when the connection is gone."""

    def __init__(self, router: Router, random: Callable[[int], bytes], client: Client | None = None) -> None:
        self._router = router
        self._random = random
        self._client = client
        self._cut_off = False
        self._decoder = Decoder()
        self._challenge: bytes | None = None
        self._user: str | None = None
        self._connection = Connection()
        self.over = False

    def receive(self, octets: bytes) -> Iterator[Piece]:
        """Answers, each as octets, as they are made."""
        try:
            sentences = self._decoder.feed(octets)
        except Malformed:
            self.over = True
            return
        for words in sentences:
            if self.over:
                return
            if not self._reaches():
                continue
            command = _parse(words)
            yield from self._faulty(command, self._router.faults.due(command))

    def _reaches(self) -> bool:
        """A firewall lets it through."""
        if self._client is None:
            return True
        found = self._router.verdict(self._client, established=self._user is not None)
        self._cut_off = found is not Verdict.ACCEPT
        self.over = self.over or found is Verdict.REFUSE
        return found is Verdict.ACCEPT

    def close(self) -> None:
        if self._client is not None:
            self._reaches()
        if self._cut_off:
            self._router.lost(self._connection)
        else:
            self._router.dropped(self._connection)

    def _faulty(self, command: Command, due: list[Fault]) -> Iterator[Piece]:
        """The answer, as far as what is ordered lets it come."""
        for fault in due:
            if fault.kind is FaultKind.SLOW:
                yield Wait(fault.seconds)
        refusal = next((fault for fault in due if fault.kind is FaultKind.REFUSE), None)
        if refusal is not None:
            yield _trap(command, Refused(refusal.message, refusal.category))
            yield _sentence("!done", command)
            return
        fatal = next((fault for fault in due if fault.kind is not FaultKind.SLOW), None)
        if fatal is None:
            yield from self._answer(command)
            return
        if fatal.when is not When.BEFORE:
            answer = list(self._answer(command))
            yield _as_far_as(answer, fatal)
            yield Wait(0.0)  # it is on its way
        if fatal.kind is FaultKind.SILENT:
            return
        self.over = True
        if fatal.kind is FaultKind.REBOOT:
            self._router.reboot(fatal.seconds)

    def _answer(self, command: Command) -> Iterator[bytes]:
        answer, sent = NOTHING, 0
        try:
            answer = self._obey(command)
            for row in answer.rows:
                sent += 1
                yield _sentence("!re", command, row)
            if not sent and not answer.returned and self._router.version.says_empty and _reads(command):
                yield _sentence("!empty", command)
        except Refused as refused:
            yield _trap(command, refused)
        except Ended as ended:
            self.over = True
            yield encode_sentence([b"!fatal", str(ended).encode()])
            return
        yield _sentence("!done", command, answer.returned)

    def _obey(self, command: Command) -> Answer:
        if command.word == "/login":
            return self._log_in(command)
        if self._user is None:
            raise Ended("not logged in")
        if command.word == "/quit":
            self._router.keep(self._connection)
            raise Ended("session terminated on request")
        if command.word == "/cancel":
            return NOTHING
        return self._router.run(command, self._router.caller(self._user, self._connection))

    def _log_in(self, command: Command) -> Answer:
        given = command.arguments
        by_challenge = self._router.version.logs_in_by_challenge
        if "response" not in given and (by_challenge or "name" not in given):
            self._challenge = self._random(CHALLENGE_OCTETS)
            return Answer([], {"ret": self._challenge.hex()})
        password = self._router.password_of(given.get("name", ""), self._client)
        if password is None or not self._proven(password, given):
            raise Refused("cannot log in" if by_challenge else "invalid user name or password (6)")
        self._user = given["name"]
        return NOTHING

    def _proven(self, password: str, given: dict[str, str]) -> bool:
        if not self._router.version.logs_in_by_challenge:
            return hmac.compare_digest(_octets(given.get("password", "")), _octets(password))
        if self._challenge is None:
            return False
        challenge, self._challenge = self._challenge, None
        expected = hashlib.md5(b"\x00" + _octets(password) + challenge).hexdigest()  # noqa: S324
        return hmac.compare_digest(_octets(given["response"]), f"00{expected}".encode())


def _trap(command: Command, refused: Refused) -> bytes:
    category = {} if refused.category is None else {"category": str(refused.category)}
    return _sentence("!trap", command, {**category, "message": refused.message})


def _as_far_as(answer: list[bytes], fault: Fault) -> bytes:
    """Whole sentences, then octets of the next."""
    if fault.when is When.ANSWERED:
        return b"".join(answer)
    rest = b"".join(answer[fault.sentences :])
    return b"".join(answer[: fault.sentences]) + rest[: fault.octets]


def _reads(command: Command) -> bool:
    return command.word.endswith(("/print", "/getall"))


def _parse(words: list[bytes]) -> Command:
    command = Command(_text(words[0]))
    for octets in words[1:]:
        word = _text(octets)
        if word.startswith("="):
            name, _, value = word[1:].partition("=")
            command.arguments[name] = value
        elif word.startswith("?"):
            command.queries.append(word[1:])
        elif word.startswith(".tag="):
            command.tag = word.removeprefix(".tag=")
    return command


def _sentence(reply: str, command: Command, row: Row | None = None) -> bytes:
    words = [reply]
    if command.tag is not None:
        words.append(f".tag={command.tag}")
    words += [f"={name}={value}" for name, value in (row or {}).items()]
    return encode_sentence(map(_octets, words))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")

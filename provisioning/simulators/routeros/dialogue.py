"""One connection to the simulated API: octets in, octets out.

login     6.43 and later take the password as it is, and still offer a challenge that leads nowhere; before, the
          challenge is the only way: name, and 00 + md5(00 + password + challenge)
command   `/menu/command`, `=name=value` attributes, `?` queries, a `.tag` that every sentence of the answer repeats
answer    `!re` a row, at the end `!done`; `!trap` with category and message when refused; `!empty` where 7.18 has
          nothing to return
end       `/quit`, or a command from somebody who is not logged in: `!fatal` with the reason, and the connection ends
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from provisioning.simulators.routeros.menus import Menu, Missing, Row
from provisioning.simulators.routeros.query import BadQuery, matches
from provisioning.simulators.routeros.router import Router
from provisioning.simulators.routeros.words import Decoder, Malformed, encode_sentence

MISSING: Final = 0
ARGUMENT: Final = 1
CHALLENGE_OCTETS: Final = 16


class _Refused(Exception):
    """Answered with a `!trap`."""

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.category = category


class _Ended(Exception):
    """Answered with a `!fatal`."""


@dataclass
class _Command:
    word: str
    arguments: dict[str, str] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    tag: str | None = None


class Dialogue:
    """`over` once the router has ended it."""

    def __init__(self, router: Router, random: Callable[[int], bytes]) -> None:
        self._router = router
        self._random = random
        self._decoder = Decoder()
        self._challenge: bytes | None = None
        self._logged_in = False
        self.over = False

    def receive(self, octets: bytes) -> Iterable[bytes]:
        """Answers, each as octets, as they are made."""
        try:
            sentences = self._decoder.feed(octets)
        except Malformed:
            self.over = True
            return
        for words in sentences:
            if self.over:
                return
            yield from self._answer(_parse(words))

    def _answer(self, command: _Command) -> Iterable[bytes]:
        returned: dict[str, str] = {}
        try:
            count = 0
            for row in self._obey(command, returned):
                count += 1
                yield _sentence("!re", command, row)
            if not count and not returned and self._router.version.says_empty and _reads(command):
                yield _sentence("!empty", command)
        except _Refused as refused:
            category = {} if refused.category is None else {"category": str(refused.category)}
            yield _sentence("!trap", command, {**category, "message": refused.message})
        except _Ended as ended:
            self.over = True
            yield encode_sentence([b"!fatal", str(ended).encode()])
            return
        yield _sentence("!done", command, returned)

    def _obey(self, command: _Command, returned: dict[str, str]) -> Iterable[Row]:
        if command.word == "/login":
            self._log_in(command, returned)
            return []
        if not self._logged_in:
            raise _Ended("not logged in")
        if command.word == "/quit":
            raise _Ended("session terminated on request")
        if command.word == "/cancel":
            return []
        menu, verb = self._find(command.word)
        if verb == "remove":
            _remove(menu, command)
            return []
        return _print(menu, command, returned)

    def _find(self, word: str) -> tuple[Menu, str]:
        path, _, verb = word.rpartition("/")
        menu = self._router.menus.get(path)
        if menu is None:
            raise _Refused("no such command prefix", MISSING)
        if verb not in menu.commands:
            raise _Refused("no such command", MISSING)
        return menu, verb

    def _log_in(self, command: _Command, returned: dict[str, str]) -> None:
        given = command.arguments
        by_challenge = self._router.version.logs_in_by_challenge
        if "response" not in given and (by_challenge or "name" not in given):
            self._challenge = self._random(CHALLENGE_OCTETS)
            returned["ret"] = self._challenge.hex()
            return
        password = self._router.users.get(given.get("name", ""))
        if password is None or not self._proven(password, given):
            message = "cannot log in" if by_challenge else "invalid user name or password (6)"
            raise _Refused(message)
        self._logged_in = True

    def _proven(self, password: str, given: dict[str, str]) -> bool:
        if not self._router.version.logs_in_by_challenge:
            return hmac.compare_digest(given.get("password", "").encode(), password.encode())
        if self._challenge is None:
            return False
        challenge, self._challenge = self._challenge, None
        expected = hashlib.md5(b"\x00" + password.encode() + challenge).hexdigest()  # noqa: S324
        return hmac.compare_digest(given["response"].encode(), f"00{expected}".encode())


def _print(menu: Menu, command: _Command, returned: dict[str, str]) -> Iterable[Row]:
    for name in command.arguments:
        if name not in {".proplist", "detail", "stats", "count-only", "without-paging"}:
            raise _Refused("unknown parameter")
    try:
        found = [row for row in menu.rows() if matches(row, command.queries)]
    except BadQuery as bad:
        raise _Refused(f"invalid query: {bad}", ARGUMENT) from None
    if "count-only" in command.arguments:
        returned["ret"] = str(len(found))
        return []
    wanted = command.arguments.get(".proplist")
    if wanted is None:
        return found
    names = wanted.split(",")
    return [{name: row[name] for name in names if name in row} for row in found]


def _remove(menu: Menu, command: _Command) -> None:
    ids = command.arguments.get(".id") or command.arguments.get("numbers")
    if not ids:
        raise _Refused("missing =.id=", ARGUMENT)
    try:
        for row_id in ids.split(","):
            menu.remove(row_id)
    except Missing:
        raise _Refused("no such item", MISSING) from None


def _reads(command: _Command) -> bool:
    return command.word.endswith(("/print", "/getall"))


def _parse(words: list[bytes]) -> _Command:
    command = _Command(_text(words[0]))
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


def _sentence(reply: str, command: _Command, row: Row | None = None) -> bytes:
    words = [reply]
    if command.tag is not None:
        words.append(f".tag={command.tag}")
    words += [f"={name}={value}" for name, value in (row or {}).items()]
    return encode_sentence([word.encode("utf-8", "surrogateescape") for word in words])


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")

"""A router's API through librouteros, with its pitfalls closed.

    values are the strings they are   a login "123" or a password "yes" stays what it is; octets that are no UTF-8 are
                                      kept as surrogates and are written back as they came
    eager, and one deadline a command not one for each octet that comes
    .proplist always                  a row is what was asked for, and no answer grows with the router's version
    a failure ends the connection     after one, an answer that comes late would be taken for the next command's; only a
                                      `!trap` is an answer like any other. The next command connects anew
    nothing is logged                 librouteros writes every word, passwords too, to its debug log; ours does not

One thread at a time. A connection that the router has dropped while nobody used it is replaced once for a question;
a command that changes something is never repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from librouteros.api import Api
from librouteros.connections import SocketTransport
from librouteros.exceptions import ConnectionClosed, FatalError, LibRouterosError, ProtocolError
from librouteros.login import plain
from librouteros.protocol import ApiProtocol, decode_length, determine_length, encode_length

from core.routeros import RouterOsAccess
from provisioning.routeros.errors import (
    CertificateRefused,
    LoginRefused,
    Misunderstood,
    RouterOsError,
    Trap,
    Unreachable,
)

#: For TCP, for TLS, and then for the login and for each command as a whole.
TIMEOUT_S: Final = 5.0
#: For each command, where all of a busy router is read: ten thousand rows take a while.
PATIENT_S: Final = 60.0
#: A longer word is no answer of a router's.
WORD_OCTETS_MAX: Final = 1 << 24
_RECEIVE_OCTETS: Final = 65536

Row = dict[str, str]


class RouterOs:
    """Connects when the first command is given."""

    def __init__(
        self, access: RouterOsAccess, *, timeout_s: float = TIMEOUT_S, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._api: _Api | None = None
        self._took_next = False

    @property
    def took_next_password(self) -> bool:
        """Of the last login: it was the password that the access says may be in force already."""
        return self._took_next

    @property
    def nas_id(self) -> int:
        return self._access.nas_id

    @property
    def connected(self) -> bool:
        return self._api is not None

    def rows(self, menu: str, properties: Sequence[str], *queries: str) -> list[Row]:
        """The menu's rows, with these properties as far as each has them. `queries` are words without their `?`."""
        words = [f"=.proplist={','.join(properties)}", *(f"?{query}" for query in queries)]
        reused = self.connected
        try:
            return self._exchange(f"{menu}/print", words)
        except _Dropped:
            if not reused:
                raise
        return self._exchange(f"{menu}/print", words)

    def call(self, command: str, arguments: Mapping[str, str], *, timeout_s: float | None = None) -> list[Row]:
        """A command that changes something; what it returns, if it does, is in a row of its own. `timeout_s`: of one
        that takes longer than others."""
        return self._exchange(command, [f"={name}={value}" for name, value in arguments.items()], timeout_s)

    def close(self) -> None:
        if self._api is not None:
            self._api.close()
            self._api = None

    def _exchange(self, command: str, words: Sequence[str], timeout_s: float | None = None) -> list[Row]:
        api = self._api or self._connect()
        try:
            api.transport.deadline = self._monotonic() + (timeout_s or self._timeout_s)
            rows, trap = api.ask(command, *words)
        except (OSError, LibRouterosError, UnicodeError) as error:
            self.close()
            self._failed(error)
        if trap is not None:
            message, category = trap
            raise Trap(self._access.nas_id, command, message, category)
        return rows

    def _connect(self) -> _Api:
        """With the password that is known, or with the one that may be in force already. A router that takes the new
        one back between the two refuses both: then the known one is in force again."""
        known, coming = self._access.password, self._access.next_password
        for password, is_next in () if coming is None else ((known, False), (coming, True)):
            with contextlib.suppress(LoginRefused):
                self._api, self._took_next = self._log_in(password), is_next
                return self._api
        self._api, self._took_next = self._log_in(known), False
        return self._api

    def _log_in(self, password: str) -> _Api:
        """The password is said when it is known whom it is said to."""
        transport: _Transport | None = None
        try:
            encrypted = self._open()
            transport = _Transport(encrypted, self._monotonic() + self._timeout_s, self._monotonic)
            api = _Api(_Protocol(transport, encoding="utf-8"), transport)
            plain(api, self._access.user, password)
        except (OSError, LibRouterosError, UnicodeError) as error:
            self._abandon(transport)
            self._failed(error)
        except RouterOsError:
            self._abandon(transport)
            raise
        return api

    @staticmethod
    def _abandon(transport: _Transport | None) -> None:
        if transport is not None:
            transport.close()

    def _open(self) -> socket.socket:
        access = self._access
        plain_socket = socket.create_connection((access.address, access.port), timeout=self._timeout_s)
        if not access.tls:
            return plain_socket
        try:
            encrypted = _context(access).wrap_socket(plain_socket, server_hostname=access.address)
        except BaseException:
            plain_socket.close()
            raise
        if access.certificate_sha256 is not None:
            self._check_pinned(encrypted, access.certificate_sha256)
        return encrypted

    def _check_pinned(self, encrypted: ssl.SSLSocket, fingerprint: str) -> None:
        shown = hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()
        if not hmac.compare_digest(shown, fingerprint):
            encrypted.close()
            detail = f"{self._where}: it shows the certificate {shown}, not the approved {fingerprint}"
            raise CertificateRefused(self._access.nas_id, detail, expected=fingerprint, shown=shown)

    def _refuse_unknown(self, error: ssl.SSLCertVerificationError) -> NoReturn:
        """No authority vouches for it. What it is is asked for once more, so that a person can approve it."""
        shown = self._shown_certificate()
        detail = f"{self._where}: {error.verify_message}"
        if shown is not None:
            detail += f"; its SHA-256 is {shown}: approve it if that is what the router itself says"
        raise CertificateRefused(self._access.nas_id, detail, expected=None, shown=shown) from None

    def _shown_certificate(self) -> str | None:
        """Nothing is said to whoever shows it."""
        try:
            with (
                socket.create_connection((self._access.address, self._access.port), self._timeout_s) as plain_socket,
                _unverified().wrap_socket(plain_socket) as encrypted,
            ):
                return hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()
        except OSError:
            return None

    @property
    def _where(self) -> str:
        return f"API at {self._access.address} port {self._access.port}"

    def _failed(self, error: Exception) -> NoReturn:
        """The error as a type of ours. Its words are the operating system's or the router's, never what was sent."""
        nas_id = self._access.nas_id
        if isinstance(error, _Refused):
            raise LoginRefused(nas_id, f"{self._where}: {error}") from None
        if isinstance(error, ssl.SSLCertVerificationError):
            self._refuse_unknown(error)
        if isinstance(error, ssl.SSLError):
            why = f"TLS failed ({error.reason}): has the router's api-ssl a certificate?"
            raise Unreachable(nas_id, f"{self._where}: {why}") from None
        if isinstance(error, TimeoutError):
            raise Unreachable(nas_id, f"{self._where}: no answer in {self._timeout_s:g} s") from None
        if isinstance(error, (OSError, ConnectionClosed)):
            raise _Dropped(nas_id, f"{self._where}: {getattr(error, 'strerror', None) or error}") from None
        if isinstance(error, FatalError):
            raise Misunderstood(nas_id, f"{self._where} ended the connection: {error}") from None
        raise Misunderstood(nas_id, f"{self._where}: {type(error).__name__}") from None


def patient_client(access: RouterOsAccess) -> RouterOs:
    return RouterOs(access, timeout_s=PATIENT_S)


class _Dropped(Unreachable):
    """There is no connection (any more), and that was known at once."""


class _Refused(LibRouterosError):
    """The login was."""


class _Transport(SocketTransport):
    """Reads ahead, and has one deadline for all that belongs together."""

    def __init__(self, sock: socket.socket, deadline: float, monotonic: Callable[[], float]) -> None:
        super().__init__(sock)
        self.deadline = deadline
        self._monotonic = monotonic
        self._ahead = b""
        self._at = 0

    def write(self, data: bytes) -> None:
        self._wait_no_longer()
        self.sock.sendall(data)

    def read(self, length: int) -> bytes:
        while len(self._ahead) - self._at < length:
            self._wait_no_longer()
            got = self.sock.recv(_RECEIVE_OCTETS)
            if not got:
                raise ConnectionClosed("the router closed the connection")
            self._ahead, self._at = self._ahead[self._at :] + got, 0
        start, self._at = self._at, self._at + length
        return self._ahead[start : self._at]

    def _wait_no_longer(self) -> None:
        left = self.deadline - self._monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


class _Protocol(ApiProtocol):
    """Words as they are on the wire, and nothing in a log."""

    def writeSentence(self, cmd: str, *words: str) -> None:  # noqa: N802  (librouteros calls it so)
        octets = [word.encode(self.encoding, "surrogateescape") for word in (cmd, *words)]
        self.transport.write(b"".join(encode_length(len(word)) + word for word in octets) + b"\x00")

    def readSentence(self) -> tuple[str, tuple[str, ...]]:  # noqa: N802
        words: tuple[str, ...] = ()
        while not words:  # an empty sentence is nothing
            words = tuple(iter(self.readWord, ""))
        if words[0] == "!fatal":
            raise FatalError(" ".join(words[1:]) or "without a reason")
        return words[0], words[1:]

    def readWord(self) -> str:  # noqa: N802
        first = self.transport.read(1)
        length = decode_length(first + self.transport.read(determine_length(first)))
        if length > WORD_OCTETS_MAX:
            raise ProtocolError("a word of impossible length")
        return self.transport.read(length).decode(self.encoding, "surrogateescape")


class _Api(Api):
    def __init__(self, protocol: ApiProtocol, transport: _Transport) -> None:
        super().__init__(protocol)
        self.transport = transport

    def ask(self, command: str, *words: str) -> tuple[list[Row], tuple[str, int | None] | None]:
        """Rows, and the first `!trap` if there was one."""
        self.protocol.writeSentence(command, *words)
        return self._answer()

    def readResponse(self) -> Any:  # noqa: ANN401, N802  (as librouteros' login reads it)
        rows, trap = self._answer()
        if trap is not None:
            raise _Refused(trap[0])
        if any("ret" in row for row in rows):
            raise _Refused("it wants the login of RouterOS before 6.43, which is too old")
        return rows

    def _answer(self) -> tuple[list[Row], tuple[str, int | None] | None]:
        rows: list[Row] = []
        traps: list[tuple[str, int | None]] = []
        while True:
            reply, words = self.protocol.readSentence()
            given = dict(map(_attribute, words))
            if reply == "!re" or (reply == "!done" and given):
                rows.append(given)
            elif reply == "!trap":
                category = given.get("category", "")
                traps.append((given.get("message", "no reason given"), int(category) if category.isdecimal() else None))
            elif reply not in {"!done", "!empty"}:
                raise ProtocolError("a reply of no known kind")
            if reply == "!done":
                return rows, traps[0] if traps else None


def _attribute(word: str) -> tuple[str, str]:
    """`=name=value`, or an attribute of the API's own as `.tag=7`; the value may have a `=`, too."""
    name, _, value = word.removeprefix("=").partition("=")
    return name, value


def _context(access: RouterOsAccess) -> ssl.SSLContext:
    if access.certificate_sha256 is None:
        return ssl.create_default_context()
    return _unverified()  # the pin is stronger, and is checked before anything is said


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

"""How a worker asks the node's registrar whether logins may have one more session: datagrams on local sockets.

All questions of a batch of packets go in one datagram or a few, and so do answers. The worker waits for nobody. A
registrar that is away is known at once, and one that is silent after PATIENCE_S; both mean yes, because a limit of
sessions must never keep a subscriber out who is within it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

#: How long a login waits for the registrar's word: longer than that asks a NAS (registrar.ASK_S), shorter than a NAS
#: goes on asking.
PATIENCE_S: Final = 1.5
#: Questions, or answers, in one datagram.
DATAGRAM_MAX: Final = 200
DATAGRAM_OCTETS_MAX: Final = 1 << 17


class Question(msgspec.Struct, array_like=True, frozen=True):
    token: int
    service_id: int
    calling_station_id: str | None


class Answer(msgspec.Struct, array_like=True, frozen=True):
    token: int
    refused: bool
    #: For who has to explain it: how many live sessions there are of how many, and at which NASes.
    detail: dict[str, str] = {}


class Registry:
    """A worker's end."""

    def __init__(self, name: str, registrar_path: str) -> None:
        self._registrar_path = registrar_path
        own = Path(registrar_path).with_name(f"{name}.answers")
        own.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(own))
        own.chmod(0o600)
        self._socket.setblocking(False)
        self._decode = msgspec.msgpack.Decoder(list[Answer]).decode

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, questions: Sequence[Question]) -> Sequence[Question]:
        """Those that nobody could be asked."""
        for start in range(0, len(questions), DATAGRAM_MAX):
            octets = msgspec.msgpack.encode(questions[start : start + DATAGRAM_MAX])
            try:
                self._socket.sendto(octets, self._registrar_path)
            except OSError:
                return questions[start:]
        return ()

    def answers(self) -> Iterator[Answer]:
        """What has been answered since."""
        while True:
            try:
                octets = self._socket.recv(DATAGRAM_OCTETS_MAX)
            except OSError:
                return
            with contextlib.suppress(msgspec.MsgspecError):
                yield from self._decode(octets)

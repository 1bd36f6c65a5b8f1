"""Real SSH around a simulated box: password logins, a terminal that echoes, and files by SCP."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from dataclasses import dataclass, field
from typing import Final

import paramiko

from provisioning.simulators.ssh.box import Box, Cut, Dialogue

#: SCP's answer to everything that it takes.
_FINE: Final = b"\x00"
_REFUSED: Final = b"\x01"


def new_host_key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


@dataclass
class _Guard(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no annotations
    box: Box
    user: str = ""
    shell: threading.Event = field(default_factory=threading.Event)
    #: What SCP is to put a file to.
    target: str | None = None

    def check_auth_password(self, username: str, password: str) -> int:
        if not self.box.knows(username, password):
            return int(paramiko.AUTH_FAILED)
        self.user = username
        return int(paramiko.AUTH_SUCCESSFUL)

    def get_allowed_auths(self, username: str) -> str:
        del username
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        del chanid
        refused = paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return int(paramiko.OPEN_SUCCEEDED if kind == "session" else refused)

    def check_channel_pty_request(self, *_: object) -> bool:
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        del channel
        self.shell.set()
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        del channel
        words = command.decode(errors="replace").split()
        if words[:1] != ["scp"] or "-t" not in words:
            return False
        self.target = words[-1].strip("'\"")
        self.shell.set()
        return True


class SshServer:
    """Serves until `close`. `host_key`: another one is another box, or somebody in between."""

    def __init__(
        self, box: Box, address: str = "127.0.0.1", port: int = 0, host_key: paramiko.PKey | None = None
    ) -> None:
        self.box = box
        self.host_key = host_key or new_host_key()
        self._listener = socket.create_server((address, port))
        self.port: int = self._listener.getsockname()[1]
        self._transports: set[paramiko.Transport] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._listen, name="ssh-listener", daemon=True).start()

    @property
    def public_key(self) -> str:
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Every connection ends now."""
        with self._lock:
            transports = list(self._transports)
        for transport in transports:
            transport.close()

    def _listen(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="ssh-session", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self.box.lock:
            self.box.tick()
            if not self.box.lets_in():
                connection.close()
                return
        connection.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # a terminal's answers are small, and wait for none
        transport = paramiko.Transport(connection)
        transport.add_server_key(self.host_key)
        with self._lock:
            self._transports.add(transport)
        try:
            self._sessions(transport, _Guard(self.box))
        except (paramiko.SSHException, OSError, EOFError):
            pass  # whoever connected went away, or speaks something else
        finally:
            transport.close()
            with self._lock:
                self._transports.discard(transport)

    def _sessions(self, transport: paramiko.Transport, guard: _Guard) -> None:
        transport.start_server(server=guard)
        while transport.is_active():
            channel = transport.accept(1.0)
            if channel is None:
                continue
            if not guard.shell.wait(10.0):
                return
            guard.shell.clear()
            target, guard.target = guard.target, None
            work = threading.Thread(target=self._channel, args=(transport, channel, guard.user, target), daemon=True)
            work.start()

    def _channel(
        self, transport: paramiko.Transport, channel: paramiko.Channel, user: str, target: str | None
    ) -> None:  # fmt: skip
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            if target is not None:
                _receive(channel, self.box, target)
                return
            dialogue = self.box.begin(user)
            try:
                _talk(channel, dialogue)
            except Cut:
                transport.close()
            channel.close()


def _talk(channel: paramiko.Channel, dialogue: Dialogue) -> None:
    channel.sendall(f"\r\n{dialogue.prompt}".encode())
    line = ""
    while True:
        octets = channel.recv(4096)
        if not octets:
            return
        echo = b""
        for character in octets.decode(errors="replace"):
            if character in "\r\n":
                channel.sendall(echo + b"\r\n" + _answer(dialogue, line))
                line, echo = "", b""
            elif character >= " ":
                line += character
                echo += character.encode()
        if echo:
            channel.sendall(echo)


def _answer(dialogue: Dialogue, line: str) -> bytes:
    said = dialogue.say(line.strip())
    text = f"{said}\n{dialogue.prompt}" if said else dialogue.prompt
    return text.replace("\n", "\r\n").encode()


def _receive(channel: paramiko.Channel, box: Box, target: str) -> None:
    """The sink's side of SCP, for one file: `C0644 SIZE NAME`, its octets, and a zero."""
    source = channel.makefile("rb")
    channel.sendall(_FINE)
    header = source.readline()
    size = int(header.split()[1])
    channel.sendall(_FINE)
    octets = io.BytesIO(source.read(size)).getvalue()
    source.read(1)
    channel.sendall(_FINE if box.receive(target, octets) else _REFUSED + b"not here\n")
    channel.send_exit_status(0)
    channel.close()

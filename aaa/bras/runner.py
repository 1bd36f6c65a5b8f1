"""The simulated BRAS on real sockets, with a small control socket for people and tests.

Control: connect to the Unix socket, send one JSON line, read one: {"do": "status" | "sessions" | "dial" | "hang_up" |
"drop" | "report" | "reboot" | "pause" | "resume", "login": …}.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

from aaa.bras.box import Box, BoxOptions, Credential, Datagram
from aaa.bras.subscriber import State, Subscriber, TerminateCause

#: A shutdown waits this long for the answers to its Stops.
SHUTDOWN_S = 4.0
#: Another thread waits this long for the machine's own.
ASK_S = 5.0

T = TypeVar("T")


class Runner:
    def __init__(
        self, options: BoxOptions, credentials: Iterable[Credential], *, server: str, auth_port: int, acct_port: int,
        coa_port: int, control: Path | None,
    ) -> None:  # fmt: skip
        self.point_at(server, auth_port, acct_port)
        self._selector = selectors.DefaultSelector()
        self._ports = [self._open(options.address) for _ in range(options.source_ports)]
        self._acct_ports = [self._open(options.address) for _ in range(options.source_ports)]
        self._coa = self._open(options.address, coa_port)
        self._control = _listen(control) if control else None
        self._asked: deque[Callable[[], None]] = deque()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._register()
        self.box = Box(options, credentials, self._send, time.time())

    def point_at(self, server: str, auth_port: int, acct_port: int) -> None:
        """Ask this server from now on; what is under way goes there when it is sent again."""
        self._server = {False: (server, auth_port), True: (server, acct_port)}

    def run(self, should_stop: Callable[[], bool], on_second: Callable[[Box], None]) -> None:
        """Until told to stop; then Stops and Accounting-Off are sent and waited for."""
        next_report = time.time() + 1
        deadline = 0.0
        while not deadline or (self.box.pending and time.time() < deadline):
            if should_stop() and not deadline:
                self.box.shut_down(time.time())
                deadline = time.time() + SHUTDOWN_S
            self._turn()
            if time.time() >= next_report:
                next_report += 1
                on_second(self.box)
        self._selector.close()

    def ask(self, do: Callable[[Box, float], T]) -> T:
        """From another thread: done by the machine's own. Raises TimeoutError where it does not run."""
        answer: Future[T] = Future()

        def answered() -> None:
            try:
                answer.set_result(do(self.box, time.time()))
            except Exception as error:  # noqa: BLE001  (it is raised where it was asked)
                answer.set_exception(error)

        self._asked.append(answered)
        self._rope.send(b"!")
        return answer.result(ASK_S)

    def _turn(self) -> None:
        due = self.box.tick(time.time())
        wait_s = min(max(0.0, due - time.time()), 0.2)
        for key, _ in self._selector.select(wait_s):
            key.data()

    def _register(self) -> None:
        for number, one in enumerate(self._ports):
            self._selector.register(one, selectors.EVENT_READ, self._reader(one, number, accounting=False))
        for number, one in enumerate(self._acct_ports):
            self._selector.register(one, selectors.EVENT_READ, self._reader(one, number, accounting=True))
        self._selector.register(self._coa, selectors.EVENT_READ, self._read_coa)
        self._selector.register(self._bell, selectors.EVENT_READ, self._do_asked)
        if self._control:
            self._selector.register(self._control, selectors.EVENT_READ, self._serve_control)

    def _reader(self, one: socket.socket, number: int, *, accounting: bool) -> Callable[[], None]:
        def read() -> None:
            for octets, _ in _drain(one):
                self.box.receive(number, accounting, octets, time.time())

        return read

    def _read_coa(self) -> None:
        for octets, source in _drain(self._coa):
            answer = self.box.receive_dynamic(source, octets, time.time())
            if answer is not None:
                self._coa.sendto(answer, source)

    def _do_asked(self) -> None:
        self._bell.recv(4096)
        while self._asked:
            self._asked.popleft()()

    def _send(self, datagram: Datagram) -> None:
        ports = self._acct_ports if datagram.accounting else self._ports
        try:
            ports[datagram.port].sendto(datagram.octets, self._server[datagram.accounting])
        except OSError:
            return  # it is retransmitted like any other that gets lost

    def _serve_control(self) -> None:
        assert self._control is not None  # noqa: S101
        connection, _ = self._control.accept()
        with connection, connection.makefile("rw") as file:
            file.write(json.dumps(self._obey(json.loads(file.readline()))) + "\n")

    def _obey(self, command: dict[str, Any]) -> Any:  # noqa: ANN401
        now = time.time()
        chosen = [one for one in self.box.subscribers if command.get("login") in {None, one.login}]
        match command["do"]:
            case "status":
                return _status(self.box)
            case "sessions":
                return [_session(one) for one in chosen]
            case "dial":
                for one in chosen:
                    self.box.dial(one, now)
            case "hang_up" | "drop" as how:
                for one in chosen:
                    self.box.hang_up(one, now, TerminateCause.USER_REQUEST if how == "hang_up" else None)
            case "report":
                self.box.report(now)
            case "reboot":
                self.box.reboot(now)
            case "pause" | "resume" as how:
                self.box.paused = how == "pause"
            case unknown:
                return {"error": f"there is no command {unknown}"}
        return _status(self.box)

    @staticmethod
    def _open(address: str, port: int = 0) -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((address, port))
        one.setblocking(False)
        return one


def _status(box: Box) -> dict[str, int]:
    waiting = sum(one.state is State.AUTHENTICATING for one in box.subscribers)
    rejects = sum(one.rejects for one in box.subscribers)
    failures = sum(one.setup_failures for one in box.subscribers)
    return {"online": box.online, "authenticating": waiting, "rejects": rejects, "setup_failures": failures,
            "lost": box.lost}  # fmt: skip


def _session(one: Subscriber) -> dict[str, Any]:
    return {
        "login": one.login, "state": one.state, "acct_session_id": one.acct_session_id, "rate_limit": one.rate_limit,
        "address_list": one.address_list, "walled_garden": one.grant.walled_garden,
        "address": str(IPv4Address(one.framed_ipv4)) if one.framed_ipv4 else None,
        "input_octets": one.input_octets, "output_octets": one.output_octets, "logins": one.logins,
        "rejects": one.rejects, "setup_failures": one.setup_failures,
    }  # fmt: skip


def _drain(one: socket.socket) -> Iterable[tuple[bytes, Any]]:
    for _ in range(256):
        try:
            yield one.recvfrom(4096)
        except OSError:
            return


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.bind(str(path))
    path.chmod(0o600)
    one.listen(8)
    return one

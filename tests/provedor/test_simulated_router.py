"""The simulated BRAS seen through its RouterOS API, and the commands that start such routers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import routeros_api

from aaa.authenticator import SharedSecret, sign_accounting_response, sign_reply
from aaa.bras import BoxOptions, Credential, Runner
from aaa.packet import Code, Kind, Packet, parse
from core.routeros import RouterOsAccess
from provedor.simulated_router import ApiOptions, bras_router, serving
from provisioning.routeros.client import RouterOs

SECRET = SharedSecret(b"testing123")
USERS = {"provedor": "testing123"}
ACTIVE = (".id", "name", "caller-id", "address", "session-id", "uptime", "radius")


class Accepting:
    """A RADIUS server that accepts everybody; what accounting it heard."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.heard: list[Packet] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                octets, source = self.socket.recvfrom(4096)
            except OSError:
                return
            request = parse(octets)
            if request.code == Code.ACCOUNTING_REQUEST:
                self.heard.append(request)
                answer = sign_accounting_response(request, b"", SECRET)
            else:
                answer = sign_reply(Code.ACCESS_ACCEPT, request.identifier, request.authenticator, b"", SECRET)
            self.socket.sendto(answer, source)


@pytest.fixture
def server() -> Iterator[Accepting]:
    server = Accepting()
    yield server
    server.socket.close()


@pytest.fixture
def runner(server: Accepting) -> Iterator[Runner]:
    runner = Runner(
        BoxOptions(redial_s=(60, 90)), [Credential("ana", "a"), Credential("123", "b")], server="127.0.0.1",
        auth_port=server.port, acct_port=server.port, coa_port=0, control=None,
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=runner.run, args=(stop.is_set, lambda _: None))
    thread.start()
    yield runner
    stop.set()
    thread.join()


def wait_for(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_the_api_shows_who_is_online_at_the_bras_and_whoever_is_removed_is_hung_up(
    server: Accepting, runner: Runner
) -> None:
    wait_for(lambda: runner.box.online == 2)
    options = ApiOptions("127.0.0.1", 0, "bras-1", USERS)
    with serving(bras_router(runner, options), options) as api:
        client = RouterOs(RouterOsAccess(1, "127.0.0.1", api.port, "provedor", "testing123", tls=False))
        rows = {row["name"]: row for row in client.rows("/ppp/active", ACTIVE)}
        line = runner.box.subscribers[0]
        assert set(rows) == {"ana", "123"}
        assert rows["ana"]["session-id"] == "0x" + line.acct_session_id.upper()
        assert (rows["ana"]["caller-id"], rows["ana"]["radius"]) == ("02:00:00:00:00:00", "true")
        session_id = line.acct_session_id
        client.call("/ppp/active/remove", {".id": rows["ana"][".id"]})
        assert [row["name"] for row in client.rows("/ppp/active", ACTIVE)] == ["123"]
        client.close()
    wait_for(lambda: any(_is_stop(one, session_id) for one in server.heard))


def _is_stop(packet: Packet, session_id: str) -> bool:
    stopped = packet.integer(Kind.ACCT_STATUS_TYPE) == 2 and packet.text(Kind.ACCT_SESSION_ID) == session_id
    return stopped and packet.integer(Kind.ACCT_TERMINATE_CAUSE) == 6


def test_a_router_alone_shows_whom_a_file_names(tmp_path: Path) -> None:
    file = tmp_path / "active.csv"
    file.write_text("login,address,caller_id,session_id,uptime_s\nana,100.64.9.9,02:AA:00:00:00:01,81c00009,3600\n")
    command = [
        str(Path(sys.executable).parent / "provedor"),
        "simulate",
        "routeros",
        "--port",
        "0",
        "--identity",
        "bng",
    ]
    with subprocess.Popen(
        [*command, "--active", str(file), "--api-tls", "--api-version", "7.12"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert said[:2] == ["RouterOS", "7.12"]
        port, sha256 = int(said[said.index("port") + 1].rstrip(",")), said[-1]
        client = RouterOs(RouterOsAccess(1, "127.0.0.1", port, "provedor", "testing123", certificate_sha256=sha256))
        (row,) = client.rows("/ppp/active", ACTIVE)
        assert (row["name"], row["address"], row["session-id"], row["uptime"][:2]) == (
            "ana", "100.64.9.9", "0x81C00009", "1h",
        )  # fmt: skip
        assert client.rows("/system/identity", ("name",)) == [{"name": "bng"}]
        pool = routeros_api.RouterOsApiPool(
            "127.0.0.1", "provedor", "testing123", port=port, plaintext_login=True, use_ssl=True, ssl_verify=False,
            ssl_verify_hostname=False,
        )  # fmt: skip
        assert pool.get_api().get_resource("/system/resource").get()[0]["version"] == "7.12 (stable)"
        pool.disconnect()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_router_alone_begins_with_an_export_and_its_clock_runs(tmp_path: Path) -> None:
    file = tmp_path / "export.rsc"
    file.write_text(
        "/ip firewall filter\nadd action=drop chain=input src-address=!10.0.0.0/8\n"
        "/ppp secret\nadd name=ana password=x\n/routing bgp connection\nadd name=b\n"
        '/system scheduler\nadd name=s interval=1s on-event="/ppp secret set ana disabled=yes"\n'
    )
    command = [
        str(Path(sys.executable).parent / "provedor"),
        "simulate",
        "routeros",
        "--port",
        "0",
        "--version",
        "6.49",
    ]
    command += ["--config", str(file), "--seen-as", "10.0.0.9"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            port = int(process.stdout.readline().split("port ")[1].split(",")[0])
            said = process.stderr.readline()
            assert said == f"{file}: left out: line 5: bad command name routing (line 5 column 1)\n"
            client = RouterOs(RouterOsAccess(1, "127.0.0.1", port, "provedor", "testing123", tls=False))
            wait_for(lambda: client.rows("/ppp/secret", ("name", "disabled")) == [{"name": "ana", "disabled": "true"}])
            client.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

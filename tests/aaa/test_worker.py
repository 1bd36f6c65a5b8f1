"""What all workers share: a fault of ours costs one packet."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from aaa import testclient
from aaa.auth_worker import AuthenticationWorker
from aaa.authenticator import SharedSecret
from aaa.reasons import Reason
from aaa.snapshot import NasRow
from aaa.worker import WorkerOptions
from core.access import Access
from core.policy import Policy

SECRET = SharedSecret(b"testing123")
NAS = NasRow(1, "bras", "127.0.0.1", b"testing123", "mikrotik", "auto", None, {}, False, False, None)


def test_a_policy_that_cannot_be_encoded_costs_its_packets_and_nobody_elses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    impossible = Policy(Access.FULL, 1000, 1000, address_pool="x" * 300)
    sound = Policy(Access.FULL, 1000, 1000)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas,
    ):
        bound.bind(("127.0.0.1", 0))
        nas.bind(("127.0.0.1", 0))
        nas.settimeout(5)
        worker = AuthenticationWorker(
            WorkerOptions("auth-0", [bound], str(tmp_path / "feed"), lambda: None),
            str(tmp_path / "attempts"),
            str(tmp_path / "registrar"),
        )
        snapshot = worker.follower.current
        snapshot.add_policies((one.fingerprint, one.to_body()) for one in (impossible, sound))
        snapshot.set_services(
            [(1, b"ana", b"secret-of-ana", impossible.fingerprint), (2, b"rui", b"pw", sound.fingerprint)]
        )
        snapshot.set_nas([NAS])
        for number, (login, password) in enumerate([("ana", "secret-of-ana"), ("rui", "pw")]):
            request = testclient.access_request(number, login, password, "pap", b"", SECRET, os.urandom)
            nas.sendto(request.octets, bound.getsockname())
        worker._receive(worker._sockets[bound.fileno()])
        worker._finish_batch()
        assert nas.recv(4096)[:2] == bytes((2, 1))
    assert snapshot.clients.all()[0].counts == {Reason.FAILED: 1, Reason.ACCEPTED: 1}
    logged = capsys.readouterr().out
    assert "ValueError" in logged
    assert "packet.py" in logged
    assert "secret-of-ana" not in logged

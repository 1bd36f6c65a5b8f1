"""One login, two CPEs: on a whole node with the simulated BRAS, by the default way and by strict refusal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from small_provider import NAS_SECRET, Provider, online
from whole_node import Node, wait_for

from aaa import testclient
from aaa.authenticator import SharedSecret, sign_request
from aaa.bras import Runner
from aaa.bras.subscriber import State
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, text_attribute

pytestmark = pytest.mark.e2e

SECRET = SharedSecret(NAS_SECRET.encode())
ANOTHER_CPE = text_attribute(Kind.CALLING_STATION_ID, "0A:00:00:00:00:FF")


@pytest.fixture(scope="module")
def runner(provider: Provider) -> Iterator[Runner]:
    with online(provider) as runner:
        for service in provider.services[:6]:
            wait_for(lambda one=service: len(provider.sessions(one)) == 1)
        yield runner


def log_in(node: Node, number: int) -> Packet:
    """From another CPE than the one that is online."""
    login = testclient.access_request(7, f"cliente{number}", f"senha{number}", "pap", ANOTHER_CPE, SECRET, os.urandom)
    reply = testclient.exchange("127.0.0.1", node.auth_port, login.octets, timeout_s=5.0)
    assert reply is not None
    return reply


def start(node: Node, number: int, session: str, accepted: Packet) -> None:
    body = (
        text_attribute(Kind.USER_NAME, f"cliente{number}")
        + text_attribute(Kind.NAS_IDENTIFIER, "another-box")
        + integer_attribute(Kind.ACCT_STATUS_TYPE, 1)
        + text_attribute(Kind.ACCT_SESSION_ID, session)
        + integer_attribute(Kind.EVENT_TIMESTAMP, int(time.time()))
        + b"".join(attribute(Kind.CLASS, value) for value in accepted.every(Kind.CLASS))
        + ANOTHER_CPE
    )
    octets = sign_request(Code.ACCOUNTING_REQUEST, 9, body, SECRET, message_authenticator=False)
    assert testclient.exchange("127.0.0.1", node.acct_port, octets) is not None


def how_ended(node: Node, service: dict[str, str], acct_session_id: str) -> str | None:
    """How this session ended; None while it lives."""
    answer = node.api.get("/sessions", params={"service_id": service["id"], "acct_session_id": acct_session_id})
    kind: str | None = answer.json()["items"][0]["stop_kind"]
    return kind


def set_strict(node: Node, provider: Provider, strict: bool) -> None:
    answer = node.api.patch(f"/plans/{provider.plan['id']}", json={"session_limit_strict": strict})
    assert (answer.status_code, answer.json()["session_limit"]) == (200, 1)


def test_by_default_the_new_session_is_let_in_and_the_older_ends(
    node: Node, provider: Provider, runner: Runner
) -> None:
    service, line = provider.services[0], runner.box.subscribers[0]
    older = provider.sessions(service)[0]["acct_session_id"]
    accepted = log_in(node, 0)
    assert accepted.code == Code.ACCESS_ACCEPT
    start(node, 0, "ff000001", accepted)
    wait_for(lambda: how_ended(node, service, older) == "stop")
    # Its CPE dials again, and now the other one's turn has come: no box knows it.
    wait_for(lambda: line.state is State.ONLINE)
    wait_for(lambda: how_ended(node, service, "ff000001") == "superseded")
    wait_for(lambda: len(provider.sessions(service)) == 1)


def told(node: Node) -> str:
    return " ".join(node.run("explain", "cliente1").split())  # lines are wrapped


def test_strictly_a_second_cpe_is_refused_while_the_first_is_online(
    node: Node, provider: Provider, runner: Runner
) -> None:
    set_strict(node, provider, True)
    wait_for(lambda: log_in(node, 1).code == Code.ACCESS_REJECT)
    assert len(provider.sessions(provider.services[1])) == 1
    wait_for(lambda: "já há sessões demais com este login (1 de 1 em uso, em bras" in told(node), every_s=0.2)


def test_after_a_power_cut_nobody_is_kept_out_by_yesterdays_session(
    node: Node, provider: Provider, runner: Runner
) -> None:
    set_strict(node, provider, True)
    service, line = provider.services[2], runner.box.subscribers[2]
    wait_for(lambda: log_in(node, 1).code == Code.ACCESS_REJECT)  # so it is strict by now
    yesterdays = provider.sessions(service)[0]["acct_session_id"]
    runner.box.hang_up(line, time.time(), None, redial=False)  # nobody tells the server
    assert log_in(node, 2).code == Code.ACCESS_ACCEPT
    wait_for(lambda: how_ended(node, service, yesterdays) == "not_found")


def test_a_cpe_that_dials_again_before_its_nas_noticed_is_let_in(
    node: Node, provider: Provider, runner: Runner
) -> None:
    set_strict(node, provider, True)
    line = runner.box.subscribers[3]
    own = text_attribute(Kind.CALLING_STATION_ID, line.mac.hex(":"))
    login = testclient.access_request(7, "cliente3", "senha3", "pap", own, SECRET, os.urandom)
    reply = testclient.exchange("127.0.0.1", node.auth_port, login.octets, timeout_s=5.0)
    assert reply is not None
    assert reply.code == Code.ACCESS_ACCEPT


def test_a_nas_that_does_not_answer_keeps_nobody_out(node: Node, provider: Provider, runner: Runner) -> None:
    set_strict(node, provider, True)
    wait_for(lambda: log_in(node, 4).code == Code.ACCESS_REJECT)
    runner.box.paused = True
    try:
        assert log_in(node, 4).code == Code.ACCESS_ACCEPT
    finally:
        runner.box.paused = False

"""The authentication worker with services whose limit is strict: it asks, waits for nobody, and accepts in doubt."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import msgspec
import pytest
from radius_node import Box, Known, RadiusNode, nas, whole

from aaa import auth_worker
from aaa.admission import Answer, Question
from aaa.feed import Message, frame
from aaa.packet import Code, Kind, parse, text_attribute

Start = Callable[..., RadiusNode]
STRICT, FREE = Known("strict"), Known("free")
PATIENCE_S = 0.4


class PlayedRegistrar:
    """The registrar's end of the socket, played by the test."""

    def __init__(self, node: RadiusNode) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(node.directory / "registrar.sock"))
        self.socket.settimeout(10)
        self.asker = ""

    def question(self) -> Question:
        octets, self.asker = self.socket.recvfrom(4096)
        (question,) = msgspec.msgpack.decode(octets, type=list[Question])
        return question

    def answer(self, token: int, *, refused: bool) -> None:
        detail = {"live": "1", "limit": "1", "where": "bras"} if refused else {}
        octets = msgspec.msgpack.encode([Answer(token, refused, detail)])
        self.socket.sendto(octets, self.asker)

    def nothing_was_asked(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def node(start_node: Start, monkeypatch: pytest.MonkeyPatch) -> RadiusNode:
    monkeypatch.setattr(auth_worker, "PATIENCE_S", PATIENCE_S)
    frames = whole([nas()], [STRICT, FREE])
    frames.insert(-2, frame(Message.STRICT, (True, [1], [])))
    return start_node(frames)


@pytest.fixture
def registrar(node: RadiusNode) -> Iterator[PlayedRegistrar]:
    played = PlayedRegistrar(node)
    yield played
    played.socket.close()


def code_of(reply: bytes) -> int:
    return parse(reply).code


def test_who_the_registrar_admits_is_accepted(node: RadiusNode, registrar: PlayedRegistrar) -> None:
    box = Box(node)
    calling = text_attribute(Kind.CALLING_STATION_ID, "02:00:00:00:00:01")
    box.send(box.login("strict", method="mschapv2", attributes=calling).octets)
    question = registrar.question()
    assert (question.service_id, question.calling_station_id) == (1, "02:00:00:00:00:01")
    registrar.answer(question.token, refused=False)
    assert code_of(box.receive()) == Code.ACCESS_ACCEPT
    node.wait_counted({"accepted": 1})


def test_who_it_refuses_is_rejected_with_the_reason(node: RadiusNode, registrar: PlayedRegistrar) -> None:
    box = Box(node)
    box.send(box.login("strict").octets)
    registrar.answer(registrar.question().token, refused=True)
    assert code_of(box.receive()) == Code.ACCESS_REJECT
    node.wait_counted({"session_limit": 1})
    (attempt,) = node.reported_attempts()
    assert (attempt.reason, attempt.detail) == ("session_limit", {"live": "1", "limit": "1", "where": "bras"})


def test_a_retransmit_of_a_login_that_waits_is_discarded_and_not_asked_again(
    node: RadiusNode, registrar: PlayedRegistrar
) -> None:
    box = Box(node)
    login = box.send(box.login("strict").octets)
    question = registrar.question()
    box.assert_silent_about(login)
    registrar.answer(question.token, refused=False)
    assert code_of(box.receive()) == Code.ACCESS_ACCEPT
    assert registrar.nothing_was_asked()
    assert code_of(box.ask(login)) == Code.ACCESS_ACCEPT, "the cached reply"


def test_a_registrar_that_is_silent_keeps_nobody_out(node: RadiusNode, registrar: PlayedRegistrar) -> None:
    box = Box(node)
    box.send(box.login("strict").octets)
    question = registrar.question()
    assert code_of(box.receive()) == Code.ACCESS_ACCEPT
    registrar.answer(question.token, refused=True)
    box.assert_nothing_waits()
    node.wait_counted({"accepted": 1, "status_server": 2})


def test_nobody_else_waits_for_a_registrar_that_is_silent(node: RadiusNode, registrar: PlayedRegistrar) -> None:
    box = Box(node)
    box.send(box.login("strict").octets)
    registrar.question()
    assert code_of(box.receive()) == Code.ACCESS_ACCEPT
    assert code_of(box.ask(box.login("strict", identifier=2).octets)) == Code.ACCESS_ACCEPT
    assert registrar.nothing_was_asked()


def test_without_a_registrar_logins_are_accepted_at_once(node: RadiusNode) -> None:
    box = Box(node)
    assert code_of(box.ask(box.login("strict").octets)) == Code.ACCESS_ACCEPT


def test_others_are_not_asked_about_nor_who_gives_a_wrong_password(
    node: RadiusNode, registrar: PlayedRegistrar
) -> None:
    box = Box(node)
    assert code_of(box.ask(box.login("free").octets)) == Code.ACCESS_ACCEPT
    assert code_of(box.ask(box.login("strict", "wrong", identifier=2).octets)) == Code.ACCESS_REJECT
    assert registrar.nothing_was_asked()


def test_others_are_answered_while_a_login_waits(node: RadiusNode, registrar: PlayedRegistrar) -> None:
    box, other = Box(node), Box(node)
    box.send(box.login("strict").octets)
    question = registrar.question()
    assert code_of(other.ask(other.login("free").octets)) == Code.ACCESS_ACCEPT
    registrar.answer(question.token, refused=False)
    assert code_of(box.receive()) == Code.ACCESS_ACCEPT


def test_a_service_that_is_strict_no_longer_is_not_asked_about(node: RadiusNode, registrar: PlayedRegistrar) -> None:
    node.feed.tell(frame(Message.STRICT, (False, [], [1])), frame(Message.REVISION, 2))
    node.wait_revision(2)
    box = Box(node)
    assert code_of(box.ask(box.login("strict").octets)) == Code.ACCESS_ACCEPT
    assert registrar.nothing_was_asked()

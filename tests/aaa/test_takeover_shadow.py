"""A node before another server: what the NAS gets, what is asked of whom, what is found different, and silence."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from feed_listener import wait_until
from radius_node import FULL, Box, Known, RadiusNode, nas, whole

from aaa import testclient
from aaa.accept_class import find_class
from aaa.authenticator import SharedSecret, chap_response, sign_reply
from aaa.feed import Message, frame
from aaa.packet import Code, Kind, attribute, parse, proxy_states, text_attribute
from aaa.takeover import relay
from aaa.takeover.compare import Comparison, Difference
from aaa.takeover.home import HomeRow
from aaa.takeover.sink import COMPARISONS_SOCKET
from aaa.vendors.base import lease_attributes
from core.access import Access
from core.policy import Policy

HOME_SECRET = b"old-secret"
SLOW = Policy(Access.FULL, 100_000, 50_000, address_pool="residential", interim_seconds=300)
Start = Callable[..., RadiusNode]


def home_row(port: int, **changed: Any) -> HomeRow:
    values = {"home_id": 1, "name": "old", "address": "127.0.0.1", "auth_port": port, "acct_port": port + 1,
              "secret": HOME_SECRET, "response_window_s": 2.0, "status_server": True,
              "require_message_authenticator": False}  # fmt: skip
    return HomeRow(**values | changed)


class Pair:
    """An old server (a node of ours in that part) and the new one before it."""

    def __init__(self, start: Start, mode: str, old: list[Known], new: list[Known], **changed: Any) -> None:
        home = [nas(9, secret=HOME_SECRET, message_authenticator="require")]
        self.old = start(whole(home, old))
        self.row = home_row(self.old.port, **changed)
        self._start = start
        self.known = new
        self.new = start(whole([self.nas(mode)], new))
        self.heard: list[Comparison] = []
        self.sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sink.bind(str(self.new.directory / COMPARISONS_SOCKET))
        self.sink.settimeout(10)
        self.box = Box(self.new)

    def nas(self, mode: str, **changed: Any) -> Any:
        return nas(mode=mode, home=self.row, **changed)

    def comparison(self) -> Comparison:
        """The next that was told."""
        if not self.heard:
            self.heard += msgspec.msgpack.decode(self.sink.recv(65536), type=list[Comparison])
        return self.heard.pop(0)


@pytest.fixture
def pair(start_node: Start) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(mode: str, old: list[Known], new: list[Known], **changed: Any) -> Pair:
        made.append(Pair(start_node, mode, old, new, **changed))
        return made[-1]

    yield make
    for one in made:
        one.sink.close()


@pytest.mark.parametrize("method", testclient.METHODS)
def test_in_shadow_the_old_servers_answer_is_given_with_every_method(pair: Callable[..., Pair], method: str) -> None:
    both = pair("shadow", [Known("ana", policy=SLOW)], [Known("ana", policy=FULL)])
    login = both.box.login("ana", method=method)
    reply = parse(both.box.ask(login.octets))
    assert reply.code == Code.ACCESS_ACCEPT
    assert testclient.reply_valid(reply, login, both.box.secret)
    assert testclient.server_proven(reply, login)
    assert reply.vendor_values(14988, 8) == [b"50000k/100000k"]
    found = both.comparison()
    assert (found.nas_id, found.login) == (1, "ana")
    different = Difference("different", "Mikrotik-Rate-Limit", "50000k/200000k", "50000k/100000k")
    assert found.differences == [different]
    both.new.wait_counted({"forwarded": 1})


def test_mppe_keys_are_hidden_anew_for_the_nas(pair: Callable[..., Pair]) -> None:
    from aaa import mschap
    from aaa.authenticator import salt_decrypt
    from aaa.credentials import MICROSOFT, MS_CHAP2_RESPONSE, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY

    both = pair("shadow", [Known("ana")], [Known("ana")])
    login = both.box.login("ana", method="mschapv2")
    reply = parse(both.box.ask(login.octets))
    (response,) = parse(login.octets).vendor_values(MICROSOFT, MS_CHAP2_RESPONSE)
    send, receive = mschap.mppe_keys_v2(mschap.nt_keys(b"pw"), response[26:50])
    for kind, key in ((MS_MPPE_SEND_KEY, send), (MS_MPPE_RECV_KEY, receive)):
        (sealed,) = reply.vendor_values(MICROSOFT, kind)
        assert salt_decrypt(sealed, login.authenticator, both.box.secret) == key


def test_a_chap_against_the_request_authenticator_is_forwarded_with_its_challenge(pair: Callable[..., Pair]) -> None:
    both = pair("shadow", [Known("ana")], [Known("ana")])
    authenticator = os.urandom(16)
    attributes = text_attribute(Kind.USER_NAME, "ana")
    attributes += attribute(Kind.CHAP_PASSWORD, b"\7" + chap_response(7, b"pw", authenticator))
    from aaa.authenticator import sign_access_request

    octets = sign_access_request(1, authenticator, attributes, both.box.secret)
    assert parse(both.box.ask(octets)).code == Code.ACCESS_ACCEPT
    assert both.comparison().differences == []


def test_proxy_states_of_the_nas_come_back_and_ours_does_not(pair: Callable[..., Pair]) -> None:
    both = pair("shadow", [Known("ana")], [Known("ana")])
    states = attribute(Kind.PROXY_STATE, b"one") + attribute(Kind.PROXY_STATE, b"two")
    reply = parse(both.box.ask(both.box.login("ana", attributes=states).octets))
    assert reply.every(Kind.PROXY_STATE) == [b"one", b"two"]


def test_accepts_and_refusals_that_contradict_are_found_with_our_reason(pair: Callable[..., Pair]) -> None:
    blocked = Known("bia", policy=Policy(Access.BLOCKED))
    both = pair("shadow", [Known("ana", "other"), Known("bia"), Known("caio"), Known("davi", "old")],
                [Known("ana"), blocked, Known("eva"), Known("davi", "new")])  # fmt: skip
    expected = [
        ("bia", "pw", Code.ACCESS_ACCEPT, Difference("we_refuse", "", "blocked", "accepted")),
        ("caio", "pw", Code.ACCESS_ACCEPT, Difference("we_refuse", "", "unknown_login", "accepted")),
        ("davi", "old", Code.ACCESS_ACCEPT, Difference("we_refuse", "", "wrong_password", "accepted")),
        ("eva", "pw", Code.ACCESS_REJECT, Difference("we_accept", "", "accepted", "rejected")),
    ]
    for number, (login, password, code, difference) in enumerate(expected):
        assert parse(both.box.ask(both.box.login(login, password, identifier=number).octets)).code == code
        assert both.comparison().differences == [difference]
    both.new.wait_counted({"forwarded": 3, "home_rejected": 1})
    assert [one.reason for one in both.new.reported_attempts()] == ["home_rejected"]


def test_an_address_out_of_a_pool_of_ours_is_compared_and_none_is_taken_for_it(pair: Callable[..., Pair]) -> None:
    """The old server gives ana and bia addresses; here ana has a lease of another, and bia none yet."""
    fixed = [Known(login, policy=replace(FULL, address_pool=None, ipv4_address=f"192.0.2.{number}"))
             for number, login in enumerate(("ana", "bia"), 1)]  # fmt: skip
    both = pair("shadow", fixed, [Known("ana"), Known("bia")])
    lease = ("residential", 1, lease_attributes("ipv4", "192.0.2.9"))
    both.new.feed.tell(
        frame(Message.POOLS, [("residential", "ipv4")]), frame(Message.LEASES, [lease]), frame(Message.REVISION, 2)
    )
    both.new.wait_revision(2)
    for number, (login, difference) in enumerate(
        (
            ("ana", Difference("different", "Framed-IP-Address", "192.0.2.9", "192.0.2.1")),
            ("bia", Difference("no_lease", "Framed-IP-Address", "residential", "192.0.2.2")),
        )
    ):
        assert parse(both.box.ask(both.box.login(login, identifier=number).octets)).code == Code.ACCESS_ACCEPT
        assert [one for one in both.comparison().differences if not one.harmless] == [difference]
    assert both.new.feed.wanted == []


def test_a_login_is_compared_under_the_spelling_that_the_nas_sends(pair: Callable[..., Pair]) -> None:
    """What was found before its login rules were put right is found again under the same name, and is gone."""
    both = pair("shadow", [Known("ANA")], [Known("ana")])
    both.box.ask(both.box.login("ANA").octets)
    assert both.comparison().differences == [Difference("we_refuse", "", "unknown_login", "accepted")]
    both.new.feed.tell(frame(Message.NAS, [both.nas("shadow", lowercase=True)]), frame(Message.REVISION, 2))
    both.new.wait_revision(2)
    both.box.ask(both.box.login("ANA", identifier=2).octets)
    assert both.comparison() == Comparison(1, "ANA", [])


def test_comparisons_that_come_faster_than_they_are_kept_are_not_lost(pair: Callable[..., Pair]) -> None:
    """The sink's queue holds ten datagrams on most systems, and nobody reads it while they all dial."""
    logins = [f"user{number}" for number in range(700)]
    both = pair("shadow", [Known(login) for login in logins], [Known(login) for login in logins])
    for number, login in enumerate(logins):
        both.box.ask(both.box.login(login, identifier=number % 256).octets)
    assert {both.comparison().login for _ in logins} == set(logins)


def test_what_both_refuse_is_no_difference(pair: Callable[..., Pair]) -> None:
    both = pair("shadow", [], [])
    assert parse(both.box.ask(both.box.login("nobody").octets)).code == Code.ACCESS_REJECT
    both.new.wait_counted({"home_rejected": 1})
    both.sink.setblocking(False)
    with pytest.raises(BlockingIOError):
        both.sink.recv(65536)


def test_in_proxy_mode_known_logins_are_ours_and_unknown_ones_go_to_the_old_server(pair: Callable[..., Pair]) -> None:
    both = pair("proxy", [Known("ana", policy=SLOW), Known("bia", policy=SLOW)], [Known("ana")])
    ours = parse(both.box.ask(both.box.login("ana").octets))
    assert ours.vendor_values(14988, 8) == [b"50000k/200000k"]
    assert find_class(ours.every(Kind.CLASS)) is not None
    theirs = parse(both.box.ask(both.box.login("bia", identifier=2).octets))
    assert theirs.vendor_values(14988, 8) == [b"50000k/100000k"]
    both.new.wait_counted({"accepted": 1, "forwarded": 1})
    both.old.wait_counted({"accepted": 1}, "nas-9")
    wrong = parse(both.box.ask(both.box.login("ana", "wrong", identifier=3).octets))
    assert wrong.code == Code.ACCESS_REJECT
    both.new.wait_counted({"accepted": 1, "forwarded": 1, "wrong_password": 1})


def test_the_mode_changes_without_a_restart(pair: Callable[..., Pair]) -> None:
    both = pair("shadow", [Known("ana", policy=SLOW)], [Known("ana")])
    for revision, (mode, rate) in enumerate(
        [("serve", b"50000k/200000k"), ("shadow", b"50000k/100000k"), ("proxy", b"50000k/200000k")], 2
    ):
        both.new.feed.tell(frame(Message.NAS, [both.nas(mode)]), frame(Message.REVISION, revision))
        both.new.wait_revision(revision)
        reply = parse(both.box.ask(both.box.login("ana", identifier=revision).octets))
        assert reply.vendor_values(14988, 8) == [rate], mode


def test_the_emergency_switch_is_stronger_than_the_mode(pair: Callable[..., Pair]) -> None:
    both = pair("shadow", [], [Known("ana")])
    emergency = both.nas("shadow", emergency_fingerprint=FULL.fingerprint)
    both.new.feed.tell(frame(Message.NAS, [emergency]), frame(Message.REVISION, 2))
    both.new.wait_revision(2)
    assert parse(both.box.ask(both.box.login("nobody").octets)).code == Code.ACCESS_ACCEPT
    both.new.wait_counted({"accepted_emergency": 1})


class OldServer:
    """A home server that the test plays, on a socket of its own."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.secret = SharedSecret(HOME_SECRET)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def receive(self) -> tuple[Any, Any]:
        octets, sender = self.socket.recvfrom(4096)
        return parse(octets), sender

    def accept(self, request: Any, sender: Any, attributes: bytes = b"", secret: bytes = HOME_SECRET) -> None:
        body = attributes + proxy_states(request)
        octets = sign_reply(2, request.identifier, request.authenticator, body, SharedSecret(secret))
        self.socket.sendto(octets, sender)


@pytest.fixture
def old() -> Iterator[OldServer]:
    server = OldServer()
    yield server
    server.socket.close()


def one_nas(start: Start, old: OldServer, mode: str = "shadow", known: list[Known] | None = None, **row: Any) -> Box:
    frames = whole([nas(mode=mode, home=home_row(old.port, **row))], known or [])
    return Box(start(frames))


def test_a_retransmit_of_the_nas_is_the_same_request_to_the_old_server(
    start_node: Start, old: OldServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "AGAIN_S", 0.0)
    box = one_nas(start_node, old)
    login = box.login("ana")
    box.send(login.octets)
    first, sender = old.receive()
    box.send(login.octets)
    second, again = old.receive()
    assert (first.octets, sender) == (second.octets, again)
    old.accept(second, sender, text_attribute(Kind.FRAMED_POOL, "p"))
    reply = box.receive()
    assert parse(reply).text(Kind.FRAMED_POOL) == "p"
    assert box.ask(login.octets) == reply  # out of the cache: the old server is not asked again
    box.node.wait_counted({"duplicate_pending": 1, "duplicate_answered": 1, "forwarded": 1})


def test_the_request_carries_the_nas_address_and_one_proxy_state_of_ours(start_node: Start, old: OldServer) -> None:
    box = one_nas(start_node, old)
    octets = box.login("ana", attributes=attribute(Kind.PROXY_STATE, b"theirs")).octets
    box.send(octets)
    request, _ = old.receive()
    assert request.first(Kind.NAS_IP_ADDRESS) == socket.inet_aton("127.0.0.1")
    states = request.every(Kind.PROXY_STATE)
    assert (states[0], len(states)) == (b"theirs", 2)
    assert request.authenticator != octets[4:20]


def test_a_forged_answer_counts_for_nothing(start_node: Start, old: OldServer) -> None:
    box = one_nas(start_node, old)
    box.send(box.login("ana").octets)
    request, sender = old.receive()
    old.accept(request, sender, secret=b"guessed")
    old.accept(request, sender, text_attribute(Kind.FRAMED_POOL, "true"))
    assert parse(box.receive()).text(Kind.FRAMED_POOL) == "true"


def test_a_challenge_is_passed_on_and_its_answer_forwarded(start_node: Start, old: OldServer) -> None:
    box = one_nas(start_node, old, mode="proxy")
    box.send(box.login("otp").octets)
    request, sender = old.receive()
    body = attribute(Kind.STATE, b"challenge") + proxy_states(request)
    old.socket.sendto(sign_reply(11, request.identifier, request.authenticator, body, old.secret), sender)
    challenge = parse(box.receive())
    assert (challenge.code, challenge.first(Kind.STATE)) == (Code.ACCESS_CHALLENGE, b"challenge")
    box.send(box.login("otp", identifier=2, attributes=attribute(Kind.STATE, b"challenge")).octets)
    request, sender = old.receive()
    assert request.first(Kind.STATE) == b"challenge"


def test_who_the_silent_old_server_would_lock_out_is_let_in_by_us(start_node: Start, old: OldServer) -> None:
    box = one_nas(start_node, old, known=[Known("ana")], response_window_s=0.2)
    reply = parse(box.ask(box.login("ana").octets))
    assert find_class(reply.every(Kind.CLASS)) is not None
    box.assert_silent_about(box.login("nobody", identifier=2).octets)
    box.node.wait_counted({"accepted": 1, "home_silent": 1})
    before, _ = old.receive()
    box.send(box.login("nobody", identifier=2).octets)
    wait_until(lambda: old.receive()[0].identifier != before.identifier)  # a new request: the last one was given up


def test_a_dead_old_server_keeps_nobody_waiting_and_is_found_alive_again(
    start_node: Start, old: OldServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SILENCES", 2), ("SILENT_S", 0.0), ("CHECK_S", 0.05)):
        monkeypatch.setattr(relay, name, value)
    box = one_nas(start_node, old, known=[Known("ana")], response_window_s=0.2)
    for number in range(2):
        box.ask(box.login("ana", identifier=number).octets)
    seen = [old.receive()[0].code for _ in range(3)]
    assert seen == [1, 1, Code.STATUS_SERVER]
    box.ask(box.login("ana", identifier=7).octets)  # answered at once: nothing was asked
    request, sender = old.receive()
    assert request.code == Code.STATUS_SERVER
    old.accept(request, sender)
    wait_until(lambda: "home server answers again" in box.node.logs())
    box.send(box.login("ana", identifier=8).octets)
    while (request := old.receive()[0]).code != Code.ACCESS_REQUEST:
        pass
    assert request.text(Kind.USER_NAME) == "ana"


def test_a_served_nas_has_nothing_to_do_with_it(start_node: Start, old: OldServer) -> None:
    box = one_nas(start_node, old, mode="serve", known=[Known("ana")])
    assert find_class(parse(box.ask(box.login("ana").octets)).every(Kind.CLASS)) is not None
    old.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        old.receive()

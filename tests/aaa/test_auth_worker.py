"""The authentication worker from outside: every answer, and every silence with its count."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from feed_listener import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from radius_node import FULL, REJECT_DELAY_S, SECRET, Box, Known, RadiusNode, nas, whole

from aaa import auth_worker, testclient
from aaa.accept_class import decode_class
from aaa.authenticator import SharedSecret, hide_password, response_valid, sign_access_request
from aaa.feed import Message, frame
from aaa.packet import Code, Kind, attribute, integer_attribute, parse, text_attribute
from aaa.reports import AttemptReport
from aaa.tracing import TracedExchange, TraceFilter
from aaa.worker import LOG_INTERVAL_S
from core.access import Access
from core.policy import Policy

Start = Callable[..., RadiusNode]
SUBSCRIBERS = [Known("ana"), Known("blocked", policy=Policy(Access.BLOCKED)), Known("João da Silva")]


@pytest.fixture
def node(start_node: Start) -> RadiusNode:
    return start_node(whole([nas()], SUBSCRIBERS))


@pytest.fixture
def box(node: RadiusNode) -> Box:
    return Box(node)


def code(reply: bytes) -> int:
    return parse(reply).code


@pytest.mark.parametrize("method", testclient.METHODS)
def test_a_right_password_is_accepted_with_policy_class_and_message_authenticator_first(box: Box, method: str) -> None:
    login = box.login("ana", method=method)
    reply = parse(box.ask(login.octets))
    assert reply.code == Code.ACCESS_ACCEPT
    assert reply.attributes[0][0] == Kind.MESSAGE_AUTHENTICATOR
    assert testclient.reply_valid(reply, login, box.secret)
    assert testclient.server_proven(reply, login)
    assert reply.vendor_values(14988, 8) == [b"50000k/200000k"]
    ours = decode_class(reply.every(Kind.CLASS)[0])
    assert ours is not None
    assert (ours.service_id, ours.fingerprint) == (1, FULL.fingerprint)
    box.node.wait_counted({"accepted": 1})


def test_two_accepts_never_have_one_accept_id(box: Box) -> None:
    classes = {parse(box.ask(box.login("ana", identifier=n).octets)).first(Kind.CLASS) for n in range(50)}
    assert len(classes) == 50


@pytest.mark.parametrize(
    ("login", "password", "reason"),
    [
        ("ana", "wrong", "wrong_password"),
        ("nobody", "pw", "unknown_login"),
        ("nobody", "", "unknown_login"),
        ("blocked", "pw", "blocked"),
        ("Ana", "pw", "unknown_login"),
        ("ana ", "pw", "unknown_login"),
    ],
)
@pytest.mark.parametrize("method", testclient.METHODS)
def test_a_reject_waits_a_while_and_tells_no_reason(
    box: Box, login: str, password: str, reason: str, method: str
) -> None:
    asked = box.login(login, password, method=method)
    sent_at = time.monotonic()
    reply = parse(box.ask(asked.octets))
    assert time.monotonic() - sent_at >= REJECT_DELAY_S
    assert reply.code == Code.ACCESS_REJECT
    assert testclient.reply_valid(reply, asked, box.secret)
    box.node.wait_counted({reason: 1})
    wait_until(box.node.reported_attempts)
    (attempt,) = box.node.reported_attempts()
    assert (attempt.login, attempt.reason, attempt.method) == (login, reason, method)


def test_the_rejects_of_an_unknown_login_and_of_a_wrong_password_are_alike(box: Box) -> None:
    """Whatever the password: also the empty one, which nobody has."""
    for method in testclient.METHODS:
        pairs = [("ana", "wrong"), ("nobody", "wrong"), ("nobody", ""), ("ana", "")]
        for identifier, (login, password) in enumerate(pairs):
            box.send(box.login(login, password, method=method, identifier=identifier).octets)
        replies = [parse(box.receive()) for _ in pairs]
        # The ident of an MS-CHAP error is the request's own, so only the shapes can be equal.
        shapes = {(one.code, tuple((kind, len(value)) for kind, value in one.attributes)) for one in replies}
        assert len(shapes) == 1, method


def test_rejects_do_not_keep_an_accept_waiting(box: Box) -> None:
    for identifier in range(100, 200):
        box.send(box.login("ana", "wrong", identifier=identifier).octets)
    assert code(box.ask(box.login("ana").octets)) == Code.ACCESS_ACCEPT, "the first that comes"
    assert {box.receive()[1] for _ in range(100)} == set(range(100, 200))


def test_more_rejects_than_may_wait_are_discarded(start_node: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_worker, "DELAYED_REJECTS_MAX", 10)
    node = start_node(whole([nas()], SUBSCRIBERS))
    box = Box(node)
    node.processes[0].signal(signal.SIGSTOP)
    for identifier in range(30):
        box.send(box.login("nobody", identifier=identifier).octets)
    node.processes[0].signal(signal.SIGCONT)
    assert {box.receive()[1] for _ in range(10)} == set(range(10))
    box.assert_nothing_waits()
    node.wait_counted({"unknown_login": 10, "overloaded": 20})


def test_an_answered_request_that_comes_again_gets_the_same_octets(box: Box) -> None:
    asked = box.login("ana").octets
    assert box.ask(asked) == box.ask(asked)
    box.node.wait_counted({"accepted": 1, "duplicate_answered": 1})


def test_a_request_whose_reject_is_pending_is_not_worked_on_twice(box: Box) -> None:
    asked = box.send(box.login("ana", "wrong").octets)
    for _ in range(3):
        box.assert_silent_about(asked)
    reject = box.receive()
    assert code(reject) == Code.ACCESS_REJECT
    assert box.ask(asked) == reject
    box.node.wait_counted({"wrong_password": 1, "duplicate_pending": 3, "duplicate_answered": 1})


def test_one_identifier_with_another_authenticator_is_another_request(box: Box) -> None:
    first, second = box.login("ana").octets, box.login("ana").octets
    assert box.ask(first) != box.ask(second)
    box.node.wait_counted({"accepted": 2})


def test_a_new_request_takes_the_place_of_one_whose_reject_is_pending(box: Box) -> None:
    """RFC 5080 2.2.2: the NAS has given the old one up; its reject must not push the new reply out of the cache."""
    box.send(box.login("ana", "wrong").octets)
    asked = box.login("ana").octets
    accept = box.ask(asked)
    box.send(box.login("ana", "wrong", identifier=2).octets)
    assert box.receive()[1] == 2, "the reject that was given up did not come"
    assert box.ask(asked) == accept
    box.node.wait_counted({"wrong_password": 2, "accepted": 1, "duplicate_answered": 1})


def test_requests_of_two_sources_with_one_identifier_are_two(node: RadiusNode) -> None:
    one, other = Box(node), Box(node)
    asked = one.login("ana").octets
    assert one.ask(asked) != other.ask(asked)


def test_an_unknown_source_hears_nothing(node: RadiusNode, box: Box) -> None:
    stranger = Box(node, source="127.0.0.9")
    for octets in (box.login("ana").octets, box.status_server(), b"noise"):
        stranger.send(octets)
    box.assert_nothing_waits()
    stranger.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        stranger.receive()
    node.wait_counted({"unknown_client": 3}, who="")
    node.wait_counted({})


def test_a_packet_cut_anywhere_hears_nothing(node: RadiusNode, box: Box) -> None:
    asked = box.login("ana").octets
    for length in range(len(asked)):
        box.send(asked[:length])
        if length % 16 == 0:
            box.assert_nothing_waits(0)
            box.assert_nothing_waits(1)
    box.assert_nothing_waits(0)
    box.assert_nothing_waits(1)
    wait_until(lambda: node.counted()["malformed"] == len(asked))


@pytest.mark.parametrize(
    ("lie", "answered"),
    [
        pytest.param(lambda o: o[:2] + (19).to_bytes(2, "big") + o[4:], False, id="shorter than a header"),
        pytest.param(lambda o: o[:2] + (0).to_bytes(2, "big") + o[4:], False, id="nothing"),
        pytest.param(lambda o: o[:2] + (len(o) + 1).to_bytes(2, "big") + o[4:], False, id="longer than what came"),
        pytest.param(lambda o: o[:2] + (65535).to_bytes(2, "big") + o[4:], False, id="longer than any packet"),
        pytest.param(lambda o: o[:2] + (len(o) - 1).to_bytes(2, "big") + o[4:], False, id="through an attribute"),
        pytest.param(lambda o: o[:21] + b"\0" + o[22:], False, id="attribute of no octets"),
        pytest.param(lambda o: o[:21] + b"\1" + o[22:], False, id="attribute of one octet"),
        pytest.param(lambda o: o[:21] + b"\xff" + o[22:], False, id="attribute beyond the packet"),
        pytest.param(lambda o: o + b"padding", True, id="padding is ignored"),
        pytest.param(lambda o: o + bytes(4096), True, id="padding beyond the greatest packet"),
    ],
)
def test_lengths_that_lie(box: Box, lie: Callable[[bytes], bytes], answered: bool) -> None:
    octets = lie(box.login("ana").octets)
    if answered:
        box.send(octets)
        assert code(box.receive()) == Code.ACCESS_ACCEPT
    else:
        box.assert_silent_about(octets)
        wait_until(lambda: box.node.counted()["malformed"] == 1)


def test_a_wrong_secret_hears_nothing(node: RadiusNode, box: Box) -> None:
    liar = Box(node, secret=b"another")
    box.assert_silent_about(liar.login("ana").octets)
    node.wait_counted({"bad_authenticator": 1})


def test_a_bad_message_authenticator_does_not_touch_the_cache(box: Box) -> None:
    asked = box.login("ana").octets
    accept = box.ask(asked)
    box.assert_silent_about(asked[:24] + bytes((asked[24] ^ 1,)) + asked[25:])
    assert box.ask(asked) == accept
    box.node.wait_counted({"accepted": 1, "bad_authenticator": 1, "duplicate_answered": 1})


def test_under_require_an_unsigned_request_hears_nothing(box: Box) -> None:
    box.assert_silent_about(unsigned_pap(box, "ana"))
    box.node.wait_counted({"message_authenticator_missing": 1})


def test_under_ignore_an_unsigned_request_is_answered_and_a_badly_signed_one_is_not(start_node: Start) -> None:
    box = Box(start_node(whole([nas(message_authenticator="ignore")], SUBSCRIBERS)))
    reply = parse(box.ask(unsigned_pap(box, "ana")))
    assert reply.code == Code.ACCESS_ACCEPT
    assert reply.attributes[0][0] == Kind.MESSAGE_AUTHENTICATOR
    box.assert_silent_about(Box(box.node, secret=b"another").login("ana").octets)
    box.node.wait_counted({"accepted": 1, "bad_authenticator": 1})


def unsigned_pap(box: Box, login: str, *, identifier: int = 1, more: bytes = b"") -> bytes:
    octets = box.unsigned(text_attribute(Kind.USER_NAME, login) + bytes((2, 18)) + bytes(16) + more,
                          identifier=identifier)  # fmt: skip
    hidden = hide_password(b"pw", octets[4:20], box.secret)
    return octets.replace(bytes((2, 18)) + bytes(16), bytes((2, 18)) + hidden)


def test_auto_learns_from_the_first_request_that_the_nas_signs(start_node: Start) -> None:
    box = Box(start_node(whole([nas(message_authenticator="auto")], SUBSCRIBERS)))
    assert code(box.ask(box.login("ana").octets)) == Code.ACCESS_ACCEPT
    box.assert_silent_about(unsigned_pap(box, "ana"))
    wait_until(lambda: box.node.feed.learned == [[1, "require"]])
    box.node.wait_counted({"accepted": 1, "message_authenticator_missing": 1})


def test_auto_learns_from_the_first_request_that_the_nas_does_not_sign(start_node: Start) -> None:
    box = Box(start_node(whole([nas(message_authenticator="auto")], SUBSCRIBERS)))
    for identifier in (1, 2):
        assert code(box.ask(unsigned_pap(box, "ana", identifier=identifier))) == Code.ACCESS_ACCEPT
    wait_until(lambda: box.node.feed.learned == [[1, "ignore"]])


def test_auto_never_takes_an_unsigned_request_with_proxy_state(start_node: Start) -> None:
    """The attack of CVE-2024-3596 needs both; the first request must not teach us to allow it, nor a later one."""
    box = Box(start_node(whole([nas(message_authenticator="auto")], SUBSCRIBERS)))
    proxied = unsigned_pap(box, "ana", more=attribute(Kind.PROXY_STATE, b"x"))
    box.assert_silent_about(proxied)
    assert code(box.ask(unsigned_pap(box, "ana", identifier=2))) == Code.ACCESS_ACCEPT
    box.assert_silent_about(proxied)
    wait_until(lambda: box.node.feed.learned == [[1, "ignore"]])
    box.node.wait_counted({"unsigned_proxy_state": 2, "accepted": 1})


def test_what_was_learned_before_holds_from_the_first_packet(start_node: Start) -> None:
    box = Box(start_node(whole([nas(message_authenticator="auto", message_authenticator_learned="require")], [])))
    box.assert_silent_about(unsigned_pap(box, "ana"))
    assert box.node.feed.learned == []


def test_a_network_of_boxes_teaches_nothing(start_node: Start) -> None:
    box = Box(start_node(whole([nas(address="127.0.0.0/8", message_authenticator="auto")], SUBSCRIBERS)))
    assert code(box.ask(box.login("ana").octets)) == Code.ACCESS_ACCEPT
    assert code(box.ask(unsigned_pap(box, "ana"))) == Code.ACCESS_ACCEPT
    box.node.wait_counted({"accepted": 2})
    assert box.node.feed.learned == []


@pytest.mark.parametrize("mode", ["auto", "ignore", "require"])
def test_eap_without_a_message_authenticator_hears_nothing(start_node: Start, mode: str) -> None:
    box = Box(start_node(whole([nas(message_authenticator=mode)], SUBSCRIBERS)))
    eap = text_attribute(Kind.USER_NAME, "ana") + attribute(Kind.EAP_MESSAGE, b"\2\1\0\5\1")
    box.assert_silent_about(box.unsigned(eap))
    box.node.wait_counted({"message_authenticator_missing": 1})


def test_eap_that_is_signed_is_rejected_while_it_is_not_supported(box: Box) -> None:
    eap = text_attribute(Kind.USER_NAME, "ana") + attribute(Kind.EAP_MESSAGE, b"\2\1\0\5\1")
    assert code(box.ask(sign_access_request(1, os.urandom(16), eap, box.secret))) == Code.ACCESS_REJECT
    box.node.wait_counted({"method_unsupported": 1})


def test_who_brings_neither_credentials_nor_a_signature_hears_nothing(start_node: Start) -> None:
    """RFC 3579 3.3, note 1: anybody could have sent it."""
    box = Box(start_node(whole([nas(message_authenticator="ignore")], SUBSCRIBERS)))
    name = text_attribute(Kind.USER_NAME, "ana")
    box.assert_silent_about(box.unsigned(name))
    assert code(box.ask(sign_access_request(2, os.urandom(16), name, box.secret))) == Code.ACCESS_REJECT
    box.node.wait_counted({"credentials_missing": 2})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (text_attribute(Kind.USER_NAME, "ana"), "credentials_missing"),
        (attribute(Kind.USER_PASSWORD, bytes(16)), "credentials_missing"),
        (text_attribute(Kind.USER_NAME, "ana") + attribute(2, bytes(16)) + attribute(3, bytes(17)),
         "credentials_contradictory"),
        (text_attribute(Kind.USER_NAME, "ana") + attribute(2, bytes(17)), "credentials_contradictory"),
        (text_attribute(Kind.USER_NAME, "ana") + attribute(2, bytes(144)), "credentials_contradictory"),
        (text_attribute(Kind.USER_NAME, "ana") + attribute(3, bytes(16)), "credentials_contradictory"),
        (text_attribute(Kind.USER_NAME, "ana") + integer_attribute(Kind.SERVICE_TYPE, 17) + attribute(2, bytes(16)),
         "authorize_only"),
        (bytes((1, 2)) + attribute(2, bytes(16)), "unknown_login"),
    ],
)  # fmt: skip
def test_what_proves_nothing_is_rejected(box: Box, body: bytes, reason: str) -> None:
    assert code(box.ask(sign_access_request(1, os.urandom(16), body, box.secret))) == Code.ACCESS_REJECT
    box.node.wait_counted({reason: 1})


@pytest.mark.parametrize("number", [0, 2, 3, 4, 5, 11, 13, 40, 41, 43, 255])
def test_another_code_does_not_belong_here(box: Box, number: int) -> None:
    box.assert_silent_about(box.unsigned(text_attribute(Kind.USER_NAME, "ana"), code=number))
    box.node.wait_counted({"unexpected_code": 1})


def test_status_server_is_answered_signed_with_its_proxy_states_and_counted_apart(box: Box) -> None:
    states = [b"one", b"two", b"one"]
    asked = box.status_server(7, b"".join(attribute(Kind.PROXY_STATE, state) for state in states))
    reply = parse(box.ask(asked))
    assert (reply.code, reply.identifier) == (Code.ACCESS_ACCEPT, 7)
    assert reply.attributes[0][0] == Kind.MESSAGE_AUTHENTICATOR
    assert reply.every(Kind.PROXY_STATE) == states
    box.node.wait_counted({"status_server": 1})


def test_status_server_without_a_valid_signature_hears_nothing(node: RadiusNode, box: Box) -> None:
    box.assert_silent_about(box.unsigned(b"", code=Code.STATUS_SERVER))
    box.assert_silent_about(Box(node, secret=b"another").status_server())
    node.wait_counted({"bad_authenticator": 2})


@pytest.mark.parametrize("password", ["pw", "wrong"], ids=["accept", "reject"])
def test_proxy_states_come_back_unchanged_in_order(box: Box, password: str) -> None:
    states = [b"first", b"\0second\xff", b"first", b"x" * 253]
    more = b"".join(attribute(Kind.PROXY_STATE, state) for state in states)
    reply = parse(box.ask(box.login("ana", password, attributes=more).octets))
    assert reply.every(Kind.PROXY_STATE) == states


def test_a_reply_that_would_be_greater_than_any_packet_is_not_sent(box: Box) -> None:
    most = attribute(Kind.PROXY_STATE, b"x" * 253) * 15 + attribute(Kind.PROXY_STATE, b"x" * 150)
    asked = box.login("ana", attributes=most).octets
    assert len(asked) <= 4096
    box.assert_silent_about(asked)
    box.node.wait_counted({"malformed": 1})


def test_login_rules_of_the_nas(start_node: Start) -> None:
    boxes = [nas(strip_realm=True, lowercase=True), nas(2, "127.0.0.2")]
    node = start_node(whole(boxes, [Known("ana"), Known("joão"), Known("ana@provedor", "other")]))
    lenient, strict = Box(node), Box(node, source="127.0.0.2")
    for name in ("ANA@provedor.example", "Ana", "ana@", "JOÃO@x@y"):
        for method in testclient.METHODS:
            asked = lenient.login(name, method=method)
            reply = parse(lenient.ask(asked.octets))
            assert reply.code == Code.ACCESS_ACCEPT
            assert testclient.server_proven(reply, asked)
    assert code(strict.ask(strict.login("ana@provedor", "other").octets)) == Code.ACCESS_ACCEPT
    assert code(strict.ask(strict.login("Ana", identifier=2).octets)) == Code.ACCESS_REJECT


@pytest.mark.parametrize("method", testclient.METHODS)
def test_the_longest_login_and_password_in_any_script(start_node: Start, method: str) -> None:
    login, password = "é" * 126 + "x", "ü" * 64
    box = Box(start_node(whole([nas()], [Known(login, password), Known("João da Silva", "senha com espaço")])))
    assert (len(login.encode()), len(password.encode())) == (253, 128)
    assert code(box.ask(box.login(login, password, method=method).octets)) == Code.ACCESS_ACCEPT
    spaced = box.login("João da Silva", "senha com espaço", method=method, identifier=2)
    assert code(box.ask(spaced.octets)) == Code.ACCESS_ACCEPT


def test_names_that_differ_at_a_nas_and_its_vendor_shape_the_reply(start_node: Start) -> None:
    boxes = [
        nas(), nas(2, "127.0.0.2", names={"pools": {"residential": "pool-a"}}), nas(3, "127.0.0.3", vendor="generic"),
    ]  # fmt: skip
    node = start_node(whole(boxes, SUBSCRIBERS))
    replies = []
    for number in (1, 2, 3):
        box = Box(node, source=f"127.0.0.{number}")
        replies.append(parse(box.ask(box.login("ana").octets)))
    assert [reply.text(Kind.FRAMED_POOL) for reply in replies] == ["residential", "pool-a", "residential"]
    assert [len(reply.vendor_values(14988, 8)) for reply in replies] == [1, 1, 0]


def test_the_emergency_switch_accepts_everybody_on_the_emergency_plan_until_it_is_off(start_node: Start) -> None:
    emergency = Policy(Access.FULL, 10_000, 5_000)
    node = start_node(whole([nas(emergency_fingerprint=emergency.fingerprint)], SUBSCRIBERS, [emergency]))
    box = Box(node)
    for identifier, (login, password) in enumerate([("ana", "wrong"), ("nobody", "x"), ("blocked", "pw")]):
        reply = parse(box.ask(box.login(login, password, identifier=identifier).octets))
        assert reply.code == Code.ACCESS_ACCEPT
        assert reply.vendor_values(14988, 8) == [b"5000k/10000k"]
    node.wait_counted({"accepted_emergency": 3})
    node.feed.tell(frame(Message.NAS, [nas()]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert code(box.ask(box.login("nobody").octets)) == Code.ACCESS_REJECT


def test_changes_reach_a_worker_that_serves(node: RadiusNode, box: Box) -> None:
    slow = replace(FULL, down_kbps=1000, up_kbps=500)
    node.feed.tell(
        frame(Message.POLICIES, [(slow.fingerprint, slow.to_body())]),
        frame(Message.SERVICES, [(1, b"ana", b"new password", slow.fingerprint)]), frame(Message.REVISION, 2),
    )  # fmt: skip
    node.wait_revision(2)
    reply = parse(box.ask(box.login("ana", "new password").octets))
    assert (reply.code, reply.vendor_values(14988, 8)) == (Code.ACCESS_ACCEPT, [b"500k/1000k"])
    node.feed.tell(frame(Message.SERVICES, [(1, None, b"", slow.fingerprint)]), frame(Message.REVISION, 3))
    node.wait_revision(3)
    assert code(box.ask(box.login("ana", "new password", identifier=2).octets)) == Code.ACCESS_REJECT


def test_a_nas_whose_secret_changes_is_asked_for_the_new_one_at_once(node: RadiusNode, box: Box) -> None:
    assert code(box.ask(box.login("ana").octets)) == Code.ACCESS_ACCEPT
    node.feed.tell(frame(Message.NAS, [nas(secret=b"new secret")]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    old = box.login("ana", identifier=2).octets
    box.secret = SharedSecret(b"new secret")
    box.assert_silent_about(old)
    assert code(box.ask(box.login("ana", identifier=3).octets)) == Code.ACCESS_ACCEPT


def test_a_worker_serves_on_while_its_feeder_is_away_and_follows_the_next(node: RadiusNode, box: Box) -> None:
    for identifier in range(3):
        node.feed.hang_up()
        assert code(box.ask(box.login("ana", identifier=identifier).octets)) == Code.ACCESS_ACCEPT
    node.feed.tell(frame(Message.REVISION, 2))
    node.wait_revision(2)
    node.wait_counted({"accepted": 3})


def test_a_policy_that_no_packet_can_hold_stops_nobody_else(start_node: Start) -> None:
    """A name from before names were checked; a worker that died of it would die again at each retransmit."""
    poison = replace(FULL, address_pool="x" * 254)
    node = start_node(whole([nas()], [*SUBSCRIBERS, Known("poison", policy=poison)]))
    box = Box(node)
    box.assert_silent_about(box.login("poison").octets)
    assert code(box.ask(box.login("ana").octets)) == Code.ACCESS_ACCEPT
    node.wait_counted({"failed": 1, "accepted": 1})
    assert "ValueError" in node.logs()
    assert "packet.py:" in node.logs()


def test_refusals_are_reported_once_in_a_while_with_what_support_needs(node: RadiusNode, box: Box) -> None:
    more = text_attribute(Kind.CALLING_STATION_ID, "02:00:00:00:00:01")
    for identifier in range(5):
        box.send(box.login("ana", "a wrong password", identifier=identifier, attributes=more).octets)
    wait_until(lambda: node.counted()["wrong_password"] == 5 and node.reported_attempts())
    (report,) = node.reported_attempts()
    assert abs(report.at - time.time()) < 60
    report.at = 0.0
    assert report == AttemptReport(
        "ana", 1, "127.0.0.1", "02:00:00:00:00:01", "wrong_password", 0.0, "pap", service_id=1
    )


def test_the_log_names_reason_and_source_once_in_a_while_and_no_secret(node: RadiusNode, box: Box) -> None:
    for _ in range(20):
        box.send(b"noise")
        box.send(Box(node, secret=b"another").login("ana", "a password").octets)
    wait_until(lambda: node.counted() == {"malformed": 20, "bad_authenticator": 20})
    lines = [line for line in node.logs().splitlines() if "discarded" in line]
    assert len(lines) == 2, f"one line a reason in {LOG_INTERVAL_S} s"
    for word in ("malformed", "bad_authenticator", "127.0.0.1", "auth-0"):
        assert word in "".join(lines)
    for secret in (SECRET.decode(), "a password", "another"):
        assert secret not in node.logs()


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def _any_octets(box: Box, sent: list[int], data: st.DataObject) -> None:
    """Noise, and valid packets with a few octets changed: silence or a valid reply, and the worker lives."""
    valid = [
        box.login("ana", method=method, identifier=2, attributes=attribute(Kind.PROXY_STATE, b"x")).octets
        for method in testclient.METHODS
    ]
    octets = bytearray(data.draw(st.binary(max_size=120) | st.sampled_from(valid)))
    for _ in range(data.draw(st.integers(0, 3)) if octets else 0):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at] = data.draw(st.integers(0, 255))
    octets = octets[: data.draw(st.integers(0, len(octets)) | st.just(len(octets)))]
    box.send(bytes(octets))
    sent.append(1)
    probe = box.status_server(octets[1] if len(octets) > 1 else 0)
    box.send(probe)
    sent.append(1)
    while True:
        reply = box.receive()
        if response_valid(parse(reply), probe[4:20], box.secret):
            return
        assert code(reply) in {Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE}
        assert reply[1] in {octets[1] if len(octets) > 1 else -1, 2} or code(reply) == Code.ACCESS_REJECT


@pytest.mark.parametrize("mode", ["require", "ignore"])
def test_any_octets_are_answered_rightly_or_not_at_all_and_are_counted(start_node: Start, mode: str) -> None:
    node = start_node(whole([nas(message_authenticator=mode)], SUBSCRIBERS))
    box, sent = Box(node), []
    _any_octets(box, sent)
    wait_until(lambda: node.counted().total() == len(sent))
    assert "failed" not in node.counted()


def test_a_worker_told_to_stop_answers_what_it_has_and_ends(node: RadiusNode, box: Box) -> None:
    assert code(box.ask(box.login("ana").octets)) == Code.ACCESS_ACCEPT
    node.processes[0].signal(signal.SIGTERM)
    node.processes[0].process.join(10)
    assert node.processes[0].process.exitcode == 0


def test_a_traced_login_is_shown_with_its_reply_and_reason(node: RadiusNode, box: Box) -> None:
    node.feed.tell(frame(Message.TRACE, [TraceFilter(login="ana")]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    box.ask(box.login("blocked", identifier=2).octets)
    asked = box.login("ana").octets
    reply = box.ask(asked)
    wait_until(lambda: node.feed.traced)
    shown = msgspec.convert(node.feed.traced[0], TracedExchange)
    assert (shown.source, shown.nas, shown.local, shown.local_port) == ("127.0.0.1", "nas-1", "127.0.0.1", node.port)
    assert (shown.request, shown.reply, shown.reason) == (asked, reply, "accepted")
    assert len(node.feed.traced) == 1

"""Every trouble between a NAS and us is recognised and named, by real workers asked over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from feed_listener import wait_until
from radius_node import SECRET, Box, Known, RadiusNode, nas, whole

from aaa import oddities, reports
from aaa.authenticator import hide_password, sign_request
from aaa.feed import Message, frame
from aaa.locks import ServiceLocks
from aaa.packet import Code, Kind, attribute, integer_attribute, parse, text_attribute
from aaa.reports import AttemptReport, FindingReport

Start = Callable[..., RadiusNode]
ANA = [Known("ana"), Known("rui")]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker tells once in a while, it tells at each tick."""
    monkeypatch.setattr(reports, "FINDINGS_EVERY_S", 0.0)


def wait_found(node: RadiusNode, nas_id: int, source: str, kind: str, count: int) -> None:
    wait_until(lambda: node.findings().get((nas_id, source, kind)) == count)


def details(node: RadiusNode) -> list[dict[str, object]]:
    return [one.detail for one in node.reports() if isinstance(one, FindingReport)]


def attempts(node: RadiusNode) -> list[tuple[str, str, str]]:
    return [(one.login, one.reason, one.hint) for one in node.reported_attempts()]


def unsigned(box: Box, login: str, *, identifier: int = 1, more: bytes = b"", secret_of: Box | None = None) -> bytes:
    """A PAP request without Message-Authenticator, as an old NAS sends it."""
    blank = bytes((Kind.USER_PASSWORD, 18)) + bytes(16)
    octets = box.unsigned(text_attribute(Kind.USER_NAME, login) + blank + more, identifier=identifier)
    hidden = hide_password(b"pw", octets[4:20], (secret_of or box).secret)
    return octets.replace(blank, blank[:2] + hidden)


def test_a_wrong_secret_is_known_by_the_signature(start_node: Start) -> None:
    node = start_node(whole([nas()], ANA))
    liar = Box(node, secret=b"another")
    for identifier in range(3):
        liar.send(liar.login("ana", identifier=identifier).octets)
    wait_found(node, 1, "127.0.0.1", "wrong_secret", 3)
    assert details(node)[0] == {"role": "auth"}
    assert attempts(node) == [("ana", "bad_authenticator", "")]


def test_a_wrong_secret_is_known_by_the_noise_that_pap_becomes(start_node: Start) -> None:
    node = start_node(whole([nas(message_authenticator="ignore")], ANA))
    liar = Box(node, secret=b"another")
    liar.send(unsigned(liar, "ana"))
    wait_found(node, 1, "127.0.0.1", "wrong_secret", 1)
    assert attempts(node) == [("ana", "wrong_password", "wrong_shared_secret_likely")]


@pytest.mark.parametrize("method", ["chap", "mschapv2"])
def test_a_wrong_secret_under_chap_is_known_by_replies_that_the_nas_does_not_take(
    start_node: Start, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Nothing in the request betrays it: the login is accepted, and comes again and again."""
    monkeypatch.setattr(oddities, "LOOK_EVERY_S", 0.5)
    node = start_node(whole([nas(message_authenticator="ignore")], ANA))
    liar = Box(node, secret=b"another")
    signed = parse(liar.login("ana", method=method).octets)
    body = b"".join(attribute(kind, value) for kind, value in signed.attributes if kind != Kind.MESSAGE_AUTHENTICATOR)
    asked = signed.octets[:2] + (20 + len(body)).to_bytes(2, "big") + signed.authenticator + body
    for _ in range(5):
        liar.send(asked)
    wait_until(lambda: (1, "", "replies_unheard") in node.findings())
    node.wait_counted({"accepted": 1, "duplicate_answered": 4})


def test_a_wrong_secret_is_known_in_accounting(start_node: Start) -> None:
    node = start_node(whole([nas()], []), role="acct")
    liar = Box(node, secret=b"another")
    liar.send(liar.accounting(1))
    wait_found(node, 1, "127.0.0.1", "wrong_secret", 1)
    assert details(node) == [{"role": "acct"}]


def test_a_clock_that_runs_on_local_time_is_known_and_its_records_are_kept(start_node: Start) -> None:
    node = start_node(whole([nas(), nas(2, "127.0.0.2")], []), role="acct")
    for number, hours in ((1, -3), (2, 0)):
        box = Box(node, source=f"127.0.0.{number}")
        body = integer_attribute(Kind.ACCT_STATUS_TYPE, 1) + text_attribute(Kind.ACCT_SESSION_ID, "s1")
        body += integer_attribute(Kind.EVENT_TIMESTAMP, int(time.time()) + hours * 3600)
        box.ask(sign_request(Code.ACCOUNTING_REQUEST, 1, body, box.secret, message_authenticator=False))
    wait_found(node, 1, "127.0.0.1", "clock_skew", 1)
    (found,) = details(node)
    assert abs(int(str(found["skew_s"])) + 10_800) < 60
    assert len(node.spooled()) == 2


def test_a_sender_that_is_no_nas_is_known_by_its_address(start_node: Start) -> None:
    node = start_node(whole([nas()], ANA))
    stranger = Box(node, source="127.0.0.9")
    for _ in range(4):
        stranger.send(stranger.login("ana").octets)
    wait_found(node, 0, "127.0.0.9", "unknown_client", 4)
    assert attempts(node) == [], "nothing that a stranger says is believed"


def test_a_nas_that_must_sign_and_does_not_is_known(start_node: Start) -> None:
    node = start_node(whole([nas()], ANA))
    box = Box(node)
    box.send(unsigned(box, "ana"))
    wait_found(node, 1, "127.0.0.1", "message_authenticator_missing", 1)
    assert attempts(node) == [("ana", "message_authenticator_missing", "")]


def test_ports_that_are_mixed_up_are_known(start_node: Start) -> None:
    node = start_node(whole([nas()], ANA))
    box = Box(node)
    box.send(box.accounting(1))
    wait_found(node, 1, "127.0.0.1", "unexpected_code", 1)
    assert details(node) == [{"role": "auth", "code": Code.ACCOUNTING_REQUEST}]


def test_accounting_that_says_too_little_and_noise_are_known(start_node: Start) -> None:
    node = start_node(whole([nas()], []), role="acct")
    box = Box(node)
    box.send(sign_request(Code.ACCOUNTING_REQUEST, 1, b"", box.secret, message_authenticator=False))
    box.send(b"noise")
    wait_found(node, 1, "127.0.0.1", "incomplete", 1)
    wait_found(node, 1, "127.0.0.1", "malformed", 1)


def test_an_accept_that_is_asked_for_again_at_once_led_nowhere(start_node: Start) -> None:
    node = start_node(whole([nas()], ANA))
    box = Box(node)
    for identifier in range(3):
        box.ask(box.login("ana", identifier=identifier).octets)
    box.ask(box.login("rui", identifier=9).octets)
    wait_until(lambda: attempts(node) == [("ana", "accepted_again", "")])


def test_a_refused_device_is_reported_with_what_would_have_been_let_in(start_node: Start) -> None:
    frames = whole([nas()], ANA)
    node = start_node([*frames[:3], frame(Message.LOCKS, ([], [ServiceLocks(1, ("AA:BB:CC:00:00:01",))])), *frames[3:]])
    box = Box(node)
    box.send(box.login("ana", attributes=text_attribute(Kind.CALLING_STATION_ID, "aabb.cc00.0002")).octets)
    wait_until(node.reported_attempts)
    (report,) = node.reported_attempts()
    assert (report.reason, report.calling_station_id) == ("locked_mac", "aabb.cc00.0002")
    assert report.detail == {"came": "AA:BB:CC:00:00:02", "expected": "AA:BB:CC:00:00:01"}


def test_a_storm_at_one_nas_leaves_room_for_what_happens_at_another(
    start_node: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "ATTEMPTS_BURST", 20.0)
    monkeypatch.setattr(reports, "ATTEMPTS_PER_S", 0.1)
    node = start_node(whole([nas(), nas(2, "127.0.0.2")], ANA))
    stormy, quiet = Box(node), Box(node, source="127.0.0.2")
    for number in range(200):
        stormy.send(stormy.login(f"made-up-{number}", identifier=number).octets)
    quiet.send(quiet.login("nobody", identifier=1).octets)
    stormy.send(stormy.login("ana", "wrong", identifier=201).octets)
    wait_until(lambda: node.counted("nas-1")["unknown_login"] == 200 and node.counted("nas-2")["unknown_login"] == 1)

    def told() -> list[AttemptReport]:
        return [one for one in node.reported_attempts() if not one.login.startswith("made-up")]

    wait_until(lambda: sorted(one.login for one in told()) == ["ana", "nobody"])
    made_up = len(node.reported_attempts()) - 2
    assert 20 <= made_up <= 22


def test_no_report_holds_a_secret_or_a_password(start_node: Start) -> None:
    node = start_node(whole([nas(message_authenticator="ignore")], [Known("ana", "the password of ana")]))
    box, liar = Box(node), Box(node, secret=b"another secret")
    for identifier, password in enumerate(["The Password Of Ana", "the password of ana ", "quite-another-one"]):
        box.send(box.login("ana", password, identifier=identifier).octets)
    liar.send(liar.login("ana", identifier=9).octets)
    wait_until(lambda: len(node.reported_attempts()) >= 2 and node.findings())
    said = repr(node.reports())
    for secret in ("assword Of", "assword of", "quite-another", SECRET.decode(), "another secret"):
        assert secret not in said

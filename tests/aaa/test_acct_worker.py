"""The accounting worker from outside: what is acknowledged is on disk, and what is not is left to ask again."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
import pytest
from feed_listener import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from radius_node import Box, RadiusNode, nas, whole

from aaa.accounting import Status
from aaa.authenticator import response_valid, sign_request
from aaa.feed import Message, frame
from aaa.packet import Code, Kind, attribute, integer_attribute, parse, text_attribute
from aaa.spool import list_segments, segment_path
from aaa.tracing import TracedExchange, TraceFilter

Start = Callable[..., RadiusNode]


@pytest.fixture
def node(start_node: Start) -> RadiusNode:
    return start_node(whole([nas()], []), role="acct")


@pytest.fixture
def box(node: RadiusNode) -> Box:
    return Box(node)


def signed(box: Box, body: bytes, *, code: int = Code.ACCOUNTING_REQUEST, mac: bool = False) -> bytes:
    return sign_request(code, 1, body, box.secret, message_authenticator=mac)


def test_what_is_acknowledged_is_on_disk(box: Box) -> None:
    for number, status in enumerate((Status.START, Status.INTERIM, Status.STOP)):
        asked = box.accounting(status, identifier=number)
        reply = parse(box.ask(asked))
        assert box.node.spooled()[-1] == asked
        assert (reply.code, reply.attributes) == (Code.ACCOUNTING_RESPONSE, [])
    box.node.wait_counted({"recorded": 3})


def test_an_acknowledged_record_outlives_its_worker_and_nothing_sent_meanwhile_is_lost(box: Box) -> None:
    acknowledged = box.send(box.accounting(Status.START, "before"))
    box.receive()
    box.node.processes[0].kill()
    waiting = [box.send(box.accounting(Status.START, f"w{n}", identifier=n)) for n in range(100)]
    box.node.processes[0].start()
    assert {box.receive()[1] for _ in waiting} == set(range(100))
    assert sorted(box.node.spooled()) == sorted([acknowledged, *waiting])


def test_a_retransmit_gets_the_same_octets_and_makes_no_second_record(box: Box) -> None:
    asked = box.accounting(Status.INTERIM)
    assert box.ask(asked) == box.ask(asked)
    assert box.node.spooled() == [asked]
    box.node.wait_counted({"recorded": 1, "duplicate_answered": 1})


def test_two_of_one_kind_in_one_batch_make_one_record(node: RadiusNode, box: Box) -> None:
    asked = box.accounting(Status.INTERIM)
    node.processes[0].kill()
    for _ in range(5):
        box.send(asked)
    node.processes[0].start()
    box.receive()
    box.assert_nothing_waits()
    assert node.spooled() == [asked]
    node.wait_counted({"recorded": 1, "duplicate_pending": 4})


def test_one_identifier_with_other_content_is_another_record(box: Box) -> None:
    first, second = box.accounting(Status.START), box.accounting(Status.STOP)
    box.ask(first)
    box.ask(second)
    assert box.node.spooled() == [first, second]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda o: o[:4] + bytes(16) + o[20:], id="authenticator of zeros"),
        pytest.param(lambda o: o[:4] + os.urandom(16) + o[20:], id="random authenticator"),
        pytest.param(lambda o: o[:-1] + bytes((o[-1] ^ 1,)), id="last octet"),
    ],
)
def test_what_was_not_signed_with_the_secret_hears_nothing(box: Box, spoil: Callable[[bytes], bytes]) -> None:
    box.assert_silent_about(spoil(box.accounting(Status.START)))
    assert box.node.spooled() == []
    box.node.wait_counted({"bad_authenticator": 1})


def test_a_wrong_secret_and_an_unknown_source_hear_nothing(node: RadiusNode, box: Box) -> None:
    box.assert_silent_about(Box(node, secret=b"another").accounting(Status.START))
    stranger = Box(node, source="127.0.0.9")
    stranger.send(stranger.accounting(Status.START))
    box.assert_nothing_waits()
    stranger.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        stranger.receive()
    node.wait_counted({"bad_authenticator": 1})
    node.wait_counted({"unknown_client": 1}, who="")
    assert node.spooled() == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(text_attribute(Kind.ACCT_SESSION_ID, "s"), id="no status"),
        pytest.param(attribute(Kind.ACCT_STATUS_TYPE, b"\1") + text_attribute(Kind.ACCT_SESSION_ID, "s"),
                     id="status of one octet"),
        pytest.param(integer_attribute(Kind.ACCT_STATUS_TYPE, Status.INTERIM), id="no session"),
        pytest.param(integer_attribute(Kind.ACCT_STATUS_TYPE, Status.START) + bytes((Kind.ACCT_SESSION_ID, 2)),
                     id="session of no octets"),
    ],
)  # fmt: skip
def test_what_no_session_can_be_made_of_hears_nothing(box: Box, body: bytes) -> None:
    box.assert_silent_about(signed(box, body))
    assert box.node.spooled() == []
    box.node.wait_counted({"incomplete": 1})


@pytest.mark.parametrize("status", [Status.ON, Status.OFF])
def test_a_box_that_starts_or_stops_needs_no_session(box: Box, status: Status) -> None:
    asked = signed(box, integer_attribute(Kind.ACCT_STATUS_TYPE, status))
    assert parse(box.ask(asked)).code == Code.ACCOUNTING_RESPONSE
    assert box.node.spooled() == [asked]


def test_a_status_that_we_do_not_know_is_recorded_all_the_same(box: Box) -> None:
    """RFC 2866 lists 9 to 15 for tunnels; a NAS that is never answered repeats itself for ever."""
    body = integer_attribute(Kind.ACCT_STATUS_TYPE, 9) + text_attribute(Kind.ACCT_SESSION_ID, "s")
    assert parse(box.ask(signed(box, body))).code == Code.ACCOUNTING_RESPONSE


def test_a_message_authenticator_which_does_not_belong_in_accounting_does_no_harm(box: Box) -> None:
    body = integer_attribute(Kind.ACCT_STATUS_TYPE, Status.START) + text_attribute(Kind.ACCT_SESSION_ID, "s")
    assert parse(box.ask(signed(box, body, mac=True))).code == Code.ACCOUNTING_RESPONSE
    assert parse(box.ask(signed(box, body + attribute(80, bytes(16))))).attributes == []


def test_proxy_states_come_back_unchanged_in_order(box: Box) -> None:
    states = [b"b", b"a", b"b", b"\0" * 253]
    more = b"".join(attribute(Kind.PROXY_STATE, state) for state in states)
    reply = parse(box.ask(box.accounting(Status.START, attributes=more)))
    assert reply.attributes == [(Kind.PROXY_STATE, state) for state in states]


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 40, 43, 255])
def test_another_code_does_not_belong_here(box: Box, number: int) -> None:
    box.assert_silent_about(signed(box, b"", code=number))
    box.node.wait_counted({"unexpected_code": 1})


def test_status_server_gets_an_accounting_response_and_no_record(box: Box) -> None:
    reply = parse(box.ask(box.status_server(9, attribute(Kind.PROXY_STATE, b"x"))))
    assert (reply.code, reply.identifier) == (Code.ACCOUNTING_RESPONSE, 9)
    assert reply.every(Kind.PROXY_STATE) == [b"x"]
    assert box.node.spooled() == []
    box.assert_silent_about(box.unsigned(b"", code=Code.STATUS_SERVER))
    box.node.wait_counted({"status_server": 3, "bad_authenticator": 1})


def test_a_packet_cut_anywhere_hears_nothing_and_leaves_nothing(box: Box) -> None:
    asked = box.accounting(Status.START)
    for length in range(len(asked)):
        box.send(asked[:length])
    box.assert_nothing_waits(0)
    box.assert_nothing_waits(1)
    wait_until(lambda: box.node.counted()["malformed"] == len(asked))
    assert box.node.spooled() == []


def test_while_the_spool_is_full_nothing_is_acknowledged_and_later_the_same_packet_is(start_node: Start) -> None:
    node = start_node(whole([nas()], []), role="acct", spool_octets_max=2000)
    box = Box(node)
    directory = node.directory / "spool" / "acct-0"
    segments = list_segments(directory)
    filler = b"".join(attribute(Kind.PROXY_STATE, b"x" * 250) for _ in range(6))
    box.ask(box.accounting(Status.START, "fits", attributes=filler))
    segment_path(directory, 1).write_bytes(bytes(2000))  # what waits for PostgreSQL
    node.processes[0].kill()  # the next worker begins a segment of its own, for which there is no room
    node.processes[0].start()
    asked = box.accounting(Status.STOP, identifier=2)
    for _ in range(2):
        box.assert_silent_about(asked)
    assert segments == []
    wait_until(lambda: node.counted()["spool_full"] == 2)
    for number in list_segments(directory):  # shipped
        segment_path(directory, number).unlink()
    assert parse(box.ask(asked)).code == Code.ACCOUNTING_RESPONSE
    assert node.spooled() == [asked]
    assert "spool_full" in node.logs()


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def _any_octets(box: Box, sent: list[int], data: st.DataObject) -> None:
    """Noise, valid packets spoilt, and signed packets full of noise: silence or a valid reply."""
    noise = st.lists(st.tuples(st.integers(1, 255), st.binary(min_size=1, max_size=40)), max_size=6)
    body = b"".join(attribute(kind, value) for kind, value in data.draw(noise))
    valid = [box.accounting(Status.INTERIM), signed(box, body), box.accounting(Status.START, attributes=body)]
    octets = bytearray(data.draw(st.sampled_from(valid) | st.binary(max_size=120)))
    for _ in range(data.draw(st.integers(0, 2)) if octets else 0):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    box.send(bytes(octets))
    sent.append(1)
    for _ in range(2):
        probe = box.status_server(octets[1] if len(octets) > 1 else 0)
        box.send(probe)
        reply = box.receive()
        if not response_valid(parse(reply), probe[4:20], box.secret):
            assert response_valid(parse(reply), bytes(octets[4:20]), box.secret)
            reply = box.receive()
        assert response_valid(parse(reply), probe[4:20], box.secret)
        sent.append(1)


def test_any_octets_are_answered_rightly_or_not_at_all_and_are_counted(node: RadiusNode, box: Box) -> None:
    sent: list[int] = []
    _any_octets(box, sent)
    wait_until(lambda: node.counted().total() == len(sent))
    assert "failed" not in node.counted()
    assert len(node.spooled()) == node.counted()["recorded"]


def test_a_traced_box_is_shown_with_its_record(node: RadiusNode, box: Box) -> None:
    node.feed.tell(frame(Message.TRACE, [TraceFilter(nas="nas-1")]), frame(Message.REVISION, 2))
    node.wait_revision(2)
    asked = box.accounting(Status.START)
    reply = box.ask(asked)
    wait_until(lambda: node.feed.traced)
    shown = msgspec.convert(node.feed.traced[0], TracedExchange)
    assert (shown.request, shown.reply, shown.reason) == (asked, reply, "recorded")

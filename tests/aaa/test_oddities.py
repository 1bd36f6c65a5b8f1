"""What is odd about packets that are answered: clocks, replies that nobody hears, accepts to no end."""

from __future__ import annotations

import pytest

from aaa.oddities import ACCEPTS_MAX, AGAIN_WITHIN_S, LOOK_EVERY_S, RecentAccepts, UnheardReplies, clock_skew
from aaa.packet import Kind, Packet, header, integer_attribute, parse
from aaa.reasons import Reason
from aaa.snapshot import Client, NasRow

NOW = 1_795_000_000.5


def record(stamp: int | None, delay_s: int | None = None) -> Packet:
    body = b"" if stamp is None else integer_attribute(Kind.EVENT_TIMESTAMP, stamp)
    body += b"" if delay_s is None else integer_attribute(Kind.ACCT_DELAY_TIME, delay_s)
    return parse(header(4, 1, len(body)) + bytes(16) + body)


@pytest.mark.parametrize(
    ("stamp", "delay_s", "skew_s"),
    [
        (None, None, None),
        (0, None, None),
        (int(NOW), None, None),
        (int(NOW) - 299, None, None),
        (int(NOW) - 10_800, None, -10_800),
        (int(NOW) + 7200, None, 7200),
        (int(NOW) - 7200, 7200, None),
        (int(NOW), 7200, None),
        (int(NOW) - 18_000, 7200, -10_800),
    ],
)
def test_a_clock_is_off_where_neither_sending_nor_event_explains_it(
    stamp: int | None, delay_s: int | None, skew_s: int | None
) -> None:
    found = clock_skew(record(stamp, delay_s), NOW)
    assert found is None if skew_s is None else found is not None and abs(found - skew_s) <= 1


def client(nas_id: int = 1) -> Client:
    return Client(NasRow(nas_id, "bras", "192.0.2.1", b"x", "mikrotik", "auto", None, {}, False, False, None))


def counted(one: Client, reason: Reason, number: int) -> None:
    one.counts[reason] = one.counts.get(reason, 0) + number


def test_a_nas_that_repeats_most_of_what_was_answered_does_not_hear_us() -> None:
    deaf, sound, unheard = client(1), client(2), UnheardReplies(0.0)
    for one, answered, again in ((deaf, 2, 4), (sound, 1000, 20)):
        counted(one, Reason.ACCEPTED, answered)
        counted(one, Reason.DUPLICATE_ANSWERED, again)
    assert unheard.look([deaf, sound], LOOK_EVERY_S - 1) == []
    assert unheard.look([deaf, sound], LOOK_EVERY_S) == [(deaf, 4)]
    counted(deaf, Reason.WRONG_PASSWORD, 100)
    counted(deaf, Reason.DUPLICATE_ANSWERED, 3)
    assert unheard.look([deaf, sound], 2 * LOOK_EVERY_S) == [], "it hears us again"


def test_one_packet_lost_on_a_quiet_day_is_no_finding() -> None:
    one, unheard = client(), UnheardReplies(0.0)
    counted(one, Reason.RECORDED, 1)
    counted(one, Reason.DUPLICATE_ANSWERED, 1)
    assert unheard.look([one], LOOK_EVERY_S) == []


def test_an_accept_soon_after_another_is_told_and_one_much_later_is_not() -> None:
    accepts = RecentAccepts()
    assert not accepts.again(1, 100.0)
    assert not accepts.again(2, 101.0)
    assert accepts.again(1, 110.0)
    assert not accepts.again(1, 111.0 + AGAIN_WITHIN_S)


def test_accepts_are_remembered_up_to_a_number() -> None:
    accepts = RecentAccepts()
    for service_id in range(1, 5 * ACCEPTS_MAX):
        accepts.again(service_id, 1.0)
    assert len(accepts._young) + len(accepts._old) <= 2 * ACCEPTS_MAX
    assert accepts.again(5 * ACCEPTS_MAX - 1, 2.0)

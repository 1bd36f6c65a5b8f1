"""Accounting-Requests as records: what the RFCs say, what NASes really send, and any octets at all."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.accept_class import class_attribute
from aaa.accounting import AccountingRecord, Status, read_record
from aaa.authenticator import SharedSecret, sign_request
from aaa.packet import Kind, MalformedPacket, attribute, integer_attribute, text_attribute, vendor_attribute

NOW = 1_795_000_000
HOUR = 3600
INTERIM = integer_attribute(Kind.ACCT_STATUS_TYPE, Status.INTERIM)
SESSION = text_attribute(Kind.ACCT_SESSION_ID, "81500003")


def read(*attributes: bytes, received_at: float = NOW, source: str = "192.0.2.1") -> AccountingRecord:
    packet = sign_request(4, 1, b"".join(attributes), SharedSecret(b"x"), message_authenticator=False)
    return read_record(round(received_at * 1e9), 7, source, packet)


def stamped(at: float) -> bytes:
    return integer_attribute(Kind.EVENT_TIMESTAMP, int(at))


def delayed(seconds: int) -> bytes:
    return integer_attribute(Kind.ACCT_DELAY_TIME, seconds)


def test_everything_a_session_tells_is_in_its_record() -> None:
    record = read(
        INTERIM,
        SESSION,
        stamped(NOW - 2),
        text_attribute(Kind.USER_NAME, "ana@provedor"),
        text_attribute(Kind.NAS_IDENTIFIER, "bras-1"),
        attribute(Kind.NAS_IP_ADDRESS, bytes((192, 0, 2, 9))),
        text_attribute(Kind.NAS_PORT_ID, "ether1.100"),
        text_attribute(Kind.CALLING_STATION_ID, "02:00:00:00:00:01"),
        text_attribute(Kind.CALLED_STATION_ID, "internet"),
        attribute(Kind.FRAMED_IP_ADDRESS, bytes((100, 64, 0, 7))),
        attribute(Kind.FRAMED_IPV6_PREFIX, b"\0\x40" + bytes.fromhex("20010db800010000")),
        attribute(Kind.DELEGATED_IPV6_PREFIX, b"\0\x38" + bytes.fromhex("20010db8ff0000")),
        class_attribute(42, bytes(range(8)), bytes(range(8, 16))),
        integer_attribute(Kind.ACCT_SESSION_TIME, 600),
        integer_attribute(Kind.ACCT_INPUT_OCTETS, 5),
        integer_attribute(Kind.ACCT_INPUT_GIGAWORDS, 1),
        integer_attribute(Kind.ACCT_OUTPUT_OCTETS, 6),
        integer_attribute(Kind.ACCT_OUTPUT_GIGAWORDS, 2),
        integer_attribute(Kind.ACCT_INPUT_PACKETS, 7),
        integer_attribute(Kind.ACCT_OUTPUT_PACKETS, 8),
        integer_attribute(Kind.ACCT_TERMINATE_CAUSE, 1),
    )
    assert record._replace(dedupe_key=b"") == AccountingRecord(
        received_at=NOW,
        event_at=NOW - 2,
        nas_id=7,
        box="bras-1",
        source="192.0.2.1",
        status=Status.INTERIM,
        acct_session_id="81500003",
        accept_id="0001020304050607",
        service_id=42,
        fingerprint="08090a0b0c0d0e0f",
        login="ana@provedor",
        session_seconds=600,
        input_octets=(1 << 32) + 5,
        output_octets=(2 << 32) + 6,
        input_packets=7,
        output_packets=8,
        terminate_cause=1,
        nas_address="192.0.2.9",
        nas_port_id="ether1.100",
        calling_station_id="02:00:00:00:00:01",
        called_station_id="internet",
        framed_ipv4="100.64.0.7",
        framed_ipv6_prefix="2001:db8:1::/64",
        delegated_ipv6_prefix="2001:db8:ff00::/56",
        dedupe_key=b"",
        multi_session_id=None,
        is_service=False,
    )


def test_a_box_is_its_identifier_else_its_address_else_where_it_sends_from() -> None:
    ipv4 = attribute(Kind.NAS_IP_ADDRESS, bytes((192, 0, 2, 9)))
    ipv6 = attribute(Kind.NAS_IPV6_ADDRESS, bytes.fromhex("20010db8000000000000000000000001"))
    assert read(INTERIM, SESSION, text_attribute(Kind.NAS_IDENTIFIER, "bras"), ipv4).box == "bras"
    assert read(INTERIM, SESSION, ipv4).box == "192.0.2.9"
    assert read(INTERIM, SESSION, ipv6).box == "2001:db8::1"
    assert read(INTERIM, SESSION, source="198.51.100.3").box == "198.51.100.3"


@pytest.mark.parametrize(
    ("attributes", "received_after", "event_after"),
    [
        pytest.param([stamped(NOW)], 2, 0, id="the NAS's own clock"),
        pytest.param([], 2, 2, id="no clock: receipt"),
        pytest.param([delayed(90)], 100, 10, id="no clock: receipt less the delay"),
        pytest.param([stamped(NOW), delayed(2 * HOUR)], 2 * HOUR, 0, id="kept in the NAS for two hours, and says so"),
        pytest.param([stamped(NOW), delayed(2 * HOUR)], 5, 0, id="stamped anew at each retransmission"),
        pytest.param([stamped(NOW - 3 * HOUR)], 2, 2, id="its clock shows local time in Brazil"),
        pytest.param([stamped(NOW + 3 * HOUR)], 2, 2, id="its clock is hours ahead"),
        pytest.param([stamped(86_400)], 2, 2, id="it booted without a clock"),
        pytest.param([delayed(0xFFFFFFFF)], 0, -86_400, id="a delay of a century"),
    ],
)
def test_when_it_happened(attributes: list[bytes], received_after: int, event_after: int) -> None:
    assert read(INTERIM, SESSION, *attributes, received_at=NOW + received_after).event_at == NOW + event_after


def test_a_retransmit_has_the_key_of_the_first() -> None:
    first = read(INTERIM, SESSION, stamped(NOW))
    again = read(INTERIM, SESSION, stamped(NOW), delayed(5), received_at=NOW + 5)
    assert again.dedupe_key == first.dedupe_key


def test_without_a_time_stamp_counters_tell_interims_apart() -> None:
    seconds = [integer_attribute(Kind.ACCT_SESSION_TIME, number) for number in (300, 600)]
    first, second = (read(INTERIM, SESSION, one) for one in seconds)
    again = read(INTERIM, SESSION, seconds[0], delayed(5), received_at=NOW + 5)
    assert first.dedupe_key != second.dedupe_key
    assert first.dedupe_key == again.dedupe_key


def test_two_reboots_of_a_box_without_a_clock_are_two() -> None:
    on = integer_attribute(Kind.ACCT_STATUS_TYPE, Status.ON)
    first, again, second = (
        read(on, received_at=NOW),
        read(on, delayed(10), received_at=NOW + 10),
        read(on, received_at=NOW + 600),
    )
    assert first.dedupe_key == again.dedupe_key
    assert first.dedupe_key != second.dedupe_key


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([integer_attribute(Kind.ACCT_STATUS_TYPE, Status.STOP), SESSION], id="status"),
        pytest.param([INTERIM, text_attribute(Kind.ACCT_SESSION_ID, "81500004")], id="session"),
        pytest.param([INTERIM, SESSION, text_attribute(Kind.NAS_IDENTIFIER, "another")], id="box"),
        pytest.param([INTERIM, SESSION, class_attribute(1, bytes(8), bytes(8))], id="accept"),
    ],
)
def test_another_event_has_another_key(other: list[bytes]) -> None:
    assert read(*other, stamped(NOW)).dedupe_key != read(INTERIM, SESSION, stamped(NOW)).dedupe_key


def test_an_accept_of_no_service_is_no_service() -> None:
    record = read(INTERIM, SESSION, class_attribute(0, bytes(8), bytes(8)))
    assert (record.service_id, record.accept_id) == (None, "0" * 16)


def test_ours_is_found_among_other_classes() -> None:
    other = attribute(Kind.CLASS, b"somebody else's")
    assert read(INTERIM, SESSION, other, class_attribute(42, bytes(8), bytes(8)), other).service_id == 42


def test_counters_of_any_octets_fit_a_database() -> None:
    kinds = (Kind.ACCT_INPUT_OCTETS, Kind.ACCT_INPUT_GIGAWORDS)
    greatest = [integer_attribute(kinds[0], 0xFFFFFFFF), integer_attribute(kinds[1], 0x7FFFFFFF)]
    assert read(INTERIM, SESSION, *greatest).input_octets == (1 << 63) - 1
    ipv6 = vendor_attribute(2011, 144, b"\xff" * 4)
    assert read(INTERIM, SESSION, *greatest, ipv6).input_octets == (1 << 63) - 1


def test_a_sign_extended_beyond_two_gibibytes_is_taken_off() -> None:
    octets = [
        integer_attribute(Kind.ACCT_INPUT_OCTETS, 0x80000005),
        integer_attribute(Kind.ACCT_INPUT_GIGAWORDS, 0xFFFFFFFF),
    ]
    assert read(INTERIM, SESSION, *octets).input_octets == 0x80000005


def octets_of(*attributes: bytes, standard: tuple[int, int] = (1000, 2000)) -> tuple[int, int]:
    kinds = (Kind.ACCT_INPUT_OCTETS, Kind.ACCT_OUTPUT_OCTETS)
    told = [integer_attribute(kind, octets) for kind, octets in zip(kinds, standard, strict=True) if octets]
    record = read(INTERIM, SESSION, *told, *attributes)
    return record.input_octets, record.output_octets


def test_huawei_counts_ipv6_beside_the_standard_counters() -> None:
    values = {144: 5, 145: 6, 148: 1, 149: 2}
    ipv6 = [vendor_attribute(2011, kind, value.to_bytes(4, "big")) for kind, value in values.items()]
    assert octets_of(*ipv6) == (1000 + (1 << 32) + 5, 2000 + (2 << 32) + 6)


def test_juniper_counts_ipv6_within_the_standard_counters() -> None:
    ipv6 = [vendor_attribute(4874, kind, (7).to_bytes(4, "big")) for kind in range(151, 157)]
    assert octets_of(*ipv6) == (1000, 2000)


def nokia(kind: int, selector: int, number: int, octets: int) -> bytes:
    return vendor_attribute(6527, kind, bytes((selector, number)) + octets.to_bytes(8, "big"))


def test_nokia_counts_by_queue_and_policer_what_the_standard_counters_say_in_one() -> None:
    by_queue = [
        nokia(19, 0x00, 1, 1 << 40), nokia(20, 0x00, 1, 5), nokia(19, 0x80, 3, 1), nokia(21, 0x00, 1, 10),
        nokia(22, 0x00, 2, 20), nokia(19, 0x40, 2, 999),
    ]  # fmt: skip
    assert octets_of(*by_queue, standard=(0, 0)) == ((1 << 40) + 6, 30)
    assert octets_of(*by_queue) == ((1 << 40) + 6, 2000), "the same traffic is never counted twice"


def test_what_mikrotik_adds_is_no_counter() -> None:
    assert octets_of(vendor_attribute(14988, 8, b"10M/50M")) == (1000, 2000)


def tied(*attributes: bytes, session: str = "8:21") -> tuple[str | None, bool]:
    record = read(INTERIM, text_attribute(Kind.ACCT_SESSION_ID, session), *attributes)
    return record.multi_session_id, record.is_service


def test_a_juniper_service_session_belongs_to_the_session_in_its_id() -> None:
    service = vendor_attribute(4874, 83, b"svc-inet(50m,10m)")
    assert tied(service) == ("8", True)
    assert tied(service, session="jnpr demux0.3221:8:21") == ("jnpr demux0.3221:8", True)
    assert tied(session="jnpr demux0.3221:8") == (None, False)


def test_nokia_ties_what_belongs_together() -> None:
    multi = text_attribute(Kind.ACCT_MULTI_SESSION_ID, "241AFF000000214FE9D801")
    assert tied(multi) == ("241AFF000000214FE9D801", False)
    assert tied(multi, vendor_attribute(6527, 151, b"rate-limit;1000;8000")) == ("241AFF000000214FE9D801", True)


def test_values_of_impossible_length_count_as_absent() -> None:
    record = read(
        INTERIM,
        SESSION,
        attribute(Kind.FRAMED_IP_ADDRESS, b"abc"),
        attribute(Kind.FRAMED_IPV6_PREFIX, b"\0\xff" + bytes(16)),
        attribute(Kind.NAS_IP_ADDRESS, b"abc"),
        attribute(Kind.ACCT_SESSION_TIME, b"\1"),
    )
    assert (record.framed_ipv4, record.framed_ipv6_prefix, record.session_seconds) == (None, None, 0)
    assert record.nas_address == "192.0.2.1"


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=253)), max_size=12), st.integers(0, 2**63))
def test_any_attributes_make_a_record_that_a_database_can_hold(
    attributes: list[tuple[int, bytes]], received_at_ns: int
) -> None:
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in attributes)
    octets = bytes((4, 1)) + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body
    record = read_record(received_at_ns, 7, "192.0.2.1", octets)
    for value in record:
        if isinstance(value, str):
            assert value.isprintable()
        if isinstance(value, int):
            assert 0 <= value < 1 << 63


@given(st.binary(max_size=200))
def test_any_octets_are_a_record_or_malformed(octets: bytes) -> None:
    with contextlib.suppress(MalformedPacket):
        read_record(0, 7, "192.0.2.1", octets)

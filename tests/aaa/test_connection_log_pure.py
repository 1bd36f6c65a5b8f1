"""Deterministic NAT both ways, port blocks in syslog and in attributes, and times as authorities write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.connection_log.models import NatOrder
from aaa.connection_log.moments import read_moment
from aaa.connection_log.nat import Block, DeterministicNat
from aaa.connection_log.syslog import read_events
from core.errors import InvalidInput

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def rule(order: NatOrder = NatOrder.PORTS_FIRST, **values: int | str) -> DeterministicNat:
    given = {"inside": "100.64.0.0", "insides": 64, "outside": "203.0.113.0", "outsides": 2, "ports": 2000,
             "first": 1024, "last": 65535} | values  # fmt: skip
    inside, outside = IPv4Address(given["inside"]), IPv4Address(given["outside"])
    return DeterministicNat(
        inside, inside + int(given["insides"]) - 1, outside, outside + int(given["outsides"]) - 1,
        int(given["ports"]), int(given["first"]), int(given["last"]), order,
    )  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> DeterministicNat:
    ports, first = draw(st.integers(1, 9000)), draw(st.integers(1, 30000))
    last = draw(st.integers(first + ports - 1, 65535))
    outsides = draw(st.integers(1, 5))
    room = outsides * ((last - first + 1) // ports)
    insides = draw(st.integers(1, min(room, 300)))
    return rule(
        draw(st.sampled_from(NatOrder)), ports=ports, first=first, last=last, outsides=outsides, insides=insides
    )


@given(rules(), st.data())
def test_a_rule_computed_forward_and_backward_is_the_same_and_no_two_share_a_port(
    nat: DeterministicNat, data: st.DataObject
) -> None:
    blocks = {}
    for number in range(nat.insides):
        inside = nat.inside_first + number
        block = nat.block_of(inside)
        assert block is not None
        assert nat.first_port <= block.port_first <= block.port_last <= nat.last_port
        assert block.port_last - block.port_first + 1 == nat.ports_per_subscriber
        assert nat.outside_first <= block.outside <= nat.outside_last
        port = data.draw(st.integers(block.port_first, block.port_last)) if number == 0 else block.port_last
        assert nat.inside_of(block.outside, port) == inside
        assert nat.inside_of(block.outside, block.port_first) == inside
        blocks[block.outside, block.port_first] = inside
    assert len(blocks) == nat.insides
    shared = [inside for number in range(nat.outsides) for inside in nat.insides_of(nat.outside_first + number)]
    assert sorted(shared) == [nat.inside_first + number for number in range(nat.insides)]


@given(rules(), st.integers(0, 65535), st.integers(-3, 8))
def test_a_port_is_nobodys_or_lies_in_its_holders_block(nat: DeterministicNat, port: int, outside: int) -> None:
    inside = nat.inside_of(nat.outside_first + outside, port)
    if inside is None:
        return
    block = nat.block_of(inside)
    assert block is not None
    assert (block.outside, True) == (nat.outside_first + outside, block.port_first <= port <= block.port_last)


def test_rfc_7422_lays_ports_out_first_and_scripts_may_lay_addresses_out_first() -> None:
    by_ports, by_addresses = rule(), rule(NatOrder.ADDRESSES_FIRST)
    second = IPv4Address("100.64.0.1")
    assert by_ports.block_of(second) == Block(IPv4Address("203.0.113.0"), 3024, 5023)
    assert by_addresses.block_of(second) == Block(IPv4Address("203.0.113.1"), 1024, 3023)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"insides": 65}, "ports_per_subscriber"),
        ({"ports": 65000}, "ports_per_subscriber"),
        ({"first": 2000, "last": 1999}, "last_port"),
        ({"insides": 0}, "inside_last"),
    ],
)
def test_a_rule_whose_ranges_do_not_fit_names_the_field(values: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rule(**values)
    assert caught.value.field == field


JSERVICES = "Nov 24 12:00:00 mx {ss}[jservices-nat]: JSERVICES_NAT_PORT_BLOCK_"
STRUCTURED = (
    '<14>1 2026-11-24T11:59:58.250-00:00 mx RT_NAT - RT_SRC_NAT_PBA_{} [internal-ip="100.64.0.9" block-used="1" '
    'block-max-per-host="4" block-port-low="1024" block-port-high="1151" reflexive-ip="203.0.113.7" '
    'nat-pool-name="guest" logical-system-id="0" epoch-time-64="624b0492"]'
)
PLAIN = (
    "RT_NAT: RT_SRC_NAT_PBA_{}: Subscriber 100.64.0.9 used/maximum [1/4] blocks, {} port block [1024-1151] from "
    "203.0.113.7 in source pool guest lsys_id: 0"
)
CISCO = "1 2026 Nov 24 12:00:00 192.0.2.3 - - NAT44 - [Userbased{} - 100.64.0.9 INSIDE - 203.0.113.7 - 1024 1151 - -]"


@pytest.mark.parametrize(
    ("line", "allocated"),
    [
        (JSERVICES + "ALLOC: 100.64.0.9 -> 203.0.113.7:1024-1151 0x5a0b", True),
        (JSERVICES + "ACTIVE: 100.64.0.9 -> 203.0.113.7:1024-1151 0x5a0b", True),
        (JSERVICES + "RELEASE: 100.64.0.9 -> 203.0.113.7:1024-1151 0x5a0b", False),
        (STRUCTURED.format("ALLOC"), True),
        (STRUCTURED.format("INTERIM"), True),
        (STRUCTURED.format("RELEASE"), False),
        (PLAIN.format("ALLOC", "allocates"), True),
        (PLAIN.format("RELEASE", "releases"), False),
        (CISCO.format("A"), True),
        (CISCO.format("W"), False),
        ("<13>NAT-BLOCK alloc inside=100.64.0.9 outside=203.0.113.7 ports=1024-1151", True),
        ("<13>NAT-BLOCK release inside=100.64.0.9 outside=203.0.113.7 ports=1024-1151", False),
    ],
)
def test_each_vendors_line_is_read(line: str, allocated: bool) -> None:
    (event,) = read_events(line, NOW)
    assert event[:5] == (allocated, "100.64.0.9", "203.0.113.7", 1024, 1151)


def test_one_datagram_of_cisco_tells_several_blocks_and_the_sender_times_what_it_dates_with_an_offset() -> None:
    several = CISCO.format("A") + "[UserbasedW - 100.64.0.8 INSIDE - 203.0.113.7 - 2048 2559 - -]"
    assert [event.allocated for event in read_events(several, NOW)] == [True, False]
    assert read_events(several, NOW)[0].at == NOW
    assert read_events(STRUCTURED.format("ALLOC"), NOW)[0].at == NOW - timedelta(seconds=1.75)
    late = NOW + timedelta(hours=3)
    assert read_events(STRUCTURED.format("ALLOC"), late)[0].at == late


@pytest.mark.parametrize(
    "line",
    [
        "forward: out:sfp1, TCP, 100.64.0.9:5->198.51.100.1:443, NAT (100.64.0.9:5->203.0.113.7:5)->198.51.100.1:443",
        "NAT44 - [SessionbasedAD TCP 100.64.0.9 IN - 203.0.113.7 4 1024 - 198.51.100.1 443]",
        JSERVICES + "ALLOC: 100.64.0.9 -> 203.0.113.7:2000-1000 0x5a0b",
        JSERVICES + "ALLOC: 100.64.0.999 -> 203.0.113.7:1000-2000 0x5a0b",
        "",
    ],
)
def test_lines_of_connections_and_of_nonsense_are_refused(line: str) -> None:
    assert read_events(line, NOW) == []


@given(st.sampled_from([JSERVICES + "ALLOC: ", STRUCTURED, CISCO, "<13>1 "]), st.text(max_size=80), st.integers(0, 300))
def test_any_text_is_events_that_make_sense_or_nothing(line: str, noise: str, place: int) -> None:
    for event in read_events(line[:place] + noise + line[place:], NOW):
        assert 0 < event.port_first <= event.port_last <= 65535
        assert IPv4Address(event.inside) != IPv4Address("198.51.100.1")


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2026-11-24T09:00:00-03:00", None, "2026-11-24T12:00:00"),
        ("2026-11-24T12:00:00Z", None, "2026-11-24T12:00:00"),
        ("2026-11-24 09:00:00", "America/Sao_Paulo", "2026-11-24T12:00:00"),
        ("2018-11-24 10:00:00", "America/Sao_Paulo", "2018-11-24T12:00:00"),
        ("2026-11-24T09:00:00+05:00", "America/Sao_Paulo", "2026-11-24T04:00:00"),
    ],
)
def test_times_of_any_offset_or_zone_are_one_moment(value: str, zone: str | None, expected: str) -> None:
    assert read_moment(value, zone, "at").replace(tzinfo=None).isoformat() == expected


@pytest.mark.parametrize(
    ("value", "zone", "field"),
    [
        ("2026-11-24T09:00:00", None, "at"),
        ("2018-02-17 23:30:00", "America/Sao_Paulo", "at"),  # twice, when summer time ended
        ("2018-11-04 00:30:00", "America/Sao_Paulo", "at"),  # never, when it began
        ("2026-11-24 09:00:00", "Mars/Olympus", "zone"),
        ("yesterday", None, "at"),
        ("0001-01-01T00:00:00+14:00", None, "at"),
    ],
)
def test_times_that_are_no_moment_name_what_is_missing(value: str, zone: str | None, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_moment(value, zone, "at")
    assert caught.value.field == field

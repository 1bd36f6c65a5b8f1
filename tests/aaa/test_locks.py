"""Locks: who is let in, what is learned, and how workers that have never met agree on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from feed_listener import wait_until
from radius_node import Box, Known, RadiusNode, nas, whole

from aaa import testclient
from aaa.authenticator import SharedSecret
from aaa.feed import Message, frame
from aaa.locks import ServiceLocks, learn, refusal, with_learned
from aaa.packet import Code, Kind, Packet, attribute, parse, text_attribute, vendor_attribute
from core.locks import LearnedLocks

Start = Callable[..., RadiusNode]
MAC, OTHER = "AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02"
LINE = vendor_attribute(3561, 1, b"OLT-1 eth 0/1/3:503") + vendor_attribute(3561, 2, b"ana-da-silva")


def asking(attributes: bytes) -> Packet:
    secret = SharedSecret(b"x")
    return parse(testclient.access_request(1, "ana", "pw", "pap", attributes, secret, bytes).octets)


def station(mac: str) -> bytes:
    return text_attribute(Kind.CALLING_STATION_ID, mac)


@pytest.mark.parametrize(
    ("locks", "attributes", "came"),
    [
        (ServiceLocks(1, (MAC,)), station(OTHER), OTHER),
        (ServiceLocks(1, (MAC,)), b"", ""),
        (ServiceLocks(1, (MAC,)), station("5511987654321"), ""),
        (ServiceLocks(1, None, ("olt-1 eth 0/1/4:503",)), LINE, "olt-1 eth 0/1/3:503"),
        (ServiceLocks(1, None, ("ether1",)), text_attribute(Kind.NAS_PORT_ID, "ether2"), "ether2"),
        (ServiceLocks(1, None, ("ether1",)), b"", ""),
        (ServiceLocks(1, None, None, (7, 8)), b"", "3"),
    ],
)
def test_who_comes_from_elsewhere_is_refused_with_what_came_and_what_is_let_in(
    locks: ServiceLocks, attributes: bytes, came: str
) -> None:
    refused = refusal(locks, asking(attributes), nas_id=3)
    assert refused is not None
    assert refused.came == came
    wanted = locks.macs or locks.circuits or locks.nas_ids or ()
    assert refused.expected == ", ".join(map(str, wanted))


@pytest.mark.parametrize(
    ("locks", "attributes"),
    [
        (ServiceLocks(1, (OTHER, MAC)), station("aabb.cc00.0001")),
        (ServiceLocks(1, None, ("ana-da-silva",)), LINE),
        (ServiceLocks(1, None, ("ether1",)), LINE + text_attribute(Kind.NAS_PORT_ID, "Ether1")),
        (ServiceLocks(1, None, None, (2, 3)), b""),
        (ServiceLocks(1, (), (), ()), b""),
    ],
)
def test_who_fits_the_lock_is_let_in(locks: ServiceLocks, attributes: bytes) -> None:
    assert refusal(locks, asking(attributes), nas_id=3) is None


def test_the_most_telling_name_of_a_line_is_learned() -> None:
    port = text_attribute(Kind.NAS_PORT_ID, "ether1")
    waiting = ServiceLocks(1, (), (), ())
    assert learn(waiting, asking(LINE + port + station(MAC)), 3) == LearnedLocks(1, MAC, "olt-1 eth 0/1/3:503", 3)
    assert learn(waiting, asking(port), 3) == LearnedLocks(1, None, "ether1", 3)


def test_a_line_and_a_device_as_a_dhcp_server_of_routeros_tells_of_them() -> None:
    """Option 82 in Redback's attributes, the client's id for its MAC address."""
    line = vendor_attribute(2352, 96, b"ana-da-silva") + vendor_attribute(2352, 97, b"OLT-1 eth 0/1/3:503")
    asked = asking(line + station("1:aa:bb:cc:0:0:1"))
    learned = learn(ServiceLocks(1, (), ()), asked, 3)
    assert learned == LearnedLocks(1, "AA:BB:CC:00:00:01", "olt-1 eth 0/1/3:503", None)
    assert refusal(ServiceLocks(1, ("AA:BB:CC:00:00:01",), ("ana-da-silva",)), asked, 3) is None


def test_what_is_not_waited_for_or_does_not_come_teaches_nothing() -> None:
    assert learn(ServiceLocks(1, (MAC,), None, (3,)), asking(LINE + station(MAC)), 3) is None
    assert learn(ServiceLocks(1, ()), asking(attribute(Kind.CALLING_STATION_ID, b"\xff\0")), 3) is None


def test_what_was_learned_locks_and_the_rest_waits_on() -> None:
    locks = with_learned(ServiceLocks(1, (), (), (9,)), LearnedLocks(1, MAC, None, None))
    assert locks == ServiceLocks(1, (MAC,), (), (9,))


@pytest.fixture
def node(start_node: Start) -> RadiusNode:
    """Two workers; ana learns her device, rui is locked to another NAS and to a line, bia to nothing."""
    frames = whole([nas(), nas(2, "127.0.0.2")], [Known("ana"), Known("rui"), Known("bia")])
    locks = [ServiceLocks(1, ()), ServiceLocks(2, None, ("ether1",), (2,))]
    return start_node([*frames[:3], frame(Message.LOCKS, ([], locks)), *frames[3:]], workers=2)


def code(box: Box, login: str, identifier: int, attributes: bytes = b"") -> int:
    return parse(box.ask(box.login(login, identifier=identifier, attributes=attributes).octets)).code


def test_the_first_device_is_learned_and_another_refused_by_every_worker_that_heard_of_it(node: RadiusNode) -> None:
    box = Box(node)
    assert code(box, "ana", 0, station(MAC)) == Code.ACCESS_ACCEPT
    assert code(box, "ana", 2, station(OTHER)) == Code.ACCESS_REJECT, "this worker learned it at once"
    wait_until(lambda: node.feed.learned_locks == [LearnedLocks(1, MAC, None, None)])
    node.feed.tell(frame(Message.LOCKS, ([1], [ServiceLocks(1, (MAC,))])), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert code(box, "ana", 1, station(OTHER)) == Code.ACCESS_REJECT, "the other one was told"
    assert code(box, "ana", 3, station("aabb.cc00.0001")) == Code.ACCESS_ACCEPT
    node.wait_counted({"accepted": 2, "locked_mac": 2})


def test_of_two_devices_at_two_workers_the_first_in_the_database_holds(node: RadiusNode) -> None:
    box = Box(node)
    assert code(box, "ana", 0, station(MAC)) == Code.ACCESS_ACCEPT
    assert code(box, "ana", 1, station(OTHER)) == Code.ACCESS_ACCEPT, "the other worker has not heard of the first"
    wait_until(lambda: len(node.feed.learned_locks) == 2)
    node.feed.tell(frame(Message.LOCKS, ([1], [ServiceLocks(1, (MAC,))])), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert code(box, "ana", 3, station(OTHER)) == Code.ACCESS_REJECT
    assert code(box, "ana", 5, station(MAC)) == Code.ACCESS_ACCEPT


def test_a_login_at_another_nas_or_line_is_refused(node: RadiusNode) -> None:
    here, there = Box(node), Box(node, source="127.0.0.2")
    line = text_attribute(Kind.NAS_PORT_ID, "ether1")
    assert code(here, "rui", 0, line) == Code.ACCESS_REJECT
    assert code(there, "rui", 0, text_attribute(Kind.NAS_PORT_ID, "ether2")) == Code.ACCESS_REJECT
    assert code(there, "rui", 2, line) == Code.ACCESS_ACCEPT
    node.wait_counted({"locked_nas": 1})
    node.wait_counted({"locked_circuit": 1, "accepted": 1}, who="nas-2")


def test_a_lock_that_is_taken_away_or_set_to_learn_again_holds_no_more(node: RadiusNode) -> None:
    box = Box(node)
    assert code(box, "ana", 0, station(MAC)) == Code.ACCESS_ACCEPT
    node.feed.tell(frame(Message.LOCKS, ([1, 2], [ServiceLocks(1, ())])), frame(Message.REVISION, 2))
    node.wait_revision(2)
    assert code(box, "ana", 2, station(OTHER)) == Code.ACCESS_ACCEPT, "the device that the technician brought"
    assert code(box, "ana", 4, station(MAC)) == Code.ACCESS_REJECT
    assert code(box, "rui", 0) == Code.ACCESS_ACCEPT


def test_a_wrong_password_teaches_nothing(node: RadiusNode) -> None:
    box = Box(node)
    refused = box.login("ana", "wrong", attributes=station(OTHER)).octets
    assert parse(box.ask(refused)).code == Code.ACCESS_REJECT
    assert code(box, "ana", 3, station(MAC)) == Code.ACCESS_ACCEPT
    wait_until(lambda: node.feed.learned_locks == [LearnedLocks(1, MAC, None, None)])


def test_in_an_emergency_no_lock_holds_and_nothing_is_learned(start_node: Start) -> None:
    frames = whole([nas(emergency_fingerprint=Known("ana").policy.fingerprint)], [Known("ana")])
    locks = frame(Message.LOCKS, ([], [ServiceLocks(1, (MAC,), ())]))
    node = start_node([*frames[:3], locks, *frames[3:]])
    assert code(Box(node), "ana", 1, station(OTHER) + LINE) == Code.ACCESS_ACCEPT
    node.wait_counted({"accepted_emergency": 1})
    assert node.feed.learned_locks == []


def test_a_device_on_a_line_gets_its_address_by_dhcp_and_a_copy_of_it_on_another_line_does_not(
    start_node: Start,
) -> None:
    """As RouterOS's DHCP server asks: the MAC address, an empty password, the client's id, Option 82."""
    frames = whole([nas()], [Known("00:E1:0C:38:C8:F8", "00:E1:0C:38:C8:F8"), Known("00:E1:0C:38:C8:F9", "senha")])
    locks = [ServiceLocks(1, None, ("olt-1 eth 0/1/3:503",), None)]
    box = Box(start_node([*frames[:3], frame(Message.LOCKS, ([], locks)), *frames[3:]]))
    client = station("1:0:e1:c:38:c8:f8") + text_attribute(Kind.CALLED_STATION_ID, "ipoe-ether4")

    def asked(login: str, circuit: bytes, identifier: int) -> int:
        attributes = client + vendor_attribute(2352, 97, circuit)
        return parse(box.ask(box.login(login, "", identifier=identifier, attributes=attributes).octets)).code

    assert asked("00:E1:0C:38:C8:F8", b"OLT-1 eth 0/1/3:503", 1) == Code.ACCESS_ACCEPT
    assert asked("00:E1:0C:38:C8:F8", b"OLT-1 eth 0/1/4:503", 2) == Code.ACCESS_REJECT
    assert asked("00:E1:0C:38:C8:F9", b"OLT-1 eth 0/1/3:503", 3) == Code.ACCESS_REJECT

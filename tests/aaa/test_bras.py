"""The simulated BRAS as a machine: octets and time in, octets out."""

from __future__ import annotations

import pytest

from aaa.authenticator import SharedSecret, sign_accounting_response, sign_reply, sign_request
from aaa.bras.box import Box, BoxOptions, Credential, Datagram
from aaa.bras.subscriber import State, Subscriber, TerminateCause
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Code, Kind, Packet, attribute, integer_attribute, parse, text_attribute, vendor_attribute

SECRET = SharedSecret(b"testing123")
NOW = 1_795_000_000.0
MIKROTIK, RATE_LIMIT, ADDRESS_LIST = 14988, 8, 19
RATE = vendor_attribute(MIKROTIK, RATE_LIMIT, b"10M/20M")


class Server:
    """Accepts everybody and acknowledges everything, unless it is silent; keeps what it heard."""

    def __init__(self, attributes: bytes = RATE) -> None:
        self.attributes = attributes
        self.silent = False
        self.heard: list[Packet] = []
        self._waiting: list[Datagram] = []

    def take(self, datagram: Datagram) -> None:
        self.heard.append(parse(datagram.octets))
        self._waiting.append(datagram)

    def answer(self, box: Box, now: float) -> None:
        waiting, self._waiting = self._waiting, []
        for datagram in waiting if not self.silent else []:
            box.receive(datagram.port, datagram.accounting, self._reply(parse(datagram.octets)), now)

    def _reply(self, request: Packet) -> bytes:
        if request.code == Code.ACCOUNTING_REQUEST:
            return sign_accounting_response(request, b"", SECRET)
        return sign_reply(Code.ACCESS_ACCEPT, request.identifier, request.authenticator, self.attributes, SECRET)

    def accounted(self, status: int) -> list[Packet]:
        return [packet for packet in self.heard if packet.integer(Kind.ACCT_STATUS_TYPE) == status]


class Scene:
    """A box, its server, and time that passes in tenths of a second."""

    def __init__(self, lines: int = 1, server: Server | None = None, **options: object) -> None:
        self.server = server or Server()
        self.now = NOW
        credentials = [Credential(f"user{number}", "secret") for number in range(lines)]
        chosen = BoxOptions(**{"ramp": 100_000.0, "interim_s": 10.0, **options})  # type: ignore[arg-type]
        self.box = Box(chosen, credentials, self.server.take, self.now)
        self.asked = 0

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.1
            self.box.tick(self.now)
            self.server.answer(self.box, self.now)

    def line(self) -> Subscriber:
        return self.box.subscribers[0]

    def ask(self, code: Code, attributes: bytes, secret: SharedSecret = SECRET) -> Packet | None:
        self.asked += 1
        octets = sign_request(code, self.asked, attributes, secret, message_authenticator=True)
        reply = self.box.receive_dynamic("server", octets, self.now)
        return parse(reply) if reply else None

    def key(self) -> bytes:
        return text_attribute(Kind.ACCT_SESSION_ID, self.line().acct_session_id)


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.pass_time(1)
    return scene


def test_a_line_goes_online_and_its_counters_move_at_its_rate(scene: Scene) -> None:
    scene.pass_time(21)
    first, second = scene.server.accounted(3)[:2]
    up, down = (
        second.integer(kind) - first.integer(kind)  # type: ignore[operator]
        for kind in (Kind.ACCT_INPUT_OCTETS, Kind.ACCT_OUTPUT_OCTETS)
    )
    assert up > 0
    assert abs(down - 2 * up) < 10  # 10M up, 20M down
    assert scene.box.online == 1


def test_a_rate_changes_live(scene: Scene) -> None:
    reply = scene.ask(Code.COA_REQUEST, scene.key() + vendor_attribute(MIKROTIK, RATE_LIMIT, b"1M/1M"))
    assert reply is not None
    assert reply.code == Code.COA_ACK
    assert scene.line().rate_limit == "1000k/1000k"
    assert scene.line().logins == 1


@pytest.mark.parametrize(
    "refused",
    [
        vendor_attribute(MIKROTIK, ADDRESS_LIST, b"walled-garden"),
        attribute(Kind.FRAMED_IP_ADDRESS, bytes((100, 64, 0, 9))),
        text_attribute(Kind.FRAMED_POOL, "other"),
    ],
)
def test_what_routeros_does_not_change_live_it_refuses_whole(scene: Scene, refused: bytes) -> None:
    rate = vendor_attribute(MIKROTIK, RATE_LIMIT, b"1M/1M")
    reply = scene.ask(Code.COA_REQUEST, scene.key() + rate + refused)
    assert reply is not None
    assert reply.code == Code.COA_NAK
    assert reply.integer(Kind.ERROR_CAUSE) in {
        ErrorCause.UNSUPPORTED_ATTRIBUTE,
        ErrorCause.SESSION_CONTEXT_NOT_FOUND,  # an address is a key, and matches no session
    }
    assert scene.line().rate_limit == "10000k/20000k"


def test_a_request_without_a_key_means_nobody(scene: Scene) -> None:
    reply = scene.ask(Code.DISCONNECT_REQUEST, b"")
    assert reply is not None
    assert (reply.code, reply.integer(Kind.ERROR_CAUSE)) == (Code.DISCONNECT_NAK, ErrorCause.MISSING_ATTRIBUTE)
    assert scene.box.online == 1


def test_a_session_that_is_not_there_is_said_so(scene: Scene) -> None:
    reply = scene.ask(Code.DISCONNECT_REQUEST, text_attribute(Kind.ACCT_SESSION_ID, "81ffffff"))
    assert reply is not None
    assert reply.integer(Kind.ERROR_CAUSE) == ErrorCause.SESSION_CONTEXT_NOT_FOUND


def test_a_wrong_secret_gets_silence(scene: Scene) -> None:
    assert scene.ask(Code.DISCONNECT_REQUEST, scene.key(), SharedSecret(b"other")) is None
    assert scene.box.online == 1


def test_a_disconnected_line_says_why_and_dials_again_within_its_window() -> None:
    scene = Scene(redial_s=(5.0, 7.0))
    scene.pass_time(1)
    reply = scene.ask(Code.DISCONNECT_REQUEST, scene.key())
    assert reply is not None
    assert reply.code == Code.DISCONNECT_ACK
    scene.pass_time(4.9)
    assert scene.server.accounted(2)[0].integer(Kind.ACCT_TERMINATE_CAUSE) == TerminateCause.ADMIN_RESET
    assert scene.line().state is State.OFFLINE
    scene.pass_time(2.5)
    assert scene.line().state is State.ONLINE
    assert scene.line().logins == 2


def test_a_session_lasts_as_long_as_it_is_given() -> None:
    scene = Scene(server=Server(RATE + integer_attribute(Kind.SESSION_TIMEOUT, 30)))
    scene.pass_time(29)
    assert scene.box.online == 1
    scene.pass_time(3)
    assert scene.server.accounted(2)[0].integer(Kind.ACCT_TERMINATE_CAUSE) == TerminateCause.SESSION_TIMEOUT


def test_after_a_reboot_the_box_says_so_sends_no_stop_and_everybody_dials_again() -> None:
    scene = Scene(lines=20, redial_s=(1.0, 3.0))
    scene.pass_time(1)
    scene.box.reboot(scene.now)
    scene.pass_time(5)
    assert len(scene.server.accounted(7)) == 2  # at its first start, too
    assert scene.server.accounted(2) == []
    assert scene.box.online == 20


def test_a_stop_is_sent_until_somebody_answers(scene: Scene) -> None:
    scene.server.silent = True
    scene.box.hang_up(scene.line(), scene.now, redial=False)
    scene.pass_time(20)
    assert len(scene.server.accounted(2)) > 10
    scene.server.silent = False
    scene.pass_time(2)
    assert scene.box.pending == 0


def test_a_shutdown_says_goodbye_for_everybody_though_identifiers_are_few() -> None:
    scene = Scene(lines=700, source_ports=1)
    scene.pass_time(5)
    assert scene.box.online == 700
    scene.box.shut_down(scene.now)
    assert scene.box.pending == 701
    scene.pass_time(1)
    assert scene.box.pending == 0
    assert len({packet.text(Kind.ACCT_SESSION_ID) for packet in scene.server.accounted(2)}) == 700
    assert len(scene.server.accounted(8)) == 1


def test_a_session_ends_when_its_limit_of_octets_is_used_up() -> None:
    limit = vendor_attribute(MIKROTIK, 17, (30_000_000).to_bytes(4, "big"))
    scene = Scene(server=Server(RATE + limit), redial_s=(1000.0, 1000.0))
    scene.pass_time(36)  # 30 Mbit/s at a fifth of it: 750,000 octets a second
    assert scene.line().state is State.ONLINE
    scene.pass_time(8)
    (stop,) = scene.server.accounted(2)
    assert stop.integer(Kind.ACCT_TERMINATE_CAUSE) == TerminateCause.SESSION_TIMEOUT
    counted = [stop.integer(kind) or 0 for kind in (Kind.ACCT_INPUT_OCTETS, Kind.ACCT_OUTPUT_OCTETS)]
    assert 30_000_000 <= sum(counted) < 31_000_000


def test_a_limit_beyond_32_bits_is_read_with_its_gigawords() -> None:
    limit = vendor_attribute(MIKROTIK, 17, (5).to_bytes(4, "big")) + vendor_attribute(
        MIKROTIK, 18, (2).to_bytes(4, "big")
    )
    scene = Scene(server=Server(RATE + limit))
    scene.pass_time(60)
    assert (scene.line().state, scene.line().grant.total_octets) == (State.ONLINE, 2 << 32 | 5)

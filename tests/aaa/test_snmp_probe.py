"""Sessions looked for at an SNMP agent, over real sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from random import Random

import pytest
from factories import make_nas
from snmp_agent import SYS_UP_TIME, Agent, Ticks, column

from aaa.authenticator import SharedSecret
from aaa.coa import Target
from aaa.liveness import Addressee, Liveness, addressee_of
from aaa.snmp import agent as asking
from aaa.snmp.access import SnmpAccess, snmp_access
from aaa.snmp.probe import FRESH_S, PEACE, QUESTIONS_MAX, SILENT_S, SnmpProbe
from aaa.snmp.tables import CASN_USER_ID, CSUB_SESSION_USERNAME, HW_ACCESS_USER_NAME, SETTLED_S
from core import network
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models.network import Session, Vendor

ALIVE, GONE, UNKNOWN = Liveness.ALIVE, Liveness.GONE, Liveness.UNKNOWN
NOW = datetime(2026, 11, 25, tzinfo=UTC)
NAMES = HW_ACCESS_USER_NAME.oid


class House:
    """A Huawei whose agent has these logins, and the probe."""

    def __init__(self, *logins: str) -> None:
        self.agent = Agent(column(NAMES, *logins))
        self.now = 1000.0
        self.probe = SnmpProbe(lambda: NOW, lambda: self.now)

    def session(self, login: str, vendor: Vendor = Vendor.HUAWEI, **more: object) -> Addressee:
        access = SnmpAccess("127.0.0.1", self.agent.port, vendor, community="leitura")
        one = Addressee(
            hash(login), Target("127.0.0.1", 9, SharedSecret(b"s")), b"", b"", login, "0000001F",
            started_at=NOW - timedelta(hours=1), snmp=access,
        )  # fmt: skip
        return replace(one, **more)  # type: ignore[arg-type]

    def ask(self, login: str, **more: object) -> Liveness:
        return self.ask_all(self.session(login, **more))[0]  # type: ignore[arg-type]

    def ask_all(self, *addressees: Addressee) -> list[Liveness]:
        told: SimpleQueue[tuple[int, Liveness]] = SimpleQueue()
        for place, one in enumerate(addressees):
            self.probe.ask(one, lambda liveness, place=place: told.put((place, liveness)))  # type: ignore[misc]
        answers = dict(told.get(timeout=20) for _ in addressees)
        return [answers[place] for place in range(len(addressees))]

    def close(self) -> None:
        self.probe.close()
        self.agent.close()


@pytest.fixture
def house() -> Iterator[House]:
    house = House("ana@isp", "bob@isp")
    yield house
    house.close()


def test_a_session_that_the_table_has_lives_and_one_that_it_has_not_is_gone(house: House) -> None:
    assert [house.ask(login) for login in ("carla", "ana", "carla")] == [UNKNOWN, ALIVE, GONE]
    assert house.agent.readings(NAMES) == 1


def test_a_storm_of_questions_reads_the_table_once(house: House) -> None:
    asked = [house.session("ana" if number == 0 else f"dead{number}") for number in range(200)]
    answers = house.ask_all(*asked)
    assert (answers[0], answers.count(ALIVE), house.agent.readings(NAMES)) == (ALIVE, 1, 1)


def test_a_table_is_read_again_once_it_is_stale(house: House) -> None:
    assert house.ask("ana") is ALIVE
    house.agent.has = {SYS_UP_TIME: Ticks(8_640_000), **column(NAMES, "bob@isp")}
    house.now += FRESH_S - 1
    assert house.ask("ana") is ALIVE
    house.now += 2
    assert (house.ask("ana"), house.ask("bob")) == (GONE, ALIVE)


def test_an_agent_for_which_a_reading_is_hard_work_is_left_in_peace(house: House) -> None:
    def work(oid: str) -> None:
        house.now += 4.0 if oid == NAMES else 0.0

    house.agent.before = work
    assert house.ask("ana") is ALIVE
    house.now += FRESH_S + 1
    assert house.ask("ana") is UNKNOWN
    house.now += PEACE * 4.0
    assert house.ask("ana") is ALIVE
    assert house.agent.readings(NAMES) == 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "COLUMN_ANSWER_S", 0.2)


@pytest.mark.usefixtures("impatient")
def test_an_agent_that_does_not_answer_is_not_asked_again_for_a_while(house: House) -> None:
    house.agent.silent = True
    assert house.ask("ana") is UNKNOWN
    asked = len(house.agent.asked)
    house.agent.silent = False
    house.now += SILENT_S - 1
    assert (house.ask("ana"), len(house.agent.asked)) == (UNKNOWN, asked)
    house.now += 2
    assert house.ask("ana") is ALIVE


@pytest.mark.usefixtures("impatient")
def test_an_agent_that_falls_silent_amid_a_reading_says_nothing(house: House) -> None:
    def fall_silent(oid: str) -> None:
        house.agent.silent = oid == NAMES

    house.agent.before = fall_silent
    assert house.ask("carla") is UNKNOWN


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("community", ["", "errada"])
def test_a_wrong_community_is_as_silence(house: House, community: str) -> None:
    access = house.session("ana").snmp
    assert access is not None
    assert house.ask("ana", snmp=replace(access, community=community)) is UNKNOWN


def test_a_place_where_nobody_listens_is_as_silence(house: House) -> None:
    one = house.session("ana")
    house.agent.close()
    assert house.ask_all(one) == [UNKNOWN]


def test_a_table_with_more_rows_than_are_read_says_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ROWS_MAX", 100)
    house.agent.has |= column(NAMES, *(f"u{number}@isp" for number in range(101)))
    assert [house.ask(login) for login in ("u1", "carla")] == [UNKNOWN, UNKNOWN]
    assert house.agent.readings(NAMES) == 1


def test_a_table_of_many_answers_is_read_to_its_end(house: House) -> None:
    house.agent.has |= column(NAMES, *(f"u{number}@isp" for number in range(1000)))
    assert [house.ask(login) for login in ("u999", "u0", "ana")] == [ALIVE, ALIVE, GONE]


def test_an_agent_that_started_amid_a_reading_misses_nobody(house: House) -> None:
    assert house.ask("ana") is ALIVE
    house.now += FRESH_S + 1

    def start_again(oid: str) -> None:
        if oid == NAMES:
            house.agent.has = {SYS_UP_TIME: Ticks(5), **column(NAMES, "bob@isp")}

    house.agent.before = start_again
    assert house.ask("ana") is UNKNOWN


def test_a_ciscos_row_is_asked_for_by_its_session_id_and_the_names_only_when_it_is_not_known() -> None:
    house = House()
    house.agent.has |= {f"{CASN_USER_ID.oid}.31": "ana", f"{CSUB_SESSION_USERNAME.oid}.4": "dora"}
    cisco = [house.session(login, Vendor.CISCO) for login in ("ana", "dora")]
    assert house.ask_all(cisco[0]) == [ALIVE]
    assert house.agent.readings(CSUB_SESSION_USERNAME.oid) == 0
    assert house.ask_all(replace(cisco[1], acct_session_id="odd")) == [ALIVE]
    assert house.ask_all(replace(cisco[0], acct_session_id="00000020")) == [GONE]
    house.agent.has[SYS_UP_TIME] = Ticks(SETTLED_S * 100 - 1)
    assert house.ask_all(replace(cisco[0], acct_session_id="00000020")) == [UNKNOWN]
    house.close()


def test_an_agent_without_the_table_has_no_say(house: House) -> None:
    assert house.ask("ana", vendor=Vendor.JUNIPER) is UNKNOWN


def test_who_cannot_be_asked_is_unknown_at_once(house: House) -> None:
    told: list[Liveness] = []
    house.probe.ask(house.session("ana", snmp=None), told.append)
    house.probe.ask(house.session("ana", Vendor.NOKIA), told.append)
    assert told == [UNKNOWN, UNKNOWN]
    assert house.agent.asked == []


def test_more_questions_than_may_wait_are_unknown_at_once(house: House) -> None:
    going_on = threading.Event()
    house.agent.before = lambda _: (going_on.wait(10), None)[1]
    told: SimpleQueue[Liveness] = SimpleQueue()
    for number in range(QUESTIONS_MAX):
        house.probe.ask(house.session("ana", session_id=number), told.put)
    above: list[Liveness] = []
    house.probe.ask(house.session("ana"), above.append)
    assert above == [UNKNOWN]
    going_on.set()
    answers = [told.get(timeout=20) for _ in range(QUESTIONS_MAX)]
    assert answers.count(ALIVE) == 1


def test_who_waits_when_the_probe_is_closed_is_told(house: House) -> None:
    house.agent.silent = True
    told: SimpleQueue[Liveness] = SimpleQueue()
    house.probe.ask(house.session("ana"), told.put)
    house.probe.close()
    assert told.get(timeout=5) is UNKNOWN


@pytest.mark.parametrize("length", [1, 2, 9, 20, 40])
def test_an_answer_that_is_cut_short_is_a_failure_of_the_agent(house: House, length: int) -> None:
    house.agent.mangle = lambda octets: octets[:length]
    access = house.session("ana").snmp
    assert access is not None
    with pytest.raises(asking.AgentFailed):
        asyncio.run(asking.get(access, [SYS_UP_TIME]))


@pytest.mark.usefixtures("impatient")
def test_whatever_an_agent_sends_whoever_asked_is_told(house: House) -> None:
    random = Random(7)
    house.agent.mangle = lambda octets: _mangled(octets, random)
    said = []
    for _ in range(60):
        house.now += 1000.0
        said.append(house.ask("ana"))
    assert UNKNOWN in said
    assert GONE not in said
    house.agent.mangle = bytes
    house.now += 1000.0
    assert house.ask("ana") is ALIVE


def _mangled(octets: bytes, random: Random) -> bytes:
    """Cut short, or with some octets changed."""
    if random.random() < 0.3:
        return octets[: random.randrange(len(octets))]
    changed = bytearray(octets)
    for _ in range(random.randrange(4)):
        changed[random.randrange(len(octets))] = random.randrange(256)
    return bytes(changed)


@pytest.fixture
def entry(database: Database, keyring: Keyring, clock: ManualClock) -> Callable[..., Addressee]:
    """The addressee of a session at 10.0.0.7 of a NAS entry with this address."""

    def make(address: str, snmp: dict[str, object], secret: dict[str, str]) -> Addressee:
        with database.transaction() as session:
            nas = make_nas(session, keyring, address=address, vendor=Vendor.HUAWEI)
            network.update_nas(session, keyring, nas, {"snmp": snmp, "snmp_secret": secret}, Actor("test"))
            live = Session(
                nas_id=nas.id, box="b", acct_session_id="s1", login="ana", nas_address="10.0.0.7", started_at=clock(),
                updated_at=clock(),
            )  # fmt: skip
            session.add(live)
            session.flush()
            return addressee_of(live, nas, keyring)

    return make


def test_a_box_is_asked_at_its_own_address_and_of_a_network_at_the_sessions(entry: Callable[..., Addressee]) -> None:
    own = entry("10.0.0.1", {"version": "v2c", "port": 1161}, {"community": "leitura"})
    assert own.snmp == SnmpAccess("10.0.0.1", 1161, Vendor.HUAWEI, community="leitura")
    assert "leitura" not in repr(own)
    v3 = {"version": "v3", "user": "u", "auth": "sha256", "priv": "aes128"}
    boxes = entry("10.0.0.0/24", v3, {"auth": "autenticar", "priv": "particular"})
    assert boxes.snmp == SnmpAccess(
        "10.0.0.7", 161, Vendor.HUAWEI, user="u", auth="sha256", auth_passphrase="autenticar", priv="aes128",
        priv_passphrase="particular",
    )  # fmt: skip
    assert "particular" not in repr(boxes)
    assert "autenticar" not in repr(boxes)


def test_no_community_is_sent_to_where_a_box_only_says_that_it_is(entry: Callable[..., Addressee]) -> None:
    assert entry("10.0.1.0/24", {}, {"community": "leitura"}).snmp is None


def test_a_nas_without_snmp_is_not_asked(database: Database, keyring: Keyring) -> None:
    with database.transaction() as session:
        assert snmp_access(make_nas(session, keyring), "10.0.0.1", keyring) is None

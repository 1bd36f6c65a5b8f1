"""Does this session live? Asked of simulated routers over their API, and what is made of each thing they may show."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from factories import make_nas
from hypothesis import given
from hypothesis import strategies as st
from routeros_boxes import Box, box, session
from sqlalchemy import select

from aaa.authenticator import SharedSecret
from aaa.coa import Target
from aaa.liveness import Addressee, Liveness, addressee_of
from core.database import Database
from core.keyring import ROUTEROS_PASSWORD, Keyring
from core.models.network import Nas, Session
from core.routeros import RouterOsAccess, check_routeros
from provisioning.routeros.client import RouterOs
from provisioning.routeros.lines import WAITING_MAX, RouterLines
from provisioning.routeros.liveness import REST_S, RouterOsProbe
from provisioning.routeros.presence import HOTSPOT, LEASES, PPP, is_among, queries
from provisioning.routeros.values import mac_address, parse_duration, session_number
from provisioning.simulators.routeros import Listing
from provisioning.simulators.routeros.tables import duration

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
STARTED = NOW - timedelta(hours=1)
MAC = "02:00:00:00:00:01"


def addressee(found: Box | None = None, **given: Any) -> Addressee:
    plain = Addressee(
        7, Target("127.0.0.1", 3799, SharedSecret(b"s")), b"", b"", "ana", "81c00001", MAC, box="bras-1",
        addresses=("100.64.0.1",), started_at=datetime.now(UTC) - timedelta(seconds=90),
        routeros=None if found is None else found.access(),
    )  # fmt: skip
    return dataclasses.replace(plain, **given)


@pytest.fixture
def probe() -> Iterator[RouterOsProbe]:
    lines = RouterLines()
    yield RouterOsProbe(lines)
    lines.close()


def told(probe: RouterOsProbe, one: Addressee) -> Liveness:
    answers: SimpleQueue[Liveness] = SimpleQueue()
    probe.ask(one, answers.put)
    return answers.get(timeout=10)


def test_a_session_that_the_router_shows_lives_and_one_that_it_does_not_is_gone(probe: RouterOsProbe) -> None:
    with box(session(1, "ana"), session(2, "eva")) as found:
        assert told(probe, addressee(found)) is Liveness.ALIVE
        found.online.end(found.online.read()[0])
        assert told(probe, addressee(found)) is Liveness.GONE
        assert found.server.connections == 1


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"box": "bras-2"}, id="another box of the same entry has it"),
        pytest.param({"box": "192.0.2.7"}, id="a box that only its address names, which is another"),
        pytest.param({"addresses": ()}, id="it has no address, so these menus would not show it"),
        pytest.param({"login": ""}, id="nobody's"),
    ],
)
def test_what_is_not_there_is_not_gone_while_there_is_doubt(probe: RouterOsProbe, given: dict[str, Any]) -> None:
    with box(session(2, "eva")) as found:
        assert told(probe, addressee(found, **given)) is Liveness.UNKNOWN


def test_a_box_is_known_by_its_address_where_nothing_else_is_known(probe: RouterOsProbe) -> None:
    with box(session(2, "eva"), identity="MikroTik") as found:
        assert told(probe, addressee(found, box="127.0.0.1")) is Liveness.GONE


def test_without_access_nothing_is_known_at_once(probe: RouterOsProbe) -> None:
    answers: list[Liveness] = []
    probe.ask(addressee(), answers.append)
    assert answers == [Liveness.UNKNOWN]


def test_a_router_without_hotspot_has_no_hotspot_sessions(probe: RouterOsProbe) -> None:
    with box() as found:
        menus: Any = found.server.router.menus
        del menus["/ip/hotspot/active"]
        assert told(probe, addressee(found)) is Liveness.GONE


HOTSPOT_ROW = {".id": "*1", "server": "hs", "user": "ana", "address": "10.5.0.2", "mac-address": MAC, "uptime": "1m30s"}
LEASE_ROW = {
    ".id": "*1", "address": "100.64.0.9", "mac-address": MAC, "status": "bound", "active-address": "100.64.0.9",
    "active-mac-address": MAC, "radius": "true",
}  # fmt: skip


def test_hotspot_users_and_leases_live_too(probe: RouterOsProbe) -> None:
    others = {
        "/ip/hotspot/active": Listing(lambda: [HOTSPOT_ROW]),
        "/ip/dhcp-server/lease": Listing(lambda: [LEASE_ROW]),
    }
    with box(others=others) as found:
        assert told(probe, addressee(found, acct_session_id="80300083")) is Liveness.ALIVE
        assert told(probe, addressee(found, login="02-00-00-00-00-01", acct_session_id="x")) is Liveness.ALIVE
        assert told(probe, addressee(found, login="eva", acct_session_id="80300084")) is Liveness.GONE


def test_a_login_whose_case_and_realm_were_changed_is_found_by_device_or_address(probe: RouterOsProbe) -> None:
    with box(session(1, "Ana@isp")) as found:
        assert told(probe, addressee(found)) is Liveness.ALIVE
        assert told(probe, addressee(found, calling_station_id=None)) is Liveness.ALIVE


def row(**given: str) -> dict[str, str]:
    plain = {"name": "ana", "caller-id": MAC, "address": "100.64.0.1", "session-id": "0x81C00001", "uptime": "1h"}
    return plain | {name.replace("_", "-"): value for name, value in given.items()}


@pytest.mark.parametrize(
    ("shown", "liveness"),
    [
        ([], Liveness.GONE),
        ([row()], Liveness.ALIVE),
        ([row(name="eva")], Liveness.GONE),  # her address or device is another's by now
        ([row(caller_id="02:FF:00:00:00:01")], Liveness.ALIVE),  # the id says it
        ([row(session_id="0x81C00002", caller_id="02:FF:00:00:00:01")], Liveness.GONE),
        ([row(session_id="0x81C00002", uptime="10s")], Liveness.GONE),  # the same device dialled anew
        ([row(session_id="0x81C00002")], Liveness.UNKNOWN),
        ([row(session_id="0x81C00002", uptime="")], Liveness.UNKNOWN),
        ([row(session_id="")], Liveness.ALIVE),
        ([row(session_id="", uptime="10s")], Liveness.UNKNOWN),
        ([row(session_id="", caller_id="")], Liveness.UNKNOWN),
        ([row(session_id="", caller_id="olt-1 0/1/2")], Liveness.UNKNOWN),  # a circuit is no other device
        ([row(session_id="", caller_id="020000:000001")], Liveness.ALIVE),
        ([row(session_id="0x81C00002", caller_id="", uptime="10s")], Liveness.GONE),
        ([row(session_id="0x81C00002", uptime="10s"), row()], Liveness.ALIVE),
        ([row(session_id="0x81C00002", uptime="10s"), row(session_id="")], Liveness.ALIVE),
    ],
)
def test_what_is_made_of_what_a_router_shows(shown: list[dict[str, str]], liveness: Liveness) -> None:
    assert is_among(addressee(started_at=STARTED), PPP, shown, NOW) is liveness


TEXTS = st.sampled_from(["", "0x81C00001", "0x81C00002", "odd"])
ROWS = st.lists(
    st.builds(
        row, name=st.sampled_from(["ana", "ANA", "ana@isp", "eva"]), session_id=TEXTS,
        caller_id=st.sampled_from(["", MAC, MAC.lower(), "02:FF:00:00:00:01"]),
        uptime=st.sampled_from(["", "5s", "1h", "9w", "odd"]),
    ),
    max_size=4,
)  # fmt: skip


@given(ROWS)
def test_never_gone_while_a_row_has_its_id_or_could_be_it(shown: list[dict[str, str]]) -> None:
    liveness = is_among(addressee(started_at=STARTED), PPP, shown, NOW)
    hers = [one for one in shown if one["name"] != "eva"]
    if any(one["session-id"] == "0x81C00001" for one in hers):
        assert liveness is Liveness.ALIVE
    if any(one["session-id"] in {"", "odd"} and one["caller-id"] in {"", MAC, MAC.lower()} for one in hers):
        assert liveness is not Liveness.GONE
    if not hers:
        assert liveness is Liveness.GONE


def test_a_router_is_asked_for_login_device_and_address() -> None:
    one = addressee(calling_station_id="02-00-00-00-00-01", addresses=("100.64.0.1", "2001:db8::/64"))
    assert queries(one, PPP) == ["name=ana", f"caller-id={MAC}", "address=100.64.0.1", "#||"]
    assert queries(one, HOTSPOT) == ["user=ana", f"mac-address={MAC}", "address=100.64.0.1", "#||"]
    assert queries(addressee(login=MAC.lower()), LEASES) == [f"active-mac-address={MAC}"]
    assert queries(addressee(calling_station_id=None, addresses=()), PPP) == ["name=ana"]


@pytest.mark.parametrize("given", [{"password": "wrong"}, {"port": 1}, {"tls": True, "certificate_sha256": "0" * 64}])
def test_a_router_that_cannot_be_asked_is_left_alone_for_a_while(given: dict[str, Any]) -> None:
    moments = [1000.0]
    connects: list[RouterOsAccess] = []

    def connect(access: RouterOsAccess) -> RouterOs:
        connects.append(access)
        return RouterOs(access, timeout_s=0.5)

    with box(session(1)) as found:
        lines = RouterLines(connect=connect)
        probe = RouterOsProbe(lines, monotonic=lambda: moments[0])
        wrong = addressee(found, routeros=found.access(**given))
        assert told(probe, wrong) is Liveness.UNKNOWN
        assert told(probe, wrong) is Liveness.UNKNOWN
        assert len(connects) == 1  # one thread for both
        moments[0] += REST_S + 1
        assert told(probe, wrong) is Liveness.UNKNOWN
        assert told(probe, addressee(found)) is Liveness.ALIVE  # with the right access
        lines.close()


def test_a_router_comes_back_when_its_rest_is_over() -> None:
    moments = [1000.0]
    broken = threading.Event()
    broken.set()

    def shown() -> list[dict[str, str]]:
        if broken.is_set():
            raise OSError("the connection ends")
        return [row()]

    with box(others={"/ppp/active": Listing(shown)}) as found:
        lines = RouterLines()
        probe = RouterOsProbe(lines, monotonic=lambda: moments[0])
        one = addressee(found)
        assert told(probe, one) is Liveness.UNKNOWN
        broken.clear()
        assert told(probe, one) is Liveness.UNKNOWN  # it rests
        moments[0] += REST_S + 1
        assert told(probe, one) is Liveness.ALIVE
        lines.close()


def test_one_router_that_is_slow_delays_no_other_and_its_queue_is_bounded(probe: RouterOsProbe) -> None:
    let_go = threading.Event()

    def slow() -> list[dict[str, str]]:
        let_go.wait(10)
        return []

    answers: list[Liveness] = []
    with box(others={"/ppp/active": Listing(slow)}) as stuck, box(session(1)) as found:
        for _ in range(WAITING_MAX + 50):
            probe.ask(addressee(stuck), answers.append)
        assert 49 <= len(answers) <= 50
        assert set(answers) == {Liveness.UNKNOWN}
        assert told(probe, addressee(found)) is Liveness.ALIVE
        let_go.set()


def test_an_idle_connection_is_given_up_and_made_anew() -> None:
    lines = RouterLines(idle_s=0.05)
    probe = RouterOsProbe(lines)
    with box(session(1)) as found:
        assert told(probe, addressee(found)) is Liveness.ALIVE
        deadline = time.monotonic() + 5
        while (lines.open_routers or found.server.connections) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (lines.open_routers, found.server.connections) == (0, 0)
        assert told(probe, addressee(found)) is Liveness.ALIVE


def test_a_session_is_asked_about_at_its_own_box_and_only_inside_the_entry(
    database: Database, keyring: Keyring
) -> None:
    with database.transaction() as session_:
        nas = make_nas(
            session_, keyring, address="10.9.0.0/24", routeros=check_routeros({"user": "provedor"}),
            routeros_password_encrypted=keyring.seal("p4", ROUTEROS_PASSWORD),
        )  # fmt: skip
        for number, address in enumerate(("10.9.0.7", "10.8.0.7")):
            session_.add(
                Session(
                    nas_id=nas.id, box=f"b{number}", acct_session_id=f"s{number}", login="ana", started_at=NOW,
                    updated_at=NOW, nas_address=address, framed_ipv4="100.64.0.1",
                )
            )  # fmt: skip
    with database.transaction() as session_:
        found = session_.scalars(select(Session).order_by(Session.id)).all()
        entry = session_.scalars(select(Nas)).one()
        inside, outside = [addressee_of(one, entry, keyring) for one in found]
    assert inside.routeros == RouterOsAccess(nas.id, "10.9.0.7", 8729, "provedor", "p4")
    assert (inside.box, inside.addresses, inside.started_at) == ("b0", ("100.64.0.1",), NOW)
    assert outside.routeros is None


@given(st.integers(0, 10**9))
def test_times_are_read_as_the_router_writes_them(seconds: int) -> None:
    assert parse_duration(duration(seconds)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3w4d12h23m12s", 2204592),
        ("1d04:05:06", 101106),
        ("00:00:07", 7),
        ("12s340ms", 12.34),
        ("340ms", 0.34),
        ("5m", 300),
    ],
)
def test_times_of_older_versions_and_with_fractions_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.text(max_size=30))
def test_whatever_text_comes_is_a_value_or_none(text: str) -> None:
    assert parse_duration(text) is None or parse_duration(text) >= timedelta(0)  # type: ignore[operator]
    assert session_number(text) is None or session_number(text) >= 0  # type: ignore[operator]
    assert mac_address(text) is None or len(str(mac_address(text))) == 17


@pytest.mark.parametrize(
    "text",
    ["02:00:00:00:00:01", "02-00-00-00-00-01", "0200:0000:0001", "020000:000001", "020000-000001", "020000000001"],
)
def test_a_mac_address_is_known_in_each_of_a_routers_formats(text: str) -> None:
    assert mac_address(text) == MAC


def test_a_session_id_is_the_same_number_with_and_without_its_prefix() -> None:
    assert session_number("0x81C00002") == session_number("81c00002") == 0x81C00002
    assert session_number("pppoe-1") is None

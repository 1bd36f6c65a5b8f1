"""What goes wrong at the simulated router to order, as clients meet it; many routers in one process; large ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import librouteros
import pytest
import routeros_api
from hypothesis import given
from hypothesis import strategies as st
from librouteros.exceptions import ConnectionClosed, TrapError
from routeros_boxes import PASSWORD, USER, Box, Clock, box, do, lone_router, rows

from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import Unreachable
from provisioning.simulators.routeros import ApiServer, Fault, FaultKind, Fleet, Version, When, ticking
from provisioning.simulators.routeros.command import Command
from provisioning.simulators.routeros.dialogue import Dialogue
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.faults import Faults
from provisioning.simulators.routeros.words import encode_sentence

GONE = (ConnectionClosed, OSError)
ADD = "/ppp/secret/add"


@pytest.fixture
def router() -> Iterator[Box]:
    with box() as found:
        yield found


def connect(found: Box) -> Any:
    return librouteros.connect("127.0.0.1", USER, PASSWORD, port=found.server.port, encoding="utf-8", timeout=5)


def names(found: Box) -> list[str]:
    return [row["name"] for row in rows(found.router, "/ppp/secret")]


@pytest.mark.parametrize(("when", "done"), [(When.BEFORE, False), (When.AFTER, True)])
def test_a_connection_is_cut_before_or_after_the_command_is_done(router: Box, when: When, done: bool) -> None:
    api = connect(router)
    router.router.faults.order(Fault(FaultKind.CUT, ADD, at=2, when=when))
    tuple(api(ADD, name="first"))
    with pytest.raises(GONE):
        tuple(api(ADD, name="second"))
    assert ("second" in names(router)) is done
    tuple(connect(router)(ADD, name="third"))
    assert names(router)[-1] == "third"


def test_an_answer_is_cut_in_the_middle_of_a_sentence_and_our_client_says_so(router: Box) -> None:
    for name in ("a", "b", "c"):
        do(router.router, ADD, name=name)
    router.router.faults.order(Fault(FaultKind.CUT, "/ppp/secret", when=When.AFTER, sentences=1, octets=7))
    client = RouterOs(RouterOsAccess(1, "127.0.0.1", router.server.port, USER, PASSWORD, tls=False))
    client.rows("/ppp/aaa", ("use-radius",))
    assert len(client.rows("/ppp/secret", ("name",))) == 3  # a question is asked again on a new connection
    router.router.faults.order(Fault(FaultKind.CUT, ADD, when=When.AFTER, octets=3))
    with pytest.raises(Unreachable):
        client.call(ADD, {"name": "d"})
    assert names(router) == ["a", "b", "c", "d"]


def test_whole_sentences_come_before_the_cut() -> None:
    found = lone_router()
    do(found, ADD, name="a")
    do(found, ADD, name="b")
    found.faults.order(Fault(FaultKind.CUT, "/ppp", when=When.AFTER, sentences=1, octets=2))
    dialogue = Dialogue(found, bytes)
    login = encode_sentence([b"/login", b"=name=" + USER.encode(), b"=password=" + PASSWORD.encode()])
    assert b"".join(one for one in dialogue.receive(login) if isinstance(one, bytes)) == encode_sentence([b"!done"])
    answer = dialogue.receive(encode_sentence([b"/ppp/secret/print", b"=.proplist=name"]))
    whole = encode_sentence([b"!re", b"=name=a"])
    assert b"".join(one for one in answer if isinstance(one, bytes)) == whole + b"\x03!"
    assert dialogue.over


def test_a_trap_comes_to_order_with_its_category_as_often_as_ordered(router: Box) -> None:
    api = connect(router)
    router.router.faults.order(
        Fault(FaultKind.REFUSE, "/ppp", times=2, message="not enough permissions (9)", category=4)
    )
    for _ in range(2):
        with pytest.raises(TrapError) as trap:
            tuple(api(ADD, name="a"))
        assert (trap.value.message, trap.value.category) == ("not enough permissions (9)", 4)
        tuple(api("/system/identity/print"))  # does not count
    tuple(api(ADD, name="a"))


def test_a_slow_answer_is_late_and_a_silent_router_accepts_and_says_nothing(router: Box) -> None:
    client = RouterOs(RouterOsAccess(1, "127.0.0.1", router.server.port, USER, PASSWORD, tls=False), timeout_s=0.2)
    client.rows("/ppp/aaa", ("use-radius",))
    fault = router.router.faults.order(Fault(FaultKind.SLOW, seconds=30, times=0))
    with pytest.raises(Unreachable, match="no answer"):
        client.rows("/ppp/aaa", ("use-radius",))
    do(router.router, "/simulate/faults/remove", _id=fault)
    router.router.faults.order(Fault(FaultKind.SILENT, times=0))
    with pytest.raises(Unreachable, match="no answer"):
        client.rows("/ppp/aaa", ("use-radius",))
    assert not client.connected
    do(router.router, "/simulate/faults/clear")
    assert client.rows("/ppp/aaa", ("use-radius",)) == [{"use-radius": "false"}]


def test_a_router_reboots_at_a_command_and_lets_nobody_in_for_a_while() -> None:
    clock = Clock()
    with box(clock=clock) as found:
        api = connect(found)
        tuple(api("/safe-mode/take"))
        found.router.faults.order(Fault(FaultKind.REBOOT, ADD, at=2, seconds=20, when=When.AFTER))
        tuple(api(ADD, name="a"))
        with pytest.raises(GONE):
            tuple(api(ADD, name="b"))
        with pytest.raises(GONE):
            connect(found)
        clock.now += 21
        (row,) = connect(found)("/system/resource/print")
        assert (row["uptime"], names(found)) == ("1s", [])


def test_a_router_that_reboots_when_it_has_answered_has_answered(router: Box) -> None:
    api = connect(router)
    router.router.faults.order(Fault(FaultKind.REBOOT, ADD, when=When.ANSWERED))
    assert api.path("ppp", "secret").add(name="a") == "*1"
    with pytest.raises(GONE):
        tuple(api("/ppp/secret/print"))
    assert names(router) == ["a"]


def test_a_person_orders_faults_over_the_api(router: Box) -> None:
    pool = routeros_api.RouterOsApiPool("127.0.0.1", USER, PASSWORD, port=router.server.port, plaintext_login=True)
    faults = pool.get_api().get_resource("/simulate/faults")
    faults.add(kind="refuse", command=ADD, message="failure: disk full")
    with pytest.raises(routeros_api.exceptions.RouterOsApiCommunicationError, match="disk full"):
        pool.get_api().get_resource("/ppp/secret").add(name="a")
    (row,) = faults.get()
    assert (row["kind"], row["command"], row["done"]) == ("refuse", ADD, "1")
    faults.remove(id=row["id"])
    assert faults.get() == []
    for wrong, message in (
        ({"kind": "fire"}, "input does not match any value of kind"),
        ({"kind": "slow", "seconds": "long"}, "invalid value for argument seconds"),
        ({"kind": "slow", "colour": "blue"}, "unknown parameter"),
    ):
        with pytest.raises(routeros_api.exceptions.RouterOsApiCommunicationError, match=message):
            faults.add(**wrong)
    pool.disconnect()


@given(st.integers(1, 5), st.integers(0, 5), st.integers(1, 20))
def test_a_fault_meets_the_commands_it_was_ordered_for(at: int, times: int, commands: int) -> None:
    faults = Faults()
    faults.order(Fault(FaultKind.REFUSE, "/ppp/secret", at=at, times=times))
    met = []
    for number in range(1, commands + 1):
        assert faults.due(Command("/ppp/secretary/print")) == []
        met += [number] * len(faults.due(Command("/ppp/secret/print")))
    last = commands if times == 0 else min(commands, at + times - 1)
    assert met == list(range(at, last + 1))


def test_hundreds_of_routers_are_served_by_one_thread() -> None:
    fleet = Fleet()
    routers = [lone_router(list(Version)[number % 5], identity=f"r{number}") for number in range(100)]
    servers = [ApiServer(router, fleet=fleet) for router in routers]
    try:
        for server in servers[::20]:
            (row,) = librouteros.connect("127.0.0.1", USER, PASSWORD, port=server.port, **_login(server))(
                "/system/identity/print"
            )
            assert row["name"] == rows(server.router, "/system/identity")[0]["name"]
    finally:
        for server in servers:
            server.close()
        fleet.close()


def _login(server: ApiServer) -> dict[str, Any]:
    by_challenge = server.router.version.logs_in_by_challenge
    return {"timeout": 5, **({"login_method": librouteros.login.token} if by_challenge else {})}


def test_many_connections_change_one_router_and_each_change_is_whole(router: Box) -> None:
    def work(worker: int) -> None:
        api = connect(router)
        for number in range(30):
            tuple(api(ADD, name=f"{worker}-{number}", comment="x"))
            tuple(api("/ip/firewall/filter/add", chain="forward", comment=f"{worker}-{number}"))
            if number % 3 == 0:
                tuple(api("/ppp/secret/remove", **{".id": f"{worker}-{number}"}))
            tuple(api("/system/history/print"))
        api.close()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(router)) == sorted(f"{worker}-{n}" for worker in range(6) for n in range(30) if n % 3)
    rules = rows(router.router, "/ip/firewall/filter")
    assert len({row[".id"] for row in rules}) == len(rules) == 180


def test_a_router_of_ten_thousand_secrets_and_a_thousand_rules_answers_at_once() -> None:
    router = lone_router()
    for number in range(10_000):
        do(router, ADD, name=f"user{number:05d}", password="x", service="pppoe", comment="provedor:1")
    ids = [do(router, "/ip/firewall/filter/add", chain="forward", comment=str(number)) for number in range(1000)]
    started = time.process_time()
    assert len(rows(router, "/ppp/secret")) == 10_000
    assert len(rows(router, "/ppp/secret", where=("name=user00007",))) == 1
    do(router, "/ip/firewall/filter/move", numbers=",".join(reversed(ids[1:])), destination=ids[0])
    for one in ids[:100]:
        do(router, "/ip/firewall/filter/move", numbers=one)
    do(router, "/ppp/secret/remove", numbers=",".join(f"user{number:05d}" for number in range(5000)))
    assert time.process_time() - started < 2.0  # a quarter of that here
    assert len(rows(router, "/ppp/secret")) == 5000


def test_a_clock_that_ticks_runs_what_is_due_though_nobody_asks() -> None:
    router = lone_router(clock=time.time)
    do(router, "/system/scheduler/add", name="s", interval="1s", on_event="/ppp secret add name=x")
    with ticking([router], every_s=0.01):
        deadline = time.monotonic() + 5
        while not list(router.configuration.tables["/ppp/secret"]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    with pytest.raises(Refused, match="already exists"):
        do(router, ADD, name="x")

"""Safe mode of the simulated router: bound to its connection, and all is as it was when that connection is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import librouteros
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from librouteros.exceptions import FatalError, TrapError
from routeros_boxes import PASSWORD, USER, Box, box, do, lone_router, rows

from provisioning.simulators.routeros import SYSTEM, Router
from provisioning.simulators.routeros.command import Caller, Connection
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.history import ACTIONS_MAX
from provisioning.simulators.routeros.policies import POLICIES

FILTER = "/ip/firewall/filter"
MENUS = (
    "/ip/pool", "/ppp/profile", "/ppp/secret", FILTER, "/interface", "/interface/vlan", "/ip/address", "/queue/simple",
    "/ppp/aaa", "/ip/service", "/user", "/system/scheduler",
)  # fmt: skip
#: Of those, whose rows come and go.
CHANGING = ("/ppp/secret", FILTER, "/queue/simple", "/interface/vlan")


@pytest.fixture
def router() -> Iterator[Box]:
    with box() as found:
        yield found


def connect(found: Box) -> Any:
    return librouteros.connect("127.0.0.1", USER, PASSWORD, port=found.server.port, encoding="utf-8", timeout=5)


def wait_for(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def names(found: Box) -> list[str]:
    return [row["name"] for row in rows(found.router, "/ppp/secret")]


def test_what_was_done_by_anybody_is_undone_when_the_connection_drops(router: Box) -> None:
    holder, other = connect(router), connect(router)
    secrets = holder.path("ppp", "secret")
    secrets.add(name="before")
    tuple(holder("/safe-mode/take"))
    secrets.add(name="mine")
    other.path("ppp", "secret").add(name="others")
    holder.close()
    wait_for(lambda: names(router) == ["before"])
    assert list(other("/safe-mode/print")) == []


@pytest.mark.parametrize("goodbye", ["/safe-mode/release", "/quit"])
def test_released_or_quit_it_stays(router: Box, goodbye: str) -> None:
    holder = connect(router)
    tuple(holder("/safe-mode/take"))
    holder.path("ppp", "secret").add(name="mine")
    if goodbye == "/quit":
        with pytest.raises(FatalError):
            tuple(holder(goodbye))
    else:
        tuple(holder(goodbye))
    holder.close()
    wait_for(lambda: router.server.connections == 0)
    assert names(router) == ["mine"]


def test_unroll_undoes_and_the_connection_goes_on(router: Box) -> None:
    holder = connect(router)
    tuple(holder("/safe-mode/take"))
    holder.path("ppp", "secret").add(name="mine")
    tuple(holder("/safe-mode/unroll"))
    holder.path("ppp", "secret").add(name="after")
    holder.close()
    wait_for(lambda: router.server.connections == 0)
    assert names(router) == ["after"]


def test_it_is_one_sessions_and_any_other_may_release_it(router: Box) -> None:
    holder, other = connect(router), connect(router)
    tuple(holder("/safe-mode/take"))
    assert [row["user"] for row in other("/safe-mode/print")] == [USER]
    for word in ("take", "unroll"):
        with pytest.raises(TrapError, match="safe mode"):
            tuple(other(f"/safe-mode/{word}"))
    tuple(other("/safe-mode/release"))
    tuple(other("/safe-mode/take"))


def test_a_reboot_undoes_it_and_drops_everybody(router: Box) -> None:
    holder = connect(router)
    tuple(holder("/safe-mode/take"))
    holder.path("ppp", "secret").add(name="mine")
    do(router.router, "/system/reboot")
    with pytest.raises((librouteros.exceptions.ConnectionClosed, OSError)):
        tuple(holder("/ppp/secret/print"))
    assert names(router) == []


def session(router: Router) -> tuple[Connection, Caller]:
    connection = Connection()
    return connection, Caller("operator", POLICIES, connection)


def test_more_than_a_hundred_actions_leave_it_without_a_word() -> None:
    router = lone_router()
    connection, caller = session(router)
    do(router, "/safe-mode/take", by=caller)
    for number in range(ACTIONS_MAX):
        do(router, "/ppp/secret/add", by=caller, name=f"s{number}")
    assert do(router, "/safe-mode/get", by=caller) == "true"
    do(router, "/ppp/secret/add", by=caller, name="one more")
    assert do(router, "/safe-mode/get", by=caller) == "false"
    router.dropped(connection)
    assert len(rows(router, "/ppp/secret")) == ACTIONS_MAX + 1


def test_the_history_names_who_did_what_and_undo_takes_the_newest_back() -> None:
    router = lone_router()
    do(router, "/ip/pool/add", name="a", ranges="10.0.0.0/24")
    do(router, "/ip/pool/remove", numbers="a")
    assert [(row["action"], row["by"]) for row in rows(router, "/system/history")] == [
        ("ip pool removed", SYSTEM.user), ("ip pool added", SYSTEM.user),
    ]  # fmt: skip
    do(router, "/undo")
    assert [row["name"] for row in rows(router, "/ip/pool")] == ["a"]
    do(router, "/undo")
    assert rows(router, "/ip/pool") == []
    with pytest.raises(Refused, match="nothing to undo"):
        do(router, "/undo")


NAMES = st.sampled_from([f"n{number}" for number in range(4)])
DEFAULT = st.just("default")
ROW = st.sampled_from([f"*{number:X}" for number in range(1, 8)])
COMMANDS = st.one_of(
    st.tuples(st.just("/ip/pool/add"), st.fixed_dictionaries({"name": NAMES, "ranges": st.just("10.0.0.0/24")})),
    st.tuples(st.just("/ppp/profile/add"), st.fixed_dictionaries({"name": NAMES, "remote-address": NAMES})),
    st.tuples(st.just("/ppp/secret/add"), st.fixed_dictionaries({"name": NAMES, "profile": NAMES | DEFAULT})),
    st.tuples(
        st.just(f"{FILTER}/add"),
        st.fixed_dictionaries(
            {"chain": st.just("forward"), "action": st.sampled_from(["drop", "fasttrack-connection"])},
            optional={"place-before": ROW},
        ),
    ),
    st.tuples(st.just("/queue/simple/add"), st.fixed_dictionaries({"name": NAMES}, optional={"place-before": ROW})),
    st.tuples(
        st.just("/interface/vlan/add"),
        st.fixed_dictionaries({"name": NAMES, "interface": st.just("ether1") | NAMES, "vlan-id": st.just("7")}),
    ),
    st.tuples(
        st.just("/ip/address/add"),
        st.fixed_dictionaries({"address": st.just("10.0.0.1/24"), "interface": st.just("ether1") | NAMES}),
    ),
    st.tuples(
        st.sampled_from([f"{menu}/set" for menu in MENUS[:7]]),
        st.fixed_dictionaries({"numbers": ROW | NAMES, "name": NAMES}),
    ),
    st.tuples(
        st.sampled_from([f"{menu}/{verb}" for menu in CHANGING for verb in ("remove", "disable")]),
        st.fixed_dictionaries({"numbers": st.lists(ROW, min_size=1, max_size=2).map(",".join)}),
    ),
    st.tuples(
        st.sampled_from([f"{FILTER}/move", "/queue/simple/move"]),
        st.fixed_dictionaries(
            {"numbers": st.lists(ROW, min_size=1, max_size=3).map(",".join)}, optional={"destination": ROW}
        ),
    ),
    st.tuples(st.just("/ppp/aaa/set"), st.fixed_dictionaries({"use-radius": st.sampled_from(["yes", "no"])})),
    st.tuples(st.just("/system/scheduler/add"), st.fixed_dictionaries({"name": NAMES, "interval": st.just("1d")})),
)


def attempt(router: Router, by: Caller, word: str, arguments: dict[str, str]) -> bool:
    try:
        do(router, word, by=by, **arguments)
    except Refused:
        return False
    return True


def furnished() -> Router:
    """There is something to change and to take away."""
    router = lone_router()
    for number in range(4):
        do(router, "/ip/pool/add", name=f"n{number}", ranges="10.0.0.0/24")
        do(router, "/ppp/profile/add", name=f"n{number}", remote_address=f"n{number}")
        do(router, "/ppp/secret/add", name=f"n{number}", profile=f"n{number // 2}")
        do(router, f"{FILTER}/add", chain="forward", comment=f"n{number}")
        do(router, "/queue/simple/add", name=f"n{number}")
    return router


def state(router: Router) -> dict[str, list[dict[str, str]]]:
    return {menu: rows(router, menu) for menu in MENUS}


@given(st.lists(COMMANDS, max_size=25), st.lists(COMMANDS, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_whatever_was_done_in_safe_mode_a_drop_restores_exactly(
    before: list[tuple[str, dict[str, str]]], during: list[tuple[str, dict[str, str]]]
) -> None:
    router = furnished()
    connection, holder = session(router)
    _, other = session(router)
    for word, arguments in before:
        attempt(router, other, word, arguments)
    expected = state(router)
    do(router, "/safe-mode/take", by=holder)
    for number, (word, arguments) in enumerate(during):
        attempt(router, other if number % 3 == 2 else holder, word, arguments)
    router.dropped(connection)
    assert state(router) == expected

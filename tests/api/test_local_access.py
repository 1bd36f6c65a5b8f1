"""Subscribers at the router itself, over REST, at simulated routers of old and new releases: who dials gets what his
plan says, whoever does not pay is restricted while he is online, and whoever pays is back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from at_once import AtOnce
from factories import make_contract, make_plan, make_service
from fastapi.testclient import TestClient
from kept_box import PERSON, Kept, keep_box
from routeros_boxes import USER, Clock, box, do, rows
from sqlalchemy import event, select

from core import changes, plans, services, topics
from core.access import HoldEffect
from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from core.models import OutboxItem
from core.models.service import Plan, Service, ServiceKind
from core.models.system import ChangeKind, Event
from provisioning.jobs.alone import alone_at
from provisioning.local import facts
from provisioning.local.keeper import Keeper
from provisioning.local.models import LocalAccess
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import Fault, FaultKind, Version, When
from provisioning.simulators.routeros.errors import LoginFailed

INTENT: dict[str, Any] = {
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "dns": ["192.0.2.53"], "pool": "homes"},
    "walled_garden": {"portal": "192.0.2.80"},
}
RADIUS: dict[str, Any] = {"servers": [{"address": "192.0.2.10"}, {"address": "192.0.2.11"}]}
FULL, THROTTLED = "50000000/200000000", "512000/1000000"
RELEASES = [Version.V6_49, Version.V7_18]


@pytest.fixture(params=RELEASES)
def kept(request: Any, client: TestClient, database: Database, keyring: Keyring) -> Iterator[Kept]:
    with box(version=request.param) as one:
        yield keep_box(client, database, keyring, one, INTENT)


def _services(kept: Kept, count: int = 1, **given: Any) -> list[int]:
    with kept.database.transaction() as session:
        plan = session.scalar(select(Plan)) or make_plan(session, address_pool=None)
        contract = make_contract(session)
        return [
            make_service(session, kept.keyring, plan=plan, contract=contract, **{"login": f"ana{one}", **given}).id
            for one in range(count)
        ]


def test_nothing_is_changed_at_a_box_before_a_person_has_seen_what_and_approved_it(kept: Kept) -> None:
    _services(kept, 3)
    before = rows(kept.box.router, "/ppp/secret")
    kept.client.put(kept.path, json={"mode": "serve"}).raise_for_status()
    kept.work()
    found = kept.get()
    assert (found["approved_by"], found["services"]) == (None, 3)
    assert found["to_do"] == {"/ppp/profile add": 1, "/ppp/secret add": 3}
    assert rows(kept.box.router, "/ppp/secret") == before
    kept.tick(3600)
    assert rows(kept.box.router, "/ppp/secret") == before
    kept.client.post(f"{kept.path}/approve").raise_for_status()
    kept.work()
    assert kept.secrets().keys() == {"ana0", "ana1", "ana2"}
    assert kept.get()["approved_by"].startswith("token:")


def test_who_dials_is_let_in_by_his_password_and_gets_his_plan(kept: Kept) -> None:
    _services(kept)
    kept.keep()
    with pytest.raises(LoginFailed):
        kept.box.subscribers.dial("ana0", "wrong")
    session = kept.box.subscribers.dial("ana0", "secret")
    assert session.address == "100.64.0.2"
    assert kept.rate("ana0") == FULL


def test_a_service_that_changes_is_at_the_box_at_once(kept: Kept) -> None:
    kept.keep()
    (service_id,) = _services(kept)
    kept.tick()  # a new service has no session: the clock brings it, every five seconds
    assert kept.secrets()["ana0"]["password"] == "secret"

    def edit(session: Any, **values: Any) -> None:
        services.update_service(session, kept.keyring, session.get(Service, service_id), values, PERSON)

    kept.change(lambda session: edit(session, password="0ther"))
    kept.tick()
    assert kept.secrets()["ana0"]["password"] == "0ther"
    kept.change(lambda session: edit(session, login="ana.maria"))
    kept.tick()
    assert kept.secrets().keys() == {"ana.maria"}
    kept.change(lambda session: edit(session, ipv4_address="203.0.113.7"))
    found = kept.secrets()["ana.maria"]
    assert found["remote-address"] == "203.0.113.7"
    assert kept.rate("ana.maria") == FULL
    kept.change(lambda session: edit(session, ipv4_address=None))
    assert "remote-address" not in kept.secrets()["ana.maria"]
    assert rows(kept.box.router, "/queue/simple") == []
    kept.change(lambda s: services.cancel_service(s, s.get(Service, service_id), PERSON, utc_now()))
    kept.tick()
    assert kept.secrets() == {}


def test_a_debtor_who_is_online_is_in_the_walled_garden_without_a_redial_and_out_of_it_when_he_pays(
    kept: Kept,
) -> None:
    (service_id,) = _services(kept)
    kept.keep()
    session = kept.box.subscribers.dial("ana0", "secret")
    hold = kept.hold(service_id, HoldEffect.WALLED_GARDEN)
    assert kept.garden() == [session.address]
    assert kept.box.online.read() == [session]
    kept.lift(hold)
    assert kept.garden() == []
    assert kept.box.online.read() == [session]


def test_a_debtor_who_dialled_in_the_garden_is_made_to_dial_again_when_he_pays(kept: Kept) -> None:
    """Such an entry is the router's own, which it does not let us take."""
    (service_id,) = _services(kept)
    kept.keep()
    hold = kept.hold(service_id, HoldEffect.WALLED_GARDEN)
    session = kept.box.subscribers.dial("ana0", "secret")
    assert (kept.garden(), kept.rate("ana0")) == ([session.address], THROTTLED)
    kept.lift(hold)
    assert kept.online() == {}
    kept.box.subscribers.dial("ana0", "secret")
    assert (kept.garden(), kept.rate("ana0")) == ([], FULL)


def test_an_entry_of_ours_goes_with_the_session_and_does_not_wait_for_whoever_gets_the_address(kept: Kept) -> None:
    debtor, other = _services(kept, 2)
    kept.keep()
    session = kept.box.subscribers.dial("ana0", "secret")
    kept.hold(debtor, HoldEffect.WALLED_GARDEN)
    assert kept.garden() == [session.address]
    kept.box.online.end(session)
    assert kept.garden() == []
    assert kept.box.subscribers.dial("ana1", "secret").address == session.address
    assert other


def test_an_entry_of_ours_that_was_left_behind_goes_with_the_next_look(kept: Kept) -> None:
    (service_id,) = _services(kept)
    kept.keep()
    do(kept.box.router, "/ip/firewall/address-list/add", list="walled-garden", address="100.64.0.99",
       comment=f"provedor:live/{service_id}")  # fmt: skip
    do(kept.box.router, "/ip/firewall/address-list/add", list="walled-garden", address="100.64.0.98", comment="mine")
    kept.tick(901)
    assert kept.garden() == ["100.64.0.98"]


def test_who_is_blocked_is_put_out_and_let_in_no_more(kept: Kept) -> None:
    (service_id,) = _services(kept)
    kept.keep()
    kept.box.subscribers.dial("ana0", "secret")
    hold = kept.hold(service_id, HoldEffect.BLOCK)
    assert kept.online() == {}
    assert kept.secrets()["ana0"]["disabled"] == "true"
    with pytest.raises(LoginFailed):
        kept.box.subscribers.dial("ana0", "secret")
    kept.lift(hold)
    kept.box.subscribers.dial("ana0", "secret")


def test_a_throttle_and_its_end_take_a_redial_at_once_and_a_fixed_address_takes_none(kept: Kept) -> None:
    (service_id,) = _services(kept)
    with kept.database.transaction() as session:
        plan = session.scalars(select(Plan)).one()
        fixed = make_service(session, kept.keyring, plan=plan, login="fixed", ipv4_address="203.0.113.9").id
    kept.keep()
    kept.box.subscribers.dial("ana0", "secret")
    session = kept.box.subscribers.dial("fixed", "secret")
    held = [kept.hold(one, HoldEffect.THROTTLE) for one in (service_id, fixed)]
    assert kept.online() == {"fixed": "203.0.113.9"}
    assert kept.rate("fixed") == THROTTLED
    kept.box.subscribers.dial("ana0", "secret")
    assert kept.rate("ana0") == THROTTLED
    for hold in held:
        kept.lift(hold)
    assert kept.box.online.read() == [session]
    assert kept.rate("fixed") == FULL


def test_another_speed_waits_for_the_window_and_for_the_pace_of_the_box(kept: Kept) -> None:
    _services(kept, 15)
    kept.keep()
    for one in range(15):
        kept.box.subscribers.dial(f"ana{one}", "secret")

    def faster(session: Any) -> None:
        plans.update_plan(session, session.scalars(select(Plan)).one(), {"down_kbps": 400_000}, PERSON)

    kept.change(faster)
    assert len(kept.online()) == 15
    kept.open_window[0] = True
    kept.tick(901)
    assert len(kept.online()) == 5  # a bucket holds ten seconds' worth of sixty a minute
    kept.tick(31)
    assert kept.online() == {}
    kept.box.subscribers.dial("ana3", "secret")
    assert kept.rate("ana3") == "50000000/400000000"


def test_rows_of_others_stay_as_they_are_and_a_name_that_is_taken_is_told(kept: Kept) -> None:
    do(kept.box.router, "/ppp/secret/add", name="ana0", password="theirs")
    do(kept.box.router, "/ppp/secret/add", name="bob", password="theirs")
    do(kept.box.router, "/ppp/profile/add", name="gold", **{"rate-limit": "1M/1M"})
    do(kept.box.router, "/queue/simple/add", name="everybody", target="100.64.0.0/22")
    before = {menu: rows(kept.box.router, menu) for menu in ("/ppp/profile", "/queue/simple")}
    _services(kept, 2)
    found = kept.keep()
    assert len(found["problems"]) == 1
    assert "ana0" in found["problems"][0]
    assert {name: row["password"] for name, row in kept.secrets().items()} == {
        "ana0": "theirs", "bob": "theirs", "ana1": "secret",
    }  # fmt: skip
    kept.client.delete(kept.path).raise_for_status()
    kept.work()
    assert {menu: rows(kept.box.router, menu) for menu in before} == before
    assert kept.secrets().keys() == {"ana0", "bob"}
    assert kept.client.get(kept.path).status_code == 404


def test_what_somebody_does_to_our_rows_is_put_back(kept: Kept) -> None:
    _services(kept, 2)
    kept.keep()
    for row in rows(kept.box.router, "/ppp/secret"):
        if row["name"] == "ana0":
            do(kept.box.router, "/ppp/secret/remove", _id=row[".id"])
        else:
            do(kept.box.router, "/ppp/secret/set", _id=row[".id"], password="hello", disabled="yes")
    kept.tick(901)
    assert {name: (row["password"], row["disabled"]) for name, row in kept.secrets().items()} == {
        "ana0": ("secret", "false"), "ana1": ("secret", "false"),
    }  # fmt: skip


def test_a_service_that_may_log_in_elsewhere_only_is_not_kept_here(kept: Kept) -> None:
    _services(kept, nas_lock=["999"])
    assert kept.keep()["services"] == 0
    assert kept.secrets() == {}


@pytest.mark.parametrize("kept", [Version.V7_18], indirect=True)
def test_a_change_wakes_the_boxes_that_it_concerns_and_no_other(kept: Kept) -> None:
    (free,), (learning,), (here,), (elsewhere,) = (
        _services(kept, login=f"login{number}", nas_lock=lock)
        for number, lock in enumerate([None, [], [kept.nas_id, "998"], ["999"]])
    )
    kept.keep()
    (left,) = _services(kept, login="left")
    kept.tick()
    with kept.database.transaction() as session:
        session.get_one(Service, left).nas_lock = ["999"]  # its rows are there still

    def woken(service_id: int) -> list[int]:
        with kept.database.transaction() as session:
            return facts.boxes_of(session, service_id)

    box_id = int(kept.nas_id)
    assert [woken(one) for one in (free, learning, here, left)] == [[box_id]] * 4
    assert woken(elsewhere) == woken(12345) == []


def test_a_user_who_is_not_shown_passwords_is_told_of_and_can_leave(kept: Kept) -> None:
    _services(kept)
    do(kept.box.router, "/user/group/add", name="blind", policy="read,write,policy,test,api")
    do(kept.box.router, "/user/set", _id=USER, group="blind")
    kept.keep()
    kept.tick(901)
    assert kept.get()["problems"] == ["the API's user is not shown passwords: give its group the policy `sensitive`"]
    kept.client.delete(kept.path).raise_for_status()
    kept.work()
    assert (kept.secrets(), kept.client.get(kept.path).status_code) == ({}, 404)


def test_what_only_radius_can_give_is_told(kept: Kept) -> None:
    _services(kept, delegated_ipv6_prefix="2001:db8:1::/56", mac_lock=["02:00:00:00:00:01", "02:00:00:00:00:02"])
    assert kept.keep()["problems"] == [
        "ana0: its delegated IPv6 prefix needs RADIUS", "ana0: its lock to several devices needs RADIUS",
    ]  # fmt: skip


def test_many_secrets_do_not_go_at_once_without_a_person(kept: Kept) -> None:
    _services(kept, 60)
    kept.keep()
    with kept.database.transaction() as session:
        for service in session.scalars(select(Service)):
            service.nas_lock = ["999"]
    kept.tick(901)
    assert (len(kept.secrets()), kept.get()["held_back"]) == (60, 60)
    kept.tick(901)
    with kept.database.transaction() as session:
        told = session.scalars(select(Event).where(Event.type == "local_access.held_back")).all()
        assert len(told) == 1
    kept.client.post(f"{kept.path}/let-go").raise_for_status()
    kept.work()
    assert (len(kept.secrets()), kept.get()["held_back"]) == (0, None)


def test_a_box_that_was_away_has_everything_once_it_is_back(kept: Kept) -> None:
    (service_id,) = _services(kept)
    kept.keep()
    kept.box.router.faults.order(Fault(FaultKind.CUT, "/system/resource", times=0))
    kept.hold(service_id, HoldEffect.WALLED_GARDEN)
    assert "closed the connection" in kept.get()["error"]
    kept.tick(20)
    kept.box.router.faults.clear()
    session = kept.box.subscribers.dial("ana0", "secret")
    assert kept.garden() == []
    kept.tick(20)
    assert (kept.garden(), kept.get()["error"]) == ([session.address], None)
    with kept.database.transaction() as session:
        kinds = session.scalars(select(Event.type).where(Event.type.startswith("local_access.")).order_by(Event.id))
        assert list(kinds) == ["local_access.approved", "local_access.unreachable", "local_access.reachable"]


@pytest.mark.parametrize("when", list(When))
def test_the_connection_may_end_at_any_command_and_the_next_time_ends_it_right(
    client: TestClient, database: Database, keyring: Keyring, when: When
) -> None:
    with box(version=Version.V7_18) as one:
        kept = keep_box(client, database, keyring, one, INTENT)
        ids = _services(kept, 3)
        kept.keep()
        wanted = [kept.box.subscribers.dial(f"ana{number}", "secret").address for number in range(3)]
        for at in range(1, 30):
            kept.box.router.faults.order(Fault(FaultKind.CUT, at=at, when=when))
            held = [kept.hold(service_id, HoldEffect.WALLED_GARDEN) for service_id in ids]
            kept.tick(20)
            assert sorted(kept.garden()) == wanted
            for hold in held:
                kept.lift(hold)
            kept.tick(20)
            assert kept.garden() == []
            kept.box.router.faults.clear()
        assert len(kept.online()) == 3


def test_words_behind_our_mark_stay_and_hide_nobody(kept: Kept) -> None:
    renamed, cancelled = _services(kept, 2)
    kept.keep()
    for row in rows(kept.box.router, "/ppp/secret"):
        do(kept.box.router, "/ppp/secret/set", _id=row[".id"], comment=f"{row['comment']} Rua Um, 7")
    kept.box.subscribers.dial("ana1", "secret")

    def act(session: Any) -> None:
        services.update_service(session, kept.keyring, session.get(Service, renamed), {"login": "eva"}, PERSON)
        services.cancel_service(session, session.get(Service, cancelled), PERSON, utc_now())

    kept.change(act)
    kept.tick()
    assert {name: row["comment"] for name, row in kept.secrets().items()} == {
        "eva": f"provedor:local/{renamed} Rua Um, 7",
    }  # fmt: skip
    assert kept.online() == {}


def test_who_was_at_it_and_died_leaves_nothing_undone(kept: Kept) -> None:
    """The revision is kept after the box has it."""
    (service_id,) = _services(kept)
    kept.keep()
    kept.keeper.threads.submit = lambda *_: None  # type: ignore[method-assign,assignment,return-value]
    kept.hold(service_id, HoldEffect.BLOCK)
    assert kept.secrets()["ana0"]["disabled"] == "false"
    kept.keeper = Keeper(kept.database, kept.keyring, RouterOs, AtOnce(), kept.clock, lambda _: False)
    kept.tick()
    assert kept.secrets()["ana0"]["disabled"] == "true"


def test_a_feed_that_does_not_reach_back_is_answered_by_a_look_at_everything(kept: Kept) -> None:
    kept.keep()
    _services(kept)
    with kept.database.transaction() as session:
        kept_row = session.scalars(select(LocalAccess)).one()
        kept_row.revision = -10
    kept.tick()
    kept.tick()
    assert kept.secrets().keys() == {"ana0"}


@pytest.mark.parametrize("kept", [Version.V7_18], indirect=True)
@pytest.mark.parametrize("after_statement", [1, 2, 3])
def test_what_is_committed_while_the_feed_is_read_is_for_the_next_time(kept: Kept, after_statement: int) -> None:
    kept.keep()
    ids = _services(kept, 2, kind=ServiceKind.IPOE)
    kept.tick()
    with kept.database.transaction() as session:
        revision = session.scalars(select(LocalAccess.revision)).one() or 0
        engine = session.get_bind()
        statements = iter(range(1, 100))

        def another_commits(*_: Any) -> None:
            if next(statements) == after_statement:
                with kept.database.transaction() as other:
                    changes.note(other, ChangeKind.SERVICE, ids[1])

        with kept.database.transaction() as other:
            changes.note(other, ChangeKind.SERVICE, ids[0])
        event.listen(engine, "after_cursor_execute", another_commits)
        try:
            found = facts.changed_since(session, revision)
        finally:
            event.remove(engine, "after_cursor_execute", another_commits)
    assert found is not None
    with kept.database.transaction() as session:
        later = facts.changed_since(session, found[1])
    assert later is not None
    assert {*found[0], *later[0]} == set(ids)


def test_a_box_that_somebody_else_is_at_is_tried_again(kept: Kept) -> None:
    (service_id,) = _services(kept)
    kept.keep()
    with alone_at(kept.database, int(kept.nas_id)):
        kept.hold(service_id, HoldEffect.BLOCK)
        assert kept.secrets()["ana0"]["disabled"] == "false"
    with kept.database.transaction() as session:
        item = session.scalars(select(OutboxItem).where(OutboxItem.topic == topics.LOCAL_DUE.name)).one()
        item.due_at = datetime.now(item.due_at.tzinfo)
    kept.work()
    assert kept.secrets()["ana0"]["disabled"] == "true"


def test_who_is_through_with_a_box_in_a_moment_is_waited_for(kept: Kept) -> None:
    """Another process that follows a change of the same box."""
    held, let_go = threading.Event(), threading.Event()

    def other() -> None:
        with alone_at(kept.database, int(kept.nas_id)) as alone:
            assert alone
            held.set()
            let_go.wait(10)

    with ThreadPoolExecutor(2) as threads:
        there = threads.submit(other)
        assert held.wait(10)
        with alone_at(kept.database, int(kept.nas_id), patience_ms=1) as alone:
            assert not alone
        waiting = threads.submit(_is_alone, kept)
        let_go.set()
        there.result(10)
        assert waiting.result(10)


def _is_alone(kept: Kept) -> bool:
    with alone_at(kept.database, int(kept.nas_id), patience_ms=9000) as alone:
        return alone


@pytest.mark.parametrize("version", RELEASES)
def test_in_standby_the_router_lets_in_by_itself_while_no_radius_server_answers(
    client: TestClient, database: Database, keyring: Keyring, version: Version
) -> None:
    """The box does it alone: nobody of ours is asked meanwhile."""
    clock, up = Clock(), {"192.0.2.10": True, "192.0.2.11": True}
    with box(version=version, clock=clock, answering=lambda address: up[address]) as one:
        kept = keep_box(client, database, keyring, one, {**INTENT, "radius": RADIUS})
        payer, blocked = _services(kept, 2)
        kept.hold(blocked, HoldEffect.BLOCK)
        assert kept.keep("standby")["in_use"] is False
        router = one.router

        def minute() -> None:
            clock.now += 60
            router.tick()

        minute()
        assert {name: row["disabled"] for name, row in kept.secrets().items()} == {"ana0": "true"}
        with pytest.raises(LoginFailed):  # RADIUS is asked, which is not played here
            one.subscribers.dial("ana0", "secret")
        up["192.0.2.10"] = False
        minute()
        assert kept.secrets()["ana0"]["disabled"] == "true"  # the other one answers
        up["192.0.2.11"] = False
        minute()
        assert kept.secrets()["ana0"]["disabled"] == "false"
        session = one.subscribers.dial("ana0", "secret")
        with pytest.raises(LoginFailed):
            one.subscribers.dial("ana1", "secret")
        kept.tick(901)
        assert kept.get()["in_use"] is True
        assert kept.secrets()["ana0"]["disabled"] == "false"  # what the box decided stands
        held = kept.hold(payer, HoldEffect.WALLED_GARDEN)  # if we are there, whatever RADIUS is
        assert kept.garden() == [session.address]
        kept.lift(held)
        up["192.0.2.11"] = True
        minute()
        assert kept.secrets()["ana0"]["disabled"] == "true"
        assert one.online.read() == [session]  # nobody is thrown out for that
        kept.tick(901)
        assert kept.get()["in_use"] is False
        with database.transaction() as session_:
            told = session_.scalars(
                select(Event.type).where(Event.type.like("local_access.radius%")).order_by(Event.id)
            )
            assert list(told) == ["local_access.radius_away", "local_access.radius_back"]
        client.delete(kept.path).raise_for_status()
        kept.work()
        assert rows(router, "/system/scheduler") == kept.garden() == []
        assert kept.secrets() == {}


@pytest.mark.parametrize(
    ("intent", "mode", "field"),
    [
        ({"walled_garden": {"portal": "192.0.2.80"}}, "serve", "profile"),
        (INTENT, "standby", "radius"),
        ({**INTENT, "radius": RADIUS}, "serve", "mode"),
        (INTENT, "leaving", "mode"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    client: TestClient, database: Database, keyring: Keyring, intent: dict[str, Any], mode: str, field: str
) -> None:
    with ExitStack() as stack:
        kept = keep_box(client, database, keyring, stack.enter_context(box()), intent)
        answer = client.put(kept.path, json={"mode": mode})
        assert answer.status_code == 422, answer.text
        assert field in answer.text

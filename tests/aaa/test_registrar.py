"""Strict limits: who may have one more session, on real sockets, of NASes that answer as they do."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from coa_nas import NOT_FOUND, Answers, Nas
from factories import make_nas, make_plan, make_service
from sqlalchemy import select, update

from aaa.admission import DATAGRAM_MAX, Answer, Question, Registry
from aaa.coa import CoaClient, ErrorCause
from aaa.live_sessions import AWAY_S, LiveSessions
from aaa.liveness import DEAF_AFTER_S, DEAF_S, NOBODYS_SESSION, CoaProbe, close_gone
from aaa.registrar import Registrar
from core.database import Database, psycopg_url
from core.keyring import Keyring
from core.models.network import Session, SessionKind, StopKind
from core.models.service import Plan

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ALIVE: Answers = lambda one: NOT_FOUND if one == NOBODYS_SESSION else None  # noqa: E731
GONE: Answers = lambda _: NOT_FOUND  # noqa: E731
SILENT: Answers = lambda _: "silence"  # noqa: E731


class House:
    """A strictly limited service with sessions at a NAS, and the registrar that is asked."""

    def __init__(self, database: Database, keyring: Keyring, directory: Path, limit: int = 1) -> None:
        self.database = database
        self.keyring = keyring
        self.client = CoaClient()
        self.now = 1000.0
        self.gone: list[int] = []
        #: Of its NASes' addresses: no two may be alike.
        self._hosts = itertools.count(2)
        with database.transaction() as session:
            plan = make_plan(session, session_limit=limit, session_limit_strict=True)
            self.service_id = make_service(session, keyring, plan=plan).id
        self.live = LiveSessions(database, lambda: self.now)
        self.registrar = Registrar(
            self.live, CoaProbe(self.client, lambda: self.now), keyring, directory / "registrar.sock",
            on_gone=self._gone, monotonic=lambda: self.now,
        )  # fmt: skip

    def nas(self, answers: Answers, *sessions: str, cpe: str | None = "02:00:00:00:00:01") -> Nas:
        nas = Nas(answers)
        with self.database.transaction() as session:
            nas_id = make_nas(session, self.keyring, address=f"127.0.0.{next(self._hosts)}/32", coa_port=nas.port).id
            for name in sessions:
                session.add(
                    Session(nas_id=nas_id, box="b", acct_session_id=name, login="ana", nas_address="127.0.0.1",
                            service_id=self.service_id, started_at=NOW, updated_at=NOW, calling_station_id=cpe)
                )  # fmt: skip
        return nas

    def ask(self, cpe: str | None = "02:00:00:00:00:99") -> Answer:
        return self.registrar.answer(Question(7, self.service_id, cpe))

    def _gone(self, session_id: int) -> None:
        self.gone.append(session_id)
        close_gone(self.database, session_id, NOW)


@pytest.fixture
def house(database: Database, keyring: Keyring, tmp_path: Path) -> Iterator[House]:
    house = House(database, keyring, tmp_path)
    yield house
    house.client.close()


def test_the_first_session_is_admitted_and_no_nas_is_asked(house: House) -> None:
    nas = house.nas(ALIVE)
    assert house.ask() == Answer(7, refused=False)
    assert nas.asked == []


def test_a_second_is_refused_when_the_nas_says_that_the_first_lives(house: House) -> None:
    house.nas(ALIVE, "s1")
    answer = house.ask()
    assert answer.refused
    assert (answer.detail["live"], answer.detail["limit"]) == ("1", "1")
    assert answer.detail["where"].startswith("nas-")


def test_a_session_whose_stop_was_lost_keeps_nobody_out_and_is_closed(house: House) -> None:
    house.nas(GONE, "s1")
    assert not house.ask().refused
    with house.database.transaction() as session:
        assert session.scalars(select(Session.stop_kind)).one() is StopKind.NOT_FOUND


def test_a_nas_that_is_down_keeps_nobody_out_and_is_waited_for_once(house: House) -> None:
    nas = house.nas(SILENT, "s1")
    assert not house.ask().refused
    asked = len(nas.asked)
    assert asked > 0
    house.now += DEAF_AFTER_S
    assert not house.ask().refused
    house.now += DEAF_S
    nas.answers = ALIVE
    assert house.ask().refused


def test_a_nas_that_cannot_tell_keeps_nobody_out(house: House) -> None:
    house.nas(lambda _: ErrorCause.ADMINISTRATIVELY_PROHIBITED, "s1")
    assert not house.ask().refused


def test_the_same_cpe_that_dials_again_is_no_second_user(house: House) -> None:
    nas = house.nas(ALIVE, "s1", cpe="02:00:00:00:00:0a")
    assert not house.ask("02:00:00:00:00:0A").refused
    assert nas.asked == []
    assert house.ask("02:00:00:00:00:0B").refused
    assert house.ask(None).refused


def test_with_a_limit_of_two_one_that_lives_and_one_that_is_gone_leave_a_place(
    database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    house = House(database, keyring, tmp_path, limit=2)
    nas = house.nas(lambda one: NOT_FOUND if one.startswith("s2") or one == NOBODYS_SESSION else None, "s1", "s2")
    assert not house.ask().refused
    house.nas(ALIVE, "s3")
    nas.answers = ALIVE
    assert house.ask().refused
    house.client.close()


def test_views_and_services_of_a_line_are_no_sessions(house: House) -> None:
    house.nas(ALIVE, "s1")
    with house.database.transaction() as session:
        session.execute(update(Session).values(kind=SessionKind.VIEW))
    assert not house.ask().refused


def test_a_plan_that_is_no_longer_strict_refuses_nobody(house: House) -> None:
    house.nas(ALIVE, "s1")
    with house.database.transaction() as session:
        session.execute(update(Plan).values(session_limit_strict=False))
    assert not house.ask().refused


def test_with_the_database_away_it_answers_from_what_it_knew(
    database_url: str, database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    own = Database(psycopg_url(database_url))
    house = House(own, keyring, tmp_path)
    house.nas(ALIVE, "s1")
    house.live.refresh()
    own.dispose()
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    house.live._database = away
    assert house.ask().refused
    assert not house.registrar.answer(Question(7, house.service_id + 1, None)).refused
    house.live._database = database
    assert not house.live.of_services([house.service_id + 1])
    with database.transaction() as session:
        session.execute(update(Session).values(stopped_at=NOW, stop_kind=StopKind.STOP))
    assert house.ask().refused  # it is not asked whether it is back yet
    house.now += AWAY_S
    assert not house.ask().refused
    house.client.close()


@contextmanager
def running(registrar: Registrar) -> Iterator[None]:
    thread = threading.Thread(target=registrar.run)
    thread.start()
    try:
        yield
    finally:
        registrar.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_workers_ask_over_a_local_socket_and_rubbish_harms_nobody(house: House, tmp_path: Path) -> None:
    house.nas(ALIVE, "s1")
    registry = Registry("auth-0", str(tmp_path / "registrar.sock"))
    with running(house.registrar), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"\xff\xff", str(tmp_path / "registrar.sock"))
        own = Question(1 << 62, house.service_id, "02:00:00:00:00:99")
        others = [Question(token, house.service_id + 1, None) for token in range(2 * DATAGRAM_MAX)]
        assert registry.ask([own, *others]) == ()
        answers: list[Answer] = []
        for _ in range(500):
            answers += registry.answers()
            if len(answers) == len(others) + 1:
                break
            threading.Event().wait(0.02)
        refused = {one.token: one.refused for one in answers}
        assert refused == {1 << 62: True} | {one.token: False for one in others}


def test_a_registrar_that_is_away_is_known_at_once(tmp_path: Path) -> None:
    question = Question(1, 2, None)
    assert Registry("auth-0", str(tmp_path / "registrar.sock")).ask([question]) == [question]

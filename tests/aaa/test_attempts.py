"""Reports in the database: stored as they come, found however a login is written, forgotten by NAS and by age."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aaa.attempts import (
    attempts_at,
    attempts_of_station,
    forget_attempts,
    forget_findings,
    nas_findings,
    recent_attempts,
    recent_nas_findings,
    strangers,
)
from aaa.models import AuthenticationAttempt, NasFindingRow
from aaa.report_sink import ReportSink
from aaa.reports import AttemptReport, FindingKind, FindingReport
from core.clock import utc_now
from core.database import Database, libpq_url


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[ReportSink]:
    one = ReportSink(tmp_path / "reports.sock")
    yield one
    one.close()


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        yield connection


def tell(tmp_path: Path, *reports: AttemptReport | FindingReport) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.sendto(msgspec.msgpack.encode(list(reports)), str(tmp_path / "reports.sock"))


def report(login: str = "ana", **values: Any) -> AttemptReport:
    given = {"nas_id": 1, "source": "192.0.2.1", "calling_station_id": None, "reason": "wrong_password", "at": 0.0}
    return AttemptReport(login, **given | values)


def add(session: Session, login: str = "ana", **values: Any) -> None:
    given = {"nas_id": 1, "source": "192.0.2.1", "reason": "wrong_password", "method": "pap", "hint": ""}
    session.add(AuthenticationAttempt(login=login, **given | values))
    session.flush()


def test_reports_are_kept_as_they_came(
    tmp_path: Path, sink: ReportSink, connection: psycopg.Connection[Any], database: Database
) -> None:
    at = time.time() - 100
    locked = report(at=at, reason="locked_mac", times=3, detail={"came": "a", "expected": "b"}, hint="x", method="chap",
                    service_id=7, calling_station_id="aabb.cc00.0001")  # fmt: skip
    tell(tmp_path, locked, FindingReport(1, "192.0.2.1", FindingKind.CLOCK_SKEW, 2, {"skew_s": -10_800}))
    sink.store(connection)
    tell(tmp_path, FindingReport(1, "192.0.2.1", FindingKind.CLOCK_SKEW, 3, {"skew_s": -10_801}))
    sink.store(connection)
    with database.transaction() as session:
        (attempt,) = recent_attempts(session, "ana", 7)
        (finding,) = nas_findings(session, 1)
    assert abs(attempt.at.timestamp() - at) < 0.001
    assert (attempt.reason, attempt.times, attempt.detail) == ("locked_mac", 3, {"came": "a", "expected": "b"})
    assert (attempt.hint, attempt.method, attempt.calling_station_id) == ("x", "chap", "aabb.cc00.0001")
    assert (finding.kind, finding.count, finding.detail) == ("clock_skew", 5, {"skew_s": -10_801})
    assert finding.first_at < finding.last_at


def test_what_the_database_refuses_costs_nothing_else(
    tmp_path: Path, sink: ReportSink, connection: psycopg.Connection[Any], database: Database
) -> None:
    tell(tmp_path, report(login="a\0b"), FindingReport(1, "", FindingKind.REPLIES_UNHEARD, 4, {}))
    sink.store(connection)
    tell(tmp_path, report())
    sink.store(connection)
    with database.transaction() as session:
        assert [one.login for one in session.scalars(select(AuthenticationAttempt))] == ["ana"]
        assert [one.kind for one in nas_findings(session, 1)] == ["replies_unheard"]


def test_attempts_are_found_however_the_login_was_written(session: Session) -> None:
    for login in ("ana", "ANA", " ana", "ana@velho", "anabela"):
        add(session, login)
    assert [one.login for one in recent_attempts(session, "Ana@novo")] == ["ana@velho", " ana", "ANA", "ana"]
    assert recent_attempts(session, "") == []
    assert recent_attempts(session, "@novo") == []


def test_attempts_of_another_subscriber_whose_login_is_like_this_one_are_not_found(session: Session) -> None:
    for login, service_id in (("ana@rio", 1), ("ana@sul", 2), ("ana", None)):
        add(session, login, service_id=service_id)
    assert [one.login for one in recent_attempts(session, "ana@rio", 1)] == ["ana", "ana@rio"]
    assert [one.login for one in recent_attempts(session, "ana@sul", 2)] == ["ana", "ana@sul"]


def test_attempts_are_found_by_their_device_and_by_their_nas(session: Session) -> None:
    add(session, "ana", calling_station_id="aabb.cc00.0001")
    add(session, "rui", calling_station_id="AA-BB-CC-00-00-02", nas_id=2)
    assert [one.login for one in attempts_of_station(session, "AA:BB:CC:00:00:01")] == ["ana"]
    assert [one.login for one in attempts_at(session, 2)] == ["rui"]


def test_a_storm_pushes_out_its_own_and_nobody_elses(session: Session) -> None:
    add(session, "quiet", nas_id=2)
    add(session, "ana", service_id=7)
    for number in range(20):
        service_id, reason = (7, "bad_authenticator") if number % 2 else (None, "unknown_login")
        add(session, f"made-up-{number}", reason=reason, service_id=service_id)
    add(session, "old", service_id=7, at=utc_now() - timedelta(days=40))
    forget_attempts(session, rows_a_nas_max=5)
    left = set(session.scalars(select(AuthenticationAttempt.login)))
    assert left == {"quiet", "ana", *(f"made-up-{number}" for number in range(15, 20))}
    forget_attempts(session, rows_max=3)
    assert session.scalar(select(func.count()).select_from(AuthenticationAttempt)) <= 3


def finding(session: Session, nas_id: int, source: str, days: int = 0, count: int = 1) -> None:
    at = utc_now() - timedelta(days=days)
    session.add(NasFindingRow(nas_id=nas_id, source=source, kind="unknown_client", count=count, detail={}, last_at=at))
    session.flush()


def test_findings_are_forgotten_with_time_and_strangers_by_number(session: Session) -> None:
    finding(session, 1, "a", days=40)
    finding(session, 1, "b", days=2)
    for number in range(5):
        finding(session, 0, f"stranger-{number}", days=number, count=number + 1)
    forget_findings(session, strangers_max=3)
    assert [one.source for one in nas_findings(session, 1)] == ["b"]
    assert recent_nas_findings(session, 1) == [], "two days ago is history"
    assert {one.source for one in nas_findings(session, 0)} == {"stranger-0", "stranger-1", "stranger-2"}


def test_the_most_insistent_strangers_come_first(session: Session) -> None:
    for number in range(5):
        finding(session, 0, f"stranger-{number}", count=number)
    finding(session, 0, "yesterday", days=2, count=99)
    assert [one.source for one in strangers(session)] == ["stranger-4", "stranger-3", "stranger-2"]

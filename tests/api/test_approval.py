"""Who may approve a change of a box, and when it is made: the policy over REST, with a worker's part in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from applications import make_app
from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, Box, box, rows, session
from sqlalchemy import func, select, update

from core import tokens, topics
from core.audit import Actor
from core.clock import ManualClock
from core.database import Database
from core.keyring import Keyring
from core.models import OutboxItem
from core.models.system import AuditEntry, Role
from provisioning.jobs import rollouts
from provisioning.jobs.runner import Provisioner
from provisioning.routeros.client import RouterOs

API = "/api/v1"
ZONE = ZoneInfo("America/Sao_Paulo")
#: A Tuesday at noon, when no work of before is due any more.
NOON = datetime(2099, 1, 6, 12, tzinfo=ZONE)
TONIGHT = {"days": ["tue"], "from": "23:00", "until": "02:00"}
THURSDAY = {"days": ["thu"], "from": "03:00", "until": "05:00"}
POOLS = {"pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}]}
CLOCKS: dict[str, Any] = {"management": {"networks": ["127.0.0.0/8"], "services": ["api"], "ntp": ["192.0.2.123"]}}


@dataclass
class Office:
    """People with tokens of their own, one box with sessions, and a worker."""

    person: Callable[[Role, str], TestClient]
    database: Database
    provisioner: Provisioner
    clock: ManualClock
    box: Box
    nas_id: str

    def __post_init__(self) -> None:
        self.admin = self.person(Role.ADMIN, "admin")
        self.ana = self.person(Role.NOC, "ana")
        self.bia = self.person(Role.NOC, "bia")

    def policy(self, **said: Any) -> None:
        answer = self.admin.put(f"{API}/provisioning-policy", json=said)
        assert answer.status_code == 200, answer.text

    def work(self, *, all_of_it: bool = False) -> None:
        """What is due; or what was ever to be due, as if its time had come."""
        if all_of_it:
            with self.database.transaction() as one:
                one.execute(update(OutboxItem).values(due_at=func.now()))
        work_off(self.database, {topics.PROVISIONING_DUE.name: self.provisioner.handle_due})

    def planned(self, intent: dict[str, Any] = POOLS) -> str:
        self.ana.put(f"{API}/nas/{self.nas_id}/intent", json={"body": intent}).raise_for_status()
        made = self.ana.post(f"{API}/provisioning/jobs", json={"nas_id": self.nas_id})
        assert made.status_code == 202, made.text
        self.work()
        return str(made.json()["id"])

    def approve(self, job: str, by: TestClient | None = None, status: int = 200, **said: Any) -> dict[str, Any]:
        answer = (by or self.ana).post(f"{API}/provisioning/jobs/{job}/approve", json=said)
        assert answer.status_code == status, answer.text
        self.work()
        return self.job(job) if status == 200 else answer.json()

    def job(self, job: str) -> dict[str, Any]:
        return self.ana.get(f"{API}/provisioning/jobs/{job}").json()  # type: ignore[no-any-return]

    def events(self) -> list[str]:
        return [one["type"] for one in self.admin.get(f"{API}/events").json()["items"]]


@pytest.fixture
def office(database: Database, keyring: Keyring) -> Iterator[Office]:
    clock = ManualClock(NOON)
    app = make_app(database, keyring, clock=clock, zone=ZONE)

    def person(role: Role, name: str) -> TestClient:
        with database.transaction() as one:
            _, secret = tokens.create_token(one, name, role, Actor("test"))
        return TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {secret}"})

    with box(*(session(number, f"user{number}") for number in range(1, 6))) as one:
        body = {
            "name": "bras", "address": "127.0.0.1", "secret": "s3cret", "vendor": "mikrotik",
            "routeros": {"user": USER, "port": one.server.port, "tls": False}, "routeros_password": PASSWORD,
        }  # fmt: skip
        provisioner = Provisioner(database, keyring, RouterOs, AtOnce(), clock, lambda _: None, ZONE)
        nas_id = person(Role.ADMIN, "setup").post(f"{API}/nas", json=body).json()["id"]
        yield Office(person, database, provisioner, clock, one, nas_id)


def local(job: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(job["not_before"]).astimezone(ZONE)


def test_without_a_policy_whoever_may_write_approves_and_it_is_done_at_once(office: Office) -> None:
    found = office.ana.get(f"{API}/provisioning-policy").json()
    assert found == {
        "approvers": None, "second_person": False, "sessions_max": None, "windows": [], "nas_windows": {},
    }  # fmt: skip
    done = office.approve(office.planned())
    assert (done["state"], done["in_window"], done["not_before"]) == ("done", False, None)


def test_only_roles_that_are_named_and_an_administrator_approve(office: Office) -> None:
    office.policy(approvers=["operator"])
    job = office.planned()
    refused = office.approve(job, status=403)
    assert refused["detail"] == "noc may not approve changes of boxes: admin, operator may"
    assert office.approve(job, by=office.person(Role.OPERATOR, "olga"))["approved_by"] == "token:olga"
    office.policy(approvers=[])
    other = office.planned({**POOLS, **CLOCKS})
    office.approve(other, status=403)
    assert office.approve(other, by=office.admin)["state"] == "done"


def test_whoever_planned_it_does_not_approve_it_where_two_are_asked(office: Office) -> None:
    office.policy(second_person=True)
    job = office.planned()
    assert office.approve(job, status=409)["field"] == "approved_by"
    assert office.job(job)["state"] == "planned"
    assert office.approve(job, by=office.bia)["state"] == "done"
    rollout = office.ana.post(f"{API}/provisioning/rollouts", json={"nas_ids": [office.nas_id]}).json()["id"]
    office.ana.post(f"{API}/provisioning/rollouts/{rollout}/cancel").raise_for_status()


def test_a_rollout_asks_another_person_and_its_boxes_wait_for_their_windows(office: Office) -> None:
    office.policy(second_person=True, windows=[TONIGHT])
    office.ana.put(f"{API}/nas/{office.nas_id}/intent", json={"body": POOLS}).raise_for_status()
    path = f"{API}/provisioning/rollouts"
    rollout = office.ana.post(path, json={"nas_ids": [office.nas_id]}).json()["id"]
    office.work()
    with office.database.transaction() as one:
        rollouts.advance_all(one, office.clock(), ZONE)
    assert office.ana.post(f"{path}/{rollout}/approve").status_code == 409
    assert office.bia.post(f"{path}/{rollout}/approve").json()["state"] == "running"
    (job,) = office.ana.get(f"{API}/provisioning/jobs?rollout_id={rollout}").json()["items"]
    assert (job["state"], job["in_window"], local(job).hour) == ("approved", True, 23)
    office.clock.now = local(job)
    office.work(all_of_it=True)
    assert office.job(job["id"])["state"] == "done"


def test_what_is_approved_outside_its_window_waits_for_it_and_says_until_when(office: Office) -> None:
    office.policy(windows=[TONIGHT, THURSDAY])
    waiting = office.approve(office.planned())
    assert (waiting["state"], waiting["in_window"]) == ("approved", True)
    assert local(waiting) == NOON.replace(hour=23)
    assert rows(office.box.router, "/ip/pool") == []
    office.clock.now = NOON.replace(hour=23)
    office.work(all_of_it=True)
    assert office.job(waiting["id"])["state"] == "done"


def test_a_window_that_closed_before_it_began_moves_it_to_the_next(office: Office) -> None:
    office.policy(windows=[TONIGHT, THURSDAY])
    waiting = office.approve(office.planned())
    office.clock.now = NOON + timedelta(hours=14)  # two o'clock: nobody worked meanwhile
    office.work(all_of_it=True)
    moved = office.job(waiting["id"])
    assert (moved["state"], local(moved)) == ("approved", datetime(2099, 1, 8, 3, tzinfo=ZONE))
    assert rows(office.box.router, "/ip/pool") == []
    assert "provisioning.postponed" in office.events()
    office.clock.now = local(moved) + timedelta(hours=1)
    office.work(all_of_it=True)
    assert office.job(waiting["id"])["state"] == "done"


def test_a_time_that_somebody_names_is_kept_within_a_window_and_moved_into_one_outside(office: Office) -> None:
    office.policy(windows=[TONIGHT, THURSDAY])
    within = NOON + timedelta(hours=12)
    waiting = office.approve(office.planned(), not_before=within.isoformat())
    assert local(waiting) == within
    office.admin.post(f"{API}/provisioning/jobs/{waiting['id']}/cancel").raise_for_status()
    outside = NOON + timedelta(days=1)
    assert local(office.approve(office.planned(), not_before=outside.isoformat())) == datetime(
        2099, 1, 8, 3, tzinfo=ZONE
    )


def test_a_box_has_windows_of_its_own(office: Office) -> None:
    office.policy(windows=[TONIGHT], nas_windows={office.nas_id: [THURSDAY]})
    assert local(office.approve(office.planned())) == datetime(2099, 1, 8, 3, tzinfo=ZONE)


def test_a_person_may_say_that_it_is_done_at_once_and_that_is_written_down(office: Office) -> None:
    office.policy(windows=[TONIGHT])
    job = office.planned()
    assert office.approve(job, at_once=True)["state"] == "done"
    with office.database.transaction() as one:
        query = select(AuditEntry).where(AuditEntry.resource == "provisioning_job", AuditEntry.action == "approve")
        entry = one.scalars(query).one()
        assert (entry.actor, entry.changes["at_once"]) == ("token:ana", True)


def test_what_few_may_feel_needs_no_window_and_what_takes_rows_from_them_does(office: Office) -> None:
    office.policy(windows=[TONIGHT], sessions_max=5)
    job = office.planned()
    assert (office.job(job)["touched"], office.job(job)["removed"]) == (5, 0)
    assert office.approve(job)["state"] == "done"
    gone = office.planned({"pools": [{**POOLS["pools"][0], "name": "others"}]})
    assert (office.job(gone)["touched"], office.job(gone)["removed"]) == (5, 1)
    assert office.approve(gone)["state"] == "approved"
    office.admin.post(f"{API}/provisioning/jobs/{gone}/cancel").raise_for_status()
    office.policy(windows=[TONIGHT], sessions_max=4)
    assert office.approve(office.planned({"pools": [*POOLS["pools"], {"name": "x", "ranges": "10.0.0.0/24"}]}))[
        "in_window"
    ]


def test_what_no_session_goes_through_is_felt_by_none(office: Office) -> None:
    office.policy(windows=[TONIGHT], sessions_max=0)
    job = office.planned(CLOCKS)
    assert office.job(job)["touched"] == 0
    assert office.approve(job)["state"] == "done"


def test_what_many_may_feel_needs_a_window_or_a_persons_word_where_there_is_no_window(office: Office) -> None:
    office.policy(sessions_max=4)
    job = office.planned()
    assert office.approve(job, status=409)["field"] == "at_once"
    assert office.approve(job, at_once=True)["state"] == "done"


def test_what_waits_for_a_window_that_is_taken_away_is_refused(office: Office) -> None:
    office.policy(windows=[TONIGHT], sessions_max=0)
    waiting = office.approve(office.planned())
    office.policy(sessions_max=0)
    office.work(all_of_it=True)
    refused = office.job(waiting["id"])
    assert (refused["state"], "no window" in refused["detail"]) == ("refused", True)


def test_the_policy_is_an_administrators_to_say_and_what_cannot_be_is_refused(office: Office) -> None:
    path = f"{API}/provisioning-policy"
    for role in (Role.NOC, Role.OPERATOR):
        assert office.person(role, f"x-{role}").put(path, json={}).status_code == 403
    for body in (
        {"windows": [{**TONIGHT, "until": "23:00"}]}, {"windows": [{**TONIGHT, "days": []}]}, {"sessions_max": -1},
        {"approvers": ["boss"]}, {"nas_windows": {"bras": [TONIGHT]}},
    ):  # fmt: skip
        assert office.admin.put(path, json=body).status_code == 422, body
    office.policy(windows=[TONIGHT], approvers=["noc"])
    assert office.admin.get(path).json()["windows"] == [TONIGHT]
    with office.database.transaction() as one:
        entry = one.scalars(select(AuditEntry).where(AuditEntry.resource == "provisioning_policy")).one()
        assert (entry.actor, entry.changes["approvers"]) == ("token:admin", ["noc"])

"""Provisioning over REST, with the worker's part done in between, at a simulated router."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, Box, box, do, rows, session
from sqlalchemy import func, select, update

from core import topics
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import Keyring
from core.models import OutboxItem
from core.models.system import AuditEntry, Role
from provisioning.jobs import drift, store
from provisioning.jobs.alone import alone_at
from provisioning.jobs.models import JobState, OwnedRow, ProvisioningJob
from provisioning.jobs.runner import Provisioner
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import Fault, FaultKind, Version

API = "/api/v1"
INTENT: dict[str, Any] = {
    "radius": {"servers": [{"address": "192.0.2.10"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "homes"},
    "pppoe": [{"interface": "ether2"}],
    "walled_garden": {"portal": "192.0.2.80"},
}


@dataclass
class House:
    client: TestClient
    database: Database
    provisioner: Provisioner
    box: Box
    nas_id: str

    def work(self) -> None:
        """All that is due."""
        work_off(self.database, {
            topics.PROVISIONING_DUE.name: self.provisioner.handle_due,
            topics.DRIFT_DUE.name: self.provisioner.handle_drift,
        })  # fmt: skip

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.client.post(f"{API}{path}", json=body or {})

    def job(self, job_id: str) -> dict[str, Any]:
        return self.client.get(f"{API}/provisioning/jobs/{job_id}").json()  # type: ignore[no-any-return]

    def planned(self, intent: dict[str, Any] = INTENT) -> dict[str, Any]:
        answer = self.client.put(f"{API}/nas/{self.nas_id}/intent", json={"body": intent})
        assert answer.status_code == 200, answer.text
        made = self.post("/provisioning/jobs", {"nas_id": self.nas_id})
        assert (made.status_code, made.json()["state"]) == (202, "planning"), made.text
        self.work()
        return self.job(made.json()["id"])

    def approved(self, job: dict[str, Any]) -> dict[str, Any]:
        answer = self.post(f"/provisioning/jobs/{job['id']}/approve")
        assert answer.status_code == 200, answer.text
        self.work()
        return self.job(job["id"])


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def house(
    request: pytest.FixtureRequest, client: TestClient, database: Database, keyring: Keyring
) -> Iterator[House]:  # fmt: skip
    with box(session(), version=request.param) as one:
        body = {
            "name": "bras", "address": "127.0.0.1", "secret": "s3cret", "vendor": "mikrotik",
            "routeros": {"user": USER, "port": one.server.port, "tls": False}, "routeros_password": PASSWORD,
        }  # fmt: skip
        nas = client.post(f"{API}/nas", json=body).json()
        provisioner = Provisioner(database, keyring, RouterOs, AtOnce(), utc_now, lambda _: None)
        yield House(client, database, provisioner, one, nas["id"])


def test_a_box_is_planned_for_looked_at_and_changed(house: House) -> None:
    job = house.planned()
    assert (job["state"], job["sessions"], job["problems"]) == ("planned", 1, [])
    assert any(command.startswith("/radius add service=ppp address=192.0.2.10") for command in job["commands"])
    assert rows(house.box.router, "/radius") == []  # nothing is done yet
    path = f"{API}/provisioning/jobs/{job['id']}/steps"
    steps = house.client.get(path, params={"language": "en"}).json()
    assert [step["command"] for step in steps] == job["commands"]
    assert "IPv4 pool homes is new: ranges 100.64.0.2-100.64.3.254" in [step["words"] for step in steps]
    (pool,) = [step for step in house.client.get(path).json() if step["menu"] == "/ip/pool"]
    assert pool["words"].startswith("Pool de endereços IPv4 homes passa a existir")
    assert (pool["does"], pool["what"]) == ("add", "homes")
    assert {"name": "ranges", "was": None, "becomes": "100.64.0.2-100.64.3.254"} in pool["fields"]
    done = house.approved(job)
    assert (done["state"], done["detail"], done["steps_applied"]) == ("done", None, len(job["commands"]))
    (radius,) = rows(house.box.router, "/radius")
    assert (radius["address"], radius["secret"]) == ("192.0.2.10", "s3cret")
    again = house.planned()
    assert (again["state"], again["commands"]) == ("in_step", [])


def test_secrets_are_on_the_router_and_nowhere_else(house: House) -> None:
    job = house.approved(house.planned())
    assert job["state"] == "done"
    listed = house.client.get(f"{API}/provisioning/jobs").text
    with house.database.transaction() as one:
        kept = one.scalars(select(ProvisioningJob)).one()
        assert b"s3cret" not in (kept.plan_encrypted or b"")
        audit = repr([entry.changes for entry in one.scalars(select(AuditEntry))])
    steps = house.client.get(f"{API}/provisioning/jobs/{job['id']}/steps").text
    for text in (str(job), listed, steps, audit):
        assert "s3cret" not in text


MONITORED = {"management": {"networks": ["127.0.0.0/8"], "services": ["api"], "snmp": {"networks": ["127.0.0.1"]}}}
COMMUNITY = "c0mmunity"


def test_snmp_is_the_nas_entrys_and_its_community_is_on_the_router_and_nowhere_else(house: House) -> None:
    nas, intent = f"{API}/nas/{house.nas_id}", f"{API}/nas/{house.nas_id}/intent"
    refused = house.client.put(intent, json={"body": MONITORED})
    assert (refused.status_code, refused.json()["field"]) == (409, "snmp")
    said = {"snmp": {"version": "v2c"}, "snmp_secret": {"community": COMMUNITY}}
    assert house.client.patch(nas, json=said).status_code == 200
    job = house.approved(house.planned(MONITORED))
    assert (job["state"], job["problems"]) == ("done", [])
    assert COMMUNITY in [row["name"] for row in rows(house.box.router, "/snmp/community")]
    assert house.planned(MONITORED)["state"] == "in_step"  # it is known to be ours
    gone = house.approved(house.planned({"management": {"networks": ["127.0.0.0/8"], "services": ["api"]}}))
    assert gone["state"] == "done"
    assert COMMUNITY not in [row["name"] for row in rows(house.box.router, "/snmp/community")]
    pages = [f"{API}/provisioning/jobs", intent, f"{API}/audit", f"{API}/events"]
    texts = [house.client.get(page).text for page in pages]
    with house.database.transaction() as one:
        texts += [repr([row.__dict__ for row in one.scalars(select(table))]) for table in (OwnedRow, ProvisioningJob)]
        texts.append(repr([entry.changes for entry in one.scalars(select(AuditEntry))]))
    assert [text for text in texts if COMMUNITY in text] == []


def test_what_changes_in_the_intent_changes_the_box_and_what_goes_goes(house: House) -> None:
    house.approved(house.planned())
    do(house.box.router, "/ip/firewall/filter/add", chain="forward", action="drop", comment="his")
    more = {**INTENT, "pools": [*INTENT["pools"], {"name": "more", "ranges": "100.65.0.0/24"}], "pppoe": []}
    job = house.approved(house.planned(more))
    assert job["state"] == "done"
    assert {row["name"] for row in rows(house.box.router, "/ip/pool")} == {"homes", "more"}
    assert rows(house.box.router, "/interface/pppoe-server/server") == []
    assert rows(house.box.router, "/ip/firewall/filter")[-1]["comment"] == "his"
    with house.database.transaction() as one:
        assert one.scalars(select(OwnedRow).where(OwnedRow.menu == "/interface/pppoe-server/server")).all() == []


def test_a_row_of_somebody_elses_is_a_problem_and_is_left_alone(house: House) -> None:
    do(house.box.router, "/ip/pool/add", name="homes", ranges="10.0.0.0/24")
    job = house.planned({"pools": INTENT["pools"]})
    assert job["state"] == "in_step"
    assert job["problems"] == ["/ip/pool homes: there is a row of this name that is not ours: rename it, or adopt it"]


def test_a_box_that_refuses_a_step_is_as_it_was_and_the_job_says_why(house: House) -> None:
    job = house.planned()
    command = "/interface/pppoe-server/server/add"
    house.box.router.faults.order(Fault(FaultKind.REFUSE, command, message="failure: no"))
    undone = house.approved(job)
    assert (undone["state"], undone["detail"]) == ("undone", f"{command}: failure: no")
    assert rows(house.box.router, "/radius") == []
    assert house.planned()["commands"] == job["commands"]


def test_a_change_after_which_the_box_reaches_less_is_undone_and_the_job_says_what(house: House) -> None:
    job = house.planned({"pools": INTENT["pools"], "probe": {"ping": ["198.51.100.1"]}})
    house.box.router.answering = lambda _: not rows(house.box.router, "/ip/pool")
    undone = house.approved(job)
    assert (undone["state"], undone["detail"]) == ("undone", "198.51.100.1 does not answer pings any more")
    assert rows(house.box.router, "/ip/pool") == []


def test_a_box_that_cannot_be_read_says_so(house: House) -> None:
    do(house.box.router, "/user/set", numbers=USER, password="another")
    job = house.planned()
    assert job["state"] == "refused"
    assert "invalid user name or password" in job["detail"]
    assert PASSWORD not in str(job)


def test_a_box_has_one_job_at_a_time_and_a_plan_can_be_cancelled(house: House) -> None:
    job = house.planned()
    refused = house.post("/provisioning/jobs", {"nas_id": house.nas_id})
    assert (refused.status_code, refused.json()["field"]) == (409, "nas_id")
    cancelled = house.post(f"/provisioning/jobs/{job['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert house.post(f"/provisioning/jobs/{job['id']}/approve").status_code == 409
    assert house.post(f"/provisioning/jobs/{job['id']}/cancel").status_code == 409
    assert house.planned()["state"] == "planned"


def test_what_was_approved_for_later_waits_for_its_time(house: House) -> None:
    job = house.planned()
    later = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    house.post(f"/provisioning/jobs/{job['id']}/approve", {"not_before": later})
    house.work()
    assert house.job(job["id"])["state"] == "approved"
    with house.database.transaction() as one:
        one.execute(update(OutboxItem).values(due_at=func.now()))
    house.work()
    assert house.job(job["id"])["state"] == "done"


@pytest.mark.parametrize(
    ("state", "settled"),
    [(JobState.RUNNING, ("undone", "whoever was at it died")), (JobState.APPROVED, ("done", None))],
)
def test_a_job_whose_worker_died_is_taken_over(
    house: House, state: JobState, settled: tuple[str, str | None]
) -> None:  # fmt: skip
    job = house.planned()
    with house.database.transaction() as one:
        kept = store.get_job(one, int(job["id"]), lock=True)
        kept.state, kept.claimed_until = state, utc_now() - timedelta(seconds=1)
        assert store.owe_abandoned(one, utc_now()) == 1
        assert store.owe_abandoned(one, utc_now()) == 0
    house.work()
    found = house.job(job["id"])
    assert (found["state"], found["detail"]) == settled


def test_a_job_of_which_nothing_is_known_can_be_given_up(house: House) -> None:
    job = house.planned()
    with house.database.transaction() as one:
        kept = store.get_job(one, int(job["id"]), lock=True)
        store.finish(one, kept, JobState.UNKNOWN, "it does not answer", utc_now())
    assert house.post("/provisioning/jobs", {"nas_id": house.nas_id}).status_code == 409
    assert house.post(f"/provisioning/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert house.planned()["state"] == "planned"


def test_two_workers_are_never_at_one_box(house: House) -> None:
    job = house.planned()
    house.post(f"/provisioning/jobs/{job['id']}/approve")
    with alone_at(house.database, int(house.nas_id)) as alone:
        assert alone
        house.work()
        assert house.job(job["id"])["state"] == "approved"
    with house.database.transaction() as one:
        one.execute(update(OutboxItem).values(due_at=func.now()))
    house.work()
    assert house.job(job["id"])["state"] == "done"


@pytest.mark.parametrize("house", [Version.V7_18], indirect=True)
def test_what_cannot_be_managed_is_refused(house: House, client: TestClient) -> None:
    other = {"name": "olt", "address": "192.0.2.7", "secret": "x", "vendor": "huawei"}
    other_id = client.post(f"{API}/nas", json=other).json()["id"]
    answer = client.put(f"{API}/nas/{other_id}/intent", json={"body": {}})
    assert (answer.status_code, answer.json()["field"]) == (409, "routeros")
    answer = client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": {"pools": [{"name": "x"}]}})
    assert (answer.status_code, answer.json()["field"]) == (422, "pools[0]")
    assert client.get(f"{API}/nas/{house.nas_id}/intent").status_code == 404
    assert house.post("/provisioning/jobs", {"nas_id": house.nas_id}).status_code == 404


@pytest.mark.parametrize("house", [Version.V7_18], indirect=True)
def test_who_may(house: House, client_for: Any) -> None:
    job = house.planned()
    path = f"{API}/provisioning/jobs/{job['id']}"
    for role in (Role.TECHNICIAN, Role.FINANCE, Role.READONLY):
        assert client_for(role).post(f"{path}/approve", json={}).status_code == 403
    assert client_for(Role.TECHNICIAN).get(path).status_code == 200
    assert client_for(Role.NOC).post(f"{path}/approve", json={}).status_code == 200


def test_what_somebody_changed_at_the_box_is_seen_and_can_be_put_back(house: House) -> None:
    assert house.approved(house.planned())["state"] == "done"
    path = f"{API}/nas/{house.nas_id}/intent"
    version = house.client.get(path).json()["version"]
    assert house.client.get(path).json()["drift"] == []
    do(house.box.router, "/ip/pool/set", numbers="homes", ranges="10.0.0.0/24")
    assert house.post(f"/nas/{house.nas_id}/intent/check").status_code == 202
    house.work()
    seen = house.client.get(path).json()
    (command,) = seen["drift"]
    assert command.startswith("/ip pool set [find comment~")
    assert "ranges=100.64.0.2-100.64.3.254" in command
    assert (seen["check_error"], seen["version"]) == (None, version)
    (step,) = house.client.get(f"{path}/drift", params={"language": "en"}).json()
    assert step["words"] == "IPv4 pool homes: ranges from 10.0.0.0/24 to 100.64.0.2-100.64.3.254"
    assert rows(house.box.router, "/ip/pool")[0]["ranges"] == "10.0.0.0/24"  # a look changes nothing
    assert house.approved(house.planned())["state"] == "done"
    assert house.client.get(path).json()["drift"] == []
    types = [one["type"] for one in house.client.get(f"{API}/events").json()["items"]]
    assert types.count("provisioning.drifted") == 1
    assert types.count("provisioning.drift_ended") == 1


def test_a_box_that_never_was_what_is_said_now_has_not_drifted(house: House) -> None:
    """Not before it was a BRAS, nor when the intent is another since."""
    house.approved(house.planned())
    house.client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": {**INTENT, "pppoe": []}})
    for _ in range(2):
        house.post(f"/nas/{house.nas_id}/intent/check")
        house.work()
    assert house.client.get(f"{API}/nas/{house.nas_id}/intent").json()["drift"]
    types = [one["type"] for one in house.client.get(f"{API}/events").json()["items"]]
    assert [one for one in types if one.startswith("provisioning.drift")] == []


def test_a_box_that_stays_away_is_asked_again_soon_then_later_and_told_of_once(
    house: House, database: Database, keyring: Keyring
) -> None:
    job = house.planned()
    clock = ManualClock(utc_now())
    waited: list[float] = []
    provisioner = Provisioner(database, keyring, lambda access: RouterOs(access, timeout_s=0.5), AtOnce(), clock,
                              waited.append)  # fmt: skip
    away = Fault(FaultKind.REBOOT, "/ip/firewall/nat/add", seconds=3600)
    house.box.router.faults.order(away)
    house.post(f"/provisioning/jobs/{job['id']}/approve")
    retries = []
    for _ in range(9):
        with database.transaction() as one:
            one.execute(update(OutboxItem).values(due_at=func.now()))
        work_off(database, {topics.PROVISIONING_DUE.name: provisioner.handle_due})
        with database.transaction() as one:
            (due_at,) = one.scalars(select(OutboxItem.due_at).where(OutboxItem.topic == topics.PROVISIONING_DUE.name))
            retries.append(round((due_at - clock()).total_seconds()))
            assert store.is_long_unknown(store.get_job(one, int(job["id"]))) is (len(retries) > 5)
    assert retries == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert sum(waited) < 10 * len(retries)  # its thread is soon another box's
    assert house.job(job["id"])["state"] == "unknown"
    types = [one["type"] for one in house.client.get(f"{API}/events").json()["items"]]
    assert types.count("provisioning.unknown") == 1


def test_a_box_that_cannot_be_looked_at_says_why_and_keeps_what_was_seen(house: House) -> None:
    house.approved(house.planned())
    do(house.box.router, "/user/set", numbers=USER, password="another")
    for _ in range(2):
        house.post(f"/nas/{house.nas_id}/intent/check")
        house.work()
    seen = house.client.get(f"{API}/nas/{house.nas_id}/intent").json()
    assert "invalid user name or password" in seen["check_error"]
    assert seen["drift"] == []
    types = [one["type"] for one in house.client.get(f"{API}/events").json()["items"]]
    assert types.count("provisioning.unreadable") == 1


def test_every_box_is_looked_at_by_the_clock_and_by_one(house: House) -> None:
    house.client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": INTENT})
    now = utc_now()
    with house.database.transaction() as one:
        assert drift.owe_due(one, now) == 1
        assert drift.owe_due(one, now) == 0
        assert drift.owe_due(one, now + drift.CLAIM + timedelta(seconds=1)) == 1  # whoever had it died
    house.work()
    with house.database.transaction() as one:
        assert drift.owe_due(one, now + drift.EVERY - timedelta(minutes=1)) == 0
        assert drift.owe_due(one, now + drift.EVERY + timedelta(minutes=1)) == 1

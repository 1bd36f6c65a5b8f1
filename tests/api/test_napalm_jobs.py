"""Provisioning of boxes other than RouterOS over REST, with the worker's part done in between, at simulated boxes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import pytest
from applications import make_app
from fastapi.testclient import TestClient
from managed_device import API, ManagedDevice, managed_device, nas_body
from napalm_boxes import PASSWORD, SECRET, SEEN, SMALL
from sqlalchemy import select

from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from core.models.system import AuditEntry
from provisioning.backups import store as backups
from provisioning.backups.models import DeviceBackup
from provisioning.backups.texts import ReadBy
from provisioning.jobs import store
from provisioning.jobs.models import JobState, ProvisioningJob
from provisioning.napalm.plan_names import DevicePlanNames
from provisioning.simulators.ssh import Fault, FaultKind, SshServer
from provisioning.simulators.ssh.box import Changed
from provisioning.simulators.ssh.configuration import parse

RADIUS = {"radius": {"servers": [{"address": "192.0.2.10"}]}}


@pytest.fixture(params=["huawei_vrp8", "ios"])
def house(
    request: pytest.FixtureRequest, client: TestClient, database: Database, keyring: Keyring
) -> Iterator[ManagedDevice]:  # fmt: skip
    with managed_device(client, database, keyring, request.param) as one:
        yield one


huawei = pytest.mark.parametrize("house", ["huawei_vrp8"], indirect=True)


def test_a_box_is_planned_for_its_host_key_approved_and_it_is_changed(house: ManagedDevice) -> None:
    job = house.planned()
    assert (job["state"], job["sessions"], job["problems"], job["cannot_undo"]) == ("planned", 100, [], None)
    assert (job["touched"], job["removed"]) == (100, 0)
    assert f"+{SEEN[house.one.driver]}" in job["commands"]
    assert job["host_key"] == house.one.server.public_key
    assert house.get(f"/nas/{house.nas_id}")["management"]["host_key"] is None
    assert not house.one.changed
    done = house.approved(job)
    assert (done["state"], done["detail"], done["steps_applied"]) == ("done", None, len(job["commands"]))
    assert house.one.changed
    assert house.get(f"/nas/{house.nas_id}")["management"]["host_key"] == house.one.server.public_key
    assert "nas.host_key_pinned" in house.events()
    again = house.planned()
    assert (again["state"], again["commands"], again["host_key"]) == ("in_step", [], None)


def test_a_box_whose_key_nobody_approved_is_not_looked_at_by_the_clock(house: ManagedDevice) -> None:
    house.client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": SMALL[house.one.driver]})
    assert "was not approved yet" in house.checked()["check_error"]
    assert house.one.box.faults.commands == 0


@huawei
def test_another_key_is_refused_and_told_of_once(house: ManagedDevice) -> None:
    assert house.approved(house.planned())["state"] == "done"
    port = house.one.server.port
    house.one.server.close()
    house.one.server = SshServer(house.one.box, port=port)
    for _ in range(2):
        assert "somebody is in between" in house.checked()["check_error"]
    job = house.planned()
    assert (job["state"], "somebody is in between" in job["detail"]) == ("refused", True)
    assert house.events().count("nas.host_key_refused") == 1
    patch = {"management": {**nas_body(house.one)["management"], "host_key": house.one.server.public_key}}
    assert house.client.patch(f"{API}/nas/{house.nas_id}", json=patch).status_code == 200
    assert house.checked()["check_error"] is None


def test_secrets_are_at_the_box_and_nowhere_else(house: ManagedDevice) -> None:
    job = house.approved(house.planned(RADIUS))
    assert job["state"] == "done"
    with house.database.transaction() as session:
        kept = session.scalars(select(ProvisioningJob)).one()
        assert SECRET.encode() not in (kept.plan_encrypted or b"")
        audit = repr([entry.changes for entry in session.scalars(select(AuditEntry))])
    nas = house.client.get(f"{API}/nas/{house.nas_id}").text
    for text in (str(job), nas, audit, house.client.get(f"{API}/events").text):
        assert SECRET not in text
        assert PASSWORD not in text


def test_secrets_that_are_there_are_no_drift_and_a_new_one_is(house: ManagedDevice) -> None:
    if house.one.driver == "ios":
        house.one.box.running.below += parse("service password-encryption").below
    assert house.approved(house.planned(RADIUS))["state"] == "done"
    assert house.checked()["drift"] == []
    assert house.client.patch(f"{API}/nas/{house.nas_id}", json={"secret": "an0ther-one"}).status_code == 200
    drift = house.checked()["drift"]
    assert any("***" in line for line in drift)
    assert house.approved(house.planned(RADIUS))["state"] == "done"
    assert house.checked()["drift"] == []


def test_another_change_is_made_where_secrets_are_that_are_ciphered_anew(house: ManagedDevice) -> None:
    if house.one.driver == "ios":
        house.one.box.running.below += parse("service password-encryption").below
    assert house.approved(house.planned(RADIUS))["state"] == "done"
    more = house.planned({**RADIUS, **SMALL[house.one.driver]})
    assert not any("***" in line for line in more["commands"])
    done = house.approved(more)
    assert (done["state"], done["detail"]) == ("done", None)
    assert house.one.changed


def test_a_line_with_a_secret_that_somebody_took_away_is_seen_and_put_back(house: ManagedDevice) -> None:
    assert house.approved(house.planned(RADIUS))["state"] == "done"
    below = house.one.box.running.below
    place = next(
        number for number, line in enumerate(below) if "authorization 192" in line.text or "dynamic" in line.text
    )
    below[place].below = [line for line in below[place].below if "server-key" not in line.text]
    if house.one.driver == "huawei_vrp8":
        del below[place]
    drift = house.checked()["drift"]
    assert any("***" in line for line in drift)
    assert house.approved(house.planned(RADIUS))["state"] == "done"
    assert house.checked()["drift"] == []


@huawei
def test_what_somebody_changed_at_the_box_is_seen_and_can_be_put_back(house: ManagedDevice) -> None:
    assert house.approved(house.planned())["state"] == "done"
    profile = house.one.box.running.find("qos-profile gold")
    assert profile is not None
    profile.below = parse("x\n car cir 1000 inbound").below[0].below
    drift = house.checked()["drift"]
    assert "+ car cir 150000 inbound" in drift
    assert house.approved(house.planned())["state"] == "done"
    assert "car cir 150000 inbound" in house.one.running


@huawei
def test_lines_that_somebody_changed_are_put_back_and_not_said_in_the_intent(house: ManagedDevice) -> None:
    job = house.planned()
    answer = house.client.post(f"{API}/nas/{house.nas_id}/intent/accept", json={"job_id": job["id"]})
    assert (answer.status_code, answer.json()["field"]) == (409, "job_id")


@huawei
def test_a_plan_that_sessions_may_feel_waits_for_its_window(house: ManagedDevice) -> None:
    windows = [{"days": ["sun"], "from": "03:00", "until": "03:01"}]
    policy = {"windows": windows, "sessions_max": 10}
    assert house.client.put(f"{API}/provisioning-policy", json=policy).status_code == 200
    job = house.approved(house.planned())
    assert (job["state"], job["in_window"]) == ("approved", True)
    assert not house.one.changed
    assert job["not_before"] is not None


@huawei
def test_a_job_whose_worker_died_is_taken_over(house: ManagedDevice) -> None:
    job = house.planned()
    with house.database.transaction() as session:
        kept = store.get_job(session, int(job["id"]), lock=True)
        kept.state, kept.claimed_until = JobState.RUNNING, utc_now() - timedelta(seconds=1)
        assert store.owe_abandoned(session, utc_now()) == 1
    house.work()
    found = house.get(f"/provisioning/jobs/{job['id']}")
    assert (found["state"], found["detail"]) == ("undone", "whoever was at it died")


@huawei
def test_a_look_reads_what_the_box_says_of_itself(house: ManagedDevice) -> None:
    assert house.client.get(f"{API}/nas/{house.nas_id}/device").status_code == 404
    house.planned({})
    device = house.get(f"/nas/{house.nas_id}/device")
    facts = device["facts"]
    assert (facts["vendor"], facts["model"], facts["serial"]) == ("Huawei", "NetEngine 8000 F1A", "2102352SIM0001")
    assert facts["uptime_s"] == 1_047_900
    assert (device["names"]["QoS profile"], device["names"]["pool"], device["refused_host_key"]) == ([], [], None)
    assert "V800R021" in facts["release"]
    assert device["environment"]["cpu"] == {"0": {"%usage": 7.0}}
    assert device["environment"]["memory"] == {"available_ram": 8 << 30, "used_ram": 2 << 30}


PLAN = {"name": "Ouro", "down_kbps": 300000, "up_kbps": 150000}


@pytest.fixture
def asking(house: ManagedDevice, database: Database, keyring: Keyring) -> TestClient:
    """The API as a node has it, which asks whether boxes have what plans name."""
    found = TestClient(make_app(database, keyring, plan_names=DevicePlanNames()), headers=dict(house.client.headers))
    found.base_url = house.client.base_url
    return found


@huawei
def test_a_plan_that_names_what_the_box_does_not_have_is_refused_before_a_subscriber_finds_out(
    house: ManagedDevice, asking: TestClient
) -> None:
    assert asking.post(f"{API}/plans", json={**PLAN, "profile": "gold"}).status_code == 201  # nothing is known yet
    assert house.approved(house.planned())["state"] == "done"
    house.checked()
    assert house.get(f"/nas/{house.nas_id}/device")["names"]["QoS profile"] == ["gold"]
    for profile, near in (
        ("Gold", "it has gold, in other letters"),
        ("gold1", "it has gold"),
        ("zinc", "no QoS profile"),
    ):
        refused = asking.post(f"{API}/plans", json={**PLAN, "name": profile, "profile": profile})
        assert (refused.status_code, refused.json()["field"]) == (422, "profile")
        assert f"NAS bng has no QoS profile {profile}" in refused.json()["detail"]
        assert near in refused.json()["detail"]
    made = asking.post(f"{API}/plans", json={**PLAN, "name": "Prata", "profile": "gold"})
    assert made.status_code == 201, made.text
    path = f"{API}/plans/{made.json()['id']}"
    for field, name in (("address_pool", "homes"), ("ingress_filter", "3001"), ("vrf", "clientes")):
        refused = asking.patch(path, json={field: name})
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert asking.patch(path, json={"down_kbps": 400000}).status_code == 200


@huawei
def test_a_name_that_is_called_otherwise_there_or_a_plan_that_is_not_sold_there_is_no_matter(
    house: ManagedDevice, asking: TestClient
) -> None:
    assert house.approved(house.planned())["state"] == "done"
    house.checked()
    plan = {**PLAN, "profile": "ouro"}
    assert asking.post(f"{API}/plans", json=plan).status_code == 422
    house.client.patch(f"{API}/nas/{house.nas_id}", json={"names": {"profiles": {"ouro": "gold"}}})
    assert asking.post(f"{API}/plans", json=plan).status_code == 201
    serves = {**SMALL["huawei_vrp8"], "serves": ["Ouro"]}
    house.client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": serves})
    assert asking.post(f"{API}/plans", json={**plan, "name": "Prata", "profile": "zinc"}).status_code == 201


@huawei
def test_what_goes_from_the_box_and_plans_name_is_told_of(house: ManagedDevice, asking: TestClient) -> None:
    assert house.approved(house.planned())["state"] == "done"
    house.checked()
    assert asking.post(f"{API}/plans", json={**PLAN, "profile": "gold"}).status_code == 201
    house.one.box.running.below = [line for line in house.one.box.running.below if line.text != "qos-profile gold"]
    house.checked()
    missing = house.get(f"/nas/{house.nas_id}/device")["missing"]
    assert "plan Ouro, profile: NAS bng has no QoS profile gold" in missing
    assert "walled garden: NAS bng has no user group or ACL walled-garden" in missing
    assert "provisioning.names_missing" in house.events()


@huawei
def test_a_box_that_would_not_undo_by_itself_is_approved_in_so_many_words(house: ManagedDevice) -> None:
    job = house.planned()
    with house.database.transaction() as session:
        store.get_job(session, int(job["id"]), lock=True).cannot_undo = "it has no such thing"
    path = f"{API}/provisioning/jobs/{job['id']}/approve"
    refused = house.client.post(path, json={})
    assert (refused.status_code, refused.json()["field"]) == (409, "without_undo")
    assert house.client.post(path, json={"without_undo": True}).status_code == 200


@huawei
def test_a_rollout_takes_no_box_that_would_not_undo_by_itself(house: ManagedDevice) -> None:
    house.client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": SMALL["huawei_vrp8"]})
    rollout = house.client.post(f"{API}/provisioning/rollouts", json={"nas_ids": [house.nas_id]}).json()
    house.work()
    from provisioning.jobs import rollouts

    with house.database.transaction() as session:
        rollouts.advance_all(session, utc_now(), UTC)
        session.scalars(select(ProvisioningJob)).one().cannot_undo = "it has no such thing"
    refused = house.client.post(f"{API}/provisioning/rollouts/{rollout['id']}/approve", json={})
    assert (refused.status_code, "approve it alone" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"management_secret": None}, "management_secret"),
        ({"management": None}, "management_secret"),
        ({"vendor": "mikrotik"}, "management"),
        ({"address": "192.0.2.0/24"}, "management.address"),
        (
            {"management": {"driver": "ios", "user": "u", "host_key": "ssh-ed25519 no key at all"}},
            "management.host_key",
        ),
        (
            {"management": {"driver": "ios", "user": "u", "arguments": {"session_log": "/tmp/x"}}},
            "management.arguments",
        ),
        ({"management": {"driver": "ios", "user": "u", "address": "router"}}, "management.address"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(client: TestClient, given: dict[str, Any], field: str) -> None:
    body = {
        "name": "bng", "address": "192.0.2.1", "secret": "x", "vendor": "cisco",
        "management": {"driver": "ios", "user": "u"}, "management_secret": {"password": "p"},
    }  # fmt: skip
    assert client.post(f"{API}/nas", json=body).status_code == 201
    answer = client.post(f"{API}/nas", json={**body, "name": "other", "address": "192.0.2.2", **given})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@huawei
def test_an_intent_says_what_of_it_cannot_be(house: ManagedDevice) -> None:
    for intent, field in (
        ({"pppoe": []}, None),
        ({"policies": [{"name": "a b", "download_kbps": 1, "upload_kbps": 1}]}, "policies[0].name"),
        ({"access": [{"interface": "Eth1", "vlans": "1"}]}, "subscribers"),
        ({"pools": [{"name": "a", "network": "192.0.2.0/24", "gateway": "192.0.2.9"}]}, "pools[0].gateway"),
    ):
        answer = house.client.put(f"{API}/nas/{house.nas_id}/intent", json={"body": intent})
        assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


# Configurations kept


@huawei
def test_what_a_box_was_before_and_is_after_a_change_is_kept_sealed(house: ManagedDevice) -> None:
    job = house.approved(house.planned(RADIUS))
    before, after = house.versions()
    assert [(one["why"], one["job_id"], one["read_by"]) for one in (before, after)] == [
        ("before_change", job["id"], "running"), ("after_change", job["id"], "running"),
    ]  # fmt: skip
    assert after["changed_by"] == [{"job_id": int(job["id"]), "approved_by": job["approved_by"]}]
    assert any(line.startswith("+ radius") for line in after["changes"])
    assert SECRET not in str(after)
    shown = house.get(f"/nas/{house.nas_id}/backups/{after['id']}?against={before['id']}")
    assert (shown["difference"], SECRET in str(shown)) == (after["changes"], False)
    with house.database.transaction() as session:
        for row in session.scalars(select(DeviceBackup)):
            assert SECRET.encode() not in row.text_encrypted
            assert "interface" in backups.open_text(house.provisioner.keyring, row)
    house.looked()
    assert [one["id"] for one in house.versions()] == [before["id"], after["id"]]


@huawei
def test_nothing_is_changed_at_a_box_whose_configuration_could_not_be_kept(house: ManagedDevice) -> None:
    job = house.planned()
    for _ in range(2):  # it is asked for its interfaces first
        house.one.box.faults.order(Fault(FaultKind.REFUSE, "display current-configuration", message="% Memory is low"))
    refused = house.approved(job)
    assert (refused["state"], house.one.changed, house.versions()) == ("refused", False, [])
    assert refused["detail"].startswith("its configuration could not be kept first: its configuration did not come")


@huawei
def test_who_drifted_from_it_is_named_as_the_box_names_him(house: ManagedDevice) -> None:
    assert house.approved(house.planned())["state"] == "done"
    below = house.one.box.running.below
    below[:] = [line for line in below if SEEN[house.one.driver] not in line.text]
    house.one.box.changed = Changed(house.one.clock() + 60, "joao")
    assert house.checked()["drift"]
    newest = house.versions()[-1]
    assert newest["why"] == "drift"
    assert {"user": "joao", "actions": ["changed the configuration"]} in newest["changed_by"]
    assert any(line.startswith("- ") and SEEN[house.one.driver] in line for line in newest["changes"])
    (told,) = [one for one in house.get(f"/nas/{house.nas_id}/changes")["items"] if one["backup_id"] == newest["id"]]
    assert told["changes"] == newest["changes"]


@huawei
def test_a_box_whose_key_nobody_approved_is_not_read_and_that_is_said(house: ManagedDevice) -> None:
    assert "was not approved yet" in house.looked()["error"]
    assert house.one.box.faults.commands == 0
    assert house.approved(house.planned())["state"] == "done"
    assert house.looked() == {"error": None, "checked": True}


def test_a_managed_box_is_read_by_the_clock_as_any(house: ManagedDevice) -> None:
    with house.database.transaction() as session:
        assert backups.owe_due(session, utc_now()) == 1
        assert backups.owe_due(session, utc_now()) == 0


@huawei
def test_a_version_is_restored_in_a_drill(house: ManagedDevice) -> None:
    house.approved(house.planned(RADIUS))
    newest = house.versions()[-1]
    path = f"/nas/{house.nas_id}/backups/{newest['id']}"
    assert house.client.post(f"{API}{path}/drill").status_code == 202
    house.work()
    (done,) = house.get(f"/nas/{house.nas_id}/drills")["items"]
    assert (done["ok"], done["not_played"], done["differences"]) == (True, [], [])
    assert done["commands"] > 10
    text = house.client.get(f"{API}{path}/text").text
    assert text.splitlines()[-1] == "return"


@huawei
def test_a_box_that_becomes_one_of_another_kind_begins_anew(house: ManagedDevice) -> None:
    house.approved(house.planned())
    with house.database.transaction() as session:
        row = session.scalars(select(DeviceBackup).order_by(DeviceBackup.id.desc()).limit(1)).one()
        row.read_by = ReadBy.EXPORT
    house.looked()
    *_, before, after = house.versions()
    assert (before["read_by"], after["read_by"], after["changes"]) == ("export", "running", None)
    shown = house.get(f"/nas/{house.nas_id}/backups/{after['id']}?against={before['id']}")
    assert shown["error"] == "one is of a RouterOS box and the other is not: there is nothing to compare"

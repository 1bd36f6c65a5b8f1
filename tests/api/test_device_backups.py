"""Versions of boxes' configurations over REST: kept, compared, opened by few, restored in drills, forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from managed_box import API, ManagedBox, managed_box
from routeros_boxes import do, rows
from sqlalchemy import select, update

from core.database import Database
from core.keyring import DEVICE_BACKUP, Keyring
from core.models.system import AuditEntry, Role
from provisioning.backups import drill, store
from provisioning.backups.models import BackupState, DeviceBackup
from provisioning.jobs.alone import alone_at
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import Fault, FaultKind, Router, Version, load

POOL = {"pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}]}


@pytest.fixture(params=[Version.V6_49, Version.V7_18])
def managed(
    request: pytest.FixtureRequest, client: TestClient, database: Database, keyring: Keyring
) -> Iterator[ManagedBox]:  # fmt: skip
    with managed_box(client, database, keyring, request.param) as one:
        do(one.box.router, "/radius/add", service="login", address="192.0.2.99", secret="h1s0wn")
        yield one


def by_joao(managed: ManagedBox, command: str, values: dict[str, str]) -> None:
    if not any(row["name"] == "joao" for row in rows(managed.box.router, "/user")):
        do(managed.box.router, "/user/add", name="joao", password="x", group="full")
    client = RouterOs(managed.box.access(user="joao", password="x"))
    client.call(command, values)
    client.close()


def test_a_version_is_kept_sealed_and_again_only_when_it_differs(managed: ManagedBox) -> None:
    first = managed.taken()
    assert (first["why"], first["read_by"], first["changes"]) == ("asked", "export", None)
    again = managed.taken()
    assert (again["id"], again["taken_at"]) == (first["id"], first["taken_at"])
    assert again["same_until"] > first["same_until"]
    do(managed.box.router, "/ip/pool/add", name="more", ranges="10.0.0.0/24")
    second = managed.taken()
    assert second["changes"] == ["/ip pool", "+ add name=more ranges=10.0.0.0/24"]
    with managed.database.transaction() as one:
        for row in one.scalars(select(DeviceBackup)):
            assert b"h1s0wn" not in row.text_encrypted
            assert "h1s0wn" in store.open_text(managed.keyring, row)


def test_who_changed_what_since_when(managed: ManagedBox) -> None:
    """A job of ours, then somebody at the box."""
    managed.taken()
    job = managed.applied(POOL)
    assert job["state"] == "done"
    ours, *_ = managed.get(managed.of_nas("/changes"))["items"]
    assert ours["changed_by"] == [{"job_id": int(job["id"]), "approved_by": job["approved_by"]}]
    assert any("name=homes" in line for line in ours["changes"])
    by_joao(managed, "/ip/pool/add", {"name": "his", "ranges": "10.9.0.0/24"})
    managed.taken()
    his = managed.get(managed.of_nas("/changes"))["items"][-1]
    assert his["changes"] == ["/ip pool", "+ add name=his ranges=10.9.0.0/24"]
    assert {"user": "joao", "actions": ["ip pool added"]} in his["changed_by"]
    assert not any("job_id" in one for one in his["changed_by"])
    assert his["since"] < his["until"]


def test_every_change_of_ours_has_its_versions_before_and_after(managed: ManagedBox) -> None:
    job = managed.applied(POOL)
    kept = managed.get(managed.of_nas("/backups"))["items"]
    assert [(one["why"], one["job_id"]) for one in kept] == [
        ("before_change", job["id"]), ("after_change", job["id"]),
    ]  # fmt: skip
    assert rows(managed.box.router, "/file") == []


def test_nothing_is_changed_where_nothing_could_be_kept_before(managed: ManagedBox) -> None:
    job = managed.planned(POOL)
    managed.box.router.faults.order(Fault(FaultKind.CUT, "/file", times=0))
    managed.post(f"/provisioning/jobs/{job['id']}/approve")
    managed.work()
    found = managed.get(f"/provisioning/jobs/{job['id']}")
    assert found["state"] == "refused"
    assert found["detail"].startswith("its configuration could not be kept first: ")
    assert rows(managed.box.router, "/ip/pool") == []


def test_drift_is_kept_at_once_while_the_box_says_who(managed: ManagedBox) -> None:
    managed.applied(POOL)
    by_joao(managed, "/ip/pool/set", {"numbers": "homes", "ranges": "100.64.0.2-100.64.7.254"})
    managed.post(managed.of_nas("/intent/check"), status=202)
    managed.clock.pass_(seconds=1)
    managed.work()
    newest = managed.get(managed.of_nas("/backups"))["items"][-1]
    assert newest["why"] == "drift"
    assert {"user": "joao", "actions": ["ip pool changed"]} in newest["changed_by"]


def test_secrets_are_shown_to_an_administrator_only_and_that_is_logged(
    managed: ManagedBox, client_for: Callable[[Role], TestClient]
) -> None:  # fmt: skip
    one = managed.taken()
    path = managed.of_nas(f"/backups/{one['id']}")
    shown = managed.client.get(f"{API}{path}").text
    assert "192.0.2.99" in shown
    assert "h1s0wn" not in shown
    for role in (Role.OPERATOR, Role.NOC, Role.READONLY):
        assert client_for(role).get(f"{API}{path}/text").status_code == 403
        assert client_for(role).get(f"{API}{path}").status_code == 200
    text = managed.client.get(f"{API}{path}/text")
    assert "h1s0wn" in text.text
    with managed.database.transaction() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.resource == "device_backup")).all()
    assert [(entry.action, entry.resource_id) for entry in entries] == [("reveal", one["id"])]
    other = Router(managed.box.router.version, {"admin": ""}, clock=lambda: 0.0)
    assert load(other, text.text, "admin") == []
    assert rows(other, "/radius")[0]["secret"] == "h1s0wn"


def test_two_versions_are_compared_without_their_secrets(managed: ManagedBox) -> None:
    first = managed.taken()
    do(managed.box.router, "/radius/set", numbers="0", secret="an0ther")
    second = managed.taken()
    found = managed.get(managed.of_nas(f"/backups/{second['id']}?against={first['id']}"))
    assert found["difference"][-1].endswith("# a secret changed")
    assert "an0ther" not in str(found)


def test_a_backup_under_a_lost_key_says_which_and_stops_nothing(managed: ManagedBox) -> None:
    first = managed.taken()
    lost = Keyring({9: bytes(32)}).seal("/ip pool\n", DEVICE_BACKUP)
    with managed.database.transaction() as session:
        session.execute(update(DeviceBackup).values(text_encrypted=lost))
    found = managed.get(managed.of_nas(f"/backups/{first['id']}"))
    assert (found["commands"], found["error"]) == (
        None, "the stored device_backup.text needs key 9, which the key file does not hold",
    )  # fmt: skip
    assert "key 9" in managed.client.get(f"{API}{managed.of_nas('/backups/' + first['id'])}/text").text
    managed.post(managed.of_nas(f"/backups/{first['id']}/drill"), status=202)
    managed.work()
    (tried,) = managed.get(managed.of_nas("/drills"))["items"]
    assert (tried["ok"], tried["differences"]) == (False, [found["error"]])
    do(managed.box.router, "/ip/pool/add", name="more", ranges="10.0.0.0/24")
    second = managed.taken()
    assert second["id"] != first["id"]
    assert (second["changes"], second["changed_since"]) == (None, second["changed_since"])
    assert managed.get(managed.of_nas(f"/backups/{second['id']}"))["error"] is None


def test_a_box_that_cannot_be_read_says_why_once_and_when_it_can_again(managed: ManagedBox) -> None:
    managed.box.router.faults.order(Fault(FaultKind.CUT, "/file", times=0))
    for _ in range(2):
        managed.post(managed.of_nas("/backups"), status=202)
        managed.work()
    (failed,) = managed.events("backup.failed")
    assert "connection" in failed["detail"]
    managed.box.router.faults.clear()
    managed.taken()
    assert len(managed.events("backup.possible_again")) == 1


def test_every_box_is_read_every_day_and_drilled_every_month(managed: ManagedBox) -> None:
    def owed() -> tuple[int, int]:
        with managed.database.transaction() as one:
            found = store.owe_due(one, managed.clock()), drill.ask_due(one, managed.clock())
        managed.work()
        return found

    assert owed() == (1, 0)
    assert owed() == (0, 1)
    assert managed.get(managed.of_nas("/drills"))["items"][0]["ok"] is True
    managed.clock.pass_(hours=23)
    assert owed() == (0, 0)
    managed.clock.pass_(hours=2)
    assert owed() == (1, 0)
    managed.clock.pass_(days=30)
    assert owed() == (1, 1)


def test_old_versions_are_forgotten_and_the_newest_never(managed: ManagedBox) -> None:
    managed.taken()
    do(managed.box.router, "/ip/pool/add", name="more", ranges="10.0.0.0/24")
    newest = managed.taken()
    managed.clock.pass_(days=400)
    with managed.database.transaction() as one:
        assert store.forget(one, managed.clock(), 365) == 1
    assert [row["id"] for row in managed.get(managed.of_nas("/backups"))["items"]] == [newest["id"]]


def test_a_box_that_somebody_is_at_is_read_afterwards(managed: ManagedBox) -> None:
    with alone_at(managed.database, int(managed.nas_id)) as alone:
        assert alone
        managed.post(managed.of_nas("/backups"), status=202)
        managed.work()
    with managed.database.transaction() as one:
        assert one.get_one(BackupState, int(managed.nas_id)).checked_at is None
        assert store.owe_due(one, managed.clock() + timedelta(hours=1)) == 1
    managed.work()
    assert len(managed.get(managed.of_nas("/backups"))["items"]) == 1


def test_a_reading_by_rows_is_no_change_by_itself(managed: ManagedBox) -> None:
    first = managed.taken()
    managed.box.router.faults.order(Fault(FaultKind.REFUSE, "/export", message="failure: not enough space on disk"))
    again = managed.taken()
    assert again["id"] == first["id"]
    managed.box.router.faults.order(Fault(FaultKind.REFUSE, "/export", message="failure: not enough space on disk"))
    do(managed.box.router, "/ip/pool/add", name="more", ranges="10.0.0.0/24")
    second = managed.taken()
    assert (second["read_by"], second["changes"]) == ("rows", ["/ip pool", "+ add name=more ranges=10.0.0.0/24"])
    assert "not enough space" in second["left_out"][0]
    whole = managed.taken()
    assert (whole["read_by"], whole["changes"]) == ("export", [])

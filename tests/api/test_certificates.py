"""Certificates of boxes: approved when they are first shown, and an alarm when another one is, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from managed_box import API, ManagedBox, managed_box
from routeros_boxes import USER
from sqlalchemy import select

from core.database import Database
from core.keyring import Keyring
from core.models.system import AuditEntry
from provisioning.simulators.routeros import ApiServer, Fault, FaultKind, SelfSigned, self_signed


@pytest.fixture(scope="module")
def own() -> SelfSigned:
    return self_signed("bras", "127.0.0.1")


@pytest.fixture(scope="module")
def other() -> SelfSigned:
    return self_signed("bras", "127.0.0.1")


@pytest.fixture
def managed(client: TestClient, database: Database, keyring: Keyring, own: SelfSigned) -> Iterator[ManagedBox]:
    with managed_box(client, database, keyring, tls=own.context) as one:
        access = {"user": USER, "port": one.box.server.port, "tls": True}
        assert client.patch(f"{API}{one.of_nas('')}", json={"routeros": access}).status_code == 200
        yield one


def look(managed: ManagedBox) -> None:
    managed.post(managed.of_nas("/backups"), status=202)
    managed.work()


def seen(managed: ManagedBox) -> dict[str, str | None]:
    return managed.get(managed.of_nas("/certificate"))  # type: ignore[no-any-return]


def approve(managed: ManagedBox, sha256: str) -> int:
    path = f"{API}{managed.of_nas('/certificate/approve')}"
    return managed.client.post(path, json={"sha256": sha256}).status_code


def show(managed: ManagedBox, signed: SelfSigned) -> None:
    """Somebody with this certificate answers at the box's port from now on."""
    port = managed.box.server.port
    managed.box.server.close()
    managed.box.server = ApiServer(managed.box.router, "127.0.0.1", port, signed.context)


def test_the_first_certificate_is_shown_and_approved_by_a_person(managed: ManagedBox, own: SelfSigned) -> None:
    job = managed.planned({"pools": [{"name": "homes", "ranges": "10.0.0.0/24"}]})
    assert job["state"] == "refused"
    assert own.sha256 in job["detail"]
    assert seen(managed) | {"since": None, "seen_at": None} == {
        "approved": None, "shown": own.sha256, "since": None, "seen_at": None,
    }  # fmt: skip
    assert managed.events("nas.certificate_to_approve") == [{"shown": own.sha256}]
    assert approve(managed, "0" * 64) == 409
    assert approve(managed, own.sha256.upper()) == 200
    assert (seen(managed)["approved"], seen(managed)["shown"]) == (own.sha256, None)
    look(managed)
    assert len(managed.get(managed.of_nas("/backups"))["items"]) == 1
    with managed.database.transaction() as session:
        entries = [entry.changes for entry in session.scalars(select(AuditEntry).where(AuditEntry.resource == "nas"))]
    assert any(own.sha256 in str(entry.get("routeros")) for entry in entries)


def test_another_certificate_is_one_alarm_and_ends_when_it_is_right_again(
    managed: ManagedBox, own: SelfSigned, other: SelfSigned
) -> None:
    look(managed)
    approve(managed, own.sha256)
    show(managed, other)
    for _ in range(3):
        look(managed)
    assert managed.events("nas.certificate_changed") == [{"approved": own.sha256, "shown": other.sha256}]
    assert (seen(managed)["approved"], seen(managed)["shown"]) == (own.sha256, other.sha256)
    show(managed, own)
    look(managed)
    assert len(managed.events("nas.certificate_right")) == 1
    assert seen(managed)["shown"] is None


def test_whoever_shows_another_certificate_is_told_nothing(
    managed: ManagedBox, own: SelfSigned, other: SelfSigned
) -> None:
    look(managed)
    approve(managed, own.sha256)
    look(managed)
    show(managed, other)
    managed.box.router.faults.order(Fault(FaultKind.SLOW, "/login", times=0))
    look(managed)
    assert managed.box.router.faults.rows()[0]["seen"] == "0"
    assert "not the approved" in managed.events("backup.failed")[-1]["detail"]


def test_a_new_certificate_may_be_approved_as_well(managed: ManagedBox, own: SelfSigned, other: SelfSigned) -> None:
    look(managed)
    approve(managed, own.sha256)
    show(managed, other)
    look(managed)
    assert approve(managed, other.sha256) == 200
    look(managed)
    assert len(managed.get(managed.of_nas("/backups"))["items"]) == 1

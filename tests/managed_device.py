"""A simulated box over SSH with a NAS entry of the API's, and the workers' part done when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from napalm_boxes import PASSWORD, QUICK, SECRET, SMALL, USER, SshBox, ssh_box

from core import topics
from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from provisioning.backups.models import BackupState
from provisioning.jobs.runner import Provisioner
from provisioning.napalm.engine import NapalmEngine
from provisioning.routeros.client import RouterOs

API = "/api/v1"
VENDORS = {"huawei_vrp8": "huawei", "ios": "cisco"}


@dataclass
class ManagedDevice:
    client: TestClient
    database: Database
    provisioner: Provisioner
    one: SshBox
    nas_id: str

    def work(self) -> None:
        work_off(self.database, {
            topics.PROVISIONING_DUE.name: self.provisioner.handle_due,
            topics.DRIFT_DUE.name: self.provisioner.handle_drift,
            topics.BACKUP_DUE.name: self.provisioner.backups.handle_due,
            topics.DRILL_DUE.name: self.provisioner.backups.handle_drill,
            topics.ROTATION_DUE.name: self.provisioner.rotations.handle_due,
        })  # fmt: skip

    def get(self, path: str) -> dict[str, Any]:
        return self.client.get(f"{API}{path}").json()  # type: ignore[no-any-return]

    def planned(self, intent: dict[str, Any] | None = None) -> dict[str, Any]:
        body = SMALL[self.one.driver] if intent is None else intent
        answer = self.client.put(f"{API}/nas/{self.nas_id}/intent", json={"body": body})
        assert answer.status_code == 200, answer.text
        made = self.client.post(f"{API}/provisioning/jobs", json={"nas_id": self.nas_id})
        assert made.status_code == 202, made.text
        self.work()
        return self.get(f"/provisioning/jobs/{made.json()['id']}")

    def approved(self, job: dict[str, Any], **given: Any) -> dict[str, Any]:
        answer = self.client.post(f"{API}/provisioning/jobs/{job['id']}/approve", json=given)
        assert answer.status_code == 200, answer.text
        self.work()
        return self.get(f"/provisioning/jobs/{job['id']}")

    def versions(self) -> list[dict[str, Any]]:
        return self.get(f"/nas/{self.nas_id}/backups")["items"]  # type: ignore[no-any-return]

    def looked(self) -> dict[str, Any]:
        """What became of a look at its configuration that a person asked for."""
        answer = self.client.post(f"{API}/nas/{self.nas_id}/backups")
        assert answer.status_code == 202, answer.text
        self.work()
        with self.database.transaction() as session:
            state = session.get_one(BackupState, int(self.nas_id))
        return {"error": state.error, "checked": state.checked_at is not None}

    def events(self) -> list[str]:
        return [one["type"] for one in self.get("/events?limit=200")["items"]]

    def checked(self) -> dict[str, Any]:
        assert self.client.post(f"{API}/nas/{self.nas_id}/intent/check").status_code == 202
        self.work()
        return self.get(f"/nas/{self.nas_id}/intent")


def nas_body(one: SshBox, **management: Any) -> dict[str, Any]:
    return {
        "name": "bng", "address": "127.0.0.1", "secret": SECRET, "vendor": VENDORS[one.driver],
        "management": {"driver": one.driver, "port": one.server.port, "user": USER, "arguments": QUICK, **management},
        "management_secret": {"password": PASSWORD},
    }  # fmt: skip


@contextmanager
def managed_device(client: TestClient, database: Database, keyring: Keyring, driver: str) -> Iterator[ManagedDevice]:
    with ssh_box(driver) as one:
        made = client.post(f"{API}/nas", json=nas_body(one))
        assert made.status_code == 201, made.text
        engine = NapalmEngine(database, keyring, utc_now, one.clock.go)
        provisioner = Provisioner(database, keyring, RouterOs, AtOnce(), utc_now, one.clock.go, napalm=engine)
        yield ManagedDevice(client, database, provisioner, one, made.json()["id"])

"""A simulated router with a NAS entry of the API's, and the workers' part done when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, Box, box, session
from sqlalchemy import select

from core import topics
from core.database import Database
from core.keyring import Keyring
from core.models.system import Event
from core.routeros import RouterOsAccess
from provisioning.jobs.runner import Provisioner
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import Version

API = "/api/v1"


class Now:
    """The clock of a node; goes on when it is told to, and a little whenever somebody looks."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_(self, **given: float) -> None:
        self.now += timedelta(**given)


@dataclass
class ManagedBox:
    client: TestClient
    database: Database
    keyring: Keyring
    box: Box
    nas_id: str
    connect: Callable[[RouterOsAccess], RouterOs] = RouterOs
    clock: Now = field(default_factory=Now)

    @property
    def provisioner(self) -> Provisioner:
        return Provisioner(self.database, self.keyring, self.connect, AtOnce(), self.clock, lambda _: None)

    def work(self) -> None:
        """All that is due."""
        provisioner = self.provisioner
        work_off(self.database, {
            topics.PROVISIONING_DUE.name: provisioner.handle_due,
            topics.DRIFT_DUE.name: provisioner.handle_drift,
            topics.BACKUP_DUE.name: provisioner.backups.handle_due,
            topics.DRILL_DUE.name: provisioner.backups.handle_drill,
            topics.ROTATION_DUE.name: provisioner.rotations.handle_due,
        })  # fmt: skip

    def get(self, path: str) -> Any:
        answer = self.client.get(f"{API}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        answer = self.client.post(f"{API}{path}", json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json()

    def of_nas(self, path: str) -> str:
        return f"/nas/{self.nas_id}{path}"

    def taken(self) -> dict[str, Any]:
        """A look, and the newest version after it."""
        self.post(self.of_nas("/backups"), status=202)
        self.clock.pass_(seconds=1)
        self.work()
        return self.get(self.of_nas("/backups"))["items"][-1]  # type: ignore[no-any-return]

    def planned(self, intent: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.put(f"{API}/nas/{self.nas_id}/intent", json={"body": intent})
        assert answer.status_code == 200, answer.text
        made = self.post("/provisioning/jobs", {"nas_id": self.nas_id}, 202)
        self.work()
        return self.get(f"/provisioning/jobs/{made['id']}")  # type: ignore[no-any-return]

    def applied(self, intent: dict[str, Any]) -> dict[str, Any]:
        job = self.planned(intent)
        self.post(f"/provisioning/jobs/{job['id']}/approve")
        self.clock.pass_(seconds=1)
        self.work()
        return self.get(f"/provisioning/jobs/{job['id']}")  # type: ignore[no-any-return]

    def events(self, type_: str) -> list[dict[str, Any]]:
        with self.database.transaction() as one:
            return [dict(found.payload) for found in one.scalars(select(Event).where(Event.type == type_))]


@contextmanager
def managed_box(
    client: TestClient, database: Database, keyring: Keyring, version: Version = Version.V7_18, **given: Any
) -> Iterator[ManagedBox]:
    with box(session(), version=version, **given) as one:
        body = {
            "name": "bras", "address": "127.0.0.1", "secret": "s3cret", "vendor": "mikrotik",
            "routeros": {"user": USER, "port": one.server.port, "tls": False}, "routeros_password": PASSWORD,
        }  # fmt: skip
        made = client.post(f"{API}/nas", json=body)
        assert made.status_code == 201, made.text
        yield ManagedBox(client, database, keyring, one, made.json()["id"])

"""Passwords changed at boxes: whatever breaks or dies when, we can log in, and in the end with the new one alone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from managed_box import API, ManagedBox, managed_box
from routeros_boxes import PASSWORD, USER, Clock, box, do, rows
from sqlalchemy import select

from core import network
from core.database import Database
from core.keyring import Keyring
from core.models.network import DeviceCredential, Nas
from core.models.system import AuditEntry, Role
from core.routeros import RouterOsAccess
from provisioning.credentials import store
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import LoginRefused
from provisioning.routeros.reading import release_of
from provisioning.simulators.routeros import Fault, FaultKind, Router, Version, When
from provisioning.simulators.routeros.command import Connection

VERSIONS = [Version.V6_49, Version.V7_12, Version.V7_18]
TRACES = ("/system/script", "/system/scheduler")


@pytest.fixture(params=VERSIONS)
def managed(
    request: pytest.FixtureRequest, client: TestClient, database: Database, keyring: Keyring
) -> Iterator[ManagedBox]:  # fmt: skip
    with managed_box(client, database, keyring, request.param, clock=Clock(time.time())) as one:
        yield one


def nas_access(managed: ManagedBox) -> RouterOsAccess:
    with managed.database.transaction() as session:
        found = network.access_of(network.get_nas(session, int(managed.nas_id)), "127.0.0.1", managed.keyring)
    assert found is not None
    return found


def lets_in(access: RouterOsAccess) -> bool:
    client = RouterOs(access, timeout_s=2.0)
    try:
        return bool(release_of(client))
    except LoginRefused:
        return False
    finally:
        client.close()


class TakenBack(RouterOs):
    """Its router takes a new password back as soon as somebody was refused."""

    router: Router

    def _log_in(self, password: str) -> Any:
        try:
            return super()._log_in(password)
        except LoginRefused:
            do(self.router, "/user/set", numbers=USER, password=PASSWORD)
            raise


def test_a_router_that_takes_the_new_password_back_between_two_logins_lets_us_in() -> None:
    with box() as one:
        do(one.router, "/user/set", numbers=USER, password="nova")
        client = TakenBack(dataclasses.replace(one.access(), next_password="nova"))
        client.router = one.router
        assert release_of(client)
        assert not client.took_next_password
        client.close()


def rotate(managed: ManagedBox) -> dict[str, Any]:
    (made,) = managed.post("/provisioning/rotations", {"nas_id": managed.nas_id}, 202)["items"]
    return made  # type: ignore[no-any-return]


def rotation(managed: ManagedBox, made: dict[str, Any]) -> dict[str, Any]:
    return managed.get(f"/provisioning/rotations/{made['id']}")  # type: ignore[no-any-return]


def traces(managed: ManagedBox) -> list[str]:
    return [row["name"] for menu in TRACES for row in rows(managed.box.router, menu)]


def later(managed: ManagedBox) -> None:
    """Time passes here and at the box, and what is due is done."""
    managed.clock.pass_(minutes=11)
    managed.box.router.clock.now += 660.0  # type: ignore[attr-defined]
    managed.box.router.tick()
    with managed.database.transaction() as session:
        store.owe_due(session, managed.clock())
    managed.work()


def test_the_box_gets_a_new_password_and_the_old_one_is_forgotten(managed: ManagedBox) -> None:
    made = rotate(managed)
    assert made["state"] == "waiting"
    managed.work()
    assert (rotation(managed, made)["state"], rotation(managed, made)["detail"]) == ("done", None)
    access = nas_access(managed)
    assert (access.next_password, access.password == PASSWORD) == (None, False)
    assert lets_in(access)
    assert not lets_in(dataclasses.replace(access, password=PASSWORD))
    assert traces(managed) == []


def test_nobody_is_shown_either_password(managed: ManagedBox) -> None:
    made = rotate(managed)
    managed.work()
    new = nas_access(managed).password
    shown = [rotation(managed, made), managed.get(managed.of_nas("")), managed.events("nas.password_rotated")]
    with managed.database.transaction() as session:
        shown.append([entry.changes for entry in session.scalars(select(AuditEntry))])
    assert new not in str(shown)
    assert PASSWORD not in str(shown)


def test_a_box_that_is_away_keeps_the_old_one_and_is_tried_on(managed: ManagedBox) -> None:
    managed.box.router.faults.order(Fault(FaultKind.CUT, "/login", times=0))
    made = rotate(managed)
    managed.work()
    found = rotation(managed, made)
    assert (found["state"], found["tries"]) == ("waiting", 1)
    assert len(managed.events("nas.password_rotation_failed")) == 1
    managed.box.router.faults.clear()
    assert lets_in(nas_access(managed))
    later(managed)
    assert rotation(managed, made)["state"] == "done"


def test_a_new_password_that_does_not_let_us_in_is_undone(managed: ManagedBox) -> None:
    def connect(access: RouterOsAccess) -> RouterOs:
        """As if the router had kept another one than it was told."""
        broken = access.next_password is None and access.password != PASSWORD
        return RouterOs(dataclasses.replace(access, password="x") if broken else access)

    managed.connect = connect
    made = rotate(managed)
    managed.work()
    found = rotation(managed, made)
    assert found["state"] == "waiting"
    assert "a connection with the new password failed" in found["detail"]
    assert lets_in(dataclasses.replace(nas_access(managed), next_password=None))
    assert traces(managed) == []


def test_a_user_who_may_not_change_passwords_keeps_his(managed: ManagedBox) -> None:
    managed.box.router.faults.order(Fault(FaultKind.REFUSE, "/user/set", message="not enough permissions (9)"))
    made = rotate(managed)
    managed.work()
    assert "not enough permissions" in rotation(managed, made)["detail"]
    assert lets_in(dataclasses.replace(nas_access(managed), next_password=None))
    later(managed)
    assert rotation(managed, made)["state"] == "done"


KINDS = {
    "cut before": Fault(FaultKind.CUT, when=When.BEFORE),
    "cut after": Fault(FaultKind.CUT, when=When.ANSWERED),
    "cut in the answer": Fault(FaultKind.CUT, when=When.AFTER, octets=3),
    "reboot": Fault(FaultKind.REBOOT, when=When.AFTER, seconds=60),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_breaks_at_whatever_command_we_can_log_in(managed: ManagedBox, kind: str) -> None:
    """The fault meets each command of a rotation in turn, until the rotation ends before it."""
    for at in range(1, 60):
        made = rotate(managed)
        managed.box.router.faults.order(dataclasses.replace(KINDS[kind], at=at))
        managed.work()
        met = managed.box.router.faults.rows()[0]["done"] == "1"
        managed.box.router.faults.clear()
        managed.box.router.clock.now += 61.0  # type: ignore[attr-defined]
        assert lets_in(nas_access(managed)), at
        while rotation(managed, made)["state"] != "done":
            later(managed)
        access = nas_access(managed)
        assert access.next_password is None
        assert lets_in(access), at
        assert traces(managed) == [], at
        if not met:
            break
    assert at > 8


class Died(BaseException):
    pass


@dataclass
class Death:
    """Comes at the nth step, and every step from then on finds the process dead."""

    at: int
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps >= self.at:
            raise Died


class Mortal(RouterOs):
    """A client whose process may die before or after each command; its connections end with it."""

    def __init__(self, access: RouterOsAccess, death: Death) -> None:
        super().__init__(access, timeout_s=2.0)
        self._death = death

    def _exchange(self, command: str, *given: Any) -> list[Row]:
        self._die()
        done = super()._exchange(command, *given)
        self._die()
        return done

    def _die(self) -> None:
        try:
            self._death.step()
        except Died:
            self.close()
            raise


def test_killed_at_every_step_both_passwords_are_known_and_somebody_goes_on(
    managed: ManagedBox,
) -> None:
    """Before and after each command at the box, and so before and after each transaction that tells of it."""
    for at in range(1, 100):
        made = rotate(managed)
        death = Death(at)
        managed.connect = lambda access, death=death: Mortal(access, death)  # type: ignore[misc]
        died = False
        try:
            managed.provisioner.rotations._run(int(made["id"]))
            death.step()  # before it is concluded that it was concluded
        except Died:
            died = True
        managed.connect = RouterOs
        assert lets_in(nas_access(managed)), at
        managed.box.router.clock.now += 600.0  # type: ignore[attr-defined]
        managed.box.router.tick()
        assert lets_in(nas_access(managed)), at  # also when what was armed is undone
        managed.work()
        while rotation(managed, made)["state"] != "done":
            later(managed)
        assert nas_access(managed).next_password is None
        assert lets_in(nas_access(managed)), at
        assert traces(managed) == [], at
        if not died:
            break
    assert at > 16


def test_while_somebody_else_has_safe_mode_nothing_is_concluded(
    client: TestClient, database: Database, keyring: Keyring
) -> None:
    """It might be ours, of a connection that the box still misses: what is in force might be undone."""
    with managed_box(client, database, keyring, Version.V7_18, clock=Clock(time.time())) as managed:
        history = managed.box.router.history
        history.take(Connection(), "somebody")
        made = rotate(managed)
        managed.work()
        assert "safe mode" in rotation(managed, made)["detail"]
        history.release()
        later(managed)
        assert rotation(managed, made)["state"] == "done"


def shared(managed: ManagedBox, make: Callable[[str, str], str]) -> dict[str, Any]:
    body = {"name": "core routers", "user": USER, "password": PASSWORD}
    made = managed.post("/device-credentials", body, 201)
    nas = managed.get(managed.of_nas(""))
    given = {"credential": "core routers", "port": nas["routeros"]["port"], "tls": False}
    answer = managed.client.patch(f"{API}{managed.of_nas('')}", json={"routeros": given})
    assert answer.status_code == 200, answer.text
    assert answer.json()["routeros"]["credential"] == "core routers"
    make("127.0.0.2", "core routers")
    return made  # type: ignore[no-any-return]


def test_a_shared_credential_is_rotated_box_by_box(managed: ManagedBox) -> None:
    """One of the two is away meanwhile: it keeps the old password, and the credential becomes the new with the last."""
    with box(version=managed.box.router.version, clock=managed.box.router.clock, address="127.0.0.2") as second:

        def make(address: str, credential: str) -> str:
            routeros = {"credential": credential, "port": second.server.port, "tls": False}
            body = {"name": "second", "address": address, "secret": "s", "vendor": "mikrotik", "routeros": routeros}
            return managed.post("/nas", body, 201)["id"]  # type: ignore[no-any-return]

        credential = shared(managed, make)
        made = managed.post("/provisioning/rotations", {"credential_id": credential["id"]}, 202)["items"]
        assert len(made) == 2
        second.router.faults.order(Fault(FaultKind.CUT, "/login", times=0))
        managed.work()
        states = [rotation(managed, one)["state"] for one in made]
        assert sorted(states) == ["done", "waiting"]
        assert managed.get(f"/device-credentials/{credential['id']}")["rotating"] is True
        assert managed.client.patch(
            f"{API}/device-credentials/{credential['id']}", json={"password": "another"}
        ).status_code == 409  # fmt: skip
        again = managed.client.post(f"{API}/provisioning/rotations", json={"credential_id": credential["id"]})
        assert again.status_code == 409
        assert lets_in(nas_access(managed))
        second.router.faults.clear()
        later(managed)
        assert {rotation(managed, one)["state"] for one in made} == {"done"}
        assert managed.get(f"/device-credentials/{credential['id']}")["rotating"] is False
        with managed.database.transaction() as session:
            kept = session.scalars(select(DeviceCredential)).one()
            assert kept.next_password_encrypted is None
            entries = session.scalars(select(Nas)).all()
            assert all(nas.routeros_next_password_encrypted is None for nas in entries)


def test_a_credential_in_use_is_not_deleted_and_a_box_that_has_one_has_no_password_of_its_own(
    managed: ManagedBox,
) -> None:
    credential = shared(managed, lambda _address, _credential: "")
    path = f"{API}/device-credentials/{credential['id']}"
    assert managed.client.delete(path).status_code == 409
    refused = managed.client.patch(f"{API}{managed.of_nas('')}", json={"routeros_password": "x"})
    assert refused.json()["field"] == "routeros_password"
    assert managed.client.post(f"{API}/provisioning/rotations", json={"nas_id": managed.nas_id}).status_code == 409
    do(managed.box.router, "/user/set", numbers=USER, password="by hand")
    assert managed.client.patch(path, json={"password": "by hand"}).status_code == 200
    assert lets_in(nas_access(managed))
    own = {"user": USER, "port": managed.box.server.port, "tls": False}
    answer = managed.client.patch(
        f"{API}{managed.of_nas('')}", json={"routeros": own, "routeros_password": "by hand"}
    )  # fmt: skip
    assert answer.status_code == 200
    assert managed.client.delete(path).status_code == 204


def test_only_who_may_changes_credentials(managed: ManagedBox, client_for: Callable[[Role], TestClient]) -> None:
    body = {"name": "x", "user": "y", "password": "z"}
    assert client_for(Role.NOC).post(f"{API}/device-credentials", json=body).status_code == 403
    assert client_for(Role.OPERATOR).post(f"{API}/device-credentials", json=body).status_code == 201
    assert "z" not in str(managed.get("/device-credentials")["items"][0].get("password", ""))

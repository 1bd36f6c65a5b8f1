"""Passwords changed at boxes of other vendors: whatever breaks or dies when, we can log in, in the end with the new."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from managed_device import API, ManagedDevice, managed_device, nas_body
from napalm_boxes import PASSWORD, USER
from routeros_boxes import box, do
from sqlalchemy import select

from core import network
from core.clock import utc_now
from core.database import Database
from core.keyring import Keyring
from core.models.network import DeviceCredential
from core.models.system import AuditEntry
from core.nas_management import ManagementAccess, management_of
from provisioning.credentials import store
from provisioning.credentials.device_passwords import password_lines
from provisioning.credentials.device_run import DeviceRotationRun
from provisioning.credentials.keeper import new_password
from provisioning.napalm.devices import Device, open_device
from provisioning.napalm.errors import LoginRefused
from provisioning.routeros.client import RouterOs
from provisioning.routeros.reading import release_of
from provisioning.simulators.routeros import Fault as RouterFault
from provisioning.simulators.routeros import FaultKind as RouterFaultKind
from provisioning.simulators.ssh import CiscoBox, Fault, FaultKind, HuaweiBox
from provisioning.simulators.ssh.configuration import Line

#: A rotation is several logins over SSH, each of which takes half a second.
COMMANDS = [
    ("huawei_vrp8", "commit trial", FaultKind.CUT_AFTER), ("huawei_vrp8", "commit persist", FaultKind.CUT_BEFORE),
    ("huawei_vrp8", "save", FaultKind.CUT_BEFORE),
    ("ios", "copy flash:/merge_config.txt running-config", FaultKind.CUT_AFTER),
    ("ios", "configure confirm", FaultKind.CUT_BEFORE), ("ios", "write mem", FaultKind.CUT_BEFORE),
]  # fmt: skip
huawei = pytest.mark.parametrize("house", ["huawei_vrp8"], indirect=True)
ios = pytest.mark.parametrize("house", ["ios"], indirect=True)


@pytest.fixture(params=["huawei_vrp8", "ios"])
def house(
    request: pytest.FixtureRequest, client: TestClient, database: Database, keyring: Keyring
) -> Iterator[ManagedDevice]:  # fmt: skip
    with managed_device(client, database, keyring, request.param) as one:
        approve(one)
        yield one


def approve(house: ManagedDevice) -> None:
    management = {**nas_body(house.one)["management"], "host_key": house.one.server.public_key}
    changed(house, {"management": management})


def changed(house: ManagedDevice, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = house.client.patch(f"{API}/nas/{house.nas_id}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()  # type: ignore[no-any-return]


def access_of(house: ManagedDevice, nas_id: str | None = None) -> ManagementAccess:
    with house.database.transaction() as session:
        found = management_of(network.get_nas(session, int(nas_id or house.nas_id)), house.provisioner.keyring)
    assert found is not None
    return found


def lets_in(access: ManagementAccess) -> bool:
    try:
        open_device(access).close()
    except LoginRefused:
        return False
    return True


def rotate(house: ManagedDevice, **given: str) -> list[dict[str, Any]]:
    answer = house.client.post(f"{API}/provisioning/rotations", json=given or {"nas_id": house.nas_id})
    assert answer.status_code == 202, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


def rotation(house: ManagedDevice, made: dict[str, Any]) -> dict[str, Any]:
    return house.get(f"/provisioning/rotations/{made['id']}")


def later(house: ManagedDevice) -> None:
    """Time passes at the box, what waits there is over, and what is due here is done."""
    house.one.clock.go(660)
    house.one.box.tick()
    with house.database.transaction() as session:
        store.owe_due(session, utc_now() + timedelta(minutes=11))
    house.work()


def waits(house: ManagedDevice) -> bool:
    box = house.one.box
    return (isinstance(box, HuaweiBox) and box.trial is not None) or (
        isinstance(box, CiscoBox) and box.revert is not None
    )  # fmt: skip


def starts_with(house: ManagedDevice) -> Line:
    """The configuration that the box has after a reboot."""
    box = house.one.box
    assert isinstance(box, HuaweiBox | CiscoBox)
    return box.saved if isinstance(box, HuaweiBox) else box.startup


def test_the_box_gets_a_new_password_and_the_old_one_is_forgotten(
    house: ManagedDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    (made,) = rotate(house)
    house.work()
    assert (rotation(house, made)["state"], rotation(house, made)["detail"]) == ("done", None)
    access = access_of(house)
    assert (access.next_password, access.password == PASSWORD) == (None, False)
    assert not lets_in(dataclasses.replace(access, password=PASSWORD))
    assert_settled(house)
    assert house.events().count("nas.password_rotated") == 1
    shown = [rotation(house, made), house.get(f"/nas/{house.nas_id}"), house.get("/events?limit=200"),
             house.one.running, *capsys.readouterr()]  # fmt: skip
    with house.database.transaction() as session:
        shown.append([entry.changes for entry in session.scalars(select(AuditEntry))])
    assert access.password not in str(shown)
    assert PASSWORD not in str(shown)
    if isinstance(house.one.box, CiscoBox):  # his level is what it was, and no file holds his password
        assert f"username {USER} privilege 15 secret 9 " in house.one.running
        assert not any(access.password.encode() in octets for octets in house.one.box.files.values())


@huawei
def test_all_that_is_done_at_a_box_goes_on_while_its_password_is_changed(house: ManagedDevice) -> None:
    """Whichever of the two it has."""
    house.one.box.faults.order(Fault(FaultKind.CUT_BEFORE, number=1))
    (made,) = rotate(house)
    house.work()
    assert rotation(house, made)["state"] == "waiting"
    assert house.approved(house.planned())["state"] == "done"
    new = access_of(house).next_password
    assert new is not None
    write(house, new)
    assert not lets_in(dataclasses.replace(access_of(house), next_password=None))
    assert house.checked()["check_error"] is None
    later(house)
    assert rotation(house, made)["state"] == "done"


def write(house: ManagedDevice, password: str) -> None:
    """As somebody at the box would."""
    device = open_device(access_of(house))
    device.compare(password_lines(device.traits.platform, device.running(), USER, password) or "")
    device.commit()
    device.confirm()
    device.close()


def test_a_password_that_the_box_does_not_take_leaves_the_old_one(house: ManagedDevice) -> None:
    command = {"huawei_vrp8": f"local-user {USER} password", "ios": "copy flash:/merge_config.txt running-config"}
    message = "Error: The password is too simple.\n% Invalid input detected at '^' marker."
    house.one.box.faults.order(Fault(FaultKind.REFUSE, command[house.one.driver], message=message))
    (made,) = rotate(house)
    house.work()
    found = rotation(house, made)
    assert (found["state"], found["tries"]) == ("waiting", 1)
    assert ("too simple" in found["detail"], house.events().count("nas.password_rotation_failed")) == (True, 1)
    assert lets_in(dataclasses.replace(access_of(house), next_password=None))
    assert not waits(house)
    later(house)
    assert rotation(house, made)["state"] == "done"


@huawei
def test_somebody_elses_commit_that_waits_is_let_be(house: ManagedDevice) -> None:
    commands = {"huawei_vrp8": ["system-view", "sysname HIS", "commit trial 600 persist his"],
                "ios": ["configure terminal revert timer 10", "hostname HIS", "end"]}  # fmt: skip
    other = house.one.box.begin("somebody")
    for command in commands[house.one.driver]:
        other.do(command)
    (made,) = rotate(house)
    house.work()
    assert "waits for its confirmation" in rotation(house, made)["detail"]
    assert waits(house)
    assert "HIS" in house.one.running
    later(house)
    assert rotation(house, made)["state"] == "done"


@ios
def test_whose_password_is_not_the_boxs_own_is_told(house: ManagedDevice) -> None:
    """RADIUS or TACACS+ lets him in, so the box has nothing to change."""
    house.one.box.knows = lambda user, password: (user, password) == (USER, PASSWORD)  # type: ignore[method-assign]
    running = house.one.box.running
    for place in (running, *running.below):
        place.below = [line for line in place.below if not line.text.startswith((f"username {USER}", "local-user"))]
    (made,) = rotate(house)
    house.work()
    assert "let in by RADIUS or TACACS+" in rotation(house, made)["detail"]


@pytest.mark.parametrize(("house", "command", "kind"), COMMANDS, indirect=["house"])
def test_cut_where_it_matters_we_can_log_in(house: ManagedDevice, command: str, kind: FaultKind) -> None:
    house.one.box.faults.order(Fault(kind, command))
    (made,) = rotate(house)
    house.work()
    assert house.one.box.faults.ordered == []
    assert lets_in(access_of(house))
    for _ in range(3):
        later(house)
    assert rotation(house, made)["state"] == "done"
    assert_settled(house)


def assert_settled(house: ManagedDevice) -> None:
    """The new password alone, also after a reboot."""
    access = access_of(house)
    assert access.next_password is None
    assert lets_in(access)
    assert not waits(house)
    kept = house.one.box.hash_of(USER)
    assert kept is not None
    assert any(kept in line.text for _, line in starts_with(house).walk())


class Died(BaseException):
    pass


@dataclass
class _Dying:
    """A driver whose process dies when this was done."""

    driver: Any
    method: str

    def __getattr__(self, name: str) -> Any:
        if name != self.method:
            return getattr(self.driver, name)
        return self._die

    def _die(self, *given: Any, **named: Any) -> None:
        getattr(self.driver, self.method)(*given, **named)
        raise Died


@pytest.mark.parametrize("method", ["commit_config", "confirm_commit"])
def test_killed_where_it_matters_both_passwords_are_known_and_somebody_goes_on(
    house: ManagedDevice, method: str
) -> None:
    (made,) = rotate(house)
    access, name = access_of(house), f"provedor-rotate-{made['id']}"
    assert access.next_password is not None
    only_new = dataclasses.replace(access, password=access.next_password, next_password=None)

    def mortal(access: ManagementAccess) -> Device:
        device = open_device(access, (), name)
        device.driver = _Dying(device.driver, method)
        return device

    with pytest.raises(Died):
        DeviceRotationRun(lambda: mortal(access), lambda: mortal(only_new), USER, access.next_password).run()
    house.one.server.hang_up()
    assert waits(house) == (method == "commit_config")
    assert lets_in(access_of(house))
    house.work()  # with what waits there, and then without
    for _ in range(3):
        later(house)
    assert rotation(house, made)["state"] == "done"
    assert_settled(house)


def test_a_box_that_nobody_approved_or_whose_driver_cannot_is_refused_at_once(
    client: TestClient, database: Database, keyring: Keyring
) -> None:
    with managed_device(client, database, keyring, "ios") as house:
        refused = client.post(f"{API}/provisioning/rotations", json={"nas_id": house.nas_id})
        assert (refused.status_code, refused.json()["detail"]) == (
            409, "NAS bng: its SSH host key was not approved yet",
        )  # fmt: skip
        changed(house, {"management": {**nas_body(house.one)["management"], "driver": "junos"}})
        refused = client.post(f"{API}/provisioning/rotations", json={"nas_id": house.nas_id})
        assert refused.status_code == 409
        assert "change it at the box, then write the new one into management_secret" in refused.json()["detail"]
        assert access_of(house).next_password is None


# Shared by several boxes


def credential_of(house: ManagedDevice) -> dict[str, Any]:
    """Made, and given to the box."""
    body = {"name": "bngs", "user": USER, "password": PASSWORD}
    made = house.client.post(f"{API}/device-credentials", json=body)
    assert made.status_code == 201, made.text
    management = {name: value for name, value in nas_body(house.one)["management"].items() if name != "user"}
    nas = changed(house, {"management": {**management, "credential": "bngs"}})
    assert (nas["management"]["credential"], nas["management"]["user"]) == ("bngs", USER)
    assert nas["management"]["host_key"] == house.one.server.public_key
    return made.json()  # type: ignore[no-any-return]


@huawei
def test_a_credential_that_boxes_of_two_kinds_share_is_rotated_box_by_box(house: ManagedDevice) -> None:
    """The router is away meanwhile: it keeps the old password, and the credential becomes the new with the last."""
    credential = credential_of(house)
    with box(address="127.0.0.2") as router:
        do(router.router, "/user/set", numbers=USER, password=PASSWORD)
        routeros = {"credential": "bngs", "port": router.server.port, "tls": False}
        body = {"name": "router", "address": "127.0.0.2", "secret": "s", "vendor": "mikrotik", "routeros": routeros}
        made = house.client.post(f"{API}/nas", json=body)
        assert made.status_code == 201, made.text
        router.router.faults.order(RouterFault(RouterFaultKind.CUT, "/login", times=0))
        rotations = rotate(house, credential_id=credential["id"])
        house.work()
        assert sorted(rotation(house, one)["state"] for one in rotations) == ["done", "waiting"]
        path = f"/device-credentials/{credential['id']}"
        assert house.get(path)["rotating"] is True
        assert house.client.patch(f"{API}{path}", json={"password": "another"}).status_code == 409
        router.router.faults.clear()
        later(house)
        assert {rotation(house, one)["state"] for one in rotations} == {"done"}
        assert house.get(path)["rotating"] is False
        new = access_of(house).password
        assert new != PASSWORD
        assert house.one.box.knows(USER, new)
        client = RouterOs(router.access(address="127.0.0.2", password=new))
        assert release_of(client)
        client.close()
        with house.database.transaction() as session:
            assert session.scalars(select(DeviceCredential)).one().next_password_encrypted is None


@huawei
def test_a_box_with_a_credential_has_no_password_of_its_own_and_keeps_its_enable_secret(house: ManagedDevice) -> None:
    changed(house, {"management_secret": {"password": PASSWORD, "enable": "s3cret-15"}})
    credential = credential_of(house)
    assert (access_of(house).password, access_of(house).enable) == (PASSWORD, "s3cret-15")
    refused = changed(house, {"management_secret": {"password": "x"}}, 422)
    assert refused["field"] == "management_secret.password"
    changed(house, {"management_secret": {"enable": "another"}})
    assert (access_of(house).password, access_of(house).enable) == (PASSWORD, "another")
    alone = house.client.post(f"{API}/provisioning/rotations", json={"nas_id": house.nas_id})
    assert (alone.status_code, "shares the credential bngs" in alone.json()["detail"]) == (409, True)
    path = f"{API}/device-credentials/{credential['id']}"
    assert house.client.delete(path).status_code == 409
    assert house.client.patch(path, json={"password": "by-hand-1"}).status_code == 200
    assert access_of(house).password == "by-hand-1"


@huawei
def test_a_credential_that_is_not_there_or_of_another_user_is_refused(house: ManagedDevice) -> None:
    management = nas_body(house.one)["management"]
    refused = changed(house, {"management": {**management, "credential": "nobody"}}, 422)
    assert refused["field"] == "management.credential"
    credential_of(house)
    refused = changed(house, {"management": {**management, "credential": "bngs", "user": "another"}}, 422)
    assert (refused["field"], refused["detail"]) == ("management.user", f"the credential's is {USER}")
    bare = {name: value for name, value in management.items() if name != "user"}
    assert changed(house, {"management": bare}, 422)["field"] == "management.user"


@huawei
@pytest.mark.parametrize("body", [{"management_secret": {"password": PASSWORD}}, {"management": None}])
def test_what_somebody_writes_meanwhile_ends_the_rotation(house: ManagedDevice, body: dict[str, Any]) -> None:
    """Another password, or that the box is not ours to manage any more."""
    house.one.box.faults.order(Fault(FaultKind.CUT_BEFORE, number=1))
    (made,) = rotate(house)
    house.work()
    changed(house, body)
    later(house)
    assert (rotation(house, made)["state"], rotation(house, made)["detail"]) == (
        "done", "another password was set meanwhile, or it is managed no more",
    )  # fmt: skip
    assert house.one.box.knows(USER, PASSWORD)


# The lines


@pytest.mark.parametrize(
    ("platform", "running", "lines"),
    [
        ("cisco_ios", "username ana privilege 15 secret 9 $9$x\n", "username ana privilege 15 secret NEW\n"),
        ("cisco_ios", "username ana privilege 7 password 7 0822\n", "username ana privilege 7 password NEW\n"),
        ("cisco_ios", "username ana secret 5 $1$x\n", "username ana secret NEW\n"),
        ("cisco_ios", "username ana privilege 15 view noc secret 9 $9$x\n", "username ana privilege 15 secret NEW\n"),
        ("cisco_ios", "username ana2 secret 5 $1$x\nusername bob secret 5 $1$y\n", None),
        ("cisco_ios", "username ana privilege 15\n", None),
        ("huawei_vrp8", "aaa\n local-user Ana password irreversible-cipher $1d$x\n",
         "aaa\n local-user Ana password irreversible-cipher NEW\n"),
        ("huawei_vrp8", "aaa\n local-user ana password cipher %^%#x%^%#\n",
         "aaa\n local-user ana password irreversible-cipher NEW\n"),
        ("huawei_vrp8", "aaa\n local-user ana2 password irreversible-cipher $1d$x\n local-user ana level 3\n", None),
    ],
)  # fmt: skip
def test_the_line_that_changes_a_password(platform: str, running: str, lines: str | None) -> None:
    assert password_lines(platform, running, "ana", "NEW") == lines


def test_a_new_password_has_what_boxes_insist_on() -> None:
    for _ in range(500):
        made = new_password()
        assert (len(made), made[0].isalpha()) == (24, True)
        assert any(one.islower() for one in made)
        assert any(one.isupper() for one in made)
        assert any(one.isdigit() for one in made)
        assert set(made) & {"-", "_"}

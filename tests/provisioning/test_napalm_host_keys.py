"""SSH host keys: the approved one and no other, by our own look and by each driver's own connection."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from napalm_boxes import USER, SshBox, ssh_box

from core.nas_management import ManagementAccess, check_host_key
from provisioning.napalm import devices, host_keys
from provisioning.napalm.devices import load_driver, open_device
from provisioning.napalm.errors import DriverUnusable, HostKeyRefused, LoginRefused, Unreachable
from provisioning.simulators.ssh import new_host_key

#: By SSH through netmiko, and through NETCONF's own client.
DRIVERS = ["huawei_vrp8", "ios", "iosxr", "eos", "nxos_ssh", "junos"]


def watched(one: SshBox) -> list[str]:
    """Whoever tried to log in there."""
    tried: list[str] = []

    knows = one.box.knows

    def knowing(user: str, password: str) -> bool:
        tried.append(user)
        return knows(user, password)

    one.box.knows = knowing  # type: ignore[method-assign]
    return tried


def test_the_key_that_is_seen_is_what_ssh_keyscan_prints() -> None:
    with ssh_box("huawei_vrp8") as one:
        seen = host_keys.see(one.access(host_key=None))
        assert seen == check_host_key(f"{one.server.public_key} comment") == one.server.public_key
        assert host_keys.fingerprint(seen).startswith("SHA256:")


def test_another_key_is_refused_before_anything_is_said() -> None:
    with ssh_box("ios") as one:
        tried = watched(one)
        other = SshBox("ios", one.box, one.server, one.clock).access()
        approved = new_host_key()
        wrong = dataclasses.replace(other, host_key=f"{approved.get_name()} {approved.get_base64()}")
        with pytest.raises(HostKeyRefused) as refused:
            open_device(wrong)
        assert refused.value.seen == one.server.public_key
        assert "somebody is in between" in refused.value.detail
        assert tried == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_drivers_own_connection_meets_no_other_key_and_says_no_password(driver: str, tmp_path: Path) -> None:
    """The box was exchanged between our look and the driver's login."""
    with ssh_box("ios") as one:
        tried = watched(one)
        access = one.access(driver=driver)
        other = new_host_key()
        known_hosts = tmp_path / "known_hosts"
        host_keys.write_known_hosts(known_hosts, access, f"{other.get_name()} {other.get_base64()}")
        made = load_driver(access)(known_hosts)
        with pytest.raises((HostKeyRefused, Unreachable)), devices.errors_of(access, []):
            made.open()
        assert tried == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_drivers_own_connection_logs_in_where_the_key_is_right(driver: str, tmp_path: Path) -> None:
    with ssh_box("ios") as one:
        tried = watched(one)
        access = one.access(driver=driver, password="wrong")
        known_hosts = tmp_path / "known_hosts"
        host_keys.write_known_hosts(known_hosts, access, one.server.public_key)
        with pytest.raises((LoginRefused, Unreachable)), devices.errors_of(access, []):
            load_driver(access)(known_hosts).open()
        assert USER in tried


def test_a_password_that_is_refused_is_not_told() -> None:
    with ssh_box("huawei_vrp8") as one, pytest.raises(LoginRefused) as refused:
        open_device(one.access(password="s3nha-errada"))
    assert "s3nha-errada" not in str(refused.value)


def test_nothing_of_a_connection_is_left_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ssh_box("huawei_vrp8") as one:
        device = one.open()
        (workspace,) = tmp_path.iterdir()
        assert workspace.stat().st_mode & 0o077 == 0
        device.compare("user-group provedor\n")
        device.close()
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(HostKeyRefused):
            key = new_host_key()
            open_device(one.access(host_key=f"{key.get_name()} {key.get_base64()}"))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("ros", "set `routeros` instead"),
        ("nxos", "use nxos_ssh"),
        ("mock", "no box"),
        ("absent_here", "napalm-absent_here"),
    ],
)
def test_a_driver_that_we_cannot_use_says_what_to_do(driver: str, words: str) -> None:
    access = ManagementAccess(1, driver, "127.0.0.1", 22, "u", "p")
    with pytest.raises(DriverUnusable, match=words):
        load_driver(access)


@pytest.mark.parametrize("port", [1, 9])
def test_a_box_that_does_not_listen_is_unreachable(port: int) -> None:
    with pytest.raises(Unreachable):
        host_keys.see(ManagementAccess(1, "ios", "127.0.0.1", port, "u", "p"))

"""Boxes of other vendors become BNGs of a running node by the command line, over real SSH; what breaks is undone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netmiko
import pytest
from free_ports import free_port
from small_provider import NAS_SECRET
from whole_node import PROVEDOR, Node, kill, wait_for

pytestmark = pytest.mark.e2e
PASSWORD = "senha-da-caixa"
PLATFORMS = {"huawei_vrp8": ("huawei_vrp8", "huawei", "huawei_vrpv8"), "cisco_ios": ("ios", "cisco", "cisco_ios")}
#: What of a change is to be seen, by the box's own command.
SEEN = {"huawei_vrp8": ("display current-configuration", "qos-profile gold"),
        "cisco_ios": ("show running-config", "policy-map gold-up")}  # fmt: skip


def intent_for(platform: str) -> dict[str, Any]:
    huawei = platform == "huawei_vrp8"
    return {
        "radius": {"servers": [{"address": "192.0.2.10"}], "source_interface": "LoopBack0" if huawei else "Loopback0"},
        "pools": [{"name": "homes", "network": "100.64.0.0/18", "gateway": "100.64.0.1"}],
        "subscribers": {"loopback": "LoopBack0" if huawei else "Loopback0", "pool": "homes"},
        "access": [{"interface": "GigabitEthernet0/1/0" if huawei else "GigabitEthernet0/0/1", "vlans": "100"}],
        "policies": [{"name": "gold" if huawei else "gold-up/gold-down", "download_kbps": 300000,
                      "upload_kbps": 150000}],
        "walled_garden": {"portal": "192.0.2.80", "dns": ["192.0.2.53"]},
    }  # fmt: skip


@dataclass(frozen=True)
class Device:
    """Of this name in its NAS entry; `configuration` is read by a client that is not ours."""

    platform: str
    name: str
    nas_id: str
    address: str
    port: int

    @property
    def configuration(self) -> str:
        """Without who changed it last."""
        with self._client() as client:
            said = str(client.send_command(SEEN[self.platform][0]))
        return "\n".join(line for line in said.splitlines() if "Last configuration" not in line)

    def change(self, *lines: str) -> None:
        """By somebody at the box."""
        with self._client() as client:
            client.send_config_set(lines)
            if self.platform == "huawei_vrp8":
                client.commit()

    def _client(self) -> netmiko.BaseConnection:
        return netmiko.ConnectHandler(
            device_type=PLATFORMS[self.platform][2], host=self.address, port=self.port, username="provedor",
            password=PASSWORD,
        )  # fmt: skip

    @property
    def is_changed(self) -> bool:
        return SEEN[self.platform][1] in self.configuration


@contextmanager
def device(node: Node, platform: str, number: int, *arguments: str) -> Iterator[Device]:
    driver, vendor, _ = PLATFORMS[platform]
    address, port = f"127.0.6.{number}", free_port()
    command = [PROVEDOR, "simulate", "ssh", "--platform", platform, "--address", address, "--port", str(port),
               "--users", "5", *arguments]  # fmt: skip
    environment = {**os.environ, "DEVICE_PASSWORD": PASSWORD}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "host key ecdsa-sha2" in process.stdout.readline()
        nas = node.post(
            "/nas",
            {"name": f"bng-{number}", "address": address, "secret": NAS_SECRET, "vendor": vendor,
             "management": {"driver": driver, "user": "provedor", "port": port},
             "management_secret": {"password": PASSWORD}},
        )  # fmt: skip
        yield Device(platform, nas["name"], nas["id"], address, port)
    finally:
        process.terminate()
        process.wait(10)


def keep_intent(node: Node, one: Device, tmp_path: Path) -> None:
    file = tmp_path / "intent.json"
    file.write_text(json.dumps(intent_for(one.platform)))
    node.run("provision", "intent", one.name, str(file))


@pytest.mark.parametrize(("platform", "number"), [("huawei_vrp8", 1), ("cisco_ios", 2)])
def test_a_box_becomes_a_bng(node: Node, platform: str, number: int, tmp_path: Path) -> None:
    with device(node, platform, number) as one:
        keep_intent(node, one, tmp_path)
        shown = node.run("provision", "plan", one.name)
        assert f"+{SEEN[platform][1]}" in shown
        assert NAS_SECRET not in shown
        assert not one.is_changed
        done = json.loads(node.run("provision", "apply", one.name, "--yes", "--json"))
        assert (done["state"], done["sessions"], done["detail"]) == ("done", 5, None)
        assert one.is_changed
        assert node.run("provision", "plan", one.name) == "the box is as it should be\n"
        names = json.loads(node.run("provision", "names", one.name, "--json"))
        assert names["names"]["pool"] == ["homes"]
        facts = json.loads(node.run("provision", "facts", one.name, "--json"))["facts"]
        assert facts["vendor"] in {"Huawei", "Cisco"}
        refused = node.api.post("/plans", json={"name": f"p{number}", "down_kbps": 1, "up_kbps": 1, "profile": "Gold"})
        assert (refused.status_code, refused.json()["field"]) == (422, "profile")
        assert one.name in refused.json()["detail"]
        keeps_its_configuration(node, one)
        (rotated,) = json.loads(node.run("provision", "rotate", one.name, "--yes", "--json"))
        assert (rotated["state"], rotated["detail"]) == ("done", None)
        with pytest.raises(netmiko.NetmikoAuthenticationException):
            _ = one.configuration
        assert node.run("provision", "plan", one.name) == "the box is as it should be\n"
        node.api.put(f"/nas/{one.nas_id}/intent", json={"body": {"serves": []}}).raise_for_status()


def keeps_its_configuration(node: Node, one: Device) -> None:
    """Before and after the change, and what somebody does at the box afterwards; restored in a drill."""
    silver = "qos-profile silver" if one.platform == "huawei_vrp8" else "policy-map silver"
    one.change(silver)
    node.run("provision", "backup", "take", one.name)
    kept = json.loads(node.run("provision", "backup", "list", one.name, "--json"))["backups"]
    assert [version["why"] for version in kept] == ["asked", "after_change", "before_change"]
    history = node.run("provision", "history", one.name)
    assert f"+ {SEEN[one.platform][1]}" in history
    assert history.endswith(f"by provedor at the box: changed the configuration\n  + {silver}\n"), history
    shown = node.run("provision", "backup", "show", one.name)
    assert silver in shown
    for text in (
        history,
        shown,
        node.run("provision", "backup", "diff", one.name, str(kept[2]["id"]), str(kept[0]["id"])),
    ):
        assert NAS_SECRET not in text
    assert "the same then\n" in node.run("provision", "backup", "restore-drill", one.name)


def test_a_worker_that_is_killed_between_arming_and_confirming_leaves_a_box_as_it_was(
    node: Node, tmp_path: Path
) -> None:
    """The box took `commit trial` and answers late, which is when the worker goes."""
    with device(node, "huawei_vrp8", 3, "--fault", "slow:commit trial") as one:
        keep_intent(node, one, tmp_path)
        before = one.configuration
        job = node.post("/provisioning/jobs", {"nas_id": one.nas_id})["id"]
        path = f"/provisioning/jobs/{job}"
        wait_for(lambda: node.api.get(path).json()["state"] == "planned")
        node.post(f"{path}/approve", {})
        wait_for(lambda: one.is_changed, every_s=0.5)
        kill(node, "pvd-worker")
        wait_for(lambda: node.api.get(path).json()["finished_at"] is not None, 180, every_s=0.5)
        settled = node.api.get(path).json()
        assert (settled["state"], settled["detail"]) == ("undone", "whoever was at it died")
        assert one.configuration == before


def test_a_connection_that_is_cut_is_undone_and_the_job_says_so(node: Node, tmp_path: Path) -> None:
    with device(node, "cisco_ios", 4, "--fault", "cut_after:copy flash:/merge_config.txt running-config") as one:
        keep_intent(node, one, tmp_path)
        job = node.post("/provisioning/jobs", {"nas_id": one.nas_id})["id"]
        path = f"/provisioning/jobs/{job}"
        wait_for(lambda: node.api.get(path).json()["state"] == "planned")
        node.post(f"{path}/approve", {})
        wait_for(lambda: node.api.get(path).json()["finished_at"] is not None, 300, every_s=0.5)
        assert node.api.get(path).json()["state"] == "undone"
        assert not one.is_changed

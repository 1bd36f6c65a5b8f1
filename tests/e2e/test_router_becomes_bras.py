"""A fresh router becomes a BRAS of a running node, by the command line, and is given back what a fault took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from routers import Router, simulated_router
from small_provider import NAS_SECRET
from whole_node import Node, kill, wait_for

from core.schedule import DAYS

pytestmark = pytest.mark.e2e
VERSIONS = ("6.49", "7.12", "7.18")
INTENT: dict[str, Any] = {
    "radius": {"servers": [{"address": "127.0.0.1"}]},
    "pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}],
    "profile": {"local_address": "100.64.0.1", "pool": "homes"},
    "pppoe": [{"interface": "ether2", "vlans": "100-109"}],
    "walled_garden": {"portal": "192.0.2.80", "dns": ["192.0.2.53"]},
    "dhcp": [{"interface": "ether3", "vlan": 300, "network": "100.66.0.0/22", "gateway": "100.66.0.1"}],
    "hotspots": [{"interface": "ether4", "address": "10.5.50.1", "pool": "homes", "allowed": ["*.example.com"]}],
    "queues": {
        "types": [{"name": "down", "kind": "pcq", "rate": "50M", "classifier": "dst-address"}],
        "trees": [{"name": "all", "parent": "global", "queue": "down", "max_limit": "1G"}],
    },
    "management": {
        "networks": ["127.0.0.0/8"],
        "services": ["api", "ssh"],
        "ntp": ["192.0.2.123"],
        "user": {"networks": ["127.0.0.0/8"]},
        "back_doors": "closed",
    },
}


@pytest.fixture(params=VERSIONS, scope="module")
def router(request: pytest.FixtureRequest, node: Node) -> Iterator[Router]:
    version, address = request.param, f"127.0.1.{VERSIONS.index(request.param) + 1}"
    options = ("--users", "5", "--api-version", version, "--seen-as", "127.0.0.1")
    with simulated_router(node, f"bras-{version}", address, *options) as one:
        yield one


def test_a_fresh_router_becomes_a_bras(node: Node, router: Router, tmp_path: Path) -> None:
    file = tmp_path / "intent.json"
    file.write_text(json.dumps(INTENT))
    node.run("provision", "intent", router.name, str(file))
    assert json.loads(node.run("provision", "intent", router.name))["pools"] == [{**INTENT["pools"][0], "next": None}]
    shown = node.run("provision", "plan", router.name)
    assert "/radius add service=dhcp,hotspot,ppp address=127.0.0.1" in shown
    assert NAS_SECRET not in shown
    assert router.rows("/radius") == []
    done = json.loads(node.run("provision", "apply", router.name, "--yes", "--json"))
    assert (done["state"], done["sessions"], done["problems"]) == ("done", 5, [])
    (radius,) = router.rows("/radius")
    assert (radius["address"], radius["secret"]) == ("127.0.0.1", NAS_SECRET)
    (user,) = router.rows("/user")
    assert (user["group"], user["address"]) == ("provedor-api", "127.0.0.0/8")
    assert router.rows("/system/scheduler") == router.rows("/system/script") == []
    assert node.run("provision", "plan", router.name) == "the box is as it should be\n"


@pytest.mark.parametrize("router", ["7.12"], indirect=True)
def test_a_worker_that_is_killed_leaves_a_router_that_is_as_it_was(node: Node, router: Router, tmp_path: Path) -> None:
    """In the middle of a change of some hundred steps, which the router slows down to be hit."""
    file = tmp_path / "intent.json"
    pools = [{"name": f"pool{number}", "ranges": f"10.{number}.0.0/24"} for number in range(120)]
    file.write_text(json.dumps({**INTENT, "pools": [*INTENT["pools"], *pools]}))
    node.run("provision", "intent", router.name, str(file))
    before = {row["name"] for row in router.rows("/ip/pool")}
    job = node.post("/provisioning/jobs", {"nas_id": router.nas_id})["id"]
    path = f"/provisioning/jobs/{job}"
    wait_for(lambda: node.api.get(path).json()["state"] == "planned")
    router.order(kind="slow", command="/ip/pool/add", times="0", seconds="0.05")
    node.post(f"{path}/approve", {})
    wait_for(lambda: node.api.get(path).json()["steps_applied"] > 0)
    kill(node, "pvd-worker")
    # The claim of who died runs out, and the next one settles it.
    wait_for(lambda: node.api.get(path).json()["finished_at"] is not None, 120, every_s=0.5)
    settled = node.api.get(path).json()
    assert (settled["state"], settled["detail"]) == ("undone", "whoever was at it died")
    assert {row["name"] for row in router.rows("/ip/pool")} == before
    assert router.rows("/system/scheduler") == router.rows("/system/script") == []


@pytest.mark.parametrize("router", ["6.49", "7.18"], indirect=True)
def test_a_change_in_which_the_box_is_cut_off_from_who_it_reached_is_undone(
    node: Node, router: Router, tmp_path: Path
) -> None:
    """What cuts it off is another's rule, made while ours are; nobody can tell whose fault it is."""
    file = tmp_path / "intent.json"
    file.write_text(json.dumps({"pools": [{"name": "probed", "ranges": "10.9.0.0/24"}],
                                "probe": {"ping": ["198.51.100.1"]}}))  # fmt: skip
    before = {menu: router.rows(menu) for menu in ("/ip/pool", "/interface/vlan", "/interface/pppoe-server/server")}
    node.run("provision", "intent", router.name, str(file))
    job = node.post("/provisioning/jobs", {"nas_id": router.nas_id})["id"]
    path = f"/provisioning/jobs/{job}"
    wait_for(lambda: node.api.get(path).json()["state"] == "planned")
    router.order(kind="slow", command="/ip/pool/add", seconds="2")
    node.post(f"{path}/approve", {})
    wait_for(lambda: node.api.get(path).json()["undo_by"] is not None)
    router.add("/ip/firewall/filter", chain="output", protocol="icmp", action="drop", comment="his")
    wait_for(lambda: node.api.get(path).json()["finished_at"] is not None, every_s=0.2)
    undone = node.api.get(path).json()
    assert (undone["state"], undone["detail"]) == ("undone", "198.51.100.1 does not answer pings any more")
    for menu, rows in before.items():
        assert len(router.rows(menu)) == len(rows), menu
    for row in router.rows("/ip/firewall/filter"):
        if row.get("comment") == "his":
            router.remove("/ip/firewall/filter", row["id"])


@pytest.mark.parametrize("router", ["7.18"], indirect=True)
def test_a_change_waits_for_its_window_unless_somebody_says_now(node: Node, router: Router, tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(days=3)
    window = {"days": [DAYS[later.weekday()]], "from": "02:00", "until": "05:00"}
    policy, intent = tmp_path / "policy.json", tmp_path / "intent.json"
    policy.write_text(json.dumps({"windows": [window]}))
    intent.write_text(json.dumps({"pools": [{"name": "windowed", "ranges": "10.8.0.0/24"}]}))
    assert json.loads(node.run("provision", "policy", str(policy)))["windows"] == [window]
    node.run("provision", "intent", router.name, str(intent))
    assert "waits for its window, which opens" in node.run("provision", "apply", router.name, "--yes")
    waiting = json.loads(node.run("provision", "jobs", "--json"))[0]
    assert (waiting["state"], waiting["not_before"][11:16]) == ("approved", "05:00")  # two o'clock in Brasília
    node.run("provision", "cancel", str(waiting["id"]))
    assert "done: " in node.run("provision", "apply", router.name, "--yes", "--now")
    policy.write_text("{}")
    node.run("provision", "policy", str(policy))

"""Rollouts over REST at a handful of simulated routers: canary, waves, and a stop at the first harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import pytest
from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, lone_router, rows
from sqlalchemy import select

from core import topics
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import Keyring
from core.models.network import Session as LiveSession
from core.models.system import Role
from provisioning.jobs import rollouts
from provisioning.jobs.runner import Provisioner
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import ApiServer, Fault, FaultKind, Fleet, Router

API = "/api/v1"
BOXES = 7
INTENT = {"pools": [{"name": "homes", "ranges": "100.64.0.2-100.64.3.254"}]}


@dataclass
class Network:
    client: TestClient
    database: Database
    provisioner: Provisioner
    clock: ManualClock
    routers: list[Router]
    nas_ids: list[str]

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> dict[str, Any]:
        answer = self.client.post(f"{API}/provisioning{path}", json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def get(self, path: str) -> dict[str, Any]:
        return self.client.get(f"{API}/provisioning{path}").json()  # type: ignore[no-any-return]

    def work(self) -> None:
        work_off(self.database, {topics.PROVISIONING_DUE.name: self.provisioner.handle_due})

    def advance(self, seconds: float = 0) -> None:
        """What the clock does after so long, and then the workers."""
        self.clock.advance(timedelta(seconds=seconds))
        with self.database.transaction() as session:
            rollouts.advance_all(session, self.clock(), UTC)
        self.work()

    def planned(self, **given: Any) -> str:
        body = {"nas_ids": self.nas_ids, "wave_size": 3, "soak_seconds": 60, **given}
        rollout_id = str(self.post("/rollouts", body, status=202)["id"])
        self.advance()
        self.advance()
        return rollout_id

    def changed(self) -> list[int]:
        """Which routers, by their numbers."""
        return [number for number, router in enumerate(self.routers) if rows(router, "/ip/pool")]


@pytest.fixture
def network(client: TestClient, database: Database, keyring: Keyring) -> Iterator[Network]:
    with ExitStack() as stack:
        fleet = Fleet()
        stack.callback(fleet.close)
        routers = [lone_router() for _ in range(BOXES)]
        nas_ids = []
        for number, router in enumerate(routers):
            address = f"127.3.0.{number + 1}"
            server = ApiServer(router, address, fleet=fleet)
            stack.callback(server.close)
            body = {
                "name": f"bras{number}", "address": address, "secret": "x", "vendor": "mikrotik",
                "routeros": {"user": USER, "port": server.port, "tls": False}, "routeros_password": PASSWORD,
            }  # fmt: skip
            nas_ids.append(client.post(f"{API}/nas", json=body).json()["id"])
            client.put(f"{API}/nas/{nas_ids[-1]}/intent", json={"body": INTENT}).raise_for_status()
        clock = ManualClock(utc_now())
        provisioner = Provisioner(database, keyring, RouterOs, AtOnce(), clock, lambda _: None)
        yield Network(client, database, provisioner, clock, routers, nas_ids)


def test_the_canary_goes_first_then_wave_after_wave_each_when_the_one_before_has_stood(network: Network) -> None:
    rollout = network.planned()
    assert (network.get(f"/rollouts/{rollout}")["state"], network.changed()) == ("planned", [])
    network.post(f"/rollouts/{rollout}/approve")
    network.work()
    assert network.changed() == [0]
    network.advance()
    assert network.changed() == [0]  # it has not stood yet
    network.advance(61)
    assert network.changed() == [0, 1, 2, 3]
    network.advance(59)
    assert network.changed() == [0, 1, 2, 3]
    network.advance(2)
    assert network.changed() == list(range(BOXES))
    network.advance(61)
    found = network.get(f"/rollouts/{rollout}")
    assert (found["state"], found["jobs"], found["detail"]) == ("done", {"done": 7}, "7 boxes are as they should be")
    listed = network.get(f"/jobs?rollout_id={rollout}")["items"]
    assert sorted(job["wave"] for job in listed) == [0, 1, 1, 1, 2, 2, 2]
    assert all(job["approved_by"].startswith(f"rollout:{rollout} by token:") for job in listed)


def test_it_stops_at_a_box_that_is_not_changed_and_touches_no_other(network: Network) -> None:
    rollout = network.planned()
    network.routers[2].faults.order(Fault(FaultKind.REFUSE, "/ip/pool/add", message="failure: no"))
    network.post(f"/rollouts/{rollout}/approve")
    network.work()
    network.advance(61)
    network.advance()
    found = network.get(f"/rollouts/{rollout}")
    assert found["state"] == "stopped"
    assert found["detail"].endswith("is undone: /ip/pool/add: failure: no")
    assert network.changed() == [0, 1, 3]
    assert found["jobs"] == {"done": 3, "undone": 1, "cancelled": 3}


def test_it_stops_where_a_box_lost_its_sessions_after_it_was_done(network: Network, database: Database) -> None:
    with database.transaction() as session:
        session.add_all(
            LiveSession(nas_id=int(network.nas_ids[0]), box="b", acct_session_id=f"{one}", accept_id="", login="x",
                        started_at=utc_now(), updated_at=utc_now(), nas_address="127.3.0.1")
            for one in range(50)
        )  # fmt: skip
    rollout = network.planned()
    network.post(f"/rollouts/{rollout}/approve")
    network.work()
    with database.transaction() as session:
        for live in session.scalars(select(LiveSession).limit(20)):
            live.stopped_at = utc_now()
    network.advance(61)
    found = network.get(f"/rollouts/{rollout}")
    assert (found["state"], network.changed()) == ("stopped", [0])
    assert "lost 20 of 50 sessions" in found["detail"]


def test_a_box_that_is_as_it_should_be_or_cannot_be_read_has_no_part_in_it(network: Network) -> None:
    done = network.planned(nas_ids=network.nas_ids[:1])
    network.post(f"/rollouts/{done}/approve")
    network.work()
    network.advance(61)
    assert network.get(f"/rollouts/{done}")["state"] == "done"
    network.routers[1].faults.order(Fault(FaultKind.REFUSE, "/system/resource", message="failure: no"))
    rollout = network.planned(soak_seconds=0)
    assert network.get(f"/rollouts/{rollout}")["jobs"] == {"in_step": 1, "refused": 1, "planned": 5}
    network.post(f"/rollouts/{rollout}/approve")
    network.work()
    for _ in range(4):
        network.advance()
    assert network.get(f"/rollouts/{rollout}")["state"] == "done"
    assert network.changed() == [0, 2, 3, 4, 5, 6]


def test_it_can_be_cancelled_and_what_is_done_stays(network: Network) -> None:
    rollout = network.planned()
    network.post(f"/rollouts/{rollout}/approve")
    network.work()
    assert network.post(f"/rollouts/{rollout}/cancel")["state"] == "cancelled"
    network.advance(3600)
    assert network.changed() == [0]
    assert network.get(f"/rollouts/{rollout}")["jobs"] == {"done": 1, "cancelled": 6}
    network.post(f"/rollouts/{rollout}/cancel", status=409)
    network.post(f"/rollouts/{rollout}/approve", status=409)


def test_what_cannot_be_rolled_out_is_refused_and_nothing_is_begun(network: Network, client_for: Any) -> None:
    network.post("/rollouts", {"nas_ids": []}, status=422)
    network.post("/rollouts", {"nas_ids": ["999"]}, status=404)
    job = network.post("/jobs", {"nas_id": network.nas_ids[3]}, status=202)
    refused = network.post("/rollouts", {"nas_ids": network.nas_ids}, status=409)
    assert job["id"] in refused["detail"]
    assert network.get("/rollouts")["items"] == []
    assert len(network.get("/jobs")["items"]) == 1
    support = client_for(Role.SUPPORT)
    assert support.post(f"{API}/provisioning/rollouts", json={"nas_ids": network.nas_ids}).status_code == 403

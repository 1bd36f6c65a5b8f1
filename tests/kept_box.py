"""One simulated router whose subscribers are kept at it, and whoever keeps it, in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, Box, do, rows

from core import holds, policies, topics
from core.access import HoldEffect, HoldReason
from core.audit import Actor
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import Keyring
from provisioning.local import store
from provisioning.local.keeper import Keeper
from provisioning.routeros.client import RouterOs
from provisioning.routeros.schema import canonical
from provisioning.routeros.schema.kinds import Kind

API = "/api/v1"
PERSON = Actor("test:person")


@dataclass
class Kept:
    """One box, and who keeps it. `open_window`: whether people may be made to dial again."""

    client: TestClient
    database: Database
    keyring: Keyring
    box: Box
    clock: ManualClock
    nas_id: str
    open_window: list[bool] = field(default_factory=lambda: [False])
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = Keeper(self.database, self.keyring, RouterOs, AtOnce(), self.clock, lambda _: self.open_window[0])

    @property
    def path(self) -> str:
        return f"{API}/nas/{self.nas_id}/local"

    def get(self) -> dict[str, Any]:
        return self.client.get(self.path).json()  # type: ignore[no-any-return]

    def work(self) -> None:
        keep = {topics.LOCAL_DUE.name: self.keeper.handle_due}
        changed = dict.fromkeys([topics.SERVICE_OUT_OF_STEP.name, topics.SERVICE_RESTRICTED.name])
        more = {topics.PLAN_CHANGED.name: lambda session, payload: policies.refresh_plan_chunk(session, **payload)}
        work_off(self.database, {**keep, **dict.fromkeys(changed, self.keeper.service_changed), **more})

    def tick(self, seconds: float = 0) -> None:
        """What the clock brings after so long, and what workers do then."""
        self.clock.advance(timedelta(seconds=seconds))
        with self.database.transaction() as session:
            store.owe_due(session, self.clock())
        self.work()

    def keep(self, mode: str = "serve") -> dict[str, Any]:
        self.client.put(self.path, json={"mode": mode}).raise_for_status()
        self.work()
        self.client.post(f"{self.path}/approve").raise_for_status()
        self.work()
        return self.get()

    def change(self, act: Callable[[Any], object]) -> None:
        with self.database.transaction() as session:
            act(session)
        self.work()

    def hold(self, service_id: int, effect: HoldEffect) -> int:
        found: list[int] = []

        def place(session: Any) -> None:
            hold = holds.place_hold(
                session, service_id, reason=HoldReason.BILLING, effect=effect, actor=PERSON, now=utc_now()
            )
            found.append(hold.id)

        self.change(place)
        return found[0]

    def lift(self, hold_id: int) -> None:
        self.change(lambda session: holds.lift_hold(session, hold_id, actor=PERSON, now=utc_now()))

    def secrets(self) -> dict[str, dict[str, str]]:
        return {row["name"]: row for row in rows(self.box.router, "/ppp/secret")}

    def garden(self) -> list[str]:
        found = rows(self.box.router, "/ip/firewall/address-list")
        return [row["address"] for row in found if row["list"] == "walled-garden"]

    def online(self) -> dict[str, str]:
        return {one.login: one.address for one in self.box.online.read()}

    def rate(self, login: str) -> str:
        """What limits him."""
        found = {row["name"]: row["max-limit"] for row in rows(self.box.router, "/queue/simple")}
        return canonical(Kind.RATE, found.get(f"<pppoe-{login}>") or found.get(f"provedor-{login}") or "")


def keep_box(client: TestClient, database: Database, keyring: Keyring, one: Box, intent: dict[str, Any]) -> Kept:
    body = {
        "name": "bras1", "address": "127.0.0.1", "secret": "x", "vendor": "mikrotik", "disconnects_per_minute": 60,
        "routeros": {"user": USER, "port": one.server.port, "tls": False}, "routeros_password": PASSWORD,
    }  # fmt: skip
    nas_id = client.post(f"{API}/nas", json=body).json()["id"]
    client.put(f"{API}/nas/{nas_id}/intent", json={"body": intent}).raise_for_status()
    do(one.router, "/ip/pool/add", name="homes", ranges="100.64.0.2-100.64.3.254")
    return Kept(client, database, keyring, one, ManualClock(utc_now()), nas_id)

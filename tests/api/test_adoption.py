"""An existing router over REST: looked at, shown in pages without passwords, taken, and taken again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from at_once import AtOnce, work_off
from fastapi.testclient import TestClient
from routeros_boxes import PASSWORD, USER, Box, box, rows

from core import topics
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import Keyring
from provedor.imports.adopting import Adopter
from provisioning.adopt import store
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import Fault, FaultKind, load

API = "/api/v1"
EXPORT = Path(__file__).parents[1] / "small_provider.rsc"
SECRETS = ("123456", "mercado1", "escola1", "dev1", "aus1", "n0c", "t3c", "sv1")


class Router:
    def __init__(self, client: TestClient, database: Database, keyring: Keyring, found: Box) -> None:
        self.client, self.database, self.box = client, database, found
        self.clock = ManualClock(utc_now())
        self.adopter = Adopter(database, keyring, RouterOs, AtOnce(), self.clock)
        body = {
            "name": "bras1", "address": "127.0.0.1", "secret": "x", "vendor": "mikrotik",
            "routeros": {"user": USER, "port": found.server.port, "tls": False}, "routeros_password": PASSWORD,
            "names": {"address_lists": {"walled-garden": "bloqueados"}},
        }  # fmt: skip
        self.path = f"{API}/nas/{client.post(f'{API}/nas', json=body).json()['id']}/adoption"

    def ask(self, **body: Any) -> dict[str, Any]:
        answer = self.client.post(self.path, json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "working"
        self.work()
        return self.get()

    def work(self) -> None:
        work_off(self.database, {topics.ADOPTION_DUE.name: self.adopter.handle_due})

    def get(self) -> dict[str, Any]:
        return self.client.get(self.path).json()  # type: ignore[no-any-return]

    def logins(self, **query: Any) -> dict[str, Any]:
        return self.client.get(f"{self.path}/logins", params=query).json()  # type: ignore[no-any-return]


@pytest.fixture
def router(client: TestClient, database: Database, keyring: Keyring) -> Iterator[Router]:
    with box() as one:
        load(one.router, EXPORT.read_text(errors="surrogateescape"), USER)
        yield Router(client, database, keyring, one)


def test_it_is_looked_at_and_shown_in_pages_without_passwords(router: Router) -> None:
    assert router.client.get(router.path).status_code == 404
    found = router.ask()
    assert (found["state"], found["error"], found["taken_at"]) == ("read", None, None)
    assert found["logins"] == {"new": 6, "here": 0, "rejected": 4, "left_out": 1, "ours": 0}
    assert {plan["name"]: plan["services"] for plan in found["plans"]}["10M"] == 2
    assert found["blocks"] == ["profile bloqueado", "list bloqueados"]
    first = router.logins(limit=4)
    rest = router.logins(limit=50, cursor=first["next_cursor"])
    assert len(first["items"]) + len(rest["items"]) == 11
    (left,) = router.logins(standing="left_out")["items"]
    assert (left["login"], left["told"]) == ("vpn-tecnico", ["is a user of l2tp"])
    shown = str([found, first, rest])
    assert not any(secret in shown for secret in SECRETS)


def test_it_is_taken_when_it_was_seen_and_only_once(router: Router) -> None:
    assert router.client.post(router.path, json={"take": True}).status_code == 409
    router.ask()
    before = rows(router.box.router, "/ppp/secret")
    found = router.ask(take=True, blocked_plan="10M", rates={"sem-controle": {"down_kbps": 50_000, "up_kbps": 25_000}})
    assert found["state"] == "taken"
    assert found["counts"]["login"]["created"] == 8
    assert found["logins"] == {"new": 0, "here": 8, "rejected": 2, "left_out": 1, "ours": 0}
    told = {one["login"]: one["told"] for one in router.logins(standing="here")["items"] if one["told"]}
    assert told == {
        "escola": ["the queue escola stays"], "semvel": ["no rate that could be read, 50000/25000 kbit/s here"],
    }  # fmt: skip
    assert len(router.client.get(f"{API}/services").json()["items"]) == 8
    again = router.ask(take=True, blocked_plan="10M", rates={"sem-controle": {"down_kbps": 50_000, "up_kbps": 25_000}})
    assert again["counts"]["login"] == {"unchanged": 8, "rejected": 2, "left out": 1}
    assert len(router.client.get(f"{API}/services").json()["items"]) == 8
    assert rows(router.box.router, "/ppp/secret") == before


def test_a_router_that_does_not_answer_says_so_and_may_be_asked_again(router: Router) -> None:
    router.box.router.faults.order(Fault(FaultKind.CUT, "/system/resource", times=0))
    found = router.ask()
    assert found["state"] == "failed"
    assert "closed the connection" in found["error"]
    assert router.client.post(router.path, json={"take": True}).status_code == 409
    router.box.router.faults.clear()
    assert router.ask()["state"] == "read"


def test_who_died_at_it_is_followed_by_another(router: Router) -> None:
    submit = router.adopter.threads.submit
    router.adopter.threads.submit = lambda *_, **__: None  # type: ignore[method-assign,assignment,return-value]
    router.client.post(router.path, json={}).raise_for_status()
    router.work()
    assert router.client.post(router.path, json={}).status_code == 409
    router.adopter.threads.submit = submit  # type: ignore[method-assign]
    router.clock.advance(timedelta(minutes=2))
    with router.database.transaction() as session:
        assert store.owe_due(session, router.clock()) == 1
    router.work()
    assert router.get()["state"] == "read"

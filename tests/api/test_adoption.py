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
from sqlalchemy import select

from core import topics
from core.clock import ManualClock, utc_now
from core.database import Database
from core.keyring import Keyring
from core.models import OutboxItem
from provedor.imports.adopting import Adopter
from provisioning.adopt import store
from provisioning.backups.keeper import Backups
from provisioning.jobs.alone import alone_at
from provisioning.local.keeper import Keeper
from provisioning.routeros.client import RouterOs
from provisioning.simulators.routeros import Fault, FaultKind, load

API = "/api/v1"
EXPORT = Path(__file__).parents[1] / "small_provider.rsc"
SECRETS = ("123456", "mercado1", "escola1", "dev1", "aus1", "n0c", "t3c", "sv1")


class Router:
    def __init__(self, client: TestClient, database: Database, keyring: Keyring, found: Box) -> None:
        self.client, self.database, self.box = client, database, found
        self.clock = ManualClock(utc_now())
        backups = Backups(database, keyring, RouterOs, AtOnce(), self.clock, lambda _: None)
        self.adopter = Adopter(database, keyring, RouterOs, AtOnce(), self.clock, backups)
        self.keeper = Keeper(database, keyring, RouterOs, AtOnce(), utc_now, lambda _: True)
        body = {
            "name": "bras1", "address": "127.0.0.1", "secret": "x", "vendor": "mikrotik",
            "routeros": {"user": USER, "port": found.server.port, "tls": False}, "routeros_password": PASSWORD,
            "names": {"address_lists": {"walled-garden": "bloqueados"}},
        }  # fmt: skip
        self.nas = f"{API}/nas/{client.post(f'{API}/nas', json=body).json()['id']}"
        self.path = f"{self.nas}/adoption"

    def ask(self, step: str = "", **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"{self.path}{step}", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "working"
        self.work()
        return self.get()

    def keep(self) -> None:
        """The router lets its subscribers in by our rows."""
        intent = {"profile": {"local_address": "100.64.0.1"}}
        self.client.put(f"{self.nas}/intent", json={"body": intent}).raise_for_status()
        self.client.put(f"{self.nas}/local", json={"mode": "serve"}).raise_for_status()
        self.work()
        self.client.post(f"{self.nas}/local/approve").raise_for_status()
        self.work()

    def work(self) -> None:
        work_off(self.database, {
            topics.ADOPTION_DUE.name: self.adopter.handle_due, topics.LOCAL_DUE.name: self.keeper.handle_due,
            topics.SERVICE_OUT_OF_STEP.name: self.keeper.service_changed,
            topics.SERVICE_RESTRICTED.name: self.keeper.service_changed,
        })  # fmt: skip

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


def test_what_it_is_is_shown_as_an_intent(router: Router) -> None:
    router.ask()
    proposed = router.client.get(f"{router.path}/intent").json()
    assert [pool["name"] for pool in proposed["body"]["pools"]] == ["clientes", "bloqueados"]
    assert any("from where the box may be managed" in line for line in proposed["told"])
    router.client.put(f"{router.nas}/intent", json={"body": proposed["body"]}).raise_for_status()


def test_its_secrets_become_ours_login_by_login(router: Router) -> None:
    assert router.client.post(f"{router.path}/own", json={"logins": None}).status_code == 409  # nobody looked yet
    router.ask()
    router.ask(take=True)
    assert router.client.post(f"{router.path}/own", json={"logins": None}).status_code == 404  # it is not kept
    router.keep()
    before = {row["name"]: row for row in rows(router.box.router, "/ppp/secret")}
    found = router.ask("/own", logins=["joao", "nobody"])
    assert (found["state"], found["error"], found["owned"]["services"]) == ("taken", None, 1)
    assert found["owned"]["refused"] == [{"login": "nobody", "told": "has no secret at the router"}]
    after = {row["name"]: row for row in rows(router.box.router, "/ppp/secret")}
    assert after["joao"]["comment"].startswith("provedor:local/")
    assert {name for name in after if after[name] != before[name]} == {"joao"}
    found = router.ask("/own", logins=None)
    assert {"login": "escola", "told": "the queue escola limits him, too, and stays as it is"} in found["owned"]["told"]
    assert found["owned"]["services"] == 5
    assert not any(secret in str(found) for secret in SECRETS)
    audited = router.client.get(f"{API}/audit-entries", params={"resource": "adoption"}).json()["items"]
    assert [one["action"] for one in audited].count("own") == 2


def test_rows_that_its_intent_names_become_ours_when_somebody_confirms(router: Router) -> None:
    assert router.client.post(f"{router.path}/own-intent", json={}).status_code == 404  # there is no intent
    intent = {"pools": [{"name": "clientes", "ranges": "100.64.0.2-100.64.15.254"}]}
    router.client.put(f"{router.nas}/intent", json={"body": intent}).raise_for_status()
    assert router.ask("/own-intent")["owned_intent"] == {"rows": ["/ip/pool clientes"], "kept": False}
    assert router.ask("/own-intent")["owned_intent"]["rows"] == ["/ip/pool clientes"]  # nothing was kept
    assert router.ask("/own-intent", confirm=True)["owned_intent"] == {"rows": ["/ip/pool clientes"], "kept": True}
    assert router.ask("/own-intent")["owned_intent"]["rows"] == []


def test_while_somebody_is_at_the_router_it_waits(router: Router) -> None:
    router.clock.advance(timedelta(minutes=-1))  # the database's may be ahead
    intent = {"pools": [{"name": "clientes", "ranges": "100.64.0.2-100.64.15.254"}]}
    router.client.put(f"{router.nas}/intent", json={"body": intent}).raise_for_status()
    with alone_at(router.database, int(router.nas.rsplit("/", 1)[1])):
        assert router.ask("/own-intent")["state"] == "working"
    with router.database.transaction() as session:
        (item,) = session.scalars(select(OutboxItem).where(OutboxItem.topic == topics.ADOPTION_DUE.name))
        item.due_at = router.clock()
    router.work()
    assert router.get()["owned_intent"]["rows"] == ["/ip/pool clientes"]

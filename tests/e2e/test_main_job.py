"""One subscriber's life on a whole node: created over REST, online by a BRAS, restricted, paid, back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from small_provider import FULL, THROTTLED, Provider
from whole_node import Node, wait_for

from aaa.bras.subscriber import State, Subscriber
from provedor.embedded import EmbeddedPostgres

pytestmark = pytest.mark.e2e


def test_radclient_from_outside(node: Node, provider: Provider) -> None:
    accepted = provider.radclient("cliente1", "senha1")
    assert "Access-Accept" in accepted
    assert f'Mikrotik-Rate-Limit = "{FULL}"' in accepted
    assert accepted.index("Message-Authenticator", accepted.index("Received")) < accepted.index("Mikrotik-Rate-Limit")
    assert "Access-Reject" in provider.radclient("cliente1", "errada")
    assert "Access-Reject" in provider.radclient("ninguem", "x")
    assert "Received" not in provider.radclient("cliente1", "senha1", secret="wrong")
    assert "Access-Accept" in node.run("radius", "test", "cliente1", "--method", "mschapv2")


def test_every_subscriber_is_online_and_accounted(node: Node, provider: Provider, bras: dict[str, Subscriber]) -> None:
    for service in provider.services:
        wait_for(lambda one=service: len(provider.sessions(one)) == 1)
    one = provider.sessions(provider.services[0])[0]
    wait_for(lambda: provider.sessions(provider.services[0])[0]["download_octets"] > one["download_octets"])
    assert one["in_step"] is True


def test_throttled_and_back_by_coa_without_a_redial(
    node: Node, provider: Provider, bras: dict[str, Subscriber]
) -> None:
    service, line = provider.services[2], bras["cliente2"]
    wait_for(lambda: len(provider.sessions(service)) == 1)
    invoice = provider.owe(service)
    provider.hold(service, "throttle")
    wait_for(lambda: line.rate_limit == THROTTLED)
    assert provider.sessions(service)[0]["in_step"] in {True, False}
    logins = line.logins
    assert provider.pay(invoice, "pay-throttle") == 200
    wait_for(lambda: line.rate_limit == FULL)
    assert line.logins == logins  # no redial
    wait_for(lambda: provider.sessions(service)[0]["in_step"])


def test_suspended_into_the_walled_garden_and_back(node: Node, provider: Provider, bras: dict[str, Subscriber]) -> None:
    service, line = provider.services[3], bras["cliente3"]
    wait_for(lambda: len(provider.sessions(service)) == 1)
    invoice = provider.owe(service)
    plan = json.loads(node.run("billing", "run", "--dry-run", "--json"))
    planned = {str(change["contract_id"]): change["action"] for change in plan}
    assert planned[service["contract_id"]] in {"place", "wait"}  # by the hour at which the tests run
    provider.hold(service, "walled_garden")
    wait_for(lambda: line.address_list == "walled-garden")
    assert "Bloqueio" in node.run("explain", "cliente3")
    for _ in range(3):  # a gateway repeats itself
        assert provider.pay(invoice, "pay-garden") == 200
    wait_for(lambda: line.state is State.ONLINE and line.address_list == "")
    assert node.api.get(f"/services/{service['id']}").json()["access"] == "full"
    payments = node.api.get("/payments", params={"invoice_id": invoice["id"]}).json()["items"]
    assert len(payments) == 1


def test_a_frozen_enforcement_sends_nothing_until_it_is_resumed(
    node: Node, provider: Provider, bras: dict[str, Subscriber]
) -> None:
    service, line = provider.services[4], bras["cliente4"]
    wait_for(lambda: len(provider.sessions(service)) == 1)
    node.run("enforcement", "freeze")
    hold = provider.hold(service, "throttle", "admin")
    wait_for(lambda: provider.sessions(service)[0]["in_step"] is False)
    assert line.rate_limit == FULL
    node.run("enforcement", "resume")
    wait_for(lambda: line.rate_limit == THROTTLED)
    provider.lift(service, hold)
    wait_for(lambda: line.rate_limit == FULL)


def test_a_plan_that_changes_now_is_on_the_wire_without_a_redial(
    node: Node, provider: Provider, bras: dict[str, Subscriber]
) -> None:
    service, line = provider.services[5], bras["cliente5"]
    wait_for(lambda: len(provider.sessions(service)) == 1)
    plan = node.post("/plans", {"name": "Fibra 500", "down_kbps": 500_000, "up_kbps": 250_000, "price_cents": 14990,
                                "address_pool": "residential"})  # fmt: skip
    wish = {"plan_id": plan["id"]}
    seen = node.post(f"/services/{service['id']}/plan-changes", wish | {"preview": True})
    assert seen["periods"][1]["after_cents"] == 14990
    assert line.rate_limit == FULL
    logins = line.logins
    node.post(f"/services/{service['id']}/plan-changes", wish)
    wait_for(lambda: line.rate_limit == "250000k/500000k")
    assert line.logins == logins  # no redial
    wait_for(lambda: provider.sessions(service)[0]["in_step"])


def test_a_pause_takes_the_line_down_and_its_end_brings_it_back(
    node: Node, provider: Provider, bras: dict[str, Subscriber]
) -> None:
    service, line = provider.services[6], bras["cliente6"]
    wait_for(lambda: len(provider.sessions(service)) == 1)
    pause = node.post(f"/services/{service['id']}/pauses", thirty_days_from_now())
    wait_for(lambda: not provider.sessions(service))
    assert "Access-Reject" in provider.radclient("cliente6", "senha6")
    node.post(f"/pauses/{pause['id']}/end", {})
    wait_for(lambda: line.state is State.ONLINE)
    wait_for(lambda: len(provider.sessions(service)) == 1)


def test_the_clock_does_what_customers_asked_for_when_its_day_has_come(
    node: Node, provider: Provider, bras: dict[str, Subscriber]
) -> None:
    """The days are long; so the database is told that they are over."""
    changing, pausing = provider.services[7], provider.services[8]
    wish = {"plan_id": provider.plan["id"], "price_cents": 100, "on": "2100-01-01"}
    node.post(f"/services/{changing['id']}/plan-changes", wish)
    node.post(f"/services/{pausing['id']}/pauses", thirty_days_from_now())
    wait_for(lambda: bras["cliente8"].state is not State.ONLINE)
    server = EmbeddedPostgres(node.data / "postgres")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute('UPDATE plan_change SET "on" = current_date - 1 WHERE service_id = %s', [changing["id"]])
        connection.execute("UPDATE hold SET until = now() WHERE service_id = %s", [pausing["id"]])
    wait_for(lambda: bras["cliente8"].state is State.ONLINE)
    contract = f"/contracts/{changing['contract_id']}"
    wait_for(lambda: [one["price_cents"] for one in node.api.get(contract).json()["items"]] == [100], every_s=0.1)
    pause = {"params": {"service_id": pausing["id"]}}
    wait_for(lambda: node.api.get("/pauses", **pause).json()["items"][0]["ended_at"] is not None, every_s=0.1)


def thirty_days_from_now() -> dict[str, str]:
    """From today on, in the provider's calendar."""
    today = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
    return {"start": str(today), "end": str(today + timedelta(days=30))}

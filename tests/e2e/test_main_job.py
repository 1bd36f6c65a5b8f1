"""One subscriber's life on a whole node: created over REST, online by a BRAS, restricted, paid, back."""

from __future__ import annotations

import json
import time

import pytest
from small_provider import FULL, THROTTLED, Provider
from whole_node import Node, wait_for

from aaa.bras.subscriber import State, Subscriber

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("node")]


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


def test_throttled_and_back_by_coa_within_a_second(node: Node, provider: Provider, bras: dict[str, Subscriber]) -> None:
    service, line = provider.services[2], bras["cliente2"]
    wait_for(lambda: len(provider.sessions(service)) == 1)
    invoice = provider.owe(service)
    provider.hold(service, "throttle")
    wait_for(lambda: line.rate_limit == THROTTLED)
    assert provider.sessions(service)[0]["in_step"] in {True, False}
    logins, started = line.logins, time.monotonic()
    assert provider.pay(invoice, "pay-throttle") == 200
    wait_for(lambda: line.rate_limit == FULL, 5)
    assert time.monotonic() - started < 1.0
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
    wait_for(lambda: line.rate_limit == THROTTLED, 10)
    provider.lift(service, hold)
    wait_for(lambda: line.rate_limit == FULL, 10)

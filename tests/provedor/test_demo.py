"""The demo's subscribers are such that everything can be tried with them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from simulated_gateway import make_provider, no_holiday
from sqlalchemy import select

from billing_hooks import charges
from billing_hooks.models import Charge, ChargeStatus, GatewayAccount
from billing_hooks.simulators import asaas
from billing_hooks.simulators.hooks import HookQueue
from core import parties, plans
from core.clock import ManualClock, utc_now
from core.documents import normalise_document
from core.models import Invoice
from provedor import demo
from provedor.runtime import Runtime
from provedor.settings import load_settings

KEY, TOKEN = "$aact_hmlg_0123456789", "a-token-of-more-than-32-characters"


@given(st.integers(1, 999_999))
def test_a_made_up_cpf_is_valid_and_another_number_is_another(number: int) -> None:
    found = demo.made_up_cpf(number)
    assert normalise_document(found) == found
    assert found[:9] == f"{number:09d}"


def test_the_demos_are_seen_to_be_made_up() -> None:
    assert all(demo.made_up_cpf(number).startswith("000000") for number in range(1, demo.CUSTOMERS + 1))


def test_a_charge_for_a_subscriber_of_the_demo_is_made_at_a_gateway(database_url: str, tmp_path: Path) -> None:
    clock = ManualClock(utc_now())  # the demo's invoices are due around today
    runtime = Runtime(load_settings(data=tmp_path), database_url, "redis://nowhere", clock)
    gateway = asaas.Asaas(KEY, TOKEN, HookQueue(asaas.POLICY, Random(1)), clock)
    provider = make_provider(
        runtime.database, runtime.keyring, clock, "asaas", TOKEN, asaas.app_of(gateway), gateway.queue,
        base_url="https://gateway.test/v3", credentials={"api_key": KEY},
    )  # fmt: skip
    today = clock().date()
    with runtime.database.transaction() as session:
        company = parties.create_company(session, {"name": "Demo", "document": "11.222.333/0001-81"}, demo.ACTOR)
        plan = {"name": "Fibra", "down_kbps": 1000, "up_kbps": 1000, "price_cents": 9990}
        plan_id = plans.create_plan(session, plan, demo.ACTOR).id
        demo._seed_customer(runtime, session, Random(7), 0, company.id, [plan_id])
        (invoice_id,), (account_id,) = session.scalars(select(Invoice.id)), session.scalars(select(GatewayAccount.id))
        due_date = today + timedelta(days=30)
        charges.order_charge(session, invoice_id, account_id, demo.ACTOR, today, no_holiday, due_date=due_date)
    provider.work()
    with runtime.database.transaction() as session:
        assert session.scalars(select(Charge.status)).one() is ChargeStatus.OPEN
    (customer,) = gateway.customers.values()
    assert (customer["cpfCnpj"], customer["email"]) == (demo.made_up_cpf(1), "assinante0@example.com")
    runtime.database.dispose()

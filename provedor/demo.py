"""`provedor demo`: a provider to look at, seeded once, with a simulated BRAS whose subscribers are online."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import typer
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from validate_docbr import CPF

from aaa.bras import BoxOptions, Credential, Runner
from billing_hooks import accounts, contracts
from core import invoices, network, parties, plans, services, tokens
from core.audit import Actor
from core.cycles import cycle_of
from core.keyring import SERVICE_PASSWORD
from core.models.network import Vendor
from core.models.service import Service
from core.models.system import Role
from provedor.node import ROLES, run_node
from provedor.runtime import Runtime
from provedor.settings import load_settings
from provedor.supervisor import Child

CUSTOMERS = 300
NAS_ADDRESS = "127.0.0.1"
NAS_SECRET = "testing123"  # noqa: S105  (the demo's, as FreeRADIUS ships it)
WEBHOOK_SECRET = "whsec_ZGVtb2RlbW9kZW1vZGVtb2RlbW9kZW1vZGVtbw=="  # noqa: S105  (the demo's)
TOKEN_FILE = "token"  # noqa: S105
NAS_NAME = "bras-demo"
ACTOR = Actor("system:demo")
_FIRST = ("Ana", "Bruno", "Carla", "Diego", "Elisa", "Fábio", "Gabriela", "Heitor", "Inês", "João", "Larissa", "Marcos")
_LAST = ("Almeida", "Barbosa", "Cardoso", "Duarte", "Esteves", "Ferreira", "Gomes", "Lima", "Moreira", "Pereira")
_CITIES = (
    ("Campina Grande", "PB", "2504009", "58400-000"),
    ("Sobral", "CE", "2312908", "62010-000"),
    ("Chapecó", "SC", "4204202", "89801-000"),
)
_PLANS = (
    ("Fibra 200", 200_000, 100_000, 8990),
    ("Fibra 500", 500_000, 250_000, 10990),
    ("Fibra 1000", 1_000_000, 500_000, 14990),
)


def run_demo() -> None:
    settings = load_settings(data=Path("demo-data").resolve())
    run_node(settings, list(ROLES), extra=lambda runtime: [Child("bras", lambda ready: _run_bras(runtime, ready))],
             prepare=_prepare)  # fmt: skip


def _prepare(runtime: Runtime) -> None:
    with runtime.database.transaction() as session:
        if not session.scalar(select(func.count()).select_from(Service)):
            _seed(runtime)
    token = (runtime.settings.data / TOKEN_FILE).read_text().strip()
    base = f"http://{runtime.settings.http_host}:{runtime.settings.http_port}"
    typer.echo(f"API      {base}/api/docs\ntoken    {token}\nwebhook  {base}/hooks/standard secret {WEBHOOK_SECRET}")
    typer.echo(f"try      curl -H 'Authorization: Bearer {token}' '{base}/api/v1/sessions?active=true&limit=3'")


def _seed(runtime: Runtime) -> None:
    chance = random.Random(7)  # noqa: S311  (the same demo everywhere)
    with runtime.database.transaction() as session:
        network.create_nas(session, runtime.keyring, {
            "name": NAS_NAME, "address": NAS_ADDRESS, "secret": NAS_SECRET, "vendor": Vendor.MIKROTIK,
            "coa_port": runtime.settings.coa_port}, ACTOR)  # fmt: skip
        accounts.create_account(session, runtime.keyring, "standard", "demo", WEBHOOK_SECRET, ACTOR)
        company = parties.create_company(
            session, {"name": "Provedor Demo Ltda", "document": "11.222.333/0001-81"}, ACTOR
        )
        plan_ids = [
            plans.create_plan(session, {"name": name, "down_kbps": down, "up_kbps": up, "price_cents": price,
                                        "address_pool": "residential"}, ACTOR).id
            for name, down, up, price in _PLANS
        ]  # fmt: skip
        _, secret = tokens.create_token(session, "demo", Role.ADMIN, ACTOR)
        for number in range(CUSTOMERS):
            _seed_customer(runtime, session, chance, number, company.id, plan_ids)
    path = runtime.settings.data / TOKEN_FILE
    path.touch(mode=0o600)
    path.write_text(secret)


def _seed_customer(runtime: Runtime, session: Session, chance: random.Random, number: int, company_id: int,
                   plan_ids: list[int]) -> None:  # fmt: skip
    name = f"{chance.choice(_FIRST)} {chance.choice(_LAST)} {number:03d}"
    city, state, ibge, postal_code = chance.choice(_CITIES)
    address = {"street": "Rua de Exemplo", "number": str(number + 1), "district": "Centro", "city": city,
               "state": state, "ibge_code": ibge, "postal_code": postal_code}  # fmt: skip
    contact = {"role": "main", "name": name, "email": f"assinante{number}@example.com", "language": "pt_BR"}
    person = {"name": name, "kind": "person", "document": made_up_cpf(number + 1)}
    customer = parties.create_customer(session, person, [contact], ACTOR)
    due_day = chance.choice((5, 10, 15, 20))
    contract = parties.create_contract(session, {
        "customer_id": customer.id, "company_id": company_id, "due_day": due_day, "started_on": date(2026, 1, 5),
        }, [], ACTOR)  # fmt: skip
    plan_id = chance.choice(plan_ids)
    services.create_service(session, runtime.keyring, {
        "contract_id": contract.id, "plan_id": plan_id, "kind": "pppoe", "login": f"assinante{number:04d}",
        "password": f"{chance.randrange(10**8):08d}", "address": address,
        }, ACTOR)  # fmt: skip
    today = datetime.now(UTC).date()
    own = {"invoiced_since": cycle_of(due_day, today).end}
    contracts.update_terms(session, contract.id, own, ACTOR, today)
    invoices.create_invoice(session, {
        "contract_id": contract.id, "due_date": today + timedelta(days=chance.randrange(-25, 25)),
        "amount_cents": chance.choice(_PLANS)[3], "description": "Mensalidade"}, ACTOR, runtime.clock())  # fmt: skip


def made_up_cpf(number: int) -> str:
    """Valid, so that gateways take it, and seen to be made up: it begins with zeros. Numbers are 1 to 999,999."""
    candidates = (f"{number:09d}{check_digits:02d}" for check_digits in range(100))
    return next(one for one in candidates if CPF().validate(one))


def _run_bras(runtime: Runtime, ready: Callable[[], None]) -> None:
    from provedor.cli.simulate import run_until_signal  # noqa: PLC0415

    settings = runtime.settings
    with runtime.database.transaction() as session:
        coa_port = network.find_by_address(session, NAS_ADDRESS).coa_port
    runner = Runner(
        BoxOptions(identity=NAS_NAME, address=NAS_ADDRESS, secret=NAS_SECRET.encode(), redial_s=(5.0, 30.0),
                   ramp=50.0, interim_s=60.0),
        _demo_credentials(runtime), server="127.0.0.1", auth_port=settings.radius_auth_port,
        acct_port=settings.radius_acct_port, coa_port=coa_port, control=settings.run_directory / "bras.sock",
    )  # fmt: skip
    ready()
    run_until_signal(runner, lambda _: None)


def _demo_credentials(runtime: Runtime) -> list[Credential]:
    methods = ("pap", "chap", "mschapv2")
    with runtime.database.transaction() as session:
        rows = session.scalars(select(Service).where(Service.login.is_not(None)).order_by(Service.id)).all()
    return [
        Credential(
            row.login or "",
            runtime.keyring.open_text(row.password_encrypted or b"", SERVICE_PASSWORD),
            methods[row.id % 3],
        )
        for row in rows
    ]

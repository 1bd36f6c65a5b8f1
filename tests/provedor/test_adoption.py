"""`provision adopt`: an existing router's subscribers become services here, once, and nothing changes at the router."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from factories import make_nas
from routeros_boxes import PASSWORD, USER, Box, box, do, rows
from sqlalchemy import func, select

from core.access import Access
from core.audit import Actor
from core.database import Database
from core.keyring import ROUTEROS_PASSWORD, SERVICE_PASSWORD, Keyring
from core.models import AuditEntry
from core.models.party import Contract, Customer
from core.models.service import Hold, Plan, Service
from core.routeros import check_routeros
from provedor.imports.adoption import Adoption
from provedor.imports.follow import Outcome
from provisioning.adopt.proposal import Choices
from provisioning.simulators.routeros import Version, load

EXPORT = Path(__file__).parents[1] / "small_provider.rsc"
PERSON = Actor("test:person")


class Setting:
    def __init__(self, database: Database, keyring: Keyring, found: Box) -> None:
        self.database, self.keyring, self.box = database, keyring, found
        values = {
            "name": "bras1", "routeros": check_routeros({"user": USER, "port": found.server.port, "tls": False}),
            "routeros_password_encrypted": keyring.seal(PASSWORD, ROUTEROS_PASSWORD),
        }  # fmt: skip
        with database.transaction() as session:
            self.nas_id = make_nas(session, keyring, **values).id

    def take(self, *, dry_run: bool = False, **choices: Any) -> Outcome:
        adoption = Adoption(self.database, self.keyring, self.nas_id, Choices(**choices))
        proposal = adoption.propose(adoption.read())
        return adoption.take(proposal, PERSON, datetime.now(UTC), due_day=5, dry_run=dry_run)

    def services(self) -> dict[str, Service]:
        with self.database.transaction() as session:
            return {str(one.login): one for one in session.scalars(select(Service))}

    def count(self, model: Any) -> int:
        with self.database.transaction() as session:
            return session.scalar(select(func.count()).select_from(model)) or 0


@pytest.fixture
def setting(database: Database, keyring: Keyring) -> Iterator[Setting]:
    with box(version=Version.V7_18) as one:
        load(one.router, EXPORT.read_text(errors="surrogateescape"), USER)
        yield Setting(database, keyring, one)


def _counts(outcome: Outcome) -> dict[str, dict[str, int]]:
    return {kind: {name: n for name, n in found.items() if n} for kind, found in outcome.counts.items()}


def test_a_dry_run_keeps_nothing_and_says_what_would_be(setting: Setting) -> None:
    outcome = setting.take(dry_run=True)
    assert _counts(outcome) == {
        "login": {"created": 6, "rejected": 4, "left out": 1}, "plan": {"created": 5},
    }  # fmt: skip
    assert (setting.services(), setting.count(Plan), setting.count(Customer)) == ({}, 0, 0)


def test_plans_customers_services_and_holds_are_made_and_the_router_stays_as_it_is(setting: Setting) -> None:
    menus = ("/ppp/secret", "/ppp/profile", "/queue/simple", "/ip/pool", "/ip/firewall/address-list")
    before = {menu: rows(setting.box.router, menu) for menu in menus}
    setting.take(blocked_plan="10M")
    assert {menu: rows(setting.box.router, menu) for menu in menus} == before
    services = setting.services()
    assert services.keys() == {"joao", "maria", "mercado", "escola", "devedor", "ausente", "noc"}
    passwords = {
        login: setting.keyring.open_text(one.password_encrypted or b"", SERVICE_PASSWORD)
        for login, one in services.items()
    }
    assert (passwords["joao"], passwords["maria"]) == ("123456", "yes")
    assert (services["devedor"].access, services["ausente"].access) == (Access.WALLED_GARDEN, Access.BLOCKED)
    assert services["mercado"].ipv4_routes == ["198.51.100.0/28"]
    with setting.database.transaction() as session:
        notes = set(session.scalars(select(Hold.note)))
        assert notes == {"bras1: its profile is bloqueado", "bras1: its secret is disabled"}
        assert set(session.scalars(select(Hold.placed_by))) == {PERSON.name}
        assert set(session.scalars(select(Contract.due_day))) == {5}
        assert "Maria Conceição" in set(session.scalars(select(Customer.name)))
        audited = session.scalars(select(AuditEntry).where(AuditEntry.actor == PERSON.name)).all()
        assert {one.resource for one in audited} >= {"plan", "service", "customer", "contract", "hold"}
        assert "123456" not in repr([one.changes for one in audited])


def test_taken_twice_nothing_new_is_made(setting: Setting) -> None:
    setting.take(blocked_plan="10M")
    numbers = [setting.count(model) for model in (Plan, Service, Customer, Contract, Hold, AuditEntry)]
    outcome = setting.take(blocked_plan="10M")
    assert [setting.count(model) for model in (Plan, Service, Customer, Contract, Hold, AuditEntry)] == numbers
    assert _counts(outcome)["login"]["unchanged"] == 7
    assert _counts(outcome)["plan"] == {"unchanged": 1}  # of the debtor, whose list is called otherwise here


def test_what_changes_at_the_router_before_it_is_ours_is_followed_unless_a_person_changed_it_here(
    setting: Setting,
) -> None:
    setting.take()
    do(setting.box.router, "/ppp/secret/set", _id="joao", password="nova", profile="Fibra 200M")
    do(setting.box.router, "/ppp/secret/set", _id="ausente", disabled="no")
    setting.take()
    services = setting.services()
    assert setting.keyring.open_text(services["joao"].password_encrypted or b"", SERVICE_PASSWORD) == "nova"
    assert services["joao"].plan_id == services["maria"].plan_id
    assert services["ausente"].access is Access.FULL


def test_the_import_that_dies_in_between_goes_on_where_it_was(setting: Setting) -> None:
    adoption = Adoption(setting.database, setting.keyring, setting.nas_id)
    proposal = adoption.propose(adoption.read())

    def dies(parts: Any) -> Iterator[Any]:
        raise RuntimeError("killed")
        yield parts

    with pytest.raises(RuntimeError):
        adoption.take(proposal, PERSON, datetime.now(UTC), due_day=5, dry_run=False, progress=dies)
    assert (setting.count(Plan), setting.count(Service)) == (5, 0)
    assert _counts(setting.take())["login"]["created"] == 6

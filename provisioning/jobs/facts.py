"""All that a plan is made from, and a plan as it is kept: sealed, because a box's rows hold secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from aaa.connection_log.find import rule_of
from aaa.connection_log.models import NatRule
from aaa.connection_log.nat import DeterministicNat
from core.errors import Conflict
from core.keyring import NAS_SECRET, PROVISIONING_PLAN, Keyring
from core.models.network import Nas
from core.network import access_of
from core.policy import WALLED_GARDEN_LIST
from core.routeros import RouterOsAccess
from provisioning.jobs.intents import get_intent, read_intent
from provisioning.jobs.models import OwnedRow, ProvisioningJob
from provisioning.routeros.bras import Intent, Surroundings, desired_of
from provisioning.routeros.client import Row
from provisioning.routeros.planning import Desired, Plan, added, make_plan
from provisioning.routeros.planning.desired import Owned
from provisioning.routeros.schema import Release


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one box, as the database has them."""

    access: RouterOsAccess
    intent: Intent
    radius_secret: str
    coa_port: int
    walled_garden_list: str
    nat_rules: dict[str, DeterministicNat]
    owned: Owned

    def surroundings(self, release: Release) -> Surroundings:
        return Surroundings(release, self.radius_secret, self.coa_port, self.walled_garden_list, self.nat_rules)

    def desired(self, release: Release) -> Desired:
        """Raises InvalidInput."""
        return desired_of(self.intent, self.surroundings(release))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything of a plan. What was approved is what is done, whatever was said of the box since."""

    desired: Desired
    before: dict[str, list[Row]]
    release: Release
    owned: list[tuple[str, list[str], str]]

    @property
    def owned_rows(self) -> Owned:
        return {(menu, tuple(key)): mark for menu, key, mark in self.owned}

    @property
    def plan(self) -> Plan:
        return make_plan(self.desired, self.before, self.release, self.owned_rows)

    def seal(self, keyring: Keyring) -> bytes:
        return keyring.seal(msgspec.json.encode(self), PROVISIONING_PLAN)


def open_prepared(keyring: Keyring, job: ProvisioningJob) -> Prepared:
    assert job.plan_encrypted is not None  # noqa: S101  (it was planned)
    return msgspec.json.decode(keyring.open(job.plan_encrypted, PROVISIONING_PLAN), type=Prepared)


def prepare(facts: Facts, before: dict[str, list[Row]], release: Release, desired: Desired) -> Prepared:
    return Prepared(desired, before, release, [(menu, list(key), mark) for (menu, key), mark in facts.owned.items()])


def read_facts(session: Session, keyring: Keyring, nas_id: int, now: datetime) -> Facts:
    """Raises NotFound, Conflict or SealBroken."""
    nas = session.get_one(Nas, nas_id)
    access = access_of(nas, nas.address.partition("/")[0], keyring)
    if access is None:
        raise Conflict(f"NAS {nas.name} has no access to a RouterOS API: set `routeros`", field="routeros")
    intent = read_intent(get_intent(session, nas_id))
    return Facts(
        access, intent, keyring.open_text(nas.secret_encrypted, NAS_SECRET), nas.coa_port,
        nas.names.get("address_lists", {}).get(WALLED_GARDEN_LIST, WALLED_GARDEN_LIST),
        _nat_rules(session, intent.cgnat, now), _owned(session, nas_id),
    )  # fmt: skip


def keep_owned(
    session: Session, nas_id: int, prepared: Prepared, gone: Sequence[tuple[str, tuple[str, ...]]]
) -> None:  # fmt: skip
    """After a plan was carried out: the rows that it added are ours, those that it removed are not there."""
    rows = [
        {"nas_id": nas_id, "menu": menu, "key": "\n".join(key), "mark": mark}
        for (menu, key), mark in added(prepared.plan, prepared.release).items()
    ]
    for menu, key in gone:
        session.execute(
            delete(OwnedRow).where(OwnedRow.nas_id == nas_id, OwnedRow.menu == menu, OwnedRow.key == "\n".join(key))
        )
    if rows:
        session.execute(insert(OwnedRow).on_conflict_do_nothing(), rows)


def _owned(session: Session, nas_id: int) -> Owned:
    rows = session.execute(select(OwnedRow.menu, OwnedRow.key, OwnedRow.mark).where(OwnedRow.nas_id == nas_id))
    return {(menu, tuple(key.split("\n"))): mark for menu, key, mark in rows}


def _nat_rules(session: Session, names: Sequence[str], now: datetime) -> dict[str, DeterministicNat]:
    """Those in force; a name is given anew to the rule that follows one that ended."""
    in_force = (NatRule.valid_from <= now, or_(NatRule.valid_until.is_(None), NatRule.valid_until > now))
    query = select(NatRule).where(NatRule.name.in_(names), *in_force)
    return {rule.name: rule_of(rule) for rule in session.scalars(query)}

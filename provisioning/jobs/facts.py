"""All that a plan is made from, and a plan as it is kept: sealed, because a box's rows hold secrets."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from aaa.connection_log.find import rule_of
from aaa.connection_log.models import NatRule
from aaa.connection_log.nat import DeterministicNat
from core.errors import Conflict
from core.keyring import NAS_SECRET, OWNED_ROW, PROVISIONING_PLAN, Keyring
from core.models.network import Nas
from core.nas_snmp import kept_secrets
from core.network import access_of
from core.policy import WALLED_GARDEN_LIST
from core.routeros import RouterOsAccess
from provisioning.jobs.intents import get_intent, read_intent
from provisioning.jobs.models import OwnedRow, ProvisioningJob
from provisioning.routeros.bras import Intent, SnmpAgent, Surroundings, desired_of, proof_of
from provisioning.routeros.client import Row
from provisioning.routeros.planning import Desired, Plan, make_plan
from provisioning.routeros.planning.desired import Owned
from provisioning.routeros.probing import NO_PROOF, Proof
from provisioning.routeros.schema import MENUS, Release

#: What a sealed key begins with; none that is not sealed does.
_SEALED: Final = "sealed:"


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
    snmp: SnmpAgent | None

    def surroundings(self, release: Release) -> Surroundings:
        return Surroundings(
            release, self.radius_secret, self.coa_port, self.walled_garden_list, self.nat_rules, self.snmp,
            self.access.user,
        )  # fmt: skip

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
    proof: Proof = NO_PROOF

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
    owned = [(menu, list(key), mark) for (menu, key), mark in facts.owned.items()]
    return Prepared(desired, before, release, owned, proof_of(facts.intent))


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
        _nat_rules(session, intent.cgnat, now), owned_rows(session, keyring, nas_id), _snmp_agent(nas, keyring),
    )  # fmt: skip


def keep_owned(
    session: Session, keyring: Keyring, nas_id: int, new: Owned, gone: Iterable[tuple[str, tuple[str, ...]]]
) -> None:  # fmt: skip
    """After a plan was carried out: the rows that it added are ours, those that it removed are not there."""
    again = [one for one in new if not _is_told(one[0])]  # no two seals are alike
    for menu, key in [*gone, *again]:
        kept = _kept_keys(session, keyring, nas_id, menu, key)
        session.execute(
            delete(OwnedRow).where(OwnedRow.nas_id == nas_id, OwnedRow.menu == menu, OwnedRow.key.in_(kept))
        )
    rows = [
        {"nas_id": nas_id, "menu": menu, "key": _kept_key(keyring, menu, key), "mark": mark}
        for (menu, key), mark in new.items()
    ]
    if rows:
        session.execute(insert(OwnedRow).on_conflict_do_nothing(), rows)


def now_marked(prepared: Prepared) -> list[tuple[str, tuple[str, ...]]]:
    """Rows that a person gave us, and that say so themselves once the plan is carried out."""
    return [
        (menu, key) for menu, key in prepared.owned_rows
        if menu in prepared.desired.menus and "comment" in MENUS[menu].known_to(prepared.release)
    ]  # fmt: skip


def owned_rows(session: Session, keyring: Keyring, nas_id: int) -> Owned:
    """Raises SealBroken."""
    rows = session.execute(select(OwnedRow.menu, OwnedRow.key, OwnedRow.mark).where(OwnedRow.nas_id == nas_id))
    return {(menu, _read_key(keyring, key)): mark for menu, key, mark in rows}


def _is_told(menu: str) -> bool:
    """People may see by what its rows are known."""
    return all(MENUS[menu].fields[name].is_told for name in MENUS[menu].key)


def _kept_key(keyring: Keyring, menu: str, key: Sequence[str]) -> str:
    text = "\n".join(key)
    return text if _is_told(menu) else _SEALED + b64encode(keyring.seal(text, OWNED_ROW)).decode()


def _kept_keys(session: Session, keyring: Keyring, nas_id: int, menu: str, key: Sequence[str]) -> list[str]:
    """How this key is kept, if it is."""
    if _is_told(menu):
        return ["\n".join(key)]
    kept = session.scalars(select(OwnedRow.key).where(OwnedRow.nas_id == nas_id, OwnedRow.menu == menu))
    return [one for one in kept if _read_key(keyring, one) == tuple(key)]


def _read_key(keyring: Keyring, kept: str) -> tuple[str, ...]:
    sealed = kept.removeprefix(_SEALED)
    return tuple((kept if sealed == kept else keyring.open_text(b64decode(sealed), OWNED_ROW)).split("\n"))


def _snmp_agent(nas: Nas, keyring: Keyring) -> SnmpAgent | None:
    if not nas.snmp:
        return None
    secrets = kept_secrets(nas, keyring)
    if nas.snmp["version"] == "v2c":
        return SnmpAgent(secrets["community"])
    return SnmpAgent(
        nas.snmp["user"], nas.snmp.get("auth"), secrets.get("auth", ""), nas.snmp.get("priv"), secrets.get("priv", "")
    )


def _nat_rules(session: Session, names: Sequence[str], now: datetime) -> dict[str, DeterministicNat]:
    """Those in force; a name is given anew to the rule that follows one that ended."""
    in_force = (NatRule.valid_from <= now, or_(NatRule.valid_until.is_(None), NatRule.valid_until > now))
    query = select(NatRule).where(NatRule.name.in_(names), *in_force)
    return {rule.name: rule_of(rule) for rule in session.scalars(query)}

"""An existing RouterOS box taken over: read, proposed, and its subscribers made services, as all imports make them.

Nothing changes at the box by any of this; what becomes ours there, the box's own keepers change afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from aaa.vendors import Local
from core import audit, network
from core.access import HoldEffect
from core.audit import Actor
from core.database import Database
from core.errors import Conflict
from core.keyring import SERVICE_PASSWORD, Keyring
from core.models.imports import ImportedRow
from core.models.network import Nas, PolicyVersion
from core.models.service import Plan, Service, ServiceKind, ServiceStatus
from core.policy import WALLED_GARDEN_LIST, Policy
from core.routeros import RouterOsAccess
from provedor.imports.accounts import Account, Level, Person
from provedor.imports.follow import Follower, Origin, Outcome, chunks, transactions
from provisioning.adopt.found import SECRETS, Found, is_text, read_box
from provisioning.adopt.joining import ServiceHere
from provisioning.adopt.naming import PlansHere
from provisioning.adopt.owning import Owning, rows_named, rows_to_own
from provisioning.adopt.ppp_secret import ProposedHold, ProposedService
from provisioning.adopt.proposal import Choices, Proposal, propose
from provisioning.adopt.terms import PlanTerms
from provisioning.backups.keeper import Backups
from provisioning.backups.models import Why
from provisioning.jobs.alone import alone_at
from provisioning.jobs.facts import keep_owned, read_facts
from provisioning.jobs.intents import check_manageable
from provisioning.local import store
from provisioning.local.owning import check_kept, own
from provisioning.routeros.client import RouterOs, patient_client
from provisioning.routeros.planning.desired import Owned
from provisioning.routeros.reading import read_rows, release_of

_TERMS: Final = tuple(PlanTerms.__dataclass_fields__)


class Busy(Conflict):
    def __init__(self) -> None:
        super().__init__("somebody is at the box at this moment: try again", field="nas_id")


@dataclass(frozen=True, slots=True)
class Adoption:
    """Of the box of one NAS entry."""

    database: Database
    keyring: Keyring
    nas_id: int
    choices: Choices = field(default_factory=Choices)
    connect: Callable[[RouterOsAccess], RouterOs] = patient_client

    def read(self) -> Found:
        """Raises RouterOsError, Conflict or InvalidInput."""
        with self.database.transaction() as session:
            access = access_to(session, self.keyring, self.nas_id)
        client = self.connect(access)
        try:
            return read_box(client)
        finally:
            client.close()

    def propose(self, found: Found) -> Proposal:
        with self.database.transaction() as session:
            nas = network.get_nas(session, self.nas_id)
            logins = [row.get("name", "") for row in found.of(SECRETS)]
            plans = _plans_here(session, _origin(nas))
            return propose(found, nas.name, self.choices, plans, _services_here(session, self.keyring, nas, logins))

    def take(
        self, proposal: Proposal, actor: Actor, now: datetime, *, due_day: int, dry_run: bool,
        progress: Callable[[Sequence[Any]], Iterable[Any]] = lambda chunks: chunks,
    ) -> Outcome:  # fmt: skip
        """Plans, customers, contracts, services and holds. What is here stays, and what was taken before follows the
        router where nobody changed it here."""
        outcome = Outcome()
        _tell_of_left_out(proposal, outcome)
        services = [one for one in proposal.services if not _is_here(one, proposal)]
        if len(services) < len(proposal.services):
            outcome.count("login", "unchanged", len(proposal.services) - len(services))
        with transactions(self.database, dry_run=dry_run) as transaction:
            with transaction() as session:
                follower = Follower(self.keyring, actor, now, due_day, outcome, _origin(self._nas(session)))
                used = {one.plan for one in services}
                wanted = {
                    name: one.terms for name, one in proposal.plans.items() if one.terms is not None and name in used
                }  # fmt: skip
                plan_ids = {**_plan_ids(session, proposal), **follower.follow_plans(session, wanted)}
            for chunk in progress(chunks([_account(one) for one in services])):
                with transaction() as session:
                    follower.follow_services(session, chunk, plan_ids)
        return outcome

    def own(self, logins: Sequence[str] | None, *, differing: bool, actor: Actor, backups: Backups) -> Owning:
        """These logins' rows at the box, or all that are here, become ours by the look that follows; the box is kept as
        it was first. Raises Busy, or Conflict where nobody approved that it is kept."""
        with alone_at(self.database, self.nas_id) as alone:
            if not alone:
                raise Busy
            owning = rows_to_own(self.propose(self.read()), logins, differing=differing)
            if owning.services:
                with self.database.transaction() as session:
                    check_kept(store.get_local(session, self.nas_id))
                backups.take(self.nas_id, Why.BEFORE_CHANGE)
                with self.database.transaction() as session:
                    kept = store.get_local(session, self.nas_id, lock=True)
                    own(session, self.keyring, kept, owning.rows, owning.services, actor)
        return owning

    def own_intent(self, actor: Actor, now: datetime, *, dry_run: bool) -> Owned:
        """Rows of the box that its intent names, and that are not ours: ours for the next plan, which shows what that
        means and changes nothing before it is approved. Raises Busy."""
        with alone_at(self.database, self.nas_id) as alone:
            if not alone:
                raise Busy
            with self.database.transaction() as session:
                known = read_facts(session, self.keyring, self.nas_id, now)
            client = self.connect(known.access)
            try:
                release = release_of(client)
                desired = known.desired(release)
                rows = rows_named(desired, read_rows(client, desired.menus, release), known.owned)
            finally:
                client.close()
            if rows and not dry_run:
                with self.database.transaction() as session:
                    keep_owned(session, self.keyring, self.nas_id, rows, ())
                    audit.record(session, actor, "own", "bras_intent", self.nas_id, {"rows": len(rows)})
        return rows

    def _nas(self, session: Session) -> Nas:
        return network.get_nas(session, self.nas_id)


def access_to(session: Session, keyring: Keyring, nas_id: int) -> RouterOsAccess:
    """Raises NotFound, Conflict or InvalidInput."""
    nas = network.get_nas(session, nas_id)
    check_manageable(nas)
    access = network.access_of(nas, nas.address.partition("/")[0], keyring)
    if access is None:
        raise Conflict(f"NAS {nas.name} has no access to a RouterOS API: set `routeros`", field="routeros")
    return access


def _origin(nas: Nas) -> Origin:
    return Origin(f"routeros:{nas.id}", nas.name, "at the router")


def _plans_here(session: Session, origin: Origin) -> PlansHere:
    taken = select(ImportedRow.key).where(ImportedRow.source == origin.source, ImportedRow.kind == "plan")
    plans = session.scalars(select(Plan)).all()
    terms = {plan.name: {name: getattr(plan, name) for name in _TERMS} for plan in plans}
    return PlansHere(terms, frozenset(session.scalars(taken)))


def _plan_ids(session: Session, proposal: Proposal) -> dict[str, int]:
    """Of plans that a person named."""
    named = [name for name, one in proposal.plans.items() if one.terms is None]
    found = session.execute(select(Plan.name, Plan.id).where(Plan.name.in_(named)))
    return {str(row.name): row.id for row in found}


def _services_here(session: Session, keyring: Keyring, nas: Nas, logins: Sequence[str]) -> Mapping[str, ServiceHere]:
    garden = Local(nas.names, nas.options).name("address_lists", WALLED_GARDEN_LIST)
    query = (
        select(Service, Plan.name, PolicyVersion.body)
        .join(Plan, Plan.id == Service.plan_id)
        .join(PolicyVersion, PolicyVersion.fingerprint == Service.policy_fingerprint)
        .where(Service.status != ServiceStatus.CANCELLED, Service.login.in_(list(filter(_is_storable, logins))))
    )
    return {
        str(service.login): ServiceHere(
            service.id, keyring.open_text(service.password_encrypted or b"", SERVICE_PASSWORD), plan,
            Policy.from_body(body), service.mac_lock, _elsewhere(service, nas), garden,
        )
        for service, plan, body in session.execute(query)
    }  # fmt: skip


def _is_storable(login: str) -> bool:
    return is_text(login) and "\0" not in login


def _elsewhere(service: Service, nas: Nas) -> str:
    if service.kind is not ServiceKind.PPPOE:
        return f"the service here is {service.kind.value}"
    if service.status is not ServiceStatus.ACTIVE:
        return f"the service here is {service.status.value}"
    if service.nas_lock and str(nas.id) not in service.nas_lock:
        return "the service here is locked to another NAS"
    return ""


def _account(one: ProposedService) -> Account:
    hold = one.hold or ProposedHold(HoldEffect.BLOCK, "")
    return Account(
        one.login, one.password, one.plan, one.terms, hold.note, Person(one.customer), one.mac_lock, effect=hold.effect
    )


def _is_here(one: ProposedService, proposal: Proposal) -> bool:
    """As it is at the router, whatever its plan is called: nothing is to follow."""
    joined = proposal.joined.get(one.login)
    return joined is not None and not joined.differences


def _tell_of_left_out(proposal: Proposal, outcome: Outcome) -> None:
    for left in proposal.left_out:
        outcome.tell(Level(left.kind.value), "login", left.login, left.reason, left.fix)
        outcome.count("login", left.kind.value.replace("_", " "))
    for one in proposal.services:
        for lost in one.lost:
            outcome.tell(Level.LEFT_OUT, "login", one.login, lost)
    for login, joined in proposal.joined.items():
        if joined.differences:
            outcome.tell(Level.NOTE, "login", login, f"differs at the router: {'; '.join(joined.differences)}")

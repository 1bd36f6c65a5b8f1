"""What a box's rows are made from, as the database has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, cast, delete, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from aaa.vendors import Local
from core.errors import Conflict
from core.keyring import SERVICE_PASSWORD, Keyring
from core.models.network import Nas, PolicyVersion
from core.models.service import Plan, Service, ServiceKind, ServiceStatus
from core.models.system import Change, ChangeKind
from core.network import access_of
from core.policy import WALLED_GARDEN_LIST, Policy
from core.routeros import RouterOsAccess
from provisioning.jobs.facts import owned_rows
from provisioning.jobs.intents import get_intent, read_intent
from provisioning.local.models import LocalAccess, LocalMode, LocalService
from provisioning.local.profiles import Base
from provisioning.local.rows import Subscriber, only_by_radius
from provisioning.routeros.planning.desired import Owned

#: Services whose rows are brought in step together.
TOGETHER = 500


@dataclass(frozen=True, slots=True)
class BoxFacts:
    nas_id: int
    access: RouterOsAccess
    mode: LocalMode
    approved: bool
    base: Base
    #: Addresses of its RADIUS servers, which it watches in standby.
    servers: tuple[str, ...]
    watch_seconds: int
    disconnects_per_minute: int
    owned: Owned
    #: Where it is left: its rows stay, as its own.
    keep_rows: bool = False


def read_box(session: Session, keyring: Keyring, kept: LocalAccess) -> BoxFacts:
    """Raises NotFound, Conflict or SealBroken."""
    nas = session.get_one(Nas, kept.nas_id)
    access = access_of(nas, nas.address.partition("/")[0], keyring)
    if access is None:
        raise Conflict(f"NAS {nas.name} has no access to a RouterOS API: set `routeros`", field="routeros")
    intent = read_intent(get_intent(session, nas.id))
    if intent.profile is None:
        raise Conflict(
            f"the intent of NAS {nas.name} has no profile, which every session's begins with", field="profile"
        )
    local = Local(nas.names, nas.options)
    base = Base(intent.profile, local, local.name("address_lists", WALLED_GARDEN_LIST))
    servers = tuple(server.address for server in intent.radius.servers) if intent.radius else ()
    return BoxFacts(
        nas.id, access, kept.mode, kept.approved_by is not None, base, servers, kept.watch_seconds,
        nas.disconnects_per_minute, owned_rows(session, keyring, nas.id),
        kept.keep_rows,
    )  # fmt: skip


def read_subscribers(
    session: Session, keyring: Keyring, nas_id: int, service_ids: Collection[int] | None = None
) -> Iterator[Subscriber]:
    """Who may log in at this box; of these services, or all. Raises SealBroken."""
    query = (
        select(
            Service.id, Service.login, Service.password_encrypted, Service.mac_lock, PolicyVersion.body,
            Plan.throttle_up_kbps, Plan.throttle_down_kbps,
        )
        .join(PolicyVersion, PolicyVersion.fingerprint == Service.policy_fingerprint)
        .join(Plan, Plan.id == Service.plan_id)
        .where(*_may_log_in(nas_id))
        .order_by(Service.id)
    )  # fmt: skip
    if service_ids is not None:
        query = query.where(Service.id.in_(service_ids))
    policies: dict[str, Policy] = {}
    for service_id, login, sealed, mac_lock, body, up_kbps, down_kbps in session.execute(query):
        policy = Policy.from_body(body)
        policy = policies.setdefault(policy.fingerprint, policy)
        caller_id = mac_lock[0] if mac_lock is not None and len(mac_lock) == 1 else None
        yield Subscriber(
            service_id, login, keyring.open_text(sealed, SERVICE_PASSWORD), policy, caller_id,
            f"{up_kbps}k/{down_kbps}k", only_by_radius(policy, mac_lock),
        )  # fmt: skip


def boxes_of(session: Session, service_id: int) -> list[int]:
    """Boxes that have its rows, or are to have them. Asked whenever a service changes, so in one statement."""
    has_it = exists().where(LocalService.nas_id == LocalAccess.nas_id, LocalService.service_id == service_id)
    query = (
        select(LocalAccess.nas_id)
        .join(Service, Service.id == service_id)
        .where(LocalAccess.approved_by.is_not(None), or_(_lets_in(LocalAccess.nas_id), has_it))
    )
    return list(session.scalars(query))


def had_here(session: Session, nas_id: int, service_ids: Collection[int]) -> set[int]:
    """Of these services those whose rows the box had."""
    here = (LocalService.nas_id == nas_id, LocalService.service_id.in_(service_ids))
    return set(session.scalars(select(LocalService.service_id).where(*here)))


def keep_services(session: Session, nas_id: int, present: Collection[int], among: Collection[int] | None) -> None:
    """The box has the rows of these, and of no others; `among`: of these services, else of all."""
    gone = delete(LocalService).where(LocalService.nas_id == nas_id, LocalService.service_id.not_in(present))
    session.execute(gone if among is None else gone.where(LocalService.service_id.in_(among)))
    rows = [{"nas_id": nas_id, "service_id": one} for one in present]
    if rows:
        session.execute(insert(LocalService).on_conflict_do_nothing(), rows)


def newest_revision(session: Session) -> int:
    return session.scalar(select(func.max(Change.revision))) or 0


def changed_since(session: Session, revision: int) -> tuple[list[int], int] | None:
    """Services that changed after this revision, the first so many, and up to where; None: nobody knows any more."""
    oldest = session.scalar(select(func.min(Change.revision)))
    if oldest is not None and oldest > revision + 1:
        return None
    newest = newest_revision(session)  # what is committed from here on is for the next time
    query = (
        select(Change.revision, Change.ref_id)
        .where(Change.revision > revision, Change.revision <= newest, Change.kind == ChangeKind.SERVICE)
        .order_by(Change.revision)
        .limit(TOGETHER)
    )
    rows = session.execute(query).all()
    last = max(revision, newest) if len(rows) < TOGETHER else rows[-1].revision
    return _unique(row.ref_id for row in rows), last


def _unique(ids: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(ids))


def _may_log_in(nas_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Service.kind == ServiceKind.PPPOE,
        Service.status == ServiceStatus.ACTIVE,
        Service.login.is_not(None),
        _lets_in(literal(nas_id)),
    )


def _lets_in(nas_id: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """The service's lock does, or there is none, or it is still to be learned (see core.locks)."""
    held = Service.nas_lock.contains(func.to_jsonb(cast(nas_id, Text)))
    return or_(Service.nas_lock.is_(None), Service.nas_lock == [], held)

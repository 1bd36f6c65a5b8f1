"""Giving leases and taking them back, safe with any number of RADIUS nodes.

    take      a service connects and has none: a free address, else one that was never given, becomes held
    revoke    a pool runs low, a service ended or moved: nodes are told (the revision feed) to forget the lease
    confirm   every node's workers stand at that revision or later; a node that has been silent for longer than nodes
              trust their own copy (LEASE_TRUST_S, see aaa.feed) gives none any more and is not waited for
    settle    GRACE later, and when the spools are shipped as far, so that whatever was accepted before has come to
              accounting: still in use by its service, it is held again; else free, and another's at the next `take`

Each step is a short transaction and may be done again; what dies in between is taken up by the next `keep`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm import Session as DatabaseSession

from aaa.feed import LEASE_TRUST_S
from aaa.pools.models import AddressLease, AddressPool, LeaseState, PoolKind, PoolRange, RadiusNode
from aaa.pools.ranges import capacity, nth
from aaa.shipped import shipped_until
from core import changes, events
from core.models.network import Session
from core.models.service import Plan, Service, ServiceStatus
from core.models.system import Change, ChangeKind, Event

#: From a confirmed revocation until its address may be another's: a session that was accepted just before has begun,
#: and its NAS has said so, retransmissions included.
GRACE: Final = timedelta(seconds=120)
#: A node that nobody heard of for this long gives no leases: longer than it trusts its copy, and some for its clock.
SILENT_NODE: Final = timedelta(seconds=LEASE_TRUST_S + 600)
#: Share of a pool that is kept free, as far as there is anybody offline to take from.
RESERVE: Final = 0.02
RESERVE_MAX: Final = 500
#: Rows worked on in one transaction.
BATCH: Final = 1000
_LOCK: Final = "address leases"
_PLAN_POOLS: Final = (Plan.address_pool, Plan.ipv6_pool, Plan.delegated_ipv6_pool)


def take(session: DatabaseSession, pool_name: str, service_id: int, now: datetime) -> str | None:
    """The address that this service holds in the pool from now on (or held already); None where none is free."""
    pool = session.scalar(select(AddressPool).where(AddressPool.name == pool_name).with_for_update())
    service = session.get(Service, service_id)
    if pool is None or service is None or service.status is not ServiceStatus.ACTIVE:
        return None
    lease = session.scalar(_of(pool, AddressLease.service_id == service_id, AddressLease.state == LeaseState.HELD))
    if lease is not None:
        return lease.address
    lease = _free_again(session, pool, service_id) or _never_given(session, pool)
    if lease is None:
        _say_exhausted(session, pool, service_id)
        return None
    lease.service_id, lease.state = service_id, LeaseState.HELD
    lease.given_at = lease.used_at = lease.changed_at = now
    session.add(lease)
    session.flush()
    changes.note(session, ChangeKind.LEASE, lease.id)
    return lease.address


def keep(session: DatabaseSession, now: datetime, *, grace: timedelta = GRACE) -> None:
    """Every step that is due; run by the clock, one at a time."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext(_LOCK)))):
        return
    confirm(session, now)
    settle(session, now, grace=grace)
    revoke_without_claim(session, now)
    for pool in session.scalars(select(AddressPool).order_by(AddressPool.id)).all():
        revoke_for_reserve(session, pool, now)


def confirm(session: DatabaseSession, now: datetime) -> None:
    """Mark revocations that every node knows of.

    A revocation that we can see has its revision, which is not above the greatest that we can see (core.changes).
    """
    newest = session.scalar(select(func.coalesce(func.max(Change.revision), 0)))
    _update_revoked(session, AddressLease.revoked_revision.is_(None), revoked_revision=newest)
    lowest = session.scalar(select(func.min(RadiusNode.revision)).where(RadiusNode.seen_at > now - SILENT_NODE))
    known = () if lowest is None else (AddressLease.revoked_revision <= lowest,)
    _update_revoked(session, AddressLease.confirmed_at.is_(None), *known, confirmed_at=now)


def settle(session: DatabaseSession, now: datetime, *, grace: timedelta = GRACE) -> None:
    """Free what was confirmed long enough ago and is in nobody's use, as far as accounting is stored."""
    heard_until = shipped_until(session, now)
    due = session.scalars(
        select(AddressLease)
        .where(AddressLease.state == LeaseState.REVOKED, AddressLease.confirmed_at <= heard_until - grace)
        .order_by(AddressLease.id)
        .limit(BATCH)
        .with_for_update()
    ).all()
    in_use = _in_use(session, due)
    for lease in due:
        lease.changed_at, lease.revoked_revision, lease.confirmed_at = now, None, None
        if lease.id in in_use:
            _hold_again(session, lease, now)
        else:
            lease.state = LeaseState.FREE
    session.flush()


def revoke_without_claim(session: DatabaseSession, now: datetime) -> None:
    """Leases of services that ended, or whose plan draws from other pools by now; whoever is online keeps his."""
    claim = (
        select(Service.id)
        .join(Plan, Plan.id == Service.plan_id)
        .join(AddressPool, AddressPool.id == AddressLease.pool_id)
        .where(
            Service.id == AddressLease.service_id,
            Service.status == ServiceStatus.ACTIVE,
            # What a NAS calls otherwise cannot be told from here: such a pool's leases go by the reserve alone.
            or_(AddressPool.name.in_(_PLAN_POOLS), ~_named_by_plans()),
        )
        .correlate(AddressLease)
    )
    _revoke(session, now, _idle().where(~exists(claim)).limit(BATCH))


def revoke_for_reserve(session: DatabaseSession, pool: AddressPool, now: datetime) -> None:
    """Where a pool runs low, take back from those who have been offline the longest, as many as the reserve lacks."""
    ranges = session.scalars(select(PoolRange).where(PoolRange.pool_id == pool.id)).all()
    total = sum(capacity(one.network, pool.prefix_length) for one in ranges)
    never_given = total - sum(one.given for one in ranges)
    coming = session.scalar(
        select(func.count()).where(AddressLease.pool_id == pool.id, AddressLease.state != LeaseState.HELD)
    )
    lacking = min(RESERVE_MAX, max(1, round(total * RESERVE))) - never_given - (coming or 0)
    if lacking > 0:
        _revoke(session, now, _idle().where(AddressLease.pool_id == pool.id).limit(min(lacking, BATCH)))


def note_use(session: DatabaseSession, now: datetime) -> None:
    """Leases whose services are online are in use now; run by the clock, for the order in which leases go."""
    session.execute(
        update(AddressLease)
        .where(AddressLease.state == LeaseState.HELD, _online())
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )


def hear_node(session: DatabaseSession, name: str, revision: int, now: datetime) -> None:
    """A node's feeder says how far all its workers are."""
    session.merge(RadiusNode(name=name, revision=revision, seen_at=now))


def _of(pool: AddressPool, *conditions: ColumnElement[bool]) -> Select[AddressLease]:
    return select(AddressLease).where(AddressLease.pool_id == pool.id, *conditions)


def _free_again(session: DatabaseSession, pool: AddressPool, service_id: int) -> AddressLease | None:
    """The one that was its own before, where it is free still; else the one that is free for the longest."""
    return session.scalar(
        _of(pool, AddressLease.state == LeaseState.FREE)
        .order_by((AddressLease.service_id == service_id).is_not(True), AddressLease.changed_at, AddressLease.id)
        .limit(1)
        .with_for_update()
    )


def _never_given(session: DatabaseSession, pool: AddressPool) -> AddressLease | None:
    """The next one that was never given, and is nobody's own (a service's static address)."""
    ranges = session.scalars(select(PoolRange).where(PoolRange.pool_id == pool.id).order_by(PoolRange.id)).all()
    for one in ranges:
        while one.given < capacity(one.network, pool.prefix_length):
            address = nth(one.network, pool.prefix_length, one.given)
            one.given += 1
            if not session.scalar(
                select(exists().where(_static(pool.kind) == address, Service.cancelled_at.is_(None)))
            ):
                return AddressLease(pool_id=pool.id, range_id=one.id, address=address)
    return None


def _static(kind: PoolKind) -> InstrumentedAttribute[str | None]:
    """What of a service is its own where it needs no lease of this kind."""
    own = {PoolKind.IPV4: Service.ipv4_address, PoolKind.IPV6: Service.ipv6_prefix}
    return own.get(kind, Service.delegated_ipv6_prefix)


def _hold_again(session: DatabaseSession, lease: AddressLease, now: datetime) -> None:
    """A session of its service began while it was being taken back. A newer lease of that service gives way."""
    lease.state, lease.used_at = LeaseState.REVOKED, now
    session.flush()
    newer = session.scalar(
        select(AddressLease).where(
            AddressLease.pool_id == lease.pool_id,
            AddressLease.service_id == lease.service_id,
            AddressLease.state == LeaseState.HELD,
        )
    )
    if newer is not None:
        newer.state, newer.changed_at = LeaseState.REVOKED, now
        session.flush()
        changes.note(session, ChangeKind.LEASE, newer.id)
    lease.state = LeaseState.HELD
    session.flush()
    changes.note(session, ChangeKind.LEASE, lease.id)


def _idle() -> Select[int]:
    """Held leases of services that are not online, the longest unused first."""
    return (
        select(AddressLease.id)
        .where(AddressLease.state == LeaseState.HELD, ~_online())
        .order_by(AddressLease.used_at, AddressLease.id)
        .with_for_update(skip_locked=True, of=AddressLease)
    )


def _online() -> ColumnElement[bool]:
    live = select(Session.id).where(Session.service_id == AddressLease.service_id, Session.stopped_at.is_(None))
    return exists(live.correlate(AddressLease))


def _named_by_plans() -> ColumnElement[bool]:
    named = or_(*(AddressPool.name == field for field in _PLAN_POOLS))
    return exists(select(Plan.id).where(named).correlate(AddressPool))


def _revoke(session: DatabaseSession, now: datetime, chosen: Select[int]) -> None:
    lease_ids = session.scalars(chosen).all()
    session.execute(
        update(AddressLease)
        .where(AddressLease.id.in_(lease_ids))
        .values(state=LeaseState.REVOKED, changed_at=now, revoked_revision=None, confirmed_at=None)
        .execution_options(synchronize_session=False)
    )
    for lease_id in lease_ids:
        changes.note(session, ChangeKind.LEASE, lease_id)


def _update_revoked(session: DatabaseSession, *conditions: ColumnElement[bool], **values: object) -> None:
    session.execute(
        update(AddressLease)
        .where(AddressLease.state == LeaseState.REVOKED, *conditions)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _in_use(session: DatabaseSession, leases: Sequence[AddressLease]) -> set[int]:
    """Those of them that a live session of their service has."""
    addresses = (Session.framed_ipv4, Session.framed_ipv6_prefix, Session.delegated_ipv6_prefix)
    found = select(AddressLease.id).join(
        Session,
        (Session.service_id == AddressLease.service_id)
        & Session.stopped_at.is_(None)
        & or_(*(address == AddressLease.address for address in addresses)),
    )
    return set(session.scalars(found.where(AddressLease.id.in_([lease.id for lease in leases]))))


def _say_exhausted(session: DatabaseSession, pool: AddressPool, service_id: int) -> None:
    """Once an hour: every login of everybody who is left out would say it again."""
    recent = select(
        exists().where(
            Event.type == "pool.exhausted",
            Event.subject == f"address_pool:{pool.id}",
            Event.at > func.now() - timedelta(hours=1),
        )
    )
    if not session.scalar(recent):
        events.record(session, "pool.exhausted", "address_pool", pool.id, name=pool.name, service_id=service_id)

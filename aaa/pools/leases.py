"""Taking leases back from those who do not use them, safe with any number of RADIUS nodes.

    take      a service connects and has none: one that is free becomes held, or that was never given (see `taking`);
              where there is none, it waits
    revoke    services wait, a pool runs low, a service ended or moved: nodes are told (the revision feed) to forget
              the lease
    confirm   every node's workers stand at that revision or later; a node that is silent is waited for (see `nodes`)
    settle    GRACE later, and when every node's spools are shipped as far, so that whatever was accepted before has
              come to accounting: still in use by its service, it is held again; else free, and another's at the next
              `take`

Each step is a short transaction and may be done again; what dies in between is taken up by the next `keep`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session as DatabaseSession

from aaa.pools import nodes
from aaa.pools.models import AddressLease, AddressPool, LeaseState, LeaseWait, PoolKind, PoolRange
from aaa.pools.ranges import capacity
from aaa.pools.taking import PATIENCE, is_static
from core import changes
from core.models.network import Session, SessionKind
from core.models.service import Plan, Service, ServiceStatus
from core.models.system import Change, ChangeKind

#: From a confirmed revocation until its address may be another's: a session that was accepted just before has begun,
#: and its NAS has said so, retransmissions included (RFC 5080's duplicates, too: an accept is repeated as it was).
GRACE: Final = timedelta(seconds=120)
#: Share of a pool that is kept free, as far as there is anybody offline to take from.
RESERVE: Final = 0.02
RESERVE_MAX: Final = 500
#: Rows worked on in one transaction.
BATCH: Final = 1000
_LOCK: Final = "address leases"
_PLAN_POOLS: Final = (Plan.address_pool, Plan.ipv6_pool, Plan.delegated_ipv6_pool)


def keep(session: DatabaseSession, now: datetime, *, grace: timedelta = GRACE) -> None:
    """Every step that is due; run by the clock, one at a time."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext(_LOCK)))):
        return
    _lock_pools(session)
    confirm(session, now)
    settle(session, now, grace=grace)
    revoke_without_claim(session, now)
    session.execute(delete(LeaseWait).where(LeaseWait.asked_at < now - PATIENCE))
    for pool in session.scalars(select(AddressPool).order_by(AddressPool.id)).all():
        revoke_for_reserve(session, pool, now)


def confirm(session: DatabaseSession, now: datetime) -> None:
    """Mark revocations that every node knows of.

    A revocation that we can see has its revision, which is not above the greatest that we can see (core.changes).
    """
    newest = session.scalar(select(func.coalesce(func.max(Change.revision), 0)))
    _update_revoked(session, AddressLease.revoked_revision.is_(None), revoked_revision=newest)
    lowest = nodes.lowest_revision(session)
    known = () if lowest is None else (AddressLease.revoked_revision <= lowest,)
    _update_revoked(session, AddressLease.confirmed_at.is_(None), *known, confirmed_at=now)


def settle(session: DatabaseSession, now: datetime, *, grace: timedelta = GRACE) -> None:
    """Free what was confirmed long enough ago and is in nobody's use, as far as accounting is stored."""
    heard_until = nodes.stored_until(session, now)
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
    """Leases of services that ended, or whose plan draws from other pools by now, and of addresses that became some
    service's own; whoever is online keeps his."""
    claim = (
        select(Service.id)
        .join(Plan, Plan.id == Service.plan_id)
        .join(AddressPool, AddressPool.id == AddressLease.pool_id)
        .where(
            Service.id == AddressLease.service_id,
            Service.status == ServiceStatus.ACTIVE,
            # What a NAS calls otherwise cannot be told from here: such a pool's leases go by the reserve alone.
            or_(AddressPool.name.in_(_PLAN_POOLS), ~_named_by_plans()),
            ~or_(*(and_(AddressPool.kind == kind, is_static(kind, AddressLease.address)) for kind in PoolKind)),
        )
        .correlate(AddressLease)
    )
    _revoke(session, now, _idle().where(~exists(claim)).limit(BATCH))


def revoke_for_reserve(session: DatabaseSession, pool: AddressPool, now: datetime) -> None:
    """Where a pool runs low, take back from those who have been offline the longest: as many as wait for one, and as
    the reserve lacks."""
    ranges = session.scalars(select(PoolRange).where(PoolRange.pool_id == pool.id)).all()
    total = sum(capacity(one.network, pool.prefix_length) for one in ranges)
    never_given = total - sum(one.given + one.ahead for one in ranges)
    coming = session.scalar(
        select(func.count()).where(AddressLease.pool_id == pool.id, AddressLease.state != LeaseState.HELD)
    )
    waiting = session.scalar(select(func.count()).where(LeaseWait.pool_id == pool.id))
    wanted = (waiting or 0) + min(RESERVE_MAX, max(1, round(total * RESERVE)))
    lacking = wanted - never_given - (coming or 0)
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


def _of(pool: AddressPool, *conditions: ColumnElement[bool]) -> Select[AddressLease]:
    return select(AddressLease).where(AddressLease.pool_id == pool.id, *conditions)


def _lock_pools(session: DatabaseSession) -> None:
    """Nobody takes a lease meanwhile. In the order in which a feeder's questions lock them."""
    for name in sorted(session.scalars(select(AddressPool.name))):
        session.scalar(select(AddressPool.id).where(AddressPool.name == name).with_for_update())


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
    """Those of them that a live session of their service has, or may have: many a box tells no delegated prefix."""
    told = case(
        (AddressPool.kind == PoolKind.IPV4, Session.framed_ipv4),
        (AddressPool.kind == PoolKind.IPV6, Session.framed_ipv6_prefix),
        else_=Session.delegated_ipv6_prefix,
    )
    found = (
        select(AddressLease.id)
        .join(AddressPool, AddressPool.id == AddressLease.pool_id)
        .join(Session, (Session.service_id == AddressLease.service_id) & Session.stopped_at.is_(None))
        .where(or_(told == AddressLease.address, told.is_(None) & (Session.kind == SessionKind.LINE)))
    )
    return set(session.scalars(found.where(AddressLease.id.in_([lease.id for lease in leases]))))

"""Giving leases and taking them back, safe with any number of RADIUS nodes.

    take      a service connects and has none: what is being taken back from it becomes held again, else a free
              address, else one that was never given; where there is none, it is written down as waiting
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

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.orm import Session as DatabaseSession

from aaa.pools import nodes
from aaa.pools.models import AddressLease, AddressPool, LeaseState, LeaseWait, PoolKind, PoolRange
from aaa.pools.ranges import capacity, nth
from core import changes, events
from core.models.network import Session, SessionKind
from core.models.service import Plan, Service, ServiceStatus
from core.models.system import Change, ChangeKind, Event

#: From a confirmed revocation until its address may be another's: a session that was accepted just before has begun,
#: and its NAS has said so, retransmissions included (RFC 5080's duplicates, too: an accept is repeated as it was).
GRACE: Final = timedelta(seconds=120)
#: Share of a pool that is kept free, as far as there is anybody offline to take from.
RESERVE: Final = 0.02
RESERVE_MAX: Final = 500
#: Who was refused and has not asked again for this long does not wait any more.
PATIENCE: Final = timedelta(seconds=300)
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
    lease = _its_own(session, pool, service_id) or _free_again(session, pool, service_id) or _never_given(session, pool)
    if lease is None:
        _wait(session, pool, service_id, now)
        _say_exhausted(session, pool, service_id)
        return None
    session.execute(delete(LeaseWait).where(LeaseWait.pool_id == pool.id, LeaseWait.service_id == service_id))
    lease.service_id, lease.state = service_id, LeaseState.HELD
    lease.given_at = lease.used_at = lease.changed_at = now
    lease.revoked_revision = lease.confirmed_at = None
    session.add(lease)
    session.flush()
    changes.note(session, ChangeKind.LEASE, lease.id)
    return lease.address


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
            ~or_(*(and_(AddressPool.kind == kind, _is_static(kind, AddressLease.address)) for kind in PoolKind)),
        )
        .correlate(AddressLease)
    )
    _revoke(session, now, _idle().where(~exists(claim)).limit(BATCH))


def revoke_for_reserve(session: DatabaseSession, pool: AddressPool, now: datetime) -> None:
    """Where a pool runs low, take back from those who have been offline the longest: as many as wait for one, and as
    the reserve lacks."""
    ranges = session.scalars(select(PoolRange).where(PoolRange.pool_id == pool.id)).all()
    total = sum(capacity(one.network, pool.prefix_length) for one in ranges)
    never_given = total - sum(one.given for one in ranges)
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


def _its_own(session: DatabaseSession, pool: AddressPool, service_id: int) -> AddressLease | None:
    """The one that is being taken back from it: nobody else has had it yet."""
    return session.scalar(
        _of(pool, AddressLease.service_id == service_id, AddressLease.state == LeaseState.REVOKED)
        .order_by(AddressLease.changed_at.desc(), AddressLease.id)
        .limit(1)
        .with_for_update()
    )


def _free_again(session: DatabaseSession, pool: AddressPool, service_id: int) -> AddressLease | None:
    """The one that was its own before, where it is free still; else the one that is free for the longest."""
    return session.scalar(
        _of(pool, AddressLease.state == LeaseState.FREE, ~_is_static(pool.kind, AddressLease.address))
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
            if not session.scalar(select(_is_static(pool.kind, address))):
                return AddressLease(pool_id=pool.id, range_id=one.id, address=address)
    return None


def _is_static(kind: PoolKind, address: str | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """It is some service's own, which needs no lease of this kind."""
    owner = aliased(Service, name="owner")
    own = {PoolKind.IPV4: owner.ipv4_address, PoolKind.IPV6: owner.ipv6_prefix}
    # A literal, as in the condition of the index: a parameter would not be taken for it.
    alive = text("owner.status <> 'cancelled'")
    return exists(select(owner.id).where(own.get(kind, owner.delegated_ipv6_prefix) == address, alive))


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


def _wait(session: DatabaseSession, pool: AddressPool, service_id: int, now: datetime) -> None:
    """Whoever asks again after a moment is still waiting; it is written down now and then."""
    asked = insert(LeaseWait).values(pool_id=pool.id, service_id=service_id, asked_at=now)
    session.execute(
        asked.on_conflict_do_update(
            index_elements=[LeaseWait.pool_id, LeaseWait.service_id],
            set_={"asked_at": now},
            where=LeaseWait.asked_at < now - PATIENCE / 10,
        )
    )


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

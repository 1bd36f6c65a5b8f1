"""Who is given which address: many services at once, for after a power cut all of them ask in the same seconds.

Each pool is locked while its leases are given, so that two nodes never give the same, and everything is asked of the
database a few times for all who ask, not for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.orm import Session as DatabaseSession

from aaa.pools.models import AddressLease, AddressPool, LeaseState, LeaseWait, PoolKind, PoolRange
from aaa.pools.ranges import capacity, nth
from core import changes, events
from core.models.service import Service, ServiceStatus
from core.models.system import ChangeKind, Event

#: Who was refused and has not asked again for this long does not wait any more.
PATIENCE: Final = timedelta(seconds=300)


def take(session: DatabaseSession, pool_name: str, service_ids: Iterable[int], now: datetime) -> dict[int, str]:
    """The address in the pool of each service that has one from now on (or had one already).

    In this order: what is being taken back from it, for nobody else has had it yet; what was its own before, where it
    is free; what is free for the longest; what was never given. Who finds none is written down as waiting.
    """
    pool = session.scalar(select(AddressPool).where(AddressPool.name == pool_name).with_for_update())
    if pool is None:
        return {}
    asking = _active(session, service_ids)
    given = {lease.service_id: lease for lease in _of_services(session, pool, LeaseState.HELD, asking)}
    leases: dict[int, AddressLease] = {}
    for state in (LeaseState.REVOKED, LeaseState.FREE):
        left = [one for one in asking if one not in given and one not in leases]
        leases |= {lease.service_id: lease for lease in _of_services(session, pool, state, left) if lease.service_id}
    left = [one for one in asking if one not in given and one not in leases]
    others = _free(session, pool, len(left), leases.values())
    others += _never_given(session, pool, len(left) - len(others))
    leases |= dict(zip(left, others, strict=False))
    _give(session, leases, now)
    _wait(session, pool, left[len(others) :], now)
    session.execute(delete(LeaseWait).where(LeaseWait.pool_id == pool.id, LeaseWait.service_id.in_(list(leases))))
    return {one: lease.address for one, lease in (given | leases).items() if one is not None}


def is_static(kind: PoolKind, address: str | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """It is some service's own, which needs no lease of this kind."""
    owner, own = _owned(kind)
    return exists(select(owner.id).where(own == address, _ALIVE))


def _active(session: DatabaseSession, service_ids: Iterable[int]) -> list[int]:
    asked = list(dict.fromkeys(service_ids))
    active = select(Service.id).where(Service.id.in_(asked), Service.status == ServiceStatus.ACTIVE)
    found = set(session.scalars(active))
    return [one for one in asked if one in found]


def _of_services(
    session: DatabaseSession, pool: AddressPool, state: LeaseState, service_ids: Collection[int]
) -> Sequence[AddressLease]:
    """Their leases in this state; of several of one service, the latest comes last."""
    if not service_ids:
        return []
    query = _in_state(pool, state).where(AddressLease.service_id.in_(service_ids))
    query = query.order_by(AddressLease.changed_at, AddressLease.id)
    return session.scalars(query if state is LeaseState.HELD else query.with_for_update()).all()


def _free(
    session: DatabaseSession, pool: AddressPool, count: int, besides: Iterable[AddressLease]
) -> list[AddressLease]:
    """Those that are free for the longest."""
    if not count:
        return []
    query = _in_state(pool, LeaseState.FREE).where(AddressLease.id.not_in([one.id for one in besides]))
    return list(
        session.scalars(query.order_by(AddressLease.changed_at, AddressLease.id).limit(count).with_for_update())
    )


def _in_state(pool: AddressPool, state: LeaseState) -> Select[AddressLease]:
    query = select(AddressLease).where(AddressLease.pool_id == pool.id, AddressLease.state == state)
    return query.where(~is_static(pool.kind, AddressLease.address)) if state is LeaseState.FREE else query


def _never_given(session: DatabaseSession, pool: AddressPool, count: int) -> list[AddressLease]:
    """The next ones that never were, and are nobody's own (a service's static address, or adopted)."""
    found: list[AddressLease] = []
    if not count:
        return found
    for one in session.scalars(select(PoolRange).where(PoolRange.pool_id == pool.id).order_by(PoolRange.id)).all():
        total = capacity(one.network, pool.prefix_length)
        while len(found) < count and one.given < total:
            numbers = range(one.given, min(total, one.given + count - len(found)))
            one.given = numbers.stop
            addresses = [nth(one.network, pool.prefix_length, number) for number in numbers]
            adopted = set(session.scalars(_leased(pool, addresses)))
            one.ahead -= len(adopted)
            others = _static(session, pool.kind, addresses) | adopted
            found += [
                AddressLease(pool_id=pool.id, range_id=one.id, address=address)
                for address in addresses
                if address not in others
            ]
    return found


def _leased(pool: AddressPool, addresses: Sequence[str]) -> Select[str]:
    return select(AddressLease.address).where(AddressLease.pool_id == pool.id, AddressLease.address.in_(addresses))


def _static(session: DatabaseSession, kind: PoolKind, addresses: Sequence[str]) -> set[str | None]:
    _, own = _owned(kind)
    return set(session.scalars(select(own).where(own.in_(addresses), _ALIVE)))


def _owned(kind: PoolKind) -> tuple[type[Service], InstrumentedAttribute[str | None]]:
    owner = aliased(Service, name="owner")
    own = {PoolKind.IPV4: owner.ipv4_address, PoolKind.IPV6: owner.ipv6_prefix}
    return owner, own.get(kind, owner.delegated_ipv6_prefix)


#: A literal, as in the condition of the index: a parameter would not be taken for it.
_ALIVE: Final = text("owner.status <> 'cancelled'")


def _give(session: DatabaseSession, leases: dict[int, AddressLease], now: datetime) -> None:
    for service_id, lease in leases.items():
        lease.service_id, lease.state = service_id, LeaseState.HELD
        lease.given_at = lease.used_at = lease.changed_at = now
        lease.revoked_revision = lease.confirmed_at = None
    session.add_all(leases.values())
    session.flush()
    for lease in leases.values():
        changes.note(session, ChangeKind.LEASE, lease.id)


def _wait(session: DatabaseSession, pool: AddressPool, service_ids: Sequence[int], now: datetime) -> None:
    """Whoever asks again after a moment is still waiting; it is written down now and then."""
    if not service_ids:
        return
    asked = insert(LeaseWait).values([{"pool_id": pool.id, "service_id": one, "asked_at": now} for one in service_ids])
    session.execute(
        asked.on_conflict_do_update(
            index_elements=[LeaseWait.pool_id, LeaseWait.service_id],
            set_={"asked_at": now},
            where=LeaseWait.asked_at < now - PATIENCE / 10,
        )
    )
    _say_exhausted(session, pool, service_ids[0])


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

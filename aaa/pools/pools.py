"""Pools as operators edit them and look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.pools.adoption import adopt
from aaa.pools.models import AddressLease, AddressPool, LeaseState, LeaseWait, PoolKind, PoolRange
from aaa.pools.ranges import capacity, check_apart, check_range
from core import audit, changes, events
from core.audit import Actor
from core.edits import apply_changes, flush_unique, touch
from core.errors import Conflict, InvalidInput, NotFound
from core.logins import check_name
from core.models.network import Session
from core.models.system import ChangeKind

#: Of a prefix that a line is given, and of one for what is behind it.
DEFAULT_PREFIX_LENGTH = {PoolKind.IPV4: 32, PoolKind.IPV6: 64, PoolKind.DELEGATED: 56}
_UNIQUE = {"uq_address_pool_name": "name", "uq_pool_range_network": "ranges"}


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a pool is given. `held` may be offline; `online` are services that have one and a session now."""

    capacity: int
    held: int
    online: int
    #: Taken back, while nodes are being told and sessions may still turn up.
    revoked: int
    #: Services that found none free, and still ask.
    waiting: int

    @property
    def free(self) -> int:
        return self.capacity - self.held - self.revoked


def create_pool(session: DatabaseSession, values: Mapping[str, Any], actor: Actor) -> AddressPool:
    kind = PoolKind(values["kind"])
    length = values.get("prefix_length") or DEFAULT_PREFIX_LENGTH[kind]
    if kind is PoolKind.IPV4 and length != 32:
        raise InvalidInput("an IPv4 pool gives single addresses", field="prefix_length")
    pool = AddressPool(name=check_name(values["name"], field="name"), kind=kind, prefix_length=length)
    session.add(pool)
    flush_unique(session, _UNIQUE)
    _add_ranges(session, pool, values["ranges"])
    changes.note(session, ChangeKind.POOL, pool.id)
    audit.record(session, actor, "create", "address_pool", pool.id, dict(values))
    events.record(session, "address_pool.created", "address_pool", pool.id)
    return pool


def get_pool(session: DatabaseSession, pool_id: int) -> AddressPool:
    pool = session.get(AddressPool, pool_id)
    if pool is None:
        raise NotFound("address pool", pool_id)
    return pool


def update_pool(session: DatabaseSession, pool: AddressPool, values: Mapping[str, Any], actor: Actor) -> AddressPool:
    """Its name, and its ranges as a whole: one that is left out must have nothing given."""
    plain = dict(values)
    wanted = plain.pop("ranges", None)
    if "name" in plain:
        check_name(plain["name"], field="name")
    changed = apply_changes(pool, plain)
    if wanted is not None:
        changed["ranges"] = _replace_ranges(session, pool, wanted)
        touch(pool)
    flush_unique(session, _UNIQUE)
    changes.note(session, ChangeKind.POOL, pool.id)
    audit.record(session, actor, "update", "address_pool", pool.id, changed)
    events.record(session, "address_pool.changed", "address_pool", pool.id)
    return pool


def delete_pool(session: DatabaseSession, pool: AddressPool, actor: Actor) -> None:
    """Raises Conflict while anything is given out of it."""
    _check_nothing_given(session, AddressLease.pool_id == pool.id, pool.name)
    audit.record(session, actor, "delete", "address_pool", pool.id, {"name": pool.name})
    events.record(session, "address_pool.deleted", "address_pool", pool.id)
    changes.note(session, ChangeKind.POOL, pool.id)
    session.delete(pool)
    session.flush()


def ranges_of(session: DatabaseSession, pool: AddressPool) -> Sequence[PoolRange]:
    return session.scalars(select(PoolRange).where(PoolRange.pool_id == pool.id).order_by(PoolRange.id)).all()


def use_of(session: DatabaseSession, pool: AddressPool) -> Use:
    by_state = select(AddressLease.state, func.count().label("held")).where(AddressLease.pool_id == pool.id)
    counts = {row.state: row.held for row in session.execute(by_state.group_by(AddressLease.state))}
    live = exists().where(Session.service_id == AddressLease.service_id, Session.stopped_at.is_(None))
    online = select(func.count(AddressLease.service_id.distinct())).where(
        AddressLease.pool_id == pool.id, AddressLease.state != LeaseState.FREE, live
    )
    waiting = select(func.count()).where(LeaseWait.pool_id == pool.id)
    total = sum(capacity(one.network, pool.prefix_length) for one in ranges_of(session, pool))
    held, revoked = counts.get(LeaseState.HELD, 0), counts.get(LeaseState.REVOKED, 0)
    return Use(total, held, session.scalar(online) or 0, revoked, session.scalar(waiting) or 0)


def _add_ranges(session: DatabaseSession, pool: AddressPool, networks: Sequence[str]) -> None:
    ipv6 = pool.kind is not PoolKind.IPV4
    checked = [check_range(one, prefix_length=pool.prefix_length, ipv6=ipv6) for one in networks]
    check_apart(checked, session.scalars(select(PoolRange.network)))
    session.add_all(PoolRange(pool_id=pool.id, network=network) for network in checked)
    flush_unique(session, _UNIQUE)
    adopt(session)


def _replace_ranges(session: DatabaseSession, pool: AddressPool, wanted: Sequence[str]) -> list[str]:
    ipv6 = pool.kind is not PoolKind.IPV4
    checked = [check_range(one, prefix_length=pool.prefix_length, ipv6=ipv6) for one in wanted]
    known = {one.network: one for one in ranges_of(session, pool)}
    for network in known.keys() - set(checked):
        _check_nothing_given(session, AddressLease.range_id == known[network].id, network)
        session.delete(known[network])
    session.flush()
    _add_ranges(session, pool, [network for network in checked if network not in known])
    return checked


def _check_nothing_given(session: DatabaseSession, condition: Any, name: str) -> None:  # noqa: ANN401
    given = select(func.count()).where(condition, AddressLease.state != LeaseState.FREE)
    count = session.scalar(given) or 0
    if count:
        raise Conflict(f"{count} of {name} are given to services; move them to another plan first", field="ranges")

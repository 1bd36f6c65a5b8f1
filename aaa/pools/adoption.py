"""Addresses out of our pools that somebody has already: of sessions from before it was us who gave them.

Such an address becomes the lease of the service that has it. So it is given to nobody else while the session lasts,
and is that service's own at its next login, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from aaa.pools.models import AddressLease, AddressPool, LeaseState, PoolRange
from aaa.pools.ranges import number_of
from core import changes
from core.models.system import ChangeKind


class Holder(NamedTuple):
    #: As accounting tells it: an address, or a prefix with its length.
    address: str
    service_id: int | None
    login: str


class Became(StrEnum):
    LEASED = "leased"
    #: It was that service's lease already.
    KNOWN = "known"
    #: Another service holds it, or it is being taken back.
    TAKEN = "taken"
    #: The service holds another address of this pool.
    SECOND = "second"
    #: Whoever has it is no service here.
    STRANGER = "stranger"


class Adoption(NamedTuple):
    holder: Holder
    pool: str
    became: Became


def adopt(session: DatabaseSession, holders: Iterable[Holder], now: datetime) -> list[Adoption]:
    """What became of those addresses that are out of our pools; of all others nothing is said."""
    places = _Places(session)
    found = [(holder, *place) for holder in holders if (place := places.of(holder.address)) is not None]
    names = _lock(session, {one.pool_id for _, one, _ in found})
    leases = _Leases(session, [holder for holder, _, _ in found])
    adoptions = [
        Adoption(holder, names[one.pool_id], leases.adopt(holder, one, number, now)) for holder, one, number in found
    ]
    session.flush()
    for lease in leases.made:
        changes.note(session, ChangeKind.LEASE, lease.id)
    return adoptions


def _lock(session: DatabaseSession, pool_ids: Collection[int]) -> dict[int, str]:
    """Names of these pools, in whose order everybody locks them; their ranges are as they are under the lock."""
    names = {pool.id: pool.name for pool in session.scalars(select(AddressPool).where(AddressPool.id.in_(pool_ids)))}
    for pool_id in sorted(names, key=lambda one: names[one]):
        session.scalar(select(AddressPool.id).where(AddressPool.id == pool_id).with_for_update())
    session.scalars(
        select(PoolRange).where(PoolRange.pool_id.in_(names)).execution_options(populate_existing=True)
    ).all()
    return names


class _Places:
    """Ranges of all pools, and where in them an address stands."""

    def __init__(self, session: DatabaseSession) -> None:
        lengths = {pool.id: pool.prefix_length for pool in session.scalars(select(AddressPool))}
        self._ranges = [
            (one, lengths[one.pool_id]) for one in session.scalars(select(PoolRange).order_by(PoolRange.id))
        ]

    def of(self, address: str) -> tuple[PoolRange, int] | None:
        for one, length in self._ranges:
            number = number_of(one.network, length, address)
            if number is not None:
                return one, number
        return None


class _Leases:
    def __init__(self, session: DatabaseSession, holders: Sequence[Holder]) -> None:
        self._session = session
        self.made: list[AddressLease] = []
        services = {holder.service_id for holder in holders}
        addresses = {holder.address for holder in holders}
        self._by_address = {
            (lease.pool_id, lease.address): lease
            for lease in session.scalars(select(AddressLease).where(AddressLease.address.in_(addresses)))
        }
        held = select(AddressLease.pool_id, AddressLease.service_id).where(
            AddressLease.service_id.in_(services), AddressLease.state == LeaseState.HELD
        )
        self._holding = {(row.pool_id, row.service_id) for row in session.execute(held)}

    def adopt(self, holder: Holder, one: PoolRange, number: int, now: datetime) -> Became:
        if holder.service_id is None:
            return Became.STRANGER
        lease = self._by_address.get((one.pool_id, holder.address))
        its_own = lease is not None and lease.service_id == holder.service_id
        if lease is not None and its_own and lease.state is LeaseState.HELD:
            return Became.KNOWN
        if lease is not None and not its_own and lease.state is not LeaseState.FREE:
            return Became.TAKEN
        if (one.pool_id, holder.service_id) in self._holding:
            return Became.SECOND
        if lease is None:
            lease = AddressLease(pool_id=one.pool_id, range_id=one.id, address=holder.address)
            self._by_address[one.pool_id, holder.address] = lease
            if number >= one.given:
                one.ahead += 1
        lease.service_id, lease.state = holder.service_id, LeaseState.HELD
        lease.given_at = lease.used_at = lease.changed_at = now
        lease.revoked_revision = lease.confirmed_at = None
        self._session.add(lease)
        self._holding.add((one.pool_id, holder.service_id))
        self.made.append(lease)
        return Became.LEASED

"""Address pools of our own, what is given out of them, and how much is left."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import select

from aaa.pools import pools
from aaa.pools.models import AddressLease, AddressPool, LeaseState, PoolKind
from api.context import Db, Filter, IfMatch, Paged, Who, check_version, list_page, matching, parse_id, tagged
from api.idempotency import OnceOnly
from api.schemas import Input, Name, Number, Output, PageOf, Text

pool_routes = APIRouter(prefix="/address-pools", tags=["address-pools"])

Ranges = Annotated[list[Text], Field(min_length=1, max_length=200)]


class PoolIn(Input):
    """`name` is what plans say in address_pool, ipv6_pool or delegated_ipv6_pool, or what a NAS calls that."""

    name: Name
    kind: PoolKind
    #: Of each prefix that is given; 64 for the line, 56 for what is behind it.
    prefix_length: Annotated[int, Field(ge=8, le=128), Number] | None = None
    ranges: Ranges


class PoolPatch(Input):
    """Ranges, where given, replace them all; one that is left out must have nothing given."""

    name: Name = ""
    ranges: Ranges = Field(default_factory=list)


class PoolUse(Output):
    capacity: int
    held: int
    online: int
    revoked: int
    free: int
    waiting: int


class PoolOut(Output):
    id: str
    name: str
    kind: PoolKind
    prefix_length: int
    ranges: list[str]
    use: PoolUse
    version: int


class LeaseOut(Output):
    address: str
    service_id: str | None
    state: LeaseState
    given_at: datetime
    used_at: datetime


@pool_routes.get("")
def list_pools(session: Db, _: Who, paged: Paged, name: Filter = None) -> PageOf[PoolOut]:
    rows, cursor = list_page(session, matching(select(AddressPool), (AddressPool.name, name)), AddressPool.id, paged)
    return PageOf(items=[_view(session, pool) for pool in rows], next_cursor=cursor)


@pool_routes.post("", status_code=201, response_model=PoolOut)
def create_pool(body: PoolIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    return once.created(_view(session, pools.create_pool(session, body.model_dump(), caller.actor)))


@pool_routes.get("/{pool_id}")
def get_pool(pool_id: str, session: Db, _: Who, response: Response) -> PoolOut:
    return tagged(response, _view(session, _pool(session, pool_id)))


@pool_routes.patch("/{pool_id}")
def update_pool(
    pool_id: str, body: PoolPatch, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> PoolOut:
    pool = _pool(session, pool_id)
    check_version(pool.version, if_match)
    pools.update_pool(session, pool, body.model_dump(exclude_unset=True), caller.actor)
    return tagged(response, _view(session, pool))


@pool_routes.delete("/{pool_id}", status_code=204)
def delete_pool(pool_id: str, session: Db, caller: Who) -> None:
    pools.delete_pool(session, _pool(session, pool_id), caller.actor)


@pool_routes.get("/{pool_id}/leases")
def list_leases(
    pool_id: str, session: Db, _: Who, paged: Paged, address: Filter = None, service_id: Filter = None,
    state: LeaseState | None = None,
) -> PageOf[LeaseOut]:  # fmt: skip
    query = matching(
        select(AddressLease).where(AddressLease.pool_id == _pool(session, pool_id).id),
        (AddressLease.address, address),
        (AddressLease.service_id, None if service_id is None else parse_id(service_id, "service")),
        (AddressLease.state, state),
    )
    rows, cursor = list_page(session, query, AddressLease.id, paged)
    return PageOf(items=[_lease_view(row) for row in rows], next_cursor=cursor)


def _pool(session: Db, pool_id: str) -> AddressPool:
    return pools.get_pool(session, parse_id(pool_id, "address pool"))


def _view(session: Db, pool: AddressPool) -> PoolOut:
    use = pools.use_of(session, pool)
    return PoolOut(
        id=str(pool.id), name=pool.name, kind=pool.kind, prefix_length=pool.prefix_length,
        ranges=[one.network for one in pools.ranges_of(session, pool)],
        use=PoolUse(
            capacity=use.capacity, held=use.held, online=use.online, revoked=use.revoked, free=use.free,
            waiting=use.waiting,
        ),
        version=pool.version,
    )  # fmt: skip


def _lease_view(lease: AddressLease) -> LeaseOut:
    holder = None if lease.state is LeaseState.FREE or lease.service_id is None else str(lease.service_id)
    return LeaseOut(
        address=lease.address, service_id=holder, state=lease.state, given_at=lease.given_at, used_at=lease.used_at
    )

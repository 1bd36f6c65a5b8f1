"""Tables of our pools, and how far each RADIUS node is."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class PoolKind(StrEnum):
    """ipv4: addresses; ipv6: prefixes of the line itself; delegated: prefixes for what is behind it."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DELEGATED = "delegated"


class LeaseState(StrEnum):
    """held -> revoked (nodes are being told) -> free -> held by another; or revoked -> held, where it was in use."""

    HELD = "held"
    REVOKED = "revoked"
    FREE = "free"


class AddressPool(Versioned, Base):
    """Its name is what plans say in address_pool, ipv6_pool or delegated_ipv6_pool (or what a NAS calls that)."""

    __tablename__ = "address_pool"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[PoolKind] = mapped_column(enum_column(PoolKind))
    #: Length of each prefix that is given; 32 for addresses.
    prefix_length: Mapped[int] = mapped_column(SmallInteger)


class PoolRange(Base):
    """A network whose addresses or prefixes belong to a pool."""

    __tablename__ = "pool_range"

    id: Mapped[Id]
    pool_id: Mapped[int] = mapped_column(ForeignKey("address_pool.id", ondelete="CASCADE"), index=True)
    network: Mapped[str] = mapped_column(unique=True)
    #: How many of them were ever given: the next one that never was has this number.
    given: Mapped[int] = mapped_column(default=0, server_default="0")
    #: Leases above that, of whoever had the address before we gave any (see aaa.pools.adoption).
    ahead: Mapped[int] = mapped_column(default=0, server_default="0")


class AddressLease(Base):
    """One address or prefix that was ever given, and whose it is."""

    __tablename__ = "address_lease"
    __table_args__ = (
        Index("uq_address_lease_address", "pool_id", "address", unique=True),
        Index(
            "uq_address_lease_service", "service_id", "pool_id", unique=True, postgresql_where=text("state = 'held'")
        ),
        Index("ix_address_lease_free", "pool_id", "changed_at", postgresql_where=text("state = 'free'")),
        Index("ix_address_lease_revoked", "id", postgresql_where=text("state = 'revoked'")),
        CheckConstraint("(state = 'free') OR (service_id IS NOT NULL)", name="holder"),
    )

    id: Mapped[Id]
    pool_id: Mapped[int] = mapped_column(ForeignKey("address_pool.id", ondelete="CASCADE"))
    range_id: Mapped[int] = mapped_column(ForeignKey("pool_range.id", ondelete="CASCADE"))
    #: As accounting tells it: an address, or a prefix with its length.
    address: Mapped[str]
    #: No foreign key: a cancelled service may be deleted while its lease is still being taken back.
    service_id: Mapped[int | None]
    state: Mapped[LeaseState] = mapped_column(enum_column(LeaseState))
    given_at: Mapped[CreatedAt]
    #: When its state became what it is.
    changed_at: Mapped[CreatedAt]
    #: A session of its service was last seen with it; leases go by this when a pool runs low.
    used_at: Mapped[CreatedAt]
    #: Once revoked: who works from this revision of the feed does not give it any more.
    revoked_revision: Mapped[int | None]
    #: Every node has confirmed that it does so.
    confirmed_at: Mapped[datetime | None]


class LeaseWait(Base):
    """A service that found no address free, and when it asked last."""

    __tablename__ = "lease_wait"

    pool_id: Mapped[int] = mapped_column(ForeignKey("address_pool.id", ondelete="CASCADE"), primary_key=True)
    service_id: Mapped[int] = mapped_column(primary_key=True)
    asked_at: Mapped[datetime]


class RadiusNode(Base):
    """How far a node's RADIUS workers are, as its feeder last said. Addresses change hands only once it knows."""

    __tablename__ = "radius_node"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: All its authentication workers work from this revision or a later one.
    revision: Mapped[int]
    seen_at: Mapped[CreatedAt]
    #: An operator said that it will not come back (see aaa.pools.nodes).
    forgotten_at: Mapped[datetime | None]

"""What: plans, the services sold on them, and the holds that restrict a service."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.access import Access, HoldEffect, HoldReason
from core.attributes import VendorAttributes, encode
from core.models.base import Base, CreatedAt, Id, Versioned, enum_column
from core.models.usage import Prepaid
from core.policy import Burst, OwnAttributes, PlanTerms, ServiceTerms

#: What the spellings of a login have in common, in SQL: no realm, no blanks around it, no capitals. Indexed where
#: logins are looked for that somebody wrote otherwise.
LOGIN_KEY = "lower(btrim(split_part({}, '@', 1)))"


class ServiceKind(StrEnum):
    PPPOE = "pppoe"
    IPOE = "ipoe"
    HOTSPOT = "hotspot"
    DEDICATED = "dedicated"
    VOICE = "voice"
    OTHER = "other"


class ServiceStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    CANCELLED = "cancelled"


class Plan(Versioned, Base):
    """What a service gets on the wire; prices are copied into contracts, never read from here afterwards."""

    __tablename__ = "plan"
    __table_args__ = (
        CheckConstraint("down_kbps > 0 AND up_kbps > 0", name="rates"),
        CheckConstraint("throttle_down_kbps > 0 AND throttle_up_kbps > 0", name="throttle"),
        CheckConstraint("interim_seconds >= 60", name="interim"),
        CheckConstraint("price_cents >= 0", name="price"),
        CheckConstraint("session_limit > 0", name="session_limit"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    down_kbps: Mapped[int]
    up_kbps: Mapped[int]
    burst: Mapped[dict[str, Any] | None]
    address_pool: Mapped[str | None]
    address_list: Mapped[str | None]
    interim_seconds: Mapped[int]
    session_seconds: Mapped[int | None]
    throttle_down_kbps: Mapped[int]
    throttle_up_kbps: Mapped[int]
    price_cents: Mapped[int]
    idle_seconds: Mapped[int | None]
    dns_servers: Mapped[list[str]] = mapped_column(default=list, server_default=text("'[]'"))
    vrf: Mapped[str | None]
    ingress_filter: Mapped[str | None]
    egress_filter: Mapped[str | None]
    ipv6_pool: Mapped[str | None]
    delegated_ipv6_pool: Mapped[str | None]
    profile: Mapped[str | None]
    throttle_profile: Mapped[str | None]
    #: See core.attributes.
    vendor_attributes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    #: Sessions that a service may have at a time; None: any number.
    session_limit: Mapped[int | None] = mapped_column(Integer)
    #: Refuse a login over the limit whose older sessions are verified to live, instead of ending the oldest.
    session_limit_strict: Mapped[bool] = mapped_column(default=False, server_default="false")
    #: Both directions together, in a billing cycle (see core.quota).
    quota_bytes: Mapped[int | None]
    #: What happens when the quota, or a prepaid balance, is used up.
    quota_effect: Mapped[HoldEffect] = mapped_column(
        enum_column(HoldEffect), default=HoldEffect.THROTTLE, server_default="throttle"
    )
    prepaid: Mapped[Prepaid | None] = mapped_column(enum_column(Prepaid))
    #: See core.schedule.
    time_windows: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default=text("'[]'"))
    #: Which of them is open; kept by the clock.
    open_window: Mapped[int | None]

    def terms(self) -> PlanTerms:
        window = None if self.open_window is None else self.time_windows[self.open_window]
        return PlanTerms(
            down_kbps=window["down_kbps"] if window else self.down_kbps,
            up_kbps=window["up_kbps"] if window else self.up_kbps,
            burst=Burst(**self.burst) if self.burst and window is None else None,
            address_pool=self.address_pool,
            address_list=self.address_list,
            interim_seconds=self.interim_seconds,
            session_seconds=self.session_seconds,
            throttle_down_kbps=self.throttle_down_kbps,
            throttle_up_kbps=self.throttle_up_kbps,
            idle_seconds=self.idle_seconds,
            dns_servers=tuple(self.dns_servers or ()),
            vrf=self.vrf,
            ingress_filter=self.ingress_filter,
            egress_filter=self.egress_filter,
            ipv6_pool=self.ipv6_pool,
            delegated_ipv6_pool=self.delegated_ipv6_pool,
            profile=self.profile if window is None else None,
            throttle_profile=self.throttle_profile if window is None else None,
            vendor_attributes=_encoded(self.vendor_attributes),
        )


class Service(Versioned, Base):
    """One access at one installation address. `access` and `policy_fingerprint` are what is intended."""

    __tablename__ = "service"
    __table_args__ = (
        Index("uq_service_login", "login", unique=True, postgresql_where=text("status <> 'cancelled'")),
        Index(
            "uq_service_ipv4_address",
            "ipv4_address",
            unique=True,
            postgresql_where=text("status <> 'cancelled' AND ipv4_address IS NOT NULL"),
        ),
        Index("ix_service_ipv6_prefix", "ipv6_prefix", postgresql_where=text("ipv6_prefix IS NOT NULL")),
        Index(
            "ix_service_delegated_ipv6_prefix",
            "delegated_ipv6_prefix",
            postgresql_where=text("delegated_ipv6_prefix IS NOT NULL"),
        ),
        Index("ix_service_plan_id", "plan_id", "id"),
        Index("ix_service_contract_id", "contract_id"),
        Index("ix_service_login_key", text(LOGIN_KEY.format("login")), postgresql_where=text("login IS NOT NULL")),
        Index("ix_service_mac_lock", "mac_lock", postgresql_using="gin", postgresql_where=text("mac_lock IS NOT NULL")),
        CheckConstraint("(login IS NULL) = (password_encrypted IS NULL)", name="credentials"),
    )

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"))
    plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    kind: Mapped[ServiceKind] = mapped_column(enum_column(ServiceKind))
    status: Mapped[ServiceStatus] = mapped_column(
        enum_column(ServiceStatus), default=ServiceStatus.ACTIVE, server_default="active"
    )
    login: Mapped[str | None]
    password_encrypted: Mapped[bytes | None]
    address: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    ipv4_address: Mapped[str | None]
    ipv4_routes: Mapped[list[str]] = mapped_column(default=list, server_default=text("'[]'"))
    ipv6_prefix: Mapped[str | None]
    delegated_ipv6_prefix: Mapped[str | None]
    vendor_attributes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    access: Mapped[Access] = mapped_column(enum_column(Access), default=Access.FULL, server_default="full")
    policy_fingerprint: Mapped[str] = mapped_column(ForeignKey("policy_version.fingerprint"))
    cancelled_at: Mapped[datetime | None]
    #: Locks, as `core.locks` says: what is let in, [] while it is to be learned, None without a lock. `nas_lock` holds
    #: ids of NAS entries.
    mac_lock: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    circuit_lock: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    nas_lock: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))

    plan: Mapped[Plan] = relationship(lazy="raise")

    def terms(self) -> ServiceTerms:
        return ServiceTerms(
            ipv4_address=self.ipv4_address,
            ipv4_routes=tuple(self.ipv4_routes or ()),
            ipv6_prefix=self.ipv6_prefix,
            delegated_ipv6_prefix=self.delegated_ipv6_prefix,
            vendor_attributes=_encoded(self.vendor_attributes),
        )


def _encoded(vendor_attributes: VendorAttributes | None) -> OwnAttributes:
    return {
        vendor: {name: encode({name: values}).hex() for name, values in attributes.items()}
        for vendor, attributes in (vendor_attributes or {}).items()
    }


class Hold(Base):
    """A restriction with a reason of its own. Live while placed, not lifted and not past `until`."""

    __tablename__ = "hold"
    __table_args__ = (
        Index("ix_hold_live", "service_id", postgresql_where=text("lifted_at IS NULL")),
        Index("ix_hold_until", "until", postgresql_where=text("lifted_at IS NULL AND until IS NOT NULL")),
    )

    id: Mapped[Id]
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"), index=True)
    reason: Mapped[HoldReason] = mapped_column(enum_column(HoldReason))
    effect: Mapped[HoldEffect] = mapped_column(enum_column(HoldEffect))
    placed_at: Mapped[CreatedAt]
    placed_by: Mapped[str]
    until: Mapped[datetime | None]
    note: Mapped[str | None]
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None]

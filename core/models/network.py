"""The network's side: NAS entries, policies by fingerprint, and live sessions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class Vendor(StrEnum):
    MIKROTIK = "mikrotik"
    HUAWEI = "huawei"
    CISCO = "cisco"
    JUNIPER = "juniper"
    NOKIA = "nokia"
    ACCEL_PPP = "accel_ppp"
    GENERIC = "generic"


class MessageAuthenticatorMode(StrEnum):
    """auto: the first Access-Request from the NAS decides and the decision is kept (CVE-2024-3596)."""

    AUTO = "auto"
    REQUIRE = "require"
    IGNORE = "ignore"


class OctetsDirection(StrEnum):
    """Whose view Acct-Input-Octets is: `nas` = from the subscriber (RFC 2866), `client` = to the subscriber."""

    NAS = "nas"
    CLIENT = "client"


class StopKind(StrEnum):
    """How we know that a session ended. Only `stop` is the NAS's own word and final."""

    STOP = "stop"
    NAS_REBOOT = "nas_reboot"
    SUPERSEDED = "superseded"
    STALE = "stale"
    NOT_FOUND = "not_found"


class SessionKind(StrEnum):
    """Whether a session counts. Only a `line` does: in traffic, and towards the plan's limit of sessions.

    view: the same line, which its NAS accounts for several times (Nokia's host, session and queue-instance accounting).
    service: of a service on a subscriber's session (Juniper, Nokia), which has octets of its own.
    """

    LINE = "line"
    VIEW = "view"
    SERVICE = "service"


class NasMode(StrEnum):
    """Who answers this NAS while we take over from another server (its home server).

    serve: we do. shadow: the home server does, and what we would have said is compared with it. proxy: we answer
    the logins that we know, the home server all others.
    """

    SERVE = "serve"
    SHADOW = "shadow"
    PROXY = "proxy"


class PolicyVersion(Base):
    """A policy by its fingerprint; rows are only ever added."""

    __tablename__ = "policy_version"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class Nas(Versioned, Base):
    """A box (or a network of boxes) that asks us; the secret is chosen by the packet's source address only."""

    __tablename__ = "nas"
    __table_args__ = (
        CheckConstraint("coa_port BETWEEN 1 AND 65535", name="coa_port"),
        CheckConstraint("disconnects_per_minute > 0", name="disconnects_per_minute"),
        CheckConstraint("mode = 'serve' OR home_server_id IS NOT NULL", name="mode"),
        CheckConstraint("(routeros IS NULL) = (routeros_password_encrypted IS NULL)", name="routeros"),
        CheckConstraint("(management IS NULL) = (management_secret_encrypted IS NULL)", name="management"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    #: One address or a CIDR, canonical text; unique, and a longer prefix wins over a shorter one.
    address: Mapped[str] = mapped_column(unique=True)
    secret_encrypted: Mapped[bytes]
    vendor: Mapped[Vendor] = mapped_column(enum_column(Vendor))
    coa_port: Mapped[int] = mapped_column(Integer, default=3799, server_default="3799")
    message_authenticator: Mapped[MessageAuthenticatorMode] = mapped_column(
        enum_column(MessageAuthenticatorMode), default=MessageAuthenticatorMode.AUTO, server_default="auto"
    )
    #: What `auto` learned from the first request: "require" or "ignore"; None until one came.
    message_authenticator_learned: Mapped[str | None]
    octets_direction: Mapped[OctetsDirection] = mapped_column(
        enum_column(OctetsDirection), default=OctetsDirection.NAS, server_default="nas"
    )
    #: Names here that differ from the plan's, by family: {"pools": {ours: theirs}, …} (see core.nas_options).
    names: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    #: What its vendor leaves to choose: {"platform": "ios_xr"} (see core.nas_options).
    options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    #: {"strip_realm": bool, "lowercase": bool}
    login_rules: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    disconnects_per_minute: Mapped[int] = mapped_column(Integer, default=120, server_default="120")
    enforcement_frozen: Mapped[bool] = mapped_column(default=False, server_default="false")
    emergency: Mapped[bool] = mapped_column(default=False, server_default="false")
    emergency_plan_id: Mapped[int | None] = mapped_column(ForeignKey("plan.id"))
    #: The emergency plan's policy, kept with it so that RADIUS nodes need no plans.
    emergency_fingerprint: Mapped[str | None] = mapped_column(ForeignKey("policy_version.fingerprint"))
    mode: Mapped[NasMode] = mapped_column(enum_column(NasMode), default=NasMode.SERVE, server_default="serve")
    home_server_id: Mapped[int | None] = mapped_column(ForeignKey("home_server.id"))
    #: How its SNMP agent is asked whether a session lives; empty: it is not (see core.nas_snmp).
    snmp: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    snmp_secret_encrypted: Mapped[bytes | None]
    #: Access to its API: {"user", "port", "tls", "certificate_sha256"}, and "credential" where user and password are
    #: those of a shared one (see core.routeros); None: it is not to be used.
    routeros: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    #: What this box is known to take, also where it is a shared credential's.
    routeros_password_encrypted: Mapped[bytes | None]
    #: What it may take already: its password is being rotated.
    routeros_next_password_encrypted: Mapped[bytes | None]
    #: How any other box is managed: {"driver", "address", "port", "user", "host_key", "arguments"}, and "credential" as
    #: above (see core.nas_management); None: it is not.
    management: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    management_secret_encrypted: Mapped[bytes | None]


class DeviceCredential(Versioned, Base):
    """A user and password that several boxes share. Each box's own state is in its NAS entry."""

    __tablename__ = "device_credential"

    id: Mapped[Id]
    #: By which NAS entries name it; it never changes.
    name: Mapped[str] = mapped_column(unique=True)
    user: Mapped[str]
    password_encrypted: Mapped[bytes]
    #: While boxes are brought to it.
    next_password_encrypted: Mapped[bytes | None]


class HomeServer(Versioned, Base):
    """The RADIUS server that we take over from: where requests go that are not, or not only, ours to answer."""

    __tablename__ = "home_server"
    __table_args__ = (
        CheckConstraint("auth_port BETWEEN 1 AND 65535 AND acct_port BETWEEN 1 AND 65535", name="ports"),
        CheckConstraint("response_window_ms BETWEEN 100 AND 60000", name="response_window"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    address: Mapped[str]
    auth_port: Mapped[int] = mapped_column(Integer, default=1812, server_default="1812")
    acct_port: Mapped[int] = mapped_column(Integer, default=1813, server_default="1813")
    secret_encrypted: Mapped[bytes]
    #: An answer that comes later counts as none.
    response_window_ms: Mapped[int] = mapped_column(Integer, default=4000, server_default="4000")
    #: Whether it answers Status-Server (RFC 5997): how we learn that it is back.
    status_server: Mapped[bool] = mapped_column(default=True, server_default="true")
    require_message_authenticator: Mapped[bool] = mapped_column(default=False, server_default="false")


class Session(Base):
    """A session at a NAS, kept after it ended. Owner functions: `core.sessions`; written by aaa's shipper.

    Identity is (NAS, box, Acct-Session-Id, accept id): several boxes may share one NAS entry (`box` is
    NAS-Identifier, else NAS-IP-Address), and a box that starts counting again reuses session ids.
    """

    __tablename__ = "session"
    __table_args__ = (
        Index("uq_session_identity", "nas_id", "box", "acct_session_id", "accept_id", unique=True),
        Index("ix_session_active_service", "service_id", "id", postgresql_where=text("stopped_at IS NULL")),
        Index("ix_session_active_nas", "nas_id", "box", postgresql_where=text("stopped_at IS NULL")),
        # Nothing that an Interim-Update changes is indexed, and a page has room for each row once more: PostgreSQL
        # can then leave the indexes alone (heap-only tuples).
        Index("ix_session_service", "service_id", "id"),
        Index(
            "ix_session_multi",
            "nas_id",
            "box",
            "multi_session_id",
            postgresql_where=text("multi_session_id IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: Mapped[Id]
    #: No foreign key: what was acknowledged must be stored even if its NAS was deleted meanwhile.
    nas_id: Mapped[int]
    box: Mapped[str]
    acct_session_id: Mapped[str]
    #: 16 hexadecimal characters out of our Class; empty for a session that is not ours, or its own mark once such a one
    #: has ended and its NAS uses the id again.
    accept_id: Mapped[str] = mapped_column(default="", server_default="")
    service_id: Mapped[int | None]
    login: Mapped[str]
    #: Policy the session started on, out of Class; None when the NAS sent no Class of ours.
    class_fingerprint: Mapped[str | None]
    #: Policy that the last CoA-ACK left on the session; it, not Class, is the truth once set.
    applied_fingerprint: Mapped[str | None]
    started_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    stop_kind: Mapped[StopKind | None] = mapped_column(enum_column(StopKind))
    terminate_cause: Mapped[int | None] = mapped_column(SmallInteger)
    nas_address: Mapped[str]
    nas_port_id: Mapped[str | None]
    calling_station_id: Mapped[str | None]
    called_station_id: Mapped[str | None]
    framed_ipv4: Mapped[str | None]
    framed_ipv6_prefix: Mapped[str | None]
    delegated_ipv6_prefix: Mapped[str | None]
    #: In the NAS's direction (see Nas.octets_direction), Gigawords and turns counted; they never go backwards.
    input_octets: Mapped[int] = mapped_column(default=0, server_default="0")
    output_octets: Mapped[int] = mapped_column(default=0, server_default="0")
    input_packets: Mapped[int] = mapped_column(default=0, server_default="0")
    output_packets: Mapped[int] = mapped_column(default=0, server_default="0")
    session_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    #: Interim-Updates seen; with session_seconds they tell what this NAS really does (staleness).
    interims: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: What the octets have more than the counters of the latest record; None while the next one must be counted from
    #: all records (see aaa.counters).
    input_base: Mapped[int | None] = mapped_column(default=0, server_default="0")
    output_base: Mapped[int | None] = mapped_column(default=0, server_default="0")
    kind: Mapped[SessionKind] = mapped_column(enum_column(SessionKind), default=SessionKind.LINE, server_default="line")
    #: Acct-Multi-Session-Id, or the Acct-Session-Id of the session that a service belongs to.
    multi_session_id: Mapped[str | None]
    #: When its NAS last said, being asked, that it has this session.
    verified_at: Mapped[datetime | None]

    @property
    def effective_fingerprint(self) -> str | None:
        return self.applied_fingerprint or self.class_fingerprint


class Box(Base):
    """A box behind a NAS entry, as accounting knows it. Its own time is what silence is measured by."""

    __tablename__ = "box"

    #: No foreign key, as in `session`.
    nas_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    box: Mapped[str] = mapped_column(primary_key=True)
    #: The latest event that it told of.
    heard_at: Mapped[datetime]
    #: Seconds between Interim-Updates of a session, as it really sends them; None while it sends none.
    interim_seconds: Mapped[int | None]

"""Tables of the connection log. The two large ones are partitioned by the month in which a holding began."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Integer, PrimaryKeyConstraint, SmallInteger, text
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import Mapped, deferred, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column

#: Most of what began before a moment has ended before it, too: an index by it leads to the few that have not.
_END = text("coalesce(ended_at, 'infinity'::timestamptz)")


class AddressKind(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DELEGATED = "delegated"
    #: A network routed to the session, or a prefix of its own, as we gave it; its NAS may tell it as well.
    GIVEN = "given"


class AddressUse(Base):
    """One address of one session, from when till when. Written by the trigger `session_addresses` and by `store`.

    What a row says is computed from its session and from the events that told its addresses, so it depends on what
    was heard and not on the order of it. `moved` is set where a session had several addresses of one kind.
    """

    __tablename__ = "address_use"
    __table_args__ = (
        PrimaryKeyConstraint("started_at", "id"),
        Index("ix_address_use_address", "address", _END, postgresql_include=["started_at", "ended_at", "id"]),
        Index("ix_address_use_session", "session_id"),
        {"postgresql_partition_by": "RANGE (started_at)"},
    )

    started_at: Mapped[datetime]
    id: Mapped[int] = mapped_column(BigInteger, Identity())
    session_id: Mapped[int]
    kind: Mapped[AddressKind] = mapped_column(enum_column(AddressKind))
    address: Mapped[str] = mapped_column(CIDR)
    #: None while the session is open.
    ended_at: Mapped[datetime | None]
    #: How the end is known: a StopKind of the session, or "changed" to another address in the same session.
    end_kind: Mapped[str | None]
    #: First and last event known to have told this address.
    told_first_at: Mapped[datetime]
    told_last_at: Mapped[datetime]
    moved: Mapped[bool] = mapped_column(default=False, server_default="false")
    service_id: Mapped[int | None]
    login: Mapped[str]
    nas_id: Mapped[int]
    box: Mapped[str]
    acct_session_id: Mapped[str]
    calling_station_id: Mapped[str | None]


class PortBlock(Base):
    """Ports of a shared address that one inside address had, as accounting, a NAT's syslog or a file told it."""

    __tablename__ = "port_block"
    __table_args__ = (
        PrimaryKeyConstraint("started_at", "id"),
        Index(
            "ix_port_block_outside", "outside", _END,
            postgresql_include=["started_at", "port_first", "port_last", "ended_at", "id"],
        ),
        Index("ix_port_block_session", "session_id", postgresql_where=text("session_id IS NOT NULL")),
        CheckConstraint("port_first BETWEEN 0 AND port_last AND port_last <= 65535", name="ports"),
        {"postgresql_partition_by": "RANGE (started_at)"},
    )  # fmt: skip

    started_at: Mapped[datetime]
    id: Mapped[int] = mapped_column(BigInteger, Identity())
    outside: Mapped[str] = mapped_column(CIDR)
    port_first: Mapped[int] = mapped_column(Integer)
    port_last: Mapped[int] = mapped_column(Integer)
    #: None where accounting told the block (its session has the address) or a file told only a login.
    inside: Mapped[str | None] = mapped_column(CIDR)
    ended_at: Mapped[datetime | None]
    end_kind: Mapped[str | None]
    #: "accounting", "syslog" or "import".
    source: Mapped[str]
    #: Who told it: the box, the syslog's sender, the file.
    reporter: Mapped[str]
    #: False where only the release was heard: the block is known to have been held then, not since when.
    start_known: Mapped[bool] = mapped_column(default=True, server_default="true")
    #: A block out of accounting ends with this session.
    session_id: Mapped[int | None]
    service_id: Mapped[int | None]
    login: Mapped[str | None]


class NatOrder(StrEnum):
    """How consecutive inside addresses are laid out (see `nat`)."""

    PORTS_FIRST = "ports_first"
    ADDRESSES_FIRST = "addresses_first"


class NatRule(Versioned, Base):
    """A deterministic NAT as it was configured for a time. Rules are ended, never changed or deleted."""

    __tablename__ = "nat_rule"
    __table_args__ = (
        CheckConstraint("first_port BETWEEN 1 AND 65535 AND last_port BETWEEN first_port AND 65535", name="ports"),
        CheckConstraint("ports_per_subscriber BETWEEN 1 AND 65535", name="ports_per_subscriber"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    inside_first: Mapped[str] = mapped_column(CIDR)
    inside_last: Mapped[str] = mapped_column(CIDR)
    outside_first: Mapped[str] = mapped_column(CIDR)
    outside_last: Mapped[str] = mapped_column(CIDR)
    ports_per_subscriber: Mapped[int] = mapped_column(Integer)
    first_port: Mapped[int] = mapped_column(Integer)
    last_port: Mapped[int] = mapped_column(Integer)
    order: Mapped[NatOrder] = mapped_column(enum_column(NatOrder))
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime | None]


class LogLookup(Base):
    """Who asked the connection log what, and why. A trigger refuses every change of a row."""

    __tablename__ = "connection_lookup"

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    actor: Mapped[str]
    source: Mapped[str | None]
    reason: Mapped[str]
    question: Mapped[dict[str, Any]]
    results: Mapped[int] = mapped_column(Integer)


class CaseKind(StrEnum):
    """What the law lets an authority ask (Marco Civil)."""

    #: Art. 13 §5: connection records, by court order only.
    RECORDS = "records"
    #: Art. 13 §2 and §3: keep them for 60 days while an order is sought; nothing is disclosed.
    PRESERVATION = "preservation"
    #: Art. 10 §3: name, parents, address, to an authority with legal power to ask.
    REGISTRATION = "registration"


class CaseState(StrEnum):
    DRAFT = "draft"
    SEARCHED = "searched"
    APPROVED = "approved"
    ANSWERED = "answered"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class JudicialRequest(Versioned, Base):
    """A request of an authority as a case. `findings` is a copy: it outlives the log, renames and cancellations."""

    __tablename__ = "judicial_request"
    __table_args__ = (Index("ix_judicial_request_state", "state", "id"),)

    id: Mapped[Id]
    kind: Mapped[CaseKind] = mapped_column(enum_column(CaseKind))
    state: Mapped[CaseState] = mapped_column(
        enum_column(CaseState), default=CaseState.DRAFT, server_default=CaseState.DRAFT.value
    )
    authority: Mapped[str]
    #: Of the court's order; a preservation request has none until the order comes.
    order_number: Mapped[str | None]
    #: What an authority without an order invokes.
    legal_basis: Mapped[str | None]
    received_at: Mapped[datetime]
    deadline: Mapped[date | None]
    #: A preservation request lapses then unless an order came (art. 13 §3 and §4).
    preserved_until: Mapped[datetime | None]
    secret: Mapped[bool] = mapped_column(default=True, server_default="true")
    #: Names of those who may see a secret case, besides administrators.
    people: Mapped[list[str]]
    questions: Mapped[dict[str, Any]]
    findings: Mapped[dict[str, Any] | None]
    created_by: Mapped[str]
    searched_by: Mapped[str | None]
    searched_at: Mapped[datetime | None]
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[str | None]
    document: Mapped[bytes | None] = deferred(mapped_column())
    document_sha256: Mapped[str | None]
    tolerance_s: Mapped[int] = mapped_column(SmallInteger)

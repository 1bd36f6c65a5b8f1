"""Tables that aaa owns: accounting records, how far each spool was shipped, restarts of boxes, refused and odd
attempts, what is wrong with a NAS, what was compared with a home server."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Date, Index, Integer, PrimaryKeyConstraint, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id
from core.models.service import LOGIN_KEY


class AccountingRow(Base):
    """One distinct accounting packet. Partitioned by the day of receipt, so that old days go as a whole."""

    __tablename__ = "accounting_record"
    __table_args__ = (
        PrimaryKeyConstraint("received_on", "dedupe_key"),
        {"postgresql_partition_by": "RANGE (received_on)"},
    )

    received_on: Mapped[date] = mapped_column(Date)
    dedupe_key: Mapped[bytes]
    received_at: Mapped[datetime]
    event_at: Mapped[datetime]
    nas_id: Mapped[int]
    box: Mapped[str]
    source: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    acct_session_id: Mapped[str]
    accept_id: Mapped[str]
    service_id: Mapped[int | None]
    login: Mapped[str]
    session_seconds: Mapped[int]
    input_octets: Mapped[int] = mapped_column(BigInteger)
    output_octets: Mapped[int] = mapped_column(BigInteger)
    terminate_cause: Mapped[int | None] = mapped_column(SmallInteger)
    framed_ipv4: Mapped[str | None]
    delegated_ipv6_prefix: Mapped[str | None]
    calling_station_id: Mapped[str | None]
    input_packets: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    output_packets: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")


class SpoolPosition(Base):
    """Where the next record of a spool begins; committed with the records before it."""

    __tablename__ = "spool_position"

    node: Mapped[str] = mapped_column(primary_key=True)
    spool: Mapped[str] = mapped_column(primary_key=True)
    segment: Mapped[int]
    position: Mapped[int]
    #: What was acknowledged until then is in the database.
    shipped_until: Mapped[datetime | None]


class BoxRestart(Base):
    """When a box last said Accounting-On or -Off: what is told of a time before ended then."""

    __tablename__ = "box_restart"

    #: No foreign key, as in `session`.
    nas_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    box: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class AuthenticationAttempt(Base):
    """A refused or odd login, kept for a while to answer "why can't this subscriber connect?"."""

    __tablename__ = "authentication_attempt"
    __table_args__ = (Index("ix_authentication_attempt_login_key", text(LOGIN_KEY.format("login")), "id"),)

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    login: Mapped[str]
    nas_id: Mapped[int]
    source: Mapped[str]
    calling_station_id: Mapped[str | None]
    reason: Mapped[str]
    method: Mapped[str]
    hint: Mapped[str]
    #: Whose login it was, by the NAS's login rules; None: nobody's.
    service_id: Mapped[int | None]
    #: How often it came like this since it was reported before.
    times: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    #: What explains it: {"came", "expected"} of a lock.
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))


class NasFindingRow(Base):
    """Something that is wrong between us and one sender, in one row however often it happens."""

    __tablename__ = "nas_finding"
    __table_args__ = (
        PrimaryKeyConstraint("nas_id", "source", "kind"),
        Index("ix_nas_finding_last_at", "last_at"),
    )

    #: 0: the sender is no NAS of ours. No foreign key, as in `session`.
    nas_id: Mapped[int] = mapped_column(BigInteger, autoincrement=False)
    source: Mapped[str]
    kind: Mapped[str]
    first_at: Mapped[CreatedAt]
    last_at: Mapped[CreatedAt]
    count: Mapped[int]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))


class TakeoverLogin(Base):
    """A login whose answers from the home server and from us were compared; `differences` is the last comparison's."""

    __tablename__ = "takeover_login"

    nas_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    login: Mapped[str] = mapped_column(primary_key=True)
    comparisons: Mapped[int]
    differences: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[CreatedAt]
    last_at: Mapped[CreatedAt]


class TakeoverDifference(Base):
    """One difference of a login's last comparison; it goes when a later comparison no longer finds it."""

    __tablename__ = "takeover_difference"
    __table_args__ = (UniqueConstraint("nas_id", "login", "kind", "attribute"),)

    id: Mapped[Id]
    nas_id: Mapped[int]
    login: Mapped[str]
    kind: Mapped[str]
    #: By name; empty where the answers themselves differ.
    attribute: Mapped[str]
    ours: Mapped[str]
    theirs: Mapped[str]
    #: Something that no NAS treats otherwise.
    harmless: Mapped[bool]
    count: Mapped[int]
    first_at: Mapped[CreatedAt]
    last_at: Mapped[CreatedAt]

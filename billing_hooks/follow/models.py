"""Tables of following: the systems that are read, their subscribers, and the contracts that are under their word."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.access import HoldEffect
from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class Mode(StrEnum):
    #: It is read and its differences are shown; nothing follows it.
    DRY = "dry"
    LIVE = "live"


class CutCalendar(StrEnum):
    """By which days and hours a restriction of the system's automatism begins here."""

    POLICY = "policy"
    #: The system's own: its word is done at once.
    ERP = "erp"


class FollowSource(Versioned, Base):
    """Another billing system. Moments and alarms are the reader's, and no edit: the version stays.

    `asked_at` is when the reading that counts began; `claimed_until` keeps another from beginning beside it.
    """

    __tablename__ = "follow_source"

    id: Mapped[Id]
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    credentials_encrypted: Mapped[bytes | None]
    enabled: Mapped[bool] = mapped_column(default=True, server_default="true")
    mode: Mapped[Mode] = mapped_column(enum_column(Mode), default=Mode.DRY, server_default="dry")
    calendar: Mapped[CutCalendar] = mapped_column(
        enum_column(CutCalendar), default=CutCalendar.POLICY, server_default="policy"
    )
    #: Seconds from one reading to the next. Of one that pushes: how long it may be silent, None for ever.
    every_s: Mapped[int | None] = mapped_column(Integer)
    asked_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    #: The last time that everything was read, or something pushed.
    read_at: Mapped[datetime | None]
    #: The last time that also names, documents and logins were read.
    identified_at: Mapped[datetime | None]
    #: Why the last attempt failed; what is wrong, in words for people, while no run restricts by itself; and what the
    #: guard of a run said of its word; each in both languages.
    error: Mapped[str | None]
    error_pt: Mapped[str | None]
    alarm: Mapped[str | None]
    alarm_pt: Mapped[str | None]
    stopped: Mapped[str | None]
    stopped_pt: Mapped[str | None]
    #: Of the last reading: {"count", "rows": [{"row", "row_pt", "detail", "detail_pt", "key"}]}, the first ones.
    malformed: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))


class FollowedSubscriber(Base):
    """What a system said last of one of its subscribers, and which contract of ours that is."""

    __tablename__ = "followed_subscriber"
    __table_args__ = (
        UniqueConstraint("source_id", "key"),
        UniqueConstraint("source_id", "contract_id"),
        Index("ix_followed_subscriber_contract_id", "contract_id"),
    )

    id: Mapped[Id]
    source_id: Mapped[int] = mapped_column(ForeignKey("follow_source.id", ondelete="CASCADE"))
    key: Mapped[str]
    contract_id: Mapped[int | None] = mapped_column(ForeignKey("contract.id", ondelete="SET NULL"))
    #: Who said that it is this contract; None: it was found by login, document or reference.
    matched_by: Mapped[str | None]
    effect: Mapped[HoldEffect | None] = mapped_column(enum_column(HoldEffect))
    by_hand: Mapped[bool]
    reason: Mapped[str]
    name: Mapped[str]
    document: Mapped[str]
    customer_ref: Mapped[str]
    logins: Mapped[list[str]]
    #: Since when it says so, as far as we know.
    since: Mapped[datetime]
    #: It is no longer listed.
    gone_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class FollowedContract(Base):
    """A contract under the word of a system instead of our policy's steps; without a row it is under our policy.

    The word is the last that was read while the source was live: what is read dry, or not at all, changes nothing.
    """

    __tablename__ = "followed_contract"
    __table_args__ = (Index("ix_followed_contract_source_id", "source_id"),)

    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"), primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("follow_source.id"))
    effect: Mapped[HoldEffect | None] = mapped_column(enum_column(HoldEffect))
    by_hand: Mapped[bool]
    reason: Mapped[str]
    since: Mapped[datetime]
    #: When a person put it here, and who.
    followed_since: Mapped[datetime]
    followed_by: Mapped[str]

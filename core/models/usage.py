"""What services use: traffic by day, and what is left of what was paid in advance."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Date, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base


class Prepaid(StrEnum):
    """What a prepaid plan counts down."""

    VOLUME = "volume"
    TIME = "time"


class ServiceUsage(Base):
    """What a service moved on one day of the provider's calendar; written with the sessions, by aaa's shipper.

    What an Interim-Update adds belongs to the day of that update, so a day may begin with some minutes of the last.
    """

    __tablename__ = "service_usage"

    #: No foreign key, as in `session`.
    service_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    #: As the subscriber sees them.
    down_octets: Mapped[int] = mapped_column(default=0, server_default="0")
    up_octets: Mapped[int] = mapped_column(default=0, server_default="0")
    seconds: Mapped[int] = mapped_column(default=0, server_default="0")


class QuotaNotice(Base):
    """That somebody was told, once in a cycle, how much of the quota is used."""

    __tablename__ = "quota_notice"

    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"), primary_key=True)
    cycle_start: Mapped[date] = mapped_column(Date, primary_key=True)
    #: Percent of the quota.
    level: Mapped[int] = mapped_column(primary_key=True)


class PrepaidBalance(Base):
    """What is left, and which usage has been taken off it already."""

    __tablename__ = "prepaid_balance"

    service_id: Mapped[int] = mapped_column(ForeignKey("service.id"), primary_key=True)
    octets: Mapped[int] = mapped_column(default=0, server_default="0")
    seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    #: Days before this one have been counted whole, and of this one so much.
    counted_day: Mapped[date] = mapped_column(Date)
    counted_octets: Mapped[int] = mapped_column(default=0, server_default="0")
    counted_seconds: Mapped[int] = mapped_column(default=0, server_default="0")
    #: What was left when RADIUS nodes were told last.
    told_octets: Mapped[int | None]
    told_seconds: Mapped[int | None]
    updated_at: Mapped[datetime]

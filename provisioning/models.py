"""Tables of enforcement: every step that it took, the pace of disconnects per NAS, what stands at routers for sessions
that are up; and certificates that boxes show and nobody has approved."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id

#: The outcome of a step whose NAS has not answered yet.
ASKING = "asking"
#: How long such a step is a claim: longer than asking can take, twice for each of a change's CoAs (see aaa.coa.client).
CLAIM = timedelta(seconds=45)


class EnforcementStep(Base):
    """One thing done to one session, and what came of it. While it is `asking`, it is the claim to its session."""

    __tablename__ = "enforcement_step"
    __table_args__ = (
        Index("ix_enforcement_step_session", "session_id", "id"),
        Index("ix_enforcement_step_service", "service_id", "id"),
    )

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    session_id: Mapped[int]
    service_id: Mapped[int | None]
    nas_id: Mapped[int]
    #: coa, router, disconnect, end (see provisioning.chain)
    action: Mapped[str]
    reason: Mapped[str]
    from_fingerprint: Mapped[str | None]
    to_fingerprint: Mapped[str | None]
    #: asking, then ack, nak, timeout, unreachable, held_back
    outcome: Mapped[str]
    error_cause: Mapped[int | None] = mapped_column(Integer)
    duration_ms: Mapped[float] = mapped_column(Float)


class NasPace(Base):
    """A token bucket of disconnects for one NAS, and how it answers (see provisioning.pace)."""

    __tablename__ = "nas_pace"

    nas_id: Mapped[int] = mapped_column(primary_key=True)
    tokens: Mapped[float] = mapped_column(Float)
    filled_at: Mapped[datetime]
    #: Time-outs in a row since the last answer.
    silent: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Nobody is to try before this time, but for one probe.
    closed_until: Mapped[datetime | None]


class LiveRow(Base):
    """A session for which something was written at its router (see provisioning.live_rows)."""

    __tablename__ = "live_row"

    #: No foreign key: it outlives its session, until the router has let it go.
    session_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    #: Somebody was told to take it away; until then nobody else is.
    claimed_until: Mapped[datetime | None]


class ShownCertificate(Base):
    """What a box showed when it was refused for it; gone when it is right again (see provisioning.certificates)."""

    __tablename__ = "shown_certificate"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    sha256: Mapped[str]
    #: The approved one; None: none is, and no authority vouches for what is shown.
    expected: Mapped[str | None]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]

"""What is known of a box that is managed by a NAPALM driver."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base


class ManagedDevice(Base):
    """As of the last look. `names`: what RADIUS replies may name there, by kind (see provisioning.napalm.names)."""

    __tablename__ = "managed_device"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    read_at: Mapped[datetime | None]
    #: {"vendor", "model", "release", "serial", "hostname", "uptime_s"}
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    #: As NAPALM's get_environment has it; empty where the driver cannot tell.
    environment: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    names: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    names_read_at: Mapped[datetime | None]
    #: Another SSH host key than the pinned one, which was refused; None since the pinned one was seen again.
    refused_host_key: Mapped[str | None]

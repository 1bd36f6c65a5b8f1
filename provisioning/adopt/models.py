"""What was read of a router to be taken over, for people who ask over REST: without passwords."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, Id, enum_column


class Standing(StrEnum):
    """Of a login that has a secret at the router."""

    #: It would become a service.
    NEW = "new"
    #: It is one here.
    HERE = "here"
    REJECTED = "rejected"
    LEFT_OUT = "left_out"
    #: Its secret is kept by us.
    OURS = "ours"


class Asked(StrEnum):
    """What somebody wants of a router."""

    LOOK = "look"
    #: Services are made of its secrets.
    TAKE = "take"
    #: Secrets become ours.
    OWN = "own"
    #: Rows that its intent names become ours.
    OWN_INTENT = "own_intent"


class BoxAdoption(Base):
    __tablename__ = "box_adoption"

    nas_id: Mapped[int] = mapped_column(ForeignKey("nas.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    #: Somebody asked, and has no answer yet.
    asked_at: Mapped[datetime | None]
    asked_by: Mapped[str]
    asked: Mapped[Asked] = mapped_column(enum_column(Asked), default=Asked.LOOK, server_default="look")
    #: Whose secrets become ours: {"logins": [...] or null for all, "differing"}; or of an intent's rows {"confirm"}.
    to_own: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: A person's word: {"rates": {profile: [down, up]}, "blocked_plan", "due_day"}.
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: Whoever is at it is there by then, or died.
    claimed_until: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]
    error: Mapped[str | None]
    plans: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    blocks: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    #: What the router is, as an intent would say it: {"body", "told"}.
    intent: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: Of the last taking: {"login": {"created": 812}}.
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: Of the last time that secrets became ours: {"services", "refused": [[login, why]], "told": [[login, what]]}.
    owned: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: And rows of the intent: {"rows", "kept"}.
    owned_intent: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class AdoptedLogin(Base):
    """Of the last look."""

    __tablename__ = "box_adoption_login"
    __table_args__ = (Index("ix_box_adoption_login_nas_id", "nas_id", "id"),)

    id: Mapped[Id]
    nas_id: Mapped[int] = mapped_column(ForeignKey("box_adoption.nas_id", ondelete="CASCADE"))
    login: Mapped[str]
    standing: Mapped[Standing] = mapped_column(enum_column(Standing))
    service_id: Mapped[int | None]
    plan: Mapped[str | None]
    customer: Mapped[str | None]
    ipv4_address: Mapped[str | None]
    #: Why it is not free to all, at the router.
    hold: Mapped[str | None]
    #: What differs, what would be lost, why it is left out.
    told: Mapped[list[str]] = mapped_column(default=list, server_default="[]")

"""Where a row came from, when it was brought from another system."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt


class ImportedRow(Base):
    """What another system said of a row of ours when it was last imported.

    A later import compares three: what it said then, what it says now and what we have. So it can follow the other
    system without undoing what a person changed here.
    """

    __tablename__ = "imported_row"

    source: Mapped[str] = mapped_column(primary_key=True)
    #: "service", "plan", "nas".
    kind: Mapped[str] = mapped_column(primary_key=True)
    #: What the other system calls it: a login, a group, an address.
    key: Mapped[str] = mapped_column(primary_key=True)
    ref_id: Mapped[int]
    #: JSON, sealed: there are passwords in it.
    values_encrypted: Mapped[bytes]
    imported_at: Mapped[CreatedAt]

"""Money as far as standing needs it: invoices of a contract and the payments that settle them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class InvoiceStatus(StrEnum):
    """`overdue` is not stored: an open invoice past its due date is overdue when somebody looks."""

    OPEN = "open"
    PAID = "paid"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class Invoice(Versioned, Base):
    __tablename__ = "invoice"
    __table_args__ = (
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint(
            "early_discount_cents = 0 AND early_discount_until IS NULL "
            "OR early_discount_cents BETWEEN 1 AND amount_cents - 1 AND early_discount_until IS NOT NULL "
            "AND early_discount_until <= due_date",
            name="early_discount",
        ),
        Index("ix_invoice_open", "due_date", "contract_id", postgresql_where=text("status = 'open'")),
        Index(
            "uq_invoice_external",
            "external_gateway",
            "external_account_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id"), index=True)
    due_date: Mapped[date]
    amount_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3), default="BRL", server_default="BRL")
    description: Mapped[str | None]
    #: Of what is paid late: once, and for a month, in hundredths of a percent.
    fine_bp: Mapped[int] = mapped_column(Integer, default=200, server_default="200")
    interest_bp_month: Mapped[int] = mapped_column(Integer, default=100, server_default="100")
    #: Let off who pays the whole by that day.
    early_discount_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    early_discount_until: Mapped[date | None]
    status: Mapped[InvoiceStatus] = mapped_column(
        enum_column(InvoiceStatus), default=InvoiceStatus.OPEN, server_default="open"
    )
    paid_at: Mapped[datetime | None]
    #: When the notice of debt reached the payer (Anatel 765/2023 art. 70: no suspension without it).
    notified_at: Mapped[datetime | None]
    #: An open contestation excludes the invoice from suspension.
    contested: Mapped[bool] = mapped_column(default=False, server_default="false")
    external_gateway: Mapped[str | None]
    #: Which account there; None: whichever account of that gateway tells of it.
    external_account_id: Mapped[int | None]
    external_id: Mapped[str | None]
    pix_code: Mapped[str | None]
    boleto_line: Mapped[str | None]
    url: Mapped[str | None]


class Payment(Base):
    """Money that came in. (account, external_id) makes a repeated notice the same payment.

    Ids are the account's: two accounts at one kind of gateway may number their payments alike.
    """

    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("amount_cents > 0", name="amount"),
        CheckConstraint("surcharge_cents BETWEEN 0 AND amount_cents AND discount_cents >= 0", name="parts"),
        CheckConstraint("(account_id IS NULL) = (external_id IS NULL)", name="external"),
        UniqueConstraint("account_id", "external_id"),
        Index("uq_payment_also", "also_gateway", "also_id", unique=True, postgresql_where=text("also_id IS NOT NULL")),
    )

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), index=True)
    amount_cents: Mapped[int]
    #: So much of the amount are fine and interest, and so much was let off: without the one and with the other it pays
    #: the invoice.
    surcharge_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    discount_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    currency: Mapped[str] = mapped_column(String(3), default="BRL", server_default="BRL")
    method: Mapped[str]
    paid_at: Mapped[datetime]
    #: When the money was there, and how much after the gateway's fee; a boleto is paid a day or more before.
    settled_at: Mapped[datetime | None]
    net_cents: Mapped[int | None]
    gateway: Mapped[str | None]
    #: No foreign key: accounts belong to a room above, and what was paid outlives them.
    account_id: Mapped[int | None]
    external_id: Mapped[str | None]
    #: Who told of the same money beside that, and what it is there: the bank's file of what a gateway told, say.
    also_gateway: Mapped[str | None]
    also_id: Mapped[str | None]
    #: Why a person should look: it may be the money of another payment, told twice.
    doubt: Mapped[str | None]
    doubt_pt: Mapped[str | None]
    reversed_at: Mapped[datetime | None]
    #: Given back in part; a payment that was given back whole is reversed.
    refunded_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    recorded_at: Mapped[CreatedAt]

"""Who: the provider's legal entities, its customers with their contacts, and the contracts between them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.models.base import Base, CreatedAt, Id, Versioned, enum_column


class CustomerKind(StrEnum):
    PERSON = "person"
    BUSINESS = "business"


class ContactRole(StrEnum):
    """Messages about money go to billing, about the line to technical; main is the fallback of both."""

    MAIN = "main"
    BILLING = "billing"
    TECHNICAL = "technical"


class ContractStatus(StrEnum):
    ACTIVE = "active"
    CANCELLED = "cancelled"


class Company(Versioned, Base):
    """A legal entity of the provider that issues invoices."""

    __tablename__ = "company"

    id: Mapped[Id]
    name: Mapped[str]
    document: Mapped[str] = mapped_column(unique=True)


class Customer(Versioned, Base):
    __tablename__ = "customer"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(index=True)
    kind: Mapped[CustomerKind] = mapped_column(enum_column(CustomerKind))
    document: Mapped[str | None] = mapped_column(unique=True)
    external_ref: Mapped[str | None] = mapped_column(unique=True)

    contacts: Mapped[list[Contact]] = relationship(
        lazy="raise", cascade="all, delete-orphan", order_by="Contact.id", passive_deletes=True
    )


class Contact(Base):
    __tablename__ = "contact"

    id: Mapped[Id]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"), index=True)
    role: Mapped[ContactRole] = mapped_column(enum_column(ContactRole))
    name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    whatsapp: Mapped[str | None]
    language: Mapped[str] = mapped_column(default="pt_BR", server_default="pt_BR")


class Contract(Versioned, Base):
    """Holder, payer and due day; billing touches a contract's services and no others."""

    __tablename__ = "contract"
    __table_args__ = (CheckConstraint("due_day BETWEEN 1 AND 31", name="due_day"),)

    id: Mapped[Id]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    payer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    company_id: Mapped[int | None] = mapped_column(ForeignKey("company.id"), index=True)
    due_day: Mapped[int] = mapped_column(SmallInteger)
    term_months: Mapped[int | None] = mapped_column(SmallInteger)
    started_on: Mapped[date]
    status: Mapped[ContractStatus] = mapped_column(
        enum_column(ContractStatus), default=ContractStatus.ACTIVE, server_default="active"
    )
    cancelled_at: Mapped[datetime | None]

    items: Mapped[list[ContractItem]] = relationship(
        lazy="raise", cascade="all, delete-orphan", order_by="ContractItem.id", passive_deletes=True
    )


class ContractItem(Base):
    """A price of the contract's own, for one of its services or for something described."""

    __tablename__ = "contract_item"
    __table_args__ = (Index("ix_contract_item_contract_id", "contract_id"),)

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("service.id"))
    description: Mapped[str | None]
    price_cents: Mapped[int]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    created_at: Mapped[CreatedAt]

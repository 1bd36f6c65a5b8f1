"""Tables of billing: gateway accounts, inbox, bank files; policies, what is promised and told, and the runs made."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_hooks.bank_files.base import Kind
from billing_hooks.policy import Proof
from core.models.base import Base, CreatedAt, Id, Versioned, enum_column
from core.models.party import CustomerKind


class InboxStatus(StrEnum):
    RECEIVED = "received"
    DONE = "done"
    #: A reversal that came before its payment; the payment's arrival wakes it.
    WAITING = "waiting"
    #: Understood as far as it goes and impossible to apply: a person looks at it.
    FAILED = "failed"


class ChargeStatus(StrEnum):
    ORDERED = "ordered"
    OPEN = "open"
    #: Nobody can pay it any more.
    CLOSED = "closed"
    #: The gateway would not make it; a person looks.
    REFUSED = "refused"


class PromiseKind(StrEnum):
    PROMISE = "promise"
    TRUST_UNLOCK = "trust_unlock"
    #: A bank's app must work to pay a Pix.
    PAYMENT_WINDOW = "payment_window"


class GatewayAccount(Versioned, Base):
    """An account of ours at a gateway: whom webhooks may come from, and how its API is asked.

    While a webhook's secret is rotated, the one before it is valid for a time.
    """

    __tablename__ = "gateway_account"

    id: Mapped[Id]
    gateway: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    secret_encrypted: Mapped[bytes]
    previous_secret_encrypted: Mapped[bytes | None]
    previous_valid_until: Mapped[datetime | None]
    #: Names as the adapter's: base URL and the like; and what stays secret, sealed together as JSON.
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    credentials_encrypted: Mapped[bytes | None]
    enabled: Mapped[bool] = mapped_column(default=True, server_default="true")
    #: Until when its API was read for what no webhook told, and what is wrong with it now, in words for people.
    reconciled_at: Mapped[datetime | None]
    alarm: Mapped[str | None]


class InboxEntry(Base):
    """A webhook that was authentic, as it came. Unique by account and event id."""

    __tablename__ = "inbox_entry"
    __table_args__ = (
        UniqueConstraint("account_id", "event_id"),
        Index("ix_inbox_entry_open", "received_at", postgresql_where=text("status = 'received'")),
        Index("ix_inbox_entry_waiting", "account_id", "awaits", postgresql_where=text("status = 'waiting'")),
    )

    id: Mapped[Id]
    account_id: Mapped[int]
    gateway: Mapped[str]
    event_id: Mapped[str]
    body: Mapped[bytes]
    received_at: Mapped[CreatedAt]
    status: Mapped[InboxStatus] = mapped_column(
        enum_column(InboxStatus), default=InboxStatus.RECEIVED, server_default="received"
    )
    error: Mapped[str | None]
    #: No webhook told of it: it was found when the API was read.
    found: Mapped[bool] = mapped_column(default=False, server_default="false")
    #: The gateway's id of the payment that a waiting entry is about.
    awaits: Mapped[str | None]
    done_at: Mapped[datetime | None]


class BankFileStatus(StrEnum):
    #: Stored, and not read yet.
    RECEIVED = "received"
    #: Its lines are stored; some of them wait for their turn.
    READ = "read"
    #: Everything that its lines prove is done.
    DONE = "done"
    #: It is no such file, or somebody else's: `problems` says where.
    REFUSED = "refused"


class BankLineStatus(StrEnum):
    #: Its turn has not come.
    READ = "read"
    #: It says nothing that changes anything here.
    TOLD = "told"
    #: Its payment is recorded, or its reversal done.
    RECORDED = "recorded"
    #: A reversal whose payment has not come yet.
    AWAITS_PAYMENT = "awaits_payment"
    #: A person says what it is: nothing proves which invoice it pays.
    WAITING = "waiting"
    DISMISSED = "dismissed"


class BankFile(Base):
    """A file of a bank as it came, once: `digest` is SHA-256 of its octets, and of how it was to be read.

    What it says of itself is known when it was read. `how` is {"layout", "mapping", "account"} as far as somebody said.
    `problems` names the lines that could not be read: {"lines": [{"line", "field", "detail"}]}.
    """

    __tablename__ = "bank_file"

    id: Mapped[Id]
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    status: Mapped[BankFileStatus] = mapped_column(enum_column(BankFileStatus))
    octets: Mapped[bytes] = mapped_column(deferred=True)
    how: Mapped[dict[str, Any]] = mapped_column(default=dict)
    format: Mapped[str] = mapped_column(default="")
    layout: Mapped[str] = mapped_column(default="")
    bank: Mapped[str] = mapped_column(default="")
    account: Mapped[str] = mapped_column(default="")
    company_document: Mapped[str] = mapped_column(default="")
    #: The day on which the bank wrote it, and the days of which it tells.
    written_on: Mapped[date | None]
    period_from: Mapped[date | None]
    period_until: Mapped[date | None]
    lines_new: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Lines that an earlier file held, or this one twice.
    lines_repeated: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    problems: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    imported_by: Mapped[str]
    imported_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class BankFileLine(Base):
    """A line of a bank file, in the first file that held it. `identity` makes every repetition this line.

    Amounts in centavos, as in `bank_files.base.BankLine`. A line that waits keeps why.
    """

    __tablename__ = "bank_file_line"
    __table_args__ = (
        UniqueConstraint("identity"),
        Index("ix_bank_file_line_file_id", "file_id", "number"),
        Index("ix_bank_file_line_title", "bank", "account", "title"),
        Index("ix_bank_file_line_open", "id", postgresql_where=text("status IN ('waiting', 'awaits_payment')")),
        Index("ix_bank_file_line_due", "due_file_id", "id", postgresql_where=text("due_file_id IS NOT NULL")),
    )

    id: Mapped[Id]
    file_id: Mapped[int] = mapped_column(ForeignKey("bank_file.id"))
    #: It is to be looked at, and with the work of which file.
    due_file_id: Mapped[int | None] = mapped_column(ForeignKey("bank_file.id"))
    number: Mapped[int] = mapped_column(Integer)
    identity: Mapped[str]
    kind: Mapped[Kind] = mapped_column(enum_column(Kind))
    status: Mapped[BankLineStatus] = mapped_column(enum_column(BankLineStatus))
    bank: Mapped[str]
    account: Mapped[str]
    title: Mapped[str]
    occurrence: Mapped[str]
    paid_cents: Mapped[int]
    nominal_cents: Mapped[int]
    interest_cents: Mapped[int]
    discount_cents: Mapped[int]
    rebate_cents: Mapped[int]
    fee_cents: Mapped[int]
    net_cents: Mapped[int | None]
    occurred_on: Mapped[date | None]
    credited_on: Mapped[date | None]
    due_on: Mapped[date | None]
    document: Mapped[str]
    reference: Mapped[str]
    payer_name: Mapped[str]
    payer_document: Mapped[str]
    check_number: Mapped[str]
    memo: Mapped[str]
    method: Mapped[str]
    end_to_end_id: Mapped[str] = mapped_column(default="", server_default="")
    boleto_key: Mapped[str] = mapped_column(default="", server_default="")
    reason: Mapped[str | None]
    reason_pt: Mapped[str | None]
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"), index=True)
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payment.id"), index=True)
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]


class BankMapping(Versioned, Base):
    """How a bank's or a program's CSV is written, for an account: `body` is a `bank_files.spreadsheet.CsvMapping`."""

    __tablename__ = "bank_mapping"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    body: Mapped[dict[str, Any]]


class ExpectedBankFile(Versioned, Base):
    """Of this account a file is expected for each bank day of these weekdays (Monday is 0), from a day on.

    It has to be there by that hour of the next bank day, in the provider's zone.
    """

    __tablename__ = "expected_bank_file"
    __table_args__ = (UniqueConstraint("bank", "account"),)

    id: Mapped[Id]
    bank: Mapped[str]
    account: Mapped[str]
    weekdays: Mapped[list[int]] = mapped_column(JSONB())
    hour: Mapped[int] = mapped_column(SmallInteger)
    since: Mapped[date]


class Charge(Base):
    """A charge of ours at a gateway: how an invoice may be paid there. An invoice may have had several."""

    __tablename__ = "charge"
    __table_args__ = (UniqueConstraint("account_id", "charge_id"), Index("ix_charge_invoice_id", "invoice_id"))

    id: Mapped[Id]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("gateway_account.id"))
    amount_cents: Mapped[int]
    due_date: Mapped[date]
    status: Mapped[ChargeStatus] = mapped_column(
        enum_column(ChargeStatus), default=ChargeStatus.ORDERED, server_default="ordered"
    )
    #: The gateway's id, once it is made.
    charge_id: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    closed_at: Mapped[datetime | None]


class BillingPolicy(Versioned, Base):
    """What is done about debts, as data (`billing_hooks.policy`); one may be the default of a kind of customer."""

    __tablename__ = "billing_policy"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    body: Mapped[dict[str, Any]]
    default_for: Mapped[CustomerKind | None] = mapped_column(enum_column(CustomerKind), unique=True)


class ContractBilling(Versioned, Base):
    """What billing knows of a contract beside its invoices. Without a row: the default policy and no exemption."""

    __tablename__ = "contract_billing"

    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"), primary_key=True)
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("billing_policy.id"))
    #: Never restricted (a hospital, a school, the mayor's radio), and why; a review is due on its day, never an end.
    exemption: Mapped[str | None]
    exemption_review_on: Mapped[date | None]
    #: First restricted for a debt that is owed still.
    restricted_since: Mapped[datetime | None]
    #: When a person was asked to end it.
    termination_proposed_at: Mapped[datetime | None]


class Holiday(Base):
    """One of the provider's own list, on top of what the law says (see `billing_hooks.days`)."""

    __tablename__ = "holiday"

    id: Mapped[Id]
    name: Mapped[str]
    month: Mapped[int] = mapped_column(SmallInteger)
    day: Mapped[int] = mapped_column(SmallInteger)
    year: Mapped[int | None] = mapped_column(SmallInteger)
    state: Mapped[str | None]
    ibge_code: Mapped[str | None]


class Promise(Base):
    """Somebody may go on for a while although he owes: a promise of payment, a trust unlock, the time to pay a Pix."""

    __tablename__ = "promise"
    __table_args__ = (Index("ix_promise_contract_id", "contract_id", "until"),)

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    kind: Mapped[PromiseKind] = mapped_column(enum_column(PromiseKind))
    #: Of a payment window: what is to be paid.
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id", ondelete="CASCADE"))
    until: Mapped[datetime]
    given_by: Mapped[str]
    note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    withdrawn_at: Mapped[datetime | None]


class DebtMessage(Base):
    """A reminder or notice of debt: its text, by what rule, and the proof that it reached. Once an invoice and step."""

    __tablename__ = "debt_message"
    __table_args__ = (UniqueConstraint("invoice_id", "step"), Index("ix_debt_message_contract_id", "contract_id"))

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id", ondelete="CASCADE"))
    policy: Mapped[str]
    step: Mapped[str]
    #: The notice of debt, without which nobody is suspended; else a reminder.
    is_notice: Mapped[bool]
    text_en: Mapped[str]
    text_pt: Mapped[str]
    created_at: Mapped[CreatedAt]
    #: When it reached, how that is known, and what shows it (provider's id, channel, who called whom).
    reached_at: Mapped[datetime | None]
    proof: Mapped[Proof | None] = mapped_column(enum_column(Proof))
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))


class BillingRun(Base):
    """One run of the engine over all contracts; what it decided of each is a `BillingDecision`.

    `placed` and `lifted` count contracts as the chunks are done. A contract that was paid in between counts nowhere.
    """

    __tablename__ = "billing_run"

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    considered: Mapped[int] = mapped_column(Integer)
    placed: Mapped[int] = mapped_column(Integer, default=0)
    lifted: Mapped[int] = mapped_column(Integer, default=0)
    messages: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Who looked at a run that was stopped, and had it go on.
    forced_by: Mapped[str | None]
    chunks_left: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    finished_at: Mapped[datetime | None]


class BillingDecision(Base):
    """What a run decided of one contract and by what rule; `done_at` where it was done, and what came of it else."""

    __tablename__ = "billing_decision"
    __table_args__ = (Index("ix_billing_decision_contract_id", "contract_id", "id"),)

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ForeignKey("billing_run.id", ondelete="CASCADE"), index=True)
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    action: Mapped[str]
    policy: Mapped[str]
    step: Mapped[str | None]
    invoice_id: Mapped[int | None]
    reason: Mapped[str]
    reason_pt: Mapped[str]
    service_ids: Mapped[list[int]] = mapped_column(JSONB())
    done_at: Mapped[datetime | None]
    outcome: Mapped[str | None]

"""Tables of billing: gateway accounts, inbox, bank files; policies, what is promised and told, and the runs made;
invoices of our own; changes of plan and pauses."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_hooks.bank_files.base import Kind
from billing_hooks.invoicing.period import Timing
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


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    #: It asks a person: nothing of it was done.
    STOPPED = "stopped"


class ReviewOutcome(StrEnum):
    UPHELD = "upheld"
    #: It was wrong, and what is right was done.
    UNDONE = "undone"


class Remedy(StrEnum):
    """What a person puts in the place of a decision that was wrong."""

    PROMISE = "promise"
    EXEMPTION = "exemption"
    #: The invoice is contested, and counts no more while that is open.
    CONTEST = "contest"


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
    #: Until when its API was read for what no webhook told; what is wrong with it now, which keeps runs from being
    #: believed; and what will be wrong if nobody does something. In words for people, in both languages.
    reconciled_at: Mapped[datetime | None]
    alarm: Mapped[str | None]
    alarm_pt: Mapped[str | None]
    warning: Mapped[str | None]
    warning_pt: Mapped[str | None]


class InboxEntry(Base):
    """A webhook that was authentic, as it came. Unique by account and event id."""

    __tablename__ = "inbox_entry"
    __table_args__ = (
        UniqueConstraint("account_id", "event_id"),
        Index("ix_inbox_entry_open", "received_at", postgresql_where=text("status = 'received'")),
        Index("ix_inbox_entry_waiting", "account_id", "awaits", postgresql_where=text("status = 'waiting'")),
        Index("ix_inbox_entry_account_id", "account_id", "received_at"),
        Index("ix_inbox_entry_untold", "account_id", postgresql_where=text("found AND told_at IS NULL")),
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
    #: When a webhook told of it all the same: it was late, not lost.
    told_at: Mapped[datetime | None]
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
    #: How much of the amount is fine and interest: the charge of a second copy asks for them as well.
    surcharge_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    #: What the gateway asks less of who pays by that day.
    early_discount_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    early_discount_until: Mapped[date | None]
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
    #: How its invoices are made; None: as the payer's kind of customer has them.
    invoicing_terms_id: Mapped[int | None] = mapped_column(ForeignKey("invoicing_terms.id"))
    #: Periods that begin on this day or later are invoiced by us; None: somebody else makes its invoices.
    invoiced_since: Mapped[date | None]
    #: Why its next invoice could not be made, in words for people.
    invoicing_error: Mapped[str | None]
    #: The contract has ended, and what was left of it was invoiced.
    settled_at: Mapped[datetime | None]


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
    The list of a run that was stopped never changes: who forces it has done what he looked at.
    """

    __tablename__ = "billing_run"
    __table_args__ = (Index("ix_billing_run_stopped", "at", postgresql_where=text("state = 'stopped'")),)

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
    state: Mapped[RunState] = mapped_column(enum_column(RunState), default=RunState.RUNNING, server_default="running")
    #: Kinds of `guard.Stop`, as "alarm,share", and their reasons in words.
    stopped_for: Mapped[str | None]
    stopped_reason: Mapped[str | None]
    stopped_reason_pt: Mapped[str | None]
    #: The policies that it judged by, by name, as they were (see `policy.to_body`).
    policies: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))


class BillingDecision(Base):
    """What a run decided of one contract and by what rule; `done_at` where it was done, and what came of it else.

    `facts` is what it was judged by, as `cases.facts_of` has it: once it is done, what was so then.
    """

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
    effect: Mapped[str | None]
    #: What the customer is told, where that was decided.
    text_en: Mapped[str | None]
    text_pt: Mapped[str | None]
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))


class BillingReview(Base):
    """A customer asked for a decision to be looked at by a person (LGPD, art. 20), and what came of that."""

    __tablename__ = "billing_review"
    __table_args__ = (
        Index("uq_billing_review_open", "decision_id", unique=True, postgresql_where=text("reviewed_at IS NULL")),
    )

    id: Mapped[Id]
    decision_id: Mapped[int] = mapped_column(ForeignKey("billing_decision.id", ondelete="CASCADE"), index=True)
    #: Who asked and what he says; who of us took that down.
    asked_by: Mapped[str]
    objection: Mapped[str | None]
    asked_at: Mapped[CreatedAt]
    noted_by: Mapped[str]
    outcome: Mapped[ReviewOutcome | None] = mapped_column(enum_column(ReviewOutcome))
    remedy: Mapped[Remedy | None] = mapped_column(enum_column(Remedy))
    #: What the customer is told of it.
    answer: Mapped[str | None]
    reviewed_by: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]


class InvoicingTerms(Versioned, Base):
    """How invoices of our own are made; one set may be the default of a kind of customer."""

    __tablename__ = "invoicing_terms"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    default_for: Mapped[CustomerKind | None] = mapped_column(enum_column(CustomerKind), unique=True)
    timing: Mapped[Timing] = mapped_column(enum_column(Timing))
    #: Days before the due date on which an invoice is made.
    lead_days: Mapped[int] = mapped_column(SmallInteger)
    #: Of what is paid late, in hundredths of a percent (see billing_hooks.invoicing.late).
    fine_bp: Mapped[int] = mapped_column(Integer)
    interest_bp_month: Mapped[int] = mapped_column(Integer)
    #: Let off who pays so many days before the due date, in hundredths of a percent.
    early_discount_bp: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    early_discount_days: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    #: Where each invoice is charged.
    account_id: Mapped[int | None] = mapped_column(ForeignKey("gateway_account.id"))
    #: For a static Pix code on the invoice, where no gateway makes one.
    pix_key: Mapped[str | None]
    pix_name: Mapped[str | None]
    pix_city: Mapped[str | None]
    #: What every invoice says beside its lines.
    notice: Mapped[str | None]


class BilledPeriod(Base):
    """A period of a contract that was invoiced, once; without an invoice where nothing was to be paid.

    `facts` are what it was made from (`billing_hooks.invoicing.facts.Facts`), so that a later correction finds the
    prices of then; `lines` are what it says. `charged_cents`: all lines but credits; `corrected_cents`: what later
    invoices charged (or credited, negative) for it.
    """

    __tablename__ = "billed_period"
    __table_args__ = (
        Index(
            "uq_billed_period_contract_id", "contract_id", "start", unique=True,
            postgresql_where=text("cancelled_at IS NULL"),
        ),
    )  # fmt: skip

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    start: Mapped[date]
    end: Mapped[date]
    cycle_start: Mapped[date]
    cycle_end: Mapped[date]
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"), unique=True)
    facts: Mapped[dict[str, Any]]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    charged_cents: Mapped[int]
    corrected_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    total_cents: Mapped[int]
    created_at: Mapped[CreatedAt]
    #: Its invoice was cancelled: the days may be invoiced anew by a person.
    cancelled_at: Mapped[datetime | None]


class AdjustmentKind(StrEnum):
    #: Charged once.
    EXTRA = "extra"
    #: Taken off while it is valid.
    DISCOUNT = "discount"
    #: Money that the customer is owed, taken off until it is used up.
    CREDIT = "credit"


class Adjustment(Base):
    """An extra, a discount or a credit of a contract, beside the prices of its items."""

    __tablename__ = "contract_adjustment"
    __table_args__ = (
        Index("ix_contract_adjustment_contract_id", "contract_id"),
        CheckConstraint("(kind = 'discount') OR amount_cents IS NOT NULL", name="amount"),
        CheckConstraint("amount_cents IS NULL OR percent_bp IS NULL", name="one_measure"),
    )

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    kind: Mapped[AdjustmentKind] = mapped_column(enum_column(AdjustmentKind))
    text_pt: Mapped[str]
    text_en: Mapped[str]
    #: Of a discount: each cycle.
    amount_cents: Mapped[int | None]
    percent_bp: Mapped[int | None] = mapped_column(Integer)
    #: Of an extra: the day with whose period it is charged, or the next one that is invoiced. Of a discount: its days.
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    #: Of a credit: what invoices took of it.
    used_cents: Mapped[int] = mapped_column(default=0, server_default="0")
    #: Of an extra: with which period it was charged.
    billed_period_id: Mapped[int | None] = mapped_column(ForeignKey("billed_period.id"), index=True)
    #: Of a correction: the period that it makes good.
    corrects_period_id: Mapped[int | None] = mapped_column(ForeignKey("billed_period.id"))
    given_by: Mapped[str]
    created_at: Mapped[CreatedAt]
    withdrawn_at: Mapped[datetime | None]


class PlanChange(Base):
    """Another plan for a service, and another price for its contract item, from a day of the provider's calendar on.

    Of a service those that are not applied follow each other: `old_` is what the one before it leaves.
    """

    __tablename__ = "plan_change"
    __table_args__ = (
        Index(
            "uq_plan_change_service_id", "service_id", "on", unique=True, postgresql_where=text("withdrawn_at IS NULL")
        ),
        Index("ix_plan_change_contract_id", "contract_id"),
        Index(
            "ix_plan_change_planned",
            "on",
            postgresql_where=text("applied_at IS NULL AND withdrawn_at IS NULL AND error IS NULL"),
        ),
    )

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    #: A plain number: who replaces the items of a contract replaces this one, too.
    item_id: Mapped[int]
    on: Mapped[date]
    old_plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    new_plan_id: Mapped[int] = mapped_column(ForeignKey("plan.id"))
    old_cents: Mapped[int]
    new_cents: Mapped[int]
    asked_by: Mapped[str]
    note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    applied_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    #: Why it could not be done on its day; a person withdraws it and asks anew.
    error: Mapped[str | None]


class Pause(Base):
    """A service rests because its customer asked for it: from `start` up to, and without, `end`."""

    __tablename__ = "pause"
    __table_args__ = (
        Index("ix_pause_service_id", "service_id"),
        Index("ix_pause_contract_id", "contract_id"),
        Index("ix_pause_open", "start", postgresql_where=text("ended_at IS NULL AND withdrawn_at IS NULL")),
    )

    id: Mapped[Id]
    contract_id: Mapped[int] = mapped_column(ForeignKey("contract.id", ondelete="CASCADE"))
    service_id: Mapped[int] = mapped_column(ForeignKey("service.id", ondelete="CASCADE"))
    start: Mapped[date]
    end: Mapped[date]
    asked_by: Mapped[str]
    note: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    #: Once it began.
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("hold.id"))
    #: When the service was back, and the first day that is charged again.
    ended_at: Mapped[datetime | None]
    charged_from: Mapped[date | None]
    withdrawn_at: Mapped[datetime | None]

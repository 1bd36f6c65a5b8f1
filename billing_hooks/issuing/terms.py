"""How a contract's invoices are made: its own set of terms, its payer's kind's, or those that come with the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.gateways import ADAPTERS
from billing_hooks.invoicing import br_code
from billing_hooks.invoicing.late import LateTerms, PayerKind
from billing_hooks.invoicing.period import Timing
from billing_hooks.models import ContractBilling, GatewayAccount, InvoicingTerms
from core import audit
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.models.party import CustomerKind

#: An invoice is with the payer that many days before it is due (Anatel 765/2023, as providers' invoices say it).
NOTICE_DAYS: Final = 5
LEAD_DAYS_MAX: Final = 27
PAYERS: Final = {CustomerKind.PERSON: PayerKind.CONSUMER, CustomerKind.BUSINESS: PayerKind.BUSINESS}
_WHOLE_BP: Final = 10_000
_UNIQUE: Final = {"name": "name", "default_for": "default_for"}
#: What nobody chose otherwise: paid in advance, known ten days before, a consumer's fine and interest.
DEFAULTS: Final[Mapping[str, Any]] = {
    "default_for": None, "timing": Timing.IN_ADVANCE, "lead_days": 10, "fine_bp": 200, "interest_bp_month": 100,
    "early_discount_bp": 0, "early_discount_days": 0,
    "account_id": None, "pix_key": None, "pix_name": None, "pix_city": None, "notice": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TermsBook:
    """All of them, read once."""

    by_id: Mapping[int, InvoicingTerms]
    by_kind: Mapping[CustomerKind, InvoicingTerms]

    def of(self, terms_id: int | None, kind: CustomerKind) -> InvoicingTerms:
        if terms_id is not None:
            return self.by_id[terms_id]
        return self.by_kind.get(kind) or InvoicingTerms(name="standard", **DEFAULTS)


def load(session: Session) -> TermsBook:
    rows = session.scalars(select(InvoicingTerms)).all()
    return TermsBook({row.id: row for row in rows}, {row.default_for: row for row in rows if row.default_for})


def create_terms(session: Session, values: Mapping[str, Any], actor: Actor) -> InvoicingTerms:
    """Raises InvalidInput or Conflict naming the field."""
    row = InvoicingTerms(**{**DEFAULTS, **values})
    _check(session, row)
    session.add(row)
    flush_unique(session, _UNIQUE)
    audit.record(session, actor, "create", "invoicing_terms", row.id, dict(values))
    return row


def get_terms(session: Session, terms_id: int) -> InvoicingTerms:
    row = session.get(InvoicingTerms, terms_id)
    if row is None:
        raise NotFound("invoicing terms", terms_id)
    return row


def update_terms(session: Session, row: InvoicingTerms, values: Mapping[str, Any], actor: Actor) -> InvoicingTerms:
    """Invoices that are made already stay as they are."""
    changed = apply_changes(row, values)
    _check(session, row)
    flush_unique(session, _UNIQUE)
    if changed:
        audit.record(session, actor, "update", "invoicing_terms", row.id, changed)
    return row


def remove_terms(session: Session, row: InvoicingTerms, actor: Actor) -> None:
    """Raises Conflict while a contract has them."""
    used = session.scalar(select(ContractBilling.contract_id).where(ContractBilling.invoicing_terms_id == row.id))
    if used is not None:
        raise Conflict(f"contract {used} is invoiced by {row.name}; give it other terms first")
    audit.record(session, actor, "remove", "invoicing_terms", row.id, {"name": row.name})
    session.delete(row)
    session.flush()


def late_terms(row: InvoicingTerms, kind: CustomerKind) -> LateTerms:
    """For this payer. Raises InvalidInput for more than a consumer may be asked."""
    return LateTerms(row.fine_bp, row.interest_bp_month, PAYERS[kind])


def early_discount(row: InvoicingTerms, total_cents: int, due_date: date) -> tuple[int, date | None]:
    """What is let off who pays the whole by that day; (0, None) where that is nothing. Rounded down."""
    cents = total_cents * row.early_discount_bp // _WHOLE_BP
    return (cents, due_date - timedelta(days=row.early_discount_days)) if cents else (0, None)


def _check(session: Session, row: InvoicingTerms) -> None:
    if not NOTICE_DAYS <= row.lead_days <= LEAD_DAYS_MAX:
        raise InvalidInput(f"an invoice is made {NOTICE_DAYS} to {LEAD_DAYS_MAX} days ahead", field="lead_days")
    # Where they are nobody's default, who gets them is checked with them.
    late_terms(row, row.default_for or CustomerKind.BUSINESS)
    _check_account(session, row.account_id)
    _check_early(session, row)
    _check_pix(row)


def _check_account(session: Session, account_id: int | None) -> None:
    if account_id is None:
        return
    account = session.get(GatewayAccount, account_id)
    if account is None:
        raise InvalidInput(f"there is no gateway account {account_id}", field="account_id")
    if account.credentials_encrypted is None:
        raise InvalidInput(f"account {account.name} has no credentials to order with", field="account_id")


def _check_early(session: Session, row: InvoicingTerms) -> None:
    """A discount that is printed is one that the payer's code gives."""
    if not 0 <= row.early_discount_bp < _WHOLE_BP:
        raise InvalidInput("is 0 to 9999 hundredths of a percent", field="early_discount_bp")
    if not 0 <= row.early_discount_days <= row.lead_days:
        raise InvalidInput(
            f"an invoice is made {row.lead_days} days ahead, and nobody pays it earlier", field="early_discount_days"
        )
    if row.early_discount_bp and row.account_id is not None:
        gateway = session.get_one(GatewayAccount, row.account_id).gateway
        if not ADAPTERS[gateway].takes_discount:
            raise InvalidInput(f"{gateway} asks no less of who pays early", field="early_discount_bp")


def _check_pix(row: InvoicingTerms) -> None:
    parts = {"pix_key": row.pix_key, "pix_name": row.pix_name, "pix_city": row.pix_city}
    if not any(parts.values()):
        return
    missing = [name for name, value in parts.items() if not value]
    if missing:
        raise InvalidInput("a static Pix code needs the key, the name and the city", field=missing[0])
    try:
        br_code.StaticCode(row.pix_key or "", row.pix_name or "", row.pix_city or "").folded()
    except InvalidInput as wrong:
        raise InvalidInput(wrong.detail, field=f"pix_{wrong.field}") from None

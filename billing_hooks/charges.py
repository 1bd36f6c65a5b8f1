"""Charges of ours at gateways: ordered for an invoice, made there, told to the payer, and closed when nobody is to pay.

An order is a row before it is a request: it is made again until the gateway has it, under a key by which the gateway
(or the adapter, where the gateway knows none) makes it one charge. What the payer needs stands on the invoice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks import accounts
from billing_hooks.errands import Errand, Errands
from billing_hooks.gateways import ADAPTERS, base
from billing_hooks.gateways.base import ChargeOrder, GatewayApi, Payer
from billing_hooks.invoicing.late import Debt, IsHoliday, amount_due
from billing_hooks.invoicing.words import money
from billing_hooks.issuing.owed import debt_of
from billing_hooks.models import Charge, ChargeStatus, GatewayAccount
from core import audit, events, invoices, outbox, topics
from core.audit import Actor
from core.clock import Clock
from core.errors import Conflict, InvalidInput
from core.models.billing import Invoice, InvoiceStatus
from core.models.party import Contact, ContactRole, Contract, Customer
from core.models.service import Service
from core.work import Afterwards


def order_charge(
    session: Session, invoice_id: int, account_id: int, actor: Actor, today: date, is_holiday: IsHoliday, *,
    due_date: date | None = None, waive_late: bool = False,
) -> Charge:  # fmt: skip
    """Owe a charge for what is missing of this invoice on its due date, or on a later one: a second copy, which asks
    for fine and interest until then, unless they are waived. Raises NotFound, InvalidInput or Conflict.
    """
    invoice = invoices.get_invoice(session, invoice_id, lock=True)
    if invoice.status is not InvoiceStatus.OPEN:
        raise Conflict(f"invoice {invoice_id} is {invoice.status.value}, not open")
    account = accounts.get_account(session, account_id)
    if account.credentials_encrypted is None:
        raise InvalidInput(
            f"account {account.name} has no credentials to order with", field="account_id",
            detail_pt=f"a conta {account.name} não tem credenciais para mandar fazer cobranças",
        )  # fmt: skip
    due = due_date or invoice.due_date
    if due < today:
        raise InvalidInput(
            "a charge cannot be due in the past; say a new day", field="due_date",
            detail_pt="uma cobrança não pode vencer no passado; diga outro dia",
        )  # fmt: skip
    payer_of(session, invoice)
    debt = debt_of(session, invoice)
    owed = amount_due(debt, due, is_holiday)
    surcharge_cents = 0 if waive_late else owed.fine_cents + owed.interest_cents
    amount_cents = owed.principal_cents + surcharge_cents
    let_off, until = _early(account, debt, due, today)
    _refuse_too_little(account, amount_cents - let_off)
    charge = Charge(
        invoice_id=invoice_id, account_id=account_id, amount_cents=amount_cents, surcharge_cents=surcharge_cents,
        early_discount_cents=let_off, early_discount_until=until, due_date=due,
    )  # fmt: skip
    session.add(charge)
    session.flush()
    audit.record(session, actor, "order", "charge", charge.id, {"invoice_id": invoice_id, "account_id": account_id})
    outbox.enqueue(session, topics.CHARGE_DUE, {"charge_row_id": charge.id})
    return charge


def find_charge(session: Session, account_id: int, charge_id: str) -> Charge | None:
    """Each that an invoice ever had is its own."""
    return session.scalar(select(Charge).where(Charge.account_id == account_id, Charge.charge_id == charge_id))


def close_paid(session: Session, charge: Charge, now: datetime) -> None:
    """Its money came: there is nothing to close at the gateway, which would refuse it."""
    if charge.status in {ChargeStatus.OPEN, ChargeStatus.ORDERED}:
        charge.status, charge.closed_at = ChargeStatus.CLOSED, now
        session.flush()


def payer_of(session: Session, invoice: Invoice) -> Payer:
    """Raises InvalidInput where the payer has no document, without which no gateway makes a charge."""
    row = session.execute(
        select(Customer, Contract.id)
        .join(Contract, Contract.payer_id == Customer.id)
        .where(Contract.id == invoice.contract_id)
    ).one()
    customer: Customer = row[0]
    if not customer.document:
        raise InvalidInput(
            f"{customer.name} has no document (CPF or CNPJ)", field="customer.document",
            detail_pt=f"{customer.name} não tem documento (CPF ou CNPJ)",
        )  # fmt: skip
    found = session.scalars(select(Contact).where(Contact.customer_id == customer.id).order_by(Contact.id)).all()
    contact = min(
        found, key=lambda one: (one.role is not ContactRole.BILLING, one.role is not ContactRole.MAIN), default=None
    )
    address = session.scalar(
        select(Service.address).where(Service.contract_id == invoice.contract_id).order_by(Service.id).limit(1)
    ) or {}  # fmt: skip
    return Payer(
        name=customer.name, document=customer.document, email=contact.email if contact else None,
        phone=(contact.whatsapp or contact.phone) if contact else None, street=str(address.get("street") or ""),
        number=str(address.get("number") or ""), district=str(address.get("district") or ""),
        postal_code=str(address.get("postal_code") or ""), city=str(address.get("city") or ""),
        state=str(address.get("state") or ""),
    )  # fmt: skip


def _early(account: GatewayAccount, debt: Debt, due: date, today: date) -> tuple[int, date | None]:
    """The discount that the charge carries: none on a second copy."""
    until = debt.terms.discount_until
    if until is None or until < today or due > debt.due_date or not ADAPTERS[account.gateway].takes_discount:
        return 0, None
    return debt.terms.discount_cents, min(until, due)


def _refuse_too_little(account: GatewayAccount, amount_cents: int) -> None:
    """The gateway would, and then it is told to nobody who is there."""
    adapter = ADAPTERS[account.gateway]
    least_cents = adapter.charge_cents_min({**adapter.settings, **account.settings})
    if amount_cents >= least_cents:
        return
    asked, least = money(amount_cents), money(least_cents)
    raise InvalidInput(
        f"{asked} is too little for a charge: at least {least} at this gateway", field="amount_cents",
        detail_pt=f"{asked} é pouco para uma cobrança: pelo menos {least} neste gateway",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Charger:
    """`public_url`: ours, under which gateways that are told a URL with each charge send their events."""

    errands: Errands
    clock: Clock
    public_url: str = ""

    def handle_due(self, session: Session, payload: dict[str, Any]) -> Afterwards | None:
        """Handler of CHARGE_DUE: make it, or close it."""
        charge = session.get(Charge, payload["charge_row_id"])
        if charge is None or charge.status not in {ChargeStatus.ORDERED, ChargeStatus.OPEN}:
            return None
        invoice = session.get_one(Invoice, charge.invoice_id)
        if invoice.status is InvoiceStatus.OPEN:
            made = charge.status is ChargeStatus.OPEN
            return None if made else self.errands.begin(session, self._making(session, charge, invoice, payload))
        if charge.charge_id is None:
            _close(session, charge.id, self.clock)
            return None
        return self.errands.begin(session, self._closing(charge, payload))

    def handle_invoice_closed(self, session: Session, payload: dict[str, Any]) -> None:
        """Handler of INVOICE_CLOSED."""
        of_invoice = Charge.invoice_id == payload["invoice_id"]
        live = Charge.status.in_([ChargeStatus.ORDERED, ChargeStatus.OPEN])
        for charge_row_id in session.scalars(select(Charge.id).where(of_invoice, live)).all():
            outbox.enqueue(session, topics.CHARGE_DUE, {"charge_row_id": charge_row_id})

    def _making(
        self, session: Session, charge: Charge, invoice: Invoice, payload: dict[str, Any]
    ) -> Errand[base.Charge]:
        account = session.get_one(GatewayAccount, charge.account_id)
        # A second fine, and interest on interest, are nobody's to ask: a copy that is paid late asks for no more.
        again = charge.due_date > invoice.due_date
        order = ChargeOrder(
            key=f"charge-{charge.id}", invoice_id=invoice.id, amount_cents=charge.amount_cents,
            due_date=charge.due_date, description=invoice.description or f"Fatura {invoice.id}",
            payer=payer_of(session, invoice), fine_bp=0 if again else invoice.fine_bp,
            interest_bp_month=0 if again else invoice.interest_bp_month,
            discount_cents=charge.early_discount_cents, discount_until=charge.early_discount_until,
            notify_url=f"{self.public_url}/hooks/{account.gateway}" if self.public_url else "",
        )  # fmt: skip
        charge_row_id = charge.id
        return Errand(
            charge.account_id, topics.CHARGE_DUE, payload,
            go=lambda api: api.create(order),
            conclude=lambda session, made: _made(session, charge_row_id, made),
            refuse=lambda session, detail: _refused(session, charge_row_id, detail),
        )  # fmt: skip

    def _closing(self, charge: Charge, payload: dict[str, Any]) -> Errand[None]:
        charge_row_id, charge_id = charge.id, charge.charge_id or ""

        def close(api: GatewayApi) -> None:
            api.cancel(charge_id)

        return Errand(
            charge.account_id, topics.CHARGE_DUE, payload,
            go=close,
            conclude=lambda session, _: _close(session, charge_row_id, self.clock),
            refuse=lambda session, detail: _refused(session, charge_row_id, detail),
        )  # fmt: skip


def _made(session: Session, charge_row_id: int, made: base.Charge) -> None:
    charge = session.get_one(Charge, charge_row_id, with_for_update=True)
    charge.status, charge.charge_id = ChargeStatus.OPEN, made.charge_id
    session.flush()
    invoice = invoices.get_invoice(session, charge.invoice_id, lock=True)
    account = session.get_one(GatewayAccount, charge.account_id)
    values = {
        "external_gateway": account.gateway, "external_account_id": account.id, "external_id": made.charge_id,
        "pix_code": made.pix_code, "boleto_line": made.boleto_line, "url": made.url,
    }  # fmt: skip
    invoices.update_invoice(session, invoice, values, Actor(f"gateway:{account.gateway}"))
    events.record(session, "charge.created", "invoice", invoice.id, charge=made.charge_id, gateway=account.gateway)
    if invoice.status is not InvoiceStatus.OPEN:  # it was paid or cancelled while the gateway worked
        outbox.enqueue(session, topics.CHARGE_DUE, {"charge_row_id": charge.id})


def _refused(session: Session, charge_row_id: int, detail: str) -> None:
    charge = session.get_one(Charge, charge_row_id, with_for_update=True)
    charge.status, charge.error = ChargeStatus.REFUSED, detail
    session.flush()
    events.record(session, "charge.refused", "invoice", charge.invoice_id, charge=charge.charge_id, detail=detail)


def _close(session: Session, charge_row_id: int, clock: Clock) -> None:
    charge = session.get_one(Charge, charge_row_id, with_for_update=True)
    charge.status, charge.closed_at = ChargeStatus.CLOSED, clock()
    session.flush()
    events.record(session, "charge.closed", "invoice", charge.invoice_id, charge=charge.charge_id)

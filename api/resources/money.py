"""Invoices, payments, and the accounts that webhooks may come from."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from api import schemas
from api.context import (
    Db,
    Filter,
    Given,
    IfMatch,
    Paged,
    RefFilter,
    Who,
    check_version,
    list_page,
    matching,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.resources.views import invoice_view, payment_view
from billing_hooks import accounts, policies
from billing_hooks.issuing import issue
from billing_hooks.issuing.owed import parts_in
from billing_hooks.models import GatewayAccount
from core import invoices, payments
from core.models.billing import Invoice, InvoiceStatus, Payment

invoice_routes = APIRouter(prefix="/invoices", tags=["invoices"])
payment_routes = APIRouter(prefix="/payments", tags=["payments"])
account_routes = APIRouter(prefix="/gateway-accounts", tags=["gateway-accounts"])
StatusFilter = Literal["open", "overdue", "paid", "cancelled", "refunded"]


@invoice_routes.get("")
def list_invoices(
    session: Db, _: Who, given: Given, paged: Paged, contract_id: RefFilter = None, status: StatusFilter | None = None,
    external_id: Filter = None,
) -> schemas.PageOf[schemas.InvoiceOut]:  # fmt: skip
    """`open` ones are not due yet; `overdue` ones are open past their due date."""
    query = matching(
        select(Invoice),
        (Invoice.contract_id, reference(contract_id, "contract_id")),
        (Invoice.external_id, external_id),
    )
    if status in {"open", "overdue"}:
        due = Invoice.due_date < given.today() if status == "overdue" else Invoice.due_date >= given.today()
        query = query.where(Invoice.status == InvoiceStatus.OPEN, due)
    elif status is not None:
        query = query.where(Invoice.status == InvoiceStatus(status))
    rows, cursor = list_page(session, query, Invoice.id, paged)
    return schemas.PageOf(items=[invoice_view(row, given.today()) for row in rows], next_cursor=cursor)


@invoice_routes.post("", status_code=201, response_model=schemas.InvoiceOut)
def create_invoice(body: schemas.InvoiceIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    values = _invoice_values(session, body.model_dump(exclude_none=True))
    invoice = invoices.create_invoice(session, values, caller.actor, given.clock())
    return once.created(invoice_view(invoice, given.today()))


@invoice_routes.get("/{invoice_id}")
def get_invoice(invoice_id: str, session: Db, _: Who, given: Given, response: Response) -> schemas.InvoiceOut:
    invoice = invoices.get_invoice(session, parse_id(invoice_id, "invoice"))
    return tagged(response, invoice_view(invoice, given.today()))


@invoice_routes.patch("/{invoice_id}")
def update_invoice(
    invoice_id: str, body: schemas.InvoicePatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> schemas.InvoiceOut:  # fmt: skip
    """Say how it is paid, mark as notified, contest, or cancel."""
    invoice = invoices.get_invoice(session, parse_id(invoice_id, "invoice"), lock=True)
    check_version(invoice.version, if_match)
    values = _invoice_values(session, body.model_dump(exclude_unset=True))
    notified_at, contested, status = (values.pop(name, None) for name in ("notified_at", "contested", "status"))
    invoices.update_invoice(session, invoice, values, caller.actor)
    if notified_at is not None:
        invoices.mark_notified(session, invoice, notified_at, caller.actor, given.clock())
    if contested is not None:
        invoices.set_contested(session, invoice, contested, caller.actor)
    if status is not None:
        issue.cancel(session, invoice, caller.actor, given.clock())
    return tagged(response, invoice_view(invoice, given.today()))


@payment_routes.get("")
def list_payments(
    session: Db, _: Who, paged: Paged, invoice_id: RefFilter = None, external_id: Filter = None
) -> schemas.PageOf[schemas.PaymentOut]:
    """`external_id`: of whoever told of it."""
    query = matching(select(Payment), (Payment.invoice_id, reference(invoice_id, "invoice_id")))
    if external_id is not None:
        query = query.where(or_(Payment.external_id == external_id, Payment.also_id == external_id))
    rows, cursor = list_page(session, query, Payment.id, paged)
    return schemas.PageOf(items=[payment_view(row) for row in rows], next_cursor=cursor)


@payment_routes.post("", status_code=201, response_model=schemas.PaymentOut)
def record_payment(body: schemas.PaymentIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """What is more than missing of a late invoice, and no more than it had come to, is its fine and interest; what is
    less, and no more than its discount for who pays early, was let off."""
    invoice = invoices.get_invoice(session, reference(body.invoice_id, "invoice_id") or 0)
    closes_banks = policies.load_holidays(session, given.country).closes_banks
    paid_on = body.paid_at.astimezone(given.zone).date()
    terms = parts_in(session, invoice, body.amount_cents, paid_on, closes_banks)
    payment = payments.record_payment(
        session, invoice.id, amount_cents=body.amount_cents, paid_at=body.paid_at, method=body.method,
        currency=body.currency, actor=caller.actor, now=given.clock(), terms=terms,
    )  # fmt: skip
    return once.created(payment_view(payment))


@payment_routes.get("/{payment_id}")
def get_payment(payment_id: str, session: Db, _: Who) -> schemas.PaymentOut:
    return payment_view(payments.get_payment(session, parse_id(payment_id, "payment")))


@payment_routes.delete("/{payment_id}")
def reverse_payment(
    payment_id: str, session: Db, caller: Who, given: Given, refund: bool = False
) -> schemas.PaymentOut:
    """The money is gone again; the payment stays on record as reversed.

    A chargeback or a mistake: the invoice is owed again. With `refund=true` we gave the money back: it is not.
    """
    reversed_ = payments.reverse_payment(
        session, parse_id(payment_id, "payment"), now=given.clock(), actor=caller.actor, refund=refund
    )
    return payment_view(reversed_)


@account_routes.get("")
def list_accounts(
    session: Db, _: Who, paged: Paged, gateway: Filter = None
) -> schemas.PageOf[schemas.GatewayAccountOut]:
    query = matching(select(GatewayAccount), (GatewayAccount.gateway, gateway))
    rows, cursor = list_page(session, query, GatewayAccount.id, paged)
    return schemas.PageOf(items=[_account_view(row) for row in rows], next_cursor=cursor)


@account_routes.post("", status_code=201, response_model=schemas.GatewayAccountOut)
def create_account(body: schemas.GatewayAccountIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    account = accounts.create_account(
        session, given.keyring, body.gateway, body.name, body.secret, caller.actor,
        settings=body.settings, credentials=body.credentials,
    )  # fmt: skip
    return once.created(_account_view(account))


@account_routes.get("/{account_id}")
def get_account(account_id: str, session: Db, _: Who, response: Response) -> schemas.GatewayAccountOut:
    return tagged(response, _account_view(accounts.get_account(session, parse_id(account_id, "gateway account"))))


@account_routes.patch("/{account_id}")
def update_account(
    account_id: str, body: schemas.GatewayAccountPatch, session: Db, caller: Who, given: Given, response: Response,
    if_match: IfMatch = None,
) -> schemas.GatewayAccountOut:  # fmt: skip
    account = accounts.get_account(session, parse_id(account_id, "gateway account"))
    check_version(account.version, if_match)
    values = body.model_dump(exclude_unset=True)
    accounts.update_account(session, given.keyring, account, values, caller.actor, given.clock())
    return tagged(response, _account_view(account))


def _account_view(account: GatewayAccount) -> schemas.GatewayAccountOut:
    return schemas.GatewayAccountOut(
        id=str(account.id), gateway=account.gateway, name=account.name, settings=account.settings,
        has_credentials=account.credentials_encrypted is not None, enabled=account.enabled,
        reconciled_at=account.reconciled_at, alarm=account.alarm, alarm_pt=account.alarm_pt,
        warning=account.warning, warning_pt=account.warning_pt,
        previous_valid_until=account.previous_valid_until, version=account.version,
    )  # fmt: skip


def _invoice_values(session: Session, values: dict[str, Any]) -> dict[str, Any]:
    if "contract_id" in values:
        values["contract_id"] = reference(values["contract_id"], "contract_id")
    if "external" in values:
        external = values.pop("external") or {}
        gateway, account_id = external.get("gateway"), reference(external.get("account_id"), "external.account_id")
        if gateway is not None:
            account_id = accounts.account_of_charge(session, gateway, account_id)
        values |= {
            "external_gateway": gateway, "external_account_id": account_id, "external_id": external.get("id"),
        }  # fmt: skip
    return values

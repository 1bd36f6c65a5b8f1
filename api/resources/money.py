"""Invoices, payments, and the accounts that webhooks may come from."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Response
from sqlalchemy import select

from api import schemas
from api.context import Db, Given, IfMatch, Paged, Who, check_version, list_page, parse_id, reference
from api.idempotency import OnceOnly
from api.resources.views import invoice_view, payment_view
from billing_hooks import inbox
from billing_hooks.models import GatewayAccount
from core import invoices
from core.models.billing import Invoice, InvoiceStatus, Payment

invoice_routes = APIRouter(prefix="/invoices", tags=["invoices"])
payment_routes = APIRouter(prefix="/payments", tags=["payments"])
account_routes = APIRouter(prefix="/gateway-accounts", tags=["gateway-accounts"])


@invoice_routes.get("")
def list_invoices(
    session: Db, _: Who, given: Given, paged: Paged, contract_id: str | None = None, status: InvoiceStatus | None = None
) -> schemas.PageOf[schemas.InvoiceOut]:
    query = select(Invoice)
    if contract_id is not None:
        query = query.where(Invoice.contract_id == reference(contract_id, "contract_id"))
    if status is not None:
        query = query.where(Invoice.status == status)
    rows, cursor = list_page(session, query, Invoice.id, paged)
    return schemas.PageOf(items=[invoice_view(row, _today(given)) for row in rows], next_cursor=cursor)


@invoice_routes.post("", status_code=201, response_model=schemas.InvoiceOut)
def create_invoice(body: schemas.InvoiceIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    values = body.model_dump(exclude_none=True)
    values["contract_id"] = reference(body.contract_id, "contract_id")
    return once.created(invoice_view(invoices.create_invoice(session, values, caller.actor), _today(given)))


@invoice_routes.get("/{invoice_id}")
def get_invoice(invoice_id: str, session: Db, _: Who, given: Given) -> schemas.InvoiceOut:
    return invoice_view(invoices.get_invoice(session, parse_id(invoice_id, "invoice")), _today(given))


@invoice_routes.patch("/{invoice_id}")
def update_invoice(
    invoice_id: str, body: schemas.InvoicePatch, session: Db, caller: Who, given: Given, if_match: IfMatch = None
) -> schemas.InvoiceOut:
    """Mark as notified, contest, or cancel."""
    invoice = invoices.get_invoice(session, parse_id(invoice_id, "invoice"), lock=True)
    check_version(invoice.version, if_match)
    if body.notified_at is not None:
        invoices.mark_notified(session, invoice, body.notified_at, caller.actor)
    if "contested" in body.model_fields_set:
        invoices.set_contested(session, invoice, body.contested, caller.actor)
    if "status" in body.model_fields_set:
        invoices.cancel_invoice(session, invoice, caller.actor)
    return invoice_view(invoice, _today(given))


@payment_routes.get("")
def list_payments(
    session: Db, _: Who, paged: Paged, invoice_id: str | None = None
) -> schemas.PageOf[schemas.PaymentOut]:
    query = select(Payment)
    if invoice_id is not None:
        query = query.where(Payment.invoice_id == reference(invoice_id, "invoice_id"))
    rows, cursor = list_page(session, query, Payment.id, paged)
    return schemas.PageOf(items=[payment_view(row) for row in rows], next_cursor=cursor)


@payment_routes.post("", status_code=201, response_model=schemas.PaymentOut)
def record_payment(body: schemas.PaymentIn, session: Db, caller: Who, once: OnceOnly) -> Response:
    payment = invoices.record_payment(
        session, reference(body.invoice_id, "invoice_id") or 0, amount_cents=body.amount_cents, paid_at=body.paid_at,
        method=body.method, actor=caller.actor,
    )  # fmt: skip
    return once.created(payment_view(payment))


@payment_routes.delete("/{payment_id}")
def reverse_payment(payment_id: str, session: Db, caller: Who, given: Given) -> schemas.PaymentOut:
    """A refund or chargeback; the payment stays on record as reversed."""
    reversed_ = invoices.reverse_payment(
        session, parse_id(payment_id, "payment"), now=given.clock(), actor=caller.actor
    )
    return payment_view(reversed_)


@account_routes.get("")
def list_accounts(session: Db, _: Who, paged: Paged) -> schemas.PageOf[schemas.GatewayAccountOut]:
    rows, cursor = list_page(session, select(GatewayAccount), GatewayAccount.id, paged)
    return schemas.PageOf(items=[_account_view(row) for row in rows], next_cursor=cursor)


@account_routes.post("", status_code=201, response_model=schemas.GatewayAccountOut)
def create_account(body: schemas.GatewayAccountIn, session: Db, _: Who, given: Given, once: OnceOnly) -> Response:
    account = inbox.create_account(session, given.keyring, body.gateway, body.name, body.secret)
    return once.created(_account_view(account))


def _account_view(account: GatewayAccount) -> schemas.GatewayAccountOut:
    return schemas.GatewayAccountOut(
        id=str(account.id), gateway=account.gateway, name=account.name, enabled=account.enabled
    )


def _today(given: Given) -> date:
    return given.clock().astimezone(given.zone).date()

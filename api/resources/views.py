"""Rows as what goes out. Personal data is masked for roles that do not need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session as DatabaseSession

from api import schemas
from api.access import mask, sees_personal_data
from core import audit, holds, sessions
from core.audit import Actor
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.network import Nas, OctetsDirection, Session
from core.models.party import Company, Contract, Customer
from core.models.service import Hold, Plan, Service
from core.models.system import Role


def text_id(value: int | None) -> str | None:
    return None if value is None else str(value)


def plan_view(plan: Plan) -> schemas.PlanOut:
    throttle = schemas.Throttle(down_kbps=plan.throttle_down_kbps, up_kbps=plan.throttle_up_kbps)
    return schemas.PlanOut(
        id=str(plan.id), name=plan.name, down_kbps=plan.down_kbps, up_kbps=plan.up_kbps, burst=plan.burst,
        address_pool=plan.address_pool, address_list=plan.address_list, interim_seconds=plan.interim_seconds,
        session_seconds=plan.session_seconds, throttle=throttle, price_cents=plan.price_cents, version=plan.version,
        idle_seconds=plan.idle_seconds, dns_servers=plan.dns_servers, vrf=plan.vrf,
        ingress_filter=plan.ingress_filter, egress_filter=plan.egress_filter, ipv6_pool=plan.ipv6_pool,
        delegated_ipv6_pool=plan.delegated_ipv6_pool, profile=plan.profile, throttle_profile=plan.throttle_profile,
        session_limit=plan.session_limit, session_limit_strict=plan.session_limit_strict,
        vendor_attributes=plan.vendor_attributes, quota_bytes=plan.quota_bytes, quota_effect=plan.quota_effect,
        prepaid=plan.prepaid, time_windows=plan.time_windows, open_window=plan.open_window,
    )  # fmt: skip


def company_view(company: Company) -> schemas.CompanyOut:
    return schemas.CompanyOut(id=str(company.id), name=company.name, document=company.document, version=company.version)


def customer_view(customer: Customer, role: Role) -> schemas.CustomerOut:
    shown = sees_personal_data(role)
    contacts = [
        schemas.ContactOut(
            role=contact.role, name=contact.name, language=contact.language,
            email=contact.email if shown else mask(contact.email),
            phone=contact.phone if shown else mask(contact.phone),
            whatsapp=contact.whatsapp if shown else mask(contact.whatsapp),
        )
        for contact in customer.contacts
    ]  # fmt: skip
    return schemas.CustomerOut(
        id=str(customer.id), name=customer.name, kind=customer.kind, external_ref=customer.external_ref,
        document=customer.document if shown else mask(customer.document), contacts=contacts, version=customer.version,
    )  # fmt: skip


def contract_view(contract: Contract) -> schemas.ContractOut:
    items = [
        schemas.ItemOut(
            service_id=text_id(item.service_id), description=item.description, price_cents=item.price_cents,
            valid_from=item.valid_from, valid_until=item.valid_until,
        )
        for item in contract.items
    ]  # fmt: skip
    return schemas.ContractOut(
        id=str(contract.id), customer_id=str(contract.customer_id), payer_id=str(contract.payer_id),
        company_id=text_id(contract.company_id), due_day=contract.due_day, term_months=contract.term_months,
        started_on=contract.started_on, status=contract.status, items=items, version=contract.version,
    )  # fmt: skip


def hold_view(hold: Hold) -> schemas.HoldOut:
    return schemas.HoldOut(
        id=str(hold.id), service_id=str(hold.service_id), reason=hold.reason, effect=hold.effect,
        placed_at=hold.placed_at, placed_by=hold.placed_by, until=hold.until, note=hold.note,
        lifted_at=hold.lifted_at, lifted_by=hold.lifted_by,
    )  # fmt: skip


def service_view(session: DatabaseSession, service: Service, role: Role) -> schemas.ServiceOut:
    return service_views(session, [service], role)[0]


def service_views(session: DatabaseSession, rows: Sequence[Service], role: Role) -> list[schemas.ServiceOut]:
    """A page of services: what belongs to them is read for all at once."""
    ids = [service.id for service in rows]
    live = holds.live_holds_of(session, ids)
    online = sessions.services_online(session, ids)
    return [
        schemas.ServiceOut(
            id=str(service.id), contract_id=str(service.contract_id), plan_id=str(service.plan_id), kind=service.kind,
            status=service.status, login=service.login, address=_address(service.address, role),
            ipv4_address=service.ipv4_address, ipv4_routes=list(service.ipv4_routes), ipv6_prefix=service.ipv6_prefix,
            delegated_ipv6_prefix=service.delegated_ipv6_prefix, vendor_attributes=service.vendor_attributes,
            access=service.access,
            policy_fingerprint=service.policy_fingerprint, holds=[hold_view(hold) for hold in live[service.id]],
            online=service.id in online, version=service.version, mac_lock=_mac_lock(service.mac_lock, role),
            circuit_lock=_lock(service.circuit_lock), nas_id=_lock(service.nas_lock),
        )
        for service in rows
    ]  # fmt: skip


def _lock(values: list[str] | None) -> str | list[str] | None:
    """As it was given: one value alone, several in a list, and "learn" while nothing was learned."""
    if values is None:
        return None
    if not values:
        return "learn"
    return values[0] if len(values) == 1 else list(values)


def _mac_lock(values: list[str] | None, role: Role) -> str | list[str] | None:
    """A device's address is personal data."""
    return _lock(values if values is None or sees_personal_data(role) else [mask(mac) or "" for mac in values])


def _address(address: Mapping[str, Any], role: Role) -> dict[str, Any]:
    """Where somebody lives is for those who go there; the city is for everybody."""
    if sees_personal_data(role):
        return dict(address)
    return {key: value for key, value in address.items() if key in _PUBLIC_PLACE}


_PUBLIC_PLACE = frozenset({"city", "state", "ibge_code"})


def log_reveal(session: DatabaseSession, role: Role, actor: Actor, resource: str, ids: Sequence[int]) -> None:
    """Personal data of these is going out unmasked: who saw it, and from where, is kept."""
    if ids and sees_personal_data(role):
        audit.record(session, actor, "reveal", resource, ids[0] if len(ids) == 1 else "list", {"ids": list(ids)})


def nas_view(nas: Nas) -> schemas.NasOut:
    return schemas.NasOut(
        id=str(nas.id), name=nas.name, address=nas.address, vendor=nas.vendor, coa_port=nas.coa_port,
        message_authenticator=nas.message_authenticator, octets_direction=nas.octets_direction, names=nas.names,
        options=nas.options,
        message_authenticator_learned=nas.message_authenticator_learned, login_rules=nas.login_rules,
        disconnects_per_minute=nas.disconnects_per_minute, enforcement_frozen=nas.enforcement_frozen,
        emergency=nas.emergency, emergency_plan_id=text_id(nas.emergency_plan_id), version=nas.version,
        mode=nas.mode, home_server_id=text_id(nas.home_server_id), snmp=nas.snmp or None, routeros=nas.routeros,
        management=nas.management,
    )  # fmt: skip


def session_views(session: DatabaseSession, rows: Sequence[Session]) -> list[schemas.SessionOut]:
    """A page of sessions: what is intended for each, and whose view its NAS's octets are, read for all at once."""
    intended = sessions.intended_fingerprints(session, {row.service_id for row in rows if row.service_id is not None})
    directions = sessions.octets_directions(session, {row.nas_id for row in rows})
    return [_session_view(row, intended.get(row.service_id or 0), directions.get(row.nas_id)) for row in rows]


def _session_view(found: Session, intended: str | None, direction: OctetsDirection | None) -> schemas.SessionOut:
    """Octets as the subscriber sees them: what the NAS received is his upload, unless its entry says otherwise."""
    upload, download = found.input_octets, found.output_octets
    if direction is OctetsDirection.CLIENT:
        upload, download = download, upload
    effective = found.effective_fingerprint
    in_step = None if effective is None or intended is None else effective == intended
    return schemas.SessionOut(
        id=str(found.id), nas_id=str(found.nas_id), box=found.box, acct_session_id=found.acct_session_id,
        service_id=text_id(found.service_id), login=found.login, policy_fingerprint=found.class_fingerprint,
        applied_fingerprint=found.applied_fingerprint, in_step=in_step, started_at=found.started_at,
        updated_at=found.updated_at, stopped_at=found.stopped_at, stop_kind=found.stop_kind,
        terminate_cause=found.terminate_cause, uptime_seconds=found.session_seconds, download_octets=download,
        upload_octets=upload, framed_ipv4=found.framed_ipv4, framed_ipv6_prefix=found.framed_ipv6_prefix,
        delegated_ipv6_prefix=found.delegated_ipv6_prefix, calling_station_id=found.calling_station_id,
        nas_port_id=found.nas_port_id, kind=found.kind, multi_session_id=found.multi_session_id,
        verified_at=found.verified_at,
    )  # fmt: skip


def invoice_view(invoice: Invoice, today: date) -> schemas.InvoiceOut:
    overdue = invoice.status is InvoiceStatus.OPEN and invoice.due_date < today
    return schemas.InvoiceOut(
        id=str(invoice.id), contract_id=str(invoice.contract_id), due_date=invoice.due_date,
        amount_cents=invoice.amount_cents, early_discount_cents=invoice.early_discount_cents,
        early_discount_until=invoice.early_discount_until, currency=invoice.currency, description=invoice.description,
        status="overdue" if overdue else invoice.status, paid_at=invoice.paid_at, notified_at=invoice.notified_at,
        contested=invoice.contested,
        external=_external(invoice.external_gateway, invoice.external_account_id, invoice.external_id),
        pix_code=invoice.pix_code, boleto_line=invoice.boleto_line, url=invoice.url, version=invoice.version,
    )  # fmt: skip


def payment_view(payment: Payment) -> schemas.PaymentOut:
    return schemas.PaymentOut(
        id=str(payment.id), invoice_id=str(payment.invoice_id), amount_cents=payment.amount_cents,
        surcharge_cents=payment.surcharge_cents, discount_cents=payment.discount_cents,
        refunded_cents=payment.refunded_cents, currency=payment.currency, method=payment.method,
        paid_at=payment.paid_at, settled_at=payment.settled_at, net_cents=payment.net_cents,
        reversed_at=payment.reversed_at,
        external=_external(payment.gateway, payment.account_id, payment.external_id),
        also=_external(payment.also_gateway, None, payment.also_id), doubt=payment.doubt, doubt_pt=payment.doubt_pt,
    )  # fmt: skip


def _external(gateway: str | None, account_id: int | None, id_: str | None) -> schemas.ExternalOut | None:
    return None if id_ is None else schemas.ExternalOut(gateway=gateway, account_id=text_id(account_id), id=id_)

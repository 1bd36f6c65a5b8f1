"""What goes in and out over REST. Unknown fields are refused by name; ids are strings; secrets only go in."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from core.access import HoldEffect, HoldReason
from core.models.network import MessageAuthenticatorMode, OctetsDirection, Vendor
from core.models.party import ContactRole, ContractStatus, CustomerKind
from core.models.service import ServiceKind
from core.models.system import Role

_Item = TypeVar("_Item")


def _plain(value: str) -> str:
    """PostgreSQL text holds no NUL, and no UTF-8 holds a lone surrogate."""
    if "\0" in value:
        raise ValueError("has a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return value


Plain = AfterValidator(_plain)
Text = Annotated[str, StringConstraints(min_length=1, max_length=500), Plain]
Login = Annotated[str, StringConstraints(min_length=1, max_length=253), Plain]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=128), Plain]
#: pydantic checks the length of ids; `context` checks what they are.
Ref = Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=r"^[0-9]+$")]
Kbps = Annotated[int, Field(ge=1, le=1_000_000_000)]
Cents = Annotated[int, Field(ge=0, le=10**13)]


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Output(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PageOf(BaseModel, Generic[_Item]):
    items: list[_Item]
    next_cursor: str | None


class BurstIn(Input):
    down_kbps: Kbps
    up_kbps: Kbps
    down_threshold_kbps: Kbps
    up_threshold_kbps: Kbps
    seconds: Annotated[int, Field(ge=1, le=3600)]


class Throttle(Input):
    down_kbps: Kbps
    up_kbps: Kbps


class PlanIn(Input):
    name: Text
    down_kbps: Kbps
    up_kbps: Kbps
    burst: BurstIn | None = None
    address_pool: Annotated[str, StringConstraints(min_length=1, max_length=200), Plain] | None = None
    address_list: Annotated[str, StringConstraints(min_length=1, max_length=200), Plain] | None = None
    interim_seconds: Annotated[int, Field(ge=60, le=86400)] | None = None
    session_seconds: Annotated[int, Field(ge=60, le=31_536_000)] | None = None
    throttle: Throttle | None = None
    price_cents: Cents | None = None


class PlanPatch(PlanIn):
    name: Text = ""
    down_kbps: Kbps = 1
    up_kbps: Kbps = 1


class PlanOut(Output):
    id: str
    name: str
    down_kbps: int
    up_kbps: int
    burst: dict[str, Any] | None
    address_pool: str | None
    address_list: str | None
    interim_seconds: int
    session_seconds: int | None
    throttle: Throttle
    price_cents: int
    version: int


class CompanyIn(Input):
    name: Text
    document: Text


class CompanyPatch(Input):
    name: Text = ""
    document: Text = ""


class CompanyOut(Output):
    id: str
    name: str
    document: str
    version: int


class ContactIn(Input):
    role: ContactRole
    name: Text
    email: Text | None = None
    phone: Text | None = None
    whatsapp: Text | None = None
    language: Annotated[str, StringConstraints(pattern="^(pt_BR|en)$")] = "pt_BR"


class CustomerIn(Input):
    name: Text
    kind: CustomerKind
    document: Text | None = None
    external_ref: Text | None = None
    contacts: Annotated[list[ContactIn], Field(max_length=20)] = []


class CustomerPatch(Input):
    name: Text = ""
    kind: CustomerKind = CustomerKind.PERSON
    document: Text | None = None
    external_ref: Text | None = None
    contacts: Annotated[list[ContactIn], Field(max_length=20)] | None = None


class ContactOut(Output):
    role: str
    name: str
    email: str | None
    phone: str | None
    whatsapp: str | None
    language: str


class CustomerOut(Output):
    id: str
    name: str
    kind: str
    document: str | None
    external_ref: str | None
    contacts: list[ContactOut]
    version: int


class ItemIn(Input):
    service_id: Ref | None = None
    description: Text
    price_cents: Cents
    valid_from: date | None = None
    valid_until: date | None = None


class ContractIn(Input):
    customer_id: Ref
    payer_id: Ref | None = None
    company_id: Ref | None = None
    due_day: Annotated[int, Field(ge=1, le=31)]
    term_months: Annotated[int, Field(ge=1, le=120)] | None = None
    started_on: date
    items: Annotated[list[ItemIn], Field(max_length=200)] = []


class ContractPatch(Input):
    payer_id: Ref = ""
    due_day: Annotated[int, Field(ge=1, le=31)] = 1
    term_months: Annotated[int, Field(ge=1, le=120)] | None = None
    items: Annotated[list[ItemIn], Field(max_length=200)] | None = None
    status: ContractStatus = ContractStatus.ACTIVE


class ItemOut(Output):
    service_id: str | None
    description: str
    price_cents: int
    valid_from: date | None
    valid_until: date | None


class ContractOut(Output):
    id: str
    customer_id: str
    payer_id: str
    company_id: str | None
    due_day: int
    term_months: int | None
    started_on: date
    status: str
    items: list[ItemOut]
    version: int


class InstallationAddress(Input):
    street: Text | None = None
    number: Text | None = None
    district: Text | None = None
    city: Text | None = None
    state: Text | None = None
    postal_code: Text | None = None
    ibge_code: Annotated[str, StringConstraints(pattern="^[0-9]{7}$")] | None = None
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None


class ServiceIn(Input):
    contract_id: Ref
    plan_id: Ref
    kind: ServiceKind = ServiceKind.PPPOE
    login: Login | None = None
    password: Secret | None = None
    address: InstallationAddress | None = None
    ipv4_address: Text | None = None
    ipv4_routes: Annotated[list[Text], Field(max_length=20)] | None = None
    ipv6_prefix: Text | None = None
    delegated_ipv6_prefix: Text | None = None


class ServicePatch(Input):
    plan_id: Ref = ""
    login: Login | None = None
    password: Secret | None = None
    address: InstallationAddress = InstallationAddress()
    ipv4_address: Text | None = None
    ipv4_routes: Annotated[list[Text], Field(max_length=20)] = []
    ipv6_prefix: Text | None = None
    delegated_ipv6_prefix: Text | None = None


class HoldOut(Output):
    id: str
    service_id: str
    reason: str
    effect: str
    placed_at: datetime
    placed_by: str
    until: datetime | None
    note: str | None
    lifted_at: datetime | None
    lifted_by: str | None


class ServiceOut(Output):
    id: str
    contract_id: str
    plan_id: str
    kind: str
    status: str
    login: str | None
    address: dict[str, Any]
    ipv4_address: str | None
    ipv4_routes: list[str]
    ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    access: str
    policy_fingerprint: str
    holds: list[HoldOut]
    online: bool
    version: int


class HoldIn(Input):
    reason: HoldReason
    effect: HoldEffect
    until: AwareDatetime | None = None
    note: Text | None = None


class NasIn(Input):
    name: Text
    address: Text
    secret: Secret
    vendor: Vendor
    coa_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    message_authenticator: MessageAuthenticatorMode | None = None
    octets_direction: OctetsDirection | None = None
    names: dict[Annotated[str, StringConstraints(pattern="^(pools|address_lists)$")], dict[Text, Text]] | None = None
    login_rules: dict[Annotated[str, StringConstraints(pattern="^(strip_realm|lowercase)$")], bool] | None = None
    disconnects_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    enforcement_frozen: bool | None = None
    emergency: bool | None = None
    emergency_plan_id: Ref | None = None


class NasPatch(Input):
    name: Text = ""
    address: Text = ""
    secret: Secret = ""
    vendor: Vendor = Vendor.GENERIC
    coa_port: Annotated[int, Field(ge=1, le=65535)] = 3799
    message_authenticator: MessageAuthenticatorMode = MessageAuthenticatorMode.AUTO
    octets_direction: OctetsDirection = OctetsDirection.NAS
    names: dict[Annotated[str, StringConstraints(pattern="^(pools|address_lists)$")], dict[Text, Text]] = {}
    login_rules: dict[Annotated[str, StringConstraints(pattern="^(strip_realm|lowercase)$")], bool] = {}
    disconnects_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 120
    enforcement_frozen: bool = False
    emergency: bool = False
    emergency_plan_id: Ref | None = None


class NasOut(Output):
    id: str
    name: str
    address: str
    vendor: str
    coa_port: int
    message_authenticator: str
    message_authenticator_learned: str | None
    octets_direction: str
    names: dict[str, Any]
    login_rules: dict[str, Any]
    disconnects_per_minute: int
    enforcement_frozen: bool
    emergency: bool
    emergency_plan_id: str | None
    version: int


class SessionOut(Output):
    id: str
    nas_id: str
    box: str
    acct_session_id: str
    service_id: str | None
    login: str
    policy_fingerprint: str | None
    applied_fingerprint: str | None
    in_step: bool | None
    started_at: datetime
    updated_at: datetime
    stopped_at: datetime | None
    stop_kind: str | None
    terminate_cause: int | None
    uptime_seconds: int
    download_octets: int
    upload_octets: int
    framed_ipv4: str | None
    framed_ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    calling_station_id: str | None
    nas_port_id: str | None


class InvoiceIn(Input):
    contract_id: Ref
    due_date: date
    amount_cents: Annotated[int, Field(ge=1, le=10**13)]
    description: Text | None = None
    external_gateway: Text | None = None
    external_id: Text | None = None
    pix_code: Text | None = None
    boleto_line: Text | None = None
    url: Text | None = None
    notified_at: AwareDatetime | None = None


class InvoicePatch(Input):
    contested: bool = False
    notified_at: AwareDatetime | None = None
    status: Annotated[str, StringConstraints(pattern="^cancelled$")] = ""


class InvoiceOut(Output):
    id: str
    contract_id: str
    due_date: date
    amount_cents: int
    currency: str
    description: str | None
    status: str
    paid_at: datetime | None
    notified_at: datetime | None
    contested: bool
    external_gateway: str | None
    external_id: str | None
    pix_code: str | None
    boleto_line: str | None
    url: str | None
    version: int


class PaymentIn(Input):
    invoice_id: Ref
    amount_cents: Annotated[int, Field(ge=1, le=10**13)]
    paid_at: AwareDatetime
    method: Text


class PaymentOut(Output):
    id: str
    invoice_id: str
    amount_cents: int
    currency: str
    method: str
    paid_at: datetime
    gateway: str | None
    external_id: str | None
    reversed_at: datetime | None


class EventOut(Output):
    id: str
    at: datetime
    type: str
    subject: str
    payload: dict[str, Any]


class Frozen(Input):
    frozen: bool


class TokenIn(Input):
    name: Text
    role: Role


class TokenOut(Output):
    id: str
    name: str
    role: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    token: str


class GatewayAccountIn(Input):
    gateway: Text
    name: Text
    secret: Annotated[str, StringConstraints(min_length=8, max_length=500), Plain]


class GatewayAccountOut(Output):
    id: str
    gateway: str
    name: str
    enabled: bool

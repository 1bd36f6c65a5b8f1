"""What goes in and out over REST. Unknown fields are refused by name; ids are strings; secrets only go in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from core.access import HoldEffect, HoldReason
from core.models.network import MessageAuthenticatorMode, NasMode, OctetsDirection, Vendor
from core.models.party import ContactRole, CustomerKind
from core.models.service import ServiceKind
from core.models.system import Role
from core.models.usage import Prepaid

_Item = TypeVar("_Item")


#: PostgreSQL text holds no NUL. (That it is valid Unicode, pydantic checks by itself.)
NO_NUL = r"^[^\x00]*$"
Plain = StringConstraints(pattern=NO_NUL)
Text = Annotated[str, StringConstraints(min_length=1, max_length=500), Plain]
Login = Annotated[str, StringConstraints(min_length=1, max_length=253), Plain]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=128), Plain]
#: pydantic checks the form of ids; `context` checks what they are.
Ref = Annotated[str, StringConstraints(min_length=1, max_length=19, pattern=r"^[0-9]+$")]
#: Of something at a NAS, or of a system: no control characters.
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ().-]{6,30}$")]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
#: A sender's mistake must not become a date that no calendar of ours reaches (there is a day before and one after).
Day = Annotated[date, Field(ge=date(1990, 1, 1), le=date(2100, 12, 31))]


def _number(value: object) -> object:
    """JSON Schema's integer: 5 and 5.0, but neither "5" nor true."""
    if isinstance(value, (str, bool)):
        raise ValueError("is no integer")  # noqa: TRY004  (pydantic reads ValueError)
    return value


Number = BeforeValidator(_number)
Flag = Annotated[bool, Field(strict=True)]
Kbps = Annotated[int, Field(ge=1, le=1_000_000_000), Number]
Cents = Annotated[int, Field(ge=0, le=10**13), Number]


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
    seconds: Annotated[int, Field(ge=1, le=3600), Number]


class Throttle(Input):
    down_kbps: Kbps
    up_kbps: Kbps


Octets = Annotated[int, Field(ge=1, le=10**18), Number]


class TimeWindow(Input):
    """Hours of the week with rates of their own; one that ends before it begins goes on after midnight."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1, max_length=7)]
    begins: Annotated[str, StringConstraints(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")] = Field(alias="from")
    until: Annotated[str, StringConstraints(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    down_kbps: Kbps
    up_kbps: Kbps


#: By vendor (or "all"), attributes by name with one value or several; checked against the dictionary.
_AttributeValue = Text | Annotated[int, Field(ge=0, lt=1 << 64), Number]
VendorAttributes = Annotated[
    dict[Name, Annotated[dict[Name, _AttributeValue | list[_AttributeValue]], Field(max_length=40)]],
    Field(max_length=10),
]


class PlanIn(Input):
    name: Text
    down_kbps: Kbps
    up_kbps: Kbps
    burst: BurstIn | None = None
    address_pool: Name | None = None
    address_list: Name | None = None
    interim_seconds: Annotated[int, Field(ge=60, le=86400), Number] | None = None
    session_seconds: Annotated[int, Field(ge=60, le=31_536_000), Number] | None = None
    throttle: Throttle | None = None
    price_cents: Cents | None = None
    idle_seconds: Annotated[int, Field(ge=60, le=31_536_000), Number] | None = None
    dns_servers: Annotated[list[Text], Field(max_length=4)] | None = None
    vrf: Name | None = None
    #: Names at the NAS of what filters traffic from and to the subscriber.
    ingress_filter: Name | None = None
    egress_filter: Name | None = None
    ipv6_pool: Name | None = None
    delegated_ipv6_pool: Name | None = None
    #: Names at the NAS of what carries the rates, where its vendor has such profiles.
    profile: Name | None = None
    throttle_profile: Name | None = None
    vendor_attributes: VendorAttributes | None = None
    session_limit: (
        Annotated[
            int,
            Field(ge=1, le=1000),
            Number,
        ]
        | None
    ) = Field(1, description="Sessions a service may have at a time: a new one ends the oldest. null: any number.")
    session_limit_strict: Flag = Field(
        False, description="Refuse a login over the limit instead, if its NAS says that the older sessions live."
    )
    quota_bytes: Octets | None = None
    quota_effect: HoldEffect | None = None
    prepaid: Prepaid | None = None
    time_windows: Annotated[list[TimeWindow], Field(max_length=20)] | None = None


class PlanPatch(Input):
    """What is given is changed; null clears where null is allowed."""

    name: Text = ""
    down_kbps: Kbps = 1
    up_kbps: Kbps = 1
    burst: BurstIn | None = None
    address_pool: Name | None = None
    address_list: Name | None = None
    interim_seconds: Annotated[int, Field(ge=60, le=86400), Number] = 300
    session_seconds: Annotated[int, Field(ge=60, le=31_536_000), Number] | None = None
    throttle: Throttle = Throttle(down_kbps=1, up_kbps=1)
    price_cents: Cents = 0
    idle_seconds: Annotated[int, Field(ge=60, le=31_536_000), Number] | None = None
    dns_servers: Annotated[list[Text], Field(max_length=4)] = []
    vrf: Name | None = None
    ingress_filter: Name | None = None
    egress_filter: Name | None = None
    ipv6_pool: Name | None = None
    delegated_ipv6_pool: Name | None = None
    profile: Name | None = None
    throttle_profile: Name | None = None
    vendor_attributes: VendorAttributes = {}
    session_limit: (
        Annotated[
            int,
            Field(ge=1, le=1000),
            Number,
        ]
        | None
    ) = Field(1, description="Sessions a service may have at a time: a new one ends the oldest. null: any number.")
    session_limit_strict: Flag = Field(
        False, description="Refuse a login over the limit instead, if its NAS says that the older sessions live."
    )
    quota_bytes: Octets | None = None
    quota_effect: HoldEffect = HoldEffect.THROTTLE
    prepaid: Prepaid | None = None
    time_windows: Annotated[list[TimeWindow], Field(max_length=20)] = []


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
    idle_seconds: int | None
    dns_servers: list[str]
    vrf: str | None
    ingress_filter: str | None
    egress_filter: str | None
    ipv6_pool: str | None
    delegated_ipv6_pool: str | None
    profile: str | None
    throttle_profile: str | None
    vendor_attributes: dict[str, Any]
    session_limit: int | None
    session_limit_strict: bool
    quota_bytes: int | None
    quota_effect: str
    prepaid: str | None
    time_windows: list[dict[str, Any]]
    #: Which of them is open now; null outside all of them.
    open_window: int | None
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
    email: Email | None = None
    phone: Phone | None = None
    whatsapp: Phone | None = None
    language: Annotated[str, StringConstraints(pattern="^(pt_BR|en)$")] = "pt_BR"


class CustomerIn(Input):
    name: Text
    kind: CustomerKind
    document: Text | None = None
    external_ref: Text | None = None
    contacts: Annotated[list[ContactIn], Field(max_length=20)] = []


class CustomerPatch(Input):
    """What is given is changed; contacts, where given, replace them all."""

    name: Text = ""
    kind: CustomerKind = CustomerKind.PERSON
    document: Text | None = None
    external_ref: Text | None = None
    contacts: Annotated[list[ContactIn], Field(max_length=20)] = []


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
    """A price of the contract's own, for one of its services or for what is described."""

    service_id: Ref | None = None
    description: Text | None = None
    price_cents: Cents
    valid_from: Day | None = Field(None, alias="from")
    valid_until: Day | None = Field(None, alias="until")


class ContractIn(Input):
    customer_id: Ref
    payer_id: Ref | None = None
    company_id: Ref | None = None
    due_day: Annotated[int, Field(ge=1, le=31), Number]
    term_months: Annotated[int, Field(ge=1, le=120), Number] | None = None
    started_on: Day
    items: Annotated[list[ItemIn], Field(max_length=200)] = []


class ContractPatch(Input):
    """Items, where given, replace them all. A contract whose services are all cancelled can be cancelled."""

    payer_id: Ref = ""
    company_id: Ref | None = None
    due_day: Annotated[int, Field(ge=1, le=31), Number] = 1
    term_months: Annotated[int, Field(ge=1, le=120), Number] | None = None
    items: Annotated[list[ItemIn], Field(max_length=200)] = []
    status: Literal["cancelled"] = "cancelled"


class ItemOut(Output):
    model_config = ConfigDict(populate_by_name=True)

    service_id: str | None
    description: str | None
    price_cents: int
    valid_from: date | None = Field(alias="from")
    valid_until: date | None = Field(alias="until")


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


_LOCK = "who is let in: one value, a list of values, or `learn` (the first accepted login sets it); null: no lock"
Lock = Annotated[Text | Annotated[list[Text], Field(min_length=1, max_length=20)], Field(description=_LOCK)]
NasLock = Annotated[
    Literal["learn"] | Ref | Annotated[list[Ref], Field(min_length=1, max_length=20)], Field(description=_LOCK)
]


class ServiceIn(Input):
    contract_id: Ref
    plan_id: Ref
    kind: ServiceKind = ServiceKind.PPPOE
    #: A pending one is not let in before it is made active.
    status: Literal["pending", "active"] = "active"
    login: Login | None = None
    password: Secret | None = None
    address: InstallationAddress | None = None
    ipv4_address: Text | None = None
    ipv4_routes: Annotated[list[Text], Field(max_length=20)] | None = None
    ipv6_prefix: Text | None = None
    delegated_ipv6_prefix: Text | None = None
    vendor_attributes: VendorAttributes | None = None
    mac_lock: Lock | None = None
    circuit_lock: Lock | None = None
    nas_id: NasLock | None = None
    price_cents: Cents | None = Field(None, description="What it costs in this contract; without it, the plan's price.")
    price_from: Day | None = Field(None, description="From when; without it, from the start of the contract.")


class ServicePatch(Input):
    """What is given is changed; an address replaces the whole address. DELETE cancels.

    A pending service that is made active costs something from today on, or from `price_from`.
    """

    price_from: Day = date(2000, 1, 1)

    plan_id: Ref = ""
    kind: ServiceKind = ServiceKind.PPPOE
    status: Literal["active"] = "active"
    login: Login | None = None
    password: Secret | None = None
    address: InstallationAddress = InstallationAddress()
    ipv4_address: Text | None = None
    ipv4_routes: Annotated[list[Text], Field(max_length=20)] = []
    ipv6_prefix: Text | None = None
    delegated_ipv6_prefix: Text | None = None
    vendor_attributes: VendorAttributes = {}
    mac_lock: Lock | None = None
    circuit_lock: Lock | None = None
    nas_id: NasLock | None = None


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
    vendor_attributes: dict[str, Any]
    mac_lock: str | list[str] | None
    circuit_lock: str | list[str] | None
    nas_id: str | list[str] | None
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


class NasNames(Input):
    """What is called otherwise at this NAS: our name -> its name."""

    pools: dict[Name, Name] = {}
    address_lists: dict[Name, Name] = {}
    profiles: dict[Name, Name] = {}
    filters: dict[Name, Name] = {}
    vrfs: dict[Name, Name] = {}
    urls: dict[Name, Name] = {}


#: What its vendor leaves to choose: the names, what may be written and what it means are in docs/radius.md.
NasOptions = Annotated[dict[Name, Name], Field(max_length=20)]


class NasSnmp(Input):
    """How its SNMP agent is asked whether a session lives; docs/sessions.md says what is asked of which vendor."""

    version: Literal["v2c", "v3"] = "v2c"
    port: Annotated[int, Field(ge=1, le=65535), Number] = 161
    user: Annotated[str, StringConstraints(min_length=1, max_length=32), Plain] | None = None
    auth: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] | None = None
    priv: Literal["des", "aes128", "aes192", "aes256"] | None = None
    ppp_only: Flag = Field(False, description="Every subscriber of this MikroTik is a PPP interface of it.")


class NasSnmpSecret(Input):
    """v2c: the community. v3: the passphrases. Goes in only."""

    community: Secret | None = None
    auth: Secret | None = None
    priv: Secret | None = None


class LoginRules(Input):
    """What is done to a login before it is looked up."""

    strip_realm: Flag = False
    lowercase: Flag = False
    #: Blanks around it.
    trim: Flag = False


class RouterOsApi(Input):
    """Access to the API of a MikroTik: `/ip service` api-ssl, and a user of a group with `read` and `api`. With a
    `credential`, user and password are that one's, which other boxes have as well."""

    user: Annotated[str, StringConstraints(min_length=1, max_length=64), Plain] | None = None
    credential: Annotated[str, StringConstraints(min_length=1, max_length=64), Plain] | None = None
    port: Annotated[int, Field(ge=1, le=65535, description="default: 8729, or 8728 without TLS"), Number] | None = None
    tls: Flag = True
    certificate_sha256: (
        Annotated[
            str,
            StringConstraints(min_length=64, max_length=95, pattern=r"^[0-9A-Fa-f: ]+$"),
            Field(description="pins the router's own certificate; null: an authority vouches for it"),
        ]
        | None
    ) = None


class NasManagement(Input):
    """How a box other than a RouterOS is managed (docs/provisioning.md). `driver`: ios, iosxr, eos, junos, nxos_ssh,
    huawei_vrp8, or the name of a NAPALM community driver that is installed. With a `credential`, user and password
    are that one's, which other boxes have as well."""

    driver: Annotated[str, StringConstraints(min_length=1, max_length=41, pattern="^[a-z][a-z0-9_]*$")]
    address: Text | None = Field(None, description="where it is managed; null: at the entry's own address")
    port: Annotated[int, Field(ge=1, le=65535), Number] = 22
    user: Annotated[str, StringConstraints(min_length=1, max_length=64), Plain] | None = None
    credential: Annotated[str, StringConstraints(min_length=1, max_length=64), Plain] | None = None
    host_key: (
        Annotated[
            str,
            StringConstraints(min_length=20, max_length=4000),
            Plain,
            Field(description="its SSH host key, as ssh-keyscan prints it; null: that of the first approved plan"),
        ]
        | None
    ) = None
    arguments: dict[Name, Annotated[bool, Field(strict=True)] | int | float | Name] = {}


class NasManagementSecret(Input):
    """`enable`: where a login alone is not privileged. `password`: not with a credential. Goes in only."""

    password: Secret | None = None
    enable: Secret | None = None


class NasIn(Input):
    name: Text
    address: Text
    secret: Secret
    vendor: Vendor
    coa_port: Annotated[int, Field(ge=1, le=65535), Number] | None = None
    message_authenticator: MessageAuthenticatorMode | None = None
    octets_direction: OctetsDirection | None = None
    names: NasNames | None = None
    options: NasOptions | None = None
    login_rules: LoginRules | None = None
    disconnects_per_minute: Annotated[int, Field(ge=1, le=100_000), Number] | None = None
    enforcement_frozen: Flag | None = None
    emergency: Flag | None = None
    emergency_plan_id: Ref | None = None
    mode: NasMode | None = None
    home_server_id: Ref | None = None
    snmp: NasSnmp | None = None
    snmp_secret: NasSnmpSecret | None = None
    routeros: RouterOsApi | None = None
    #: Of the API's user.
    routeros_password: Secret | None = None
    management: NasManagement | None = None
    management_secret: NasManagementSecret | None = None


class NasPatch(Input):
    name: Text = ""
    address: Text = ""
    secret: Secret = ""
    vendor: Vendor = Vendor.GENERIC
    coa_port: Annotated[int, Field(ge=1, le=65535), Number] = 3799
    message_authenticator: MessageAuthenticatorMode = MessageAuthenticatorMode.AUTO
    octets_direction: OctetsDirection = OctetsDirection.NAS
    names: NasNames = NasNames()
    options: NasOptions = {}
    login_rules: LoginRules = LoginRules()
    disconnects_per_minute: Annotated[int, Field(ge=1, le=100_000), Number] = 120
    enforcement_frozen: Flag = False
    emergency: Flag = False
    emergency_plan_id: Ref | None = None
    mode: NasMode = NasMode.SERVE
    home_server_id: Ref | None = None
    snmp: NasSnmp | None = None
    snmp_secret: NasSnmpSecret | None = None
    #: null: the API is not to be used any more.
    routeros: RouterOsApi | None = None
    routeros_password: Secret = ""
    #: null: the box is not to be managed any more.
    management: NasManagement | None = None
    management_secret: NasManagementSecret | None = None


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
    options: dict[str, Any]
    login_rules: dict[str, Any]
    disconnects_per_minute: int
    enforcement_frozen: bool
    emergency: bool
    emergency_plan_id: str | None
    mode: str
    home_server_id: str | None
    #: Its password only goes in.
    routeros: dict[str, Any] | None
    #: Its secrets only go in.
    management: dict[str, Any] | None
    version: int
    snmp: dict[str, Any] | None


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
    kind: str = Field(description="line: counts; view: another account of a line; service: of a service on a line")
    multi_session_id: str | None
    verified_at: datetime | None = Field(description="when its NAS last said, being asked, that it has this session")


class External(Input):
    """Another system's id. `account_id` is needed where that gateway has several accounts here."""

    gateway: Name
    id: Annotated[str, StringConstraints(min_length=1, max_length=255), Plain]
    account_id: Ref | None = None


class InvoiceIn(Input):
    contract_id: Ref
    due_date: Day
    amount_cents: Annotated[int, Field(ge=1, le=10**13), Number]
    currency: Currency = "BRL"
    description: Text | None = None
    external: External | None = None
    pix_code: Text | None = None
    boleto_line: Text | None = None
    url: Text | None = None
    notified_at: AwareDatetime | None = None


class InvoicePatch(Input):
    """What is owed never changes; how it is paid, what was told of it, and whether it still counts does."""

    description: Text | None = None
    external: External | None = None
    pix_code: Text | None = None
    boleto_line: Text | None = None
    url: Text | None = None
    contested: Flag = False
    notified_at: AwareDatetime = datetime.max.replace(tzinfo=UTC)
    status: Literal["cancelled"] = "cancelled"


class ExternalOut(Output):
    gateway: str | None
    account_id: str | None
    id: str | None


class InvoiceOut(Output):
    """Who pays the whole by `early_discount_until` pays `early_discount_cents` less."""

    id: str
    contract_id: str
    due_date: date
    amount_cents: int
    early_discount_cents: int
    early_discount_until: date | None
    currency: str
    description: str | None
    status: str
    paid_at: datetime | None
    notified_at: datetime | None
    contested: bool
    external: ExternalOut | None
    pix_code: str | None
    boleto_line: str | None
    url: str | None
    version: int


class PaymentIn(Input):
    invoice_id: Ref
    amount_cents: Annotated[int, Field(ge=1, le=10**13), Number]
    paid_at: AwareDatetime
    method: Text
    #: The invoice's, if it is given at all.
    currency: Currency | None = None


class PaymentOut(Output):
    """Of the amount, `surcharge_cents` are fine and interest; `discount_cents` were let off. `settled_at`: when
    `net_cents` of it were ours."""

    id: str
    invoice_id: str
    amount_cents: int
    surcharge_cents: int
    discount_cents: int
    refunded_cents: int
    currency: str
    method: str
    paid_at: datetime
    settled_at: datetime | None
    net_cents: int | None
    external: ExternalOut | None
    #: Who told of the same money as well: the bank's file of what a gateway told, say.
    also: ExternalOut | None
    #: Why it may be the money of another payment, told twice; a person looks.
    doubt: str | None
    doubt_pt: str | None
    reversed_at: datetime | None


class EventOut(Output):
    """`cursor` is where the feed goes on after this event, for who comes back later."""

    id: str
    cursor: str
    at: datetime
    type: str
    subject: str
    payload: dict[str, Any]


class AuditOut(Output):
    id: str
    at: datetime
    actor: str
    source: str | None
    action: str
    resource: str
    resource_id: str
    changes: dict[str, Any]


class SeenOut(Output):
    """Octets since its beginning and bits a second now; null: the router does not say. `max_limit`: of the queue that
    limits it, upload first."""

    address: str
    uptime_seconds: int | None
    uploaded: int | None
    downloaded: int | None
    upload_bps: int | None
    download_bps: int | None
    max_limit: str | None


class Disconnecting(Output):
    """How many sessions will be told to end."""

    sessions: int


class Frozen(Input):
    frozen: Flag


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


#: Names and values as the gateway's adapter has them; what is wrong with one is said by its name.
GatewayWords = dict[str, Annotated[str, StringConstraints(max_length=20_000), Plain]]


class GatewayAccountIn(Input):
    """`settings` (shown) and `credentials` (never shown) are what the gateway's API is asked with."""

    gateway: Text
    name: Text
    secret: Annotated[str, StringConstraints(min_length=8, max_length=500), Plain]
    settings: GatewayWords = {}
    credentials: GatewayWords = {}


class GatewayAccountPatch(Input):
    """With a new secret the one before stays valid for a day, or until `previous_valid_until`; null ends it at once."""

    name: Text = ""
    enabled: Flag = True
    secret: Annotated[str, StringConstraints(min_length=8, max_length=500), Plain] = ""
    settings: GatewayWords = {}
    credentials: GatewayWords = {}
    previous_valid_until: AwareDatetime | None = None


class GatewayAccountOut(Output):
    id: str
    gateway: str
    name: str
    settings: dict[str, str]
    has_credentials: bool
    enabled: bool
    #: When its API was last read for what no webhook told; what is wrong with it now, and what soon will be.
    reconciled_at: datetime | None
    alarm: str | None
    alarm_pt: str | None
    warning: str | None
    warning_pt: str | None
    previous_valid_until: datetime | None
    version: int

"""Tables of the shared domain. Others read them and change them only through the owner functions in `core`."""

from core.models.base import Base
from core.models.billing import Invoice, InvoiceStatus, Payment
from core.models.imports import ImportedRow
from core.models.network import (
    HomeServer,
    MessageAuthenticatorMode,
    Nas,
    NasMode,
    OctetsDirection,
    PolicyVersion,
    Session,
    StopKind,
    Vendor,
)
from core.models.party import (
    Company,
    Contact,
    ContactRole,
    Contract,
    ContractItem,
    ContractStatus,
    Customer,
    CustomerKind,
)
from core.models.service import Hold, Plan, Service, ServiceKind, ServiceStatus
from core.models.system import (
    ApiToken,
    AuditEntry,
    Change,
    ChangeKind,
    Event,
    IdempotentReply,
    Operator,
    OutboxItem,
    Role,
    Setting,
)

__all__ = [
    "ApiToken",
    "AuditEntry",
    "Base",
    "Change",
    "ChangeKind",
    "Company",
    "Contact",
    "ContactRole",
    "Contract",
    "ContractItem",
    "ContractStatus",
    "Customer",
    "CustomerKind",
    "Event",
    "Hold",
    "HomeServer",
    "IdempotentReply",
    "ImportedRow",
    "Invoice",
    "InvoiceStatus",
    "MessageAuthenticatorMode",
    "Nas",
    "NasMode",
    "OctetsDirection",
    "Operator",
    "OutboxItem",
    "Payment",
    "Plan",
    "PolicyVersion",
    "Role",
    "Service",
    "ServiceKind",
    "ServiceStatus",
    "Session",
    "Setting",
    "StopKind",
    "Vendor",
]

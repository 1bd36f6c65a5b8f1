"""Which role may do what: one table, read by every request, held against every route by a test."""

from __future__ import annotations

from core.models.system import Role

_READ = frozenset({"GET"})
_WRITE = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})
_NONE: frozenset[str] = frozenset()

#: resource -> role -> methods; a role that is not named may not even read. admin may everything.
_RULES: dict[str, dict[Role, frozenset[str]]] = {
    "plans": dict.fromkeys(Role, _READ) | {Role.OPERATOR: _WRITE},
    "companies": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.READONLY: _READ},
    "customers": {Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.FINANCE: _WRITE, Role.TECHNICIAN: _READ,
                  Role.READONLY: _READ},
    "contracts": {Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.FINANCE: _WRITE, Role.READONLY: _READ},
    "services": {Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.FINANCE: _READ, Role.TECHNICIAN: _READ,
                 Role.NOC: _READ, Role.READONLY: _READ},
    "holds": {Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.FINANCE: _WRITE, Role.NOC: _WRITE,
              Role.TECHNICIAN: _READ, Role.READONLY: _READ},
    "sessions": dict.fromkeys(Role, _READ)
    | {Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.NOC: _WRITE, Role.FINANCE: _NONE, Role.LEGAL: _NONE},
    "nas": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE, Role.TECHNICIAN: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "provisioning": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE, Role.TECHNICIAN: _READ, Role.READONLY: _READ},
    # Who may approve is nobody's to say that may approve.
    "provisioning-policy": {Role.OPERATOR: _READ, Role.NOC: _READ, Role.TECHNICIAN: _READ, Role.READONLY: _READ},
    # Who may log in to many boxes at once.
    "device-credentials": {Role.OPERATOR: _WRITE, Role.NOC: _READ, Role.READONLY: _READ},
    "address-pools": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "radius-nodes": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE, Role.READONLY: _READ},
    "usage": {Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.FINANCE: _WRITE, Role.NOC: _READ,
              Role.TECHNICIAN: _READ, Role.READONLY: _READ},
    "invoices": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "charges": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.READONLY: _READ},
    "invoicing": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "invoicing-terms": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "payments": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "events": {Role.OPERATOR: _READ, Role.NOC: _READ, Role.FINANCE: _READ},
    "enforcement": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE},
    "gateway-accounts": {Role.FINANCE: _WRITE},
    # Whose database or file is read is an administrator's to say; what comes of it is finance's.
    "follow-sources": {Role.FINANCE: _READ, Role.OPERATOR: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "follow": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "inbox": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.READONLY: _READ},
    "bank-files": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.READONLY: _READ},
    "billing-policies": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "holidays": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "dunning": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "promises": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.READONLY: _READ},
    "plan-changes": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.READONLY: _READ},
    "pauses": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.READONLY: _READ},
    "billing-runs": {Role.FINANCE: _WRITE, Role.OPERATOR: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "billing-decisions": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _WRITE, Role.READONLY: _READ},
    "billing-reviews": {Role.FINANCE: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "incidents": {Role.NOC: _WRITE, Role.OPERATOR: _WRITE, Role.SUPPORT: _READ, Role.FINANCE: _READ,
                  Role.TECHNICIAN: _READ, Role.READONLY: _READ},
    "home-servers": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE, Role.READONLY: _READ},
    "takeover": {Role.OPERATOR: _READ, Role.NOC: _READ, Role.SUPPORT: _READ, Role.READONLY: _READ},
    "connection-log": {Role.LEGAL: _READ, Role.NOC: _READ},
    "connection-lookups": {},
    "nat-rules": {Role.OPERATOR: _WRITE, Role.NOC: _WRITE, Role.LEGAL: _READ},
    "judicial-requests": {Role.LEGAL: _WRITE},
    # A box's whole configuration, with everybody's secrets.
    "device-backup-texts": {},
    "audit-entries": {},
    "tokens": {},
}  # fmt: skip
#: Roles that see documents, telephone numbers and installation addresses unmasked; each such sight is logged.
_PERSONAL = frozenset({Role.ADMIN, Role.OPERATOR, Role.SUPPORT, Role.FINANCE, Role.TECHNICIAN, Role.LEGAL})


def may(role: Role, resource: str, method: str) -> bool:
    if role is Role.ADMIN:
        return resource in _RULES
    return method in _RULES[resource].get(role, _NONE)


def sees_personal_data(role: Role) -> bool:
    return role in _PERSONAL


def mask(value: str | None) -> str | None:
    """All but the last two characters hidden."""
    return value if value is None else "*" * max(0, len(value) - 2) + value[-2:]

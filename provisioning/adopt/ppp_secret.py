"""What of one PPP secret a service here can have, and why it cannot be one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NoReturn

from core.access import HoldEffect
from core.addresses import check_ipv4_address, check_ipv6_prefix
from core.documents import normalise_document
from core.errors import InvalidInput
from core.locks import canonical_mac
from core.logins import check_login, check_password
from core.policy import ServiceTerms
from provisioning.adopt.effect import Effect
from provisioning.adopt.found import is_text, words_of
from provisioning.routeros.client import Row

#: A CPF or a CNPJ, as people write them into a comment.
_DOCUMENT: Final = re.compile(
    r"(?:\b(?:CPF|CNPJ)\b[:\s]*)?(?<![\w.])(\d{3}\.?\d{3}\.?\d{3}-?\d{2}|[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}/?[0-9A-Z]{4}-?\d{2})(?![\w.])"
)
_NAME_CHARACTERS_MAX: Final = 200


class Kind(StrEnum):
    """Why a secret becomes no service: it cannot, or it is none."""

    REJECTED = "rejected"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class ProposedHold:
    effect: HoldEffect
    #: Where it comes from.
    note: str


@dataclass(frozen=True, slots=True)
class ProposedService:
    """`lost`: what of its secret has no counterpart here."""

    login: str
    password: str = field(repr=False)
    plan: str
    terms: ServiceTerms
    hold: ProposedHold | None
    customer: str
    document: str
    comment: str
    mac_lock: tuple[str, ...] | None
    online: bool
    limited_by: str
    lost: tuple[str, ...] = ()


class Refused(Exception):
    def __init__(self, kind: Kind, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.fix = kind, reason, fix
        self.service: ProposedService | None = None


def reject(reason: str, fix: str) -> NoReturn:
    raise Refused(Kind.REJECTED, reason, fix)


def leave(reason: str, fix: str) -> NoReturn:
    raise Refused(Kind.LEFT_OUT, reason, fix)


def check_name_of(login: str) -> None:
    if not is_text(login):
        reject("its name is not UTF-8", "rename the secret at the router")
    try:
        checked = check_login(login)
    except InvalidInput as error:
        reject(error.detail, "rename the secret at the router")
    if checked != login:
        reject("its name is not in Unicode's composed form (NFC)", "rename the secret at the router")


def check_password_of(secret: Row) -> None:
    if "password" not in secret:
        reject("the API's user is not shown passwords", "give its group the policy `sensitive`")
    if not is_text(secret["password"]):
        reject("its password is not UTF-8", "give it another at the router")
    try:
        check_password(secret["password"])
    except InvalidInput as error:
        reject(error.detail, "give it another password at the router")


def hold_of(effect: Effect) -> ProposedHold | None:
    if not effect.blocked:
        return None
    return ProposedHold(HoldEffect.BLOCK if effect.keeps_out else HoldEffect.WALLED_GARDEN, words_of(effect.blocked))


def mac_lock_of(effect: Effect, lost: list[str]) -> tuple[str, ...] | None:
    if not effect.caller_id:
        return None
    mac = canonical_mac(effect.caller_id)
    if mac is None:
        lost.append(f"its caller-id {words_of(effect.caller_id)} is no MAC address")
        return None
    if mac != effect.caller_id.upper():  # which the router compares as text
        lost.append(f"its caller-id {words_of(effect.caller_id)} lets nobody in there: it is not written as {mac}")
    return (mac,)


def terms_of(secret: Row, effect: Effect, lost: list[str]) -> ServiceTerms:
    address = prefix = None
    try:
        address = check_ipv4_address(effect.address) if effect.address else None
    except InvalidInput as error:
        reject(f"remote-address: {error.detail}", "change it at the router")
    try:
        prefix = check_ipv6_prefix(effect.ipv6_prefix) if effect.ipv6_prefix else None
    except InvalidInput as error:
        lost.append(f"remote-ipv6-prefix: {error.detail}")
    if secret.get("ipv6-routes"):
        lost.append("ipv6-routes")
    return ServiceTerms(address, _routes(effect.routes, address, lost), prefix)


def _routes(text: str, address: str | None, lost: list[str]) -> tuple[str, ...]:
    """`192.0.2.0/28 100.64.0.9 1`, with commas between them: by the subscriber's own address, or by none."""
    routes = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        words = one.split()
        try:
            network = str(IPv4Network(words[0]))
            own = len(words) == 1 or IPv4Address(words[1]) in {IPv4Address(address or 0), IPv4Address(0)}
        except ValueError:
            own = False
        if own and address is not None:
            routes.append(network)
        else:
            lost.append(f"its route {words_of(one)} is not by a fixed address of its own")
    return tuple(routes)


def person_in(comment: str) -> tuple[str, str]:
    """The customer's name, and a document where there is one in it whose check digits fit."""
    for match in _DOCUMENT.finditer(comment):
        try:
            document = normalise_document(match[1])
        except InvalidInput:
            continue
        rest = f"{comment[: match.start()].rstrip(' -–|;,/(:')} {comment[match.end() :].lstrip(' -–|;,/):')}"
        return rest.strip()[:_NAME_CHARACTERS_MAX], document
    return comment[:_NAME_CHARACTERS_MAX], ""

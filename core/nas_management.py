"""How a box other than a RouterOS is managed: by which driver, and as whom, in plain text and under seal.

    {"driver": "huawei_vrp8", "port": 22, "user": "provedor", "host_key": "ssh-ed25519 AAAA…"}  secret: password
    {"driver": "ios", "address": "192.0.2.9", "user": "provedor"}                 secrets: password, enable
    {"driver": "ios", "credential": "bngs", "user": "provedor"}                   the same, its password that of several

Whoever can log in there can take the network down, so the password goes to the box whose SSH host key was approved, and
to no other. A key is written here beforehand, or pinned with the first plan that is approved.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from core import audit, credentials, events
from core.audit import Actor
from core.box_passwords import NEXT, seal_secrets, secrets_of
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models.network import Nas, Vendor

PORT: Final = 22
#: A module's name: drivers are imported by it.
_DRIVER: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_KEY_TYPE: Final = re.compile(r"[a-z0-9@.-]{5,60}")
#: What may be told a driver, and what it means. Whatever concerns keys, files and logs on our side is ours to say.
ARGUMENTS: Final[Mapping[str, str]] = {
    "dest_file_system": "ios: where candidates are put, as flash:",
    "inline_transfer": "ios: candidates go over the terminal (Tcl) instead of SCP",
    "auto_file_prompt": "ios: whether `file prompt quiet` is set for the time of a change",
    "global_delay_factor": "a slow box: a factor of all waiting",
    "fast_cli": "whether pauses are left out",
    "read_timeout_override": "seconds for one command's answer",
    "conn_timeout": "seconds for TCP",
    "auth_timeout": "seconds for the login",
    "banner_timeout": "seconds for SSH's banner",
    "force_no_enable": "ios, eos: the user is privileged already",
    "lock_disable": "eos, junos: leave the configuration unlocked",
    "config_lock": "junos: lock it for the whole session",
    "ignore_warning": "junos: warnings are no errors",
    "huge_tree": "junos: a configuration beyond libxml's limits",
    "eos_autoComplete": "eos: commands may be abbreviated",
}


@dataclass(frozen=True, slots=True)
class ManagementAccess:
    """Everything that a connection to one box needs. `host_key`: as in a known_hosts file; None: none is approved."""

    nas_id: int
    driver: str
    address: str
    port: int
    user: str
    password: str = field(repr=False)
    enable: str | None = field(default=None, repr=False)
    host_key: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: The box may take this one already: it is being changed.
    next_password: str | None = field(default=None, repr=False)


def set_management(session: Session, nas: Nas, keyring: Keyring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Take `management` and `management_secret` over from what was given; None takes them away.

    Returns what changed, for the audit log. Raises InvalidInput, Conflict while its credential is being rotated, and
    SealBroken where kept secrets cannot be read.
    """
    changed: dict[str, Any] = {}
    if "management" in given:
        access = None if given["management"] is None else _kept(session, nas, keyring, given["management"])
        if access != nas.management:
            nas.management = changed["management"] = access
    secret = given.get("management_secret")
    if nas.management is None:
        if secret:
            raise InvalidInput("a secret needs `management`, which says whose it is", field="management_secret")
        nas.management_secret_encrypted = None
        return changed
    _check(nas)
    if secret:
        nas.management_secret_encrypted = _sealed(nas, secret, keyring)
        changed["management_secret"] = "(changed)"  # noqa: S105
    if nas.management_secret_encrypted is None:
        raise InvalidInput("the user needs a password: write management_secret.password", field="management_secret")
    return changed


def management_of(nas: Nas, keyring: Keyring) -> ManagementAccess | None:
    """None where it may not be managed. Raises SealBroken."""
    if nas.management is None or nas.management_secret_encrypted is None:
        return None
    secrets, plain = secrets_of(nas, keyring), nas.management
    return ManagementAccess(
        nas.id, plain["driver"], plain["address"] or nas.address.partition("/")[0], plain["port"], plain["user"],
        secrets["password"], secrets.get("enable"), plain["host_key"], plain["arguments"], secrets.get(NEXT),
    )  # fmt: skip


def pin_host_key(session: Session, nas: Nas, host_key: str, actor: Actor) -> None:
    """Somebody looked at it and approved. It is no edit of the NAS entry: its version stays."""
    assert nas.management is not None  # noqa: S101  (a key was seen there)
    session.execute(
        update(Nas).where(Nas.id == nas.id).values(management={**nas.management, "host_key": host_key},
                                                   version=Nas.version)
    )  # fmt: skip
    session.refresh(nas)
    audit.record(session, actor, "approve", "nas", nas.id, {"management.host_key": host_key})
    events.record(session, "nas.host_key_pinned", "nas", nas.id, host_key=host_key)


def check_host_key(host_key: str) -> str:
    """Without its comment. Raises InvalidInput."""
    kind, _, rest = host_key.strip().partition(" ")
    octets = rest.strip().partition(" ")[0]
    try:
        named = base64.b64decode(octets, validate=True)[4 : 4 + len(kind)]
    except binascii.Error:
        named = b""
    if not _KEY_TYPE.fullmatch(kind) or named != kind.encode():
        raise InvalidInput(
            "a public key as `ssh-keyscan` prints it, without the address: ssh-ed25519 AAAA…",
            field="management.host_key",
        )
    return f"{kind} {octets}"


def _kept(session: Session, nas: Nas, keyring: Keyring, given: Mapping[str, Any]) -> dict[str, Any]:
    """With the user and password of its credential, where it names one that it had not."""
    before, name = nas.management or {}, given.get("credential")
    if name is None:
        if given.get("user") is None:
            raise InvalidInput("names a user, or a credential", field="management.user")
        return _plain(given, before)
    found = credentials.find_by_name(session, name, field="management.credential")
    if given.get("user") not in {None, found.user}:
        raise InvalidInput(f"the credential's is {found.user}", field="management.user")
    if before.get("credential") != name:
        password = credentials.password_of(keyring, found, field="management.credential")
        secrets = {**secrets_of(nas, keyring), "password": password, NEXT: None}
        nas.management_secret_encrypted = seal_secrets(keyring, secrets)
    return {**_plain({**given, "user": found.user}, before), "credential": name}


def _plain(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """With its defaults written out; an approved key stays where nothing is said of it."""
    driver = given["driver"]
    if not _DRIVER.fullmatch(driver):
        raise InvalidInput("a driver is named in small letters, digits and _", field="management.driver")
    for name, value in (given.get("arguments") or {}).items():
        if name not in ARGUMENTS:
            raise InvalidInput(f"{name}: write one of {', '.join(ARGUMENTS)}", field="management.arguments")
        if not isinstance(value, (str, int, float, bool)):
            raise InvalidInput(f"{name}: a number, a text, true or false", field="management.arguments")
    host_key = given.get("host_key", before.get("host_key"))
    return {
        "driver": driver, "address": _address(given.get("address")), "port": given.get("port") or PORT,
        "user": given["user"], "host_key": check_host_key(host_key) if host_key else None,
        "arguments": dict(given.get("arguments") or {}),
    }  # fmt: skip


def _address(text: str | None) -> str | None:
    try:
        return None if text is None else str(ip_address(text))
    except ValueError:
        raise InvalidInput(f"{text!r} is no address", field="management.address") from None


def _check(nas: Nas) -> None:
    assert nas.management is not None  # noqa: S101  (the caller looked)
    if nas.vendor is Vendor.MIKROTIK and nas.management["driver"] != "ros":
        raise InvalidInput("a MikroTik is managed over its API: set `routeros` instead", field="management")
    if nas.management["address"] is None and ip_network(nas.address).num_addresses != 1:
        raise InvalidInput("the entry is of a network: say the box's own address", field="management.address")


def _sealed(nas: Nas, secret: Mapping[str, str | None], keyring: Keyring) -> bytes:
    if (nas.management or {}).get("credential") is not None:
        if secret.get("password"):
            raise InvalidInput("it is the credential's: set it there", field="management_secret.password")
        return seal_secrets(keyring, {**secrets_of(nas, keyring), "enable": secret.get("enable")})
    if not secret.get("password"):
        raise InvalidInput("the password is missing: write management_secret.password", field="management_secret")
    return seal_secrets(keyring, secret)

"""How a NAS's SNMP agent may be asked: what is kept of it in plain text, and its secrets under seal.

    {"version": "v2c", "port": 161}                                                secret: community
    {"version": "v3", "user": "provedor", "auth": "sha256", "priv": "aes128"}      secrets: auth, priv (passphrases)

The agent answers questions, it is never told to do anything: a read-only community or user, restricted to our
addresses and to the tables in docs/sessions.md, is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidInput
from core.keyring import NAS_SNMP, Keyring
from core.models.network import Nas

PORT: Final = 161
#: RFC 3414, 11.2: a passphrase has at least 8 octets.
PASSPHRASE_OCTETS_MIN: Final = 8
#: Names of ours, for messages.
_SECRETS: Final = {
    "community": "the community",
    "auth": "the passphrase for authentication",
    "priv": "the passphrase for privacy",
}


def set_snmp(nas: Nas, keyring: Keyring, given: Mapping[str, Any]) -> dict[str, Any]:
    """Take `snmp` and `snmp_secret` over from what was given; each replaces what was there, None takes it away.

    Returns what changed, for the audit log. Raises InvalidInput, and SealBroken where kept secrets cannot be read.
    """
    if not given.keys() & {"snmp", "snmp_secret"}:
        return {}
    access = _plain(given["snmp"]) if "snmp" in given else (nas.snmp or {})
    secrets = given["snmp_secret"] if given.get("snmp_secret") else kept_secrets(nas, keyring)
    if not access and given.get("snmp_secret"):
        raise InvalidInput("a secret for SNMP needs `snmp`, which says how it is used", field="snmp_secret")
    needed = _needed(access)
    for name in needed:
        if not secrets.get(name):
            raise InvalidInput(f"{_SECRETS[name]} is missing: write snmp_secret.{name}", field="snmp_secret")
    for name in (given.get("snmp_secret") or {}).keys() - needed:
        raise InvalidInput(f"snmp_secret.{name} is not used by what `snmp` says", field="snmp_secret")
    changed = {} if access == (nas.snmp or {}) else {"snmp": access}
    nas.snmp = access
    nas.snmp_secret_encrypted = _sealed({name: secrets[name] for name in needed}, keyring) if needed else None
    return changed | ({"snmp_secret": "(changed)"} if given.get("snmp_secret") else {})


def kept_secrets(nas: Nas, keyring: Keyring) -> dict[str, str]:
    """Raises SealBroken."""
    if nas.snmp_secret_encrypted is None:
        return {}
    secrets: dict[str, str] = json.loads(keyring.open(nas.snmp_secret_encrypted, NAS_SNMP))
    return secrets


def _plain(snmp: Mapping[str, Any] | None) -> dict[str, Any]:
    """With its defaults written out; empty for none."""
    if snmp is None:
        return {}
    version = snmp.get("version", "v2c")
    plain = {"version": version, "port": snmp.get("port", PORT), "ppp_only": snmp.get("ppp_only", False)}
    extra = {name: snmp.get(name) for name in ("user", "auth", "priv")}
    if version == "v2c":
        if any(extra.values()):
            raise InvalidInput("user, auth and priv belong to version v3", field="snmp")
        return plain
    if not extra["user"]:
        raise InvalidInput("version v3 needs a user", field="snmp")
    if extra["priv"] and not extra["auth"]:
        raise InvalidInput("there is no privacy without authentication: write auth too", field="snmp")
    return plain | extra


def _needed(access: Mapping[str, Any]) -> list[str]:
    if not access:
        return []
    return ["community"] if access["version"] == "v2c" else [name for name in ("auth", "priv") if access[name]]


def _sealed(secrets: Mapping[str, str], keyring: Keyring) -> bytes:
    for name in secrets.keys() - {"community"}:
        if len(secrets[name].encode()) < PASSPHRASE_OCTETS_MIN:
            raise InvalidInput(f"{_SECRETS[name]} has at least {PASSPHRASE_OCTETS_MIN} octets", field="snmp_secret")
    return keyring.seal(json.dumps(dict(secrets)), NAS_SNMP)

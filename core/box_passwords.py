"""The password of a box in its NAS entry, whichever way it is managed, and the one that it may take already.

RouterOS boxes have columns of their own; what other boxes need is sealed together. What is returned are the columns
that change, with their values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from core.keyring import NAS_MANAGEMENT, ROUTEROS_PASSWORD, Keyring
from core.models.network import Nas

#: Of other boxes' secrets: the password that is coming.
NEXT: Final = "next_password"

Columns = Mapping[str, bytes | None]


def alone(nas: Nas, keyring: Keyring, password: str) -> Columns:
    """This one and no other. Raises SealBroken."""
    if nas.routeros is not None:
        sealed = keyring.seal(password, ROUTEROS_PASSWORD)
        return {"routeros_password_encrypted": sealed, "routeros_next_password_encrypted": None}
    return _management(keyring, {**secrets_of(nas, keyring), "password": password, NEXT: None})


def coming(nas: Nas, keyring: Keyring, password: str) -> Columns:
    """The box may take this one from now on, too. Raises SealBroken."""
    if nas.routeros is not None:
        return {"routeros_next_password_encrypted": keyring.seal(password, ROUTEROS_PASSWORD)}
    return _management(keyring, {**secrets_of(nas, keyring), NEXT: password})


def arrived(nas: Nas, keyring: Keyring) -> Columns:
    """The one that was coming, and no other; nothing where none was, since somebody set another. Raises SealBroken."""
    if nas.routeros is not None:
        new = nas.routeros_next_password_encrypted
        return {} if new is None else {"routeros_password_encrypted": new, "routeros_next_password_encrypted": None}
    secrets = secrets_of(nas, keyring)
    return alone(nas, keyring, secrets[NEXT]) if NEXT in secrets else {}


def secrets_of(nas: Nas, keyring: Keyring) -> dict[str, str]:
    """`password`, `enable`, NEXT, as far as a box that is no RouterOS has them. Raises SealBroken."""
    if nas.management_secret_encrypted is None:
        return {}
    found: dict[str, str] = json.loads(keyring.open(nas.management_secret_encrypted, NAS_MANAGEMENT))
    return found


def seal_secrets(keyring: Keyring, secrets: Mapping[str, str | None]) -> bytes:
    return keyring.seal(json.dumps({name: value for name, value in secrets.items() if value}), NAS_MANAGEMENT)


def _management(keyring: Keyring, secrets: Mapping[str, str | None]) -> Columns:
    return {"management_secret_encrypted": seal_secrets(keyring, secrets)}

"""Encryption of secrets at rest: AES-256-GCM under keys with ids, so that a key can be rotated.

A sealed value is `1 | key id | nonce (12) | ciphertext and tag`. The purpose and the row it belongs to are
authenticated with it, so that a value copied to another column does not open. (NIST SP 800-38D; random
96-bit nonces keep the number of values under one key far below 2^32.)
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import ConfigurationError, ProvedorError

_FORMAT = 1
_NONCE_OCTETS = 12
KEY_OCTETS = 32
#: It is one octet of every sealed value.
KEY_ID_MAX = 255


class SealBroken(ProvedorError):
    """A stored secret does not open: another key file, another column, or a damaged value."""

    title = "Stored secret cannot be read"


class Keyring:
    """Seals under the newest key, opens under any that it knows."""

    def __init__(self, keys: Mapping[int, bytes], *, random_octets: Callable[[int], bytes] = os.urandom) -> None:
        if not keys or any(len(key) != KEY_OCTETS for key in keys.values()):
            raise ConfigurationError("the key file needs at least one key of 32 octets")
        if not all(0 < key_id <= KEY_ID_MAX for key_id in keys):
            raise ConfigurationError(f"a key's id in the key file is a number from 1 to {KEY_ID_MAX}")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.current_key_id = max(keys)
        self._random_octets = random_octets

    def seal(self, secret: str | bytes, purpose: str) -> bytes:
        plain = secret.encode() if isinstance(secret, str) else secret
        nonce = self._random_octets(_NONCE_OCTETS)
        sealed = self._ciphers[self.current_key_id].encrypt(nonce, plain, purpose.encode())
        return bytes((_FORMAT, self.current_key_id)) + nonce + sealed

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The secret; raises SealBroken, which never holds the value."""
        if len(sealed) < 2 + _NONCE_OCTETS + 16 or sealed[0] != _FORMAT:
            raise SealBroken(f"the stored {purpose} is damaged")
        cipher = self._ciphers.get(sealed[1])
        if cipher is None:
            raise SealBroken(f"the stored {purpose} needs key {sealed[1]}, which the key file does not hold")
        try:
            return cipher.decrypt(sealed[2 : 2 + _NONCE_OCTETS], sealed[2 + _NONCE_OCTETS :], purpose.encode())
        except InvalidTag:
            raise SealBroken(f"the stored {purpose} does not open under key {sealed[1]}") from None

    def open_text(self, sealed: bytes, purpose: str) -> str:
        return self.open(sealed, purpose).decode()


#: Purposes, authenticated with each sealed value.
SERVICE_PASSWORD = "service.password"  # noqa: S105
NAS_SECRET = "nas.secret"  # noqa: S105
NAS_SNMP = "nas.snmp"
DEVICE_CREDENTIAL = "device_credential.password"
ROUTEROS_PASSWORD = "nas.routeros_password"  # noqa: S105
NAS_MANAGEMENT = "nas.management"
GATEWAY_SECRET = "gateway.secret"  # noqa: S105
GATEWAY_CREDENTIALS = "gateway.credentials"
FOLLOW_CREDENTIALS = "follow_source.credentials"
DEVICE_BACKUP = "device_backup.text"
PROVISIONING_PLAN = "provisioning_job.plan"
OWNED_ROW = "owned_row.key"
SNAPSHOT = "aaa.snapshot"
HOME_SERVER_SECRET = "home_server.secret"  # noqa: S105
IMPORTED_VALUES = "imported_row.values"


def load_keyring(path: Path) -> Keyring:
    """Read the key file (`id:hex` a line, `#` comments); make one, mode 0600, where there is none."""
    if not path.exists():
        _create_key_file(path)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"the key file {path} must be readable by its owner only (chmod 600)")
    keys: dict[int, bytes] = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        key_id, _, value = line.partition(":")
        try:
            keys[int(key_id)] = bytes.fromhex(value.strip())
        except ValueError:
            raise ConfigurationError(f"the key file {path} has a line that is not `id:hex`") from None
    return Keyring(keys)


def _create_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("# Keys of this installation. Keep a copy apart from the database's backups.\n")
        file.write(f"1:{secrets.token_hex(KEY_OCTETS)}\n")
        file.flush()
        os.fsync(file.fileno())

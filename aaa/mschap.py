"""MS-CHAP version 1 and 2, and the MPPE keys that come with them: pure functions of octets.

Sources: RFC 2433 (MS-CHAPv1), RFC 2759 (MS-CHAPv2), RFC 3079 (MPPE keys), RFC 2548 (attributes). The arithmetic is
DES, MD4 and SHA-1 because the protocol says so; LAN Manager responses are refused.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Final

from Crypto.Hash import MD4
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

CHALLENGE_OCTETS_V1: Final = 8
CHALLENGE_OCTETS_V2: Final = 16
_SERVER_MAGIC_1: Final = b"Magic server to client signing constant"
_SERVER_MAGIC_2: Final = b"Pad to make it do more than one iteration"
_MASTER_MAGIC: Final = b"This is the MPPE Master Key"
_TO_SERVER_MAGIC: Final = b"On the client side, this is the send key; on the server side, it is the receive key."
_TO_CLIENT_MAGIC: Final = b"On the client side, this is the receive key; on the server side, it is the send key."
_PAD_1: Final = bytes(40)
_PAD_2: Final = b"\xf2" * 40
_ECB: Final = modes.ECB()  # noqa: S305  (one block, as RFC 2759 8.6 says)
#: In `nt_keys`: three DES keys, then the hash of the password's hash.
_DES_KEYS_OCTETS: Final = 24


def nt_password_hash(password: bytes) -> bytes:
    """MD4 over the password in UTF-16LE (RFC 2759 8.3). `password` is UTF-8; other octets are taken as Latin-1."""
    try:
        text = password.decode()
    except UnicodeDecodeError:
        text = password.decode("latin-1")
    return MD4.new(text.encode("utf-16-le")).digest()


def nt_keys(password: bytes) -> bytes:
    """All that MS-CHAP needs to know of a password, 40 octets: compute it once for a subscriber, and keep it.

    The three DES keys of a challenge response (RFC 2759 8.5), and the hash of the password's hash (8.4).
    """
    password_hash = nt_password_hash(password)
    sevens = password_hash.ljust(21, b"\0")
    keys = b"".join(_des_key(sevens[start : start + 7]) for start in (0, 7, 14))
    return keys + MD4.new(password_hash).digest()


def challenge_response(challenge: bytes, keys: bytes) -> bytes:
    """The 24 octets of an NT-Response to an 8-octet challenge (RFC 2759 8.5); `keys` are `nt_keys`."""
    return _des(keys[:8], challenge) + _des(keys[8:16], challenge) + _des(keys[16:24], challenge)


def challenge_hash(peer_challenge: bytes, authenticator_challenge: bytes, user_name: bytes) -> bytes:
    """The 8-octet challenge of version 2 (RFC 2759 8.2); the user name counts without its domain."""
    name = user_name.rpartition(b"\\")[2]
    return hashlib.sha1(peer_challenge + authenticator_challenge + name).digest()[:8]


def response_matches(response: bytes, challenge: bytes, keys: bytes) -> bool:
    return compare_digest(response, challenge_response(challenge, keys))


def authenticator_response(keys: bytes, nt_response: bytes, challenge: bytes) -> bytes:
    """The 42 octets "S=…" by which the server proves that it knows the password too (RFC 2759 8.7)."""
    digest = hashlib.sha1(keys[_DES_KEYS_OCTETS:] + nt_response + _SERVER_MAGIC_1).digest()
    return b"S=" + hashlib.sha1(digest + challenge + _SERVER_MAGIC_2).hexdigest().upper().encode()


def mppe_keys_v1(keys: bytes) -> bytes:
    """The plain value of MS-CHAP-MPPE-Keys (RFC 2548 2.4.1): no LM key, the hash of the NT hash, eight zeros."""
    return bytes(8) + keys[_DES_KEYS_OCTETS:] + bytes(8)


def mppe_keys_v2(keys: bytes, nt_response: bytes) -> tuple[bytes, bytes]:
    """(send, receive) master session keys of 16 octets, as the server sees them (RFC 3079 3.3)."""
    master = hashlib.sha1(keys[_DES_KEYS_OCTETS:] + nt_response + _MASTER_MAGIC).digest()[:16]
    return _asymmetric_key(master, _TO_CLIENT_MAGIC), _asymmetric_key(master, _TO_SERVER_MAGIC)


def _asymmetric_key(master: bytes, magic: bytes) -> bytes:
    return hashlib.sha1(master + _PAD_1 + magic + _PAD_2).digest()[:16]


def _des(key: bytes, block: bytes) -> bytes:
    """DES is triple DES with one key thrice."""
    return Cipher(TripleDES(key * 3), _ECB).encryptor().update(block)


def _des_key(seven: bytes) -> bytes:
    """56 key bits spread over eight octets; DES ignores the parity bits."""
    bits = int.from_bytes(seven, "big")
    return bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))

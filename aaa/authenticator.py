"""Everything that the shared secret does: sign, verify, hide and reveal.

Sources: RFC 2865 section 3 (Response Authenticator) and 5.2 (User-Password), RFC 2866 section 3 (Accounting
Request Authenticator), RFC 3579 3.2 (Message-Authenticator), RFC 5176 2.3 (CoA), RFC 2548 2.4.2 (salt encryption).
CVE-2024-3596: every reply to an Access-Request carries a Message-Authenticator, as its first attribute.
"""

from __future__ import annotations

from hmac import compare_digest

from aaa.md5 import md5
from aaa.packet import Code, Kind, Packet, header

_ZERO_AUTHENTICATOR = bytes(16)
_EMPTY_MESSAGE_AUTHENTICATOR = bytes((Kind.MESSAGE_AUTHENTICATOR, 18)) + bytes(16)
_MESSAGE_AUTHENTICATOR_HEAD = bytes((Kind.MESSAGE_AUTHENTICATOR, 18))
_HMAC_BLOCK_OCTETS = 64


class SharedSecret:
    """A NAS's shared secret, with the two HMAC-MD5 key blocks absorbed once (RFC 2104 section 4)."""

    __slots__ = ("_inner", "_outer", "octets")

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        key = octets if len(octets) <= _HMAC_BLOCK_OCTETS else md5(octets).digest()
        block = key.ljust(_HMAC_BLOCK_OCTETS, b"\0")
        self._inner = md5(bytes(octet ^ 0x36 for octet in block))
        self._outer = md5(bytes(octet ^ 0x5C for octet in block))

    def hmac_md5(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def __repr__(self) -> str:
        return "SharedSecret(…)"


def sign_reply(
    code: int, identifier: int, request_authenticator: bytes, attributes: bytes, secret: SharedSecret
) -> bytes:
    """A reply to an Access-Request or Status-Server, Message-Authenticator first."""
    head = header(code, identifier, 18 + len(attributes))
    signed = head + request_authenticator
    mac = secret.hmac_md5(signed + _EMPTY_MESSAGE_AUTHENTICATOR + attributes)
    body = _MESSAGE_AUTHENTICATOR_HEAD + mac + attributes
    return head + md5(signed + body + secret.octets).digest() + body


def sign_accounting_response(request: Packet, attributes: bytes, secret: SharedSecret) -> bytes:
    """An Accounting-Response; RFC 3579 3.2 keeps Message-Authenticator out of accounting."""
    head = header(Code.ACCOUNTING_RESPONSE, request.identifier, len(attributes))
    digest = md5(head + request.authenticator + attributes + secret.octets).digest()
    return head + digest + attributes


def sign_request(
    code: int, identifier: int, attributes: bytes, secret: SharedSecret, *, message_authenticator: bool
) -> bytes:
    """An Accounting-, Disconnect- or CoA-Request: its authenticator is a digest of itself.

    RFC 5176 3.4: the Message-Authenticator is computed first, over an authenticator of zeros.
    """
    if message_authenticator:
        head = header(code, identifier, 18 + len(attributes))
        blank = head + _ZERO_AUTHENTICATOR + _EMPTY_MESSAGE_AUTHENTICATOR + attributes
        attributes = _MESSAGE_AUTHENTICATOR_HEAD + secret.hmac_md5(blank) + attributes
    head = header(code, identifier, len(attributes))
    return head + md5(head + _ZERO_AUTHENTICATOR + attributes + secret.octets).digest() + attributes


def sign_access_request(
    identifier: int,
    authenticator: bytes,
    attributes: bytes,
    secret: SharedSecret,
    *,
    code: int = Code.ACCESS_REQUEST,
) -> bytes:
    """An Access-Request or Status-Server with a random `authenticator` and a Message-Authenticator."""
    head = header(code, identifier, 18 + len(attributes)) + authenticator
    mac = secret.hmac_md5(head + _EMPTY_MESSAGE_AUTHENTICATOR + attributes)
    return head + _MESSAGE_AUTHENTICATOR_HEAD + mac + attributes


def message_authenticator_valid(packet: Packet, secret: SharedSecret, authenticator: bytes | None = None) -> bool:
    """Whether the packet's Message-Authenticator is right; False where it has none.

    `authenticator` is what stood in the header while it was computed: the packet's own for Access-Request and
    Status-Server, the request's for a reply, zeros for CoA- and Disconnect-Request.
    """
    at = packet.message_authenticator_at
    if not at:
        return False
    octets = packet.octets
    until = octets[:at] if authenticator is None else octets[:4] + authenticator + octets[20:at]
    message = until + _ZERO_AUTHENTICATOR + octets[at + 16 :]
    return compare_digest(secret.hmac_md5(message), octets[at : at + 16])


def request_authenticator_valid(packet: Packet, secret: SharedSecret) -> bool:
    """Whether an Accounting-, Disconnect- or CoA-Request was signed with the secret."""
    octets = packet.octets
    digest = md5(octets[:4] + _ZERO_AUTHENTICATOR + octets[20:] + secret.octets).digest()
    return compare_digest(digest, packet.authenticator)


def response_valid(
    reply: Packet,
    request_authenticator: bytes,
    secret: SharedSecret,
    *,
    message_authenticator_required: bool = False,
) -> bool:
    """Whether a reply answers that request: its authenticator, and its Message-Authenticator where it has one."""
    octets = reply.octets
    digest = md5(octets[:4] + request_authenticator + octets[20:] + secret.octets).digest()
    if not compare_digest(digest, reply.authenticator):
        return False
    if reply.message_authenticator_at:
        return message_authenticator_valid(reply, secret, request_authenticator)
    return not message_authenticator_required


def hide_password(password: bytes, authenticator: bytes, secret: SharedSecret) -> bytes:
    """User-Password as it travels (RFC 2865 5.2): 16 to 128 octets."""
    padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
    hidden, previous = b"", authenticator
    for start in range(0, len(padded), 16):
        previous = _xor(padded[start : start + 16], md5(secret.octets + previous).digest())
        hidden += previous
    return hidden


def reveal_password(hidden: bytes, authenticator: bytes, secret: SharedSecret) -> bytes | None:
    """The password without its padding; None where the length is not a multiple of 16 from 16 to 128."""
    if len(hidden) == 16:  # nearly all
        return _xor(hidden, md5(secret.octets + authenticator).digest()).rstrip(b"\0")
    if not 16 <= len(hidden) <= 128 or len(hidden) % 16:
        return None
    plain, previous = b"", authenticator
    for start in range(0, len(hidden), 16):
        block = hidden[start : start + 16]
        plain += _xor(block, md5(secret.octets + previous).digest())
        previous = block
    return plain.rstrip(b"\0")


def salt_encrypt(value: bytes, salt: bytes, request_authenticator: bytes, secret: SharedSecret) -> bytes:
    """Salt and ciphertext for Tunnel-Password and the MPPE keys (RFC 2548 2.4.2).

    `salt` has two octets, its highest bit is set here, and it is unique within a packet.
    """
    salt = bytes((salt[0] | 0x80, salt[1]))
    plain = bytes((len(value),)) + value
    padded = plain.ljust(-(-len(plain) // 16) * 16, b"\0")
    sealed, previous = b"", request_authenticator + salt
    for start in range(0, len(padded), 16):
        previous = _xor(padded[start : start + 16], md5(secret.octets + previous).digest())
        sealed += previous
    return salt + sealed


def salt_decrypt(value: bytes, request_authenticator: bytes, secret: SharedSecret) -> bytes | None:
    """What `salt_encrypt` sealed; None where it cannot be that."""
    salt, sealed = value[:2], value[2:]
    if len(sealed) < 16 or len(sealed) % 16:
        return None
    plain, previous = b"", request_authenticator + salt
    for start in range(0, len(sealed), 16):
        block = sealed[start : start + 16]
        plain += _xor(block, md5(secret.octets + previous).digest())
        previous = block
    return plain[1 : 1 + plain[0]] if plain[0] < len(plain) else None


def chap_response(identifier: int, password: bytes, challenge: bytes) -> bytes:
    """MD5 over CHAP identifier, password and challenge (RFC 1994 4.1)."""
    return md5(bytes((identifier,)) + password + challenge).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(16, "big")

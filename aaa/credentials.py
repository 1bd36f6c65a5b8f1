"""Does this request prove that it knows the password? The method is the request's choice: PAP, CHAP or MS-CHAP.

Pure; randomness (the salts of MPPE keys) is passed in. Comparisons take constant time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from hmac import compare_digest
from typing import Final, Protocol

import msgspec

from aaa import mschap
from aaa.authenticator import SharedSecret, chap_response, hide_password, reveal_password, salt_encrypt
from aaa.packet import Kind, Packet, vendor_attribute
from aaa.reasons import Reason
from core.locks import canonical_mac

RandomOctets = Callable[[int], bytes]


class Known(Protocol):
    """What we know of a subscriber's secret."""

    @property
    def password(self) -> bytes: ...
    @property
    def nt_keys(self) -> bytes:
        """`mschap.nt_keys` of the password."""


MICROSOFT: Final = 311
MS_CHAP_RESPONSE: Final = 1
MS_CHAP_ERROR: Final = 2
MS_MPPE_ENCRYPTION_POLICY: Final = 7
MS_MPPE_ENCRYPTION_TYPES: Final = 8
MS_CHAP_CHALLENGE: Final = 11
MS_CHAP_MPPE_KEYS: Final = 12
MS_MPPE_SEND_KEY: Final = 16
MS_MPPE_RECV_KEY: Final = 17
MS_CHAP2_RESPONSE: Final = 25
MS_CHAP2_SUCCESS: Final = 26
_RESPONSE_OCTETS: Final = 50
_CHAP_OCTETS: Final = 17
#: Encryption allowed, with 40 or 128 bits: the NAS's own profile decides whether it is required.
_MPPE_ALLOWED: Final = vendor_attribute(MICROSOFT, MS_MPPE_ENCRYPTION_POLICY, struct.pack("!I", 1)) + vendor_attribute(
    MICROSOFT, MS_MPPE_ENCRYPTION_TYPES, struct.pack("!I", 6)
)
#: What a support person is told when a PAP password arrives as noise.
HINT_WRONG_SECRET: Final = "wrong_shared_secret_likely"  # noqa: S105
#: And where the password is nearly right, which a person mistypes or a CPE saves so.
HINT_EMPTY: Final = "password_empty"
HINT_BLANK: Final = "password_blank"
HINT_CASE: Final = "password_case"
#: Of noise, hardly more than a third is printable ASCII; of a password in an old encoding, nearly all.
_ASCII_SHARE_MIN: Final = 0.75


#: However its digits are grouped.
_ONLY_MAC: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}[:.-]?){5}[0-9A-Fa-f]{2}")


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`reason` is None for a right password. The attributes go into the accept or the reject."""

    reason: Reason | None
    method: str
    accept_attributes: bytes = b""
    reject_attributes: bytes = b""
    hint: str = ""


_PAP_RIGHT: Final = Verdict(None, "pap")
_PAP_WRONG: Final = Verdict(Reason.WRONG_PASSWORD, "pap")
_CHAP_RIGHT: Final = Verdict(None, "chap")
_CHAP_WRONG: Final = Verdict(Reason.WRONG_PASSWORD, "chap")
_MISSING: Final = Verdict(Reason.CREDENTIALS_MISSING, "")
_CONTRADICTORY: Final = Verdict(Reason.CREDENTIALS_CONTRADICTORY, "")
_EAP: Final = Verdict(Reason.METHOD_UNSUPPORTED, "eap")


def check(packet: Packet, known: Known, secret: SharedSecret, random_octets: RandomOctets) -> Verdict:
    """The verdict on an Access-Request. RFC 2865 4.1: User-Password and CHAP-Password exclude each other, and
    RFC 3579 3.3 says the same of EAP-Message and either."""
    get = packet.firsts.get
    hidden, chap, eap = get(Kind.USER_PASSWORD), get(Kind.CHAP_PASSWORD), get(Kind.EAP_MESSAGE)
    if hidden is not None and chap is None and eap is None:
        return _check_pap(hidden, packet, known.password, secret)
    if (hidden is not None) + (chap is not None) + (eap is not None) > 1:
        return _CONTRADICTORY
    if chap is not None:
        return _check_chap(chap, packet, known.password)
    if eap is not None:
        return _EAP
    return _check_mschap(packet, known, secret, random_octets)


def _check_pap(hidden: bytes, packet: Packet, password: bytes, secret: SharedSecret) -> Verdict:
    plain = reveal_password(hidden, packet.authenticator, secret)
    if plain is None:
        return _CONTRADICTORY
    if compare_digest(plain, password):
        return _PAP_RIGHT
    if not plain and _is_device_alone(packet, password):
        return _PAP_RIGHT
    if not packet.message_authenticator_at and _noise(plain):  # what was signed was hidden under the right secret
        return Verdict(Reason.WRONG_PASSWORD, "pap", hint=HINT_WRONG_SECRET)
    hint = _near_hint(plain, password)
    return Verdict(Reason.WRONG_PASSWORD, "pap", hint=hint) if hint else _PAP_WRONG


def _is_device_alone(packet: Packet, password: bytes) -> bool:
    """A DHCP client proves nothing: RouterOS's server asks by its MAC address, with an empty password. A service whose
    password is that address itself says so that this is enough; not over PPP, where anybody may type a name."""
    if packet.first(Kind.FRAMED_PROTOCOL) is not None or packet.first(Kind.SERVICE_TYPE) is not None:
        return False
    device = canonical_mac(packet.text(Kind.USER_NAME) or "")
    return (
        device is not None and _ONLY_MAC.fullmatch(password) is not None and device == canonical_mac(password.decode())
    )


def _check_chap(chap: bytes, packet: Packet, password: bytes) -> Verdict:
    if len(chap) != _CHAP_OCTETS:
        return _CONTRADICTORY
    challenge = packet.first(Kind.CHAP_CHALLENGE) or packet.authenticator  # RFC 2865 5.3
    if compare_digest(chap[1:], chap_response(chap[0], password, challenge)):
        return _CHAP_RIGHT
    for near in (b"", password + b" ", password.lower(), password.upper(), password.capitalize()):
        if chap[1:] == chap_response(chap[0], near, challenge):
            return Verdict(Reason.WRONG_PASSWORD, "chap", hint=_near_hint(near, password))
    return _CHAP_WRONG


def _check_mschap(packet: Packet, known: Known, secret: SharedSecret, random_octets: RandomOctets) -> Verdict:
    get = packet.vendor_firsts(MICROSOFT).get
    challenge, version_1, version_2 = get(MS_CHAP_CHALLENGE), get(MS_CHAP_RESPONSE), get(MS_CHAP2_RESPONSE)
    response = version_2 or version_1
    if challenge is None or response is None:
        return _MISSING
    if version_1 and version_2:
        return _CONTRADICTORY
    wanted = mschap.CHALLENGE_OCTETS_V2 if version_2 else mschap.CHALLENGE_OCTETS_V1
    if len(response) != _RESPONSE_OCTETS or len(challenge) != wanted:
        return _CONTRADICTORY
    if version_2:
        return _check_version_2(packet, challenge, response, known.nt_keys, secret, random_octets)
    return _check_version_1(packet, challenge, response, known.nt_keys, secret)


def _check_version_1(packet: Packet, challenge: bytes, response: bytes, keys: bytes, secret: SharedSecret) -> Verdict:
    # Ident, Flags, LM-Response (24), NT-Response (24); Flags 1 says to use the NT-Response (RFC 2548 2.1.3).
    if response[1] != 1:
        return Verdict(Reason.METHOD_UNSUPPORTED, "mschapv1", reject_attributes=_mschap_error(response[0], "V=2"))
    if not mschap.response_matches(response[26:50], challenge, keys):
        return Verdict(Reason.WRONG_PASSWORD, "mschapv1", reject_attributes=_mschap_error(response[0], "V=2"))
    # RFC 2548 2.4.1: hidden like User-Password, which leaves a multiple of 16 octets as long as it is.
    sealed = hide_password(mschap.mppe_keys_v1(keys), packet.authenticator, secret)
    return Verdict(None, "mschapv1", _MPPE_ALLOWED + vendor_attribute(MICROSOFT, MS_CHAP_MPPE_KEYS, sealed))


def _check_version_2(
    packet: Packet,
    authenticator_challenge: bytes,
    response: bytes,
    keys: bytes,
    secret: SharedSecret,
    random_octets: RandomOctets,
) -> Verdict:
    # Ident, Flags, Peer-Challenge (16), Reserved (8), NT-Response (24) (RFC 2548 2.3.2).
    ident, nt_response = response[0], response[26:50]
    user_name = packet.first(Kind.USER_NAME) or b""
    challenge = mschap.challenge_hash(response[2:18], authenticator_challenge, user_name)
    if not mschap.response_matches(nt_response, challenge, keys):
        # RFC 2759 section 6: a challenge of 32 digits must be there, though nobody may answer it.
        rest = f"C={random_octets(16).hex().upper()} V=3"
        return Verdict(Reason.WRONG_PASSWORD, "mschapv2", reject_attributes=_mschap_error(ident, rest))
    proof = mschap.authenticator_response(keys, nt_response, challenge)
    send_key, receive_key = mschap.mppe_keys_v2(keys, nt_response)
    salts = random_octets(3)
    # The two salts differ in their second octet, as RFC 2548 2.4.2 asks within one packet.
    send_salt, receive_salt = salts[:2], bytes((salts[2], salts[1] ^ 1))
    authenticator = packet.authenticator
    attributes = (
        vendor_attribute(MICROSOFT, MS_CHAP2_SUCCESS, bytes((ident,)) + proof)
        + _MPPE_ALLOWED
        + vendor_attribute(MICROSOFT, MS_MPPE_SEND_KEY, salt_encrypt(send_key, send_salt, authenticator, secret))
        + vendor_attribute(MICROSOFT, MS_MPPE_RECV_KEY, salt_encrypt(receive_key, receive_salt, authenticator, secret))
    )
    return Verdict(None, "mschapv2", attributes)


def _mschap_error(ident: int, rest: str) -> bytes:
    """691 is "authentication failure"; R=0: do not try again in this exchange (RFC 2433 section 7, 2759 section 6)."""
    return vendor_attribute(MICROSOFT, MS_CHAP_ERROR, bytes((ident,)) + f"E=691 R=0 {rest}".encode())


def _near_hint(given: bytes, password: bytes) -> str:
    """How this wrong password differs from the right one, where it is hardly any difference."""
    if not given:
        return HINT_EMPTY
    if given.strip() == password.strip():
        return HINT_BLANK
    return HINT_CASE if given.strip().lower() == password.strip().lower() else ""


def _noise(plain: bytes) -> bool:
    """Whether this is what another secret makes of a password and its padding: no text, and no end before the block's
    (a last octet may be 0 by chance)."""
    if len(plain) % 16 not in {0, 15} or not plain:
        return False
    try:
        return not plain.decode().isprintable()
    except UnicodeDecodeError:
        return sum(0x20 <= octet < 0x7F for octet in plain) < _ASCII_SHARE_MIN * len(plain)

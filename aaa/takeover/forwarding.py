"""A NAS's packet as the home server is to get it, and its answer as the NAS is to get it. Pure.

RFC 2865 2.3 and 5.33, RFC 3579 3.2, RFC 5080 2: a proxy has Identifiers and authenticators of its own, adds one
Proxy-State after all others and takes exactly that one away again, and hides anew what is hidden under a secret:
towards the home server User-Password, towards the NAS the keys in an Access-Accept. A CHAP whose challenge was the
Request Authenticator needs it said explicitly, since that changes.
"""

from __future__ import annotations

import socket
from typing import Final

from aaa.authenticator import (
    SharedSecret,
    hide_password,
    reveal_password,
    salt_decrypt,
    salt_encrypt,
    sign_access_request,
    sign_request,
)
from aaa.credentials import MICROSOFT, MS_CHAP_MPPE_KEYS, MS_MPPE_RECV_KEY, MS_MPPE_SEND_KEY
from aaa.packet import (
    PACKET_OCTETS_MAX,
    Code,
    Kind,
    Packet,
    attribute,
    integer_attribute,
    vendor_attribute,
    vendor_attributes,
)

_TUNNEL_PASSWORD: Final = 69
_SALTED: Final = frozenset({MS_MPPE_SEND_KEY, MS_MPPE_RECV_KEY})
_HIDDEN: Final = _SALTED | {MS_CHAP_MPPE_KEYS}


def forwarded_access_request(
    packet: Packet,
    source: str,
    nas_secret: SharedSecret,
    home_secret: SharedSecret,
    identifier: int,
    authenticator: bytes,
    proxy_state: bytes,
) -> bytes | None:
    """The Access-Request to the home server; None where the NAS's cannot be forwarded."""
    parts = []
    for kind, value in packet.attributes:
        if kind == Kind.MESSAGE_AUTHENTICATOR or not value:
            continue
        if kind == Kind.USER_PASSWORD:
            password = reveal_password(value, packet.authenticator, nas_secret)
            if password is None:
                return None
            parts.append(attribute(kind, hide_password(password, authenticator, home_secret)))
        else:
            parts.append(attribute(kind, value))
    if packet.first(Kind.CHAP_PASSWORD) is not None and packet.first(Kind.CHAP_CHALLENGE) is None:
        parts.append(attribute(Kind.CHAP_CHALLENGE, packet.authenticator))
    parts += [_nas_address(packet, source), attribute(Kind.PROXY_STATE, proxy_state)]
    octets = sign_access_request(identifier, authenticator, b"".join(parts), home_secret)
    return octets if len(octets) <= PACKET_OCTETS_MAX else None


def forwarded_accounting_request(
    packet: Packet, source: str, home_secret: SharedSecret, identifier: int, waited_s: int, proxy_state: bytes
) -> bytes | None:
    """The Accounting-Request to the home server, `waited_s` seconds after the NAS sent it (RFC 2866 5.2)."""
    left_out = {Kind.MESSAGE_AUTHENTICATOR, Kind.ACCT_DELAY_TIME}
    parts = [attribute(kind, value) for kind, value in packet.attributes if value and kind not in left_out]
    delay_s = min((packet.integer(Kind.ACCT_DELAY_TIME) or 0) + waited_s, 0xFFFFFFFF)
    if delay_s or packet.first(Kind.ACCT_DELAY_TIME) is not None:
        parts.append(integer_attribute(Kind.ACCT_DELAY_TIME, delay_s))
    parts += [_nas_address(packet, source), attribute(Kind.PROXY_STATE, proxy_state)]
    octets = sign_request(
        Code.ACCOUNTING_REQUEST, identifier, b"".join(parts), home_secret, message_authenticator=False
    )
    return octets if len(octets) <= PACKET_OCTETS_MAX else None


def returned_attributes(
    reply: Packet,
    request: Packet,
    asked: bytes,
    proxy_state: bytes,
    home_secret: SharedSecret,
    nas_secret: SharedSecret,
) -> bytes:
    """The attributes of the home server's reply for the NAS that asked `request`; `asked` is what we asked with."""
    attributes = reply.attributes
    own = (int(Kind.PROXY_STATE), proxy_state)
    if own in attributes:
        attributes.reverse()
        attributes.remove(own)  # the last of them: ours was added last
        attributes.reverse()
    hiding = _Hiding(asked[4:20], home_secret, request.authenticator, nas_secret)
    return b"".join([hiding.renew(kind, value) for kind, value in attributes if kind != Kind.MESSAGE_AUTHENTICATOR])


class _Hiding:
    """From under one secret and Request Authenticator to under another."""

    def __init__(self, theirs: bytes, their_secret: SharedSecret, ours: bytes, our_secret: SharedSecret) -> None:
        self._theirs, self._their_secret = theirs, their_secret
        self._ours, self._our_secret = ours, our_secret

    def renew(self, kind: int, value: bytes) -> bytes:
        if not value:
            return b""
        if kind == _TUNNEL_PASSWORD and len(value) > 3:
            return attribute(kind, value[:1] + self._salted(value[1:]))
        if kind == Kind.VENDOR_SPECIFIC:
            pairs = list(vendor_attributes(value, MICROSOFT))
            if any(number in _HIDDEN for number, _ in pairs):
                return b"".join([vendor_attribute(MICROSOFT, *self._microsoft(*pair)) for pair in pairs if pair[1]])
        return attribute(kind, value)

    def _microsoft(self, number: int, value: bytes) -> tuple[int, bytes]:
        if number in _SALTED:
            return number, self._salted(value)
        if number != MS_CHAP_MPPE_KEYS or len(value) != 32:
            return number, value
        # RFC 2548 2.4.1: 24 octets and padding, hidden like User-Password; a key may end in zeros.
        plain = reveal_password(value, self._theirs, self._their_secret) or b""
        return number, hide_password(plain.ljust(32, b"\0"), self._ours, self._our_secret)

    def _salted(self, value: bytes) -> bytes:
        plain = salt_decrypt(value, self._theirs, self._their_secret)
        # Salts differ within the home server's packet and stay as they are, so they do in ours.
        return value if plain is None else salt_encrypt(plain, value[:2], self._ours, self._our_secret)


def _nas_address(packet: Packet, source: str) -> bytes:
    """What the home server would have seen as the packet's source, where the NAS does not say it itself."""
    if packet.first(Kind.NAS_IP_ADDRESS) is not None or packet.first(Kind.NAS_IPV6_ADDRESS) is not None:
        return b""
    if ":" in source:
        return attribute(Kind.NAS_IPV6_ADDRESS, socket.inet_pton(socket.AF_INET6, source.partition("%")[0]))
    return attribute(Kind.NAS_IP_ADDRESS, socket.inet_aton(source))

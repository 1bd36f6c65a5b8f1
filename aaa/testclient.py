"""A RADIUS client as a NAS would be: for `provedor radius test`, the simulated BRAS, and tests.

Pure builders and checkers; `exchange` adds a UDP socket with retransmission.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aaa import mschap
from aaa.authenticator import (
    SharedSecret,
    chap_response,
    hide_password,
    response_valid,
    sign_access_request,
)
from aaa.credentials import MICROSOFT, MS_CHAP2_RESPONSE, MS_CHAP2_SUCCESS, MS_CHAP_CHALLENGE
from aaa.packet import Code, Kind, MalformedPacket, Packet, attribute, header, parse, vendor_attribute
from core.errors import InvalidInput

METHODS: Final = ("pap", "chap", "mschapv2")
RandomOctets = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Login:
    """An Access-Request ready to send, and what its reply must prove."""

    octets: bytes
    authenticator: bytes
    #: The MS-CHAP2-Success value that only a server which knows the password can give.
    proof: bytes | None


def access_request(
    identifier: int,
    login: str,
    password: str,
    method: str,
    attributes: bytes,
    secret: SharedSecret,
    random_octets: RandomOctets,
    *,
    signed: bool = True,
) -> Login:
    """`attributes` are the NAS's own (address, port, session id …); without `signed` there is no
    Message-Authenticator, as older boxes have it. Raises InvalidInput for an unknown method.
    """
    authenticator = random_octets(16)
    name, plain = login.encode(), password.encode()
    body = attribute(Kind.USER_NAME, name) + attributes
    proof = None
    if method == "pap":
        body += attribute(Kind.USER_PASSWORD, hide_password(plain, authenticator, secret))
    elif method == "chap":
        challenge, ident = random_octets(16), random_octets(1)
        body += attribute(Kind.CHAP_PASSWORD, ident + chap_response(ident[0], plain, challenge))
        body += attribute(Kind.CHAP_CHALLENGE, challenge)
    elif method == "mschapv2":
        credentials, proof = _mschapv2(name, plain, random_octets)
        body += credentials
    else:
        raise InvalidInput(f"methods are {', '.join(METHODS)}", field="method")
    if not signed:
        return Login(header(Code.ACCESS_REQUEST, identifier, len(body)) + authenticator + body, authenticator, proof)
    return Login(sign_access_request(identifier, authenticator, body, secret), authenticator, proof)


def reply_valid(reply: Packet, login: Login, secret: SharedSecret, *, signed: bool = True) -> bool:
    """Whether the reply is the server's own; `signed`: with a Message-Authenticator, as RouterOS asks by default."""
    return response_valid(reply, login.authenticator, secret, message_authenticator_required=signed)


def server_proven(reply: Packet, login: Login) -> bool:
    """Whether an Access-Accept proves that the server knows the password too, where the method can tell."""
    return login.proof is None or login.proof in reply.vendor_values(MICROSOFT, MS_CHAP2_SUCCESS)


def exchange(address: str, port: int, octets: bytes, *, tries: int = 3, timeout_s: float = 2.0) -> Packet | None:
    """Send and wait for the packet that answers; None when nobody does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((address, port))
        for _ in range(tries):
            one.send(octets)
            reply = _await_reply(one, octets[1], timeout_s)
            if reply is not None:
                return reply
    return None


def _await_reply(one: socket.socket, identifier: int, timeout_s: float) -> Packet | None:
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        one.settimeout(left)
        try:
            reply = parse(one.recv(4096))
        except (OSError, MalformedPacket):
            continue
        if reply.identifier == identifier:
            return reply
    return None


def _mschapv2(name: bytes, plain: bytes, random_octets: RandomOctets) -> tuple[bytes, bytes]:
    """Attributes, and the proof to expect (RFC 2759 section 4 and 5, RFC 2548 2.3)."""
    challenge, peer, ident = random_octets(16), random_octets(16), random_octets(1)
    keys = mschap.nt_keys(plain)
    hashed = mschap.challenge_hash(peer, challenge, name)
    response = mschap.challenge_response(hashed, keys)
    value = ident + b"\0" + peer + bytes(8) + response
    proof = ident + mschap.authenticator_response(keys, response, hashed)
    attributes = vendor_attribute(MICROSOFT, MS_CHAP_CHALLENGE, challenge)
    return attributes + vendor_attribute(MICROSOFT, MS_CHAP2_RESPONSE, value), proof

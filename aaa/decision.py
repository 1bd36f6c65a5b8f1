"""May this subscriber in, and on what policy? Pure: facts in, a decision with its reason out.

What must be true before it is asked: the packet came from a NAS we know and its Message-Authenticator was
checked as `check_signature` says. Rejects never tell an unknown login from a wrong password.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from aaa.authenticator import message_authenticator_valid
from aaa.credentials import RandomOctets, Verdict, check
from aaa.locks import ServiceLocks, learn, refusal
from aaa.packet import Kind, Packet
from aaa.reasons import Reason
from aaa.snapshot import Client, PolicyEntry, Snapshot, Subscriber
from core.access import Access
from core.locks import LearnedLocks
from core.policy import Policy

_AUTHORIZE_ONLY: Final = (17).to_bytes(4, "big")
#: Whose password an unknown login is checked against, so that it takes as long as a known one. No request proves that
#: it knows it, not even with an empty one.
_NOBODY: Final = Subscriber(0, secrets.token_bytes(32), PolicyEntry("", Policy(Access.BLOCKED)))


class Decision(msgspec.Struct, frozen=True, gc=False):
    """`entry` is set exactly for an accept. `attributes` go into the reply whatever it is."""

    reason: Reason
    method: str = ""
    subscriber: Subscriber | None = None
    entry: PolicyEntry | None = None
    attributes: bytes = b""
    hint: str = ""
    #: Of a reject, for who has to explain it.
    detail: dict[str, str] = {}
    #: What an accept teaches of locks that are to be learned.
    learned: LearnedLocks | None = None


def check_signature(packet: Packet, client: Client) -> Reason | None:
    """Why an Access-Request is discarded for its Message-Authenticator, or None (CVE-2024-3596, RFC 3579 3.2)."""
    if packet.message_authenticator_at:
        return None if message_authenticator_valid(packet, client.secret) else Reason.BAD_AUTHENTICATOR
    if client.message_authenticator == "require":
        return Reason.MESSAGE_AUTHENTICATOR_MISSING
    if packet.first(Kind.EAP_MESSAGE) is not None:  # RFC 3579 3.1: it must have one
        return Reason.MESSAGE_AUTHENTICATOR_MISSING
    if client.learns and packet.first(Kind.PROXY_STATE) is not None:
        # The attack puts Proxy-State into an unsigned request; a NAS that asks us directly never does.
        return Reason.UNSIGNED_PROXY_STATE
    return None


def learned_mode(packet: Packet, client: Client) -> str | None:
    """What this first verified request teaches about an `auto` NAS: "require", "ignore" or nothing yet.

    A network of boxes teaches nothing: one signs and its neighbour does not. EAP always signs, so it says
    nothing about the rest.
    """
    if client.message_authenticator != "auto" or client.is_network:
        return None
    if not packet.message_authenticator_at:
        return "ignore"
    return None if packet.first(Kind.EAP_MESSAGE) is not None else "require"


def authorize(packet: Packet, client: Client, snapshot: Snapshot, random_octets: RandomOctets) -> Decision:
    """The answer to an Access-Request."""
    get = packet.firsts.get
    if get(Kind.SERVICE_TYPE) == _AUTHORIZE_ONLY and get(Kind.STATE) is None:
        return Decision(Reason.AUTHORIZE_ONLY)  # RFC 5080 2.1.1
    login = get(Kind.USER_NAME)
    if login is None:
        return Decision(Reason.CREDENTIALS_MISSING)
    if client.has_login_rules:
        login = local_login(login, client)
    subscriber = snapshot.subscribers.get(login)
    verdict = check(packet, subscriber or _NOBODY, client.secret, random_octets)
    if client.emergency_fingerprint is not None:
        return _emergency(client, snapshot, subscriber, verdict)
    if subscriber is None:
        reason = verdict.reason or Reason.WRONG_PASSWORD
        return _reject(Reason.UNKNOWN_LOGIN if reason is Reason.WRONG_PASSWORD else reason, None, verdict)
    if verdict.reason is not None:
        return _reject(verdict.reason, subscriber, verdict)
    if subscriber.entry.blocked:
        return _reject(Reason.BLOCKED, subscriber, verdict)
    locks = snapshot.locks.get(subscriber.service_id)
    if locks is not None:
        return _unless_locked(locks, packet, client, subscriber, verdict)
    return Decision(Reason.ACCEPTED, verdict.method, subscriber, subscriber.entry, verdict.accept_attributes)


def local_login(login: bytes, client: Client) -> bytes:
    """The login as we keep it, by the NAS's rules: without its realm, without blanks around it, in lower case."""
    if client.strip_realm:
        login = login.partition(b"@")[0]
    if client.trim:
        login = login.strip(b" ")
    if client.lowercase:
        login = login.decode("utf-8", "surrogateescape").lower().encode("utf-8", "surrogateescape")
    return login


def _emergency(client: Client, snapshot: Snapshot, subscriber: Subscriber | None, verdict: Verdict) -> Decision:
    """The NAS is told to accept all, whatever the credentials: a night when billing or the database lies."""
    entry = snapshot.policies[client.emergency_fingerprint or ""]
    attributes = verdict.accept_attributes if verdict.reason is None and subscriber is not None else b""
    return Decision(Reason.ACCEPTED_EMERGENCY, verdict.method, subscriber, entry, attributes)


def _unless_locked(
    locks: ServiceLocks, packet: Packet, client: Client, subscriber: Subscriber, verdict: Verdict
) -> Decision:
    refused = refusal(locks, packet, client.nas_id)
    if refused is not None:
        detail = {"came": refused.came, "expected": refused.expected}
        return Decision(
            refused.reason, verdict.method, subscriber, None, verdict.reject_attributes, verdict.hint, detail
        )
    learned = learn(locks, packet, client.nas_id)
    attributes = verdict.accept_attributes
    return Decision(Reason.ACCEPTED, verdict.method, subscriber, subscriber.entry, attributes, learned=learned)


def _reject(reason: Reason, subscriber: Subscriber | None, verdict: Verdict) -> Decision:
    return Decision(reason, verdict.method, subscriber, None, verdict.reject_attributes, verdict.hint)

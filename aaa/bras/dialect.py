"""What a vendor's BRAS does differently from another's: its requests, what replies mean to it, what it refuses.

The machine (`box`) knows no vendor. A dialect is made for one box (`Site`) with what is configured there, and follows
the vendor's documents; it never looks at what we send. It keeps no state of sessions: that is in each line's grant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aaa.bras.subscriber import Grant, Subscriber
from aaa.coa.error_cause import ErrorCause
from aaa.packet import Kind, Packet, readable, vendor_attributes

#: What belongs in any request and changes nothing.
ENVELOPE: Final = frozenset({Kind.MESSAGE_AUTHENTICATOR, Kind.EVENT_TIMESTAMP, Kind.PROXY_STATE})
NAS_KEYS: Final = frozenset({Kind.NAS_IP_ADDRESS, Kind.NAS_IDENTIFIER})


class Refused(Exception):
    """The box refuses: a NAK with this Error-Cause, or with none; at login, no session."""

    def __init__(self, cause: ErrorCause | None, why: str) -> None:
        super().__init__(why)
        self.cause = cause


@dataclass(frozen=True)
class Configured:
    """What an operator configured at the box."""

    #: What the vendor leaves to choose (see core.nas_options).
    options: Mapping[str, Any] = field(default_factory=dict)
    #: QoS profiles, policy maps, SLA profiles, services by name: upload and download in kbit/s, 0 for no limit.
    profiles: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    #: The profile of a session that is told none; empty: it has none.
    default_profile: str = "default"
    #: Address list, user group, service, filter or pool that only reaches the provider's own pages.
    walled_garden: str = "walled-garden"
    #: Other lists, groups, services and filters that exist.
    known: frozenset[str] = frozenset()
    #: What is accounted beside, or instead of, the session (see the vendor's dialect); words joined by +.
    accounting: str = ""

    def exists(self, name: str) -> bool:
        """Whether a list, group, service or filter of this name was configured."""
        return name == self.walled_garden or name in self.known

    def accounts(self, what: str) -> bool:
        return what in self.accounting.split("+")


@dataclass(frozen=True)
class Site:
    """The box itself."""

    identity: str
    #: NAS-IP-Address.
    address: bytes
    #: Differs from one box to another.
    seed: int
    configured: Configured


class Dialect(Protocol):
    #: Access-Requests carry a Message-Authenticator, and a reply without one is dropped.
    signs_requests: bool
    #: CoA and Disconnect are answered with a Message-Authenticator.
    signs_answers: bool
    #: Accounting has Acct-Delay-Time.
    says_delay: bool
    #: A repeated accounting request says how late it is by then, and so is a new request (RFC 2866 5.2).
    repeats_with_delay: bool

    def acct_session_id(self, number: int, now: float) -> str:
        """The id of the box's session of this number."""

    def request_attributes(self, line: Subscriber) -> bytes:
        """What stands in every request of a session besides the credentials."""

    def accounting_sessions(self, line: Subscriber) -> tuple[str, ...]:
        """Acct-Session-Ids under which this session is accounted."""

    def accounting_attributes(self, line: Subscriber, acct_session_id: str, status: int, now: float) -> bytes:
        """One accounting request, besides `request_attributes`."""

    def accept(self, reply: Packet) -> Grant:
        """What an Access-Accept gives. Raises Refused where the session does not come up for it."""

    def choose(self, request: Packet, candidates: Sequence[Subscriber]) -> list[Subscriber]:
        """The sessions that a CoA or Disconnect is about. Raises Refused."""

    def check_disconnect(self, request: Packet) -> None:
        """Raises Refused where something stands in it that does not belong there."""

    def change(self, grant: Grant, request: Packet) -> Grant:
        """What a session that has `grant` has after a CoA. Raises Refused."""


def vendor_text(packet: Packet, vendor: int, number: int) -> str:
    """The first value of a vendor's text attribute; empty where there is none."""
    values = packet.vendor_values(vendor, number)
    return readable(values[0]) if values else ""


def vendor_texts(packet: Packet, vendor: int, number: int) -> list[str]:
    return [readable(value) for value in packet.vendor_values(vendor, number)]


def vendor_number(packet: Packet, vendor: int, number: int) -> int | None:
    values = packet.vendor_values(vendor, number)
    return int.from_bytes(values[0], "big") if values else None


def refuse_unsupported(
    request: Packet, standard: frozenset[int], vendors: Mapping[int, frozenset[int]] | None = None
) -> None:
    """RFC 5176 3.6: all attributes are mandatory, so one that is not supported refuses the request."""
    for kind, value in request.attributes:
        if kind in standard or kind in ENVELOPE:
            continue
        if kind != Kind.VENDOR_SPECIFIC or not _supported(value, vendors or {}):
            raise Refused(ErrorCause.UNSUPPORTED_ATTRIBUTE, f"attribute {kind} is not supported in this request")


def _supported(value: bytes, vendors: Mapping[int, frozenset[int]]) -> bool:
    vendor = int.from_bytes(value[:4], "big")
    return vendor in vendors and all(number in vendors[vendor] for number, _ in vendor_attributes(value, vendor))

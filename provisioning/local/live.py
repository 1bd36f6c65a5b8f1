"""What is to be done with a session that is up, once its rows are as they should be. Pure.

    no access, or no service any more      it ends
    into the walled garden                 an entry of ours in its list, without a redial; where the session has IPv6
                                           addresses that no list of ours holds, it ends
    out of it                              the entry goes; one that the login made may not be ours to take, then it ends
    another rate                           a service with an address of its own has a queue that was changed already;
                                           else it ends, at once for a restriction or its end, otherwise in the window

It dials again and finds what it should have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from core.access import Access
from provisioning.local.profiles import Base, has_dynamic_ipv6
from provisioning.local.rows import Subscriber
from provisioning.routeros.client import Row
from provisioning.routeros.live_sessions import LOCAL_FAMILY
from provisioning.routeros.planning.desired import family_of, mark_in
from provisioning.routeros.queues import limits
from provisioning.routeros.schema import canonical
from provisioning.routeros.schema.kinds import Kind

ACTIVE: Final = "/ppp/active"
ACTIVE_PROPERTIES: Final = (".id", "name", "address", "radius")


@dataclass(frozen=True, slots=True)
class Session:
    """A row of /ppp/active that the router let in itself, and what else is there for it."""

    row_id: str
    login: str
    address: str
    #: Entries of its address in the walled garden's list.
    entries: Sequence[Row] = field(default_factory=tuple)
    #: Of the dynamic queue that its login made; None: it has none.
    max_limit: str | None = None


@dataclass(frozen=True, slots=True)
class Enter:
    """The walled garden, by an entry of ours."""

    address: str
    comment: str


@dataclass(frozen=True, slots=True)
class Leave:
    """By taking this entry away; where the router does not let us, the session ends."""

    entry: Row
    session: Session


@dataclass(frozen=True, slots=True)
class End:
    """`paced`: it restricts, and counts among what the box may be asked in a minute. `waits`: for the window."""

    session: Session
    paced: bool
    waits: bool = False


Action: TypeAlias = Enter | Leave | End


def decide(session: Session, subscriber: Subscriber | None, base: Base) -> Iterator[Action]:
    """`subscriber`: None where the login is nobody's who may log in here."""
    if subscriber is None or subscriber.policy.access is Access.BLOCKED:
        yield End(session, paced=True)
        return
    if subscriber.policy.access is Access.WALLED_GARDEN:
        yield from _into_garden(session, subscriber, base)
        return
    for entry in session.entries:
        yield Leave(entry, session)
    if session.max_limit is None or _same_rate(session.max_limit, _rate_of(subscriber)):
        return
    restricts = subscriber.policy.access is not Access.FULL
    gives_back = not restricts and _same_rate(session.max_limit, subscriber.throttled_rate)
    yield End(session, paced=not gives_back, waits=not restricts and not gives_back)


def is_ours(entry: Row) -> bool:
    mark = mark_in(entry.get("comment", ""))
    return mark is not None and family_of(mark) == LOCAL_FAMILY


def _into_garden(session: Session, subscriber: Subscriber, base: Base) -> Iterator[Action]:
    if session.entries:
        return
    if has_dynamic_ipv6(subscriber.policy, base):
        yield End(session, paced=True)
    else:
        yield Enter(session.address, f"provedor:{LOCAL_FAMILY}/{subscriber.service_id}")


def _rate_of(subscriber: Subscriber) -> str:
    return limits(subscriber.policy)["max-limit"]


def _same_rate(one: str, other: str) -> bool:
    return canonical(Kind.RATE, one) == canonical(Kind.RATE, other)

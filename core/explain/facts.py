"""What an explanation is made from, and what it is. No words and no database here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.access import Access, HoldEffect, HoldReason
from core.models.network import Nas, Session
from core.models.service import ServiceStatus
from core.policy import Policy


class Verdict(StrEnum):
    """The answer, for programs."""

    ONLINE = "online"
    RESTRICTED = "restricted"
    REFUSED = "refused"
    BLOCKED = "blocked"
    OFFLINE = "offline"
    NOT_ACTIVE = "not_active"
    UNKNOWN_LOGIN = "unknown_login"
    NAS_SOUND = "nas_sound"
    NAS_TROUBLED = "nas_troubled"


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    message: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """`summary` answers in plain words, `next_step` is what to do first; `findings` say all, worst first."""

    login: str | None
    service_id: int | None
    verdict: Verdict
    can_connect: bool
    online: bool
    summary: str
    next_step: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A refused or odd login, as aaa kept it. `times`: since it was reported before. `service_id`: None of nobody's."""

    at: datetime
    reason: str
    hint: str
    method: str
    login: str = ""
    nas_id: int = 0
    source: str = ""
    calling_station_id: str | None = None
    times: int = 1
    detail: Mapping[str, str] = field(default_factory=dict)
    service_id: int | None = None


@dataclass(frozen=True, slots=True)
class NasFinding:
    """Something that is wrong between us and a sender, as aaa kept it. `nas_id` is 0 for one that is no NAS of ours."""

    nas_id: int
    source: str
    kind: str
    first_at: datetime
    last_at: datetime
    count: int
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """What enforcement did to a session, as provisioning kept it."""

    at: datetime
    action: str
    outcome: str
    error_cause: int | None


@dataclass(frozen=True, slots=True)
class HoldFact:
    reason: HoldReason
    effect: HoldEffect
    note: str | None


@dataclass(frozen=True, slots=True)
class IncidentFact:
    """An open incident that touches the service, by the scope that a person confirmed."""

    title: str
    opened_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LocksFact:
    """As `core.locks`: empty is to be learned. NAS entries by name."""

    macs: Sequence[str] | None = None
    circuits: Sequence[str] | None = None
    nas_names: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class NasFact:
    nas: Nas
    #: The latest news of any of its live sessions.
    heard_at: datetime | None = None
    live_sessions: int = 0
    coa_silent: bool = False
    findings: Sequence[NasFinding] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one service. Sessions and steps: the latest first."""

    login: str | None
    status: ServiceStatus
    access: Access
    intended_fingerprint: str
    service_id: int | None = None
    policy: Policy | None = None
    plan: str = ""
    holds: tuple[HoldFact, ...] = ()
    incidents: Sequence[IncidentFact] = ()
    locks: LocksFact = LocksFact()
    sessions: Sequence[Session] = ()
    nas: NasFact | None = None
    attempts: Sequence[Attempt] = ()
    steps: Sequence[Step] = ()
    #: Senders that are no NAS of ours, and names of NAS entries by id.
    strangers: Sequence[NasFinding] = ()
    nas_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def session(self) -> Session | None:
        """The live one, else the last."""
        return next((one for one in self.sessions if one.stopped_at is None), next(iter(self.sessions), None))


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from that rooms above keep: each function takes a login, a MAC address or an id.

    `attempts` are those of a login and its service, and nobody's with the login in another spelling.
    """

    attempts: Callable[[str, int | None], Sequence[Attempt]]
    attempts_of_station: Callable[[str], Sequence[Attempt]]
    attempts_at: Callable[[int], Sequence[Attempt]]
    nas_findings: Callable[[int], Sequence[NasFinding]]
    strangers: Callable[[], Sequence[NasFinding]]
    steps: Callable[[int], Sequence[Step]]
    coa_silent: Callable[[int], bool]

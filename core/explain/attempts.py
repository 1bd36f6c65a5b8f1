"""Refused and odd attempts to findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby

from core.explain.facts import Attempt, Facts, Finding
from core.explain.names import HINTS
from core.explain.voice import Voice
from core.models.network import Session

#: What a NAS got no answer to.
_DISCARDED = frozenset(
    {"bad_authenticator", "message_authenticator_missing", "unsigned_proxy_state", "lease_awaited", "leases_stale"}
)
_ACCEPTED_AGAIN = "accepted_again"
_SESSION_LIMIT = "session_limit"
#: How far off a NAS's clock may be before it is not believed (aaa.accounting).
CLOCK_TOLERANCE = timedelta(seconds=300)


def attempt_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    """Since the latest session was heard of: one for each reason, the latest first."""
    for attempts in _by_trouble([attempt for attempt in facts.attempts if _counts(attempt, facts.session)]):
        latest, number = attempts[0], sum(attempt.times for attempt in attempts)
        if latest.reason == _ACCEPTED_AGAIN:
            yield _finding("accepted_never_started", latest, number + 1, facts.nas_names, voice)
        elif facts.login is not None and latest.service_id is None and latest.login != facts.login:
            difference = voice.name(_difference(latest.login, facts.login))
            yield voice.finding("other_spelling", written=latest.login, meant=facts.login, difference=difference)
        else:
            code = "discarded" if latest.reason in _DISCARDED else "refused"
            yield _finding(code, latest, number, facts.nas_names, voice)


def _counts(attempt: Attempt, session: Session | None) -> bool:
    """Whether nothing has been heard of a session since. The Start that follows an accept tells the NAS's time, which
    may be a little before ours; that there is a session is why another was refused over the limit."""
    if session is None or (attempt.reason == _SESSION_LIMIT and session.stopped_at is None):
        return True
    tolerance = CLOCK_TOLERANCE if attempt.reason == _ACCEPTED_AGAIN and session.stopped_at is None else timedelta()
    return attempt.at > session.updated_at + tolerance


def refusal_findings(attempts: Sequence[Attempt], nas_names: Mapping[int, str], voice: Voice) -> Iterator[Finding]:
    """Of logins that are no service's."""
    for same in _by_trouble(attempts):
        code = "discarded" if same[0].reason in _DISCARDED else "refused"
        yield _finding(code, same[0], sum(attempt.times for attempt in same), nas_names, voice)


def _by_trouble(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    """Attempts with the same trouble together, the latest first in each and among them."""

    def trouble(attempt: Attempt) -> tuple[str, str, str]:
        return attempt.reason, attempt.hint, attempt.login

    newest = sorted(attempts, key=lambda attempt: attempt.at, reverse=True)
    groups = [list(same) for _, same in groupby(sorted(newest, key=trouble), key=trouble)]
    return sorted(groups, key=lambda same: same[0].at, reverse=True)


def _finding(code: str, latest: Attempt, number: int, nas_names: Mapping[int, str], voice: Voice) -> Finding:
    reason, advice = voice.reason(latest.reason)
    hint = voice.refusal(HINTS.get(latest.hint))
    nas = nas_names.get(latest.nas_id, latest.source)
    return voice.finding(
        code, times=voice.times(number), at=voice.moment(latest.at), reason=reason,
        hint=f" ({hint[0]})" if hint else _detail(latest, nas_names, voice), advice=hint[1] if hint else advice,
        where=voice.phrase("at_nas", nas=nas) if nas else "",
    )  # fmt: skip


def _detail(attempt: Attempt, nas_names: Mapping[int, str], voice: Voice) -> str:
    if attempt.reason == _SESSION_LIMIT and "live" in attempt.detail:
        return f" ({voice.phrase('sessions_live', **attempt.detail)})"
    return _came(attempt, nas_names, voice)


def _came(attempt: Attempt, nas_names: Mapping[int, str], voice: Voice) -> str:
    """What a lock found, and what it would have let in."""
    if "expected" not in attempt.detail:
        return ""
    came, expected = attempt.detail.get("came", ""), attempt.detail["expected"]
    if attempt.reason == "locked_mac":
        came, expected = voice.device(came), ", ".join(voice.device(mac) for mac in expected.split(", "))
    elif attempt.reason == "locked_nas":
        named = {str(nas_id): name for nas_id, name in nas_names.items()}
        came, expected = named.get(came, came), ", ".join(named.get(one, one) for one in expected.split(", "))
    came = came or voice.phrase("nothing_came")
    return f" ({voice.phrase('came_expected', came=came, expected=expected)})"


def _difference(written: str, meant: str) -> str:
    """What sets two spellings of one login apart."""
    if written.strip() == meant:
        return "blank"
    return "case" if written.strip().lower() == meant.lower() else "realm"

"""From findings to an answer: its first words, its first step."""

from __future__ import annotations

from collections.abc import Sequence

from core.explain.facts import Explanation, Finding, Verdict
from core.explain.voice import Voice
from core.explain.words import ANSWERS, choose

#: Findings that are an answer by themselves.
_ANSWERING = frozenset(
    {"online", "offline", "never_seen", "service_cancelled", "service_pending", "no_login", "login_unknown",
     "address_free", "device_unknown"}
)  # fmt: skip


def conclude(
    verdict: Verdict, findings: Sequence[Finding], voice: Voice, login: str | None, service_id: int | None,
    *, can_connect: bool, online: bool,
) -> Explanation:  # fmt: skip
    """What was found, with the answer before it."""
    words = choose(voice.language, ANSWERS[verdict])
    first = findings[0] if findings else None
    if first is None:
        summary = words
    elif first.code in _ANSWERING:
        summary = first.message
    else:
        summary = f"{words} {first.message}"
    next_step = next((finding.next_step for finding in findings if finding.next_step), "")
    return Explanation(login, service_id, verdict, can_connect, online, summary, next_step, tuple(findings))

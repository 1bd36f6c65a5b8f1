"""What is known of a NAS to findings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from core.explain.facts import Attempt, Explanation, Finding, NasFact, NasFinding, Verdict
from core.explain.verdict import conclude
from core.explain.voice import Voice
from core.explain.words import FINDINGS

#: A clock that is this near to a multiple of half an hour is right in another zone.
ZONE_TOLERANCE_S = 120
HALF_HOUR_S = 1800
#: Zones are at most fourteen hours apart from UTC.
ZONE_MAX_S = 14 * 3600


def diagnose_nas(
    fact: NasFact, attempts: Sequence[Attempt], strangers: Sequence[NasFinding], voice: Voice
) -> Explanation:
    """Everything about one NAS; `attempts` are those of the last hour."""
    wrong = nas_findings(fact, voice)
    name = fact.nas.name
    if fact.heard_at is None:
        wrong.append(voice.finding("nas_not_heard", nas=name))
        wrong += stranger_findings(strangers, voice)
        heard = []
    else:
        heard = [voice.finding("nas_heard", nas=name, live=fact.live_sessions, at=voice.moment(fact.heard_at))]
    verdict = Verdict.NAS_TROUBLED if wrong else Verdict.NAS_SOUND
    findings = [*wrong, *heard, *_refused(name, attempts, voice)]
    return conclude(verdict, findings, voice, None, None, can_connect=False, online=fact.live_sessions > 0)


def nas_findings(fact: NasFact, voice: Voice) -> list[Finding]:
    """What is wrong with it, or switched off at it."""
    nas, found = fact.nas, []
    if nas.emergency:
        found.append(voice.finding("nas_emergency", nas=nas.name))
    if nas.enforcement_frozen:
        found.append(voice.finding("nas_frozen", nas=nas.name))
    if fact.coa_silent:
        found.append(voice.finding("nas_coa_silent", nas=nas.name, port=nas.coa_port))
    known = {nas.id: nas.name}
    return found + [trouble_finding(one, known, voice) for one in fact.findings if f"nas_{one.kind}" in FINDINGS]


def stranger_findings(strangers: Sequence[NasFinding], voice: Voice) -> list[Finding]:
    """Senders that are no NAS of ours: one of them may be the NAS that is looked for."""
    return [
        voice.finding("stranger", source=one.source, count=voice.times(one.count), at=voice.moment(one.last_at))
        for one in strangers
    ]


def trouble_finding(one: NasFinding, nas_names: Mapping[int, str], voice: Voice) -> Finding:
    """One of aaa's findings in words."""
    if one.nas_id == 0:
        return stranger_findings([one], voice)[0]
    role = one.detail.get("role")
    where = f" {voice.name(role)}" if role in {"auth", "acct"} else ""
    name = nas_names.get(one.nas_id, one.source)
    nas = f"{name}{voice.phrase('from', source=one.source)}" if one.source else name
    return voice.finding(
        f"nas_{one.kind}", nas=nas, where=where, count=voice.times(one.count), at=voice.moment(one.last_at),
        offset=_offset(int(one.detail.get("skew_s", 0)), voice),
    )  # fmt: skip


def _offset(skew_s: int, voice: Voice) -> str:
    """As "3 h behind", and why, where whole half hours betray a zone."""
    size = abs(skew_s)
    halves = round(size / HALF_HOUR_S)
    is_zone = 0 < size <= ZONE_MAX_S and halves > 0 and abs(size - halves * HALF_HOUR_S) <= ZONE_TOLERANCE_S
    amount = f"{halves / 2:g} h" if is_zone else f"{size // 60} min" if size < 7200 else f"{size / 3600:.1f} h"
    said = voice.phrase("ahead" if skew_s > 0 else "behind", amount=amount)
    return said + voice.phrase("zone") if is_zone else said


def _refused(name: str, attempts: Sequence[Attempt], voice: Voice) -> Iterator[Finding]:
    counts: Counter[str] = Counter()
    for attempt in attempts:
        counts[attempt.reason] += attempt.times
    if counts:
        reasons = ", ".join(f"{voice.reason(reason)[0]} ({number})" for reason, number in counts.most_common())
        yield voice.finding("nas_refuses", number=counts.total(), nas=name, reasons=reasons)

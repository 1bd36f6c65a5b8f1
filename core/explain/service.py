"""A service's facts to findings, worst first. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from core.access import Access
from core.explain.attempts import attempt_findings
from core.explain.causes import ERROR_CAUSES, TERMINATE_CAUSES
from core.explain.facts import Explanation, Facts, Finding, NasFact, Verdict
from core.explain.nas import nas_findings, stranger_findings
from core.explain.verdict import conclude
from core.explain.voice import Voice
from core.models.network import Session
from core.models.service import ServiceStatus
from core.policy import Policy

#: A session that ended sooner is no session; so many of them, one after the other, are a loop.
SHORT_SESSION_S = 60
LOOP_SESSIONS = 3


def diagnose(facts: Facts, voice: Voice) -> Explanation:
    """Every finding that the facts support.

    Refusals since the last session are why there is none now, so they come before it; older ones say nothing.
    """
    status, held = list(_status_findings(facts, voice)), list(_hold_findings(facts, voice))
    failing = [*attempt_findings(facts, voice), *_loop_findings(facts, voice)]
    online = facts.session is not None and facts.session.stopped_at is None
    # What is broken is why it is not there; who is there asks something else.
    broken, seen = list(_incident_findings(facts, voice)), list(_session_findings(facts, voice))
    findings = [*status, *held, *failing, *seen, *broken] if online else [*status, *held, *broken, *failing, *seen]
    if facts.nas is not None:
        findings += nas_findings(facts.nas, voice)
        findings += _silence(facts, facts.nas, voice)
    if not facts.sessions and not facts.attempts:
        findings += stranger_findings(facts.strangers, voice)
    findings += [*_lock_findings(facts, voice), *_policy_findings(facts, voice)]
    entitled = facts.status is ServiceStatus.ACTIVE and facts.login is not None and facts.access is not Access.BLOCKED
    verdict = _verdict(facts, online=online, entitled=entitled, fails=bool(failing))
    return conclude(verdict, findings, voice, facts.login, facts.service_id, can_connect=entitled, online=online)


def _verdict(facts: Facts, *, online: bool, entitled: bool, fails: bool) -> Verdict:
    if facts.status is not ServiceStatus.ACTIVE or facts.login is None:
        return Verdict.NOT_ACTIVE
    if not entitled:
        return Verdict.BLOCKED
    if online:
        return Verdict.ONLINE if facts.access is Access.FULL else Verdict.RESTRICTED
    return Verdict.REFUSED if fails else Verdict.OFFLINE


def _status_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    if facts.status is ServiceStatus.CANCELLED:
        yield voice.finding("service_cancelled")
    elif facts.status is ServiceStatus.PENDING:
        yield voice.finding("service_pending")
    elif not facts.login:
        yield voice.finding("no_login")


def _hold_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    for hold in facts.holds:
        note = f" ({hold.note})" if hold.note else ""
        yield voice.finding("hold", reason=voice.name(hold.reason), effect=voice.name(hold.effect), note=note)


def _incident_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    for one in facts.incidents:
        opened, until = voice.moment(one.opened_at), voice.moment(one.expires_at)
        yield voice.finding("incident", title=one.title, opened=opened, until=until)


def _loop_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    """The latest sessions, as far as each of them ended at once."""
    short: list[Session] = []
    for session in facts.sessions:
        if session.stopped_at is None or (session.stopped_at - session.started_at).total_seconds() > SHORT_SESSION_S:
            break
        short.append(session)
    if len(short) < LOOP_SESSIONS:
        return
    last, number = short[0], short[0].terminate_cause or 0
    unknown = (voice.phrase("unknown_cause", number=number), "")
    cause, advice = voice.refusal(TERMINATE_CAUSES.get(number)) or unknown
    seconds = round(((last.stopped_at or last.started_at) - last.started_at).total_seconds())
    yield voice.finding("session_loop", times=len(short), seconds=seconds, cause=cause, advice=advice)


def _session_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    session = facts.session
    if session is None:
        yield voice.finding("never_seen")
        return
    if session.stopped_at is not None:
        yield voice.finding("offline", until=voice.moment(session.stopped_at), how=_how_it_ended(session, voice))
        return
    nas = facts.nas_names.get(session.nas_id, session.box)
    address = session.framed_ipv4 or session.framed_ipv6_prefix or "?"
    yield voice.finding("online", since=voice.moment(session.started_at), nas=nas, address=address)
    live = sum(one.stopped_at is None for one in facts.sessions)
    if live > 1:
        yield voice.finding("several_sessions", number=live)
    if session.class_fingerprint is None:
        yield voice.finding("observed")
    elif session.effective_fingerprint != facts.intended_fingerprint:
        yield voice.finding("out_of_step")
        yield from _step_findings(facts, voice)


def _silence(facts: Facts, nas: NasFact, voice: Voice) -> Iterator[Finding]:
    """Nobody is online there, this one neither: it may be the NAS."""
    if nas.heard_at is None and facts.session is not None and facts.session.stopped_at is not None:
        yield voice.finding("nas_not_heard", nas=nas.nas.name)


def _how_it_ended(session: Session, voice: Voice) -> str:
    how = voice.name(session.stop_kind or "?")
    cause = voice.refusal(TERMINATE_CAUSES.get(session.terminate_cause or 0))
    return f"{how}: {cause[0]}" if cause else how


def _step_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    """What was last tried to bring the session in step, and what the NAS said."""
    for step in facts.steps[:1]:
        said = voice.refusal(ERROR_CAUSES.get(step.error_cause or 0))
        cause, advice = said or ("", "")
        outcome = f"{voice.name(step.outcome)} ({step.error_cause}: {cause})" if said else voice.name(step.outcome)
        action, at = voice.name(step.action), voice.moment(step.at)
        yield voice.finding("enforcement", action=action, at=at, outcome=outcome, advice=advice)


def _lock_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    locks = facts.locks
    macs = locks.macs and [voice.device(mac) for mac in locks.macs]
    for kind, values in (("mac_lock", macs), ("circuit_lock", locks.circuits), ("nas_lock", locks.nas_names)):
        if values:
            yield voice.finding("locked_to", what=f"{voice.name(kind)} {', '.join(values)}")
        elif values is not None:
            name = voice.name(kind)
            yield voice.finding("lock_waits", what=name[0].upper() + name[1:])


def _policy_findings(facts: Facts, voice: Voice) -> Iterator[Finding]:
    if facts.policy is None:
        return
    plan = voice.phrase("plan", plan=facts.plan) if facts.plan else ""
    yield voice.finding(
        "policy", plan=plan, rates=_rates(facts.policy, voice), addresses=_addresses(facts.policy, voice),
        more=_more(facts.policy, voice),
    )  # fmt: skip
    if facts.access is not Access.FULL:
        name = "blocked_access" if facts.access is Access.BLOCKED else facts.access
        yield voice.finding("policy_restricted", access=voice.name(name))


def _rates(policy: Policy, voice: Voice) -> str:
    if policy.access is Access.BLOCKED:
        return voice.phrase("no_access")
    if policy.down_kbps is None or policy.up_kbps is None:
        return voice.phrase("rates_of_nas")
    rates = voice.phrase("rates", down=voice.rate(policy.down_kbps), up=voice.rate(policy.up_kbps))
    burst = policy.burst
    if burst is None:
        return rates
    return rates + voice.phrase("burst", down=voice.rate(burst.down_kbps), up=voice.rate(burst.up_kbps))


def _addresses(policy: Policy, voice: Voice) -> str:
    if policy.ipv4_address:
        return voice.phrase("fixed", address=policy.ipv4_address)
    return voice.phrase("pool", pool=policy.address_pool) if policy.address_pool else voice.phrase("address_of_nas")


def _more(policy: Policy, voice: Voice) -> str:
    said = [voice.phrase("prefix", prefix=one) for one in (policy.ipv6_prefix, policy.delegated_ipv6_prefix) if one]
    if policy.ipv4_routes:
        said.append(voice.phrase("routes", routes=", ".join(policy.ipv4_routes)))
    for phrase, name in (("list", policy.address_list), ("profile", policy.profile), ("vrf", policy.vrf)):
        if name:
            said.append(voice.phrase(phrase, name=name))
    filters = [name for name in (policy.ingress_filter, policy.egress_filter) if name]
    if filters:
        said.append(voice.phrase("filters", names=", ".join(filters)))
    return "".join(said)

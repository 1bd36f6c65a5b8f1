"""Why can this subscriber connect, or not? Findings in words, from what the database knows, with what to do next.

`diagnose` is pure: facts in, findings out, worst first. `explain_service` gathers the facts. Recent refusals are
handed in by whoever has them (aaa keeps them), so that this stays below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session as DatabaseSession

from core import holds, sessions
from core.access import Access, HoldEffect, HoldReason
from core.models.network import Nas, Session, StopKind
from core.models.service import Service, ServiceStatus


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    message: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Explanation:
    login: str | None
    can_connect: bool
    online: bool
    summary: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A refused login, as aaa kept it."""

    at: datetime
    reason: str
    hint: str
    method: str


@dataclass(frozen=True, slots=True)
class HoldFact:
    reason: HoldReason
    effect: HoldEffect
    note: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    login: str | None
    status: ServiceStatus
    access: Access
    holds: tuple[HoldFact, ...]
    session: Session | None
    nas: Nas | None
    intended_fingerprint: str
    attempts: tuple[Attempt, ...]


#: code -> (pt_BR message, pt_BR next step, en message, en next step)
_WORDS: dict[str, tuple[str, str, str, str]] = {
    "service_cancelled": (
        "O serviço está cancelado.", "Reative com um novo serviço, se for o caso.",
        "The service is cancelled.", "Create a new service if it is to be used again.",
    ),
    "service_pending": (
        "O serviço ainda não foi ativado.", "Conclua a instalação e ative o serviço.",
        "The service is not active yet.", "Finish the installation and activate it.",
    ),
    "no_login": (
        "O serviço não tem login.", "Cadastre login e senha.",
        "The service has no login.", "Set login and password.",
    ),
    "hold": (
        "Bloqueio por {reason}, efeito {effect}{note}.", "Resolva o motivo ou remova o bloqueio.",
        "Hold for {reason}, effect {effect}{note}.", "Settle its reason or lift it.",
    ),
    "online": (
        "Conectado desde {since} em {nas}, endereço {address}.", "",
        "Online since {since} at {nas}, address {address}.", "",
    ),
    "out_of_step": (
        "A sessão ainda não tem a política pretendida.", "Veja os passos de aplicação; verifique a porta CoA do NAS.",
        "The session does not have the intended policy yet.", "Look at the enforcement steps and the NAS's CoA port.",
    ),
    "offline": (
        "Não está conectado; última sessão terminou em {until} ({how}).", "Peça ao cliente para ligar o equipamento.",
        "Not online; the last session ended at {until} ({how}).", "Ask the subscriber to switch the CPE on.",
    ),
    "never_seen": (
        "Nunca se conectou.", "Confira login e senha no equipamento e se o NAS aponta para este servidor.",
        "It has never connected.", "Check the CPE's login and password, and that the NAS asks this server.",
    ),
    "refused": (
        "Recusado {times}, por último em {at}: {reason}{hint}.", "{advice}",
        "Refused {times}, last at {at}: {reason}{hint}.", "{advice}",
    ),
}  # fmt: skip
#: What holds and sessions are called in front of people: (pt_BR, en).
_NAMES: dict[str, tuple[str, str]] = {
    HoldReason.BILLING: ("cobrança", "billing"),
    HoldReason.ADMIN: ("decisão do provedor", "the provider's decision"),
    HoldReason.ABUSE: ("abuso", "abuse"),
    HoldReason.QUOTA: ("franquia esgotada", "used-up quota"),
    HoldReason.REQUEST: ("pedido do cliente", "the customer's request"),
    HoldEffect.THROTTLE: ("velocidade reduzida", "reduced speed"),
    HoldEffect.WALLED_GARDEN: ("só a página de aviso", "walled garden only"),
    HoldEffect.BLOCK: ("sem acesso", "no access"),
    StopKind.STOP: ("encerrada pelo NAS", "ended by the NAS"),
    StopKind.NAS_REBOOT: ("o NAS reiniciou", "the NAS restarted"),
    StopKind.SUPERSEDED: ("outra sessão começou", "another session began"),
    StopKind.STALE: ("sem notícias do NAS", "nothing heard from the NAS"),
    StopKind.NOT_FOUND: ("o NAS não a conhece mais", "the NAS knows it no more"),
    "wrong_password": ("senha errada", "wrong password"),
    "unknown_login": ("login desconhecido", "unknown login"),
    "blocked": ("acesso bloqueado", "access is blocked"),
    "credentials_missing": ("pedido sem senha", "no credentials in the request"),
    "credentials_contradictory": ("pedido com duas senhas", "two kinds of credentials in one request"),
    "method_unsupported": ("método de autenticação não suportado", "authentication method not supported"),
    "authorize_only": ("pedido sem autenticação", "a request without authentication"),
    "home_rejected": ("recusado pelo servidor antigo", "refused by the old server"),
}
_ADVICE: dict[str, tuple[str, str]] = {
    "credentials_missing": ("Confira a configuração do NAS.", "Check the NAS's configuration."),
    "credentials_contradictory": ("Confira a configuração do NAS.", "Check the NAS's configuration."),
    "method_unsupported": ("Use PAP, CHAP ou MS-CHAP no NAS.", "Use PAP, CHAP or MS-CHAP at the NAS."),
    "wrong_password": ("Corrija a senha no equipamento ou no cadastro.", "Correct the password in the CPE or here."),
    "blocked": ("Há um bloqueio total; veja os bloqueios.", "A hold blocks all access; see the holds."),
    "unknown_login": ("O login não estava ativo naquele momento.", "The login was not active at that time."),
    "home_rejected": (
        "O NAS ainda pergunta ao servidor antigo; corrija lá, ou passe o NAS ao modo serve.",
        "The NAS is still answered by the old server: put it right there, or switch the NAS to serve.",
    ),
}


def diagnose(facts: Facts, language: str) -> Explanation:
    """Every finding that the facts support; the summary is the first of them.

    Refusals since the last session are why there is none now, so they come before it; older ones say nothing.
    """
    findings = [*_status_findings(facts, language), *_hold_findings(facts, language)]
    findings += _attempt_findings(facts, language)
    findings += _session_findings(facts, language)
    online = facts.session is not None and facts.session.stopped_at is None
    can_connect = (
        facts.status is ServiceStatus.ACTIVE and facts.login is not None and facts.access is not Access.BLOCKED
    )
    return Explanation(facts.login, can_connect, online, findings[0].message, tuple(findings))


def explain_service(
    session: DatabaseSession,
    service: Service,
    language: str,
    attempts: Callable[[str], Sequence[Attempt]] | None = None,
) -> Explanation:
    latest = sessions.latest_of_service(session, service.id)
    facts = Facts(
        service.login,
        service.status,
        service.access,
        tuple(HoldFact(hold.reason, hold.effect, hold.note) for hold in holds.live_holds(session, service.id)),
        latest,
        sessions.nas_of(session, latest) if latest else None,
        service.policy_fingerprint,
        tuple(attempts(service.login)) if attempts and service.login else (),
    )
    return diagnose(facts, language)


def as_json(explanation: Explanation) -> dict[str, Any]:
    return asdict(explanation)


def _status_findings(facts: Facts, language: str) -> list[Finding]:
    if facts.status is ServiceStatus.CANCELLED:
        return [_finding("service_cancelled", language)]
    if facts.status is ServiceStatus.PENDING:
        return [_finding("service_pending", language)]
    return [] if facts.login else [_finding("no_login", language)]


def _hold_findings(facts: Facts, language: str) -> list[Finding]:
    return [
        _finding(
            "hold",
            language,
            reason=_named(hold.reason, language),
            effect=_named(hold.effect, language),
            note=f" ({hold.note})" if hold.note else "",
        )
        for hold in facts.holds
    ]


def _session_findings(facts: Facts, language: str) -> list[Finding]:
    live = facts.session
    if live is None:
        return [_finding("never_seen", language)]
    if live.stopped_at is not None:
        how = _named(live.stop_kind or "", language)
        return [_finding("offline", language, until=_moment(live.stopped_at), how=how)]
    name = facts.nas.name if facts.nas else live.box
    found = [_finding("online", language, since=_moment(live.started_at), nas=name, address=live.framed_ipv4 or "?")]
    if live.effective_fingerprint not in {None, facts.intended_fingerprint}:
        found.append(_finding("out_of_step", language))
    return found


def _attempt_findings(facts: Facts, language: str) -> list[Finding]:
    """One for each reason, the latest first."""
    heard = facts.session.updated_at if facts.session else None
    recent = [attempt for attempt in facts.attempts if heard is None or attempt.at > heard]
    latest = {attempt.reason: attempt for attempt in reversed(recent)}
    counts = Counter(attempt.reason for attempt in recent)
    found = []
    for attempt in sorted(latest.values(), key=lambda attempt: attempt.at, reverse=True):
        number = counts[attempt.reason]
        times = {1: ("uma vez", "once")}.get(number, (f"{number} vezes", f"{number} times"))
        advice = _ADVICE.get(attempt.reason, ("", ""))
        hint = f" ({attempt.hint})" if attempt.hint else ""
        found.append(
            _finding(
                "refused", language, at=_moment(attempt.at), reason=_named(attempt.reason, language), hint=hint,
                times=_in(language, times), advice=_in(language, advice),
            )
        )  # fmt: skip
    return found


def _named(value: str, language: str) -> str:
    return _in(language, _NAMES.get(value, (value, value)))


def _in(language: str, words: tuple[str, str]) -> str:
    return words[0] if language == "pt_BR" else words[1]


def _finding(code: str, language: str, **values: object) -> Finding:
    words = _WORDS[code]
    message, step = words[:2] if language == "pt_BR" else words[2:]
    return Finding(code, message.format(**values), step.format(**values))


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")

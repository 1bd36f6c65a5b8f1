"""Questions to the connection log, each with its reason, and each kept in a log that nobody can change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from aaa.connection_log.find import Answer, Candidate, Question, find_holders
from aaa.connection_log.models import LogLookup
from aaa.connection_log.words import answer_words, end_words, how_words, note_words
from core.audit import Actor
from core.language import Language
from core.parties import Holder, holders_of


@dataclass(frozen=True, slots=True)
class Finding:
    """A candidate, and the customer whose service it was."""

    candidate: Candidate
    holder: Holder | None


def look_up(session: Session, question: Question, *, actor: Actor, reason: str) -> tuple[Answer, list[Finding]]:
    """The lookup is logged in the same transaction: there is no answer without its entry."""
    answer = find_holders(session, question)
    asked = {
        "address": str(question.address), "port": question.port, "from": question.first.isoformat(),
        "until": question.last.isoformat(),
    }  # fmt: skip
    session.add(
        LogLookup(actor=actor.name, source=actor.source, reason=reason, question=asked, results=len(answer.candidates))
    )
    session.flush()
    holders = holders_of(session, {one.service_id for one in answer.candidates if one.service_id is not None})
    return answer, [Finding(one, holders.get(one.service_id or 0)) for one in answer.candidates]


def as_json(answer: Answer, findings: Sequence[Finding], language: Language) -> dict[str, Any]:
    """An answer as it goes out and as a case keeps it: every fact, and what it means in words."""
    question = answer.question
    return {
        "question": {
            "address": str(question.address), "port": question.port, "from": _time(question.first),
            "until": _time(question.last),
        },
        "tolerance_seconds": int(question.tolerance.total_seconds()),
        "notes": [note.value for note in sorted(answer.notes)],
        "in_words": answer_words(answer, language),
        "candidates": [_finding(one, language) for one in findings],
    }  # fmt: skip


def _finding(finding: Finding, language: Language) -> dict[str, Any]:
    one = finding.candidate
    return {
        "how": one.how.value, "how_in_words": how_words(one.how, language), "address": _shown(one.address),
        "port_first": one.port_first, "port_last": one.port_last, "inside_address": _shown(one.inside),
        "started_at": _time(one.started_at), "ended_at": _time(one.ended_at), "end_kind": one.end_kind,
        "end_in_words": end_words(one.end_kind, language), "heard_at": _time(one.heard_at), "told_by": one.told_by,
        "login": one.login, "acct_session_id": one.acct_session_id, "calling_station_id": one.calling_station_id,
        "notes": [note.value for note in sorted(one.notes)],
        "in_words": [note_words(note, language) for note in sorted(one.notes)],
        "customer": None if finding.holder is None else holder_json(finding.holder),
    }  # fmt: skip


def holder_json(holder: Holder) -> dict[str, Any]:
    found = asdict(holder)
    return {name: str(value) if name.endswith("_id") else value for name, value in found.items()}


def _shown(address: str | None) -> str | None:
    """A host without its /32: that is what people write."""
    return address.removesuffix("/32") if address and "." in address else address


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")

"""What the workers reported, for who explains: refused and odd attempts, and what is wrong with a NAS.

Kept for a while, and bounded: of each NAS so many, what may be made up apart from subscribers' own, so that a storm at
one pushes out what happened at none of the rest; and so many in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Select, delete, func, or_, select, text
from sqlalchemy.orm import Session

from aaa.models import AuthenticationAttempt, NasFindingRow
from aaa.reports import DOUBTFUL, STRANGER
from core.explain import Attempt, NasFinding
from core.models.service import LOGIN_KEY

SHOWN: Final = 20
SHOWN_OF_NAS: Final = 1000
#: Of strangers, whose number anybody can make large.
STRANGERS_SHOWN: Final = 3
KEPT_DAYS: Final = 30
#: A storm of made-up logins costs some 20 MB a NAS, 200 MB in all, no more.
KEPT_ROWS_A_NAS_MAX: Final = 100_000
KEPT_ROWS_MAX: Final = 1_000_000
KEPT_STRANGERS_MAX: Final = 1000

_RECENT: Final = func.now() - func.make_interval(0, 0, 0, 1)
_LAST_HOUR: Final = func.now() - func.make_interval(0, 0, 0, 0, 1)


def recent_attempts(session: Session, login: str, service_id: int | None = None) -> list[Attempt]:
    """The latest of this login and its service, and nobody's that differ only in spelling; newest first."""
    if not login.partition("@")[0].strip():
        return []
    key = text(f"{LOGIN_KEY.format('login')} = {LOGIN_KEY.format(':login')}").bindparams(login=login)
    of_service = AuthenticationAttempt.service_id
    theirs = or_(of_service.is_(None), of_service == service_id)
    return _attempts(session, select(AuthenticationAttempt).where(key, theirs).limit(SHOWN))


def attempts_of_station(session: Session, mac: str) -> list[Attempt]:
    """The latest of the last day from this device; `mac` is in its canonical form."""
    digits = text("upper(regexp_replace(calling_station_id, '[^0-9A-Fa-f]', '', 'g')) LIKE :digits").bindparams(
        digits=mac.replace(":", "") + "%"
    )
    wanted = select(AuthenticationAttempt).where(AuthenticationAttempt.at > _RECENT, digits)
    return _attempts(session, wanted.limit(SHOWN))


def attempts_at(session: Session, nas_id: int) -> list[Attempt]:
    """Those of the last hour at one NAS."""
    at_nas = (AuthenticationAttempt.at > _LAST_HOUR, AuthenticationAttempt.nas_id == nas_id)
    return _attempts(session, select(AuthenticationAttempt).where(*at_nas).limit(SHOWN_OF_NAS))


def nas_findings(session: Session, nas_id: int) -> list[NasFinding]:
    """What is wrong with a NAS, the latest first."""
    return _findings(session, select(NasFindingRow).where(NasFindingRow.nas_id == nas_id))


def recent_nas_findings(session: Session, nas_id: int) -> list[NasFinding]:
    """The same of the last day: what is older was perhaps put right."""
    of_nas = select(NasFindingRow).where(NasFindingRow.nas_id == nas_id)
    return _findings(session, of_nas.where(NasFindingRow.last_at > _RECENT))


def strangers(session: Session, limit: int = STRANGERS_SHOWN) -> list[NasFinding]:
    """Senders of the last day that are no NAS of ours, the most insistent first."""
    rows = session.scalars(
        select(NasFindingRow)
        .where(NasFindingRow.nas_id == STRANGER, NasFindingRow.last_at > _RECENT)
        .order_by(NasFindingRow.count.desc(), NasFindingRow.source)
        .limit(limit)
    )
    return [_finding(row) for row in rows]


def forget_attempts(
    session: Session, *, rows_max: int = KEPT_ROWS_MAX, rows_a_nas_max: int = KEPT_ROWS_A_NAS_MAX
) -> None:
    """Drop what is older than KEPT_DAYS, and all but the latest of each NAS and of all."""
    age = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
    newest = select(func.max(AuthenticationAttempt.id)).scalar_subquery()
    made_up = or_(AuthenticationAttempt.service_id.is_(None), AuthenticationAttempt.reason.in_(DOUBTFUL))
    place = func.row_number().over(
        partition_by=(AuthenticationAttempt.nas_id, made_up), order_by=AuthenticationAttempt.id.desc()
    )
    ranked = select(AuthenticationAttempt.id, place.label("place")).subquery()
    too_many = select(ranked.c.id).where(ranked.c.place > rows_a_nas_max)
    session.execute(
        delete(AuthenticationAttempt)
        .where(
            or_(
                AuthenticationAttempt.at < age,
                AuthenticationAttempt.id <= newest - rows_max,
                AuthenticationAttempt.id.in_(too_many),
            )
        )
        .execution_options(synchronize_session=False)
    )


def forget_findings(session: Session, *, strangers_max: int = KEPT_STRANGERS_MAX) -> None:
    """Drop what is older than KEPT_DAYS, and all but the latest strangers."""
    age = func.now() - func.make_interval(0, 0, 0, KEPT_DAYS)
    kept = (
        select(NasFindingRow.source)
        .where(NasFindingRow.nas_id == STRANGER)
        .order_by(NasFindingRow.last_at.desc())
        .limit(strangers_max)
    )
    forgotten = (NasFindingRow.nas_id == STRANGER) & NasFindingRow.source.not_in(kept)
    session.execute(
        delete(NasFindingRow)
        .where(or_(NasFindingRow.last_at < age, forgotten))
        .execution_options(synchronize_session=False)
    )


def _attempts(session: Session, wanted: Select[AuthenticationAttempt]) -> list[Attempt]:
    return [
        Attempt(
            row.at, row.reason, row.hint, row.method, row.login, row.nas_id, row.source, row.calling_station_id,
            row.times, row.detail, row.service_id,
        )
        for row in session.scalars(wanted.order_by(AuthenticationAttempt.id.desc()))
    ]  # fmt: skip


def _findings(session: Session, wanted: Select[NasFindingRow]) -> list[NasFinding]:
    rows: Sequence[NasFindingRow] = session.scalars(wanted.order_by(NasFindingRow.last_at.desc())).all()
    return [_finding(row) for row in rows]


def _finding(row: NasFindingRow) -> NasFinding:
    return NasFinding(row.nas_id, row.source, row.kind, row.first_at, row.last_at, row.count, row.detail)

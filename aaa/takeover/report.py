"""What was found different, for people and programs: by NAS, in words; by what differs, and by login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from aaa.models import TakeoverDifference, TakeoverLogin
from aaa.reasons import Reason
from aaa.takeover import words
from core import services
from core.models.network import Nas

#: Differences that a report on a terminal shows; the API pages through all.
SHOWN_MAX: Final = 2000
#: Logins of a group that are named.
EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the comparison of one NAS has come."""

    nas_id: int
    nas: str
    mode: str
    logins: int
    equal: int
    differing: int
    last_at: datetime

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"nas_id": str(self.nas_id)}


@dataclass(frozen=True, slots=True)
class Line:
    id: int
    nas_id: int
    nas: str
    login: str
    kind: str
    attribute: str
    ours: str
    theirs: str
    harmless: bool
    count: int
    first_at: datetime
    last_at: datetime
    text: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"id": str(self.id), "nas_id": str(self.nas_id)}


@dataclass(frozen=True, slots=True)
class Group:
    """Logins of one NAS that differ in the same. `near`: how some of them are spelled here."""

    nas: str
    text: str
    harmless: bool
    logins: int
    examples: list[str]
    near: dict[str, str]
    last_at: datetime

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


Found = tuple[TakeoverDifference, str]


def progress(session: Session, nas_id: int | None = None) -> list[Progress]:
    differing = func.count().filter(TakeoverLogin.differences > 0)
    query = (
        select(Nas.id, Nas.name, Nas.mode, func.count(), cast(differing, Integer), func.max(TakeoverLogin.last_at))
        .join(TakeoverLogin, TakeoverLogin.nas_id == Nas.id)
        .group_by(Nas.id)
        .order_by(Nas.name)
    )
    if nas_id is not None:
        query = query.where(Nas.id == nas_id)
    return [
        Progress(row_id, name, mode, logins, logins - differ, differ, last_at)
        for row_id, name, mode, logins, differ, last_at in session.execute(query)
    ]


def differences(session: Session, nas_id: int | None = None, *, harmless: bool = False) -> list[Found]:
    """The latest first."""
    query = select(TakeoverDifference, Nas.name).join(Nas, Nas.id == TakeoverDifference.nas_id)
    if nas_id is not None:
        query = query.where(TakeoverDifference.nas_id == nas_id)
    if not harmless:
        query = query.where(~TakeoverDifference.harmless)
    rows = session.execute(query.order_by(TakeoverDifference.last_at.desc()).limit(SHOWN_MAX))
    return [(row, str(name)) for row, name in rows]


def groups(session: Session, language: str, nas_id: int | None = None, *, harmless: bool = False) -> list[Group]:
    """What most logins have first."""
    row = TakeoverDifference
    alike = (row.kind, row.attribute, row.ours, row.theirs, row.harmless)
    logins = func.array_agg(aggregate_order_by(row.login, row.last_at.desc()))
    count = func.count()
    query = (
        select(Nas.name, *alike, count.label("logins"), func.max(row.last_at), logins[1:EXAMPLES])
        .join(Nas, Nas.id == row.nas_id)
        .group_by(Nas.id, *alike)
        .order_by(count.desc(), Nas.name, row.attribute)
        .limit(SHOWN_MAX)
    )
    if nas_id is not None:
        query = query.where(row.nas_id == nas_id)
    if not harmless:
        query = query.where(~row.harmless)
    found = []
    for nas, kind, attribute, ours, theirs, of_course, number, last_at, examples in session.execute(query):
        said = words.say(kind, attribute, ours, theirs, language)
        near = _near(session, examples) if ours == Reason.UNKNOWN_LOGIN else {}
        found.append(Group(nas, said, of_course, number, examples, near, last_at))
    return found


def _near(session: Session, logins: Sequence[str]) -> dict[str, str]:
    """Those of them that are services here in another spelling."""
    found = {login: services.find_near_logins(session, login, limit=1) for login in logins}
    return {login: str(near[0].login) for login, near in found.items() if near}


def in_words(found: Found, language: str) -> Line:
    row, nas = found
    said = words.say(row.kind, row.attribute, row.ours, row.theirs, language)
    return Line(
        row.id, row.nas_id, nas, row.login, row.kind, row.attribute, row.ours, row.theirs, row.harmless, row.count,
        row.first_at, row.last_at, said,
    )  # fmt: skip

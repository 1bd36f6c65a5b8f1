"""Live sessions of strictly limited services, for the registrar: from the database, or memory while it is away."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from core.database import Database
from core.models.network import Nas, Session

#: A database that was away is not asked again in this time.
AWAY_S: Final = 5.0
#: Sessions that are known while it is away. Of more, those without a place here keep nobody out.
KNOWN_MAX: Final = 100_000

log = structlog.get_logger()


class LiveLine(NamedTuple):
    """A live session that counts: what its NAS has to be asked with (columns of Session)."""

    id: int
    nas_id: int
    box: str
    login: str
    acct_session_id: str
    calling_station_id: str | None
    nas_address: str
    nas_port_id: str | None
    started_at: datetime
    framed_ipv4: str | None
    framed_ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None

    def session(self) -> Session:
        """By itself, in no transaction."""
        return Session(**self._asdict())


class Lines(NamedTuple):
    """What a service has and may have."""

    limit: int
    live: tuple[LiveLine, ...]


NO_LIMIT: Final = Lines(1 << 31, ())
_COLUMNS: Final = ", ".join(f"s.{name}" for name in LiveLine._fields)
_STRICT: Final = (
    "JOIN service v ON v.id = s.service_id JOIN plan p ON p.id = v.plan_id "
    "WHERE p.session_limit_strict AND p.session_limit IS NOT NULL"
)
#: By the index, one after the other (hence OFFSET 0), also where the planner does not know yet how many sessions there
#: are: after a power cut they are many at once, and everybody asks.
_OF_SERVICES: Final = f"""
SELECT v.id, p.session_limit, {_COLUMNS}
FROM unnest(CAST(:service_ids AS bigint[])) AS asked (id)
CROSS JOIN LATERAL (
  SELECT * FROM session WHERE service_id = asked.id AND stopped_at IS NULL AND kind = 'line' OFFSET 0) s
{_STRICT}
"""  # noqa: S608
_LATEST: Final = f"""
SELECT v.id, p.session_limit, {_COLUMNS} FROM session s {_STRICT} AND s.stopped_at IS NULL AND s.kind = 'line'
ORDER BY s.id DESC LIMIT {KNOWN_MAX}
"""  # noqa: S608


class LiveSessions:
    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._away_until = float("-inf")
        self._known: dict[int, Lines] = {}
        self._nases: dict[int, Nas] = {}

    def of_services(self, service_ids: Collection[int]) -> dict[int, Lines]:
        """Of those that have any and are strictly limited."""
        if self._monotonic() >= self._away_until:
            try:
                return self._read(_OF_SERVICES, {"service_ids": list(service_ids)})
            except SQLAlchemyError as error:
                log.warning("registrar: database away, answering from memory", error=type(error).__name__)
                self._away_until = self._monotonic() + AWAY_S
        return {service_id: self._known[service_id] for service_id in service_ids if service_id in self._known}

    def nas(self, nas_id: int) -> Nas | None:
        try:
            with self._database.transaction() as session:
                return session.get(Nas, nas_id)
        except SQLAlchemyError:
            return self._nases.get(nas_id)

    def refresh(self) -> None:
        """Learn them, for when the database is away."""
        with contextlib.suppress(SQLAlchemyError):
            self._known = self._read(_LATEST, {})
            with self._database.transaction() as session:
                self._nases = {nas.id: nas for nas in session.scalars(select(Nas))}

    def _read(self, query: str, parameters: dict[str, Any]) -> dict[int, Lines]:
        live: dict[int, list[LiveLine]] = defaultdict(list)
        limits: dict[int, int] = {}
        with self._database.transaction() as session:
            for service_id, limit, *columns in session.execute(text(query), parameters):
                limits[service_id] = limit
                live[service_id].append(LiveLine(*columns))
        return {service_id: Lines(limit, tuple(live[service_id])) for service_id, limit in limits.items()}

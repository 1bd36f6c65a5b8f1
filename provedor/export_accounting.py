"""Open rows of the old server's radacct whose sessions ended while we served their NAS: closed as they ended.

Who counts sessions there (Simultaneous-Use) would else lock out everybody on the day when the NAS asks it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from core.database import Database
from core.models.network import Session
from core.models.service import Service

CHUNK: Final = 1000
#: A session that we and the old server know began at the same moment, give or take what its Start was under way.
_SAME_START_S: Final = 600

_OPEN: Final = """
SELECT radacctid, username, acctsessionid, host(nasipaddress), acctstarttime FROM radacct
WHERE acctstoptime IS NULL AND acctstarttime IS NOT NULL AND radacctid > %s ORDER BY radacctid LIMIT %s
"""
_CLOSE: Final = """
UPDATE radacct a SET acctstoptime = e.stopped_at, acctsessiontime = greatest(a.acctsessiontime, e.seconds),
  acctinputoctets = greatest(a.acctinputoctets, e.input_octets),
  acctoutputoctets = greatest(a.acctoutputoctets, e.output_octets), acctterminatecause = 'Lost-Service'
FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[])
  AS e (radacctid, stopped_at, seconds, input_octets, output_octets)
WHERE a.radacctid = e.radacctid AND a.acctstoptime IS NULL
"""


class _Open(NamedTuple):
    radacctid: int
    login: str | None
    acct_session_id: str
    nas_address: str
    started_at: datetime


def close_ended(database: Database, connection: psycopg.Connection[Any]) -> Counter[str]:
    """How many were closed. What we do not know is left alone."""
    closed, after = 0, 0
    while rows := [_Open(*row) for row in connection.execute(_OPEN, (after, CHUNK))]:
        after = rows[-1].radacctid
        with database.transaction() as session:
            ended = _ended(session, rows)
        if ended:
            closed += connection.execute(_CLOSE, [list(column) for column in zip(*ended, strict=True)]).rowcount
    return Counter({"sessions closed": closed})


def _ended(session: DatabaseSession, rows: Sequence[_Open]) -> list[tuple[int, datetime, int, int, int]]:
    logins = {spelled for row in rows for spelled in _spellings(row.login or "")}
    query = (
        select(Session, Service.login)
        .join(Service, Service.id == Session.service_id)
        .where(Service.login.in_(logins), Session.acct_session_id.in_({row.acct_session_id for row in rows}))
    )
    known: dict[tuple[str, str], list[tuple[Session, str | None]]] = {}
    for one, login in session.execute(query):
        known.setdefault((one.nas_address, one.acct_session_id), []).append((one, login))
    found = []
    for row in rows:
        candidates = known.get((row.nas_address, row.acct_session_id), ())
        same = [one for one, login in candidates if login in _spellings(row.login or "") and _same_start(one, row)]
        ends = [(one.stopped_at, one) for one in same if one.stopped_at is not None]
        if ends and len(ends) == len(same):
            stopped_at, last = max(ends, key=lambda end: end[0])
            found.append((row.radacctid, stopped_at, last.session_seconds, last.input_octets, last.output_octets))
    return found


def _spellings(login: str) -> set[str]:
    """As it may be called here, whatever the NAS's login rules."""
    plain = login.strip(" ")
    return {login, plain, plain.lower(), plain.partition("@")[0], plain.partition("@")[0].lower()}


def _same_start(ours: Session, theirs: _Open) -> bool:
    return abs((ours.started_at - theirs.started_at).total_seconds()) < _SAME_START_S

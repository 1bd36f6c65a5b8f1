"""Sessions that carry no Class of ours: whose they are, and where what was seeded of them stands.

While another server answers a NAS, and for as long as the sessions last that it let in, accounting does not say which
service a session belongs to. The login does, by the NAS's rules. And a session that was seeded from the old server's
table stands there under its NAS-IP-Address, which is all that table knows of the box; the first packet that names the
box otherwise gives the row its name, so that it stays one session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from aaa.accounting import BOX_STATUSES, AccountingRecord, Status

Connection = psycopg.Connection[Any]

_RULES: Final = "SELECT id, login_rules FROM nas WHERE id = ANY(%s) AND login_rules <> '{}'"
_SERVICES: Final = "SELECT login, id FROM service WHERE login = ANY(%s) AND status = 'active'"
_SEEDED: Final = """
SELECT n.nas_id, n.address FROM unnest(%s::bigint[], %s::text[]) AS n (nas_id, address)
WHERE EXISTS (SELECT FROM session s WHERE s.nas_id = n.nas_id AND s.box = n.address AND s.accept_id = '')
"""
_RENAME: Final = """
UPDATE session s SET box = n.box
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[])
  AS n (nas_id, box, address, acct_session_id, service_id)
WHERE {} AND s.nas_id = n.nas_id AND s.box = n.address AND s.accept_id = '' AND NOT EXISTS (
  SELECT FROM session k WHERE k.nas_id = n.nas_id AND k.box = n.box AND k.acct_session_id = s.acct_session_id
    AND k.accept_id = '')
"""
_THIS_SESSION: Final = _RENAME.format("s.acct_session_id = n.acct_session_id")
#: Whoever begins anew may supersede what was seeded of him.
_THIS_SERVICE: Final = _RENAME.format("s.service_id = n.service_id AND s.stopped_at IS NULL")
#: A restart ends all that the box had.
_THIS_BOX: Final = _RENAME.format("s.stopped_at IS NULL")


def attribute_by_login(connection: Connection, records: Sequence[AccountingRecord]) -> list[AccountingRecord]:
    """The same records, those without a Class of ours with the service that their login names."""
    orphans = [record for record in records if record.service_id is None and record.login]
    if not orphans:
        return list(records)
    rules = dict(connection.execute(_RULES, (list({record.nas_id for record in orphans}),)).fetchall())
    logins = {(one.nas_id, one.login): apply_rules(one.login, rules.get(one.nas_id, {})) for one in orphans}
    found = connection.execute(_SERVICES, (list(set(logins.values())),)).fetchall()
    services: dict[str, int] = dict(found)

    def attributed(record: AccountingRecord) -> AccountingRecord:
        if record.service_id is not None or not record.login:
            return record
        return record._replace(service_id=services.get(logins[record.nas_id, record.login]))

    return [attributed(record) for record in records]


def name_boxes(connection: Connection, records: Sequence[AccountingRecord]) -> None:
    """Give sessions that were seeded by address the name that their box says it has. Under the lock of sessions.

    Where the name is taken the row stays: that session was heard of before it was seeded.
    """
    named = [record for record in records if record.box != record.nas_address]
    places = sorted({(record.nas_id, record.nas_address) for record in named})
    seeded = set(connection.execute(_SEEDED, _columns(places)).fetchall()) if places else set()
    named = [record for record in named if (record.nas_id, record.nas_address) in seeded]
    for query, wanted in (
        (_THIS_SESSION, [one for one in named if not one.accept_id and one.acct_session_id]),
        (_THIS_SERVICE, [one for one in named if one.status == Status.START and one.service_id]),
        (_THIS_BOX, [one for one in named if one.status in BOX_STATUSES]),
    ):
        rows = sorted(
            {(one.nas_id, one.box, one.nas_address, one.acct_session_id, one.service_id or 0) for one in wanted}
        )
        if rows:
            connection.execute(query, _columns(rows))


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def apply_rules(login: str, rules: dict[str, Any]) -> str:
    """`decision.local_login` on text."""
    if rules.get("strip_realm"):
        login = login.partition("@")[0]
    if rules.get("trim"):
        login = login.strip(" ")
    return login.lower() if rules.get("lowercase") else login

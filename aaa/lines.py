"""A subscriber's line and the sessions that accounting makes of it: what counts once, and how many a service may have.

Nokia accounts for a line up to three times (per host, per session, per queue instance), each with an Acct-Session-Id
of its own and tied by Acct-Multi-Session-Id, which is the Acct-Session-Id of one of them where that one is accounted
for (ESM accounting, table "Acct-Multi-Session-Id values"). Of those tied together one is the line: the one whose own
id ties them, else one that is open still, else the first that began. The others are views of it.

A plan may limit the sessions of a service. Who comes is let in, and on the Start the oldest above the limit are
disconnected: a CPE that was replaced, or whose Stop was lost, is in at once. The session that has just come counts as
later than any that began up to CLOCK_SKEW_MAX_S after it by its box's clock, so that two boxes whose clocks differ
never cost the new session its place. A session without our Class counts, and is not ended: another server let it in, by
rules of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from aaa.accounting import CLOCK_SKEW_MAX_S, AccountingRecord

_SORT_OUT_VIEWS: Final = """
WITH tied AS (
  SELECT s.id, row_number() OVER (
    PARTITION BY s.nas_id, s.box, s.multi_session_id
    ORDER BY s.acct_session_id = s.multi_session_id DESC, s.stopped_at IS NULL DESC, s.started_at, s.acct_session_id,
      s.accept_id) AS place
  FROM (SELECT DISTINCT * FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS told (nas_id, box, multi_session_id)) t
    JOIN session s USING (nas_id, box, multi_session_id)
  WHERE s.kind <> 'service')
UPDATE session s SET kind = CASE WHEN tied.place = 1 THEN 'line' ELSE 'view' END
FROM tied WHERE s.id = tied.id AND (s.kind = 'line') <> (tied.place = 1)
"""
_END_OVER_LIMIT: Final = """
WITH begun AS (
  SELECT DISTINCT nas_id, box, acct_session_id, accept_id, service_id
  FROM arriving WHERE status = 1 AND service_id IS NOT NULL AND kind <> 'service'),
placed AS (
  SELECT s.id, s.started_at, s.class_fingerprint, p.session_limit, row_number() OVER (
    PARTITION BY s.service_id ORDER BY s.started_at + CASE WHEN EXISTS (
      SELECT FROM begun b WHERE b.nas_id = s.nas_id AND b.box = s.box AND b.acct_session_id = s.acct_session_id
        AND b.accept_id = s.accept_id) THEN %(skew)s::interval ELSE interval '0' END DESC, s.id DESC) AS place
  FROM (SELECT DISTINCT service_id FROM begun) b
    JOIN service v ON v.id = b.service_id
    JOIN plan p ON p.id = v.plan_id AND p.session_limit IS NOT NULL
    CROSS JOIN LATERAL (
      SELECT * FROM session l WHERE l.service_id = v.id AND l.stopped_at IS NULL AND l.kind = 'line'
      ORDER BY l.id OFFSET 0) s)
INSERT INTO outbox (topic, queue, payload)
SELECT 'provisioning.session_disconnect', 'enforce',
  jsonb_build_object('session_id', id, 'reason', 'over the plan''s limit of sessions')
FROM placed WHERE place > session_limit AND class_fingerprint IS NOT NULL ORDER BY started_at, id
"""


def sort_out_views(connection: psycopg.Connection[Any], records: Sequence[AccountingRecord]) -> None:
    """Of sessions that are tied together, and that these records tell of, say which is the line."""
    tied = {
        (record.nas_id, record.box, record.multi_session_id)
        for record in records
        if record.multi_session_id is not None and not record.is_service
    }
    if tied:
        columns = [list(column) for column in zip(*sorted(tied), strict=True)]
        connection.execute(_SORT_OUT_VIEWS, columns, prepare=False)


def end_over_limit(connection: psycopg.Connection[Any]) -> None:
    """Owe the end of sessions above their plan's limit, the oldest first, where the batch that arrives has a Start."""
    owed = connection.execute(_END_OVER_LIMIT, {"skew": f"{CLOCK_SKEW_MAX_S} seconds"}, prepare=False).rowcount
    if owed:
        connection.execute("NOTIFY provedor_outbox")

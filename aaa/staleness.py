"""When has a session been silent for longer than its NAS ever is? Then it ended, and nobody told us.

Silence is measured by the box's own time: from the last word of the session to the last word of its box. A box that is
silent altogether (it is down, or the way to us is) makes no session stale, and no more does an hour in which our
database or our node was away: what was acknowledged and not stored yet may hold the word that is missed, so time does
not go on beyond what every spool of a living node has shipped.

How long is too long, a NAS says by what it does, whatever it was asked for: STALE_INTERVALS of the session's own
interim interval, of its plan's where that is longer, or of its box's for a session that sent none yet; never less than
STALE_FLOOR_S. Where a box sends no interims at all, silence says nothing: after VERIFY_AFTER_S the NAS is asked
whether it has the session (see `liveness`), and again after as long. Only if it never said so for STALE_UNVERIFIED_S is
the session taken for ended.

A session that was closed so ended when it was heard of last; any later word of it shows that it lives, and reopens it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from aaa.shipped import NODE_GONE_S, SHIPPED
from core import sessions
from core.models.network import StopKind

STALE_INTERVALS: Final = 3
STALE_FLOOR_S: Final = 600
VERIFY_AFTER_S: Final = 26 * 3600
STALE_UNVERIFIED_S: Final = 8 * 86_400
#: Sessions taken up in one run.
LIMIT: Final = 1000

_LEARN_INTERVALS = text(
    """
    UPDATE box b SET interim_seconds = heard.seconds
    FROM (
      SELECT nas_id, box, (sum(session_seconds) / sum(interims))::bigint AS seconds FROM session
      WHERE stopped_at IS NULL AND interims > 1 AND session_seconds > 0 GROUP BY nas_id, box) heard
    WHERE b.nas_id = heard.nas_id AND b.box = heard.box AND b.interim_seconds IS DISTINCT FROM heard.seconds
    """
)
_SILENT = f"""
    WITH {SHIPPED}, silent AS (
      SELECT s.id,
        CASE WHEN n.id IS NULL THEN :now ELSE least(coalesce(b.heard_at, :now), shipped.until) END
          - greatest(s.updated_at, s.verified_at) AS silence,
        greatest(s.updated_at, s.verified_at) AS heard_at,
        make_interval(secs => greatest(:intervals * greatest(
          coalesce(s.session_seconds / nullif(s.interims, 0), b.interim_seconds),
          coalesce(p.interim_seconds, 0)), :floor)) AS patience,
        s.interims > 0 OR b.interim_seconds IS NOT NULL AS sends_interims
      FROM session s
        CROSS JOIN shipped
        LEFT JOIN nas n ON n.id = s.nas_id
        LEFT JOIN box b ON b.nas_id = s.nas_id AND b.box = s.box
        LEFT JOIN service v ON v.id = s.service_id
        LEFT JOIN plan p ON p.id = v.plan_id
      WHERE s.stopped_at IS NULL)
"""  # noqa: S608
_STALE = text(
    _SILENT  # noqa: S608
    + """
    SELECT id, heard_at FROM silent
    WHERE silence > CASE WHEN sends_interims THEN patience ELSE make_interval(secs => :unverified) END LIMIT :limit
    """
)
_OWE_VERIFICATION = text(
    _SILENT  # noqa: S608
    + """
    INSERT INTO outbox (topic, queue, payload)
    SELECT 'aaa.session_verify', 'enforce', jsonb_build_object('session_id', id) FROM silent
    WHERE NOT sends_interims AND silence > make_interval(secs => :verify)
      AND NOT EXISTS (SELECT FROM outbox o
                      WHERE o.topic = 'aaa.session_verify' AND (o.payload->>'session_id')::bigint = silent.id)
    LIMIT :limit
    """
)


def close_stale(session: Session, *, now: datetime) -> int:
    """Close what is stale, owe questions about what may be; returns how many were closed."""
    session.execute(_LEARN_INTERVALS)
    values = {
        "now": now, "intervals": STALE_INTERVALS, "floor": STALE_FLOOR_S, "node_gone": NODE_GONE_S, "limit": LIMIT,
    }  # fmt: skip
    stale = session.execute(_STALE, values | {"unverified": STALE_UNVERIFIED_S}).all()
    for session_id, heard_at in stale:
        sessions.close(session, session_id, StopKind.STALE, heard_at)
    owed = session.execute(_OWE_VERIFICATION, values | {"verify": VERIFY_AFTER_S}).rowcount  # type: ignore[attr-defined]
    if owed:
        session.execute(text("NOTIFY provedor_outbox"))
    return len(stale)

"""Finds live sessions whose policy is not the intended one, whatever caused it, and owes their enforcement.

The events of a change reach enforcement at once; this sweep is for what slipped through: a packet lost for good, a
session accepted on an old snapshot, a policy edited while enforcement was frozen. One indexed query; what is owed
already or was tried a moment ago is left alone. Who is to have full access is waited for; the others are not.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from provisioning.models import CLAIM

#: Sessions taken up in one sweep.
LIMIT = 2000
#: A session tried less than this ago is not owed again by the sweep.
QUIET_S = 30

_OWE = text(
    """
    INSERT INTO outbox (topic, queue, payload)
    SELECT 'provisioning.session_out_of_step', CASE v.access WHEN 'full' THEN 'enforce' ELSE 'paced' END,
           jsonb_build_object('session_id', s.id)
    FROM session s
    JOIN service v ON v.id = s.service_id
    JOIN nas n ON n.id = s.nas_id
    WHERE s.stopped_at IS NULL
      AND s.kind = 'line'
      AND s.class_fingerprint IS NOT NULL
      AND (coalesce(s.applied_fingerprint, s.class_fingerprint) <> v.policy_fingerprint OR v.status = 'cancelled')
      AND NOT n.emergency
      AND NOT EXISTS (SELECT FROM enforcement_step e
                      WHERE e.session_id = s.id AND e.at > now() - make_interval(secs => :quiet))
      AND NOT EXISTS (SELECT FROM outbox o
                      WHERE o.topic IN ('provisioning.session_out_of_step', 'provisioning.session_awaits_turn')
                        AND (o.payload->>'session_id')::bigint = s.id)
      AND NOT EXISTS (SELECT FROM outbox o
                      WHERE o.topic IN ('provisioning.service_out_of_step', 'provisioning.service_restricted')
                        AND (o.payload->>'service_id')::bigint = v.id)
    LIMIT :limit
    """
)
#: Not of those who are being asked about, whose work is owed in case that we die; nor what a worker has, who may wait
#: for us.
_HASTEN = text(
    """
    UPDATE outbox SET due_at = now() WHERE id IN (
      SELECT o.id FROM outbox o JOIN session s ON s.id = (o.payload->>'session_id')::bigint
      WHERE o.topic IN ('provisioning.session_out_of_step', 'provisioning.session_disconnect')
        AND o.due_at > now()
        AND s.nas_id = :nas_id
        AND NOT EXISTS (SELECT FROM enforcement_step e WHERE e.session_id = s.id AND e.outcome = 'asking'
                          AND e.at > now() - make_interval(secs => :claim))
      FOR UPDATE OF o SKIP LOCKED)
    """
)


def sweep(session: Session) -> int:
    """Owe what is out of step; returns how many sessions."""
    owed = session.execute(_OWE, {"quiet": QUIET_S, "limit": LIMIT}).rowcount  # type: ignore[attr-defined]
    if owed:
        session.execute(text("NOTIFY provedor_outbox"))
    return int(owed)


def hasten(session: Session, nas_id: int) -> None:
    """A NAS that was silent answers: who waited for that is tried now, and not when his pause has run out."""
    session.execute(_HASTEN, {"nas_id": nas_id, "claim": CLAIM.total_seconds()})
    session.execute(text("NOTIFY provedor_outbox"))

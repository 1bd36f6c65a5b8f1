"""For tests of what waits for what."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session


def wait_until_blocked(session: Session) -> None:
    """Until another transaction of this database waits for a lock; at most two hundred looks."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    for _ in range(200):
        session.execute(text("SELECT pg_stat_clear_snapshot()"))
        if session.scalar(waiting):
            return
        session.execute(text("SELECT pg_sleep(0.02)"))
    pytest.fail("nobody waits for this transaction")

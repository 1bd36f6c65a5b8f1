"""Sessions that the old server or a router knows of, as sessions of ours: seen, explained, their addresses known.

A seeded session has no Class of ours, so nothing is enforced on it: it is never touched. Accounting joins the row when
the NAS speaks to us (see `attribution`); if it never does, the row goes stale as any other. What was heard from a NAS
is never overruled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from aaa.session_statements import LOCK_SESSIONS


class OpenSession(NamedTuple):
    """An open row of the old server's accounting, or a session that its router shows."""

    nas_id: int
    #: NAS-IP-Address.
    address: str
    acct_session_id: str
    service_id: int | None
    login: str
    started_at: datetime
    updated_at: datetime
    session_seconds: int
    input_octets: int
    output_octets: int
    #: How often it has reported, as far as that is known.
    interims: int
    nas_port_id: str | None
    calling_station_id: str | None
    called_station_id: str | None
    framed_ipv4: str | None
    framed_ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    #: NAS-Identifier where it is known; None: it stands under its address until the box has named itself.
    box: str | None = None


_COLUMNS: Final = (
    "nas_id, address, acct_session_id, service_id, login, started_at, updated_at, session_seconds, input_octets, "
    "output_octets, interims, nas_port_id, calling_station_id, called_station_id, framed_ipv4, framed_ipv6_prefix, "
    "delegated_ipv6_prefix, box"
)
_PREPARE: Final = """
CREATE TEMPORARY TABLE seeded (
  nas_id bigint, address text, acct_session_id text, service_id bigint, login text, started_at timestamptz,
  updated_at timestamptz, session_seconds bigint, input_octets bigint, output_octets bigint, interims integer,
  nas_port_id text, calling_station_id text, called_station_id text, framed_ipv4 text, framed_ipv6_prefix text,
  delegated_ipv6_prefix text, box text) ON COMMIT DROP
"""
#: A session that is known under another name of its box, or with a Class of ours, or that ended since, is left alone.
_SEED: Final = """
INSERT INTO session AS s (nas_id, box, acct_session_id, accept_id, service_id, login, started_at, updated_at,
  nas_address, nas_port_id, calling_station_id, called_station_id, framed_ipv4, framed_ipv6_prefix,
  delegated_ipv6_prefix, input_octets, output_octets, session_seconds, interims)
SELECT DISTINCT ON (n.nas_id, n.box, n.acct_session_id) n.nas_id, n.box, n.acct_session_id, '', n.service_id,
  n.login, n.started_at, n.updated_at, n.address, n.nas_port_id, n.calling_station_id, n.called_station_id,
  n.framed_ipv4, n.framed_ipv6_prefix, n.delegated_ipv6_prefix, n.input_octets, n.output_octets, n.session_seconds,
  n.interims
FROM seeded n
WHERE NOT EXISTS (
  SELECT FROM session k WHERE k.nas_id = n.nas_id AND k.acct_session_id = n.acct_session_id AND k.login = n.login
    AND (k.box, k.accept_id) <> (n.box, '') AND k.updated_at >= n.started_at)
ORDER BY n.nas_id, n.box, n.acct_session_id, n.updated_at DESC
ON CONFLICT (nas_id, box, acct_session_id, accept_id) DO UPDATE SET
  service_id = coalesce(s.service_id, excluded.service_id), updated_at = greatest(s.updated_at, excluded.updated_at),
  input_octets = greatest(s.input_octets, excluded.input_octets),
  output_octets = greatest(s.output_octets, excluded.output_octets),
  session_seconds = greatest(s.session_seconds, excluded.session_seconds),
  interims = greatest(s.interims, excluded.interims)
  WHERE s.stopped_at IS NULL AND s.updated_at < excluded.updated_at
RETURNING s.xmax = 0
"""


def seed_sessions(connection: psycopg.Connection[Any], sessions: Sequence[OpenSession]) -> int:
    """Add what is not known yet; returns how many sessions are new. In a transaction of its own."""
    with connection.transaction():
        connection.execute(_PREPARE)
        with connection.cursor() as cursor, cursor.copy(f"COPY seeded ({_COLUMNS}) FROM STDIN") as copy:
            for one in sessions:
                copy.write_row(one._replace(box=one.box or one.address))
        connection.execute(LOCK_SESSIONS)
        return sum(bool(new) for (new,) in connection.execute(_SEED))

"""What accounting knows of each box: when it told of something last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import psycopg

from aaa.accounting import AccountingRecord

_KEEP_HEARD: Final = """
INSERT INTO box (nas_id, box, heard_at)
SELECT nas_id, box, to_timestamp(at) FROM unnest(%s::bigint[], %s::text[], %s::float8[]) AS heard (nas_id, box, at)
ON CONFLICT (nas_id, box) DO UPDATE SET heard_at = excluded.heard_at WHERE box.heard_at < excluded.heard_at
"""


def keep_heard(connection: psycopg.Connection[Any], records: Iterable[AccountingRecord]) -> None:
    """The latest event of each box in this batch."""
    heard: dict[tuple[int, str], float] = {}
    for record in records:
        box = (record.nas_id, record.box)
        heard[box] = max(record.event_at, heard.get(box, record.event_at))
    rows = sorted((*box, at) for box, at in heard.items())
    connection.execute(_KEEP_HEARD, [list(column) for column in zip(*rows, strict=True)])

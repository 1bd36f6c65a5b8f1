"""Accounting that waits for its home server: a spool per server and worker, written when the record itself is safe.

    DIRECTORY/<home server id>/<worker>/<segments>

The worker writes and never reads, the forwarder reads and deletes. What cannot be kept here, because a home server has
been away for so long that the bound is reached, is lost to that server and to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from aaa.spool import SpoolError, SpoolWriter

#: What one worker keeps for one home server: some five million records.
OUTBOUND_OCTETS_MAX: Final = 1024 * 1024 * 1024
SEGMENT_OCTETS_MAX: Final = 16 * 1024 * 1024


class Outbound:
    """One accounting worker's."""

    def __init__(self, directory: Path, name: str, *, octets_max: int = OUTBOUND_OCTETS_MAX) -> None:
        self._directory = directory
        self._name = name
        self._octets_max = octets_max
        self._spools: dict[int, SpoolWriter] = {}
        self._written: dict[int, int] = {}

    def append(self, home_id: int, received_at_ns: int, nas_id: int, source: str, packet: bytes) -> None:
        """Buffer a record until `flush`."""
        spool = self._spools.get(home_id)
        if spool is None:
            place = self._directory / str(home_id) / self._name
            spool = SpoolWriter(place, segment_octets_max=SEGMENT_OCTETS_MAX, spool_octets_max=self._octets_max)
            self._spools[home_id] = spool
        spool.append(received_at_ns, nas_id, source, packet)
        self._written[home_id] = self._written.get(home_id, 0) + 1

    def flush(self, lost: Callable[[int, str], None]) -> None:
        """Make what was appended durable; `lost` hears how many records could not be kept, and why."""
        written, self._written = self._written, {}
        for home_id, count in written.items():
            try:
                self._spools[home_id].flush()
            except SpoolError as error:
                lost(count, error.detail)

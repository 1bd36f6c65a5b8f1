"""The accounting spool: what was acknowledged is on this disk until it is in PostgreSQL.

A worker's directory holds segments, `<number>.spool`, each a sequence of records:

    length (4)  CRC-32 of the payload (4)  payload: received at (8, ns), NAS id (8), address length (1), address, packet

The writer buffers appends; `flush` writes them at once and waits for the disk (fdatasync), and only then may the
worker answer. It never appends to a segment that an earlier process wrote: a torn tail there was never acknowledged
and is skipped. A segment is closed when it is full; the shipper deletes it when all of it is committed.

A segment's number is the second in which it was begun, or one more than the last: a directory that was lost and made
anew never repeats a number, to which the database may hold a position.

What goes wrong: on a full disk (ENOSPC) or a short write, `flush` raises SpoolError, nothing is acknowledged, and the
next flush tries again. Where some octets were written, the segment is cut back to its last good record and given up,
as it is after a failed fdatasync: the shipper reads without waiting for the disk, and may have committed a position
behind the cut, where what came later would be skipped.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import ProvedorError

SUFFIX: Final = ".spool"
#: Small enough that disk comes back soon after the shipper has caught up.
SEGMENT_OCTETS_MAX: Final = 64 * 1024 * 1024
#: What one worker may keep while PostgreSQL is away: at 200 octets a record some 40 million records.
SPOOL_OCTETS_MAX: Final = 8 * 1024 * 1024 * 1024
_HEAD: Final = struct.Struct("!II")
_PREFIX: Final = struct.Struct("!QQB")
#: No record is longer: a packet has at most 4096 octets.
RECORD_OCTETS_MAX: Final = 8192


class SpoolError(ProvedorError):
    """The spool cannot take records now; nothing of this batch may be acknowledged."""

    title = "Accounting spool is not writable"


class SpooledRecord(NamedTuple):
    """One record, and where the next one begins."""

    received_at_ns: int
    nas_id: int
    source: str
    packet: bytes
    end: int


class SpoolWriter:
    """One process's spool. The directory is its own."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_octets_max: int = SEGMENT_OCTETS_MAX,
        spool_octets_max: int = SPOOL_OCTETS_MAX,
    ) -> None:
        self._directory = directory
        self._segment_octets_max = segment_octets_max
        self._spool_octets_max = spool_octets_max
        self._pending: list[bytes] = []
        self._batch_began_s = 0
        self._descriptor = -1
        self._written = 0
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def append(self, received_at_ns: int, nas_id: int, source: str, packet: bytes) -> None:
        """Buffer a record; it is kept only once `flush` has returned."""
        if not self._pending:
            self._batch_began_s = received_at_ns // 1_000_000_000
        address = source.encode()
        payload = _PREFIX.pack(received_at_ns, nas_id, len(address)) + address + packet
        self._pending.append(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)

    def flush(self) -> None:
        """Make everything appended durable. Raises SpoolError, and then nothing of it was kept."""
        octets = b"".join(self._pending)
        self._pending.clear()
        if not octets:
            return
        try:
            self._make_room(len(octets))
            self._write(octets)
        except OSError as error:
            raise SpoolError(f"{self._directory}: {error.strerror}") from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, octets: bytes) -> None:
        written = os.write(self._descriptor, octets)
        if written < len(octets):  # the disk is full, or RLIMIT_FSIZE is reached
            self._give_up_segment()
            raise OSError(errno.ENOSPC, "no space left for the whole batch")
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self._give_up_segment()
            raise
        self._written += written

    def _give_up_segment(self) -> None:
        """Cut back to what was acknowledged; if even that fails, the rest is a torn tail to the shipper."""
        try:
            os.ftruncate(self._descriptor, self._written)
        finally:
            self.close()

    def _make_room(self, octets: int) -> None:
        if self._descriptor >= 0 and self._written + octets <= self._segment_octets_max:
            return
        self.close()
        segments = list_segments(self._directory)
        kept = sum(_size(self._directory, number) for number in segments)
        if kept + octets > self._spool_octets_max:
            raise SpoolError(f"{self._directory} holds {kept} octets that wait for PostgreSQL: the bound is reached")
        self._begin_segment(max(segments[-1] + 1 if segments else 1, self._batch_began_s))

    def _begin_segment(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(segment_path(self._directory, number), flags, 0o600)
        self._written = 0
        try:
            _sync_directory(self._directory)
        except OSError:  # the file might not be there after a power cut
            self.close()
            raise


def list_segments(directory: Path) -> list[int]:
    """Numbers of the segments in a spool, ascending; their order is the order of the records."""
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:010d}{SUFFIX}"


def read_segment(path: Path, offset: int, limit: int) -> tuple[list[SpooledRecord], bool]:
    """Up to `limit` whole records from `offset` on, and whether the segment is broken there.

    Broken means that octets follow which are no record: a torn tail while nobody writes the segment any more, a
    record in the making while somebody does. Who knows which is the shipper.
    """
    with path.open("rb") as file:
        file.seek(offset)
        octets = file.read(limit * 256)
        records = list(_parse(octets, offset, limit))
        end = records[-1].end if records else offset
        if not records and len(octets) < RECORD_OCTETS_MAX + _HEAD.size:
            octets += file.read(RECORD_OCTETS_MAX + _HEAD.size)
            records = list(_parse(octets, offset, limit))
            end = records[-1].end if records else offset
    return records, not records and len(octets) > end - offset


def find_next_record(path: Path, offset: int) -> int | None:
    """Where a readable record begins after damage at `offset`; None when there is none."""
    octets = path.read_bytes()
    for at in range(offset + 1, len(octets) - _HEAD.size):
        if _payload_at(octets, at) is not None:
            return at
    return None


def _parse(octets: bytes, base: int, limit: int) -> Iterator[SpooledRecord]:
    at = 0
    for _ in range(limit):
        payload = _payload_at(octets, at)
        if payload is None:
            return
        at += _HEAD.size + len(payload)
        received_at_ns, nas_id, address_length = _PREFIX.unpack_from(payload)
        packet_at = _PREFIX.size + address_length
        source = payload[_PREFIX.size : packet_at].decode("ascii", "replace")
        yield SpooledRecord(received_at_ns, nas_id, source, payload[packet_at:], base + at)


def _payload_at(octets: bytes, at: int) -> bytes | None:
    """The payload of the whole and undamaged record that begins there; None where none does."""
    start = at + _HEAD.size
    if start > len(octets):
        return None
    length, checksum = _HEAD.unpack_from(octets, at)
    if not _PREFIX.size <= length <= RECORD_OCTETS_MAX or start + length > len(octets):
        return None
    payload = octets[start : start + length]
    return payload if zlib.crc32(payload) == checksum else None


def _size(directory: Path, number: int) -> int:
    try:
        return segment_path(directory, number).stat().st_size
    except FileNotFoundError:  # the shipper was faster
        return 0


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The feeder's memory on disk: the node's encrypted copy of the snapshot, from which it starts with the database away.

The file is the feed itself: frames in the order in which a worker must hear them (a full snapshot, then deltas), each
sealed under the keyring with its place in the file authenticated, so that frames can be neither read, changed, moved
nor dropped from the middle. A torn tail is what a crash left of the last append, and is cut off.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from core.keyring import SNAPSHOT, Keyring, SealBroken

_MAGIC: Final = b"PVDSNAP1"
_LENGTH: Final = struct.Struct("!I")


class NewFile(NamedTuple):
    """A file written aside, not yet in place."""

    path: Path
    file: FileIO
    end: int
    frames: int


class SnapshotFile:
    """Append-only until another is adopted. One writer (the feeder); any number of readers up to a known end."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self.path = path
        self._keyring = keyring
        self._file: FileIO | None = None
        self._count = 0
        #: Octets that hold whole frames.
        self.end = 0
        self._unsynced = False

    def open(self) -> bool:
        """Use the file that is there; False where there is none that can be read."""
        if not self.path.exists():
            return False
        end, count = self._measure()
        if count == 0:
            return False
        self._file = self.path.open("r+b", buffering=0)
        self._file.truncate(end)
        self._file.seek(end)
        self.end, self._count = end, count
        return True

    def append(self, frame: bytes) -> None:
        """Raises OSError where the disk does not take it; then another file must be adopted before the next one."""
        assert self._file is not None  # noqa: S101  (opened or adopted first)
        self.end += self._write(self._file, frame, self._count)
        self._count += 1
        self._unsynced = True

    def sync(self) -> None:
        """Make what was appended durable; about once a second is enough, the database is the truth."""
        if self._file is not None and self._unsynced:
            os.fdatasync(self._file.fileno())
            self._unsynced = False

    def write_new(self, frames: Iterator[bytes]) -> NewFile:
        """Write these frames to a file beside this one, whole and durable. Raises OSError and leaves nothing."""
        scratch = self.path.with_suffix(".new")
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = FileIO(os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+")
        try:
            file.write(_MAGIC)
            end, count = len(_MAGIC), 0
            for frame in frames:
                end += self._write(file, frame, count)
                count += 1
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            scratch.unlink()
            raise
        return NewFile(scratch, file, end, count)

    def adopt(self, new: NewFile) -> None:
        """Put a new file in this one's place; readers of the old one read it to their end."""
        new.path.rename(self.path)
        if self._file is not None:
            self._file.close()
        self._file, self.end, self._count, self._unsynced = new.file, new.end, new.frames, False

    def read(self, end: int | None = None) -> Iterator[bytes]:
        """The frames up to `end` octets (all whole ones without it).

        Raises SealBroken for a foreign file, at a damaged frame, and for a file that ends before `end`.
        """
        index, at = 0, len(_MAGIC)
        with self._open_to_read() as file:
            while end is None or at < end:
                sealed = _read_sealed(file)
                if sealed is None:
                    break
                yield self._keyring.open(sealed, f"{SNAPSHOT}:{index}")
                index, at = index + 1, at + _LENGTH.size + len(sealed)
        if end is not None and at != end:
            raise SealBroken(f"{self.path} ends before its end")

    def _open_to_read(self) -> BinaryIO:
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise SealBroken(f"{self.path} is gone") from None
        if file.read(len(_MAGIC)) != _MAGIC:
            file.close()
            raise SealBroken(f"{self.path} is no snapshot of ours")
        return file

    def _write(self, file: FileIO, frame: bytes, index: int) -> int:
        sealed = self._keyring.seal(frame, f"{SNAPSHOT}:{index}")
        octets = _LENGTH.pack(len(sealed)) + sealed
        if file.write(octets) != len(octets):
            raise OSError(errno.ENOSPC, "no space left for a whole frame")
        return len(octets)

    def _measure(self) -> tuple[int, int]:
        """(octets, frames) of the readable part."""
        end, count = len(_MAGIC), 0
        try:
            for frame in self.read():
                # What sealing adds: format, key id, nonce (12) and tag (16).
                end += _LENGTH.size + len(frame) + 30
                count += 1
        except SealBroken:
            pass
        return end, count


def _read_sealed(file: BinaryIO) -> bytes | None:
    """The next frame as it lies there; None at the end and for a torn one."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    sealed = file.read(length)
    return sealed if len(sealed) == length else None

"""The router's files: exports, scripts to import, backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from provisioning.simulators.routeros.errors import failure
from provisioning.simulators.routeros.table import Item

#: What one /file/read returns at most.
CHUNK_OCTETS_MAX: Final = 32768
#: A longer file shows no contents, before 7.13.
SHOWN_OCTETS_MAX: Final = 4095
#: What /file/set and /file/add take, and later releases show, as users report ("contents too long", from about 60 KiB).
WRITTEN_OCTETS_MAX: Final = 61440

DISK_OCTETS: Final = 134217728

Snapshot = Mapping[str, tuple[Item, ...]]


@dataclass(frozen=True, slots=True)
class File:
    name: str
    contents: str
    number: int
    at: float
    #: Of a backup, whose contents nobody reads.
    snapshot: Snapshot | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def kind(self) -> str:
        if self.snapshot is not None:
            return "backup"
        return "script" if self.name.endswith(".rsc") else ".txt file"

    @property
    def octets(self) -> bytes:
        return self.contents.encode("utf-8", "surrogateescape")


class Files:
    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        #: Octets of all files together.
        self.octets_max = DISK_OCTETS
        self._numbers = count(1)

    def __iter__(self) -> Iterator[File]:
        return iter(list(self._files.values()))

    def get(self, given: str) -> File | None:
        """By name or id."""
        found = self._files.get(given)
        return found or next((one for one in self._files.values() if f"*{one.number:X}" == given), None)

    @property
    def free(self) -> int:
        return max(0, self.octets_max - sum(len(one.octets) for one in self._files.values()))

    def write(self, name: str, contents: str, at: float) -> None:
        """Raises Refused where the disk is full; what fits of it is there then."""
        written = File(name, contents, self._number(name), at)
        self._files.pop(name, None)
        room = self.free
        if len(written.octets) <= room:
            self._put(written)
            return
        fits = written.octets[:room].decode("utf-8", "surrogateescape")
        self._put(File(name, fits, written.number, at))
        raise failure("not enough space on disk")

    def save(self, name: str, snapshot: Snapshot, password: str, at: float) -> None:
        self._put(File(name, "", self._number(name), at, snapshot, password))

    def remove(self, file: File) -> None:
        del self._files[file.name]

    def _put(self, file: File) -> None:
        self._files[file.name] = file

    def _number(self, name: str) -> int:
        known = self._files.get(name)
        return known.number if known else next(self._numbers)

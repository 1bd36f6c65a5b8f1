"""The copy on disk: what is read back is a beginning of what was written, or nothing, whatever the disk did."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.snapshot_file import SnapshotFile
from core.keyring import Keyring, SealBroken

KEYRING = Keyring({1: bytes(range(32))})
FRAMES = [bytes([n]) * size for n, size in enumerate((5, 1, 40, 300, 7))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.bin"
    file = SnapshotFile(path, KEYRING)
    file.adopt(file.write_new(iter(FRAMES)))
    return path


def pieces(octets: bytes) -> list[bytes]:
    """The sealed frames with their lengths, as they lie in the file."""
    found, at = [], 8
    while at < len(octets):
        (length,) = struct.unpack_from("!I", octets, at)
        found.append(octets[at : at + 4 + length])
        at += 4 + length
    return found


def read_after_open(path: Path) -> list[bytes]:
    """What a feeder that starts finds, and that it can go on from there."""
    file = SnapshotFile(path, KEYRING)
    if not file.open():
        return []
    frames = list(file.read(file.end))
    file.append(b"next")
    again = SnapshotFile(path, KEYRING)
    assert again.open()
    assert list(again.read(again.end)) == [*frames, b"next"]
    return frames


def test_what_was_written_and_appended_is_read_back_and_nothing_of_it_is_legible(path: Path) -> None:
    file = SnapshotFile(path, KEYRING)
    assert file.open()
    file.append(b"a password")
    file.sync()
    assert list(file.read()) == [*FRAMES, b"a password"]
    assert b"a password" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


def test_a_copy_cut_anywhere_is_what_was_whole(path: Path) -> None:
    octets = path.read_bytes()
    ends = [8]
    for piece in pieces(octets):
        ends.append(ends[-1] + len(piece))
    for length in range(len(octets)):
        path.write_bytes(octets[:length])
        assert read_after_open(path) == FRAMES[: max(0, sum(end <= length for end in ends) - 1)]


def test_a_flipped_bit_anywhere_ends_the_copy_before_it(path: Path) -> None:
    octets = path.read_bytes()
    chance = random.Random(1)
    for at in range(len(octets)):
        broken = bytearray(octets)
        broken[at] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)
        found = read_after_open(path)
        assert found == FRAMES[: len(found)]
        assert len(found) < len(FRAMES)


@given(st.lists(st.integers(0, len(FRAMES) - 1), max_size=8))
def test_frames_that_are_moved_dropped_or_repeated_are_not_believed(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    path = tmp_path_factory.mktemp("copy") / "snapshot.bin"
    file = SnapshotFile(path, KEYRING)
    file.adopt(file.write_new(iter(FRAMES)))
    octets = path.read_bytes()
    sealed = pieces(octets)
    path.write_bytes(octets[:8] + b"".join(sealed[n] for n in order))
    in_place = next((n for n, number in enumerate(order) if n != number), len(order))
    assert read_after_open(path) == FRAMES[:in_place]


def test_a_foreign_key_opens_nothing(path: Path) -> None:
    foreign = SnapshotFile(path, Keyring({1: bytes(32)}))
    assert not foreign.open()
    with pytest.raises(SealBroken):
        list(foreign.read())


def test_a_file_of_somebody_else_is_left_alone(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" * 10)
    assert not SnapshotFile(path, KEYRING).open()
    assert path.read_bytes().startswith(b"SQLite")


def test_a_reader_of_the_old_file_reads_it_to_its_end(path: Path) -> None:
    file = SnapshotFile(path, KEYRING)
    assert file.open()
    reading = file.read(file.end)
    first = next(reading)
    file.adopt(file.write_new(iter([b"new"])))
    file.append(b"and more")
    assert [first, *reading] == FRAMES
    assert list(file.read(file.end)) == [b"new", b"and more"]


def test_a_file_that_shrank_under_its_reader_is_damaged(path: Path) -> None:
    file = SnapshotFile(path, KEYRING)
    assert file.open()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SealBroken, match="ends before"):
        list(file.read(file.end))


def test_a_writer_that_died_while_writing_anew_leaves_the_old_file(path: Path) -> None:
    def dies() -> object:
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SnapshotFile(path, KEYRING).write_new(dies())  # type: ignore[arg-type]
    assert not path.with_suffix(".new").exists()
    assert read_after_open(path) == FRAMES

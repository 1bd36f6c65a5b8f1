"""The spool: what was flushed is read back; what is torn, cut or damaged costs no other record."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.spool import SpoolError, SpoolWriter, find_next_record, list_segments, read_segment, segment_path

record = st.tuples(
    st.integers(0, 2**63), st.integers(0, 2**40), st.just("192.0.2.1"), st.binary(min_size=20, max_size=300)
)


def read_all(directory: Path) -> list[tuple[int, int, str, bytes]]:
    found = []
    for number in list_segments(directory):
        offset = 0
        while True:
            records, _ = read_segment(segment_path(directory, number), offset, 7)
            if not records:
                break
            found += [tuple(one)[:4] for one in records]
            offset = records[-1].end
    return found  # type: ignore[return-value]


@given(st.lists(record, min_size=1, max_size=40), st.integers(600, 3000))
@settings(deadline=None, max_examples=30)
def test_what_was_flushed_is_read_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, int, str, bytes]], segment: int
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    writer = SpoolWriter(directory, segment_octets_max=segment)
    for one in records:
        writer.append(*one)
        writer.flush()
    writer.close()
    assert read_all(directory) == records


@given(st.lists(record, min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=30)
def test_a_torn_tail_costs_only_what_was_torn(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, int, str, bytes]], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    writer = SpoolWriter(directory)
    ends = []
    for one in records:
        writer.append(*one)
        writer.flush()
        path = segment_path(directory, list_segments(directory)[0])
        ends.append(path.stat().st_size)
    cut = data.draw(st.integers(0, ends[-1]))
    path.write_bytes(path.read_bytes()[:cut])
    assert read_all(directory) == records[: sum(end <= cut for end in ends)]


def test_reading_resumes_behind_a_damaged_record(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for number in range(3):
        writer.append(number, 1, "192.0.2.1", bytes([65 + number]) * 50)
    writer.flush()
    path = segment_path(tmp_path, 1)
    octets = bytearray(path.read_bytes())
    octets[20] ^= 0xFF
    path.write_bytes(octets)
    records, broken = read_segment(path, 0, 10)
    assert (records, broken) == ([], True)
    after = find_next_record(path, 0)
    assert after is not None
    assert [one.packet[:1] for one in read_segment(path, after, 10)[0]] == [b"B", b"C"]


def test_a_new_process_never_appends_to_an_old_segment(tmp_path: Path) -> None:
    for _ in range(2):
        writer = SpoolWriter(tmp_path)
        writer.append(1, 1, "192.0.2.1", b"x" * 30)
        writer.flush()
    assert list_segments(tmp_path) == [1, 2]


def test_a_full_disk_keeps_nothing_of_the_batch_and_heals(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.append(1, 1, "192.0.2.1", b"a" * 100)
    writer.flush()
    kept = segment_path(tmp_path, 1).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept + 50, hard))
    try:
        writer.append(2, 1, "192.0.2.1", b"b" * 100)
        with pytest.raises(SpoolError):
            writer.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert segment_path(tmp_path, 1).stat().st_size == kept
    writer.append(3, 1, "192.0.2.1", b"c" * 100)
    writer.flush()
    assert [one[0] for one in read_all(tmp_path)] == [1, 3]
    # The shipper may have read, and committed a position in, what was cut off: nothing may come there again.
    assert list_segments(tmp_path) == [1, 2]


def test_the_bound_of_the_spool_is_an_error_not_a_full_disk(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_octets_max=100, spool_octets_max=250)
    with pytest.raises(SpoolError, match="bound"):
        for number in range(10):
            writer.append(number, 1, "192.0.2.1", b"x" * 60)
            writer.flush()


def test_a_directory_made_anew_never_repeats_a_segments_number(tmp_path: Path) -> None:
    second = 1_795_000_000
    writer = SpoolWriter(tmp_path, segment_octets_max=100)
    for number in range(3):
        writer.append(second * 10**9 + number, 1, "192.0.2.1", b"x" * 60)
        writer.flush()
    assert list_segments(tmp_path) == [second, second + 1, second + 2]
    for number in list_segments(tmp_path):
        segment_path(tmp_path, number).unlink()
    again = SpoolWriter(tmp_path)
    again.append((second + 60) * 10**9, 1, "192.0.2.1", b"x" * 60)
    again.flush()
    assert list_segments(tmp_path) == [second + 60]


@given(st.lists(record, min_size=1, max_size=4, unique=True), st.data())
@settings(deadline=None, max_examples=60)
def test_flipped_bits_never_make_a_record_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, int, str, bytes]], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    writer = SpoolWriter(directory)
    for one in records:
        writer.append(*one)
    writer.flush()
    path = segment_path(directory, list_segments(directory)[0])
    octets = bytearray(path.read_bytes())
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(octets)
    found: list[tuple[int, int, str, bytes]] = []
    offset: int | None = 0
    while offset is not None:
        whole, broken = read_segment(path, offset, 100)
        found += [tuple(one)[:4] for one in whole]  # type: ignore[misc]
        offset = whole[-1].end if whole else find_next_record(path, offset) if broken else None
    assert found == [one for one in records if one in found]
    assert len(found) >= len(records) - 1


ACKNOWLEDGING = """
import sys
from pathlib import Path
from aaa.spool import SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]), segment_octets_max=3000)
for number in range(1_000_000):
    writer.append(number, 1, "192.0.2.1", b"x" * (30 + number % 300))
    writer.flush()
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ACKNOWLEDGING, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(200):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].split()
    acknowledged = 200 + len(rest)
    found = [one[0] for one in read_all(tmp_path)]
    assert found == list(range(len(found)))
    assert acknowledged <= len(found) <= acknowledged + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_really_full_disk_refuses_batches_and_takes_them_again(small_disk: Path) -> None:
    writer = SpoolWriter(small_disk / "spool")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(40_000))
    kept, refused = [], 0
    for number in range(60):
        if number == 40:
            ballast.unlink()
        writer.append(number, 1, "192.0.2.1", b"y" * 1500)
        try:
            writer.flush()
            kept.append(number)
        except SpoolError:
            refused += 1
    writer.close()
    assert refused > 0
    assert [one[0] for one in read_all(small_disk / "spool")] == kept
    assert any(number >= 40 for number in kept)

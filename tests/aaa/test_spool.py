"""The spool: what was flushed is read back; what is torn, cut or damaged costs no other record."""

from __future__ import annotations

import resource
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
        ends.append(segment_path(directory, 1).stat().st_size)
    cut = data.draw(st.integers(0, ends[-1]))
    path = segment_path(directory, 1)
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
    import signal

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


def test_the_bound_of_the_spool_is_an_error_not_a_full_disk(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_octets_max=100, spool_octets_max=250)
    with pytest.raises(SpoolError, match="bound"):
        for number in range(10):
            writer.append(number, 1, "192.0.2.1", b"x" * 60)
            writer.flush()

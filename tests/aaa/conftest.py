"""A RADIUS node of real worker processes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from radius_node import REJECT_DELAY_S, RadiusNode

from aaa import auth_worker, worker


@pytest.fixture
def start_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RadiusNode]]:
    """Starts nodes whose workers tell their counters often, and stops them at the end.

    No worker may have written a traceback by then, or have died.
    """
    monkeypatch.setattr(worker, "TICK_S", 0.02)
    monkeypatch.setattr(auth_worker, "REJECT_DELAY_S", REJECT_DELAY_S)
    nodes: list[RadiusNode] = []
    with tempfile.TemporaryDirectory(prefix="pvd-radius-") as directory:  # its sockets need a short path

        def start(frames: list[bytes], **options: Any) -> RadiusNode:
            place = Path(directory) / str(len(nodes))
            place.mkdir()
            node = RadiusNode(place, frames, **options)
            nodes.append(node)
            return node.start()

        yield start
        for node in nodes:
            node.stop()

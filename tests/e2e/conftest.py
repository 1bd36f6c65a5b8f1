"""A whole node from an empty directory, a provider on it, and the simulated BRAS with its subscribers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_provider import Provider, online
from whole_node import Node, whole_node

from aaa.bras.subscriber import Subscriber


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with whole_node(tmp_path_factory.mktemp("node") / "data") as node:
        yield node


@pytest.fixture(scope="module")
def provider(node: Node) -> Provider:
    return Provider(node)


@pytest.fixture(scope="module")
def bras(provider: Provider) -> Iterator[dict[str, Subscriber]]:
    """The lines by login; everybody is online."""
    with online(provider) as runner:
        yield {one.login: one for one in runner.box.subscribers}

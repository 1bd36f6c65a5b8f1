"""The sockets of a RADIUS node."""

from __future__ import annotations

import socket

import pytest

from aaa.sockets import bind_group
from core.errors import ConfigurationError


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_port_that_another_node_has_is_refused_though_the_kernel_would_share_it(address: str) -> None:
    first = bind_group(address, 0, 1)
    port = first[0].getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"port {port}: Address already in use"):
        bind_group(address, port, 2)
    first[0].close()
    for one in bind_group(address, port, 2):
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
        one.close()

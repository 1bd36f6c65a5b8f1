"""Ports for what a test starts: each is given once, and none is one that the kernel gives to others meanwhile.

The kernel takes its own from 32768 on (ip_local_port_range), for whoever names none. Below, each test process has a
share.
"""

from __future__ import annotations

import os
import socket
from itertools import count

_FIRST = 12_000
_SHARE = 4_000
_AT = count(_FIRST + _SHARE * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    return next(port for port in _AT if _is_free(port, kind))


def free_ports(number: int) -> int:
    """The first of so many in a row."""
    first, found = free_port(), 1
    while found < number:
        port = free_port()
        first, found = (first, found + 1) if port == first + found else (port, 1)
    return first


def _is_free(port: int, kind: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""What the feed tells of taking over: each NAS's mode and home server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
import structlog

from aaa.snapshot import NasRow
from aaa.takeover.home import HomeRow
from core.keyring import HOME_SERVER_SECRET, Keyring, SealBroken

log = structlog.get_logger()


def add_modes(connection: psycopg.Connection[Any], keyring: Keyring, rows: Iterable[NasRow]) -> None:
    """Complete the rows of those that have a home server. One whose secret does not open leaves them without: what
    is theirs to answer is then answered by us alone."""
    found = connection.execute(
        "SELECT n.id, n.mode, h.id, h.name, h.address, h.auth_port, h.acct_port, h.secret_encrypted, "
        "h.response_window_ms, h.status_server, h.require_message_authenticator "
        "FROM nas n JOIN home_server h ON h.id = n.home_server_id"
    ).fetchall()
    modes = {nas_id: (mode, home) for nas_id, mode, *home in found}
    for row in rows:
        if row.nas_id in modes:
            mode, home = modes[row.nas_id]
            row.home = _home(home, keyring)
            row.mode = mode if row.home else row.mode


def _home(columns: list[Any], keyring: Keyring) -> HomeRow | None:
    home_id, name, address, auth_port, acct_port, sealed, window_ms, status_server, required = columns
    try:
        secret = keyring.open(bytes(sealed), HOME_SERVER_SECRET)
    except SealBroken as error:
        log.error("feed: a home server cannot be asked", home=name, error=error.detail)
        return None
    return HomeRow(home_id, name, address, auth_port, acct_port, secret, window_ms / 1000, status_server, required)

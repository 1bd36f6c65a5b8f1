"""The home server of a NAS as the feed tells it. `snapshot` imports this, so it imports nothing but secrets."""

from __future__ import annotations

from typing import Final

import msgspec

from aaa.authenticator import SharedSecret

SERVE: Final = "serve"
SHADOW: Final = "shadow"
PROXY: Final = "proxy"


class HomeRow(msgspec.Struct, array_like=True, frozen=True):
    """As it travels in the feed."""

    home_id: int
    name: str
    address: str
    auth_port: int
    acct_port: int
    secret: bytes
    response_window_s: float
    status_server: bool
    require_message_authenticator: bool

    def __repr__(self) -> str:
        return f"HomeRow({self.name})"


class HomeServer:
    """As workers use it; equal rows make equal servers."""

    __slots__ = ("row", "secret")

    def __init__(self, row: HomeRow) -> None:
        self.row = row
        self.secret = SharedSecret(row.secret)

    @property
    def name(self) -> str:
        return self.row.name

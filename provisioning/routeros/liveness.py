"""Asks routers, over their API, whether a session lives (see `presence` for how their answers are read).

Whoever asks does not wait (see `lines`). A router that does not answer is left alone for REST_S, and whoever asks
meanwhile is told at once that nothing is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from aaa.liveness import Addressee, Liveness, Told
from core.clock import Clock, utc_now
from core.routeros import RouterOsAccess
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import RouterOsError, Trap
from provisioning.routeros.lines import RouterLines
from provisioning.routeros.presence import Menu, all_say, can_be_missed, is_among, menus_for, queries

REST_S: Final = 20.0
#: A question that has waited for so long is told that nothing is known.
WAIT_S: Final = 5.0

log = structlog.get_logger()


class RouterOsProbe:
    def __init__(
        self, lines: RouterLines, *, clock: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines = lines
        self._clock = clock
        self._monotonic = monotonic
        self._rests_until_s: dict[RouterOsAccess, float] = {}

    def ask(self, addressee: Addressee, told: Told) -> None:
        access, asked_s = addressee.routeros, self._monotonic()
        if access is None or not self._lines.put(
            access, lambda client: told(self._answer(client, access, addressee, asked_s))
        ):
            told(Liveness.UNKNOWN)

    def _answer(self, client: RouterOs, access: RouterOsAccess, addressee: Addressee, asked_s: float) -> Liveness:
        """In the router's thread."""
        now_s = self._monotonic()
        if now_s < self._rests_until_s.get(access, 0.0) or now_s > asked_s + WAIT_S:
            return Liveness.UNKNOWN
        try:
            found = look(client, addressee, self._clock())
        except RouterOsError as error:
            log.warning("a router was not asked about a session", nas_id=error.nas_id, why=error.detail)
        except Exception as error:  # noqa: BLE001  (its thread must go on, and whoever asked must be told)
            log.error("a router's answer about a session was not read", error=type(error).__name__)
        else:
            self._rests_until_s.pop(access, None)
            return found
        self._rests_until_s[access] = self._monotonic() + REST_S
        return Liveness.UNKNOWN


def look(client: RouterOs, addressee: Addressee, now: datetime) -> Liveness:
    """Raises RouterOsError."""
    said = []
    for menu in menus_for(addressee):
        said.append(is_among(addressee, menu, rows_of(client, addressee, menu), now))
        if said[-1] is Liveness.ALIVE:
            return Liveness.ALIVE
    everywhere = all_say(said)
    if everywhere is Liveness.GONE and not can_be_missed(addressee, name_of(client)):
        return Liveness.UNKNOWN
    return everywhere


def rows_of(client: RouterOs, addressee: Addressee, menu: Menu) -> list[Row]:
    """Rows of this menu that the session could be. Raises RouterOsError."""
    try:
        return client.rows(menu.path, menu.properties, *queries(addressee, menu))
    except Trap as trap:
        if trap.no_such_command:
            return []  # a router without the package has no such sessions
        raise


def name_of(client: RouterOs) -> str:
    """Its identity. Raises RouterOsError."""
    return next((row.get("name", "") for row in client.rows("/system/identity", ("name",))), "")

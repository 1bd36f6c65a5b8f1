"""One box's password changed, so that it can always be reached afterwards.

    settle   nobody's earlier try is still armed there; which of the two passwords is in force
    arm      from here on the box goes back to the old one by itself
    set      the new one
    prove    a new connection is let in with the new one, and with nothing else
    disarm   the new one stays

Where the box is lost in between, whoever comes next settles first: while something is armed nothing is concluded, for
a password that is in force now might be gone a moment later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from provisioning.routeros.change.applying import apply_step
from provisioning.routeros.change.undo import SAFE_MODE_SINCE, SafeMode, Scheduled, undo_for
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import RouterOsError, Trap
from provisioning.routeros.planning import Change
from provisioning.routeros.reading import release_of
from provisioning.routeros.schema import Release

_USERS: Final = "/user"


class NotRotated(Exception):
    """The box has the old password, as far as we know; the message says why."""


@dataclass(frozen=True, slots=True)
class RotationRun:
    """`connect`: with both passwords known; `connect_new`: with the new one alone. `name`: of this at the box."""

    connect: Callable[[], RouterOs]
    connect_new: Callable[[], RouterOs]
    name: str
    user: str
    old: str
    new: str

    def run(self) -> None:
        """When it returns, the box takes the new password and will. Raises NotRotated or RouterOsError."""
        client = self.connect()
        try:
            release = release_of(client)
            self._settle(client, release)
            client = self._again(client)
            release_of(client)
            if not client.took_next_password:
                self._change(client, release)
        finally:
            client.close()

    def _again(self, client: RouterOs) -> RouterOs:
        """A login tells which password is in force, now that nothing is armed."""
        client.close()
        return self.connect()

    def _settle(self, client: RouterOs, release: Release) -> None:
        """Raises NotRotated where somebody has safe mode: it may be ours, of a connection that the box still misses."""
        left = Scheduled(client, self.name)
        if left.pending:
            left.now()
        left.forget()
        if release >= SAFE_MODE_SINCE and SafeMode(client).pending:
            raise NotRotated("somebody has safe mode at the box: when he releases it, it goes on")

    def _change(self, client: RouterOs, release: Release) -> None:
        step = self._step(client)
        undo = undo_for(client, self.name, [step], release)
        try:
            undo.arm()
        except Trap as trap:
            undo.forget()
            raise NotRotated(trap.detail) from None
        try:
            apply_step(client, step)
            self._prove()
        except (Trap, _Unproven) as error:
            undo.now()
            undo.forget()
            raise NotRotated(str(error)) from None
        undo.disarm()

    def _step(self, client: RouterOs) -> Change:
        rows = client.rows(_USERS, (".id", "name"), f"name={self.user}")
        if not rows:
            raise NotRotated(f"the box shows no user {self.user}: is he let in by RADIUS?")
        return Change(_USERS, rows[0][".id"], rows[0], {"password": self.new}, {"password": self.old})

    def _prove(self) -> None:
        second = self.connect_new()
        try:
            release_of(second)
        except RouterOsError as error:
            raise _Unproven(f"a connection with the new password failed: {error.detail}") from None
        finally:
            second.close()


class _Unproven(Exception):
    pass

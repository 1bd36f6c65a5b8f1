"""As `run`, at a box that a NAPALM driver manages and that undoes by itself what is not confirmed.

wait      for whatever is armed there, ours of an earlier try or somebody's: it is over within minutes
set       the new password, also where the box has it already, which an earlier try may have left unsaved
prove     a new connection is let in with it and nothing else, and confirms
erase     the candidate, where the box keeps it as a file
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from provisioning.credentials.device_passwords import password_lines
from provisioning.credentials.run import NotRotated
from provisioning.napalm.devices import Device
from provisioning.napalm.errors import DeviceError


@dataclass(frozen=True, slots=True)
class DeviceRotationRun:
    """`connect`: with both passwords known; `connect_new`: with the new one alone."""

    connect: Callable[[], Device]
    connect_new: Callable[[], Device]
    user: str
    new: str

    def run(self) -> None:
        """When it returns, the box takes the new password and will. Raises NotRotated or DeviceError."""
        device = self.connect()
        try:
            if device.pending():
                raise NotRotated("a commit at the box waits for its confirmation: it is over within minutes")
            self._change(device, self._lines(device))
        finally:
            device.close()

    def _lines(self, device: Device) -> str:
        lines = password_lines(device.traits.platform, device.running(), self.user, self.new)
        if lines is None:
            raise NotRotated(f"the box has no password of its own for {self.user}: is he let in by RADIUS or TACACS+?")
        return lines

    def _change(self, device: Device, lines: str) -> None:
        try:
            device.compare(lines)
            device.commit()
            self._prove()
        except DeviceError as error:
            with contextlib.suppress(DeviceError):
                self._take_back(device)
            raise NotRotated(error.detail) from None
        finally:
            device.erase()

    def _prove(self) -> None:
        second = self.connect_new()
        try:
            second.confirm()
            if second.pending():
                raise NotRotated("the box shows a commit that waits after it was confirmed")
        finally:
            second.close()

    def _take_back(self, device: Device) -> None:
        """What was loaded and not committed, or what waits; else the box does it by itself."""
        device.discard()
        if device.pending():
            device.roll_back()

"""What a box that a NAPALM driver manages runs, as text, and whom it names for the last change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from provisioning.backups.actions import Action
from provisioning.backups.texts import ReadBy, Reading
from provisioning.napalm.devices import Device
from provisioning.napalm.errors import Refused

#: `! Last configuration change at 09:41:22 UTC Mon Sep 7 2026 by ana` (IOS, and IOS XR after `!!`)
#: `!Last configuration was updated at 2026-09-07 09:41:22+00:00 by ana` (VRP8; `by SYSTEM automatically` is nobody)
#: `## Last commit: 2026-09-07 09:41:22 UTC by ana` (Junos)
_CHANGED: Final = re.compile(
    r"^[!#]+ ?Last (?:configuration change at|configuration was updated at|commit:) (?P<at>.+?) by (?P<user>\S+)$",
    re.MULTILINE,
)


def read_device(device: Device) -> Reading:
    """Raises DeviceError."""
    release, text = device.facts().release, device.running()
    _check_whole(device, text)
    said = text if device.traits.changed_by is None else device.said(device.traits.changed_by)
    return Reading(f"{text.rstrip()}\n", release, ReadBy.RUNNING, (), tuple(changes_in(said)))


def changes_in(said: str) -> Iterator[Action]:
    for found in _CHANGED.finditer(said):
        yield Action("configuration", found["at"], found["user"], "changed the configuration", found["at"])


def _check_whole(device: Device, text: str) -> None:
    ending = device.traits.ends_with
    last = text.rstrip().rpartition("\n")[2].strip()
    if not last or (ending is not None and last != ending):
        raise Refused(device.access.nas_id, f"its configuration did not come whole: it ends with {last[:40]!r}")

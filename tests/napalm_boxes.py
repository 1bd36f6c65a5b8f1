"""Simulated boxes over real SSH for tests, and changes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import paramiko
from routeros_boxes import Clock

from core.nas_management import ManagementAccess
from provisioning.napalm.bng import Surroundings, bng_intent_of, render
from provisioning.napalm.change import DeviceChange
from provisioning.napalm.devices import Device, open_device
from provisioning.napalm.traits import traits_of
from provisioning.outcome import Doubt
from provisioning.simulators.ssh import Box, SshServer, cisco_box, huawei_box
from provisioning.simulators.ssh.configuration import show

USER = "provedor"
PASSWORD = "s3nha-da-caixa"
SECRET = "r4dius-s3cret"
#: Netmiko waits for slow boxes; these are not.
QUICK = {"global_delay_factor": 0.05, "read_timeout_override": 2.0}
DRIVERS = {"huawei_vrp8": huawei_box, "ios": cisco_box}
#: A small change for either, and what of it is seen in the box.
SMALL = {
    "huawei_vrp8": {"policies": [{"name": "gold", "download_kbps": 300000, "upload_kbps": 150000}]},
    "ios": {"policies": [{"name": "gold-up/gold-down", "download_kbps": 300000, "upload_kbps": 150000}]},
}
SEEN = {"huawei_vrp8": "qos-profile gold", "ios": "policy-map gold-down"}


@dataclass
class SshBox:
    driver: str
    box: Box
    server: SshServer
    clock: Clock

    def access(self, **given: Any) -> ManagementAccess:
        plain = ManagementAccess(
            7, self.driver, "127.0.0.1", self.server.port, USER, PASSWORD, host_key=self.server.public_key,
            arguments=QUICK,
        )  # fmt: skip
        return dataclasses.replace(plain, **given)

    def open(self, name: str | None = None) -> Device:
        return open_device(self.access(), [SECRET], name)

    @property
    def running(self) -> str:
        return show(self.box.running, "#")

    @property
    def changed(self) -> bool:
        return SEEN[self.driver] in self.running


@contextmanager
def ssh_box(driver: str, *, host_key: paramiko.PKey | None = None, **given: Any) -> Iterator[SshBox]:
    clock = Clock()
    box = DRIVERS[driver]({USER: PASSWORD}, clock, **{"sessions": 100, **given})
    server = SshServer(box, host_key=host_key)
    try:
        yield SshBox(driver, box, server, clock)
    finally:
        server.close()


@dataclass
class Journal:
    """Keeps how far it came; `at` is called with each word, and may raise."""

    words: list[str] = field(default_factory=list)
    at: Callable[[str], None] = lambda _: None

    def armed(self, by: str) -> None:
        self._say(by)

    def applied(self, steps: int) -> None:
        self._say(f"applied {steps}")

    def _say(self, word: str) -> None:
        self.words.append(word)
        self.at(word)


def cancelled(_: str) -> None:
    raise Doubt("cancelled by somebody")


def candidate_of(driver: str, intent: dict[str, Any]) -> str:
    return render(traits_of(driver).platform, bng_intent_of(intent), Surroundings(SECRET, 3799))


def change_of(
    one: SshBox, intent: dict[str, Any] | None = None, journal: Journal | None = None,
    wait: Callable[[float], None] | None = None, diff: Sequence[str] | None = None,
) -> DeviceChange:  # fmt: skip
    """Planned at the box, as the engine does it; waiting makes the box's time go by."""
    candidate = candidate_of(one.driver, SMALL[one.driver] if intent is None else intent)
    if diff is None:
        device = one.open()
        diff = device.compare(candidate)
        device.discard()
        device.close()
    serial = getattr(one.box, "serial")  # noqa: B009  (each kind of box has one)
    return DeviceChange(
        connect=lambda: one.open("provedor-1"), name="provedor-1", traits=traits_of(one.driver), candidate=candidate,
        diff=diff, serial=serial, journal=journal or Journal(), wait=wait or one.clock.go,
    )  # fmt: skip

"""Drivers whose boxes we do not simulate, on NAPALM's own mock driver; and boxes that would not undo by themselves."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import napalm
import pytest
from napalm_boxes import SECRET, Journal, change_of, ssh_box

from core.nas_management import ManagementAccess
from provisioning.napalm.change import DeviceChange
from provisioning.napalm.devices import Device
from provisioning.napalm.errors import Refused
from provisioning.napalm.traits import traits_of
from provisioning.outcome import Outcome
from provisioning.simulators.ssh import CiscoBox, Fault, FaultKind

FACTS = {"vendor": "V", "model": "M", "os_version": "1", "serial_number": "S1", "hostname": "h", "uptime": 9.0,
         "fqdn": "h", "interface_list": []}  # fmt: skip
DIFFS = {
    "junos": "[edit]\n+  groups {\n+      provedor {\n+          access;\n+      }\n+  }",
    "eos": "@@ -1,1 +1,2 @@\n+radius-server host 192.0.2.10",
}
RUNNING = "hostname h\nradius-server host 192.0.2.10\n"


@dataclass
class Mocked:
    """One box behind NAPALM's mock driver; every connection is to it. `names`: what each change was called."""

    kind: str
    path: Path
    driver: Any = None
    names: list[Any] = field(default_factory=list)

    def write(self, method: str, number: int, content: Any) -> None:
        (self.path / f"{method}.{number}").write_text(json.dumps(content))

    def answer(self, **differences: list[str]) -> None:
        """For a change from start to end."""
        for number in range(1, 9):
            self.write("get_facts", number, FACTS)
            self.write("get_config", number, {"running": RUNNING, "startup": "", "candidate": ""})
            for method in ("load_merge_candidate", "discard_config", "commit_config", "confirm_commit"):
                self.write(method, number, {})
            (self.path / f"cli.{number}.show_subscribers_count.0").write_text("Total subscribers: 41, Active: 41")
        for number, diff in enumerate(differences.get("diffs", [DIFFS[self.kind], "", ""]), 1):
            self.write("compare_config", number, {"diff": diff})

    def connect(self) -> Device:
        if self.driver is None:
            self.driver = napalm.get_network_driver("mock")("h", "u", "p", optional_args={"path": str(self.path)})
        self.driver.open()
        traits = traits_of(self.kind)
        if traits.named_by:
            setattr(self.driver, traits.named_by, "provedor-7")
            self.names.append(getattr(self.driver, traits.named_by))
        access = ManagementAccess(7, self.kind, "192.0.2.1", 22, "u", "p")
        return Device(access, traits, self.driver, "ssh-x AAAA", [SECRET], tempfile.TemporaryDirectory())

    def change(self) -> DeviceChange:
        diff = [line for line in DIFFS[self.kind].splitlines() if line.strip()]
        return DeviceChange(
            self.connect, "provedor-7", traits_of(self.kind), "candidate", diff, "S1", Journal(), lambda _: None
        )  # fmt: skip


@pytest.fixture(params=["junos", "eos"])
def mocked(request: pytest.FixtureRequest, tmp_path: Path) -> Mocked:
    found = Mocked(request.param, tmp_path)
    found.answer()
    return found


def test_a_change_is_confirmed_where_the_driver_can(mocked: Mocked) -> None:
    result = mocked.change().run()
    assert (result.outcome, result.detail) == (Outcome.DONE, "")
    assert mocked.driver.calls["commit_config"] == mocked.driver.calls["confirm_commit"] == 1
    assert not mocked.driver.has_pending_commit()
    if mocked.kind == "eos":
        assert mocked.driver.config_session == "provedor-7"  # who takes over confirms or aborts by the same name
        assert mocked.names == ["provedor-7", "provedor-7"]


def test_what_is_not_to_be_seen_is_rolled_back(mocked: Mocked) -> None:
    mocked.answer(diffs=[DIFFS[mocked.kind], DIFFS[mocked.kind], DIFFS[mocked.kind]])
    for number in range(1, 9):
        mocked.write("get_config", number, {"running": "hostname h\n", "startup": "", "candidate": ""})
    result = mocked.change().run()
    assert result.outcome is Outcome.UNDONE
    assert result.detail.startswith("not to be seen there: ")
    assert not mocked.driver.has_pending_commit()
    assert "confirm_commit" not in mocked.driver.calls


def test_a_driver_that_refuses_says_why_without_secrets(mocked: Mocked) -> None:
    said = {"exception": "napalm.base.exceptions.MergeConfigException", "args": [f"unknown word {SECRET}"]}
    mocked.write("load_merge_candidate", 1, said)
    result = mocked.change().run()
    assert (result.outcome, result.detail) == (Outcome.REFUSED, "unknown word ***")
    with pytest.raises(Refused):
        mocked.write("load_merge_candidate", 2, said)
        mocked.connect().compare("x")


def without_confirm(change: DeviceChange, connect: Any) -> DeviceChange:
    """The same box by a driver that knows no commit-confirm."""
    traits = dataclasses.replace(change.traits, cannot_undo="the driver knows none")

    def connected() -> Device:
        device: Device = connect()
        device.traits = traits
        return device

    return dataclasses.replace(change, traits=traits, connect=connected)


def test_without_commit_confirm_it_is_done_proven_and_stays() -> None:
    with ssh_box("ios") as one:
        change = without_confirm(change_of(one), lambda: one.open("provedor-1"))
        result = change.run()
        assert (result.outcome, result.detail, one.changed) == (Outcome.DONE, "", True)
        assert change.journal.words[0] == "roll_back"  # type: ignore[attr-defined]


def test_without_commit_confirm_a_doubt_has_the_driver_bring_it_back() -> None:
    with ssh_box("ios") as one:

        def hang_up(word: str) -> None:
            if word == "applied 6":
                one.box.sessions = 0

        change = without_confirm(change_of(one, journal=Journal(at=hang_up)), lambda: one.open("provedor-1"))
        result = change.run()
        assert (result.outcome, result.detail) == (Outcome.UNDONE, "100 of 100 sessions are gone")
        assert not one.changed


def test_without_any_way_back_the_job_says_that_it_was_not_proven() -> None:
    with ssh_box("ios") as one:

        def hang_up(word: str) -> None:
            if word == "applied 6":
                one.box.sessions = 0

        change = without_confirm(change_of(one, journal=Journal(at=hang_up)), lambda: one.open("provedor-1"))
        change.traits = dataclasses.replace(change.traits, can_roll_back=False)
        result = change.run()
        assert result.outcome is Outcome.DONE
        assert "was not proven" in result.detail
        assert one.changed


def test_a_box_without_archive_refuses_to_be_armed_and_is_as_it_was() -> None:
    with ssh_box("ios") as one:
        assert isinstance(one.box, CiscoBox)
        one.box.running.below = [line for line in one.box.running.below if line.text != "archive"]
        result = change_of(one).run()
        assert result.outcome is Outcome.UNDONE
        assert "archive" in result.detail
        assert not one.changed


def test_a_release_that_knows_no_persistent_trial_refuses_and_is_as_it_was() -> None:
    with ssh_box("huawei_vrp8") as one:
        change = change_of(one)
        one.box.faults.order(Fault(FaultKind.REFUSE, "commit trial", message="Error: Too many parameters found."))
        result = change.run()
        assert result.outcome is Outcome.UNDONE
        assert "Too many parameters" in result.detail
        assert not one.changed


def test_a_huawei_whose_configuration_somebody_else_committed_is_compared_anew() -> None:
    with ssh_box("huawei_vrp8") as one:
        device = one.open()
        try:
            device.driver.load_merge_candidate(config="user-group provedor\n")
            other = one.box.begin("somebody")
            for command in ("system-view", "user-group his", "commit"):
                other.do(command)
            assert device.driver.compare_config() == "+user-group provedor"
        finally:
            device.close()
        assert "user-group his" in one.running

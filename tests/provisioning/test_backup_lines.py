"""Configurations of lines below lines: whether two differ and in what, without secrets; read off a box; restored."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from napalm_boxes import SECRET, SMALL, USER, change_of, ssh_box

from core.errors import Conflict
from provisioning.backups import lines
from provisioning.backups.device_reading import changes_in, read_device
from provisioning.backups.restoring_lines import restore_lines
from provisioning.backups.texts import ReadBy, Text
from provisioning.napalm.errors import Refused
from provisioning.napalm.traits import traits_of
from provisioning.outcome import Outcome
from provisioning.simulators.ssh import Fault, FaultKind
from provisioning.simulators.ssh.configuration import Line, parse, show

DRIVERS = ["huawei_vrp8", "ios"]
IOS = """Building configuration...

! Last configuration change at 09:41:22 UTC Mon Sep 7 2026 by ana
hostname bng
ntp clock-period 17179877
interface GigabitEthernet0/0/1
 description to the access
 ip address 192.0.2.1 255.255.255.0
radius server one
 address ipv4 192.0.2.10 auth-port 1812 acct-port 1813
 key 7 0822455D0A16
end
"""
JUNOS = """## Last commit: 2026-09-07 09:41:22 UTC by ana
system {
    host-name bng;
    root-authentication {
        encrypted-password "$6$abc$def"; ## SECRET-DATA
    }
}
"""

WORDS = st.sampled_from(["interface a", "interface b", "description x", "key 7 0822", "rule 5 permit", "acl 3000"])


@st.composite
def configurations(draw: st.DrawFn) -> Line:
    return Line("", draw(st.recursive(
        st.lists(st.builds(Line, WORDS), max_size=5),
        lambda below: st.lists(st.builds(Line, WORDS, below), max_size=4), max_leaves=25,
    )))  # fmt: skip


def changed(before: str, *pairs: tuple[str, str]) -> list[str]:
    after = before
    for old, new in pairs:
        assert old in after
        after = after.replace(old, new)
    assert (lines.digest(before) == lines.digest(after)) is (lines.difference(before, after) == [])
    return lines.difference(before, after)


def test_a_change_is_shown_below_what_it_stands_below() -> None:
    assert changed(IOS, ("to the access", "to the world")) == [
        "  interface GigabitEthernet0/0/1", "-  description to the access", "+  description to the world",
    ]  # fmt: skip
    assert changed(JUNOS, ("host-name bng", "host-name br1")) == [
        "  system {", "-  host-name bng;", "+  host-name br1;",
    ]  # fmt: skip


@pytest.mark.parametrize("before", [IOS, JUNOS])
def test_who_changed_it_when_and_what_goes_by_itself_is_no_difference(before: str) -> None:
    assert changed(before, ("09:41:22", "10:00:00"), ("by ana", "by bob")) == []
    assert changed(IOS, ("17179877", "17180000")) == []


def test_of_a_secret_it_is_said_that_it_changed() -> None:
    assert changed(IOS, ("0822455D0A16", "0955AA")) == ["  radius server one", "-  key 7 ***",
                                                        "+  key 7 ***  # a secret changed"]  # fmt: skip
    shown = changed(JUNOS, ("$6$abc$def", "$6$other$one"))
    assert shown[-1] == "+   encrypted-password ***; ## SECRET-DATA  # a secret changed"


def test_the_order_of_lines_counts() -> None:
    before = "acl 3000\n rule a\n rule b\n rule c\n"
    assert changed(before, (" rule a\n", ""), (" rule c\n", " rule c\n rule a\n")) == [
        "  acl 3000", "-  rule a", "+  rule a  # moved",
    ]  # fmt: skip


@given(configurations(), configurations())
def test_two_differ_in_what_is_told_and_in_nothing_else(first: Line, second: Line) -> None:
    before, after = show(first, "#"), show(second, "#")
    told = lines.difference(before, after)
    assert (told == []) == (lines.paths(before) == lines.paths(after)) == (lines.digest(before) == lines.digest(after))
    gone = sum(line.startswith("-") for line in told)
    new = sum(line.startswith("+") for line in told)
    assert len(lines.paths(before)) - gone + new == len(lines.paths(after))


@given(st.text(), st.text())
def test_any_text_is_read(before: str, after: str) -> None:
    lines.difference(before, after)
    assert lines.difference(before, before) == []
    assert len(lines.masked(before)) == len(before.splitlines())


def test_a_long_one_is_compared_at_once() -> None:
    """A wholesale box: 60,000 lines, of which a few changed."""
    chosen = random.Random(6)
    text = "".join(
        f"interface Gi0/{number}\n description {chosen.random()}\n no shutdown\n" for number in range(20_000)
    )
    assert len(changed(text, ("interface Gi0/777\n", "interface Gi1/777\n"))) == 6


def test_boxes_of_two_kinds_are_not_compared() -> None:
    export, running = Text("/ip pool\nadd name=a\n", ReadBy.EXPORT), Text(IOS, ReadBy.RUNNING)
    with pytest.raises(Conflict):
        export.changes_to(running)


# Off a box


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_a_box_runs_is_read_with_its_secrets_and_who_changed_it(driver: str) -> None:
    intent = {**SMALL[driver], "radius": {"servers": [{"address": "192.0.2.10"}]}}
    with ssh_box(driver) as one:
        assert change_of(one, intent).run().outcome is Outcome.DONE
        device = one.open()
        reading = read_device(device)
        device.close()
        assert [(action.by, action.source) for action in reading.actions] == [(USER, "configuration")]
        assert lines.paths(reading.text) == lines.paths(one.running)
    assert reading.read_by is ReadBy.RUNNING
    if driver == "ios":
        assert SECRET in reading.text
    assert SECRET not in "\n".join(lines.masked(reading.text))


@pytest.mark.parametrize("driver", DRIVERS)
def test_one_that_did_not_come_whole_is_none(driver: str) -> None:
    command = {"huawei_vrp8": "display current-configuration", "ios": "show running-config"}[driver]
    with ssh_box(driver) as one:
        device = one.open()
        for _ in range(2):  # Huawei is asked for its interfaces first
            one.box.faults.order(Fault(FaultKind.REFUSE, command, message="% Memory is low"))
        with pytest.raises(Refused, match="did not come whole: it ends with '% Memory is low'"):
            read_device(device)
        device.close()


@pytest.mark.parametrize(
    ("line", "by"),
    [
        ("! Last configuration change at 09:41:22 UTC Mon Sep 7 2026 by ana", ["ana"]),
        ("!! Last configuration change at Fri Nov 27 10:00:00 2026 by bob", ["bob"]),
        ("! Last configuration change at 12:43:05 UTC Tue Feb 17 2026", []),
        ("! NVRAM config last updated at 09:41:23 UTC Mon Sep 7 2026 by ana", []),
        ("!Last configuration was updated at 2024-07-14 04:57:04+00:00 by cyberweb", ["cyberweb"]),
        ("!Last configuration was saved at 2024-07-14 04:54:24+00:00 by cyberweb", []),
        ("!Last configuration was updated at 2017-05-05 09:40:03+00:00 by SYSTEM automatically", []),
        ("## Last commit: 2026-09-07 09:41:22 UTC by ana", ["ana"]),
        (" description Last commit: x by nobody", []),
    ],
)
def test_who_changed_it_as_each_platform_says_it(line: str, by: list[str]) -> None:
    assert [action.by for action in changes_in(f"first\n{line}\nlast")] == by


# Restored


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_was_read_is_restored_into_a_new_box(driver: str) -> None:
    intent = {**SMALL[driver], "radius": {"servers": [{"address": "192.0.2.10"}]}}
    with ssh_box(driver) as one:
        assert change_of(one, intent).run().outcome is Outcome.DONE
        device = one.open()
        text = read_device(device).text
        device.close()
    outcome = restore_lines(text, traits_of(driver).platform)
    assert (outcome.ok, outcome.not_played, outcome.commands) == (True, (), len(lines.paths(text)))


def test_what_the_simulated_box_does_not_play_is_named_and_the_rest_is_tried() -> None:
    text = f"{IOS}".replace("end\n", "router bgp 65000\n neighbor 192.0.2.9 remote-as 1\nend\n")
    outcome = restore_lines(text, "cisco_ios")
    assert (outcome.ok, outcome.not_played) == (True, ("router: 1", "router / neighbor: 1"))


def test_a_line_that_another_replaces_does_not_come_back() -> None:
    """As it would be where a version was mended by hand, or glued together of two answers."""
    outcome = restore_lines(IOS.replace("hostname bng", "hostname bng\nhostname other"), "cisco_ios")
    assert outcome.differences == ("- hostname bng",)


def test_of_a_platform_that_is_not_simulated_that_is_said() -> None:
    assert restore_lines(JUNOS, "juniper_junos").not_played == ("all of it, since no juniper_junos is simulated",)


@given(configurations())
def test_any_configuration_is_tried(given_lines: Line) -> None:
    text = show(given_lines, "#")
    for platform in ("cisco_ios", "huawei_vrp8"):
        outcome = restore_lines(text, platform)
        assert outcome.commands == len(lines.paths(text)) == sum(1 for _ in parse(text).walk())

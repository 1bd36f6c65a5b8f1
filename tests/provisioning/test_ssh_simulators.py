"""Simulated command lines without a socket: they do what the manuals say, whatever is entered in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from routeros_boxes import Clock

from provisioning.simulators.ssh import CiscoBox, HuaweiBox, cisco_box, huawei_box
from provisioning.simulators.ssh.configuration import Line, compare, parse, show
from provisioning.simulators.ssh.huawei import IN_TRIAL

LINES = st.recursive(
    st.builds(Line, st.sampled_from(["a", "b", "c 1", "c 2", "d"])),
    lambda below: st.builds(Line, st.sampled_from(["a", "b", "c 1"]), st.lists(below, max_size=3)),
    max_leaves=8,
)


def unique(line: Line) -> Line:
    """A line stands in its view once."""
    below = {one.text: unique(one) for one in line.below}
    return Line(line.text, list(below.values()))


@given(st.lists(LINES, max_size=5))
def test_what_is_shown_is_read_again(below: list[Line]) -> None:
    root = unique(Line("", below))
    assert parse(show(root, "#")) == root


@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=5))
def test_a_difference_is_empty_where_there_is_none_and_else_says_all(before: list[Line], after: list[Line]) -> None:
    old, new = unique(Line("", before)), unique(Line("", after))
    found = compare(old, new)
    assert compare(old, old) == []

    def lines(root: Line) -> set[tuple[int, str]]:
        return {(depth, line.text) for depth, line in root.walk()}

    assert {(one.depth, one.text) for one in found if one.sign == "+"} <= lines(new)
    assert {(one.depth, one.text) for one in found if one.sign == "-"} <= lines(old)


class TwoPhase(RuleBasedStateMachine):
    """Two sessions at one Huawei: what runs is what was committed last, or what was before a trial that ended."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.box = huawei_box({}, self.clock)
        self.sessions: list[Any] = [self.box.begin("a"), self.box.begin("b")]
        for session in self.sessions:
            session.say("system-view")
        self.before_trial: Line | None = None

    @rule(number=st.integers(0, 1), name=st.sampled_from(["gold", "silver", "zinc"]), undo=st.booleans())
    def edit(self, number: int, name: str, undo: bool) -> None:
        running = self.box.running.copy()
        said = self.sessions[number].say(f"undo qos-profile {name}" if undo else f"qos-profile {name}")
        if not undo and "Error" not in said:
            self.sessions[number].say("quit")
        if self.box.trial is not None and said:
            assert said == IN_TRIAL or "Unrecognized" in said
        assert self.box.running == running  # an edit changes nothing that runs

    @precondition(lambda self: self.box.trial is None)
    @rule(number=st.integers(0, 1))
    def commit(self, number: int) -> None:
        candidate = self.sessions[number].candidate
        conflict = candidate is not None and self.sessions[number].base != self.box.version
        said = self.sessions[number].say("commit")
        assert ("Error" in said) == conflict
        if candidate is not None and not conflict:
            assert self.box.running == candidate

    @precondition(lambda self: self.box.trial is None)
    @rule(number=st.integers(0, 1), seconds=st.integers(60, 300))
    def try_out(self, number: int, seconds: int) -> None:
        before = self.box.running.copy()
        said = self.sessions[number].say(f"commit trial {seconds} persist mine")
        if "Error" not in said:
            self.before_trial = before

    @rule(number=st.integers(0, 1))
    def clear(self, number: int) -> None:
        self.sessions[number].say("clear configuration candidate")

    @precondition(lambda self: self.box.trial is not None)
    @rule(number=st.integers(0, 1))
    def confirm(self, number: int) -> None:
        running = self.box.running
        assert "Error" in self.sessions[number].say("commit persist another")
        assert self.sessions[number].say("commit persist mine") == ""
        assert (self.box.trial, self.box.running) == (None, running)

    @precondition(lambda self: self.box.trial is not None)
    @rule(number=st.integers(0, 1))
    def abort(self, number: int) -> None:
        self.sessions[number].say("abort trial persist mine")
        self.sessions[number].say("y")
        assert (self.box.trial, self.box.running) == (None, self.before_trial)

    @precondition(lambda self: self.box.trial is not None)
    @rule()
    def wait(self) -> None:
        self.clock.go(301)
        self.box.tick()
        assert (self.box.trial, self.box.running) == (None, self.before_trial)

    @invariant()
    def what_it_shows_is_so(self) -> None:
        shown = self.sessions[0].box.begin("c").say("display configuration trial status")
        assert ("INACTIVE" in shown) == (self.box.trial is None)


TestTwoPhase = TwoPhase.TestCase
TestTwoPhase.settings = settings(max_examples=60, stateful_step_count=25)


def say(box: HuaweiBox | CiscoBox, *commands: str) -> list[str]:
    session = box.begin("noc")
    return [session.say(command) for command in commands]


def test_a_huawei_refuses_what_names_nothing_and_what_is_in_use() -> None:
    box = huawei_box({}, Clock())
    said = say(box, "system-view", "aaa", "domain homes", "radius-server group none", "qos-profile Gold inbound",
               "quit", "quit", "qos-profile gold", "quit", "aaa", "domain homes", "qos-profile Gold inbound",
               "qos-profile gold inbound", "quit", "quit", "undo qos-profile gold", "frobnicate")  # fmt: skip
    assert "RADIUS server group none does not exist" in said[3]
    assert "QoS profile Gold does not exist" in said[4]
    assert "QoS profile Gold does not exist" in said[11]
    assert said[12] == ""
    assert "QoS profile gold is in use" in said[15]
    assert "Unrecognized" in said[16]


def test_a_huawei_asks_before_it_leaves_what_is_not_committed() -> None:
    box = huawei_box({}, Clock())
    session = box.begin("noc")
    for command in ("system-view", "sysname NEW"):
        session.say(command)
    session.say("return")
    assert session.prompt.startswith("Warning: Uncommitted configurations found")
    session.say("n")
    assert (session.prompt, box.name) == ("<HUAWEI>", "HUAWEI")


def test_a_cisco_takes_effect_at_once_and_goes_back_by_its_timer() -> None:
    clock = Clock()
    box = cisco_box({}, clock)
    before = box.running.copy()
    said = say(box, "configure terminal revert timer 2", "hostname new", "policy-map p", "class class-default",
               "police cir 64000", "interface GigabitEthernet0/0/1", "description x", "frobnicate", "end",
               "show archive config rollback timer")  # fmt: skip
    assert "Invalid input" in said[7]
    assert "Timer value: 2 min" in said[9]
    assert (box.name, box.running.at(["policy-map p", "class class-default", "police cir 64000"])) != ("bng", None)
    clock.go(121)
    box.tick()
    assert box.running == before


def test_a_cisco_confirms_or_reverts_when_told() -> None:
    box = cisco_box({}, Clock())
    assert "%No Rollback" in say(box, "configure confirm")[0]
    say(box, "configure terminal revert timer 2", "hostname one", "end", "configure confirm")
    assert (box.name, box.revert) == ("one", None)
    say(box, "configure terminal revert timer 2", "hostname two", "end", "configure revert now")
    assert (box.name, box.revert) == ("one", None)
    say(box, "configure terminal", "no archive", "end")
    assert "Turn config archive on" in say(box, "configure terminal revert timer 2")[0]


def test_a_cisco_keeps_keys_by_another_form_where_it_is_told_to() -> None:
    box = cisco_box({}, Clock())
    say(box, "configure terminal", "radius server a", "key plain", "service password-encryption", "radius server a",
        "key secret", "end")  # fmt: skip
    assert "secret" not in show(box.running, "!")
    assert "key 7 08" in show(box.running, "!")


@settings(max_examples=200)
@given(st.lists(st.text(max_size=60), max_size=12), st.booleans())
def test_whatever_is_typed_is_answered(commands: list[str], huawei: bool) -> None:
    box = huawei_box({}, Clock()) if huawei else cisco_box({}, Clock())
    session = box.begin("noc")
    session.say("system-view" if huawei else "configure terminal")
    for command in commands:
        assert isinstance(session.say(" ".join(command.split())), str)
        assert session.prompt

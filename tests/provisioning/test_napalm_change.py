"""Changes of simulated boxes over real SSH: whatever breaks, the box is changed or as it was, and we know which."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from napalm_boxes import DRIVERS, SECRET, SEEN, Journal, SshBox, cancelled, change_of, ssh_box

from provisioning.outcome import Outcome
from provisioning.simulators.ssh import CiscoBox, Fault, FaultKind, HuaweiBox
from provisioning.simulators.ssh.configuration import parse, show

RADIUS = {"radius": {"servers": [{"address": "192.0.2.10"}]}}
#: Commands by which a change is made, in their order.
COMMANDS = {
    "huawei_vrp8": ["system-view", "qos-profile gold", "commit trial", "display configuration trial status",
                    "display current-configuration", "commit persist", "save"],
    "ios": ["show archive config incremental-diffs", "copy running-config flash:/rollback", "configure terminal revert",
            "copy flash:/merge_config.txt running-config", "show archive config rollback timer", "show running-config",
            "configure confirm", "write mem"],
}  # fmt: skip
CUTS = [
    *((driver, command, FaultKind.CUT_AFTER) for driver, commands in COMMANDS.items() for command in commands),
    ("huawei_vrp8", "commit trial", FaultKind.CUT_BEFORE),
    ("huawei_vrp8", "commit persist", FaultKind.CUT_BEFORE),
    ("ios", "copy flash:/merge_config.txt running-config", FaultKind.CUT_BEFORE),
    ("ios", "configure confirm", FaultKind.CUT_BEFORE),
]


@pytest.fixture(params=list(DRIVERS))
def one(request: pytest.FixtureRequest) -> Iterator[SshBox]:
    with ssh_box(request.param) as found:
        yield found


def waits(one: SshBox) -> bool:
    """Whether something at the box waits for its confirmation."""
    return (isinstance(one.box, HuaweiBox) and one.box.trial is not None) or (
        isinstance(one.box, CiscoBox) and one.box.revert is not None
    )  # fmt: skip


def rest(one: SshBox) -> str:
    """What runs. NAPALM's driver for IOS puts `file prompt quiet` there before it arms, so that stays after an undo."""
    return "\n".join(line for line in one.running.splitlines() if line != "file prompt quiet")


def test_a_change_is_armed_proven_by_a_second_connection_confirmed_and_saved(one: SshBox) -> None:
    journal = Journal()
    change = change_of(one, journal=journal)
    result = change.run()
    assert (result.outcome, result.detail) == (Outcome.DONE, "")
    assert journal.words == ["commit_confirm", "applied 0", *[f"applied {len(change.diff)}"] * 2]
    assert one.changed
    assert not waits(one)
    kept = one.box.saved if isinstance(one.box, HuaweiBox) else one.box.startup  # type: ignore[attr-defined]
    assert SEEN[one.driver] in show(kept, "#")


def test_what_is_there_already_is_no_change(one: SshBox) -> None:
    assert change_of(one).run().outcome is Outcome.DONE
    assert change_of(one).diff == []


def test_a_box_that_was_changed_meanwhile_is_not_touched(one: SshBox) -> None:
    change = change_of(one)
    somebodys = {
        "huawei_vrp8": "qos-profile gold",
        "ios": "policy-map gold-up\n class class-default\n  police cir 150000000",
    }[one.driver]
    one.box.running.below += parse(somebodys).below
    result = change.run()
    assert result.outcome is Outcome.REFUSED
    assert "plan again" in result.detail
    assert not waits(one)


def test_another_box_that_answers_is_not_touched(one: SshBox) -> None:
    change = change_of(one)
    one.box.serial = "ANOTHER"  # type: ignore[attr-defined]
    assert change.run().outcome is Outcome.REFUSED
    assert not one.changed


def test_sessions_that_are_gone_undo_it(one: SshBox) -> None:
    def hang_up(word: str) -> None:
        if word not in {"commit_confirm", "applied 0"}:
            one.box.sessions = 80

    result = change_of(one, journal=Journal(at=hang_up)).run()
    assert (result.outcome, result.detail) == (Outcome.UNDONE, "20 of 100 sessions are gone")
    assert not one.changed


def test_whoever_cancels_has_it_undone(one: SshBox) -> None:
    def cancel(word: str) -> None:
        if word.startswith("applied") and word != "applied 0":
            cancelled(word)

    result = change_of(one, journal=Journal(at=cancel)).run()
    assert (result.outcome, result.detail) == (Outcome.UNDONE, "cancelled by somebody")
    assert not one.changed


@pytest.mark.parametrize(("driver", "command", "kind"), CUTS)
def test_a_connection_cut_at_any_step_leaves_it_changed_or_as_it_was(
    driver: str, command: str, kind: FaultKind
) -> None:  # fmt: skip
    with ssh_box(driver) as one:
        before = rest(one)
        change = change_of(one)
        one.box.faults.order(Fault(kind, command))
        result = change.run()
        assert one.box.faults.ordered == []
        assert not waits(one)
        if result.outcome is Outcome.DONE:
            assert one.changed
        else:
            assert result.outcome in {Outcome.UNDONE, Outcome.REFUSED}
            assert rest(one) == before


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("after", ["commit_confirm", "applied 0", "applied"])
def test_a_process_killed_at_it_is_taken_over_by_the_next(one: SshBox, after: str) -> None:
    def kill(word: str) -> None:
        if word == after or (after == "applied" and word.startswith("applied ") and word != "applied 0"):
            raise Killed

    before = rest(one)
    change = change_of(one, journal=Journal(at=kill))
    with pytest.raises(Killed):
        change.run()
    one.server.hang_up()
    assert one.changed == (after == "applied")
    result = change_of(one, diff=change.diff).take_over()
    assert (result.outcome, result.detail) == (Outcome.UNDONE, "whoever was at it died")
    assert rest(one) == before


def test_a_process_killed_after_it_confirmed_is_found_done(one: SshBox) -> None:
    change = change_of(one)
    assert change.run().outcome is Outcome.DONE
    assert change_of(one, diff=change.diff).take_over().outcome is Outcome.DONE


def test_a_box_that_nobody_comes_back_to_undoes_by_itself(one: SshBox) -> None:
    def kill(word: str) -> None:
        if word.startswith("applied ") and word != "applied 0":
            raise Killed

    before = rest(one)
    with pytest.raises(Killed):
        change_of(one, journal=Journal(at=kill)).run()
    one.clock.go(299)
    one.box.tick()
    assert one.changed
    one.clock.go(2)
    one.box.tick()
    assert rest(one) == before


def test_a_change_that_cuts_us_off_is_undone_by_the_box_and_we_know(one: SshBox) -> None:
    """Somebody's template closes the terminal lines: nobody is let in again, until the box goes back."""
    locked_out = {"huawei_vrp8": "undo stelnet server enable\n", "ios": "line vty 0 4\n transport input none\nend\n"}
    before = rest(one)
    change = change_of(one)
    candidate = locked_out[one.driver]
    device = one.open()
    change.candidate, change.diff = candidate, device.compare(candidate)
    device.close()
    result = change.run()
    assert result.outcome is Outcome.UNDONE
    assert "a second connection failed" in result.detail
    assert rest(one) == before
    assert one.box.lets_in()


def test_a_line_that_the_box_refuses_changes_nothing_and_says_which(one: SshBox) -> None:
    before = rest(one)
    change = change_of(one)
    message = "Error: No resource." if one.driver == "huawei_vrp8" else "% Invalid input detected at '^' marker."
    command = "commit trial" if one.driver == "huawei_vrp8" else "copy flash:/merge_config.txt running-config"
    one.box.faults.order(Fault(FaultKind.REFUSE, command, message=message))
    result = change.run()
    assert result.outcome is Outcome.UNDONE
    assert message.strip("%").strip() in result.detail
    assert rest(one) == before


def test_somebody_elses_commit_that_waits_is_let_be(one: SshBox) -> None:
    change = change_of(one)
    other = one.box.begin("somebody")
    commands = {
        "huawei_vrp8": ["system-view", "sysname HIS", "commit trial 600 persist his"],
        "ios": ["configure terminal revert timer 10", "hostname HIS", "end"],
    }[one.driver]
    for command in commands:
        other.do(command)
    result = change.run()
    assert result.outcome is Outcome.REFUSED
    assert "somebody else's commit waits" in result.detail
    assert waits(one)
    assert "HIS" in one.running


def test_no_secret_is_in_what_is_shown_logged_or_said(one: SshBox, capsys: pytest.CaptureFixture[str]) -> None:
    change = change_of(one, RADIUS)
    assert any("***" in line for line in change.diff)
    command = "radius-server shared-key" if one.driver == "huawei_vrp8" else "copy flash:/merge_config.txt running"
    one.box.faults.order(Fault(FaultKind.REFUSE, command, message=f"Error: {SECRET}? % Invalid input detected"))
    result = change.run()
    assert result.outcome in {Outcome.UNDONE, Outcome.REFUSED}
    for text in (*change.diff, result.detail, *capsys.readouterr()):
        assert SECRET not in text
    assert change_of(one, RADIUS).run().outcome is Outcome.DONE


def test_where_only_a_secret_was_to_change_nobody_says_that_it_was(one: SshBox) -> None:
    if isinstance(one.box, CiscoBox):
        one.box.running.below += parse("service password-encryption").below
    assert change_of(one, RADIUS).run().outcome is Outcome.DONE
    again = change_of(one, RADIUS)
    assert again.diff
    assert all("***" in line or line[:1] == " " or not line.startswith("+ ") for line in again.diff)
    result = again.take_over()
    assert result.outcome is Outcome.UNDONE
    assert "plan again" in result.detail

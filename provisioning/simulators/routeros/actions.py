"""Commands that are not about rows of a configured menu, and the menus that only show something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from provisioning.simulators.routeros import faults, scripts, storage, tools
from provisioning.simulators.routeros.command import NOTHING, Answer, Caller, Command
from provisioning.simulators.routeros.errors import ARGUMENT, LoginFailed, Refused, failure, no_match
from provisioning.simulators.routeros.menus import Listing, Menu, Row, Single
from provisioning.simulators.routeros.shown import date_and_time
from provisioning.simulators.routeros.values import duration
from provisioning.simulators.routeros.versions import Version

if TYPE_CHECKING:
    from provisioning.simulators.routeros.router import Router


@dataclass(frozen=True, slots=True)
class Action:
    function: Callable[[Router, Command, Caller], Answer]
    policies: tuple[str, ...]
    known_to: Callable[[Version], bool] = lambda _: True


def find(router: Router, command: Command) -> Action | None:
    """None where the command is about rows, or this release does not know it."""
    action = _ACTIONS.get(command.word)
    if action is None and command.verb == "export" and command.menu in router.prefixes:
        action = _ACTIONS["/export"]
    return action if action is not None and action.known_to(router.version) else None


def menus(router: Router) -> Iterable[str]:
    return (word.rpartition("/")[0] for word, action in _ACTIONS.items() if action.known_to(router.version))


def listings(router: Router) -> Mapping[str, Menu]:
    found: dict[str, Menu] = {
        "/system/resource": Single(lambda: _resource(router)),
        "/system/clock": Single(lambda: _clock(router)),
        "/system/routerboard": Single(lambda: {"routerboard": "false"}),
        "/system/package": Listing(lambda: [_package(router)]),
        "/system/history": Listing(lambda: _history(router)),
        "/log": Listing(lambda: _log_lines(router)),
        "/file": storage.FileMenu(router),
        faults.MENU: router.faults,
    }
    if router.version.has_device_mode:
        found["/system/device-mode"] = Single(lambda: _device_mode(router))
    if router.version.has_safe_mode:
        found["/safe-mode"] = Listing(lambda: _safe_mode(router))
    return found


# Safe mode


def _take(router: Router, _command: Command, caller: Caller) -> Answer:
    if caller.connection is None:
        raise failure("safe mode needs a session")
    router.history.take(caller.connection, caller.user)
    return NOTHING


def _release(router: Router, _command: Command, _caller: Caller) -> Answer:
    router.history.release()
    return NOTHING


def _unroll(router: Router, _command: Command, caller: Caller) -> Answer:
    if not router.history.holds(caller.connection):
        raise failure("safe mode is not taken by this session")
    router.history.unroll()
    router.undone()
    return NOTHING


def _get_safe_mode(router: Router, _command: Command, _caller: Caller) -> Answer:
    return Answer([], {"ret": "true" if router.history.held_by is not None else "false"})


def _undo(router: Router, _command: Command, _caller: Caller) -> Answer:
    if not router.history.undo():
        raise failure("nothing to undo")
    router.undone()
    return NOTHING


# System


def _reboot(router: Router, _command: Command, _caller: Caller) -> Answer:
    router.reboot()
    return NOTHING


def _run_script(router: Router, command: Command, caller: Caller) -> Answer:
    if not command.numbers:
        raise Refused("missing =.id=", ARGUMENT)
    for one in command.numbers:
        scripts.run_script(router, router.configuration.find(scripts.SCRIPTS, one).item, caller)
    return NOTHING


def _execute(router: Router, command: Command, caller: Caller) -> Answer:
    """In the background, as a job, whose id is returned; with `as-string` at once, and what it puts."""
    source = command.arguments.get("script", "")
    at_once = "as-string" in command.arguments
    try:
        returned = scripts.begin(router, scripts.running(router, source, caller), "execute")
    except Refused as refused:
        if at_once:
            raise
        router.note("script,error", refused.message)
        returned = ""
    return Answer([], {"ret": returned if at_once else f"*{len(router.log) + 1:X}"})


def _log(router: Router, command: Command, _caller: Caller) -> Answer:
    router.note(f"script,{command.verb}", command.arguments.get("message", ""))
    return NOTHING


def _order_fault(router: Router, command: Command, _caller: Caller) -> Answer:
    return Answer([], {"ret": router.faults.order(faults.fault_of(command.arguments))})


def _clear_faults(router: Router, _command: Command, _caller: Caller) -> Answer:
    router.faults.clear()
    return NOTHING


def _monitor_traffic(router: Router, command: Command, _caller: Caller) -> Answer:
    """Of one subscriber's interface, and `once`: what it carries now. (Real ones go on until they are told to stop.)"""
    name = command.arguments.get("interface", "")
    session = next((one for one in router.sessions() if one.interface == name), None)
    if session is None:
        raise no_match("interface")
    if "once" not in command.arguments:
        raise failure("only `once` is played")
    return Answer([{
        "name": name, "rx-packets-per-second": str(session.upload_bps // 8000),
        "rx-bits-per-second": str(session.upload_bps), "tx-packets-per-second": str(session.download_bps // 8000),
        "tx-bits-per-second": str(session.download_bps),
    }])  # fmt: skip


def _dial(router: Router, command: Command, _caller: Caller) -> Answer:
    """A subscriber's CPE dials; one that is refused is told so."""
    given = command.arguments
    if router.dial is None:
        raise failure("nobody can dial here")
    try:
        session = router.dial(given.get("name", ""), given.get("password", ""), given.get("caller-id", ""))
    except LoginFailed:
        raise failure("authentication failed") from None
    return Answer([], {"ret": session})


# What is shown


def _resource(router: Router) -> Row:
    channel = "long-term" if router.version.release < (7, 0) else "stable"
    return {
        "uptime": duration(max(router.now, router.clock()) - router.booted),
        "version": f"{router.version} ({channel})", "free-memory": "805306368", "total-memory": "1073741824",
        "cpu": "QEMU", "cpu-count": "2", "cpu-load": "3", "free-hdd-space": str(router.files.free),
        "total-hdd-space": str(router.files.octets_max), "architecture-name": "x86_64", "board-name": "CHR",
        "platform": "MikroTik",
    }  # fmt: skip


def _clock(router: Router) -> Row:
    moment = datetime.fromtimestamp(router.now, UTC)
    date = date_and_time(router.now, iso=router.version.iso_dates).split()[0]
    return {"time": moment.strftime("%H:%M:%S"), "date": date, "time-zone-name": "UTC", "gmt-offset": "+00:00"}


def _package(router: Router) -> Row:
    return {".id": "*1", "name": "routeros", "version": str(router.version), "disabled": "false"}


def _log_lines(router: Router) -> list[Row]:
    with router.lock:
        return list(router.log)


def _history(router: Router) -> list[Row]:
    """The newest first."""
    with router.lock:
        actions = list(reversed(router.history.actions))
    return [
        {
            ".id": f"*{action.number:X}", "action": action.text, "by": action.by, "policy": "write",
            "time": date_and_time(action.at, iso=router.version.iso_dates), "undoable": "true",
        }
        for action in actions
    ]  # fmt: skip


def _device_mode(router: Router) -> Row:
    scheduler = "no" if router.device_mode in {"basic", "home"} else "yes"
    return {"mode": router.device_mode, "scheduler": scheduler, "flagged": "no", "attempt-count": "0"}


def _safe_mode(router: Router) -> list[Row]:
    user = router.history.held_by
    return [] if user is None else [{"user": user}]


_ACTIONS: Final[Mapping[str, Action]] = {
    "/ping": Action(tools.ping, ("test",)),
    "/tool/ping": Action(tools.ping, ("test",)),
    "/radius/monitor": Action(tools.monitor_radius, ("read",)),
    "/safe-mode/take": Action(_take, ("write",), lambda version: version.has_safe_mode),
    "/safe-mode/release": Action(_release, ("write",), lambda version: version.has_safe_mode),
    "/safe-mode/unroll": Action(_unroll, ("write",), lambda version: version.has_safe_mode),
    "/safe-mode/get": Action(_get_safe_mode, ("read",), lambda version: version.has_safe_mode),
    "/undo": Action(_undo, ("write",)),
    "/system/reboot": Action(_reboot, ("reboot",)),
    "/system/script/run": Action(_run_script, ("read",)),
    "/execute": Action(_execute, ("write",)),
    "/import": Action(storage.import_file, ("write",)),
    **{f"/log/{topic}": Action(_log, ("write",)) for topic in ("debug", "error", "info", "warning")},
    "/interface/monitor-traffic": Action(_monitor_traffic, ("read",)),
    "/simulate/subscribers/dial": Action(_dial, ()),
    f"{faults.MENU}/add": Action(_order_fault, ()),
    f"{faults.MENU}/clear": Action(_clear_faults, ()),
    "/system/reset-configuration": Action(storage.reset, ("write", "policy", "reboot")),
    "/export": Action(storage.export, ("read",)),
    "/system/backup/save": Action(storage.save_backup, ("read", "ftp")),
    "/system/backup/load": Action(storage.load_backup, ("write", "reboot")),
    "/file/read": Action(storage.read_file, ("read",), lambda version: version.reads_files),
    "/file/add": Action(storage.add_file, ("write",), lambda version: version.reads_files),
    "/file/set": Action(storage.set_file, ("write",)),
}

"""Commands about the router's files: exports, backups, and files themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioning.simulators.routeros import scripts
from provisioning.simulators.routeros.command import NOTHING, Answer, Caller, Command
from provisioning.simulators.routeros.errors import (
    ARGUMENT,
    SCRIPT,
    NoSuchItem,
    Refused,
    failure,
    invalid,
    not_permitted,
)
from provisioning.simulators.routeros.export import export_text
from provisioning.simulators.routeros.factory import new_configuration
from provisioning.simulators.routeros.files import CHUNK_OCTETS_MAX, SHOWN_OCTETS_MAX, WRITTEN_OCTETS_MAX, File
from provisioning.simulators.routeros.menus import Missing, Row
from provisioning.simulators.routeros.policies import POLICIES
from provisioning.simulators.routeros.scripting import ScriptError
from provisioning.simulators.routeros.shown import date_and_time

if TYPE_CHECKING:
    from provisioning.simulators.routeros.router import Router

_EXPORT_ARGUMENTS = frozenset({"compact", "file", "hide-sensitive", "path", "show-sensitive", "terse", "verbose"})


@dataclass(frozen=True)
class FileMenu:
    router: Router
    commands: frozenset[str] = frozenset({"print", "getall", "remove"})

    def rows(self) -> Iterable[Row]:
        with self.router.lock:
            return [_row(self.router, file) for file in self.router.files]

    def remove(self, row_id: str) -> None:
        with self.router.lock:
            file = self.router.files.get(row_id)
            if file is None:
                raise Missing(row_id)
            self.router.files.remove(file)


def _row(router: Router, file: File) -> Row:
    row = {
        ".id": f"*{file.number:X}", "name": file.name, "type": file.kind, "size": str(len(file.octets)),
        "last-modified" if router.version.iso_dates else "creation-time": date_and_time(
            file.at, iso=router.version.iso_dates
        ),
    }  # fmt: skip
    shown = WRITTEN_OCTETS_MAX if router.version.reads_files else SHOWN_OCTETS_MAX
    if file.snapshot is None and len(file.octets) <= shown:
        row["contents"] = file.contents
    return row


def export(router: Router, command: Command, caller: Caller) -> Answer:
    """Into a file. Without one it is printed, which over the API comes to nothing."""
    given = command.arguments
    if not _EXPORT_ARGUMENTS.issuperset(given):
        raise Refused("unknown parameter")
    shows = "show-sensitive" in given if router.version.hides_secrets_in_exports else "hide-sensitive" not in given
    text = export_text(
        router.configuration, router.version, router.now, under=command.menu, secrets=shows and caller.may("sensitive"),
        verbose="verbose" in given, terse="terse" in given,
    )  # fmt: skip
    name = given.get("file", "")
    if not name:
        return NOTHING if caller.connection is not None else Answer([], {"ret": text})
    if not caller.may("ftp"):
        raise not_permitted()
    router.files.write(name if name.endswith(".rsc") else f"{name}.rsc", text, router.now)
    return NOTHING


def save_backup(router: Router, command: Command, _caller: Caller) -> Answer:
    name = command.arguments.get("name") or "backup"
    name = name if name.endswith(".backup") else f"{name}.backup"
    password = command.arguments.get("password", "")
    router.files.save(name, router.configuration.snapshot(), password, router.now)
    return NOTHING


def load_backup(router: Router, command: Command, _caller: Caller) -> Answer:
    """And reboot."""
    name = command.arguments.get("name", "")
    file = router.files.get(name) or router.files.get(f"{name}.backup")
    if file is None or file.snapshot is None:
        raise failure("backup file not found")
    if "password" not in command.arguments:
        raise Refused("missing value(s) of argument(s) password", ARGUMENT)
    if file.password != command.arguments.get("password", ""):
        raise failure("wrong password")
    router.history.release()
    router.configuration.load(file.snapshot)
    router.reboot()
    return NOTHING


def import_file(router: Router, command: Command, caller: Caller) -> Answer:
    """What comes before a command that fails stays done. With `dry-run` (7.16) nothing is, and it must be `verbose`."""
    given = command.arguments
    if not {"dry-run", "file-name", "from-line", "verbose"}.issuperset(given):
        raise Refused("unknown parameter")
    dry = given.get("dry-run", "no") not in {"no", "false"}
    if "dry-run" in given and not router.version.imports_dry:
        raise Refused("unknown parameter")
    if dry and given.get("verbose", "no") in {"no", "false"}:
        raise failure("dry-run is only available in verbose mode")
    file = router.files.get(given.get("file-name", ""))
    if file is None:
        raise Refused(f"file {given.get('file-name', '')} not found", ARGUMENT)
    try:
        if dry:
            scripts.checked(router, file.contents, caller)
        else:
            scripts.begin(router, scripts.running(router, file.contents, caller), file.name)
    except ScriptError as error:
        raise Refused(f"Script Error: {error}", SCRIPT) from None
    except Refused as refused:
        raise Refused(f"Script Error: {refused.message}", refused.category) from None
    return NOTHING


def reset(router: Router, command: Command, caller: Caller) -> Answer:
    """A new router, that does what a file says when it is up again. Safe mode does not help."""
    given = command.arguments
    file = router.files.get(given["run-after-reset"]) if "run-after-reset" in given else None
    if "run-after-reset" in given and file is None:
        raise Refused(f"file {given['run-after-reset']} not found", ARGUMENT)
    users = router.configuration.snapshot()
    router.history.release()
    router.configuration.load(new_configuration(router.version.release, "MikroTik", {"admin": ""}).snapshot())
    if given.get("keep-users", "no") not in {"no", "false"}:
        router.configuration.load({menu: users[menu] for menu in ("/user/group", "/user")})
    router.reboot()
    if file is not None:
        after = Caller(caller.user, POLICIES)
        try:
            scripts.begin(router, scripts.running(router, file.contents, after), file.name)
        except Refused as refused:
            router.note("script,error", f"run-after-reset failed: {refused.message}")
    return NOTHING


def add_file(router: Router, command: Command, _caller: Caller) -> Answer:
    name = command.arguments.get("name", "")
    if not name:
        raise Refused("missing value(s) of argument(s) name", ARGUMENT)
    if router.files.get(name) is not None:
        raise failure("file already exists")
    _write(router, name, command.arguments.get("contents", ""))
    written = router.files.get(name)
    return Answer([], {"ret": f"*{written.number:X}" if written else ""})


def set_file(router: Router, command: Command, _caller: Caller) -> Answer:
    if not command.numbers:
        raise Refused("missing =.id=", ARGUMENT)
    for one in command.numbers:
        _write(router, _file(router, one).name, command.arguments.get("contents", ""))
    return NOTHING


def read_file(router: Router, command: Command, _caller: Caller) -> Answer:
    given = command.arguments
    file = _file(router, given.get("file") or given.get(".id") or given.get("numbers") or "")
    offset, size = _number(given, "offset", 0), _number(given, "chunk-size", CHUNK_OCTETS_MAX)
    if size > CHUNK_OCTETS_MAX:
        raise Refused(f"value of chunk-size out of range (1..{CHUNK_OCTETS_MAX})", ARGUMENT)
    data = file.octets[offset : offset + size].decode("utf-8", "surrogateescape")
    return Answer([{"data": data}] if data else [])


def _file(router: Router, given: str) -> File:
    file = router.files.get(given)
    if file is None:
        raise NoSuchItem
    return file


def _write(router: Router, name: str, contents: str) -> None:
    if len(contents.encode("utf-8", "surrogateescape")) > WRITTEN_OCTETS_MAX:
        raise failure("contents too long")
    router.files.write(name, contents, router.now)


def _number(given: dict[str, str], name: str, otherwise: int) -> int:
    value = given.get(name, str(otherwise))
    if not value.isdecimal():
        raise invalid(name)
    return int(value)

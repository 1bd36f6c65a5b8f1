"""Commands about the router's files: exports, backups, and files themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioning.simulators.routeros.command import NOTHING, Answer, Caller, Command
from provisioning.simulators.routeros.errors import ARGUMENT, Refused, failure, invalid, no_such_item, not_permitted
from provisioning.simulators.routeros.export import export_text
from provisioning.simulators.routeros.files import CHUNK_OCTETS_MAX, SHOWN_OCTETS_MAX, WRITTEN_OCTETS_MAX, File
from provisioning.simulators.routeros.menus import Missing, Row
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
    if file.snapshot is None and len(file.octets) <= SHOWN_OCTETS_MAX:
        row["contents"] = file.contents
    return row


def export(router: Router, command: Command, caller: Caller) -> Answer:
    """Into a file; without one, the text is returned, which a real router does not do over the API."""
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
        return Answer([], {"ret": text})
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
    file = router.files.get(command.arguments.get("name", ""))
    if file is None or file.snapshot is None:
        raise failure("backup file not found")
    if file.password != command.arguments.get("password", ""):
        raise failure("wrong password")
    router.history.release()
    router.configuration.load(file.snapshot)
    router.reboot()
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
        raise no_such_item()
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

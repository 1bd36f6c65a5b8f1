"""Huawei VRP8 (NetEngine, ME60, CloudEngine) in two-phase mode, as a NAPALM driver.

A candidate is entered line by line in the system view, which checks each; `display configuration candidate changes` is
what it comes to. A commit that has to be confirmed is `commit trial SECONDS persist NAME`: it outlives this session,
and any session confirms it by `commit persist NAME` or ends it by `abort trial persist NAME`.

Source: NetEngine 8000 command reference, pages of commit, abort trial, display configuration candidate, display
configuration trial status, clear configuration candidate. UNVERIFIED on a box: releases before those that know
`persist` are refused by their own error, and nothing is tried instead, because a trial without it that loses its
session can be neither confirmed nor aborted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from napalm.base import NetworkDriver
from napalm.base.exceptions import (
    CommandErrorException,
    CommitConfirmException,
    CommitError,
    ConnectionClosedException,
    MergeConfigException,
    ReplaceConfigException,
)
from napalm.base.netmiko_helpers import netmiko_args

#: Seconds that `commit trial` takes.
TRIAL_S_MIN: Final = 60
TRIAL_S_MAX: Final = 65_535
#: A commit of a big candidate takes its time.
_COMMIT_TIMEOUT_S: Final = 180.0
_LINE_TIMEOUT_S: Final = 30.0
_PROMPT: Final = r"(?m:^)(?:<[^<>\s]{1,80}>|\[[~*]?[^\[\]\r\n]{1,250}\])\s*\Z"
_QUESTION: Final = r"\[[Yy](?:\(yes\))?/[Nn](?:\(no\))?(?:/[Cc]\(cancel\))?\]\s*:?\s*\Z"
_MODELS: Final = re.compile(r"^\s*huawei\s+(\S.*?)\s+uptime is (.*)$", re.IGNORECASE | re.MULTILINE)
_UPTIME: Final = re.compile(r"(\d+)\s+(week|day|hour|minute|second)s?")
_UNIT_S: Final = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_CIPHERS: Final = re.compile(r"(%\^%#.*?%\^%#|%@%@.*?%@%@)")


class HuaweiVrp8Driver(NetworkDriver):  # type: ignore[misc]  # NAPALM has annotations and no marker
    """`trial_name`: of a change at the box; whoever takes over sets the same."""

    def __init__(
        self,
        hostname: str,
        username: str,
        password: str,
        timeout: int = 60,
        optional_args: dict[str, Any] | None = None,
    ) -> None:
        self.hostname, self.username, self.password, self.timeout = hostname, username, password, timeout
        self.device: Any = None
        self._netmiko_device: Any = None
        self.platform, self.profile = "huawei_vrp8", ["huawei_vrp8"]
        #: VRP has levels, and no `enable`.
        self.force_no_enable = True
        self.trial_name = "napalm"
        self._arguments = {"port": 22, **netmiko_args(optional_args or {})}

    def open(self) -> None:
        self.device = self._netmiko_open("huawei_vrpv8", netmiko_optional_args=self._arguments)

    def close(self) -> None:
        """What is not committed is not asked about any more, so the connection may just end."""
        device, self.device, self._netmiko_device = self.device, None, None
        if device is not None:
            device.paramiko_cleanup()

    def is_alive(self) -> dict[str, bool]:
        transport = getattr(getattr(self.device, "remote_conn", None), "transport", None)
        return {"is_alive": bool(transport is not None and transport.is_active())}

    def cli(self, commands: list[str], encoding: str = "text") -> dict[str, str]:
        if encoding != "text":
            raise NotImplementedError(f"{encoding} is not a supported encoding")
        return {command: self._show(command) for command in commands}

    def load_merge_candidate(self, filename: str | None = None, config: str | None = None) -> None:
        text = Path(filename).read_text() if filename is not None else (config or "")
        self.discard_config()
        self._ask("system-view")
        try:
            self._enter(_blocks(text.splitlines()))
        except MergeConfigException:
            self.discard_config()
            raise

    def load_replace_candidate(self, filename: str | None = None, config: str | None = None) -> None:
        del filename, config
        raise ReplaceConfigException("a whole configuration is not replaced over the command line: merge instead")

    def compare_config(self) -> str:
        """Each line behind its sign: + new, - gone, blank for what they stand below.

        Where another user committed meanwhile the box wants its candidate refreshed first, and says so instead.
        """
        lines = self._changes()
        if any(_is_message(line) for line in lines):
            self._system("refresh configuration candidate")
            lines = self._changes()
        messages = [line.strip() for line in lines if _is_message(line)]
        if messages:
            raise CommandErrorException(f"display configuration candidate changes: {' '.join(messages)}")
        return "\n".join(line[:1] + line[2:] for line in lines)

    def _changes(self) -> list[str]:
        said = self._system("display configuration candidate changes")
        return [line for line in said.splitlines() if line.strip() not in {"", "#", "Building configuration"}]

    def commit_config(self, message: str = "", revert_in: int | None = None) -> None:
        if message:
            raise NotImplementedError("Commit message not implemented for this platform")
        if revert_in is None:
            self._commit("commit")
            self._save()
            return
        if not TRIAL_S_MIN <= revert_in <= TRIAL_S_MAX:
            raise CommitConfirmException(f"a trial takes {TRIAL_S_MIN} to {TRIAL_S_MAX} seconds")
        if self.has_pending_commit():
            raise CommitConfirmException("another trial waits for its confirmation")
        self._commit(f"commit trial {revert_in} persist {self.trial_name}")
        if not self._is_ours():
            raise CommitError("the box took the commit, and shows no trial")

    def has_pending_commit(self) -> bool:
        return self._trial() is not None

    def confirm_commit(self) -> None:
        self._expect_ours()
        self._commit(f"commit persist {self.trial_name}")
        self._save()

    def discard_config(self) -> None:
        self._system("clear configuration candidate")
        self._ask("return")

    def rollback(self) -> None:
        """Of a trial that is not confirmed; another commit is brought back by a change of its own."""
        self._expect_ours()
        self._ask("system-view")
        self._commit(f"abort trial persist {self.trial_name}", answer="Y")
        self._ask("return")

    def get_config(
        self, retrieve: str = "all", full: bool = False, sanitized: bool = False, format: str = "text",  # noqa: A002
    ) -> dict[str, str]:  # fmt: skip
        """`full` and `format` are NAPALM's, and mean nothing here."""
        del full, format
        commands = {"running": "display current-configuration", "startup": "display saved-configuration",
                    "candidate": "display configuration candidate merge"}  # fmt: skip
        found = dict.fromkeys(("running", "startup", "candidate"), "")
        for which, command in commands.items():
            if retrieve == which or (retrieve == "all" and which != "candidate"):
                text = self._show(command)
                found[which] = _CIPHERS.sub("<removed>", text) if sanitized else text
        return found

    def get_facts(self) -> dict[str, Any]:
        said = self._show("display version")
        version = re.search(r"VRP \(R\) software, Version\s+(.+)", said)
        model = _MODELS.search(said)
        manufacture = self._show("display device manufacture-info")
        serial = re.search(r"^\s*\S+\s+\S+\s+Chassis\s+(\S+)", manufacture, re.MULTILINE)
        hostname = self.device.base_prompt.lstrip("~*")
        return {
            "vendor": "Huawei", "model": model[1] if model else "Unknown", "hostname": hostname, "fqdn": hostname,
            "os_version": version[1].strip() if version else "Unknown",
            "serial_number": serial[1] if serial else "Unknown",
            "uptime": float(_seconds(model[2])) if model else -1.0, "interface_list": self._interfaces(),
        }  # fmt: skip

    def get_environment(self) -> dict[str, Any]:
        """What `display cpu-usage` and `display memory-usage` say; fans and the like differ from chassis to chassis."""
        cpu = re.search(r"System cpu use rate is\s*:\s*(\d+)%", self._show("display cpu-usage"), re.IGNORECASE)
        said = self._show("display memory-usage")
        memory = {
            name: int(found[1]) * (1024 if found[2].lower().startswith("k") else 1)
            for name, words in (("available_ram", "System Total Memory Is"), ("used_ram", "Total Memory Used Is"))
            if (found := re.search(rf"{words}\s*:\s*(\d+)\s*(k?bytes)", said, re.IGNORECASE))
        }
        usage = {0: {"%usage": float(cpu[1])}} if cpu else {}
        return {"fans": {}, "temperature": {}, "power": {}, "cpu": usage, "memory": memory}

    def _interfaces(self) -> list[str]:
        said = self._show("display current-configuration | include ^interface")
        return re.findall(r"^interface (\S+)", said, re.MULTILINE)

    def _enter(self, blocks: Sequence[_Block]) -> None:
        """Lines that open a view are left again, also where nothing is said in it (`user-vlan`)."""
        for line, below in blocks:
            before = self._where()
            said = self._ask(line)
            if "Error:" in said or "Error(" in said:
                raise MergeConfigException(f"{line}: {_first_error(said)}")
            if re.search(_QUESTION, said):
                self._ask("N")
                raise MergeConfigException(f"{line}: the box asks {said.splitlines()[-1].strip()}")
            opened = self._where() != before
            if below and not opened:
                raise MergeConfigException(f"{line}: it opens no view for what is said below it")
            self._enter(below)
            if opened:
                self._ask("quit")

    def _commit(self, command: str, answer: str | None = None) -> None:
        said = self._ask(command, _COMMIT_TIMEOUT_S)
        if answer is not None and re.search(_QUESTION, said):
            said = self._ask(answer, _COMMIT_TIMEOUT_S)
        if "Error:" in said or re.search(_QUESTION, said):
            raise CommitError(f"{command}: {_first_error(said)}")

    def _save(self) -> None:
        """What runs is what it starts with."""
        self._ask("return")
        if re.search(_QUESTION, self._ask("save", _COMMIT_TIMEOUT_S)):
            self._ask("Y", _COMMIT_TIMEOUT_S)

    def _trial(self) -> str | None:
        """The name of the trial that runs, empty where it has none; None where none runs.

        The box says INACTIVE, ACTIVE, CANCELING or WAITCANCEL: whatever is not the first is on its way.
        """
        said = self._show("display configuration trial status")
        status = re.search(r"Trial status:\s*(\S+)", said)
        if status is None:
            raise CommandErrorException(f"display configuration trial status: {_first_error(said)}")
        named = re.search(r"Persist id:\s*(\S+)", said)
        return None if status[1].upper() == "INACTIVE" else (named[1] if named else "")

    def _is_ours(self) -> bool:
        return self._trial() == self.trial_name

    def _expect_ours(self) -> None:
        if not self._is_ours():
            raise CommitConfirmException(f"no trial {self.trial_name} waits for its confirmation")
        self._ask("system-view")

    def _show(self, command: str) -> str:
        return self._system(command) if "candidate" in command else self._ask(command)

    def _system(self, command: str) -> str:
        if not self._where_is_system():
            self._ask("system-view")
        return self._ask(command)

    def _ask(self, command: str, timeout: float = _LINE_TIMEOUT_S) -> str:
        """What the box says, up to its prompt or question."""
        try:
            said: str = self.device.send_command(
                command, expect_string=f"(?:{_PROMPT})|(?:{_QUESTION})", strip_prompt=False, strip_command=True,
                read_timeout=timeout, cmd_verify=True,
            )  # fmt: skip
        except (OSError, EOFError) as error:
            raise ConnectionClosedException(str(error)) from None
        lines = said.splitlines()
        if lines and re.fullmatch(_PROMPT, lines[-1]):
            self._prompt = lines.pop().strip()
            return "\n".join(lines)
        return said

    def _where(self) -> str:
        """The view, whether or not something in it waits for its commit."""
        return re.sub(r"^\[[~*]", "[", self._prompt)

    def _where_is_system(self) -> bool:
        return self._prompt.startswith("[")

    _prompt: str = "<"


_Block = tuple[str, Sequence["_Block"]]


def _blocks(lines: Sequence[str]) -> list[_Block]:
    """Lines with those below each, by indentation; `#` stands for nothing."""
    said = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    blocks: list[_Block] = []
    number = 0
    while number < len(said):
        indent = _indent(said[number])
        end = number + 1
        while end < len(said) and _indent(said[end]) > indent:
            end += 1
        blocks.append((said[number].strip(), _blocks(said[number + 1 : end])))
        number = end
    return blocks


def _is_message(line: str) -> bool:
    """Not a line of a difference, which has its sign, or a blank, before a blank."""
    return line[:1] not in {"+", "-", " "}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _seconds(uptime: str) -> int:
    return sum(int(number) * _UNIT_S[unit] for number, unit in _UPTIME.findall(uptime))


def _first_error(said: str) -> str:
    return next((line.strip() for line in said.splitlines() if "Error" in line), said.strip()[-200:])

"""Cisco IOS and IOS XE: what is entered runs at once, and what undoes it is the archive.

`configure terminal revert timer N` keeps what runs, and brings it back after N minutes, unless `configure confirm` came
(Configuration Rollback Confirmed Change; it needs `archive` with a path). Files come by SCP where `ip scp server
enable` is configured, and `copy FILE running-config` merges them line by line: a line that is refused says so, and
those before and after it stay. (Cisco, Configuration Replace and Configuration Rollback; Managing Configuration Files.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from provisioning.simulators.ssh.box import Box, Dialogue, hashed
from provisioning.simulators.ssh.configuration import Line, parse, show
from provisioning.simulators.ssh.grammar import TOP, Grammar, enter, find_rule, rule, take_away

INVALID: Final = "                 ^\n% Invalid input detected at '^' marker.\n"
NO_ARCHIVE: Final = "%Turn config archive on before using Rollback Confirmed Change"
NOTHING_PENDING: Final = "%No Rollback Confirmed Change pending"
MINUTES_MAX: Final = 120

_NAME: Final = r"[\w.@:+/-]{1,64}"
_ADDRESS: Final = r"[0-9a-fA-F:.]{2,45}"
_TEXT: Final = r".{1,240}"
#: A default needs no `no`, and is not shown.
GRAMMAR: Final[Grammar] = {
    TOP: [
        rule(rf"hostname {_NAME}", single=1),
        rule(r"aaa new-model"),
        rule(r"aaa session-id common"),
        rule(rf"aaa group server radius {_NAME}", "sg-radius"),
        rule(r"aaa server radius dynamic-author", "locsvr-da-radius"),
        rule(rf"aaa (authentication|authorization|accounting) {_TEXT}", single=4),
        rule(rf"radius server {_NAME}", "radius-server"),
        rule(r"radius-server (timeout|retransmit|deadtime|key) .+", single=2),
        rule(rf"radius-server {_TEXT}"),
        rule(rf"ip radius source-interface {_NAME}", single=3),
        rule(rf"ip local pool {_NAME} {_ADDRESS} {_ADDRESS}"),
        rule(rf"ipv6 local pool {_NAME} {_ADDRESS}/\d+ \d+", single=4),
        rule(rf"ip access-list extended {_NAME}", "ext-nacl"),
        rule(rf"class-map type traffic match-any {_NAME}", "traffic-classmap"),
        rule(rf"policy-map type service {_NAME}", "service-policymap"),
        rule(rf"policy-map {_NAME}", "pmap"),
        rule(rf"redirect server-group {_NAME}", "sg-l4redirect"),
        rule(rf"bba-group pppoe {_NAME}", "bba-group"),
        rule(rf"interface {_NAME}", "if"),
        rule(r"archive", "archive"),
        rule(r"line (con|vty) \d+( \d+)?", "line"),
        rule(r"ip scp server enable"),
        rule(r"file prompt quiet"),
        rule(r"service password-encryption"),
        rule(r"username \S+ .+", single=2),
        rule(rf"(snmp-server|logging|ntp) {_TEXT}"),
    ],
    "sg-radius": [rule(rf"server name {_NAME}"), rule(rf"ip radius source-interface {_NAME}", single=3)],
    "locsvr-da-radius": [
        rule(rf"client {_ADDRESS} server-key( [07])? \S+", single=2),
        rule(r"port \d+", single=1),
        rule(r"auth-type (any|all|session-key)", single=1),
    ],
    "radius-server": [
        rule(rf"address ipv[46] {_ADDRESS} auth-port \d+ acct-port \d+", single=1),
        rule(r"key( [07])? \S+", single=1),
        rule(r"timeout \d+", single=1),
        rule(r"retransmit \d+", single=1),
    ],
    "ext-nacl": [rule(rf"(\d+ )?(permit|deny) {_TEXT}")],
    "traffic-classmap": [rule(rf"match access-group (input|output) name {_NAME}")],
    "service-policymap": [rule(rf"\d+ class type traffic {_NAME}", "traffic-class"),
                          rule(r"class type traffic default (input|output|in-out)", "traffic-class")],
    "traffic-class": [rule(rf"redirect to group {_NAME}", single=3), rule(r"drop")],
    "pmap": [rule(r"class class-default", "pmap-c")],
    "pmap-c": [rule(r"police( cir)? \d+( bc \d+)?", single=1), rule(r"shape average \d+", single=2)],
    "sg-l4redirect": [rule(rf"server ip {_ADDRESS} port \d+")],
    "bba-group": [
        rule(r"virtual-template \d+", single=1), rule(r"sessions (max|per-mac) (limit|per-session|\d+) ?\d*", single=2),
        rule(r"sessions per-(mac|vlan) limit \d+", single=3), rule(rf"ac name {_NAME}", single=2),
        rule(r"pado delay \d+", single=2),
    ],
    "if": [
        rule(rf"description {_TEXT}", single=1),
        rule(r"no ip address"),
        rule(rf"ip address {_ADDRESS} {_ADDRESS}", single=2),
        rule(rf"ip unnumbered {_NAME}", single=2),
        rule(r"(mtu|ip mtu) \d+", single=1),
        rule(r"encapsulation dot1[qQ] (\d+(-\d+)?|any)( second-dot1q (any|[\d,-]+))?", single=1),
        rule(rf"pppoe enable group {_NAME}", single=2),
        rule(r"ppp (authentication|authorization|accounting|ipcp) .+", single=3),
        rule(rf"peer default ip(v6)? (address )?pool {_NAME}", single=3),
        rule(r"ipv6 (enable|unnumbered \S+)"),
        rule(rf"service-policy type control {_NAME}", single=3),
        rule(r"(no )?shutdown", single=2),
        rule(r"ip subscriber l2-connected", "subscriber"),
    ],
    "subscriber": [rule(r"initiator (dhcp|unclassified mac-address)", single=1)],
    "archive": [
        rule(rf"path {_TEXT}", single=1), rule(r"maximum \d+", single=1), rule(r"write-memory"),
        rule(r"time-period \d+", single=1),
    ],
    "line": [
        rule(r"login( local)?", single=1), rule(r"transport input (ssh|telnet|all|none|ssh telnet)", single=2),
        rule(r"access-class \S+ in", single=1), rule(r"exec-timeout \d+ \d+", single=1), rule(r"length \d+", single=1),
    ],
}  # fmt: skip

#: An ASR as it comes to its first BRAS: with management, and nothing of ours.
FACTORY: Final = """
hostname bng
aaa new-model
ip scp server enable
archive
 path flash:archive
interface GigabitEthernet0/0/0
 description management
 ip address 192.0.2.2 255.255.255.0
interface GigabitEthernet0/0/1
 no ip address
interface Loopback0
 ip address 192.0.2.1 255.255.255.255
line con 0
line vty 0 4
 login local
 transport input ssh
"""
_USERNAME: Final = re.compile(r"username (\S+)( privilege \d+)? secret(?: 0)? (\S+)")
_KEPT_USERNAME: Final = re.compile(r"username (\S+)( privilege \d+)? secret 9 (\S+)")
_KEY: Final = re.compile(r"((?:key|client \S+ server-key) )(?:(0) )?(\S+)")
_LISTED: Final = "-rw-"


@dataclass
class Revert:
    before: Line
    until: float
    minutes: int
    user: str


@dataclass
class CiscoBox(Box):
    startup: Line = field(default_factory=lambda: Line(""))
    files: dict[str, bytes] = field(default_factory=dict)
    revert: Revert | None = None
    model: str = "ASR1002-X"
    serial: str = "FOX1234SIM1"
    release: str = "17.9.4a"
    _salts: count[int] = field(default_factory=lambda: count(1), repr=False)

    def lets_in(self) -> bool:
        """By its terminal lines' transport."""
        lines = [one for one in self.running.below if one.text.startswith("line vty")]
        return any(one.find("transport input none") is None for one in lines)

    def tick(self) -> None:
        if self.revert is not None and self.clock() >= self.revert.until:
            self.roll_back()

    def begin(self, user: str) -> Dialogue:
        return _Cisco(self, user)

    def receive(self, path: str, octets: bytes) -> bool:
        if self.running.find("ip scp server enable") is None:
            return False
        with self.lock:
            self.files[_name(path)] = octets
        return True

    def roll_back(self) -> None:
        assert self.revert is not None  # noqa: S101  (whoever calls looked)
        self.running, self.revert = self.revert.before, None

    @property
    def name(self) -> str:
        return next((one.text.split()[1] for one in self.running.below if one.text.startswith("hostname ")), "Router")

    @property
    def has_archive(self) -> bool:
        archive = self.running.find("archive")
        return archive is not None and any(one.text.startswith("path ") for one in archive.below)

    def merge(self, text: str) -> list[str]:
        """Line by line; returns those that were refused."""
        refused: list[str] = []
        self._merge(self.running, TOP, parse(text), refused)
        return refused

    def differences(self, text: str) -> list[str]:
        """What of it would change what runs, each with what it stands below."""
        return _differences(self.running, TOP, parse(text), 0)

    def _merge(self, above: Line, view: str, given: Line, refused: list[str]) -> None:
        for one in given.below:
            taken = self.enter(above, view, one.text)
            if taken is None:
                refused.append(one.text)
            elif isinstance(taken, Line) and one.below:
                rule_found = find_rule(GRAMMAR, view, one.text)
                assert rule_found is not None  # noqa: S101  (it was entered)
                self._merge(taken, rule_found.view or "", one, refused)

    def enter(self, above: Line, view: str, words: str) -> Line | bool | None:
        """The line, or True where there is none of it; None: it is refused."""
        found = find_rule(GRAMMAR, view, words)
        if found is not None:
            return enter(above, self.seal(words), found)
        if not words.startswith("no "):
            return None
        take_away(above, words[3:])
        return True

    def hash_of(self, user: str) -> str | None:
        found = filter(None, (_KEPT_USERNAME.fullmatch(one.text) for one in self.running.below))
        return next((one[3] for one in found if one[1] == user), None)

    def seal(self, words: str) -> str:
        """Type 7 where `service password-encryption` is on, users' secrets always: shown otherwise than entered."""
        user = _USERNAME.fullmatch(words)
        if user is not None:
            return f"username {user[1]}{user[2] or ''} secret 9 {hashed(user[3], f'$9${next(self._salts)}$')}"
        found = _KEY.fullmatch(words)
        if found is None:
            return words
        if self.running.find("service password-encryption") is None:
            return f"{found[1]}{found[3]}"
        return f"{found[1]}7 08{hashlib.sha256(found[3].encode()).hexdigest()[:20].upper()}"


def cisco_box(
    users: Mapping[str, str], clock: Callable[[], float], configuration: str = FACTORY, sessions: int = 0
) -> CiscoBox:
    """`users`: who may log in with which password; of its configuration's own nobody knows the passwords."""
    box = CiscoBox(parse(configuration), clock, sessions)
    for user, password in users.items():
        take_away(box.running, f"username {user}")
        box.running.below.append(Line(box.seal(f"username {user} privilege 15 secret {password}")))
    box.startup = box.running.copy()
    return box


def _differences(above: Line | None, view: str, given: Line, depth: int) -> list[str]:
    found: list[str] = []
    for one in given.below:
        indent = " " * depth
        if one.text.startswith("no ") and find_rule(GRAMMAR, view, one.text) is None:
            if above is not None and any(f"{old.text} ".startswith(f"{one.text[3:]} ") for old in above.below):
                found.append(f"{indent}{one.text}")
            continue
        old = above.find(one.text) if above is not None else None
        taken = find_rule(GRAMMAR, view, one.text)
        below = _differences(old, (taken.view or "") if taken else "", one, depth + 1)
        if old is None or below:
            found += [f"{indent}{one.text}", *below]
    return found


@dataclass
class _Cisco(Dialogue):
    box: CiscoBox
    configuring: bool = False
    path: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)

    @property
    def prompt(self) -> str:
        if not self.configuring:
            return f"{self.box.name}#"
        return f"{self.box.name}(config{'-' if self.views else ''}{self.views[-1] if self.views else ''})#"

    def do(self, command: str) -> str:
        if not command or command.startswith("!"):
            return ""
        return self._configure(command) if self.configuring else self._exec(command)

    def _configure(self, command: str) -> str:
        if command == "end":
            self.configuring, self.path, self.views = False, [], []
            return ""
        if command == "exit":
            if self.path:
                self.path.pop()
                self.views.pop()
            else:
                self.configuring = False
            return ""
        for view, path in ((self.views[-1], list(self.path)) if self.views else (TOP, []), (TOP, [])):
            above = self.box.running.at(path)
            if above is None:
                continue
            entered = self.box.enter(above, view, command)
            if entered is not None:
                self.box.change_by(self.user)
                self._go(view, path, command, entered)
                return ""
        return INVALID

    def _go(self, view: str, path: list[str], command: str, entered: Line | bool) -> None:
        """A line of the view above ends the view that was open."""
        taken = find_rule(GRAMMAR, view, command)
        below = view != TOP
        self.path, self.views = path, [*self.views[: len(path)]] if below else []
        if taken is not None and taken.view and isinstance(entered, Line):
            self.path.append(entered.text)
            self.views.append(taken.view)

    def _exec(self, command: str) -> str:
        name, _, rest = command.partition(" ")
        known = {
            "terminal": self._nothing, "enable": self._nothing, "write": self._write, "show": self._show,
            "dir": self._dir, "verify": self._verify, "more": self._more, "copy": self._copy,
            "configure": self._begin_configuring,
        }.get(name)  # fmt: skip
        return known(rest) if known is not None else INVALID

    def _nothing(self, _: str) -> str:
        return ""

    def _write(self, _: str) -> str:
        self.box.startup = self.box.running.copy()
        return "Building configuration...\n[OK]"

    def _begin_configuring(self, rest: str) -> str:
        if rest == "confirm":
            if self.box.revert is None:
                return NOTHING_PENDING
            self.box.revert = None
            return ""
        if rest == "revert now":
            if self.box.revert is None:
                return NOTHING_PENDING
            self.box.roll_back()
            return "Rollback Done"
        replace = re.fullmatch(r"replace (\S+) force", rest)
        if replace:
            return self._replace(replace[1])
        timer = re.fullmatch(r"terminal revert timer (\d+)", rest)
        if timer:
            refused = self._arm(int(timer[1]))
            if refused:
                return refused
        elif rest != "terminal":
            return INVALID
        self.configuring = True
        said = "Enter configuration commands, one per line.  End with CNTL/Z."
        return (
            f"Rollback Confirmed Change: Backing up current running config to flash:archive\n{said}" if timer else said
        )

    def _arm(self, minutes: int) -> str:
        if not self.box.has_archive:
            return NO_ARCHIVE
        if not 1 <= minutes <= MINUTES_MAX:
            return INVALID
        if self.box.revert is not None:
            return "%Rollback Confirmed Change is pending already"
        until = self.box.clock() + 60 * minutes
        self.box.revert = Revert(self.box.running.copy(), until, minutes, self.user)
        return ""

    def _replace(self, path: str) -> str:
        octets = self.box.files.get(_name(path))
        if octets is None:
            return f"%Error opening {path} (No such file or directory)"
        self.box.running = parse(octets.decode())
        self.box.change_by(self.user)
        return "Total number of passes: 1\nRollback Done"

    def _copy(self, rest: str) -> str:
        source, _, target = rest.partition(" ")
        if target == "running-config":
            return self._merge(source)
        if source == "running-config":
            self.box.files[_name(target)] = show(self.box.running, "!").encode()
        elif source == "null:":
            self.box.files[_name(target)] = b""
        else:
            return INVALID
        return f"{len(self.box.files[_name(target)])} bytes copied in 0.100 secs (1000 bytes/sec)"

    def _merge(self, path: str) -> str:
        octets = self.box.files.get(_name(path))
        if octets is None:
            return f"%Error opening {path} (No such file or directory)"
        refused = self.box.merge(octets.decode())
        self.box.change_by(self.user)
        said = "".join(f"{line}\n{INVALID}" for line in refused)
        return f"{said}{len(octets)} bytes copied in 0.300 secs (1000 bytes/sec)"

    def _dir(self, rest: str) -> str:
        files = self.box.files
        name = _name(rest)
        if name and name not in files:
            return f"%Error opening {rest} (No such file or directory)"
        listed = {name: files[name]} if name else files
        lines = [
            f"   {number}  {_LISTED}{len(octets):>12}  Nov 27 2026 12:00:00 +00:00  {one}"
            for number, (one, octets) in enumerate(listed.items(), 10)
        ]
        return "\n".join([f"Directory of {rest or 'flash:/'}", "", *lines, "",
                          "7451738112 bytes total (6442450944 bytes free)"])  # fmt: skip

    def _verify(self, rest: str) -> str:
        path = rest.rsplit(maxsplit=1)[-1]
        octets = self.box.files.get(_name(path))
        if octets is None:
            return f"%Error opening {path} (No such file or directory)"
        return f".Done!\nverify /md5 ({path}) = {hashlib.md5(octets, usedforsecurity=False).hexdigest()}"

    def _more(self, path: str) -> str:
        octets = self.box.files.get(_name(path))
        return f"%Error opening {path}" if octets is None else octets.decode()

    def _show(self, rest: str) -> str:
        shown, _, wanted = rest.partition(" | inc")
        text = self._shown(shown.strip())
        if not wanted:
            return text
        words = wanted.removeprefix("lude").strip()
        return "\n".join(line for line in text.splitlines() if words in line)

    def _shown(self, what: str) -> str:
        increments = re.fullmatch(r"archive config incremental-diffs (\S+)( ignorecase)?", what)
        if increments:
            return self._increments(increments[1])
        known: dict[str, Callable[[], str]] = {
            "version": self._version, "hosts": lambda: "Default domain is example.net", "archive": self._archive,
            "running-config": self._running_config,
            "startup-config": lambda: f"{show(self.box.startup, '!')}\nend",
            "ip interface brief": self._interfaces, "archive config rollback timer": self._timer,
            "pppoe summary": self._pppoe,
        }  # fmt: skip
        found = known.get(what)
        return found() if found else INVALID

    def _running_config(self) -> str:
        changed = self.box.changed
        when = "" if changed is None else changed.written("%H:%M:%S UTC %a %b %-d %Y")
        said = "" if changed is None else f"! Last configuration change at {when} by {changed.user}\n"
        return f"Building configuration...\n\n{said}{show(self.box.running, '!')}\nend"

    def _increments(self, path: str) -> str:
        octets = self.box.files.get(_name(path))
        if octets is None:
            return f"%Error opening {path} (No such file or directory)"
        lines = self.box.differences(octets.decode())
        return (
            "\n".join(["!List of Commands:", *lines, "end"])
            if lines
            else "!List of Commands:\nend\n!No changes were found"
        )

    def _archive(self) -> str:
        if not self.box.has_archive:
            return "Archive feature not enabled"
        return "The maximum archive configurations allowed is 10.\nThere are currently 0 archive configurations saved."

    def _timer(self) -> str:
        revert = self.box.revert
        if revert is None:
            return NOTHING_PENDING
        return (
            "Time configured(or reconfigured): 12:00:00 UTC Fri Nov 27 2026\nTimer type: absolute timer\n"
            f"Timer value: {revert.minutes} min\nUser: {revert.user}"
        )

    def _interfaces(self) -> str:
        names = [one.text.split()[1] for one in self.box.running.below if one.text.startswith("interface ")]
        return "\n".join(
            [
                "Interface              IP-Address      OK? Method Status                Protocol",
                *(f"{name:<22} unassigned      YES unset  up                    up" for name in names),
            ]
        )

    def _pppoe(self) -> str:
        return (
            "     PTA  : Locally terminated sessions\n     FWDED: Forwarded sessions\n"
            "     TRANS: All other sessions (in transient state)\n\n"
            "                                TOTAL     PTA   FWDED   TRANS\n"
            f"TOTAL                       {self.box.sessions:>9}{self.box.sessions:>8}       0       0"
        )

    def _version(self) -> str:
        box = self.box
        return (
            f"Cisco IOS XE Software, Version {box.release}\n"
            "Cisco IOS Software [Cupertino], ASR1000 Software (X86_64_LINUX_IOSD-UNIVERSALK9-M), "
            f"Version {box.release}, RELEASE SOFTWARE (fc3)\n\n"
            f"{box.name} uptime is 2 weeks, 1 day, 3 hours, 12 minutes\n"
            'System image file is "bootflash:packages.conf"\n\n'
            f"cisco {box.model} (2RU-X) processor (revision 2KP) with 3753662K/6147K bytes of memory.\n"
            f"Processor board ID {box.serial}"
        )


def _name(path: str) -> str:
    return path.partition(":")[2].lstrip("/") if ":" in path else path

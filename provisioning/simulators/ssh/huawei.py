"""Huawei VRP8 in two-phase mode, as a NetEngine's command line has it.

Each session edits a candidate of its own. `commit` makes it what runs; `commit trial SECONDS [persist ID]` does so
until the time is over, unless it is committed once more: with `persist` from any session, else from the one of it.
While a trial runs nobody can change the configuration. (Command reference of NetEngine 8000: commit, abort trial,
display configuration candidate, display configuration trial status, clear configuration candidate. That a trial without
`persist` outlives a lost session, and can then neither be confirmed nor aborted, is what operators report of
CloudEngines.) Words of refusals are our choice where those pages have none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from provisioning.simulators.ssh.box import Box, Dialogue, hashed
from provisioning.simulators.ssh.configuration import Line, compare, parse, show
from provisioning.simulators.ssh.grammar import TOP, Grammar, enter, find_rule, rule, take_away

TRIAL_SECONDS: Final = 600
TRIAL_SECONDS_MIN: Final = 60
TRIAL_SECONDS_MAX: Final = 65_535
UNRECOGNIZED: Final = "                   ^\nError: Unrecognized command found at '^' position."
IN_TRIAL: Final = "Error: The system is in trial configuration mode."
RELEASE: Final = "8.210 (NetEngine 8000 V800R021C10SPC600)"

_NAME: Final = r"[\w.@:+/-]{1,64}"
_ADDRESS: Final = r"[0-9a-fA-F:.]{2,45}"
_TEXT: Final = r".{1,242}"
GRAMMAR: Final[Grammar] = {
    TOP: [
        rule(rf"sysname {_NAME}", single=1),
        rule(r"(stelnet|sftp|scp)( ipv4| ipv6)? server enable"),
        rule(rf"radius-server group {_NAME}", "radius"),
        rule(rf"radius-server authorization {_ADDRESS}( destination-port \d+)?( server-group {_NAME})?"
             rf" shared-key-cipher \S+( server-group {_NAME})?", single=3),
        rule(rf"radius-server source interface {_NAME}", single=3),
        rule(rf"ip pool {_NAME} bas (local|remote)", "ip-pool"),
        rule(rf"ipv6 prefix {_NAME} (local|delegation)", "ipv6-prefix"),
        rule(rf"ipv6 pool {_NAME} bas (local|delegation)", "ipv6-pool"),
        rule(rf"user-group {_NAME}"),
        rule(r"acl number [6-9]\d{3}", "acl"),
        rule(r"acl ipv6 number [6-9]\d{3}", "acl6"),
        rule(rf"traffic classifier {_NAME} operator (or|and)", "classifier"),
        rule(rf"traffic behavior {_NAME}", "behavior"),
        rule(rf"traffic policy {_NAME}", "policy"),
        rule(rf"traffic-policy {_NAME} (inbound|outbound)"),
        rule(rf"qos-profile {_NAME}", "qos-profile"),
        rule(r"aaa", "aaa"),
        rule(rf"interface {_NAME}", "interface"),
        rule(r"value-added-service enable"),
        rule(rf"snmp-agent {_TEXT}"),
        rule(rf"info-center {_TEXT}"),
    ],
    "radius": [
        rule(r"radius-server (shared-key|shared-key-cipher) \S+", single=2),
        rule(rf"radius-server authentication {_ADDRESS} \d+ weight \d+", single=3),
        rule(rf"radius-server accounting {_ADDRESS} \d+ weight \d+", single=3),
        rule(r"radius-server type (standard|plus11|portal)", single=2),
        rule(r"radius-server traffic-unit (byte|kbyte|mbyte|gbyte)", single=2),
        rule(r"radius-server retransmit \d+ timeout \d+", single=2),
        rule(rf"radius-server source interface {_NAME}", single=3),
        rule(r"radius-attribute case-sensitive qos-profile-name"),
    ],
    "ip-pool": [
        rule(rf"gateway {_ADDRESS} {_ADDRESS}", single=1),
        rule(rf"section \d+ {_ADDRESS}( {_ADDRESS})?", single=2),
        rule(rf"dns-server( {_ADDRESS})+", single=1),
        rule(rf"vpn-instance {_NAME}", single=1),
    ],
    "ipv6-prefix": [rule(rf"prefix {_ADDRESS}/\d+( delegating-prefix-length \d+)?", single=1)],
    "ipv6-pool": [rule(rf"prefix {_NAME}"), rule(rf"dns-server( {_ADDRESS})+", single=1)],
    "acl": [rule(rf"rule \d+ (permit|deny) {_TEXT}", single=2), rule(rf"description {_TEXT}", single=1)],
    "acl6": [rule(rf"rule \d+ (permit|deny) {_TEXT}", single=2), rule(rf"description {_TEXT}", single=1)],
    "classifier": [rule(r"if-match acl \d+"), rule(r"if-match ipv6 acl \d+")],
    "behavior": [rule(r"(deny|permit)", single=1), rule(r"http-redirect( plus)?", single=1)],
    "policy": [rule(r"share-mode"), rule(rf"classifier {_NAME} behavior {_NAME}( precedence \d+)?", single=2)],
    "qos-profile": [
        rule(r"car cir \d+( pir \d+)?( cbs \d+)?( pbs \d+)?( green pass)?( yellow pass)?( red discard)? inbound"),
        rule(r"car cir \d+( pir \d+)?( cbs \d+)?( pbs \d+)?( green pass)?( yellow pass)?( red discard)? outbound"),
    ],
    "aaa": [
        rule(rf"authentication-scheme {_NAME}", "authentication"),
        rule(rf"accounting-scheme {_NAME}", "accounting"),
        rule(rf"domain {_NAME}", "domain"),
        rule(rf"local-user {_NAME} password (irreversible-cipher|cipher) \S+", single=3),
        rule(rf"local-user {_NAME} {_TEXT}"),
    ],
    "authentication": [rule(r"authentication-mode (radius|local|none)( local)?", single=1)],
    "accounting": [
        rule(r"accounting-mode (radius|none)", single=1),
        rule(r"accounting interim interval \d+( second)?", single=3),
    ],
    "domain": [
        rule(rf"authentication-scheme {_NAME}", single=1),
        rule(rf"accounting-scheme {_NAME}", single=1),
        rule(rf"radius-server group {_NAME}", single=2),
        rule(rf"ip-pool {_NAME}"),
        rule(rf"ipv6-pool {_NAME}"),
        rule(rf"user-group {_NAME}", single=1),
        rule(rf"qos-profile {_NAME} (inbound|outbound)"),
        rule(rf"(dns|web-server) {_TEXT}"),
    ],
    "interface": [
        rule(rf"description {_TEXT}", single=1),
        rule(rf"ip address {_ADDRESS} {_ADDRESS}", single=2),
        rule(r"(undo )?shutdown"),
        rule(r"ppp authentication-mode (auto|pap|chap|pap chap)", single=2),
        rule(r"user-vlan \d+( \d+)?( qinq \d+( \d+)?)?", "user-vlan"),
        rule(r"pppoe-server bind Virtual-Template ?\d+", single=2),
        rule(r"(mtu|ppp mru) \d+", single=1),
        rule(r"ipv6 enable"),
        rule(r"ipv6 address auto link-local"),
        rule(r"bas", "bas"),
    ],
    "user-vlan": [],
    "bas": [
        rule(rf"access-type layer2-subscriber default-domain authentication {_NAME}", single=1),
        rule(r"authentication-method (ppp|bind|web|ppp web)", single=1),
        rule(r"authentication-method-ipv6 (ppp|bind|web)", single=1),
        rule(r"(ip|arp|ipv6|nd)-trigger"),
    ],
}  # fmt: skip

#: In the candidate: what names what. The name is to be there when it is entered.
_REFERENCES: Final = [
    (re.compile(rf"radius-server group ({_NAME})"), "domain", "radius-server group {}", "RADIUS server group"),
    (re.compile(rf"authentication-scheme ({_NAME})"), "domain", "authentication-scheme {}", "authentication scheme"),
    (re.compile(rf"accounting-scheme ({_NAME})"), "domain", "accounting-scheme {}", "accounting scheme"),
    (re.compile(rf"ip-pool ({_NAME})"), "domain", "ip pool {} bas local", "IP pool"),
    (re.compile(rf"qos-profile ({_NAME}) \w+"), "domain", "qos-profile {}", "QoS profile"),
    (re.compile(rf"user-group ({_NAME})"), "domain", "user-group {}", "user group"),
    (re.compile(r"if-match acl (\d+)"), "classifier", "acl number {}", "ACL"),
    (re.compile(rf"access-type .* authentication ({_NAME})"), "bas", "domain {}", "domain"),
]

#: A NetEngine as it comes to its first BRAS: with management, and nothing of ours.
FACTORY: Final = """
sysname HUAWEI
stelnet server enable
aaa
 authentication-scheme default0
 accounting-scheme default0
 domain default0
interface GigabitEthernet0/0/0
 description management
 ip address 192.0.2.2 255.255.255.0
interface GigabitEthernet0/1/0
 undo shutdown
interface LoopBack0
 ip address 192.0.2.1 255.255.255.255
"""
_SECRET: Final = re.compile(r"(.*shared-key(?:-cipher)? )(\S+)(.*)")
_PASSWORD: Final = re.compile(r"(local-user (\S+) password irreversible-cipher )(\S+)")


@dataclass
class Trial:
    before: Line
    until: float
    persist: str | None
    session: int


@dataclass
class HuaweiBox(Box):
    saved: Line = field(default_factory=lambda: Line(""))
    trial: Trial | None = None
    #: Commits so far: a candidate of an older one is in conflict.
    version: int = 0
    #: What it says of itself.
    model: str = "NetEngine 8000 F1A"
    serial: str = "2102352SIM0001"
    _session_ids: count[int] = field(default_factory=lambda: count(1), repr=False)
    _salts: count[int] = field(default_factory=lambda: count(1), repr=False)

    def lets_in(self) -> bool:
        return self.running.find("stelnet server enable") is not None

    def tick(self) -> None:
        if self.trial is not None and self.clock() >= self.trial.until:
            self.roll_back()

    def begin(self, user: str) -> Dialogue:
        return _Huawei(self, user, number=next(self._session_ids))

    def roll_back(self) -> None:
        """The trial is over, and nothing of it stays."""
        assert self.trial is not None  # noqa: S101  (whoever calls looked)
        self.running, self.trial, self.version = self.trial.before, None, self.version + 1

    def seal(self, words: str) -> str:
        """As it is kept and shown: ciphered anew each time that it is entered."""
        password = _PASSWORD.fullmatch(words)
        if password is not None and not password[3].startswith("$1d$"):
            return f"{password[1]}{hashed(password[3], f'$1d${next(self._salts)}$')}"
        found = _SECRET.fullmatch(words)
        if found is None or found[2].startswith("%^%#"):
            return words
        cipher = hashlib.sha256(f"{next(self._salts)}:{found[2]}".encode()).hexdigest()[:40]
        return f"{found[1]}%^%#{cipher}%^%#{found[3]}"

    def hash_of(self, user: str) -> str | None:
        """User names know no capitals."""
        aaa = self.running.find("aaa") or Line("")
        found = filter(None, (_PASSWORD.fullmatch(one.text) for one in aaa.below))
        return next((one[3] for one in found if one[2].lower() == user.lower()), None)

    @property
    def name(self) -> str:
        return next((one.text.split()[1] for one in self.running.below if one.text.startswith("sysname ")), "HUAWEI")


def huawei_box(
    users: Mapping[str, str], clock: Callable[[], float], configuration: str = FACTORY, sessions: int = 0
) -> HuaweiBox:
    """`users`: who may log in with which password; of its configuration's own nobody knows the passwords."""
    box = HuaweiBox(parse(configuration), clock, sessions)
    aaa = box.running.find("aaa")
    if aaa is None:
        aaa = enter(box.running, "aaa", rule("aaa"))
    for user, password in users.items():
        take_away(aaa, f"local-user {user}")
        lines = (box.seal(f"local-user {user} password irreversible-cipher {password}"),
                 f"local-user {user} service-type ssh", f"local-user {user} privilege level 3")  # fmt: skip
        aaa.below += map(Line, lines)
    return box


@dataclass
class _Huawei(Dialogue):
    box: HuaweiBox
    number: int = 0
    in_system_view: bool = False
    #: What is edited, or None while that is what runs; and the commit that it began from.
    candidate: Line | None = None
    base: int = 0
    began: Line = field(default_factory=lambda: Line(""))
    #: Where, as lines and as views.
    path: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    _then: Callable[[], str] | None = None

    @property
    def prompt(self) -> str:
        if self.asking is not None:
            return self.asking
        if not self.in_system_view:
            return f"<{self.box.name}>"
        mark = "~" if self.candidate is None else "*"
        where = "".join(f"-{text.replace(' ', '-')}" for text in self.path)
        return f"[{mark}{self.box.name}{where}]"

    def do(self, command: str) -> str:
        if self.asking is not None:
            return self._hear(command)
        if not command or command.startswith("#"):
            return ""
        return self._system_view(command) if self.in_system_view else self._user_view(command)

    def _user_view(self, command: str) -> str:
        if command == "system-view":
            self.in_system_view, self.candidate = True, None
            return "Enter system view, return user view with return command."
        if command == "save":
            return self._ask("Warning: The current configuration will be written to the device. Continue? [Y/N]:",
                             self._save)  # fmt: skip
        return self._display(command)

    def _system_view(self, command: str) -> str:
        known = {
            "quit": self._quit, "return": self._return, "commit": self._confirm_own,
            "clear configuration candidate": self._clear,
            "display configuration candidate changes": self._changes,
            "refresh configuration candidate": self._refresh,
        }  # fmt: skip
        if command in known:
            return known[command]()
        if command.startswith("commit "):
            return self._commit(command.split()[1:])
        if command.startswith("abort trial"):
            return self._abort(command.split()[2:])
        if command.startswith("display "):
            return self._display(command)
        return self._enter(command)

    def _enter(self, command: str) -> str:
        negated, words = (True, command[5:]) if command.startswith("undo ") else (False, command)
        view = self.views[-1] if self.views else TOP
        rule_found = find_rule(GRAMMAR, view, command) or find_rule(GRAMMAR, view, words)
        if rule_found is None and not (negated and self._root.at(self.path)):
            return UNRECOGNIZED
        if rule_found is not None and rule_found.view and not negated and self._root.at([*self.path, command]):
            return self._open(command, rule_found.view)  # that changes nothing
        if self.box.trial is not None:
            return IN_TRIAL
        root = self._edited()
        above = root.at(self.path)
        assert above is not None  # noqa: S101  (it was entered)
        if negated and find_rule(GRAMMAR, view, command) is None:
            return self._undo(root, above, words)
        missing = self._missing(root, view, words)
        if missing is not None:
            return missing
        assert rule_found is not None  # noqa: S101  (looked above)
        enter(above, self.box.seal(command), rule_found)
        return self._open(command, rule_found.view) if rule_found.view else ""

    def _undo(self, root: Line, above: Line, words: str) -> str:
        named = words.rsplit(maxsplit=1)[-1]
        for pattern, _, form, kind in _REFERENCES:
            if words == form.format(named) and any(
                (found := pattern.fullmatch(line.text)) and found[1] == named for _, line in root.walk()
            ):
                return f"Error: The {kind} {named} is in use."
        return "" if take_away(above, words) else UNRECOGNIZED

    def _missing(self, root: Line, view: str, words: str) -> str | None:
        """What a line names is to be there, in just these letters."""
        for pattern, where, form, kind in _REFERENCES:
            found = pattern.fullmatch(words)
            if found and where == view and not any(line.text == form.format(found[1]) for _, line in root.walk()):
                return f"Error: The {kind} {found[1]} does not exist."
        return None

    def _open(self, line: str, view: str) -> str:
        self.path.append(line)
        self.views.append(view)
        return ""

    @property
    def _root(self) -> Line:
        return self.box.running if self.candidate is None else self.candidate

    def _edited(self) -> Line:
        if self.candidate is None:
            self.candidate, self.base, self.began = self.box.running.copy(), self.box.version, self.box.running.copy()
        return self.candidate

    def _refresh(self) -> str:
        """What was edited, on what runs now."""
        if self.candidate is None:
            return ""
        edited = compare(self.began, self.candidate)
        self.candidate, self.base, self.began = self.box.running.copy(), self.box.version, self.box.running.copy()
        path: list[str] = []
        for change in edited:
            path[change.depth :] = [change.text]
            above = self.candidate.at(path[:-1])
            if above is None:
                continue
            if change.sign == "-":
                above.below = [one for one in above.below if one.text != change.text]
            elif change.sign == "+" and above.find(change.text) is None:
                above.below.append(Line(change.text))
        return ""

    def _changes(self) -> str:
        if self.candidate is not None and self.base != self.box.version:
            return (
                "Warning: The current running configurations are changed. Run the refresh configuration candidate "
                "command first."
            )
        found = compare(self.box.running, self._root)
        if not found:
            return ""
        lines = ["Building configuration", "  #"]
        for change in found:
            if change.depth == 0 and len(lines) > 2:
                lines.append("  #")
            lines.append(f"{change.sign} {' ' * change.depth}{change.text}")
        return "\n".join([*lines, "  #"])

    def _commit(self, words: list[str]) -> str:
        if words[:1] == ["persist"] and len(words) == 2:
            return self._confirm(words[1])
        if words[:1] != ["trial"]:
            return UNRECOGNIZED
        rest, seconds, persist = words[1:], TRIAL_SECONDS, None
        if rest and rest[0].isdecimal():
            seconds, rest = int(rest[0]), rest[1:]
        if rest[:1] == ["persist"] and len(rest) == 2:
            persist, rest = rest[1], []
        if rest or not TRIAL_SECONDS_MIN <= seconds <= TRIAL_SECONDS_MAX:
            return "                   ^\nError: Wrong parameter found at '^' position."
        if self.box.trial is not None:
            return IN_TRIAL
        before = self.box.running.copy()
        refused = self._take_effect()
        if refused:
            return refused
        self.box.trial = Trial(before, self.box.clock() + seconds, persist, self.number)
        return (
            "Info: The system enters the trial configuration mode.\nThe system will revert to previous configuration "
            f"if the trial configuration is not confirmed in {seconds} seconds."
        )

    def _confirm_own(self) -> str:
        trial = self.box.trial
        if trial is None:
            return self._take_effect()
        if trial.persist is not None or trial.session != self.number:
            return IN_TRIAL
        self.box.trial = None
        return ""

    def _confirm(self, persist: str) -> str:
        if self.box.trial is None or self.box.trial.persist != persist:
            return "Error: The persist ID does not exist."
        self.box.trial = None
        return ""

    def _take_effect(self) -> str:
        if self.candidate is None:
            return ""
        if self.base != self.box.version:
            return "Error: The running configuration was changed by another user: run refresh configuration candidate."
        self.box.running, self.candidate, self.box.version = self.candidate, None, self.box.version + 1
        self.box.change_by(self.user)
        return ""

    def _abort(self, words: list[str]) -> str:
        trial = self.box.trial
        own = trial is not None and trial.persist is None and trial.session == self.number and not words
        named = trial is not None and words == ["persist", trial.persist or ""]
        if not own and not named:
            return "Error: There is no such trial configuration."
        return self._ask("Warning: The trial configuration will be rolled back. Continue? [Y/N]:", self._roll_back)

    def _roll_back(self) -> str:
        if self.box.trial is not None:
            self.box.roll_back()
        return "Info: The trial configuration rollback succeeded."

    def _clear(self) -> str:
        self.candidate, self.path, self.views = None, [], []
        return ""

    def _quit(self) -> str:
        if self.path:
            self.path.pop()
            self.views.pop()
            return ""
        return self._return()

    def _return(self) -> str:
        if self.candidate is not None:
            return self._ask(
                "Warning: Uncommitted configurations found. Are you sure to commit them before exiting? "
                "[Y(yes)/N(no)/C(cancel)]:", self._take_effect,
            )  # fmt: skip
        self.in_system_view, self.path, self.views = False, [], []
        return ""

    def _save(self) -> str:
        self.box.saved = self.box.running.copy()
        return "Info: Save the configuration successfully."

    def _ask(self, question: str, then: Callable[[], str]) -> str:
        self.asking, self._then = question, then
        return ""

    def _hear(self, answer: str) -> str:
        leaving = self.asking is not None and "before exiting" in self.asking
        then, self.asking, self._then = self._then, None, None
        if answer.lower().startswith("c"):
            return ""
        said = then() if then is not None and answer.lower().startswith("y") else ""
        if leaving and not said:
            self.in_system_view, self.candidate, self.path, self.views = False, None, [], []
        return said

    def _display(self, command: str) -> str:
        shown: dict[str, Callable[[], str]] = {
            "screen-length 0 temporary": self._paging, "display version": self._version,
            "display device manufacture-info": self._manufacture,
            "display current-configuration": self._current_configuration,
            "display saved-configuration": lambda: f"{show(self.box.saved, '#')}\nreturn",
            "display configuration trial status": self._trial_status,
            "display access-user online-total-number": lambda: f" Total users  : {self.box.sessions}",
            "display cpu-usage": lambda: "System cpu use rate is : 7%",
            "display memory-usage": lambda: "System Total Memory Is: 8388608 Kbytes\n"
                                            "Total Memory Used Is: 2097152 Kbytes\nMemory Using Percentage Is: 25%",
        }  # fmt: skip
        asked, _, pattern = command.partition(" | include ")
        if asked not in shown:
            return UNRECOGNIZED
        said = shown[asked]()
        return "\n".join(line for line in said.splitlines() if _includes(line, pattern)) if pattern else said

    def _paging(self) -> str:
        return "Info: The configuration takes effect on the current user terminal interface only."

    def _version(self) -> str:
        return (
            "Huawei Versatile Routing Platform Software\n"
            f"VRP (R) software, Version {RELEASE}\n"
            "Copyright (C) 2012-2021 Huawei Technologies Co., Ltd.\n"
            f"HUAWEI {self.box.model} uptime is 12 days, 3 hours, 5 minutes"
        )

    def _current_configuration(self) -> str:
        changed = self.box.changed
        when = "" if changed is None else changed.written("%Y-%m-%d %H:%M:%S+00:00")
        said = "" if changed is None else f"!Last configuration was updated at {when} by {changed.user}\n"
        return f"!Software Version V800R021C10\n{said}{show(self.box.running, '#')}\nreturn"

    def _manufacture(self) -> str:
        return (
            "Slot  Card  Type       Serial-number            Manu-date\n"
            "------------------------------------------------------------\n"
            f"0     --    Chassis    {self.box.serial}           2021-05-04"
        )

    def _trial_status(self) -> str:
        trial = self.box.trial
        if trial is None:
            return "Trial status: INACTIVE \nTrial time left (sec): 0"
        persist = f"Persist id: {trial.persist}\n" if trial.persist else ""
        return f"Trial status: ACTIVE \n{persist}Trial time left (sec): {int(trial.until - self.box.clock())}"


def _includes(line: str, pattern: str) -> bool:
    """Of a box's regular expressions just this: at its beginning, or anywhere."""
    return line.startswith(pattern[1:]) if pattern.startswith("^") else pattern in line

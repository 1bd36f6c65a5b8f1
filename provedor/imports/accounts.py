"""What a FreeRADIUS database says of each login, judged: an account that can be ours, or why it cannot. Pure.

An account is imported whole or not at all. Whatever of it has no counterpart here is told, and so is every login that
the old server would find under more than one spelling, or let in with any password.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from core.access import HoldEffect
from core.errors import InvalidInput
from core.logins import check_login, check_password
from core.policy import ServiceTerms
from provedor.imports.lock_checks import locked_circuit, locked_mac
from provedor.imports.old_tables import OldTables
from provedor.imports.reply_terms import AttributeRow, Note, PlanValues, Replies, read_plan, read_service

_CLEAR: Final = frozenset({"cleartext-password", "user-password"})
_HASHED: Final = frozenset(
    {
        "crypt-password", "md5-password", "smd5-password", "sha-password", "ssha-password", "sha1-password",
        "ssha1-password", "sha2-password", "ssha2-password", "ssha256-password", "ssha512-password", "nt-password",
        "lm-password", "pbkdf2-password", "password-with-header", "nt-hash", "sha2-256-password",
    }
)  # fmt: skip
_CLEAR_HEADERS: Final = ("{clear}", "{cleartext}")
#: How a password is checked is the request's choice here.
_OF_COURSE: Final = frozenset({"auth-type", "expiration", "fall-through"})
_SESSION_LIMIT: Final = "simultaneous-use"
NO_GROUP: Final = "FreeRADIUS"


class Level(StrEnum):
    #: The row is not imported.
    REJECTED = "rejected"
    #: It is, and this of it is not.
    LEFT_OUT = "left_out"
    NOTE = "note"


class Finding(NamedTuple):
    """`what` is a kind of row ("login", "group", "nas", "session"), `key` which. A secret is never in it."""

    level: Level
    what: str
    key: str
    reason: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a login is spelled here, and how a NAS's spelling is brought to that: Nas.login_rules."""

    lowercase: bool = False
    strip_realm: bool = False

    def spell(self, login: str) -> str:
        if self.strip_realm:
            login = login.partition("@")[0]
        login = unicodedata.normalize("NFC", login.strip(" "))
        return login.lower() if self.lowercase else login


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str | None = None
    phone: str | None = None
    street: str = ""
    city: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    login: str
    password: str = field(repr=False)
    plan: str
    terms: ServiceTerms
    #: Why the old server refuses it, if it does.
    blocked: str
    person: Person
    #: What it is locked to, in canonical form (core.locks); None: nothing.
    mac_lock: tuple[str, ...] | None = None
    circuit_lock: tuple[str, ...] | None = None
    #: What being blocked does to it.
    effect: HoldEffect = HoldEffect.BLOCK
    #: Its spellings in the old database.
    users: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Judged:
    rules: Rules
    plans: Mapping[str, PlanValues]
    accounts: Sequence[Account]
    findings: Sequence[Finding]
    #: The account's login for every spelling in the old database.
    spellings: Mapping[str, str]


class _Terms(NamedTuple):
    """What replies say: a plan, if it has a rate, beside that of the groups alone, and what is the service's own."""

    plan: PlanValues | None
    base: PlanValues | None
    terms: ServiceTerms
    notes: Sequence[Note]


class _Refused(Exception):
    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


def judge(tables: OldTables, rules: Rules, rates: Mapping[str, tuple[int, int]], now: datetime) -> Judged:
    """`rates` (down, up) by group: what a person says of groups whose attributes do not tell."""
    return _Judge(tables, rules, rates, now).judge()


class _Judge:
    def __init__(self, tables: OldTables, rules: Rules, rates: Mapping[str, tuple[int, int]], now: datetime) -> None:
        self._tables = tables
        self._rules = rules
        self._rates = rates
        self._now = now
        self._plans = _PlanNames()
        self._findings: list[Finding] = []
        self._left_out: dict[tuple[str, Note], list[str]] = defaultdict(list)
        self._read: dict[tuple[tuple[str, ...], tuple[AttributeRow, ...], int | None], _Terms] = {}

    def judge(self) -> Judged:
        spelled: dict[str, list[str]] = defaultdict(list)
        for user in self._users():
            spelled[self._rules.spell(user)].append(user)
        accounts: list[Account] = []
        spellings: dict[str, str] = {}
        for login, users in spelled.items():
            account = self._login(login, users)
            if account is not None:
                accounts.append(account)
                spellings |= dict.fromkeys([*users, login], login)
        accounts = self._without_shared_addresses(accounts)
        kept = {account.login for account in accounts}
        self._tell_what_is_left_out()
        spellings = {user: login for user, login in spellings.items() if login in kept}
        used = {account.plan for account in accounts}
        plans = {name: terms for name, terms in self._plans.named.items() if name in used}
        return Judged(self._rules, plans, accounts, self._findings, spellings)

    def _users(self) -> list[str]:
        """In a stable order; who has nothing but groups or replies is a user too."""
        return list(dict.fromkeys([*self._tables.checks, *self._tables.replies, *self._tables.groups]))

    def _login(self, login: str, users: list[str]) -> Account | None:
        try:
            check_login(login)
            accounts = [self._account(login, one) for one in self._who_can_log_in(users)]
            _refuse_different(accounts, users)
        except (_Refused, InvalidInput) as error:
            reason, fix = (error.reason, error.fix) if isinstance(error, _Refused) else (error.detail, "change it")
            self._findings += [Finding(Level.REJECTED, "login", user, reason, fix) for user in users]
            return None
        if len(users) > 1:
            self._findings.append(Finding(Level.NOTE, "login", login, f"{len(users)} spellings of one account"))
        return accounts[0]

    def _who_can_log_in(self, users: list[str]) -> list[list[str]]:
        """Groups and replies that were left behind when a login was deleted or renamed stand in nobody's way."""
        spelled = self._as_the_old_server_finds_them(users)
        return [one for one in spelled if any(user in self._tables.checks for user in one)] or spelled

    def _as_the_old_server_finds_them(self, users: list[str]) -> list[list[str]]:
        """Those whose rows it takes together."""
        if not self._tables.case_insensitive:
            return [[user] for user in users]
        together: dict[str, list[str]] = defaultdict(list)
        for user in users:
            together[user.rstrip(" ").lower()].append(user)
        return list(together.values())

    def _account(self, login: str, users: list[str]) -> Account:
        checks = self._rows(self._tables.checks, users)
        groups = list(dict.fromkeys(group for user in users for group in self._tables.groups.get(user, ())))
        asked = self._asked_groups(groups)
        blocked = self._refusal(login, checks, asked)
        password = _password(checks)
        open_groups = [group for group in groups if self._auth_type(group) != "reject"]
        plan, terms = self._terms(login, users, self._asked_groups(open_groups))
        self._note_checks(login, checks)
        person = next((self._tables.people[user] for user in users if user in self._tables.people), {})
        mac_lock = tuple(dict.fromkeys(filter(None, map(locked_mac, checks)))) or None
        circuit_lock = tuple(dict.fromkeys(filter(None, map(locked_circuit, checks)))) or None
        return Account(
            login, password, plan, terms, blocked, _person(person, login), mac_lock, circuit_lock, users=tuple(users)
        )

    def _rows(self, table: Mapping[str, list[AttributeRow]], owners: Iterable[str]) -> list[AttributeRow]:
        return [row for owner in owners for row in table.get(owner, ())]

    def _asked_groups(self, groups: Sequence[str]) -> list[str]:
        """The first, and the next ones as long as Fall-Through says so."""
        asked: list[str] = []
        for group in groups:
            asked.append(group)
            rows = self._tables.group_replies.get(group, [])
            if not any(row.attribute.lower() == "fall-through" and row.value.lower() in {"yes", "1"} for row in rows):
                break
        return asked

    def _refusal(self, login: str, checks: Sequence[AttributeRow], groups: Sequence[str]) -> str:
        """Why the old server refuses the login. Raises _Refused where it lets anybody in."""
        types = [_auth_type(checks), *(self._auth_type(group) for group in groups)]
        if "accept" in types:
            raise _Refused(
                "is accepted with any password (Auth-Type := Accept)",
                "give it a password in the old database and import again, or create it here",
            )
        if "reject" in types:
            return "Auth-Type := Reject"
        return self._expired(login, checks)

    def _auth_type(self, group: str) -> str:
        return _auth_type(self._tables.group_checks.get(group, ()))

    def _expired(self, login: str, checks: Sequence[AttributeRow]) -> str:
        for row in checks:
            if row.attribute.lower() == "expiration":
                at = _date(row.value)
                if at is None or at > self._now:
                    self._leave_out("login", Note("Expiration", f"it would expire on {row.value}"), login)
                else:
                    return f"Expiration := {row.value}"
        return ""

    def _terms(self, login: str, users: Sequence[str], groups: Sequence[str]) -> tuple[str, ServiceTerms]:
        label = " + ".join(groups) or NO_GROUP
        limit = _session_limit(self._rows(self._tables.checks, users))
        key = (tuple(groups), tuple(self._rows(self._tables.replies, users)), limit)
        if key not in self._read:  # most have no replies of their own, and say what their group says
            self._read[key] = self._read_terms(label, *key)
        plan, base, terms, notes = self._read[key]
        for group in groups:
            self._note_group_checks(group)
        for note in notes:
            self._leave_out("login", note, login)
        if plan is None:
            raise _Refused(
                f"no rate is known of {label}: none of its attributes tells one",
                f"say it: --rate '{label}=DOWN/UP', such as 200M/100M",
            )
        return self._plans.name(label, base, plan), terms

    def _read_terms(
        self, label: str, groups: Sequence[str], replies: Sequence[AttributeRow], limit: int | None
    ) -> _Terms:
        own, of_group = Replies(), Replies()
        own.add(replies)
        for group in groups:
            own.add(self._tables.group_replies.get(group, ()))
            of_group.add(self._tables.group_replies.get(group, ()))
        rate = next((self._rates[group] for group in [label, *groups] if group in self._rates), None)
        plan, plan_notes = read_plan(own, rate)
        terms, notes = read_service(own)
        base, _ = read_plan(of_group, rate)
        of_groups = _session_limit(self._rows(self._tables.group_checks, groups))
        plan = plan and replace(plan, session_limit=limit or of_groups)
        base = base and replace(base, session_limit=of_groups)
        return _Terms(plan, base, terms, [*plan_notes, *notes])

    def _note_group_checks(self, group: str) -> None:
        for row in self._tables.group_checks.get(group, ()):
            if row.attribute.lower() not in _OF_COURSE and _session_limit([row]) is None:
                self._leave_out("group", Note(row.attribute, f"the check {row.op} {row.value!r} is not kept"), group)

    def _note_checks(self, login: str, checks: Sequence[AttributeRow]) -> None:
        for row in checks:
            name = row.attribute.lower()
            kept = _session_limit([row]) or locked_mac(row) or locked_circuit(row)
            if name not in _CLEAR | _HASHED | _OF_COURSE and not kept:
                self._leave_out("login", Note(row.attribute, "this check is not kept"), login)

    def _leave_out(self, what: str, note: Note, key: str) -> None:
        self._left_out[what, note].append(key)

    def _tell_what_is_left_out(self) -> None:
        """Once for all whom it concerns."""
        for (what, note), keys in self._left_out.items():
            distinct = list(dict.fromkeys(keys))
            more = f" and {len(distinct) - 1} more" if len(distinct) > 1 else ""
            self._findings.append(
                Finding(Level.LEFT_OUT, what, f"{distinct[0]}{more}", f"{note.attribute}: {note.why}")
            )

    def _without_shared_addresses(self, accounts: Sequence[Account]) -> list[Account]:
        owners: dict[str, list[str]] = defaultdict(list)
        for account in accounts:
            if account.terms.ipv4_address:
                owners[account.terms.ipv4_address].append(account.login)
        shared = {login: address for address, logins in owners.items() if len(logins) > 1 for login in logins}
        for login, address in shared.items():
            reason = f"has the address {address}, as have {', '.join(o for o in owners[address] if o != login)[:200]}"
            self._findings.append(Finding(Level.REJECTED, "login", login, reason, "give each an address of its own"))
        return [account for account in accounts if account.login not in shared]


class _PlanNames:
    """A plan is called as its group; one whose members differ from it by replies of their own gets a name beside."""

    def __init__(self) -> None:
        self.named: dict[str, PlanValues] = {}
        self._names: dict[tuple[str, PlanValues], str] = {}

    def name(self, label: str, base: PlanValues | None, terms: PlanValues) -> str:
        known = self._names.get((label, terms))
        if known is not None:
            return known
        name = label if terms == base else self._beside(label, base, terms)
        self.named[name] = terms
        self._names[label, terms] = name
        return name

    @staticmethod
    def _beside(label: str, base: PlanValues | None, terms: PlanValues) -> str:
        """From what it says alone, so that the next import calls it the same."""
        name = f"{label} {_rate(terms.down_kbps)}/{_rate(terms.up_kbps)}"
        if base is not None and replace(base, down_kbps=terms.down_kbps, up_kbps=terms.up_kbps) == terms:
            return name
        return f"{name} {blake2b(repr(terms).encode(), digest_size=2).hexdigest()}"


def _password(checks: Sequence[AttributeRow]) -> str:
    clear = list(dict.fromkeys(row.value for row in checks if row.attribute.strip().lower() in _CLEAR))
    for row in checks:
        if row.attribute.strip().lower() == "password-with-header":
            clear += [row.value[len(head) :] for head in _CLEAR_HEADERS if row.value.lower().startswith(head)]
    if len(clear) > 1:
        raise _Refused("has several passwords", "leave one of them in the old database")
    if clear:
        return check_password(clear[0])
    hashed = next((row.attribute for row in checks if row.attribute.strip().lower() in _HASHED), None)
    if hashed is not None:
        raise _Refused(
            f"has only a hash of its password ({hashed}), and CHAP needs the password itself",
            "leave its NAS in proxy mode, where the old server answers for it, or set a new password here",
        )
    raise _Refused("has no password", "give it one (Cleartext-Password)")


def _auth_type(rows: Iterable[AttributeRow]) -> str:
    """The last one said, as FreeRADIUS sets it."""
    said = [row.value.strip().lower() for row in rows if row.attribute.strip().lower() == "auth-type"]
    return said[-1] if said else ""


def _session_limit(rows: Iterable[AttributeRow]) -> int | None:
    said = [row.value.strip() for row in rows if row.attribute.strip().lower() == _SESSION_LIMIT]
    return int(said[-1]) if said and said[-1].isdecimal() and int(said[-1]) > 0 else None


def _date(text: str) -> datetime | None:
    """As FreeRADIUS writes it: `24 Nov 2026 12:00:00`, `November 24 2026` …"""
    for layout in ("%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%b %d %Y %H:%M:%S", "%b %d %Y", "%B %d %Y",
                   "%d %B %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"):  # fmt: skip
        try:
            return datetime.strptime(text.strip(), layout).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _refuse_different(accounts: Sequence[Account], users: Sequence[str]) -> None:
    if any(account != accounts[0] for account in accounts):
        raise _Refused(
            f"is also spelled {', '.join(repr(user) for user in users)}, with other values",
            "leave one of them in the old database, or give them different logins",
        )


def _person(values: Mapping[str, str], login: str) -> Person:
    name = " ".join(part for part in (values.get("firstname"), values.get("lastname")) if part)
    email, phone = values.get("email", ""), values.get("mobilephone") or values.get("homephone") or ""
    return Person(
        name or login,
        email if "@" in email else None,
        phone if any(character.isdigit() for character in phone) else None,
        values.get("address", ""),
        values.get("city", ""),
    )


def _rate(kbps: int) -> str:
    return f"{kbps // 1000}M" if kbps % 1000 == 0 else f"{kbps}k"

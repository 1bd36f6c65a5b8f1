"""Sessions that are up at one box follow their rows (see `live` for what is to be done with each)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from provisioning.local import live
from provisioning.local.done import Done
from provisioning.local.facts import BoxFacts
from provisioning.local.live import End, Enter, Leave, Session
from provisioning.local.models import LocalMode
from provisioning.local.rows import LISTS, QUEUES, Subscriber
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap

_ENTRY: Final = (".id", "dynamic", "list", "address", "comment")


@dataclass(frozen=True, slots=True)
class AtSessions:
    """`may_end`: whether one more session may end for a restriction now."""

    client: RouterOs
    box: BoxFacts
    may_end: Callable[[BoxFacts], bool]
    window_open: bool

    def follow_all(self, subscribers: Sequence[Subscriber], theirs: Collection[str], done: Done) -> None:
        """Every session that the router let in by secrets that are not `theirs`; and entries of ours whose session is
        gone go, too."""
        entries = self._entries()
        logins = {one.login: one for one in subscribers}
        leaving = self.box.mode is LocalMode.LEAVING  # sessions go on: nobody is kept here any more
        sessions = [] if leaving else list(self._sessions(entries, None))
        addresses = {one.address for one in sessions}
        for entry in entries:
            if live.is_ours(entry) and entry.get("address") not in addresses:
                self._call(f"{LISTS}/remove", {".id": entry[".id"]}, entry.get("address", ""), done)
        for session in sessions:
            if session.login not in theirs:
                self._act(session, logins.get(session.login), done)

    def follow(self, logins: Mapping[str, Subscriber | None], done: Done, *, whole: bool) -> None:
        entries = self._entries() if whole else None
        for session in self._sessions(entries, None if whole else logins):
            if session.login in logins:
                self._act(session, logins[session.login], done)

    def _sessions(self, entries: Sequence[Row] | None, logins: Collection[str] | None) -> Iterator[Session]:
        """Of these logins, or all. `entries`: of the walled garden; None: each session's are asked for."""
        queries = [f"name={login}" for login in logins] if logins is not None else [""]
        by_address: dict[str, list[Row]] = defaultdict(list)
        for entry in entries or ():
            by_address[entry.get("address", "")].append(entry)
        limits = self._limits() if logins is None else None
        for query in queries:
            rows = self.client.rows(live.ACTIVE, live.ACTIVE_PROPERTIES, *filter(None, [query]))
            for row in rows:
                if row.get("radius") == "true":
                    continue
                address, login = row.get("address", ""), row.get("name", "")
                own = by_address[address] if entries is not None else self._entries_of(address)
                limit = self._limit(login) if limits is None else limits.get(login)
                yield Session(row[".id"], login, address, tuple(own), limit)

    def _entries_of(self, address: str) -> list[Row]:
        return self._entries(f"address={address}")

    def _entries(self, *queries: str) -> list[Row]:
        """Of the walled garden's list."""
        return self.client.rows(LISTS, _ENTRY, f"list={self.box.base.garden_list}", *queries)

    def _limits(self) -> dict[str, str]:
        rows = self.client.rows(QUEUES, ("name", "max-limit"), "dynamic=true")
        return {
            row["name"].removeprefix("<pppoe-").removesuffix(">"): row.get("max-limit", "")
            for row in rows if row.get("name", "").startswith("<pppoe-")
        }  # fmt: skip

    def _limit(self, login: str) -> str | None:
        rows = self.client.rows(QUEUES, ("max-limit",), f"name=<pppoe-{login}>")
        return rows[0].get("max-limit") if rows else None

    def _act(self, session: Session, subscriber: Subscriber | None, done: Done) -> None:
        for action in live.decide(session, subscriber, self.box.base):
            if isinstance(action, Enter):
                entry = {"list": self.box.base.garden_list, "address": action.address, "comment": action.comment}
                self._call(f"{LISTS}/add", entry, session.login, done)
            elif isinstance(action, Leave):
                self._leave(action, done)
            else:
                self._end(action, done)

    def _leave(self, action: Leave, done: Done) -> None:
        """An entry that the login made is the router's; where it does not let us take it, he dials again."""
        try:
            self.client.call(f"{LISTS}/remove", {".id": action.entry[".id"]})
        except Trap as trap:
            if live.is_ours(action.entry):
                done.problems.append(f"{action.session.login}: {trap.message}")
            else:
                self._end(End(action.session, paced=False), done)

    def _end(self, action: End, done: Done) -> None:
        if action.waits and not self.window_open:
            return
        if action.paced and not self.may_end(self.box):
            done.waiting += 1
            return
        self._call(f"{live.ACTIVE}/remove", {".id": action.session.row_id}, action.session.login, done)

    def _call(self, command: str, arguments: Mapping[str, str], what: str, done: Done) -> None:
        try:
            self.client.call(command, arguments)
        except Trap as trap:
            done.problems.append(f"{what}: {trap.message}")

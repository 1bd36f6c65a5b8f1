"""At one box, over one connection: its rows are read, brought in step one by one, and sessions that are up follow.

A row that the router refuses is told as a problem, and the others go on. A secret that is not ours is the router's own,
and so is the session that it let in: neither is touched, whosever login it is here. What people wrote behind our mark
in a comment stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from provisioning.local.at_sessions import AtSessions
from provisioning.local.done import Done
from provisioning.local.facts import BoxFacts
from provisioning.local.models import LocalMode
from provisioning.local.profiles import FAMILY as PROFILE_FAMILY
from provisioning.local.profiles import MENU as PROFILES
from provisioning.local.rows import (
    FAMILY,
    LISTS,
    QUEUES,
    SCHEDULER,
    SECRETS,
    SENTINEL_LIST,
    WATCH_FAMILY,
    Subscriber,
    Way,
    rows_of,
    watch_rows,
)
from provisioning.routeros.change.applying import apply_step
from provisioning.routeros.client import RouterOs, Row
from provisioning.routeros.errors import Trap
from provisioning.routeros.planning import Add, Change, Desired, Plan, Remove, Step, Wanted, make_plan
from provisioning.routeros.planning.desired import Owned, mark_in, note_in
from provisioning.routeros.planning.matching import is_fixed, key_of
from provisioning.routeros.reading import read_rows, release_of
from provisioning.routeros.schema import MENUS, Release

#: From so many services on the menus are read whole, instead of each one's rows.
WHOLE_FROM: Final = 40
#: A look takes away no more of ours at once than these, or this share, without being told to.
REMOVED_MAX: Final = 50
REMOVED_SHARE: Final = 0.1
#: Menus whose rows become ours when a person says so (see provisioning.adopt.owning).
_ADOPTED: Final = (SECRETS, QUEUES)


@dataclass
class AtBox:
    """`may_end`: whether one more session may end for a restriction now. It connects when it first has to."""

    client: RouterOs
    box: BoxFacts
    may_end: Callable[[BoxFacts], bool]
    window_open: bool
    #: Rows that bear no mark and became ours by this connection.
    owned: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    def look(self, subscribers: Sequence[Subscriber], may_remove: bool) -> Done:
        """All of it. Raises RouterOsError; what was done until then is done."""
        done = Done()
        actual = self._read_all()
        done.in_use = _in_use(actual[LISTS])
        theirs = self._theirs(actual[SECRETS])
        subscribers = _without(subscribers, theirs, done)
        done.services = len(subscribers)
        leaving = self.box.mode is LocalMode.LEAVING
        wanted = [*rows_of(subscribers, self.box.base, self._way(done.in_use)), *self._watch()]
        families = frozenset({FAMILY, PROFILE_FAMILY, WATCH_FAMILY})
        plan = self._plan([] if leaving else wanted, actual, families)
        done.problems += [f"{one.menu} {one.what}: {one.detail}" for one in plan.problems]
        done.problems += _told(subscribers) + ([] if leaving else _hidden(actual[SECRETS]))
        steps = plan.steps if may_remove or leaving else _held_back(plan, actual[SECRETS], done)
        if leaving and self.box.keep_rows:
            steps = list(_given_back(steps, done))
        if not self.box.approved:
            done.to_do = _counted(steps)
            return done
        self._apply(steps, done)
        done.gone += [one for one in self.box.owned if one[0] in _ADOPTED]  # they say so themselves from now on
        self.sessions.follow_all(subscribers, theirs, done)
        return done

    def follow(self, service_ids: Sequence[int], subscribers: Sequence[Subscriber], had: Collection[int]) -> Done:
        """What changed of these services. `had`: those whose rows the box had. Raises RouterOsError."""
        done = Done()
        by_id = {one.service_id: one for one in subscribers}
        whole = len(service_ids) >= WHOLE_FROM
        in_use = self.box.mode is LocalMode.STANDBY and _in_use(self._list_rows(SENTINEL_LIST))
        rows = None if whole else self._read_of(service_ids, by_id, had)
        rows = self._read_all() if rows is None else rows
        actual = {menu: _of(rows[menu], service_ids, subscribers) for menu in (SECRETS, QUEUES)}
        actual[PROFILES] = rows[PROFILES]
        theirs = self._theirs(actual[SECRETS])
        subscribers = _without(subscribers, theirs, done)
        before: dict[str, Subscriber | None] = {row["name"]: None for row in actual[SECRETS] if _is_ours(row)}
        wanted = [*rows_of(subscribers, self.box.base, self._way(in_use))]
        plan = self._plan(wanted, actual, frozenset({FAMILY}))
        done.problems += [f"{one.menu} {one.what}: {one.detail}" for one in plan.problems] + _told(subscribers)
        self._apply(plan.steps, done)
        self.sessions.follow({**before, **{one.login: one for one in subscribers}}, done, whole=whole)
        return done

    @property
    def sessions(self) -> AtSessions:
        return AtSessions(self.client, self.box, self.may_end, self.window_open)

    @cached_property
    def release(self) -> Release:
        return release_of(self.client)

    # Rows

    def _way(self, in_use: bool) -> Way:
        return Way(self.box.mode, in_use)

    def _watch(self) -> tuple[Wanted, ...]:
        return watch_rows(self.box.servers, self.box.watch_seconds) if self.box.mode is LocalMode.STANDBY else ()

    def _plan(self, wanted: Sequence[Wanted], actual: Mapping[str, Sequence[Row]], families: frozenset[str]) -> Plan:
        menus, owned = frozenset(actual), {**self.box.owned, **self.owned}
        notes = {(menu, mark): note for menu in _ADOPTED for mark, note in _notes(menu, actual[menu], owned)}
        noted = tuple(replace(one, note=notes.get((one.menu, one.mark or ""), one.note)) for one in wanted)
        return make_plan(Desired(noted, (), families, menus), actual, self.release, owned)

    def _theirs(self, secrets: Iterable[Row]) -> set[str]:
        """Logins whose secret is not ours."""
        rows = (row for row in secrets if not is_fixed(row) and not _is_ours(row))
        return {row["name"] for row in rows if (SECRETS, key_of(MENUS[SECRETS], row)) not in self.box.owned}

    def _read_all(self) -> dict[str, list[Row]]:
        rows = read_rows(self.client, (SECRETS, PROFILES, QUEUES, SCHEDULER), self.release)
        return {**rows, LISTS: self._list_rows(SENTINEL_LIST)}

    def _list_rows(self, name: str) -> list[Row]:
        return self._rows(LISTS, f"list={name}")

    def _rows(self, menu: str, *queries: str) -> list[Row]:
        return self.client.rows(menu, (".id", "dynamic", *MENUS[menu].known_to(self.release)), *queries)

    def _read_of(
        self, service_ids: Sequence[int], by_id: Mapping[int, Subscriber], had: Collection[int]
    ) -> dict[str, list[Row]] | None:  # fmt: skip
        """By name first, which routers find at once; by the mark where that is not the row. None where one that was
        there is not found so: it has another name, and words of somebody's behind its mark."""
        found: dict[str, dict[str, Row]] = {SECRETS: {}, QUEUES: {}}
        for service_id in service_ids:
            one = by_id.get(service_id)
            secrets = self._of_service(SECRETS, service_id, one.login if one else None)
            if service_id in had and not any(self._is_of(row, service_id) for row in secrets):
                return None
            has_queue = one is None or one.policy.ipv4_address or any("remote-address" in row for row in secrets)
            queues = self._of_service(QUEUES, service_id, f"provedor-{one.login}" if one else None) if has_queue else ()
            for menu, rows in ((SECRETS, secrets), (QUEUES, queues)):
                found[menu].update((row[".id"], row) for row in rows)
        profiles = read_rows(self.client, (PROFILES,), self.release)
        return {**{menu: list(rows.values()) for menu, rows in found.items()}, **profiles}

    def _of_service(self, menu: str, service_id: int, name: str | None) -> list[Row]:
        rows = self._rows(menu, f"name={name}") if name is not None else []
        if any(self._is_of(row, service_id) for row in rows):
            return rows
        return rows + self._rows(menu, f"comment=provedor:{FAMILY}/{service_id}")

    @staticmethod
    def _is_of(row: Row, service_id: int) -> bool:
        return mark_in(row.get("comment", "")) == f"{FAMILY}/{service_id}"

    def _apply(self, steps: Iterable[Step], done: Done) -> None:
        """One that is refused is told, and the next is tried."""
        for step in steps:
            try:
                apply_step(self.client, step)
            except Trap as trap:
                done.problems.append(f"{_what(step)}: {trap.message}")
                continue
            done.applied += 1
            has_comments = "comment" in MENUS[step.menu].known_to(self.release)
            if isinstance(step, Add) and not has_comments:
                new = {(step.menu, key_of(MENUS[step.menu], step.values)): step.mark}
                self.owned |= new
                done.new |= new
            elif isinstance(step, Remove) and not has_comments:
                done.gone.append((step.menu, key_of(MENUS[step.menu], step.row)))


def _in_use(sentinel: Sequence[Row]) -> bool:
    """The box lets subscribers in by our rows, because RADIUS is away."""
    return any(row.get("disabled") == "true" for row in sentinel)


def _is_ours(row: Row) -> bool:
    mark = mark_in(row.get("comment", ""))
    return mark is not None and mark.startswith(f"{FAMILY}/")


def _without(subscribers: Sequence[Subscriber], theirs: Collection[str], done: Done) -> list[Subscriber]:
    """Those whose secret is not the router's own; the others are told."""
    done.problems += [
        f"{SECRETS} {one.login}: there is a row of this name that is not ours: rename it, or adopt it"
        for one in subscribers if one.login in theirs
    ]  # fmt: skip
    return [one for one in subscribers if one.login not in theirs]


def _notes(menu: str, rows: Iterable[Row], owned: Owned) -> Iterator[tuple[str, str]]:
    """By the mark that a row of ours has, or is to have."""
    for row in rows:
        comment = row.get("comment", "")
        mark = mark_in(comment) or owned.get((menu, key_of(MENUS[menu], row)))
        if mark is not None:
            yield mark, note_in(comment)


def _of(rows: Sequence[Row], service_ids: Collection[int], subscribers: Sequence[Subscriber]) -> list[Row]:
    """Rows of these services, and those that have the name that theirs should have."""
    marks = {f"{FAMILY}/{one}" for one in service_ids}
    names = {name for one in subscribers for name in (one.login, f"provedor-{one.login}")}
    return [row for row in rows if row.get("name") in names or mark_in(row.get("comment", "")) in marks]


def _held_back(plan: Plan, secrets: Sequence[Row], done: Done) -> list[Step]:
    """Without the removals, where they are more than a mistake of ours should take."""
    removed = sum(isinstance(step, Remove) and step.menu == SECRETS for step in plan.steps)
    if removed <= max(REMOVED_MAX, REMOVED_SHARE * sum(map(_is_ours, secrets))):
        return list(plan.steps)
    done.held_back = removed
    return [step for step in plan.steps if not isinstance(step, Remove)]


def _given_back(steps: Iterable[Step], done: Done) -> Iterator[Step]:
    """Subscribers' rows without our mark, instead of not at all. Before 7.0 a profile bears none."""
    for step in steps:
        if not isinstance(step, Remove) or step.menu not in (SECRETS, QUEUES, PROFILES):
            yield step
        elif (comment := step.row.get("comment", "")) and mark_in(comment) is not None:
            yield Change(step.menu, step.row_id, step.row, {"comment": note_in(comment)}, {"comment": comment})
        else:
            done.gone.append((step.menu, key_of(MENUS[step.menu], step.row)))


def _hidden(secrets: Iterable[Row]) -> list[str]:
    if any("password" not in row for row in secrets if not is_fixed(row)):
        return ["the API's user is not shown passwords: give its group the policy `sensitive`"]
    return []


def _told(subscribers: Iterable[Subscriber]) -> list[str]:
    return [f"{one.login}: {what} needs RADIUS" for one in subscribers for what in one.problems]


def _counted(steps: Iterable[Step]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for step in steps:
        counted[f"{step.menu} {type(step).__name__.lower()}"] += 1
    return dict(counted)


def _what(step: Step) -> str:
    row = step.values if isinstance(step, Add) else step.row
    return f"{step.menu} {row.get('name') or row.get('address') or ''}"

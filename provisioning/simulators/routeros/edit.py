"""One command's changes to the configuration: all of them, or none.

Names are followed: who is renamed is renamed wherever a row names him, and who is named by a row that stays is not
removed. (A real router knows its rows by id and does the first in the same way; that it refuses the second is so of
pools and profiles, and our choice for the rest.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from provisioning.routeros.schema import Field
from provisioning.routeros.values import parse_duration
from provisioning.simulators.routeros.checking import checked
from provisioning.simulators.routeros.command import Caller
from provisioning.simulators.routeros.configuration import INTERFACE, INTERFACE_MENUS, Configuration, Place
from provisioning.simulators.routeros.errors import (
    ARGUMENT,
    NoSuchItem,
    Refused,
    failure,
    no_match,
    not_permitted,
    unknown_parameter,
)
from provisioning.simulators.routeros.shown import date_and_time
from provisioning.simulators.routeros.table import Inverse, Item, Table

#: Rows that keep their names.
_SERVICES: Final = "/ip/service"
FILTER: Final = "/ip/firewall/filter"
FASTTRACK_DUMMY: Final[Mapping[str, str]] = {
    "chain": "forward",
    "action": "passthrough",
    "comment": "special dummy rule to show fasttrack counters",
}
#: How a row is called that nobody named, with a number behind; others by the last word of their menu.
_NAMES: Final[Mapping[str, str]] = {"/ppp/secret": "ppp", "/system/scheduler": "schedule", "/queue/simple": "queue"}
#: In the words of real routers, as far as they are known.
_TAKEN: Final[Mapping[str, str]] = {
    "/ip/address": "already have such address",
    "/ip/dhcp-server": "server with such name already exists",
    "/ip/dhcp-server/network": "such network already exists",
    "/ip/pool": "pool with such name exists",
    "/ppp/secret": "secret with the same name already exists",
}
_NAMED: Final[Mapping[str, str]] = {"/user/group": "group has some users"}
#: Rows that run what they say, with their owner and at most his policies.
RUNNING: Final = frozenset({"/system/scheduler", "/system/script"})


class Edit:
    def __init__(self, configuration: Configuration, caller: Caller, now: float) -> None:
        self.configuration = configuration
        self.inverses: list[Inverse] = []
        self._caller = caller
        self._now = now

    def undo(self) -> None:
        for inverse in reversed(self.inverses):
            inverse.apply()
        self.inverses.clear()

    def add(self, path: str, given: Mapping[str, str]) -> Item:
        table = self.configuration.tables[path]
        arguments = dict(given)
        before = self._destination(table, path, arguments.pop("place-before", None))
        values = self._values(path, table, {}, arguments)
        values = self._completed(path, table, values)
        item = self._timed(path, Item(table.next_number(), values))
        self._put(path, table, item)
        if "creation-time" in table.fields:
            moment = date_and_time(self._now, iso=self.configuration.release >= (7, 10))
            self.configuration.volatile[path, item.number] = {"creation-time": moment}
        if before is not None:
            self.inverses.append(table.place([item.number], before))
        self._settle(path)
        return item

    def set(self, places: Iterable[Place], given: Mapping[str, str]) -> None:
        touched = set()
        for path, table, before in places:
            item = table.get(before.number) or before  # who is renamed before may be named here
            if item.dynamic:
                raise failure("can not change dynamic")
            values = self._values(path, table, item.values, given)
            if item.builtin and values.get("name") != item.values.get("name"):
                raise failure("can not change name of default")
            if values != item.values:
                self._put(path, table, replace(item, values=values), old=item)
                touched.add(path)
        for path in touched:
            self._settle(path)

    def remove(self, places: Iterable[Place]) -> None:
        gone: dict[str, dict[int, Place]] = {}
        for place in places:
            if place.item.builtin:
                raise failure("can not remove default")
            if place.item.dynamic and place.item.expires_at is None and "timeout" not in place.item.values:
                raise failure("can not remove dynamic")
            gone.setdefault(place.path, {})[place.item.number] = place
        for path, rows in gone.items():
            self._refuse_if_named(path, rows)
            self.inverses.append(self.configuration.tables[path].drop(rows))
            self._settle(path)

    def move(self, path: str, places: Iterable[Place], destination: str | None) -> None:
        """As a block, in the order in which they are given. Before what is not there is last, without a word."""
        table = self.configuration.tables[path]
        numbers = [place.item.number for place in places]
        if any(item is not None and item.dynamic for item in map(table.get, numbers)):
            raise failure("can not move dynamic")
        try:
            before = self._destination(table, path, destination)
        except NoSuchItem:
            before = None
        if before in numbers:
            raise failure("can not move object before itself")
        self.inverses.append(table.place(numbers, before))

    def _destination(self, table: Table, path: str, given: str | None) -> int | None:
        if not given:
            return None
        if table.schema.ordered is None:
            raise unknown_parameter("place-before")
        item = self.configuration.find(path, given).item
        if item.dynamic:
            raise failure("can not move before dynamic")
        return item.number

    def _values(self, path: str, table: Table, values: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
        """As they will be. Raises Refused."""
        found = dict(values)
        for name, value in given.items():
            plain = name.removeprefix("!")
            field = table.fields.get(plain)
            if field is None or field.read_only or (plain == "name" and path == _SERVICES):
                raise unknown_parameter(plain)
            if plain != name:
                self._unset(found, field)
            elif field.can_unset and not value:
                found.pop(name, None)
            else:
                self._say(found, field, checked(path, field, value, self.configuration.exists))
        if path in RUNNING and "policy" in given:
            self._check_policies(found["policy"] if "policy" in found else table.fields["policy"].default or "")
        return found

    @staticmethod
    def _unset(values: dict[str, str], field: Field) -> None:
        if not field.can_unset and field.default is None:
            raise no_match("value-name")
        values.pop(field.name, None)

    @staticmethod
    def _say(values: dict[str, str], field: Field, value: str) -> None:
        """What is as it is anyway was not said."""
        if value == field.default:
            values.pop(field.name, None)
        else:
            values[field.name] = value

    def _check_policies(self, policies: str) -> None:
        if not self._caller.may(*filter(None, policies.split(","))):
            raise not_permitted()

    def _completed(self, path: str, table: Table, values: dict[str, str]) -> dict[str, str]:
        """With what the router adds by itself. Raises Refused for what only the caller can say."""
        if "name" in table.fields and not values.get("name"):
            values["name"] = self._free_name(path, table)
        if path in RUNNING:
            values |= self._of_owner(table, values)
        missing = [
            field.name
            for field in table.fields.values()
            if field.default is None and not field.can_unset and not field.read_only and field.name not in values
        ]
        if missing:
            raise Refused(f"missing value(s) of argument(s) {' '.join(missing)}", ARGUMENT)
        return values

    def _of_owner(self, table: Table, values: Mapping[str, str]) -> dict[str, str]:
        added = {"owner": self._caller.user}
        every = table.fields["policy"].default or ""
        if "policy" not in values:
            own = ",".join(one for one in every.split(",") if one in self._caller.policies)
            added |= {"policy": own} if own != every else {}
        if "start-time" in table.fields:
            moment = datetime.fromtimestamp(self._now, UTC)
            added |= {"start-date": self.date(moment), "start-time": moment.strftime("%H:%M:%S")}
        return {name: value for name, value in added.items() if name not in values}

    def date(self, moment: datetime) -> str:
        """7.10 writes dates as others do."""
        iso = self.configuration.release >= (7, 10)
        return moment.strftime("%Y-%m-%d" if iso else "%b/%d/%Y").lower()

    def _free_name(self, path: str, table: Table) -> str:
        stem = _NAMES.get(path, path.rpartition("/")[2])
        number = len(table) + 1
        while table.with_key(f"{stem}{number}") is not None:
            number += 1
        return f"{stem}{number}"

    def _timed(self, path: str, item: Item) -> Item:
        """An entry of an address list with a timeout is the router's own from then on, and ends by itself."""
        if not path.endswith("/firewall/address-list") or "timeout" not in item.values:
            return item
        if item.values["timeout"] == "none-static":
            return replace(item, values={name: value for name, value in item.values.items() if name != "timeout"})
        duration = parse_duration(item.values["timeout"])
        return replace(item, dynamic=True, expires_at=self._now + duration.total_seconds() if duration else None)

    def _put(self, path: str, table: Table, item: Item, old: Item | None = None) -> None:
        key = table.key(item)
        if key is not None:
            self._refuse_if_taken(path, table, item, key)
        self.inverses.append(table.put(item))
        if old is None or "name" not in table.fields:
            return
        before, after = table.value(old, "name") or "", table.value(item, "name") or ""
        if before != after:
            self._rename(path, before, after)

    def _refuse_if_taken(self, path: str, table: Table, item: Item, key: tuple[str, ...]) -> None:
        among = [self.configuration.tables[one] for one in INTERFACE_MENUS] if path in INTERFACE_MENUS else [table]
        others = (one.with_key(*key) for one in among)
        if all(other is None or other.number == item.number for other in others):
            return
        by_name = table.schema.key == ("name",)
        otherwise = f"already have {_noun(path)} with such name" if by_name else "already have such entry"
        raise failure(_TAKEN.get(path, otherwise))

    def _rename(self, path: str, before: str, after: str) -> None:
        for table, name in self.configuration.naming(path):
            items = [
                replace(item, values={**item.values, name: after}) for item in table if item.values.get(name) == before
            ]
            if items:
                self.inverses.append(table.put(*items))

    def _refuse_if_named(self, path: str, rows: Mapping[int, Place]) -> None:
        names = {place.table.value(place.item, "name") for place in rows.values()} - {None}
        for table, name in self.configuration.naming(path) if names else ():
            same = table.schema.path == path
            for item in table:
                if table.value(item, name) in names and not (same and item.number in rows):
                    raise failure(_NAMED.get(path, f"in use by {_noun(table.schema.path)}"))

    def _settle(self, path: str) -> None:
        """Rows that are there because of others: fasttrack has a dummy rule on top that counts."""
        if path != FILTER:
            return
        table = self.configuration.tables[path]
        dummy = next((item for item in table if item.dynamic and item.values == FASTTRACK_DUMMY), None)
        wanted = any(
            item.values.get("action") == "fasttrack-connection" and "disabled" not in item.values for item in table
        )
        if wanted and dummy is None:
            number, first = table.next_number(), next(iter(table)).number
            self.inverses += [table.put(Item(number, FASTTRACK_DUMMY, dynamic=True)), table.place([number], first)]
        elif dummy is not None and not wanted:
            self.inverses.append(table.drop([dummy.number]))


def _noun(path: str) -> str:
    if path in INTERFACE_MENUS or path == INTERFACE:
        return "interface"
    noun = path.rpartition("/")[2]
    return {"simple": "queue", "tree": "queue"}.get(noun, noun)

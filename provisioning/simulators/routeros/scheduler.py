"""Does what /system/scheduler says, by the router's clock.

An entry runs at its start and then every interval, aligned to the start; with no interval, once. `start-time=startup`
runs three seconds after the router came up. One that is disabled, or whose policies its owner no longer has, does
nothing but say so in the log. What was missed while nobody asked what time it is is done once.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from provisioning.routeros.values import parse_duration
from provisioning.simulators.routeros import scripts
from provisioning.simulators.routeros.command import Caller
from provisioning.simulators.routeros.errors import Refused, not_permitted
from provisioning.simulators.routeros.scripting.interpreter import Waiting
from provisioning.simulators.routeros.scripting.syntax import ScriptError
from provisioning.simulators.routeros.shown import date_and_time
from provisioning.simulators.routeros.table import Item, Table

if TYPE_CHECKING:
    from provisioning.simulators.routeros.router import Router

MENU: Final = "/system/scheduler"
STARTUP_S: Final = 3.0
_DATES: Final = ("%Y-%m-%d %H:%M:%S", "%b/%d/%Y %H:%M:%S")


class Scheduler:
    """Its router holds the lock."""

    def __init__(self, router: Router) -> None:
        self._router = router
        #: When each entry runs next; those that never do again are not in here.
        self._due: dict[int, float] = {}
        self._planned: dict[int, Item] = {}
        self._waiting: list[tuple[float, Waiting, str]] = []
        self._booting = False

    @property
    def _table(self) -> Table:
        return self._router.configuration.tables[MENU]

    @property
    def next_due(self) -> float:
        return min([*self._due.values(), *(at for at, _, _ in self._waiting)], default=math.inf)

    def plan(self) -> None:
        """Entries may have come, changed or gone."""
        known = {item.number: item for item in self._table}
        for number in self._planned.keys() - known.keys():
            self._forget(number)
        for number, item in known.items():
            if self._planned.get(number) is not item:
                self._plan(item)

    def restart(self) -> None:
        """The router came up again: what ran is dead, and everything is planned anew."""
        self._waiting.clear()
        self._due.clear()
        self._planned.clear()
        self._booting = True
        self.plan()
        self._booting = False

    def resume(self, waiting: Waiting, at: float, name: str) -> None:
        self._waiting.append((at, waiting, name))

    def tick(self) -> None:
        now = self._router.now
        while self.next_due <= now:
            for number in [number for number, at in self._due.items() if at <= now]:
                self._run(number)
            due, self._waiting = (
                [one for one in self._waiting if one[0] <= now],
                [one for one in self._waiting if one[0] > now],
            )
            for _, waiting, name in due:
                self._go_on(waiting, name)

    def _forget(self, number: int) -> None:
        self._planned.pop(number, None)
        self._due.pop(number, None)

    def _plan(self, item: Item) -> None:
        self._planned[item.number] = item
        at = None if "disabled" in item.values else self._next(item)
        if at is None:
            self._due.pop(item.number, None)
        else:
            self._due[item.number] = at
        self._show(item, at)

    def _next(self, item: Item) -> float | None:
        """From now on. A start that has passed long ago, without an interval, is never again."""
        router, interval_s = self._router, self._interval_s(item)
        if item.values.get("start-time") == "startup":
            at = router.booted + STARTUP_S
            return at if self._booting else self._aligned(at, interval_s)
        start = self._start(item)
        if start is None:
            return None
        return start if start > router.now else self._aligned(start, interval_s)

    def _aligned(self, start: float, interval_s: float) -> float | None:
        if not interval_s:
            return None
        return start + (math.floor((self._router.now - start) / interval_s) + 1) * interval_s

    def _interval_s(self, item: Item) -> float:
        duration = parse_duration(self._table.value(item, "interval") or "0s")
        return duration.total_seconds() if duration else 0.0

    @staticmethod
    def _start(item: Item) -> float | None:
        text = f"{item.values.get('start-date', '')} {item.values.get('start-time', '')}"
        for form in _DATES:
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
            except ValueError:
                continue
        return None

    def _show(self, item: Item, at: float | None) -> None:
        volatile = self._router.configuration.volatile.setdefault((MENU, item.number), {})
        volatile.pop("next-run", None)
        if at is not None:
            volatile["next-run"] = date_and_time(at, iso=self._router.version.iso_dates)

    def _run(self, number: int) -> None:
        if number not in self._due:
            return  # one that was due as well took it away
        item = self._planned[number]
        scripts.note_run(self._router, MENU, item, {})
        interval_s = self._interval_s(item)
        at = self._aligned(self._due[number], interval_s)
        if at is None:
            del self._due[number]
        else:
            self._due[number] = at
        self._show(item, at)
        try:
            self._do(item)
        except (Refused, ScriptError) as error:
            self._failed(item.values["name"], str(error))

    def _do(self, item: Item) -> None:
        router, name = self._router, item.values["name"]
        router.check_device_mode("scheduler")
        owner, text = item.values.get("owner", ""), item.values.get("on-event", "")
        policies = frozenset((self._table.value(item, "policy") or "").split(",")) - {""}
        caller = Caller(owner, policies)
        script = router.configuration.tables[scripts.SCRIPTS].with_key(text)
        if script is not None:
            self._check(script, policies)
            scripts.run_script(router, script, caller)
        else:
            scripts.begin(router, scripts.running(router, text, caller), name)

    def _check(self, script: Item, policies: frozenset[str]) -> None:
        table = self._router.configuration.tables[scripts.SCRIPTS]
        own = frozenset((table.value(script, "policy") or "").split(",")) - {""}
        if table.value(script, "dont-require-permissions") != "true" and not own <= policies:
            raise not_permitted()

    def _go_on(self, waiting: Waiting, name: str) -> None:
        try:
            self.resume(waiting, self._router.now + next(waiting), name)
        except StopIteration:
            return
        except (Refused, ScriptError) as error:
            self._failed(name, str(error))

    def _failed(self, name: str, message: str) -> None:
        self._router.note("script,error", f"executing script {name} failed: {message}")

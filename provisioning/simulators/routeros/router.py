"""The router: what is configured, who may do what, what it does by itself, and the doors by which commands come.

It has one lock. Whatever changes the configuration holds it for one command; rows that are read elsewhere (who is
online) are read without it. Time is the clock's that it was given: before each command, and whenever somebody calls
`tick`, what became due is done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Final

from provisioning.simulators.routeros import actions, configured, listing
from provisioning.simulators.routeros.command import Answer, Caller, Command, Connection
from provisioning.simulators.routeros.configuration import Configuration
from provisioning.simulators.routeros.edit import FASTTRACK_DUMMY
from provisioning.simulators.routeros.errors import MISSING, Refused, failure, not_permitted
from provisioning.simulators.routeros.factory import new_configuration
from provisioning.simulators.routeros.faults import Faults
from provisioning.simulators.routeros.files import Files
from provisioning.simulators.routeros.history import History
from provisioning.simulators.routeros.menus import Menu, Row
from provisioning.simulators.routeros.policies import POLICIES
from provisioning.simulators.routeros.reach import Asked, Client, Verdict, allows, lets_ask, verdict
from provisioning.simulators.routeros.scheduler import Scheduler
from provisioning.simulators.routeros.shown import date_and_time
from provisioning.simulators.routeros.table import Item
from provisioning.simulators.routeros.tools import RadiusTraffic
from provisioning.simulators.routeros.versions import Version

if TYPE_CHECKING:
    from provisioning.simulators.routeros.tables import ActiveSession

LOG_LINES_MAX: Final = 1000
#: After so long safe mode ends whose connection is cut off, as the manual says.
TCP_TIMEOUT_S: Final = 540.0
#: What a router may forbid until somebody pushes its button; "advanced" is how a CHR comes.
DEVICE_MODES: Final = ("advanced", "basic", "home", "rose")
_WITHOUT_SCHEDULER: Final = frozenset({"basic", "home"})
#: The router itself, when it does what its configuration says.
SYSTEM: Final = Caller("*sys", POLICIES)


class Router:
    def __init__(
        self, version: Version, users: Mapping[str, str], *, clock: Callable[[], float], identity: str = "MikroTik",
        listings: Mapping[str, Menu] | None = None, device_mode: str = "advanced", firewall: bool = False,
        answering: Callable[[str], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        """With `firewall`, what is configured decides who reaches the API, and whom the router reaches. `answering`:
        whether there is somebody at this address."""
        self.version = version
        self.clock = clock
        self.device_mode = device_mode
        self.configuration: Configuration = new_configuration(version.release, identity, users)
        self.firewall = firewall
        self.answering = answering
        self.history = History()
        self.files = Files()
        self.faults = Faults()
        self.scheduler = Scheduler(self)
        self.log: deque[Row] = deque(maxlen=LOG_LINES_MAX)
        self._log_numbers = count(1)
        self.lock = threading.RLock()
        #: A subscriber's login, password and device: the id of his session. None where nobody can dial here.
        self.dial: Callable[[str, str, str], str] | None = None
        #: Whoever is online; each has an interface of its own.
        self.sessions: Callable[[], Iterable[ActiveSession]] = list
        #: Called when it goes down: connections end.
        self.on_reboot: list[Callable[[], None]] = []
        #: Until then nobody gets in.
        self.down_until = 0.0
        self.now = self.booted = clock()
        self.radius = RadiusTraffic(self)
        self.menus: dict[str, Menu] = {**actions.listings(self), **(listings or {})}
        self.prefixes = _prefixes([*self.configuration.tables, *self.menus, *actions.menus(self)])
        self._lost: list[tuple[float, Connection]] = []
        #: How many scripts are running one another.
        self.depth = 0

    # Who is there

    def verdict(self, client: Client, *, established: bool) -> Verdict:
        if not self.firewall:
            return Verdict.ACCEPT
        with self.lock:
            return verdict(self.configuration, client, established=established)

    def answers(self, asked: Asked) -> bool:
        """Whoever the router asks."""
        if not self.answering(asked.address):
            return False
        with self.lock:
            return not self.firewall or lets_ask(self.configuration, asked)

    def password_of(self, name: str, client: Client | None = None) -> str | None:
        """None for whom the API does not let in."""
        with self.lock:
            user = self.configuration.tables["/user"].with_key(name)
            if user is None or "disabled" in user.values or not self.policies_of(name) >= {"api"}:
                return None
            addresses = user.values.get("address", "")
            if self.firewall and client is not None and not allows(addresses, client.address):
                return None
            return user.values.get("password", "")

    def policies_of(self, name: str) -> frozenset[str]:
        with self.lock:
            user = self.configuration.tables["/user"].with_key(name)
            group = user and self.configuration.tables["/user/group"].with_key(user.values["group"])
            return frozenset(group.values.get("policy", "").split(",")) if group else frozenset()

    def caller(self, name: str, connection: Connection) -> Caller:
        return Caller(name, self.policies_of(name), connection)

    # What is done

    def run(self, command: Command, caller: Caller) -> Answer:
        """What has become due is done before. Raises Refused, or Ended."""
        self.tick()
        return self.obey(command, caller)

    def obey(self, command: Command, caller: Caller) -> Answer:
        """Raises Refused, or Ended."""
        if (action := actions.find(self, command)) is not None:
            if not caller.may(*action.policies):
                raise not_permitted()
            with self.lock:
                return action.function(self, command, caller)
        menu = self.menus.get(command.menu)
        if menu is not None:
            if command.verb not in menu.commands:
                raise Refused("no such command", MISSING)
            if not caller.may("read" if command.verb != "remove" else "write"):
                raise not_permitted()
            return listing.run(menu, command)
        if command.menu not in self.configuration:
            raise Refused("no such command prefix", MISSING)
        with self.lock:
            return configured.run(self, command, caller)

    def knows(self, menu: str, verb: str) -> bool:
        """There is such a command."""
        if actions.find(self, Command(f"{menu}/{verb}")) is not None:
            return True
        if (shown := self.menus.get(menu)) is not None:
            return verb in shown.commands
        return menu in self.configuration and verb in configured.verbs(self, menu)

    def parameters(self, menu: str, verb: str) -> frozenset[str] | None:
        """What a script may give this command; None where that is not known."""
        known = menu in self.configuration and menu not in self.menus
        return configured.parameters(self, menu, verb) if known and verb != "export" else None

    def is_down(self) -> bool:
        """It reboots, and nobody gets in."""
        return self.clock() < self.down_until

    def check_device_mode(self, feature: str) -> None:
        if self.version.has_device_mode and feature == "scheduler" and self.device_mode in _WITHOUT_SCHEDULER:
            raise failure("not allowed by device-mode")

    def changed(self, menu: str) -> None:
        """Rows of this menu are others now."""
        if menu == "/system/scheduler":
            self.scheduler.plan()

    def note(self, topics: str, message: str) -> None:
        time = date_and_time(self.now, iso=self.version.iso_dates)
        self.log.append({".id": f"*{next(self._log_numbers):X}", "time": time, "topics": topics, "message": message})

    # What happens by itself

    def tick(self) -> None:
        with self.lock:
            self.now = max(self.now, self.clock())
            self._expire()
            self._miss()
            if not self.is_down():
                self.radius.tick()
                self.scheduler.tick()

    def _expire(self) -> None:
        for path in ("/ip/firewall/address-list", "/ipv6/firewall/address-list"):
            table = self.configuration.tables[path]
            table.drop([number for number, expires_at in table.timed.items() if expires_at <= self.now])

    def _miss(self) -> None:
        lost = [one for one in self._lost if one[0] <= self.now]
        self._lost = [one for one in self._lost if one[0] > self.now]
        for _, connection in lost:
            self.dropped(connection)

    def lost(self, connection: Connection) -> None:
        """That it is gone the router does not hear: it misses it when TCP gives up."""
        with self.lock:
            self._lost.append((self.now + TCP_TIMEOUT_S, connection))

    def dropped(self, connection: Connection) -> None:
        """That connection is gone, whoever ended it."""
        with self.lock:
            if self.history.holds(connection):
                self.note("system,info", f"safe mode rolled back {self.history.unroll()} actions")
                self.undone()

    def keep(self, connection: Connection) -> None:
        """It says goodbye: what was done stays."""
        with self.lock:
            if self.history.holds(connection):
                self.history.release()

    def undone(self) -> None:
        """Any rows may be others now."""
        self.scheduler.plan()

    def settle(self) -> None:
        """What is configured is what it came up with."""
        with self.lock:
            self.history.clear()
            self.scheduler.restart()

    def reboot(self, down_s: float = 0.0) -> None:
        """What is configured stays; safe mode undoes, what was dynamic is gone, and startup jobs run."""
        with self.lock:
            self.history.unroll()
            self.history.clear()
            self._lost.clear()
            for table in self.configuration.tables.values():
                table.drop([item.number for item in table if item.dynamic and item.values != FASTTRACK_DUMMY])
            self.configuration.volatile.clear()
            self.now = max(self.now, self.clock())
            self.down_until = self.now + down_s
            self.booted = self.now + down_s
            self.scheduler.restart()
            self.note("system,info", "router rebooted")
        for tell in self.on_reboot:
            tell()

    def put_port(self, name: str) -> None:
        """One more Ethernet port, by the name that it comes with; one that is there stays."""
        with self.lock:
            table = self.configuration.tables["/interface/ethernet"]
            if not self.configuration.exists("/interface", name):
                table.put(Item(table.next_number(), {"name": name, "default-name": name}))

    def put_dynamic(self, menu: str, values: Mapping[str, str], *, first: bool = False) -> str:
        """A row that the router made itself, as for a hotspot; its id."""
        with self.lock:
            table = self.configuration.tables[menu]
            item = Item(table.next_number(), dict(values), dynamic=True)
            top = next(iter(table), None) if first else None
            table.put(item)
            if top is not None:
                table.place([item.number], top.number)
            return item.row_id


def _prefixes(paths: Iterable[str]) -> frozenset[str]:
    """The menus, and what leads to them."""
    parts = (path.split("/") for path in paths)
    return frozenset("/".join(words[:length]) for words in parts for length in range(2, len(words) + 1))

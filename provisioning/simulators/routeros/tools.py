"""What the router asks of others: pings, and RADIUS servers, whose counters it keeps.

Rows of /ping and the counters of /radius/monitor are those that real ones show. Who answers is said when the router is
made; its own firewall may keep the question in, or the answer out. Our choice: a ping without `count` sends four, names
are not looked up, and a request that is not answered is sent three times more before the next server is asked.
"""

from __future__ import annotations

from collections import defaultdict
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from provisioning.simulators.routeros.command import Answer, Caller, Command
from provisioning.simulators.routeros.errors import ARGUMENT, Refused, invalid, unknown_parameter
from provisioning.simulators.routeros.menus import Row
from provisioning.simulators.routeros.reach import Asked
from provisioning.simulators.routeros.table import Item

if TYPE_CHECKING:
    from provisioning.simulators.routeros.router import Router

_RADIUS: Final = "/radius"
_PING_ARGUMENTS: Final = frozenset({
    "address", "arp-ping", "count", "do-not-fragment", "dscp", "interface", "interval", "size", "src-address", "ttl",
})  # fmt: skip
_COUNTERS: Final = ("pending", "requests", "accepts", "rejects", "resends", "timeouts", "bad-replies")
_RESENDS: Final = 3
_COUNT: Final = 4


def ping(router: Router, command: Command, _caller: Caller) -> Answer:
    given = command.arguments
    table = "vrf" if router.version.release >= (7, 0) else "routing-table"
    for name in given.keys() - _PING_ARGUMENTS - {table}:
        raise unknown_parameter(name)
    if "address" not in given:
        raise Refused("missing value(s) of argument(s) address", ARGUMENT)
    count = given.get("count", str(_COUNT))
    if not count.isdecimal() or not _is_address(given["address"]):
        raise invalid("address" if count.isdecimal() else "count")
    answered = router.answers(Asked(given["address"], source=given.get("src-address", "")))
    row = _answered if answered else _unanswered
    return Answer([row(router, given, number) for number in range(int(count))])


def _answered(router: Router, given: dict[str, str], number: int) -> Row:
    rtt = "11ms640us" if router.version.release >= (7, 0) else "11ms"
    return {
        "seq": str(number), "host": given["address"], "size": given.get("size", "56"), "ttl": "58", "time": rtt,
        "sent": str(number + 1), "received": str(number + 1), "packet-loss": "0", "min-rtt": rtt, "avg-rtt": rtt,
        "max-rtt": rtt,
    }  # fmt: skip


def _unanswered(_router: Router, given: dict[str, str], number: int) -> Row:
    return {
        "seq": str(number), "host": given["address"], "status": "timeout", "sent": str(number + 1), "received": "0",
        "packet-loss": "100",
    }  # fmt: skip


def monitor_radius(router: Router, command: Command, _caller: Caller) -> Answer:
    """Once, whether that was said or not."""
    if not command.numbers:
        raise Refused("missing =.id=", ARGUMENT)
    found = [router.configuration.find(_RADIUS, one).item for one in command.numbers]
    return Answer([router.radius.shown(item) for item in found])


class RadiusTraffic:
    """`per_s`: so many requests are there to be made of RADIUS; `secret`: of the servers, None: whatever is said."""

    def __init__(self, router: Router, *, per_s: float = 0.0, secret: str | None = None) -> None:
        self.per_s = per_s
        self.secret = secret
        self._router = router
        self._counters: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTERS, 0))
        self._at = router.now
        self._owed = 0.0

    def tick(self) -> None:
        """What was to be asked since the last time was asked."""
        self._owed += (self._router.now - self._at) * self.per_s
        self._at = self._router.now
        requests, self._owed = int(self._owed), self._owed % 1.0
        if requests:
            self._ask(requests)

    def shown(self, item: Item) -> Row:
        counters = {name: str(count) for name, count in self._counters[item.number].items()}
        return {**counters, "last-request-rtt": "10ms" if int(counters["accepts"]) else "0s"}

    def _ask(self, requests: int) -> None:
        """Of the first server, and of the next while none has answered."""
        table = self._router.configuration.tables[_RADIUS]
        asked = [item for item in table if "disabled" not in item.values and "ppp" in item.values.get("service", "")]
        for item in asked:
            counters = self._counters[item.number]
            counters["requests"] += requests
            port = int(table.value(item, "authentication-port") or 0)
            if not self._router.answers(Asked(table.value(item, "address") or "", "udp", port)):
                counters["resends"] += requests * _RESENDS
                counters["timeouts"] += requests
            elif self.secret not in {None, item.values.get("secret", "")}:
                counters["bad-replies"] += requests
                counters["timeouts"] += requests
            else:
                counters["accepts"] += requests
                return


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False

"""Subscribers whom the router lets in by itself: PPP secrets and profiles, and what there is of a session meanwhile.

A login is looked for among the secrets, as the manual has it; of what the secret does not say its profile does, and
then the profile `default`. While it lasts there is a dynamic queue for the profile's rate limit and a dynamic entry in
its address list; `on-up` and `on-down` are run. RADIUS is not asked here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import count
from typing import Final

from provisioning.simulators.routeros import scripts
from provisioning.simulators.routeros.command import Caller
from provisioning.simulators.routeros.errors import LoginFailed
from provisioning.simulators.routeros.policies import POLICIES
from provisioning.simulators.routeros.router import Router
from provisioning.simulators.routeros.scripting import ScriptError
from provisioning.simulators.routeros.table import Item
from provisioning.simulators.routeros.tables import ActiveSession, Online

_SECRETS: Final = "/ppp/secret"
_PROFILES: Final = "/ppp/profile"
_SERVICES: Final = frozenset({"any", "pppoe"})


class Subscribers:
    def __init__(self, router: Router, online: Online) -> None:
        self._router = router
        self._online = online
        self._numbers = count(1)
        self._dynamic: dict[int, list[tuple[str, int]]] = {}
        self._lock = threading.Lock()
        online.on_end.append(self._ended)
        router.on_reboot.append(self._rebooted)
        router.dial = lambda login, password, caller_id: self.dial(login, password, caller_id).row_id

    def dial(self, login: str, password: str, caller_id: str = "02:00:00:00:00:01") -> ActiveSession:
        """Raises LoginFailed."""
        with self._router.lock:
            secret = self._router.configuration.tables[_SECRETS].with_key(login)
            if secret is None or not self._fits(secret, password, caller_id):
                raise LoginFailed
            if self._of(secret, "only-one") == "yes":
                for other in [one for one in self._online.read() if one.login == login]:
                    self._online.end(other)
            address = self._address(secret)
            if address is None:
                raise LoginFailed
            number = next(self._numbers)
            session = ActiveSession(
                number, login, caller_id, address, f"f1{number:06x}", self._router.clock(), radius=False
            )
            self._dynamic[number] = list(self._put_dynamic(secret, session))
            self._online.begin(session)
            self._run(self._of(secret, "on-up"), session)
            return session

    def _fits(self, secret: Item, password: str, caller_id: str) -> bool:
        table = self._router.configuration.tables[_SECRETS]
        wanted = table.value(secret, "caller-id") or ""
        return (
            "disabled" not in secret.values
            and (table.value(secret, "service") or "any") in _SERVICES
            and (table.value(secret, "password") or "") == password
            and (not wanted or wanted.casefold() == caller_id.casefold())
        )

    def _of(self, secret: Item, name: str) -> str:
        """What the secret says, else its profile, else the profile `default`."""
        profiles = self._router.configuration.tables[_PROFILES]
        own = profiles.with_key(secret.values.get("profile", "default"))
        for item in (secret, own, profiles.with_key("default")):
            value = item.values.get(name, "") if item is not None else ""
            if value and value != "default":
                return value
        return ""

    def _address(self, secret: Item) -> str | None:
        """None where the pool is used up, or nothing says from where."""
        said = self._of(secret, "remote-address")
        taken = {one.address for one in self._online.read()}
        pool = self._router.configuration.tables["/ip/pool"].with_key(said)
        if pool is None:
            return said or None
        return next((one for one in _addresses(pool.values.get("ranges", "")) if one not in taken), None)

    def _put_dynamic(self, secret: Item, session: ActiveSession) -> Iterator[tuple[str, int]]:
        lists, rate = self._of(secret, "address-list"), self._of(secret, "rate-limit")
        for name in filter(None, lists.split(",")):
            yield self._put("/ip/firewall/address-list", {"list": name, "address": session.address})
        if rate:
            first = rate.split()[0]
            limit = first if "/" in first else f"{first}/{first}"
            values = {"name": f"<pppoe-{session.login}>", "target": f"{session.address}/32", "max-limit": limit}
            yield self._put("/queue/simple", values)

    def _put(self, menu: str, values: dict[str, str]) -> tuple[str, int]:
        row_id = self._router.put_dynamic(menu, values, first=menu == "/queue/simple")
        return menu, int(row_id.removeprefix("*"), 16)

    def _ended(self, session: ActiveSession) -> None:
        with self._router.lock:
            for menu, number in self._dynamic.pop(session.number, ()):
                self._router.configuration.tables[menu].drop([number])
            secret = self._router.configuration.tables[_SECRETS].with_key(session.login)
            if secret is not None and not session.radius:
                self._run(self._of(secret, "on-down"), session)

    def _rebooted(self) -> None:
        self._dynamic.clear()
        self._online.forget([one for one in self._online.read() if not one.radius])

    def _run(self, source: str, session: ActiveSession) -> None:
        """One that fails is noted in the log."""
        if not source:
            return
        variables = {
            "user": session.login, "remote-address": session.address, "caller-id": session.caller_id,
            "interface": f"<pppoe-{session.login}>",
        }  # fmt: skip
        try:
            for _ in scripts.running(self._router, source, Caller("*ppp", POLICIES), dict(variables)):
                pass  # what it waits for is not waited for here
        except ScriptError as error:
            self._router.note("script,error", str(error))


def _addresses(ranges: str) -> Iterator[str]:
    for one in ranges.split(","):
        first, _, last = one.partition("-")
        for number in range(int(IPv4Address(first)), int(IPv4Address(last or first)) + 1):
            yield str(IPv4Address(number))

"""What a RADIUS worker knows, in memory: subscribers by login, policies by fingerprint, NAS by source address.

It is filled and kept current by messages from the node's feeder (see `feed`). A full snapshot (`begin` to `end`) is
built aside and takes the old one's place at its end, so that requests meet the old or the new one, never half of
one. Rows are small: a worker holds them for a million services.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import msgspec

from aaa import mschap
from aaa.authenticator import SharedSecret
from aaa.locks import ServiceLocks
from aaa.takeover.home import SERVE, HomeRow, HomeServer
from aaa.vendors import Local, VendorAdapter, adapter
from core.access import Access
from core.policy import Policy

#: Policies that nobody uses are dropped when this many more, and a quarter, have come since the last time.
POLICIES_SPARE: Final = 1000
#: Source addresses inside CIDR entries whose NAS is remembered.
NETWORK_CACHE_MAX: Final = 10_000


class NasRow(msgspec.Struct, array_like=True):
    """A NAS as the feeder tells it."""

    nas_id: int
    name: str
    address: str
    secret: bytes
    vendor: str
    message_authenticator: str
    message_authenticator_learned: str | None
    names: dict[str, Any]
    strip_realm: bool
    lowercase: bool
    #: Fingerprint of the emergency plan's policy while the emergency switch is on.
    emergency_fingerprint: str | None
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    #: core.models.network.NasMode, and the home server whatever the mode.
    mode: str = SERVE
    home: HomeRow | None = None
    trim: bool = False


class Client:
    """A NAS that asks us."""

    __slots__ = (
        "adapter",
        "counts",
        "dialect",
        "emergency_fingerprint",
        "forwards_to",
        "has_login_rules",
        "home",
        "is_network",
        "learns",
        "local",
        "lowercase",
        "message_authenticator",
        "mode",
        "name",
        "nas_id",
        "secret",
        "strip_realm",
        "trim",
        "vendor",
    )  # fmt: skip

    def __init__(self, row: NasRow) -> None:
        self.nas_id = row.nas_id
        self.name = row.name
        self.secret = SharedSecret(row.secret)
        self.vendor = row.vendor
        self.adapter: VendorAdapter = adapter(row.vendor)
        self.local = Local(row.names, row.options)
        #: Equal for NAS entries that take the same attributes for the same policy.
        self.dialect = (row.vendor, json.dumps([row.names, row.options], sort_keys=True))
        self.strip_realm = row.strip_realm
        self.lowercase = row.lowercase
        self.trim = row.trim
        self.has_login_rules = row.strip_realm or row.lowercase or row.trim
        self.emergency_fingerprint = row.emergency_fingerprint
        self.is_network = "/" in row.address
        #: "auto" only until the first request taught us (see decision.learned_mode).
        self.message_authenticator = row.message_authenticator
        if row.message_authenticator == "auto" and row.message_authenticator_learned:
            self.message_authenticator = row.message_authenticator_learned
        #: Whether what holds now was learned: then Proxy-State must be signed all the same.
        self.learns = row.message_authenticator == "auto"
        self.mode = row.mode
        self.home = HomeServer(row.home) if row.home else None
        #: Where packets go that are not, or not only, ours to answer; None for a NAS that we serve.
        self.forwards_to = self.home if row.mode != SERVE else None
        #: Packets by Reason since this worker started; the worker carries them over when the entry changes.
        self.counts: dict[str, int] = {}


class Clients:
    """NAS entries by source address; a longer prefix wins over a shorter one."""

    __slots__ = ("_cache", "_exact", "_networks")

    def __init__(self, clients: Iterable[tuple[str, Client]] = ()) -> None:
        self._exact: dict[str, Client] = {}
        self._networks: list[tuple[IPv4Network | IPv6Network, Client]] = []
        self._cache: dict[str, Client] = {}
        for address, client in clients:
            if client.is_network:
                self._networks.append((ip_network(address), client))
            else:
                self._exact[address] = client
        self._networks.sort(key=lambda entry: entry[0].prefixlen, reverse=True)

    def find(self, address: str) -> Client | None:
        """The NAS that sends from this address (as the socket gives it)."""
        return self._exact.get(address) or self._cache.get(address) or self._search(address)

    def all(self) -> list[Client]:
        return [*self._exact.values(), *(client for _, client in self._networks)]

    def _search(self, address: str) -> Client | None:
        plain = ip_address(address.partition("%")[0])
        mapped = getattr(plain, "ipv4_mapped", None)
        if mapped is not None:
            return self.find(str(mapped))
        for network, client in self._networks:
            if plain in network:
                if len(self._cache) >= NETWORK_CACHE_MAX:
                    self._cache.clear()
                self._cache[address] = client
                return client
        return None


#: Fields of a policy that name a pool, and the kind that it must be of to be one of ours (aaa.pools.models.PoolKind).
_POOL_FIELDS: Final = (("address_pool", "ipv4"), ("ipv6_pool", "ipv6"), ("delegated_ipv6_pool", "delegated"))


class PolicyEntry:
    """A policy with its reply attributes, encoded once per vendor and local names."""

    __slots__ = ("_encoded", "blocked", "fingerprint", "fingerprint_octets", "policy")

    def __init__(self, fingerprint: str, policy: Policy) -> None:
        self.fingerprint = fingerprint
        self.fingerprint_octets = bytes.fromhex(fingerprint)
        self.policy = policy
        self.blocked = policy.access is Access.BLOCKED
        self._encoded: dict[tuple[str, str], tuple[bytes, tuple[str, ...]]] = {}

    def attributes_for(self, client: Client, own_pools: Mapping[str, str]) -> tuple[bytes, tuple[str, ...]]:
        """Attributes, and the pools of ours out of which the subscriber's lease goes with them."""
        encoded = self._encoded.get(client.dialect)
        if encoded is None:
            encoded = self._encoded[client.dialect] = self._encode(client, own_pools)
        return encoded

    def forget_encoded(self) -> None:
        """Which pools are ours has changed."""
        self._encoded.clear()

    def _encode(self, client: Client, own_pools: Mapping[str, str]) -> tuple[bytes, tuple[str, ...]]:
        policy, pools = without_own_pools(self.policy, client.local, own_pools)
        return client.adapter.accept_attributes(policy, client.local), pools


def without_own_pools(policy: Policy, local: Local, own_pools: Mapping[str, str]) -> tuple[Policy, tuple[str, ...]]:
    """The policy without the pools that are ours by the NAS's names for them, and those pools."""
    ours: dict[str, str] = {}
    for name, kind in _POOL_FIELDS:
        pool = getattr(policy, name)
        named = local.name("pools", pool) if pool else ""
        if own_pools.get(named) == kind:
            ours[name] = named
    left = replace(policy, **dict.fromkeys(ours)) if ours else policy  # type: ignore[arg-type]
    return left, tuple(ours.values())


class Subscriber:
    """A service that authenticates."""

    __slots__ = ("_nt_keys", "entry", "password", "service_id")

    def __init__(self, service_id: int, password: bytes, entry: PolicyEntry) -> None:
        self.service_id = service_id
        self.password = password
        self.entry = entry
        self._nt_keys: bytes | None = None

    @property
    def nt_keys(self) -> bytes:
        """What MS-CHAP needs of the password, computed when it is first asked for: half of a check's work."""
        if self._nt_keys is None:
            self._nt_keys = mschap.nt_keys(self.password)
        return self._nt_keys


class Snapshot:
    """Everything one worker decides from. Methods named after the feed's messages change it."""

    def __init__(self) -> None:
        self.epoch = ""
        self.revision = 0
        self.clients = Clients()
        self.policies: dict[str, PolicyEntry] = {}
        self.subscribers: dict[bytes, Subscriber] = {}
        #: Our own pools by name, with their kinds.
        self.pools: dict[str, str] = {}
        #: By pool and service: the attributes that give the lease.
        self.leases: dict[str, dict[int, bytes]] = {}
        #: Services that asked for a lease lately, when there was none.
        self.without_lease: set[int] = set()
        #: What is left to prepaid services: octets, seconds.
        self.balances: dict[int, tuple[int | None, int | None]] = {}
        #: Seconds since 1970 when the feeder last stood where the database stands.
        self.fresh_at = 0.0
        #: Services whose logins over the plan's limit of sessions are to be refused: few, so not a field of each.
        self.strict: set[int] = set()
        #: By service, of those that have any.
        self.locks: dict[int, ServiceLocks] = {}
        self._logins: dict[int, bytes] = {}
        self._drop_policies_at = POLICIES_SPARE

    def add_policies(self, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for fingerprint, body in rows:
            if fingerprint not in self.policies:
                self.policies[fingerprint] = PolicyEntry(fingerprint, Policy.from_body(body))

    def set_services(self, rows: Iterable[tuple[int, bytes | None, bytes, str]]) -> None:
        """Rows of (service id, login, password, fingerprint); a login of None takes the service away."""
        for service_id, login, password, fingerprint in rows:
            before = self._logins.get(service_id)
            if before is not None and before != login:
                self._remove(service_id, before)
            if login is not None:
                self.subscribers[login] = Subscriber(service_id, password, self.policies[fingerprint])
                self._logins[service_id] = login

    def set_strict(self, whole: bool, strict: Iterable[int], others: Iterable[int]) -> None:
        """`whole`: the first are all there are."""
        if whole:
            self.strict = set()
        self.strict.update(strict)
        self.strict.difference_update(others)

    def set_locks(self, told: tuple[Iterable[int], Iterable[ServiceLocks]]) -> None:
        """Services, and the locks of those that have any."""
        service_ids, rows = told
        for service_id in service_ids:
            self.locks.pop(service_id, None)
        for locks in rows:
            self.locks[locks.service_id] = locks

    def set_nas(self, rows: Iterable[NasRow]) -> None:
        """All NAS entries; what was counted for those that stay goes on."""
        counts = {client.nas_id: client.counts for client in self.clients.all()}
        clients = []
        for row in rows:
            client = Client(row)
            client.counts = counts.get(row.nas_id, {})
            clients.append((row.address, client))
        self.clients = Clients(clients)

    def set_pools(self, rows: Iterable[tuple[str, str]]) -> None:
        """All our pools; leases of one that is gone go with it."""
        self.pools = dict(rows)
        self.leases = {name: self.leases.get(name, {}) for name in self.pools}
        for entry in self.policies.values():
            entry.forget_encoded()

    def set_leases(self, rows: Iterable[tuple[str, int, bytes | None]]) -> None:
        for pool, service_id, attributes in rows:
            held = self.leases.get(pool)
            if held is None:
                continue  # its pool was deleted since, or renamed: then all of its leases are told anew
            if attributes is None:
                held.pop(service_id, None)
            else:
                held[service_id] = attributes

    def set_balances(self, rows: Iterable[tuple[int, int | None, int | None]]) -> None:
        for service_id, octets, seconds in rows:
            if octets is None and seconds is None:
                self.balances.pop(service_id, None)
            else:
                self.balances[service_id] = octets, seconds

    def drop_unused_policies(self) -> None:
        """Each service with a static address leaves a policy behind whenever its plan changes.

        Called at a revision, when every policy that was told has been referred to if it ever is.
        """
        if len(self.policies) < self._drop_policies_at:
            return
        used = {subscriber.entry.fingerprint for subscriber in self.subscribers.values()}
        used |= {client.emergency_fingerprint or "" for client in self.clients.all()}
        self.policies = {fingerprint: entry for fingerprint, entry in self.policies.items() if fingerprint in used}
        self._drop_policies_at = len(self.policies) * 5 // 4 + POLICIES_SPARE

    def _remove(self, service_id: int, login: bytes) -> None:
        del self._logins[service_id]
        # The login may already belong to another service, told in the same batch before this one.
        subscriber = self.subscribers.get(login)
        if subscriber is not None and subscriber.service_id == service_id:
            del self.subscribers[login]

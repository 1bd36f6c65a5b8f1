"""The simulated router is configured: by other people's clients, and by whatever commands come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import librouteros
import pytest
import routeros_api
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from librouteros.exceptions import TrapError
from librouteros.query import And, Key
from routeros_api.exceptions import RouterOsApiCommunicationError
from routeros_boxes import PASSWORD, USER, Box, Clock, box, do, lone_router, rows

from provisioning.routeros.schema import MENUS
from provisioning.simulators.routeros import Router, Version
from provisioning.simulators.routeros.command import Caller
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.query import matches

FILTER = "/ip/firewall/filter"


@pytest.fixture
def router() -> Iterator[Box]:
    with box() as found:
        yield found


@pytest.fixture
def libre(router: Box) -> Any:
    return librouteros.connect("127.0.0.1", USER, PASSWORD, port=router.server.port, encoding="utf-8", timeout=5)


@pytest.fixture
def other(router: Box) -> Iterator[Any]:
    pool = routeros_api.RouterOsApiPool("127.0.0.1", USER, PASSWORD, port=router.server.port, plaintext_login=True)
    yield pool.get_api()
    pool.disconnect()


def test_librouteros_sets_up_a_plan_and_a_subscriber(libre: Any) -> None:
    pools, profiles, secrets = libre.path("ip", "pool"), libre.path("ppp", "profile"), libre.path("ppp", "secret")
    pool_id = pools.add(name="clientes", ranges="100.64.0.2-100.64.3.254")
    profiles.add(
        **{"name": "100M", "local-address": "100.64.0.1", "remote-address": "clientes", "rate-limit": "50M/100M"}
    )
    secret_id = secrets.add(name="ana", password="s3nha", profile="100M", service="pppoe", comment="Ana — contrato 7")
    (row,) = secrets.select(Key("name"), Key("profile"), Key("comment"), Key("limit-bytes-in")).where(
        And(Key("name") == "ana", Key("service") == "pppoe")
    )
    assert row == {"name": "ana", "profile": "100M", "comment": "Ana — contrato 7", "limit-bytes-in": 0}
    secrets.update(**{".id": secret_id, "disabled": "yes", "comment": ""})
    (row,) = secrets
    assert (row["disabled"], "comment" in row) == (True, False)
    with pytest.raises(TrapError, match="in use by profile"):
        pools.remove(pool_id)
    tuple(libre("/ppp/secret/enable", **{".id": "ana"}))  # by its name, too
    (row,) = secrets
    assert row["disabled"] is False
    secrets.remove(secret_id)
    assert list(secrets) == []


def test_routeros_api_keeps_an_address_list(other: Any) -> None:
    entries = other.get_resource("/ip/firewall/address-list")
    entries.add(list="bloqueados", address="100.64.0.9/32", comment="fatura 12")
    entries.add(list="bloqueados", address="100.64.0.10")
    with pytest.raises(RouterOsApiCommunicationError, match="already have such entry"):
        entries.add(list="bloqueados", address="100.64.0.9")
    (found,) = entries.get(address="100.64.0.9")
    assert (found["list"], found["comment"], found["dynamic"]) == ("bloqueados", "fatura 12", "false")
    entries.set(id=found["id"], comment="fatura 13", disabled="true")
    assert entries.get(comment="fatura 13")[0]["disabled"] == "true"
    entries.remove(id=found["id"])
    assert [one["address"] for one in entries.get()] == ["100.64.0.10"]


def test_both_see_the_order_of_the_firewall(libre: Any, other: Any) -> None:
    rules = libre.path("ip", "firewall", "filter")
    ids = [rules.add(chain="forward", action="accept", comment=name) for name in "abcd"]
    rules.add(**{"chain": "forward", "action": "drop", "comment": "e", "place-before": ids[0]})
    tuple(libre(f"{FILTER}/move", numbers=f"{ids[3]},{ids[2]}", destination=ids[0]))
    seen = [row["comment"] for row in other.get_resource(FILTER).get()]
    assert seen == ["e", "d", "c", "a", "b"]
    other.get_resource(FILTER).call("move", {"numbers": ids[3]})
    assert [row["comment"] for row in rules] == ["e", "c", "a", "b", "d"]
    tuple(libre(f"{FILTER}/move", numbers=ids[0], destination="*FFFF"))  # last, without a word, as real ones do
    tuple(libre(f"{FILTER}/move", numbers="3", destination="0"))  # positions, from 0
    assert [row["comment"] for row in rules] == ["d", "e", "c", "b", "a"]
    with pytest.raises(TrapError, match="can not move object before itself"):
        tuple(libre(f"{FILTER}/move", numbers=ids[0], destination=ids[0]))


def test_a_setting_without_rows_is_set_without_an_id(other: Any, libre: Any) -> None:
    other.get_resource("/ppp/aaa").set(use_radius="yes", interim_update="300")
    (row,) = libre("/ppp/aaa/print")
    assert (row["use-radius"], row["interim-update"], ".id" in row) == (True, "5m", False)


@pytest.mark.parametrize(
    ("word", "arguments", "message", "category"),
    [
        ("/ppp/secret/add", {"name": "a", "profile": "gone"}, "input does not match any value of profile", 1),
        ("/ppp/secret/add", {"name": "a", "service": "carrier"}, "input does not match any value of service", 1),
        ("/ppp/secret/add", {"name": "a", "limit-bytes-in": "1k"}, "invalid value for argument limit-bytes-in", 1),
        ("/ppp/secret/add", {"name": "a", "colour": "blue"}, "unknown parameter colour", None),
        ("/ppp/secret/add", {"name": "a", "last-logged-out": "x"}, "unknown parameter last-logged-out", None),
        ("/ip/pool/add", {"name": "a"}, "missing value(s) of argument(s) ranges", 1),
        ("/ip/pool/add", {"name": "a", "ranges": "10.0.0.1-10"}, "invalid value for argument ranges", 1),
        (
            "/interface/vlan/add",
            {"interface": "ether1", "vlan-id": "4096"},
            "value of vlan-id out of range (1..4095)",
            1,
        ),
        (
            "/interface/vlan/add",
            {"interface": "ether9", "vlan-id": "7"},
            "input does not match any value of interface",
            1,
        ),
        ("/ppp/secret/set", {".id": "*99", "disabled": "yes"}, "no such item", 0),
        ("/ppp/secret/remove", {}, "missing =.id=", 1),
        ("/ppp/profile/remove", {".id": "*0"}, "failure: can not remove default", None),
        ("/ppp/profile/set", {".id": "default", "name": "other"}, "failure: can not change name of default", None),
        ("/ip/service/add", {"name": "x"}, "no such command", 0),
        ("/ip/service/set", {"numbers": "www", "name": "x"}, "unknown parameter name", None),
        ("/ppp/secret/move", {"numbers": "*1"}, "no such command", 0),
        ("/queue/simple/add", {"target": "10.0.0.1", "max-limit": "fast"}, "invalid value for argument max-limit", 1),
        (
            "/queue/simple/add",
            {"target": "10.0.0.1", "queue": "x/default"},
            "input does not match any value of queue",
            1,
        ),
        (
            f"{FILTER}/add",
            {"chain": "input", "in-interface": "!gone"},
            "input does not match any value of interface",
            1,
        ),
        (f"{FILTER}/unset", {".id": "*1", "value-name": "colour"}, "input does not match any value of value-name", 1),
    ],
)
def test_what_is_no_value_is_refused_in_the_routers_words(
    word: str, arguments: dict[str, str], message: str, category: int | None
) -> None:
    router = lone_router()
    with pytest.raises(Refused) as refused:
        do(router, word, **arguments)
    assert (refused.value.message, refused.value.category) == (message, category)
    assert rows(router, "/system/history") == []


def test_a_command_about_several_rows_is_done_for_all_or_none() -> None:
    router = lone_router()
    for name in ("a", "b"):
        do(router, "/ppp/secret/add", name=name)
    with pytest.raises(Refused, match="no such item"):
        do(router, "/ppp/secret/set", numbers="a,gone", disabled="yes")
    with pytest.raises(Refused, match="secret with the same name already exists"):
        do(router, "/ppp/secret/set", numbers="a,b", name="c")
    assert [(row["name"], row["disabled"]) for row in rows(router, "/ppp/secret")] == [("a", "false"), ("b", "false")]
    do(router, "/ppp/secret/set", numbers="a,b", disabled="yes")
    do(router, "/ppp/secret/remove", numbers="a,b")
    assert rows(router, "/ppp/secret") == []


def test_unset_and_an_exclamation_mark_take_a_value_away() -> None:
    router = lone_router()
    do(router, f"{FILTER}/add", chain="forward", protocol="tcp", dst_port="80", comment="web", log="yes")
    do(router, f"{FILTER}/unset", _id="*1", value_name="dst-port")
    do(router, f"{FILTER}/set", **{".id": "*1", "!protocol": "", "!log": "", "src-address": "10.0.0.0/8"})
    (row,) = rows(router, FILTER)
    assert not {"protocol", "dst-port"} & row.keys()
    assert (row["log"], row["src-address"]) == ("false", "10.0.0.0/8")


def test_who_is_renamed_is_renamed_where_he_is_named() -> None:
    router = lone_router()
    do(router, "/interface/vlan/add", name="v7", interface="ether2", vlan_id="7")
    do(router, "/ip/address/add", address="10.0.0.1/24", interface="v7")
    do(router, "/interface/set", numbers="v7", name="uplink", comment="fibra")
    (address,) = rows(router, "/ip/address")
    assert (address["interface"], address["network"], address["actual-interface"]) == ("uplink", "10.0.0.0", "uplink")
    with pytest.raises(Refused, match="in use by address"):
        do(router, "/interface/vlan/remove", numbers="uplink")
    with pytest.raises(Refused, match="already have interface with such name"):
        do(router, "/interface/ethernet/set", numbers="ether1", name="uplink")


def test_vlans_are_interfaces_under_the_same_id() -> None:
    router = lone_router()
    vlan_id = do(router, "/interface/vlan/add", name="v7", interface="ether2", vlan_id="7")
    seen = {row[".id"]: (row["name"], row["type"]) for row in rows(router, "/interface")}
    assert seen[vlan_id] == ("v7", "vlan")
    assert [name for name, kind in seen.values() if kind == "ether"] == [f"ether{number}" for number in range(1, 6)]


@pytest.mark.parametrize(("version", "printed"), [(Version.V7_22, True), (Version.V7_23, False)])
def test_what_nobody_said_of_a_rule_is_not_printed_from_7_23_on(version: Version, printed: bool) -> None:
    router = lone_router(version)
    do(router, f"{FILTER}/add", chain="forward")
    do(router, f"{FILTER}/add", chain="forward", disabled="yes", log="yes")
    first, second = rows(router, FILTER)
    assert ({"disabled", "log", "log-prefix"} <= first.keys()) is printed
    assert (second["disabled"], second["log"], first["action"]) == ("true", "true", "accept")
    assert len(rows(router, FILTER, where=("disabled=false",))) == (1 if printed else 0)


def test_a_fasttrack_rule_brings_a_dummy_that_nothing_goes_before() -> None:
    router = lone_router()
    first = do(router, f"{FILTER}/add", chain="input")
    fast = do(router, f"{FILTER}/add", chain="forward", action="fasttrack-connection")
    dummy = rows(router, FILTER)[0]
    assert (dummy["dynamic"], dummy["action"]) == ("true", "passthrough")
    for word, arguments in (
        ("move", {"numbers": fast, "destination": dummy[".id"]}),
        ("add", {"chain": "input", "place-before": dummy[".id"]}),
        ("set", {"numbers": dummy[".id"], "comment": "x"}),
        ("remove", {"numbers": dummy[".id"]}),
    ):
        with pytest.raises(Refused, match="dynamic"):
            do(router, f"{FILTER}/{word}", **arguments)
    do(router, f"{FILTER}/move", numbers=fast, destination=first)
    do(router, f"{FILTER}/remove", numbers=fast)
    assert [row[".id"] for row in rows(router, FILTER)] == [first]


def test_an_entry_with_a_timeout_ends_with_the_clock() -> None:
    clock = Clock()
    router = lone_router(clock=clock)
    do(router, "/ip/firewall/address-list/add", list="l", address="10.0.0.1", timeout="90s")
    do(router, "/ip/firewall/address-list/add", list="l", address="10.0.0.2")
    assert [(row["dynamic"], row.get("timeout")) for row in rows(router, "/ip/firewall/address-list")] == [
        ("true", "1m30s"), ("false", None),
    ]  # fmt: skip
    clock.now += 30
    assert rows(router, "/ip/firewall/address-list")[0]["timeout"] == "1m"
    clock.now += 60
    assert [row["address"] for row in rows(router, "/ip/firewall/address-list")] == ["10.0.0.2"]


QUERIES = st.sampled_from([
    "name=n1", "=name=n1", "name=gone", ".id=*2", ".id=2", ".id=*x", "-comment", "comment", "list=l",
    "address=10.0.0.1", "", "#!", "#|", "disabled=false", "<name=n2", ">name=n1",
])  # fmt: skip


@given(st.lists(QUERIES, max_size=4))
def test_a_query_finds_what_it_would_find_among_all_rows(queries: list[str]) -> None:
    router = lone_router()
    for number in range(3):
        do(router, "/ppp/secret/add", name=f"n{number}", **({"comment": "x"} if number else {}))
        do(router, "/ip/firewall/address-list/add", list="l", address=f"10.0.0.{number}")
    for menu in ("/ppp/secret", "/ip/firewall/address-list", "/ppp/aaa"):
        expected = [row for row in rows(router, menu) if matches(row, queries)]
        assert rows(router, menu, where=tuple(queries)) == expected


@pytest.mark.parametrize(
    ("version", "menu", "field", "known"),
    [
        (Version.V6_49, "/ppp/profile", "comment", False),
        (Version.V7_12, "/ppp/profile", "comment", True),
        (Version.V7_12, "/radius", "require-message-auth", False),
        (Version.V7_18, "/radius", "require-message-auth", True),
        (Version.V7_12, "/interface/pppoe-server/server", "pppoe-over-vlan-range", False),
        (Version.V7_18, "/interface/pppoe-server/server", "pppoe-over-vlan-range", True),
        (Version.V7_18, "/interface/pppoe-server/server", "accept-untagged", False),
        (Version.V7_22, "/interface/pppoe-server/server", "accept-untagged", True),
        (Version.V6_49, "/system/ntp/client", "primary-ntp", True),
        (Version.V7_12, "/system/ntp/client", "primary-ntp", False),
    ],
)
def test_a_release_knows_its_fields(version: Version, menu: str, field: str, known: bool) -> None:
    router = lone_router(version)
    word = f"{menu}/set" if MENUS[menu].single else f"{menu}/add"
    try:
        do(router, word, **{field: "yes", "interface": "ether1"} if "server" in menu else {field: "yes"})
        message = ""
    except Refused as refused:
        message = refused.message
    assert (not message.startswith("unknown parameter")) is known


@pytest.mark.parametrize(
    ("version", "word", "known"),
    [
        (Version.V7_12, "/safe-mode/take", False),
        (Version.V7_18, "/safe-mode/get", True),
        (Version.V6_49, "/file/read", False),
        (Version.V7_18, "/file/read", True),
        (Version.V7_12, "/system/device-mode/print", False),
        (Version.V7_18, "/system/device-mode/print", True),
    ],
)
def test_a_release_knows_its_commands(version: Version, word: str, known: bool) -> None:
    try:
        do(lone_router(version), word)
        message = ""
    except Refused as refused:
        message = refused.message
    assert message.startswith("no such command") is not known


def user(router: Router, *policies: str) -> Caller:
    do(router, "/user/group/add", name="some", policy=",".join(policies))
    do(router, "/user/add", name="someone", group="some", password="x")
    return Caller("someone", router.policies_of("someone"))


def test_who_may_only_read_changes_nothing_and_sees_no_secrets() -> None:
    router = lone_router()
    do(router, "/ppp/secret/add", name="ana", password="s3nha")
    reader = user(router, "read", "api")
    (row,) = rows(router, "/ppp/secret", by=reader)
    assert "password" not in row
    for word in ("/ppp/secret/add", "/system/reboot", "/safe-mode/take", "/undo"):
        with pytest.raises(Refused, match=r"^not enough permissions \(9\)$"):
            do(router, word, by=reader)
    assert rows(router, "/ppp/secret")[0]["password"] == "s3nha"
    assert all("password" not in row for row in rows(router, "/user"))


@pytest.mark.parametrize(
    ("version", "last"), [(Version.V6_49, "romon,!dude,!tikapp"), (Version.V7_18, "romon,!rest-api")]
)
def test_a_group_shows_what_it_lacks_and_knows_only_policies(version: Version, last: str) -> None:
    router = lone_router(version)
    do(router, "/user/group/add", name="some", policy="romon,read,!write")
    (shown,) = rows(router, "/user/group", where=("name=some",))
    assert (shown["policy"][:18], shown["policy"].endswith(last)) == ("!local,!telnet,!ss", True)
    assert {"read", "!write"} < set(shown["policy"].split(","))
    with pytest.raises(Refused, match="input does not match any value of policy"):
        do(router, "/user/group/set", numbers="some", policy="read,everything")


def test_users_are_rows_and_only_some_come_in() -> None:
    router = lone_router()
    user(router, "read")
    assert router.password_of("someone") is None  # without the policy api
    do(router, "/user/group/set", numbers="some", policy="read,api")
    assert router.password_of("someone") == "x"
    with pytest.raises(Refused, match="group has some users"):
        do(router, "/user/group/remove", numbers="some")
    do(router, "/user/disable", numbers="someone")
    assert router.password_of("someone") is None
    writer = Caller("w", frozenset({"read", "write", "api"}))
    with pytest.raises(Refused, match="not enough permissions"):
        do(router, "/user/add", by=writer, name="w2", group="full")


NAMES = st.sampled_from([f"n{number}" for number in range(6)])


class Configuring(RuleBasedStateMachine):
    """Whatever is said, and whatever is refused: ids are one's own, who is named is there, order is of the rows."""

    items = Bundle("items")

    def __init__(self) -> None:
        super().__init__()
        self.router = lone_router()
        self.ids: set[str] = set()
        self.comments: list[str] = []

    def attempt(self, word: str, **arguments: str) -> str | None:
        try:
            return do(self.router, word, **arguments)
        except Refused:
            return None

    def added(self, found: str | None, menu: str) -> Any:
        if found is None:
            return multiple()
        assert (menu, found) not in self.ids
        self.ids.add((menu, found))  # type: ignore[arg-type]
        return menu, found

    @rule(target=items, name=NAMES, next_pool=NAMES)
    def add_pool(self, name: str, next_pool: str) -> Any:
        return self.added(self.attempt("/ip/pool/add", name=name, ranges="10.0.0.0/24", next_pool=next_pool)
                          or self.attempt("/ip/pool/add", name=name, ranges="10.0.0.0/24"), "/ip/pool")  # fmt: skip

    @rule(target=items, name=NAMES, pool=NAMES)
    def add_profile(self, name: str, pool: str) -> Any:
        return self.added(self.attempt("/ppp/profile/add", name=name, remote_address=pool), "/ppp/profile")

    @rule(target=items, name=NAMES, profile=NAMES)
    def add_secret(self, name: str, profile: str) -> Any:
        return self.added(self.attempt("/ppp/secret/add", name=name, profile=profile), "/ppp/secret")

    @rule(target=items, action=st.sampled_from(["accept", "drop", "fasttrack-connection"]), before=items)
    def add_rule(self, action: str, before: tuple[str, str]) -> Any:
        place = {"place_before": before[1]} if before[0] == FILTER else {}
        return self.added(self.attempt(f"{FILTER}/add", chain="forward", action=action, **place), FILTER)

    @rule(target=items)
    def add_first_rule(self) -> Any:
        return self.added(self.attempt(f"{FILTER}/add", chain="input"), FILTER)

    @rule(item=items, name=NAMES)
    def rename(self, item: tuple[str, str], name: str) -> None:
        self.attempt(f"{item[0]}/set", _id=item[1], name=name)

    @rule(item=consumes(items))
    def remove(self, item: tuple[str, str]) -> None:
        if self.attempt(f"{item[0]}/remove", _id=item[1]) is not None:
            assert item[1] not in {row[".id"] for row in rows(self.router, item[0])}

    @rule(items=st.lists(items, min_size=1, max_size=4), destination=items)
    def move(self, items: list[tuple[str, str]], destination: tuple[str, str]) -> None:
        before = [row[".id"] for row in rows(self.router, FILTER)]
        numbers = ",".join(item[1] for item in items if item[0] == FILTER)
        place = {"destination": destination[1]} if destination[0] == FILTER else {}
        self.attempt(f"{FILTER}/move", numbers=numbers, **place)
        assert sorted(row[".id"] for row in rows(self.router, FILTER)) == sorted(before)

    @rule()
    def undo(self) -> None:
        self.attempt("/undo")

    @invariant()
    def ids_are_ones_own_and_who_is_named_is_there(self) -> None:
        names = {menu: {row["name"] for row in rows(self.router, menu)} for menu in ("/ip/pool", "/ppp/profile")}
        assert {row["next-pool"] for row in rows(self.router, "/ip/pool")} <= names["/ip/pool"] | {"none"}
        assert {row["profile"] for row in rows(self.router, "/ppp/secret")} <= names["/ppp/profile"]
        pools = {row["remote-address"] for row in rows(self.router, "/ppp/profile") if "remote-address" in row}
        assert pools <= names["/ip/pool"]
        for menu in ("/ip/pool", "/ppp/profile", "/ppp/secret", FILTER):
            found = rows(self.router, menu)
            assert len({row[".id"] for row in found}) == len(found)
            assert menu == FILTER or len({row["name"] for row in found}) == len(found)

    @invariant()
    def the_dummy_is_first_where_fasttrack_is(self) -> None:
        found = rows(self.router, FILTER)
        fast = any(row["action"] == "fasttrack-connection" for row in found)
        assert [row["dynamic"] for row in found] == ["true" if fast and not at else "false" for at in range(len(found))]


TestConfiguring = Configuring.TestCase
TestConfiguring.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

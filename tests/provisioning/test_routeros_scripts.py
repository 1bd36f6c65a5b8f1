"""The simulated router does what scripts, schedulers, imports and exports say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routeros_boxes import Clock, do, lone_router, rows

from provisioning.routeros.schema import MENUS
from provisioning.simulators.routeros import SYSTEM, Router, Version, load
from provisioning.simulators.routeros.command import Caller, Command
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.export import _menus
from provisioning.simulators.routeros.scripting import ScriptError, quote, read
from provisioning.simulators.routeros.scripting.syntax import Statement, Text

FILTER = "/ip/firewall/filter"


def run(router: Router, script: str, by: Caller | None = None) -> str:
    given = {} if by is None else {"by": by}
    return do(router, "/execute", script=script, as_string="", **given)  # type: ignore[arg-type]


def names(router: Router, menu: str = "/ppp/secret") -> list[str]:
    return [row["name"] for row in rows(router, menu)]


@pytest.fixture
def router() -> Router:
    found = lone_router()
    for name in ("ana", "eva", "joão"):
        do(found, "/ppp/secret/add", name=name, comment=f"provedor:{name}", service="pppoe")
    return found


@pytest.mark.parametrize(
    "script",
    [
        '/ppp secret set [find name="eva"] disabled=yes',
        "/ppp secret disable [find name=eva]",
        "/ppp secret disable eva",
        "/ppp secret disable *2",
        "/ppp/secret/disable [find where name=eva]",
        '/ppp secret\ndisable [ find comment~"^provedor:e" ]',
        "# a comment\n/ppp secret; disable [find comment=\"provedor:eva\" and service=pppoe]",
        ":local who eva\n/ppp secret set [find name=$who] disabled=yes",
        ':local who "ev"; /ppp secret set [find name="$[:put $who]a"] disabled=yes',
        ':foreach one in=[/ppp secret find name~"v"] do={ /ppp secret disable $one }',
        ":do { /ppp secret remove gone } on-error={ /ppp secret disable eva }",
        ":if ([:len [/ppp secret find]] = 3) do={ /ppp secret disable eva } else={ /ppp secret disable ana }",
        ":if ([/ppp secret get eva service] = \"pppoe\" && !false) do={ /ppp secret disable eva }",
        "/ppp secret set \\\n    [find name=eva] \\\n    disabled=yes",
        ":if ([/ppp secret print count-only where service=pppoe] = 3) do={ /ppp secret disable eva }",
        ':if ("a" . "b" = "ab") do={\n  :if (2 > 10) do={ /ppp secret disable ana }\n  /ppp secret disable eva\n}',
    ],
)  # fmt: skip
def test_it_is_said_in_many_ways(router: Router, script: str) -> None:
    run(router, script)
    assert {row["name"]: row["disabled"] for row in rows(router, "/ppp/secret")} == {
        "ana": "false", "eva": "true", "joão": "false",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("/ppp secret set [find name=eva", "syntax error (line 1 column 31)"),
        ("/ppp secret\n  frobnicate x", "bad command name frobnicate (line 2 column 3)"),
        ("/pppp secret add name=x", "bad command name pppp (line 1 column 1)"),
        ('/ppp secret add name="x', "syntax error (line 1 column 24)"),
        ("/ppp secret add name=x colour=blue", "expected end of command (line 1 column 24)"),
        ("\n/ppp secret add name=eva", "failure: secret with the same name already exists (/ppp/secret/add; line 2)"),
        (':error "no more"', "no more"),
        ("/ppp secret add name=x profile=gone", "input does not match any value of profile (/ppp/secret/add; line 1)"),
    ],
)
def test_what_fails_says_where(router: Router, script: str, message: str) -> None:
    with pytest.raises(Refused) as refused:
        run(router, script)
    assert (refused.value.message, refused.value.category) == (message, 3)


def test_an_error_of_syntax_is_one_before_anything_is_done(router: Router) -> None:
    with pytest.raises(Refused):
        run(router, '/ppp secret remove ana\n/ppp secret remove "')
    with pytest.raises(Refused):
        run(router, "/ppp secret remove ana\n/ppp secret remove gone")
    assert names(router) == ["eva", "joão"]  # what fails later has done what came before


def test_what_a_release_does_not_know_is_an_error_that_on_error_does_not_catch() -> None:
    script = ":do { /ppp profile add name=x comment=y } on-error={ }\n/ppp secret add name=z"
    with pytest.raises(Refused, match=r"expected end of command \(line 1 column 31\)"):
        run(lone_router(Version.V6_49), script)
    router = lone_router(Version.V7_18)
    run(router, script)
    assert names(router) == ["z"]


def test_what_is_not_found_is_not_changed(router: Router) -> None:
    run(router, "/ppp secret remove [find name=gone]; /ppp secret set [find name=gone] disabled=yes")
    assert len(names(router)) == 3


def test_6_knows_no_paths_with_slashes() -> None:
    with pytest.raises(Refused, match="expected command name"):
        run(lone_router(Version.V6_49), "/ppp/secret/add name=x")
    router = lone_router(Version.V6_49)
    run(router, "/ppp secret add name=x")
    assert names(router) == ["x"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text('"\\$ \n\t?_;#{}[]=', max_size=20)


@given(TEXTS)
def test_a_string_is_read_as_it_was_quoted(text: str) -> None:
    (statement,) = read(f"add comment={quote(text)} disabled=yes")
    assert [one.value for one in statement.arguments[1:]] == [Text(text), Text("yes")]


@given(TEXTS, TEXTS)
def test_a_command_in_a_command_is_quoted_twice(name: str, comment: str) -> None:
    inner = f"/ppp secret add name={quote(name)} comment={quote(comment)}"
    (statement,) = read(f"add on-event={quote(inner)}")
    value = statement.arguments[1].value
    assert isinstance(value, Text)
    (again,) = read(value.text)
    assert [one.value for one in again.arguments[3:]] == [Text(name), Text(comment)]


@given(st.text(st.sampled_from('/ppp add{}[]()"\\$=:;\n#~ andx1.'), max_size=60))
@settings(max_examples=300)
def test_whatever_is_read_is_statements_or_an_error(text: str) -> None:
    try:
        found: Iterable[Statement] = read(text)
    except ScriptError:
        return
    assert all(one.arguments for one in found)


def test_a_scheduler_runs_from_its_start_every_interval_by_the_clock() -> None:
    clock = Clock(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())
    router = lone_router(clock=clock)
    do(router, "/system/scheduler/add", name="s", interval="5m",
       on_event="/ppp secret add comment=[/system clock get time]")  # fmt: skip
    (row,) = rows(router, "/system/scheduler")
    assert (row["next-run"], row["run-count"], row["start-time"]) == ("2026-11-27 12:05:00", "0", "12:00:00")
    clock.now += 299
    assert rows(router, "/ppp/secret") == []
    clock.now += 1
    assert [row["comment"] for row in rows(router, "/ppp/secret")] == ["12:05:00"]
    clock.now += 3600  # nobody asked: it is done once
    assert len(rows(router, "/ppp/secret")) == 2
    (row,) = rows(router, "/system/scheduler")
    assert (row["next-run"], row["run-count"]) == ("2026-11-27 13:10:00", "2")
    do(router, "/system/scheduler/disable", numbers="s")
    clock.now += 3600
    assert len(rows(router, "/ppp/secret")) == 2


def test_a_dead_mans_switch_takes_itself_away_and_undoes() -> None:
    """As whoever changes a router arms it."""
    clock = Clock()
    router = lone_router(Version.V6_49, clock=clock)
    keep = do(router, f"{FILTER}/add", chain="forward", comment="keep")
    at = datetime.fromtimestamp(clock.now + 120, UTC)
    undo = (
        "/system scheduler remove [find name=provedor-undo]\n"
        f'/ip firewall filter remove [find comment="provedor: new"]\n/ip firewall filter set {keep} disabled=no'
    )
    do(router, "/system/scheduler/add", name="provedor-undo", on_event=undo, start_time=at.strftime("%H:%M:%S"),
       start_date=at.strftime("%b/%d/%Y").lower())  # fmt: skip
    do(router, f"{FILTER}/add", chain="forward", comment="provedor: new")
    do(router, f"{FILTER}/disable", numbers=keep)
    clock.now += 119
    assert [row["comment"] for row in rows(router, FILTER)] == ["keep", "provedor: new"]
    clock.now += 2
    assert [(row["comment"], row["disabled"]) for row in rows(router, FILTER)] == [("keep", "false")]
    assert rows(router, "/system/scheduler") == []


def test_entries_that_are_due_together_may_take_one_another_away() -> None:
    clock = Clock()
    router = lone_router(clock=clock)
    for name in ("a", "b", "c"):
        do(router, "/system/scheduler/add", name=name, interval="1m",
           on_event=f"/system scheduler remove [find name!={name}]; /ppp secret add name={name}")  # fmt: skip
    clock.now += 60
    assert names(router) == ["a"]
    assert names(router, "/system/scheduler") == ["a"]


def test_a_script_that_waits_goes_on_by_the_clock_and_dies_with_a_reboot() -> None:
    clock = Clock()
    router = lone_router(clock=clock)
    script = "/ppp secret add name=one\n:delay 10s\n/ppp secret add name=two\n:delay 1m\n/ppp secret add name=three"
    do(router, "/system/script/add", name="slow", source=script)
    do(router, "/system/script/run", numbers="slow")
    assert names(router) == ["one"]
    clock.now += 10
    assert names(router) == ["one", "two"]
    do(router, "/system/reboot")
    clock.now += 60
    assert names(router) == ["one", "two"]
    (row,) = rows(router, "/system/script")
    assert row["owner"] == "*sys"


def test_startup_runs_three_seconds_after_the_router_came_up() -> None:
    clock = Clock()
    router = lone_router(clock=clock)
    do(router, "/system/scheduler/add", name="s", start_time="startup", on_event="/ppp secret add")
    clock.now += 60
    assert names(router) == []
    do(router, "/system/reboot")
    clock.now += 2.9
    assert names(router) == []
    clock.now += 0.1
    assert names(router) == ["ppp1"]
    assert rows(router, "/system/resource")[0]["uptime"] == "3s"


def test_a_scheduler_runs_a_script_by_its_name_and_says_what_failed() -> None:
    clock = Clock()
    router = lone_router(clock=clock)
    do(router, "/system/script/add", name="job", source="/ppp secret add name=x")
    do(router, "/system/scheduler/add", name="s", interval="1m", on_event="job")
    clock.now += 120
    assert names(router) == ["x"]
    clock.now += 60
    router.tick()
    assert "secret with the same name" in rows(router, "/log")[-1]["message"]
    assert rows(router, "/system/script")[0]["run-count"] == "2"


def test_nobody_schedules_more_than_he_may() -> None:
    clock = Clock()
    router = lone_router(clock=clock)
    writer = Caller("w", frozenset({"read", "write", "api"}))
    for menu in ("/system/scheduler", "/system/script"):
        with pytest.raises(Refused, match="not enough permissions"):
            do(router, f"{menu}/add", by=writer, name="s", policy="read,write,reboot")
    do(router, "/system/scheduler/add", by=writer, name="s", interval="1m", on_event="/system reboot")
    assert rows(router, "/system/scheduler")[0]["policy"] == "read,write"
    clock.now += 60
    router.tick()
    assert "not enough permissions" in rows(router, "/log")[-1]["message"]
    do(router, "/system/script/add", name="strong", source="/ppp secret add", policy="read,write,policy")
    with pytest.raises(Refused, match="not enough permissions"):
        do(router, "/system/script/run", by=writer, numbers="strong")
    do(router, "/system/script/set", numbers="strong", dont_require_permissions="yes")
    do(router, "/system/script/run", by=writer, numbers="strong")
    assert names(router) == ["ppp1"]


@pytest.mark.parametrize(
    ("version", "mode", "allowed"),
    [
        (Version.V7_18, "home", False),
        (Version.V7_18, "basic", False),
        (Version.V7_18, "rose", True),
        (Version.V7_18, "advanced", True),
        (Version.V7_12, "home", True),
    ],
)
def test_device_mode_forbids_the_scheduler(version: Version, mode: str, allowed: bool) -> None:
    router = lone_router(version, device_mode=mode)
    if allowed:
        do(router, "/system/scheduler/add", name="s")
        return
    with pytest.raises(Refused, match=r"^failure: not allowed by device-mode$"):
        do(router, "/system/scheduler/add", name="s")
    assert rows(router, "/system/device-mode")[0]["mode"] == mode


# Exports


#: Longer than a line.
LONG = "a comment that is longer than a line, and is folded by the router in the middle of itself"
EXPORTED = r"""# 2026-11-27 12:00:00 by RouterOS 7.18
# software id =
#
/interface vlan
add interface=ether1 name=v7 vlan-id=7
add interface=v7 name=v7.1 vlan-id=1
/ip pool
add name=second ranges=10.0.1.0/24
add name=first next-pool=second ranges=10.0.0.2-10.0.0.254
/ppp profile
set *0 dns-server=1.1.1.1
add name="plano 10M" rate-limit=10M/10M remote-address=first
/ip firewall filter
add action=drop chain=forward comment="a comment that is longer than a line, a\
    nd is folded by the router in the middle of itself" \
    src-address-list=bloqueados
add action=fasttrack-connection chain=forward
/ip service
set telnet disabled=yes
/ppp aaa
set use-radius=yes
/ppp secret
add comment="Jo\C3\A3o n\C3\A3o pagou\?" name=ana profile="plano 10M"
/queue simple
add max-limit=10M/20M name=q target=10.0.0.0/24
"""


def furnish(router: Router) -> None:
    do(router, "/interface/vlan/add", name="v7", interface="ether1", vlan_id="7")
    do(router, "/interface/vlan/add", name="v7.1", interface="v7", vlan_id="1")
    do(router, "/ip/pool/add", name="first", ranges="10.0.0.2-10.0.0.254")
    do(router, "/ip/pool/add", name="second", ranges="10.0.1.0/24")
    do(router, "/ip/pool/set", numbers="first", next_pool="second")
    do(router, "/ppp/profile/add", name="plano 10M", remote_address="first", rate_limit="10M/10M")
    do(router, "/ppp/profile/set", numbers="default", dns_server="1.1.1.1")
    do(router, "/ppp/secret/add", name="ana", password='s"3\\n$ha', profile="plano 10M", comment="João não pagou?")
    do(router, "/ip/service/set", numbers="telnet", disabled="yes")
    do(router, "/ppp/aaa/set", use_radius="yes")
    do(router, "/queue/simple/add", name="q", target="10.0.0.0/24", max_limit="10M/20M")
    do(router, f"{FILTER}/add", chain="forward", action="drop", src_address_list="bloqueados", comment=LONG)
    do(router, f"{FILTER}/add", chain="forward", action="fasttrack-connection")


def test_an_export_is_as_a_router_writes_it() -> None:
    router = lone_router(clock=Clock(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()))
    furnish(router)
    do(router, "/export", file="all")
    (file,) = rows(router, "/file")
    assert (file["name"], file["type"]) == ("all.rsc", "script")
    assert file["contents"] == EXPORTED


@pytest.mark.parametrize(("version", "argument", "shown"), [
    (Version.V7_18, "", False), (Version.V7_18, "show-sensitive", True),
    (Version.V6_49, "", True), (Version.V6_49, "hide-sensitive", False),
])  # fmt: skip
def test_secrets_are_exported_when_the_release_shows_them(version: Version, argument: str, shown: bool) -> None:
    router = lone_router(version)
    do(router, "/ppp/secret/add", name="ana", password="s3nha")
    text = do(router, "/export", **({argument: ""} if argument else {}))
    assert ("s3nha" in text) is shown
    reader = Caller("r", frozenset({"read"}))
    assert "s3nha" not in do(router, "/export", by=reader, **({argument: ""} if argument else {}))


def everything(router: Router) -> dict[str, list[dict[str, str]]]:
    """Without ids and what the router counts."""
    found = {}
    for menu in _menus():
        seen = [
            {name: value for name, value in row.items() if name not in {".id", "next-run", "mac-address"}}
            for row in rows(router, menu)
        ]
        ordered = MENUS[menu].ordered is not None
        found[menu] = seen if ordered else sorted(seen, key=lambda row: sorted(row.items()))
    return found


def copied(router: Router, version: Version) -> Router:
    text = do(router, "/export", **({"show-sensitive": ""} if version.hides_secrets_in_exports else {}))
    other = lone_router(version)
    other.files.write("all.rsc", text, 0.0)
    do(other, "/import", file_name="all.rsc")
    return other


@pytest.mark.parametrize("version", [Version.V6_49, Version.V7_12, Version.V7_18, Version.V7_22])
def test_an_export_makes_another_router_the_same(version: Version) -> None:
    router = lone_router(version)
    furnish(router)
    assert everything(copied(router, version)) == everything(router)


LABELS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('"\\$?\n '), min_size=1, max_size=90
).filter(lambda text: "," not in text and text.strip())


@given(st.lists(st.tuples(LABELS, LABELS, st.booleans()), max_size=6, unique_by=lambda one: one[0]))
@settings(max_examples=100, deadline=None)
def test_whatever_is_said_in_a_row_comes_back_from_an_export(given_rows: list[tuple[str, str, bool]]) -> None:
    router = lone_router()
    for name, comment, disabled in given_rows:
        do(router, "/ppp/secret/add", name=name, comment=comment, password=comment[::-1],
           disabled="yes" if disabled else "no")  # fmt: skip
        do(router, f"{FILTER}/add", chain="forward", comment=comment, **({"dst-port": "80"} if disabled else {}))
    assert everything(copied(router, Version.V7_18)) == everything(router)


#: In the ways that routers write them: folded before a value and in the middle of one, one command a line, and menus
#: that are not played.
OF_A_ROUTER = r"""# 2025-01-21 15:50:57 by RouterOS 7.15.3
# software id = ABCD-EFGH
/interface bridge
add name=bridge-local port-cost-mode=short
/interface ethernet
set [ find default-name=ether1 ] comment="HACIA NODO" name=wan
/interface wireguard
add listen-port=13231 mtu=1420 name=wg0
/ip pool
add name=clientes ranges=\
    10.0.0.2-10.0.0.254
/port
set 0 name=serial0
/ppp profile
set *0 local-address=10.0.0.1 remote-address=clientes
set *FFFFFFFE use-encryption=required
/interface bridge port
add bridge=bridge-local interface=ether2
/ip firewall filter
add action=accept chain=forward comment="defconf: accept established,relate\
    d, \_untracked" connection-state=established,related,untracked
add action=drop chain=forward in-interface=wg0
/ip address add address=10.0.0.1/24 interface=wan network=10.0.0.0
/system scheduler
add interval=1d name=nightly on-event=":log info \"\$\"" policy=read,test \
    start-time=03:00:00
"""


def test_a_router_begins_with_what_another_exported_as_far_as_it_is_played() -> None:
    router = lone_router()
    assert load(router, OF_A_ROUTER, "provedor") == [
        "line 7: bad command name wireguard (line 7 column 12)",
        "line 12: bad command name port (line 12 column 1)",
        "line 22: input does not match any value of interface (/ip/firewall/filter/add; line 22)",
    ]
    assert rows(router, "/interface")[0]["name"] == "wan"
    assert [row["remote-address"] for row in rows(router, "/ppp/profile") if "remote-address" in row] == ["clientes"]
    (rule,) = rows(router, FILTER)
    assert rule["comment"] == "defconf: accept established,related,  untracked"
    assert rows(router, "/ip/address")[0]["interface"] == "wan"
    (job,) = rows(router, "/system/scheduler")
    assert (job["on-event"], job["owner"], job["policy"]) == (':log info "$"', "provedor", "read,test")
    assert rows(router, "/system/history") == []


def test_an_import_that_fails_leaves_what_came_before(router: Router) -> None:
    router.files.write("x.rsc", "/ppp secret\nadd name=one\nadd name=ana\nadd name=two\n", 0.0)
    with pytest.raises(Refused, match=r"^Script Error: failure: secret with the same name .*line 3\)$"):
        do(router, "/import", file_name="x.rsc")
    assert names(router) == ["ana", "eva", "joão", "one"]


def test_a_backup_is_loaded_with_a_reboot(router: Router) -> None:
    down: list[str] = []
    router.on_reboot.append(lambda: down.append("down"))
    do(router, "/system/backup/save", name="b", password="p")
    do(router, "/ppp/secret/remove", numbers="ana,eva")
    with pytest.raises(Refused, match="wrong password"):
        do(router, "/system/backup/load", name="b.backup", password="")
    with pytest.raises(Refused, match=r"missing value.* password"):
        do(router, "/system/backup/load", name="b.backup")
    do(router, "/system/backup/load", name="b.backup", password="p")
    assert (names(router), down) == (["ana", "eva", "joão"], ["down"])


def test_files_are_written_read_in_pieces_and_removed() -> None:
    router = lone_router()
    file_id = do(router, "/file/add", name="a.txt", contents="olá mundo")
    asked = Command("/file/read", {"file": "a.txt", "offset": "5", "chunk-size": "5"})
    assert [row["data"] for row in router.run(asked, SYSTEM).rows] == ["mundo"]  # octets, not characters
    do(router, "/file/remove", numbers=file_id)
    assert rows(router, "/file") == []
    with pytest.raises(Refused, match="contents too long"):
        do(router, "/file/add", name="big", contents="x" * 70_000)

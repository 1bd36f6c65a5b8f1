"""The configuration off a simulated router over real sockets, as text that another router can be made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from routeros_boxes import USER, Box, box, do, rows

from provisioning.backups.actions import action_of
from provisioning.backups.difference import Compared, difference, digest, masked
from provisioning.backups.reading import FILE, NO_SECRETS, ReadBy, Reading, read_configuration
from provisioning.backups.restoring import restore
from provisioning.backups.rows import ROW_MENUS
from provisioning.backups.statements import VERBS, VOLATILE, Statement, statements
from provisioning.routeros.client import RouterOs
from provisioning.routeros.errors import RouterOsError
from provisioning.routeros.schema import Release
from provisioning.simulators.routeros import Fault, FaultKind, Router, Version, When, load

VERSIONS = [Version.V6_49, Version.V7_12, Version.V7_18, Version.V7_23]


def configure(router: Router, secrets: int = 3) -> None:
    do(router, "/ip/pool/add", name="homes", ranges="100.64.0.2-100.64.3.254")
    do(router, "/ip/pool/add", name="first", ranges="10.0.0.0/24", next_pool="homes")
    do(router, "/ppp/profile/add", name="home", local_address="100.64.0.1", remote_address="first", rate_limit="5M/20M")
    do(router, "/ppp/aaa/set", use_radius="yes", interim_update="5m")
    do(router, "/radius/add", service="ppp", address="192.0.2.10", secret='s3cr"et $1')
    do(router, "/interface/ethernet/set", numbers="ether1", name="uplink to São Paulo")
    do(router, "/ip/service/set", numbers="telnet", disabled="yes")
    do(router, "/ip/firewall/filter/add", chain="forward", action="drop", comment="x" * 120, protocol="tcp")
    do(router, "/ip/firewall/filter/add", chain="forward", action="accept")
    for number in range(secrets):
        do(router, "/ppp/secret/add", name=f"user{number:05}", password=f"pass{number:05}", profile="home")


@contextmanager
def configured(version: Version, secrets: int = 3) -> Iterator[Box]:
    with box(version=version) as one:
        configure(one.router, secrets)
        yield one


def read(one: Box, **given: object) -> Reading:
    client = RouterOs(one.access(**given), timeout_s=5.0)
    try:
        return read_configuration(client, USER, lambda _: None)
    finally:
        client.close()


@pytest.mark.parametrize("version", [Version.V6_49, Version.V7_12])
def test_before_7_13_small_files_of_other_menus_are_read_and_long_ones_named(version: Version) -> None:
    """The menus that we ask for stand for those of a real router that the simulated one does not have."""
    with configured(version, 3000) as one:
        client = RouterOs(one.access(), timeout_s=5.0)
        reading = read_configuration(client, USER, lambda _: None, ("/ip/pool", "/ppp/secret", "/no/such/menu"))
        client.close()
        assert reading.left_out[1:] == ("/ppp/secret",)
        assert reading.text.count("add name=homes") == 1
        assert reading.text.count("add name=user0") == 3000
        assert files(one) == []


def files(one: Box) -> list[str]:
    return [row["name"] for row in rows(one.router, "/file")]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_export_comes_whole_with_its_secrets_and_leaves_no_file(version: Version) -> None:
    with configured(version) as one:
        reading = read(one)
        assert (reading.read_by, reading.left_out) == (ReadBy.EXPORT, ())
        assert r"s3cr\"et \$1" in reading.text
        assert files(one) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("secrets", [3, 3000])
def test_another_router_made_from_it_is_configured_alike(version: Version, secrets: int) -> None:
    """6.49 and 7.12 show no file as long as that of 3000 secrets, and are read by rows."""
    with configured(version, secrets) as one:
        reading = read(one)
        by_rows = secrets == 3000 and version in {Version.V6_49, Version.V7_12}
        assert reading.read_by is (ReadBy.ROWS if by_rows else ReadBy.EXPORT)
        other = Router(version, {"admin": ""}, clock=one.router.clock)
        assert load(other, reading.text, "admin") == []
        shows = {"show_sensitive": ""} if version.hides_secrets_in_exports else {}
        ours, theirs = (statements(do(router, "/export", **shows)) for router in (one.router, other))
        # a group's rows show what it may as far as the release knows it, and are written so
        alike = Compared(frozenset(ROW_MENUS) - {"/user/group"}) if by_rows else Compared()
        assert difference(ours, theirs, alike) == []
        outcome = restore(reading.text, version.release, one.router.clock)
        assert outcome.ok
        assert outcome.commands > secrets
        assert not outcome.not_played


def test_a_drill_says_what_a_damaged_backup_lacks() -> None:
    with configured(Version.V7_18) as one:
        text = read(one).text.replace("add name=homes", "add nme=homes")
        outcome = restore(text, Version.V7_18.release, one.router.clock)
        assert not outcome.ok
        assert any("homes" in line for line in outcome.differences)
        assert not any("s3cr" in line or "pass0" in line for line in outcome.differences)


def test_menus_that_the_simulator_does_not_play_are_named() -> None:
    text = "/routing ospf instance\nadd name=main\n/ip pool\nadd name=homes ranges=10.0.0.0/24\n"
    outcome = restore(text, Version.V7_18.release, lambda: 0.0)
    assert (outcome.ok, outcome.not_played) == (True, ("/routing ospf instance: 1",))


def test_a_drill_has_the_ports_of_the_old_box_and_tries_the_rest_without_what_is_not_played() -> None:
    """As exports of real boxes are."""
    text = """# 2026-11-27 18:00:00 by RouterOS 7.18.2
/interface bridge
add name=bridge1
/interface ethernet
set [ find default-name=ether8 ] comment=uplink
set [ find default-name=sfp-sfpplus1 ] name=core
/interface bonding
add mode=802.3ad name=bond1 slaves=ether6,ether7
/interface vlan
add interface=bond1 name=homes vlan-id=100
/interface bridge port
add bridge=bridge1 interface=ether12
/ip address
add address=192.0.2.1/24 interface=core network=192.0.2.0
/ip hotspot profile
set [ find default=yes ] html-directory=flash/hotspot
/ppp profile
set *FFFFFFFE use-encryption=required
/snmp community
set [ find default=yes ] addresses=10.0.0.0/8
/system logging action
set 0 memory-lines=2000
/system script
add name=a owner=admin source=":put 1"
/ip firewall filter
add action=accept chain=input in-interface=homes tls-host=example.com
add action=drop chain=input in-interface=!core
/routing ospf instance
add name=main
"""
    outcome = restore(text, Release(7, 18, 2), lambda: 0.0)
    assert outcome.differences == ()
    assert {"/interface bonding: 1", "/routing ospf instance: 1", "/system script owner: 1"} <= set(outcome.not_played)


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("/ip service\nset telnet disabled=maybe\n", ["/ip service", "set telnet disabled=maybe"]),
        ("/ppp profile\nset nobody only-one=yes\n", ["/ppp profile", "set nobody only-one=yes"]),
        ("/radius\nadd address=192.0.2.1 service=nothing secret=hush\n",
         ["/radius", '- add address=192.0.2.1 secret="********" service=nothing']),
    ],
)  # fmt: skip
def test_what_a_new_router_does_not_take_is_a_difference_without_its_secret(command: str, left: list[str]) -> None:
    outcome = restore(command, Release(7, 18), lambda: 0.0)
    assert (outcome.ok, list(outcome.differences)) == (False, left)


REFUSALS = {
    "the disk is full": Fault(FaultKind.REFUSE, "/export", message="failure: not enough space on disk"),
    "no right to files": Fault(FaultKind.REFUSE, "/export", message="not enough permissions (9)", times=0),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("why", REFUSALS)
def test_where_no_file_can_be_written_rows_are_read_and_that_is_said(version: Version, why: str) -> None:
    with configured(version) as one:
        one.router.faults.order(REFUSALS[why])
        reading = read(one)
        assert reading.read_by is ReadBy.ROWS
        assert REFUSALS[why].message in reading.left_out[0]
        assert restore(reading.text, version.release, one.router.clock).ok


@pytest.mark.parametrize("version", VERSIONS)
def test_half_a_file_on_a_full_disk_is_taken_for_no_configuration(version: Version) -> None:
    with configured(version) as one:
        one.router.files.octets_max = 300
        reading = read(one)
        assert (reading.read_by, files(one)) == (ReadBy.ROWS, [])
        assert "not enough space" in reading.left_out[0]


@pytest.mark.parametrize("times", [2, 0])
def test_a_file_that_cannot_be_read_at_once_is_waited_for(times: int) -> None:
    """As librouteros' authors saw it on real boxes: it is there, and reading it is refused for a moment."""
    waits: list[float] = []
    with configured(Version.V7_18) as one:
        one.router.faults.order(Fault(FaultKind.REFUSE, "/file/read", times=times, message="failure: not yet"))
        client = RouterOs(one.access(), timeout_s=5.0)
        reading = read_configuration(client, USER, waits.append)
        client.close()
        assert (reading.read_by, len(waits)) == ((ReadBy.EXPORT, 2) if times else (ReadBy.ROWS, 5))
        assert times or "not yet" in reading.left_out[0]
        assert files(one) == []


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER, When.ANSWERED])
@pytest.mark.parametrize("command", ["/export", "/file/read", "/file/print", "/file/remove", "/log/print"])
def test_a_box_that_goes_away_keeps_its_file_until_the_next_reading(command: str, when: When) -> None:
    with configured(Version.V7_18) as one:
        for at in (1, 2, 3):
            one.router.faults.order(Fault(FaultKind.CUT, command, at=at, when=when))
            with suppress(RouterOsError):
                read(one)
            one.router.faults.clear()
            assert read(one).read_by is ReadBy.EXPORT
            assert files(one) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_user_may_not_see_is_said_to_be_missing(version: Version) -> None:
    with configured(version) as one:
        do(one.router, "/user/group/add", name="blind", policy="read,write,api,ftp,policy,test")
        do(one.router, "/user/set", numbers=USER, group="blind")
        reading = read(one)
        assert (reading.read_by, reading.left_out) == (ReadBy.EXPORT, (NO_SECRETS,))
        assert "secret=" not in reading.text


def test_a_stranger_of_a_file_stays() -> None:
    with configured(Version.V7_18) as one:
        one.router.files.write("flash/his.rsc", "his", 0.0)
        one.router.files.write(f"flash/{FILE}.rsc", "ours, from before", 0.0)
        read(one)
        assert files(one) == ["flash/his.rsc"]


def test_what_changes_by_itself_is_no_change() -> None:
    first = "# 2026-11-27 18:00:00 by RouterOS 7.18\n/ip pool\nadd name=a ranges=10.0.0.0/24\n"
    second = (
        "# nov/28/2026 18:00:00 by RouterOS 7.18\n# software id = ABCD\n/ip pool\n# inactive time\n"
        "add ranges=10.0.0.0\\\n    /24 name=a\n/system license\nset next-renewal-at=tomorrow\n"
    )
    without = second.replace("/system license\nset next-renewal-at=tomorrow\n", "")
    assert digest(statements(first)) == digest(statements(without))
    assert difference(statements(first), statements(second)) == ["/system license", "+ set"]


def test_a_difference_is_in_commands_in_order_and_without_secrets() -> None:
    with configured(Version.V7_18) as one:
        before = read(one).text
        do(one.router, "/ip/pool/set", numbers="homes", ranges="100.64.0.2-100.64.7.254")
        do(one.router, "/radius/set", numbers="0", secret="an0ther")
        do(one.router, "/ip/firewall/filter/move", numbers="1", destination="0")
        found = difference(statements(before), statements(read(one).text))
    moved = [line for line in found if "chain=forward" in line]
    assert found[found.index("/ip pool") :][:3] == [
        "/ip pool", "- add name=homes ranges=100.64.0.2-100.64.3.254",
        "+ add name=homes ranges=100.64.0.2-100.64.7.254",
    ]  # fmt: skip
    assert len(moved) == 2
    assert moved[1].endswith("  # moved")
    assert [line for line in found if "secret=" in line] == [
        '- add address=192.0.2.10 secret="********" service=ppp',
        '+ add address=192.0.2.10 secret="********" service=ppp  # a secret changed',
    ]
    assert "an0ther" not in str(found)
    assert "s3cr" not in str(found)


def test_no_secret_is_shown_in_menus_that_we_do_not_know_either() -> None:
    text = (
        '/interface wireguard\nadd name=wg private-key="abc=" listen-port=1\n/ip ipsec identity\nadd secret=xyz\n'
        "/interface wireless security-profiles\nset [ find default=yes ] wpa2-pre-shared-key=pqr\n"
        '/system script\nadd name=a source="/ppp secret add password=uvw"\n'
    )
    shown = "\n".join(masked(statements(text)))
    assert not any(secret in shown for secret in ("abc", "xyz", "pqr", "uvw"))
    assert "listen-port=1" in shown


@pytest.mark.parametrize("version", VERSIONS)
def test_the_box_says_who_changed_it(version: Version) -> None:
    with configured(version) as one:
        do(one.router, "/user/add", name="joao", password="x", group="full")
        client = RouterOs(one.access(user="joao", password="x"))
        client.call("/ip/pool/add", {"name": "his", "ranges": "10.9.0.0/24"})
        client.close()
        found = {(one.source, one.by, one.action) for one in read(one).actions}
    assert {("log", "joao", "ip pool added"), ("history", "joao", "ip pool added")} <= found


@pytest.mark.parametrize(
    ("message", "by", "action"),
    [
        ("filter rule changed by admin", "admin", "filter rule changed"),
        ("item added by winbox-3.41/tcp-msg(winbox):ana@192.0.2.7 (*1 = /ip pool add name=x)", "ana", "item added"),
        ("nat rule moved by ana via winbox", "ana", "nat rule moved"),
        ("user ana logged in from 192.0.2.7 via winbox", None, None),
        ("router rebooted", None, None),
    ],
)
def test_log_lines_of_changes_are_told_from_others(message: str, by: str | None, action: str | None) -> None:
    found = action_of({".id": "*1", "time": "10:00:00", "topics": "system,info", "message": message})
    assert (found and found.by, found and found.action) == (by, action)


_NAME = st.text("abcdefghijklmnop-", min_size=1).filter(lambda name: name[0] != "-")
_VALUE = st.one_of(st.none(), st.text(), st.text(st.characters(codec="utf-8", max_codepoint=0x2FF)))


@given(st.lists(st.tuples(_NAME, _VALUE), max_size=5, unique_by=lambda one: one[0]), st.integers(20, 90))
def test_any_values_written_as_a_command_and_folded_are_read_as_they_were(
    values: list[tuple[str, str | None]], columns: int
) -> None:
    one = Statement("/ip/pool", "add", "", tuple((name, value) for name, value in values if name not in VOLATILE))
    assume("\\\n" not in one.text)
    line = one.text
    folded = [line[start : start + columns] for start in range(0, len(line), columns)]
    assume(not any(part.endswith((" ", "\\")) or part.startswith(" ") for part in folded[1:] + folded[:-1]))
    text = "/ip pool\n" + "\\\n    ".join(folded) + "\n"
    assert list(statements(text)) == [one]


@given(st.text())
def test_whatever_a_file_holds_is_read_as_commands_or_not_at_all(text: str) -> None:
    for one in statements(text):
        assert one.verb in VERBS
    masked(statements(text))
    digest(statements(text))


def test_commands_are_read_however_they_are_written() -> None:
    terse = '/ip pool add name="a b" ranges=10.0.0.0/24 !next-pool'
    folded = '/ip pool\nadd name="a\\\n    \\_b" !next-pool ranges=\\\n    10.0.0.0/24\n'
    (one,), (other,) = list(statements(terse)), list(statements(folded))
    assert sorted(one.values) == sorted(other.values)
    assert one.menu == other.menu == "/ip/pool"
    (found,) = statements('/interface ethernet\nset [ find  default-name=ether1 ] mtu=1600 comment="\\C3\\A9\\""\n')
    assert found == Statement(
        "/interface/ethernet", "set", "[ find default-name=ether1 ]", (("mtu", "1600"), ("comment", 'é"'))
    )

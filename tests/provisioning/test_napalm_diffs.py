"""Differences as boxes show them: without secrets, and compared by what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.napalm.diffs import MASKED, changes, clean, expected, mask, paths, unseen, without_secrets

IOS = [
    "+radius server a", "+ address ipv4 192.0.2.1 auth-port 1812 acct-port 1813", "+ key ***",
    "+aaa server radius dynamic-author", "+ client 192.0.2.1 server-key ***",
    "+interface Gi1", "-no shutdown",
]  # fmt: skip
HUAWEI = [" aaa", "  domain homes", "-  ip-pool old", "+  ip-pool new", "+radius-server group a",
          "+ radius-server shared-key-cipher ***"]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (" key 7 082455", " key 7 ***"),
        ("+ radius-server shared-key-cipher %^%#a|b%^%#", "+ radius-server shared-key-cipher ***"),
        (" client 192.0.2.1 server-key s3cret", " client 192.0.2.1 server-key ***"),
        ('secret "$9$abc";', "secret ***;"),
        ("username a password 0 plain", "username a password 0 ***"),
        ("snmp-server community public RO", "snmp-server community *** RO"),
        ("snmp-agent community read cipher %^%#a b%^%#", "snmp-agent community read cipher ***"),
        ("snmp-agent community write s3cret", "snmp-agent community write ***"),
        (
            "snmp-agent usm-user v3 noc privacy-mode aes128 cipher %^%#a%^%#",
            "snmp-agent usm-user v3 noc privacy-mode aes128 cipher ***",
        ),
        ("snmp-server user noc g v3 auth sha s3cret priv aes 128 s3cret2", "snmp-server user noc g v3 auth ***"),
        ("username a secret sha512 $6$x$y", "username a secret sha512 ***"),
        ("enable secret 9 $9$abc", "enable secret 9 ***"),
        ("username a secret 10 $6$x", "username a secret 10 ***"),
        (" ip ospf message-digest-key 1 md5 7 0822", " ip ospf message-digest-key 1 md5 7 ***"),
        (" ospf authentication-mode md5 1 cipher %^%#a%^%#", " ospf authentication-mode md5 1 cipher ***"),
        (" key-string 7 0822", " key-string 7 ***"),
        (" standby 1 authentication s3cret", " standby 1 authentication ***"),
        (" standby 1 authentication md5 key-string s3cret", " standby 1 authentication md5 key-string ***"),
        ('encrypted-password "$6$x$y"; ## SECRET-DATA', "encrypted-password ***; ## SECRET-DATA"),
        ('pre-shared-key ascii-text "$9$x"; ## SECRET-DATA', "pre-shared-key ascii-text ***; ## SECRET-DATA"),
        ("crypto isakmp key s3cret address 0.0.0.0", "crypto isakmp key *** address 0.0.0.0"),
        (" ppp chap password 7 0822", " ppp chap password 7 ***"),
        ("set authentication password cipher %@%@x y%@%@", "set authentication password cipher ***"),
        ("local-user a password irreversible-cipher $1c$x", "local-user a password irreversible-cipher ***"),
        ('local-user a password irreversible-cipher $1d$a;b"c$d', "local-user a password irreversible-cipher ***"),
        ("key chain RIP", "key chain RIP"),
        ("ip address 192.0.2.1 255.255.255.0", "ip address 192.0.2.1 255.255.255.0"),
        ("crypto keyring X", "crypto keyring X"),
        ("service password-encryption", "service password-encryption"),
        (" aaa authentication login default local", " aaa authentication login default local"),
        ("route-map X permit 10", "route-map X permit 10"),
        (" set community 65000:1", " set community 65000:1"),
    ],
)
def test_whatever_announces_a_secret_is_followed_by_none(line: str, masked: str) -> None:
    assert mask(line, []) == masked


@given(st.text(alphabet="abcXYZ019!-_", min_size=6, max_size=20), st.text(max_size=60), st.text(max_size=60))
def test_our_own_secrets_are_nowhere(secret: str, before: str, after: str) -> None:
    assert secret not in mask(f"{before}{secret}{after}", [secret]).replace(MASKED, "")


def test_what_says_nothing_is_left_out() -> None:
    assert clean("+a\n!\n#\n \n+\n+ b  \n", []) == ["+a", "+ b"]


def test_secrets_are_left_out_with_what_has_nothing_else_to_say() -> None:
    assert without_secrets(IOS) == [IOS[0], IOS[1], IOS[5], IOS[6]]
    assert without_secrets(HUAWEI) == HUAWEI[:4]  # IOS shows headers that are there already as new, too
    assert without_secrets(["+radius server a", "+ key ***"]) == []
    assert without_secrets([" radius-server group a", "+ radius-server shared-key-cipher ***"]) == []
    assert not changes([" aaa", "  domain homes"])


def test_a_line_that_is_there_twice_is_judged_where_it_stands() -> None:
    """Below the first one there were only secrets, however deep; the second one is a change by itself."""
    lines = ["+interface A", "+ service", "+  key ***", "+interface B", "+ service"]
    assert without_secrets(lines) == lines[3:]


def test_what_is_to_be_there_and_what_is_not() -> None:
    there, gone = expected(HUAWEI)
    assert there == {
        ("aaa", "domain homes", "ip-pool new"), ("radius-server group a",),
        ("radius-server group a", "radius-server shared-key-cipher ***"),
    }  # fmt: skip
    assert gone == {("aaa", "domain homes", "ip-pool old")}
    assert expected(["+interface Gi1", "- no shutdown"])[1] == {("interface Gi1", "shutdown")}


def test_what_is_not_seen_is_named_with_what_it_stands_below() -> None:
    before = "aaa\n domain homes\n  ip-pool old\n"
    assert unseen(HUAWEI, before) == [
        "+aaa / domain homes / ip-pool new", "+radius-server group a",
        "+radius-server group a / radius-server shared-key-cipher ***", "-aaa / domain homes / ip-pool old",
    ]  # fmt: skip
    group = "radius-server group a\n radius-server shared-key-cipher %^%#x%^%#\n"
    after = f"#\naaa\n #\n domain homes\n  ip-pool new\n#\n{group}#\nreturn"
    assert unseen(HUAWEI, after) == []


def test_a_secret_that_is_there_says_nothing_and_one_that_is_not_does() -> None:
    there = "radius server a\n address ipv4 192.0.2.1 auth-port 1812 acct-port 1813\n key 7 0822455D0A16\n"
    lines = ["+radius server a", "+ key ***", "+aaa server radius dynamic-author", "+ client 192.0.2.1 server-key ***"]
    assert without_secrets(lines, there) == lines[2:]
    more = there + "aaa server radius dynamic-author\n client 192.0.2.1 server-key 7 0822455D0A16\n"
    assert without_secrets(lines, more) == []
    assert unseen(lines, there) == [
        "+aaa server radius dynamic-author", "+aaa server radius dynamic-author / client 192.0.2.1 server-key ***",
    ]  # fmt: skip
    assert unseen(lines, more) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "c d"])), max_size=12))
def test_what_was_added_is_seen_where_it_was_added(lines: list[tuple[int, str]]) -> None:
    configuration = "\n".join(f"{' ' * depth}{text}" for depth, text in lines)
    diff = [f"+{line}" for line in configuration.splitlines()]
    assert unseen(diff, configuration) == []
    assert expected(diff)[0] == set(paths(configuration))

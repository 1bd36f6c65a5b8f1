"""Steps in words: of what, what becomes of it, from what to what; in both languages, and never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bras_intents import COMMUNITY, EVERYTHING, MODERN, V3_USER, around
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from core.language import Language
from provisioning.routeros.bras import SnmpAgent, desired_of, intent_of
from provisioning.routeros.planning import Add, Change, Move, Remove, Step, make_plan
from provisioning.routeros.planning.script import commands
from provisioning.routeros.planning.words import _MENUS, sentence, sentences, told
from provisioning.routeros.schema import MENUS, Release

LANGUAGES: tuple[Language, ...] = ("pt_BR", "en")
RULE = {".id": "*1", "comment": "provedor:garden/tcp", "chain": "forward"}
OTHER = {".id": "*2", "comment": "do joão", "chain": "forward"}


@pytest.mark.parametrize(
    ("step", "portuguese", "english"),
    [
        (
            Add("/ip/pool", "access/homes", {"name": "homes", "ranges": "100.64.0.2-100.64.3.254", "next-pool": "none",
                                             "comment": "provedor:access/homes"}, None),
            "Pool de endereços IPv4 homes passa a existir: ranges 100.64.0.2-100.64.3.254",
            "IPv4 pool homes is new: ranges 100.64.0.2-100.64.3.254",
        ),
        (
            Change("/ip/pool", "*1", {"name": "homes"}, {"ranges": "192.0.2.0/24"}, {"ranges": "10.0.0.0/24"}),
            "Pool de endereços IPv4 homes: ranges de 10.0.0.0/24 para 192.0.2.0/24",
            "IPv4 pool homes: ranges from 10.0.0.0/24 to 192.0.2.0/24",
        ),
        (
            Change("/ip/service", "*1", {"name": "telnet"}, {"disabled": "yes"}, {"disabled": "false"}),
            "Serviço do roteador telnet: disabled de no para yes",
            "Service of the router telnet: disabled from no to yes",
        ),
        (
            Change("/ppp/aaa", None, {}, {"use-radius": "yes", "interim-update": None},
                   {"use-radius": "false", "interim-update": "5m"}),
            "Autenticação PPP: use-radius de no para yes, interim-update de 5m para nada",
            "PPP authentication: use-radius from no to yes, interim-update from 5m to nothing",
        ),
        (
            Change("/radius", "*1", {"comment": "provedor:radius/1"}, {"secret": "s3cret"}, {"secret": "old"}),
            "Servidor RADIUS radius/1: secret (segredo)",
            "RADIUS server radius/1: secret (secret)",
        ),
        (
            Move("/ip/firewall/filter", "*1", RULE, OTHER, None),
            "Regra de firewall IPv4 garden/tcp vai para antes de do joão",
            "IPv4 firewall rule garden/tcp goes before do joão",
        ),
        (
            Move("/ip/firewall/filter", "*1", RULE, None, OTHER),
            "Regra de firewall IPv4 garden/tcp vai para o fim",
            "IPv4 firewall rule garden/tcp goes to the end",
        ),
        (
            Remove("/ip/firewall/filter", "*1", RULE, None),
            "Regra de firewall IPv4 garden/tcp deixa de existir",
            "IPv4 firewall rule garden/tcp is removed",
        ),
        (
            Remove("/snmp/community", "*1", {"name": COMMUNITY.name}, None),
            "Comunidade SNMP ******** deixa de existir",
            "SNMP community ******** is removed",
        ),
    ],
)  # fmt: skip
def test_each_step_is_a_sentence(step: Step, portuguese: str, english: str) -> None:
    (one,) = told([step])
    assert [sentence(one, language) for language in LANGUAGES] == [portuguese, english]


def test_a_script_is_not_told_whole() -> None:
    values = {"name": "provedor", "on-down": "/ip firewall " * 20}
    (one,) = told([Add("/ppp/profile", "access/provedor", values, None)])
    assert sentence(one, "en").endswith("…")
    assert len(sentence(one, "en")) < 120


@pytest.mark.parametrize("body", [EVERYTHING, {**EVERYTHING, **MODERN}])
@pytest.mark.parametrize("snmp", [COMMUNITY, V3_USER])
def test_every_step_of_a_whole_bras_has_its_words_and_no_secret_is_in_them(
    body: dict[str, Any], snmp: SnmpAgent
) -> None:
    release = Release(7, 18)
    wanted = desired_of(intent_of(body), around(release, snmp))
    actual = {path: [{}] if menu.single else [] for path, menu in MENUS.items()}
    steps = make_plan(wanted, actual, release, {}).steps
    kept = json.loads(json.dumps(to_builtins(told(steps))))
    for language in LANGUAGES:
        words = sentences(kept, language)
        assert len(words) == len(commands(steps))
        assert not {step.menu for step in steps} - _MENUS.keys()
        for secret in (
            "s3cret",
            snmp.name,
            *filter(None, (snmp.authentication_passphrase, snmp.encryption_passphrase)),
        ):
            assert not any(secret in line for line in words)


_TYPED = st.binary(max_size=80).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


@given(_TYPED, _TYPED, _TYPED)
def test_whatever_is_at_a_router_its_words_are_text_that_can_be_kept(name: str, was: str, becomes: str) -> None:
    row = {".id": "*1", "name": name, "ranges": was}
    steps = [
        Change("/ip/pool", "*1", row, {"ranges": becomes}, {"ranges": was}), Remove("/ip/pool", "*1", row, None),
        Add("/ip/pool", "x/y", {"name": name, "ranges": becomes}, None),
    ]  # fmt: skip
    for line in sentences(to_builtins(told(steps)), "pt_BR"):
        line.encode()
        assert line.isprintable()

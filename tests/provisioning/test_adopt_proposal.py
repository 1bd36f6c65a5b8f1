"""What of an existing router becomes plans, services and holds, and what cannot, from an export of a small provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeros_boxes import USER, Box, box, do

from core.access import Access, HoldEffect
from core.policy import Policy, ServiceTerms
from provisioning.adopt.effect import rate_of
from provisioning.adopt.found import LISTS, POOLS, PROFILES, QUEUES, SECRETS, Found, read_box, says_blocked, words_of
from provisioning.adopt.joining import ServiceHere
from provisioning.adopt.naming import PlansHere
from provisioning.adopt.ppp_secret import Kind
from provisioning.adopt.proposal import Choices, Proposal, propose
from provisioning.adopt.store import logins_told, plan_told
from provisioning.routeros.client import RouterOs
from provisioning.routeros.schema import Release
from provisioning.simulators.routeros import Version, load

EXPORT = Path(__file__).parents[1] / "small_provider.rsc"


@pytest.fixture(params=[Version.V6_49, Version.V7_18], scope="module")
def provider(request: pytest.FixtureRequest) -> Iterator[Box]:
    with box(version=request.param) as one:
        assert load(one.router, EXPORT.read_text(errors="surrogateescape"), USER) == []
        yield one


def look(one: Box, choices: Choices = Choices(), plans: PlansHere = PlansHere(), **services: ServiceHere) -> Proposal:
    client = RouterOs(one.access())
    try:
        return propose(read_box(client), "bras1", choices, plans, services)
    finally:
        client.close()


def test_profiles_become_plans_and_queues_say_the_rate_where_a_profile_has_none(provider: Box) -> None:
    plans = look(provider).plans
    assert plans.keys() == {"10M", "Fibra 200M", "sem-controle 60M/30M", "sem-controle 15M/15M", "script-noc"}
    plain, fibre = plans["10M"].terms, plans["Fibra 200M"].terms
    assert plain is not None
    assert fibre is not None
    assert (plain.down_kbps, plain.up_kbps, plain.address_pool) == (10_000, 5_000, "clientes")
    assert plain.dns_servers == ("192.0.2.53",)
    assert fibre.burst == (300_000, 150_000, 160_000, 80_000, 10)
    assert fibre.dns_servers == ("8.8.8.8", "1.1.1.1")  # what the profile default says
    assert plain.profile is None


def test_a_profile_that_does_what_no_plan_can_say_is_kept(provider: Box) -> None:
    noc = look(provider).plans["script-noc"]
    assert noc.beyond == ("on-up",)
    assert noc.terms is not None
    assert noc.terms.profile == "script-noc"


def test_secrets_become_services_with_all_that_they_have(provider: Box) -> None:
    found = {one.login: one for one in look(provider, Choices(blocked_plan="10M")).services}
    assert found.keys() == {"joao", "maria", "mercado", "escola", "devedor", "ausente", "noc"}
    joao, maria, mercado = found["joao"], found["maria"], found["mercado"]
    assert (joao.password, joao.customer, joao.document) == ("123456", "João da Silva", "52998224725")
    assert (maria.password, maria.customer, maria.mac_lock) == ("yes", "Maria Conceição", ("AA:BB:CC:00:11:22",))
    assert mercado.terms == ServiceTerms("203.0.113.10", ("198.51.100.0/28",))
    assert (mercado.limited_by, mercado.lost) == ("the queue Mercado", ())
    assert "mercado1" not in repr(mercado)


def test_who_is_kept_out_or_in_a_profile_of_debtors_is_held(provider: Box) -> None:
    proposal = look(provider, Choices(blocked_plan="10M"))
    held = {one.login: (one.hold.effect, one.hold.note) for one in proposal.services if one.hold}
    assert held == {
        "devedor": (HoldEffect.WALLED_GARDEN, "its profile is bloqueado"),
        "ausente": (HoldEffect.BLOCK, "its secret is disabled"),
    }
    assert "bloqueado" not in proposal.plans
    assert proposal.blocks == ["profile bloqueado", "list bloqueados"]


def test_what_cannot_be_is_told_with_its_reason(provider: Box) -> None:
    left = {one.login: one for one in look(provider).left_out}
    assert left.keys() == {"padaria", "devedor", "vpn-tecnico", "semvel", "quebrado"}
    assert left["vpn-tecnico"].kind is Kind.LEFT_OUT
    assert left["vpn-tecnico"].reason == "is a user of l2tp"
    assert left["padaria"].reason == "its password is not UTF-8"
    assert "--rate 'sem-controle=DOWN/UP'" in left["semvel"].fix
    assert "10X/20Y" in left["quebrado"].reason
    assert "--blocked-plan" in left["devedor"].fix
    assert left["devedor"].service is not None
    assert left["devedor"].service.password == "dev1"
    said = look(provider, Choices(rates={"sem-controle": (50_000, 25_000)}))
    assert {one.login: one.plan for one in said.services}["semvel"] == "sem-controle 50M/25M"


def test_a_user_who_is_not_shown_passwords_brings_nobody(provider: Box) -> None:
    do(provider.router, "/user/group/add", name="lesend", policy="read,api,test")
    do(provider.router, "/user/add", name="olho", group="lesend", password="x")
    client = RouterOs(provider.access(user="olho", password="x"))
    proposal = propose(read_box(client), "bras1", Choices(), PlansHere(), {})
    client.close()
    assert proposal.services == []
    assert {one.reason for one in proposal.left_out if one.kind is Kind.REJECTED} == {
        "the API's user is not shown passwords"
    }


def _here(**given: Any) -> ServiceHere:
    policy = {"down_kbps": 10_000, "up_kbps": 5_000, "address_pool": "clientes", "dns_servers": ("192.0.2.53",)}
    return ServiceHere(7, given.pop("password", "123456"), "Plano", Policy(Access.FULL, **{**policy, **given}))


def test_a_login_that_is_here_is_joined_and_what_differs_is_told(provider: Box) -> None:
    same = look(provider, joao=_here()).joined["joao"]
    assert (same.differences, same.lost) == ((), ())
    other = look(provider, joao=_here(password="outra", down_kbps=20_000, ipv4_address="203.0.113.7")).joined["joao"]
    assert other.differences == (
        "another password", "fixed address none, 203.0.113.7 here", "kbit/s 10000/5000, 20000/5000 here",
    )  # fmt: skip
    assert "outra" not in repr(other)


def test_a_login_whose_plan_only_we_know_is_joined_too(provider: Box) -> None:
    """As `import csv` brought it."""
    joined = look(provider, devedor=_here(password="dev1")).joined["devedor"]
    assert joined.differences == ("access walled_garden (its profile is bloqueado), full here",)


def test_a_debtor_stays_in_the_list_that_the_routers_firewall_knows(provider: Box) -> None:
    here = ServiceHere(7, "dev1", "Plano", Policy(Access.WALLED_GARDEN))
    joined = look(provider, devedor=here).joined["devedor"]
    assert joined.differences == ("list of debtors bloqueados, walled-garden here",)
    assert look(provider, devedor=replace(here, garden_list="bloqueados")).joined["devedor"].differences == ()


def test_a_plan_of_another_router_with_the_same_name_and_other_terms_is_not_taken_for_it(provider: Box) -> None:
    first = look(provider).plans["10M"].terms
    assert first is not None
    other = {**first.columns(), "down_kbps": 9}
    assert "10M (bras1)" in look(provider, plans=PlansHere({"10M": other})).plans
    assert "10M" in look(provider, plans=PlansHere({"10M": first.columns()})).plans
    assert "10M" in look(provider, plans=PlansHere({"10M": other}, {"10M"})).plans  # it was, and was edited here


@pytest.mark.parametrize(
    ("text", "down_up"),
    [
        ("10M", (10_000, 10_000)), ("5M/10M", (10_000, 5_000)), ("512k/1M 1M/2M 256k/512k 8/8 8 64k/64k", (1000, 512)),
        ("1G/2G 0/0 0/0 0/0 1", (2_000_000, 1_000_000)), ("5000000/10000000", (10_000, 5_000)), ("10X", None),
        ("", None), ("9999G/9999G", None), ("1M/1M 2M/2M 1M/1M 8/8 8 1M/1M 7", None),
    ],
)  # fmt: skip
def test_rates_are_read_in_all_their_forms(text: str, down_up: tuple[int, int] | None) -> None:
    rate = rate_of(text)
    assert (None if rate is None else (rate.down.rate, rate.up.rate)) == down_up


@pytest.mark.parametrize(
    ("name", "blocked"),
    [
        ("Bloqueados", True), ("clientes-suspensos", True), ("INADIMPLENTES", True), ("inadimplência", True),
        ("debtors", True), ("nao-bloquear", False), ("não bloqueado", False), ("desbloqueados", False),
        ("10M", False), ("Corte Real", False), ("", False), ("plano bloqueio", True),
    ],
)  # fmt: skip
def test_what_is_said_of_those_who_do_not_pay(name: str, blocked: bool) -> None:
    assert says_blocked(name) is blocked


@given(st.binary(max_size=40))
def test_any_octets_become_one_line_of_text(octets: bytes) -> None:
    words = words_of(octets.decode("utf-8", "surrogateescape"))
    words.encode()
    assert "\n" not in words
    assert "\0" not in words
    assert words == words_of(words)


#: What anybody may have typed at a router, in whatever encoding.
_TYPED = st.binary(max_size=6).map(lambda octets: octets.decode("utf-8", "surrogateescape")) | st.sampled_from(
    ["maria", "10M", "inadimpl\udceancia", "bloqueado", "100.64.0.7", "192.0.2.0/29 100.64.0.7 1", "2001:db8::/56",
     "yes", "true", "5M/10M", "1M/1M 2M/2M 1M/1M 8/8 8", "00:11:22:33:44:55", "<pppoe-maria>", "10m", "\x00",
     "clientes"]
)  # fmt: skip
_FIELDS = {
    SECRETS: ("name", "password", "profile", "service", "remote-address", "caller-id", "routes", "remote-ipv6-prefix",
              "ipv6-routes", "disabled", "comment"),
    PROFILES: ("name", "rate-limit", "remote-address", "address-list", "session-timeout", "dns-server", "on-up",
               "incoming-filter", "only-one", "comment"),
    QUEUES: ("name", "target", "max-limit", "burst-limit", "burst-threshold", "burst-time", "disabled"),
    LISTS: ("list", "address", "disabled"), POOLS: ("name",), "/ppp/aaa": ("interim-update",),
}  # fmt: skip
_MENUS = st.fixed_dictionaries(
    {
        menu: st.lists(st.dictionaries(st.sampled_from(names), _TYPED, min_size=len(names) // 2), max_size=4)
        for menu, names in _FIELDS.items()
    }
)


@given(_MENUS, st.sampled_from(Access))
def test_whatever_a_router_has_it_is_proposed_and_what_is_told_can_be_kept(
    menus: dict[str, list[dict[str, str]]], access: Access
) -> None:
    rows = {menu: [{".id": f"*{at:X}", **row} for at, row in enumerate(found)] for menu, found in menus.items()}
    here = {"maria": ServiceHere(7, "123456", "Plano", Policy(access, down_kbps=20_000, up_kbps=5000))}
    proposal = propose(Found(Release(7, 18), rows), "bras1", Choices(blocked_plan="10M"), PlansHere(), here)
    secrets = {row.get("name", "") for row in rows[SECRETS]}
    assert {words_of(name) for name in secrets} == {one["login"] for one in logins_told(proposal)}
    told = [*logins_told(proposal), *(plan_told(one, proposal) for one in proposal.plans.values()), *proposal.blocks]
    for text in _texts(told):
        text.encode()
        assert "\0" not in text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.values()])
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)

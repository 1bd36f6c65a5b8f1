"""Locks: one spelling for every way in which NASes write a device and a line, and what is learned once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from factories import make_nas, make_service
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import services
from core.audit import Actor
from core.errors import InvalidInput
from core.keyring import Keyring
from core.locks import (
    VALUES_MAX,
    LearnedLocks,
    canonical_circuit,
    canonical_mac,
    check_circuit_lock,
    check_mac_lock,
)
from core.models.service import Service
from core.models.system import AuditEntry, Event

MAC = "AA:BB:CC:0D:EE:FF"


@pytest.mark.parametrize(
    "written",
    [
        MAC, "aa-bb-cc-0d-ee-ff", "aabb.cc0d.eeff", "aabb-cc0d-eeff", "AABBCC0DEEFF", " aa:bb:cc:0d:ee:ff ",
        "AA-BB-CC-0D-EE-FF:casa-da-ana", "pppoe aa:bb:cc:0d:ee:ff#503",
        "1:aa:bb:cc:d:ee:ff",  # a DHCP client's id at RouterOS
    ],
)  # fmt: skip
def test_a_mac_address_is_found_however_it_is_written(written: str) -> None:
    assert canonical_mac(written) == MAC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5511987654321",
        "192.168.100.200",
        "aa:bb:cc:0d:ee",
        "aa::bb:cc:0d:ee:ff",
        "2:aa:bb:cc:d:ee:ff",
        "1:aa:bb:cc:d:ee",
    ],
)
def test_what_is_no_mac_address_is_none(text: str) -> None:
    assert canonical_mac(text) is None


@given(st.binary(min_size=6, max_size=6), st.sampled_from([":", "-", ".", ""]), st.booleans())
def test_a_canonical_mac_address_is_its_own_canonical_form(octets: bytes, separator: str, upper: bool) -> None:
    written = octets.hex(separator) if separator else octets.hex()
    found = canonical_mac(written.upper() if upper else written)
    assert found == octets.hex(":").upper()
    assert canonical_mac(found) == found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("slot=2;subslot=2;port=22;vlanid=503;", "slot=2;subslot=2;port=22;vlanid=503"),
        ("OLT-1 eth 0/1/3:503", "olt-1  ETH 0/1/3:503 "),
        ("ae1.1073741834:100-503", "ae1.3221225472:100-503"),
    ],
)
def test_two_spellings_of_a_circuit_are_one(one: str, other: str) -> None:
    assert canonical_circuit(one) == canonical_circuit(other)


def test_circuits_that_differ_in_a_number_are_two() -> None:
    for one, other in (("ether1.503", "ether1.504"), ("ae1.1073741834:100-503", "ae1.1073741834:100-504")):
        assert canonical_circuit(one) != canonical_circuit(other)


@given(st.text(max_size=300))
def test_a_canonical_circuit_is_its_own_canonical_form(text: str) -> None:
    once = canonical_circuit(text)
    assert canonical_circuit(once) == once


@pytest.mark.parametrize(
    ("check", "values", "field"),
    [
        (check_mac_lock, ["aa:bb"], "mac_lock"),
        (check_mac_lock, [MAC] * (VALUES_MAX + 1), "mac_lock"),
        (check_circuit_lock, [" ; "], "circuit_lock"),
        (check_circuit_lock, ["a\x07b"], "circuit_lock"),
        (check_circuit_lock, ["x" * 254], "circuit_lock"),
    ],
)
def test_a_lock_that_nothing_could_open_is_refused_by_its_field(
    check: Callable[[Sequence[str]], list[str]], values: list[str], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(values)
    assert refused.value.field == field


def test_a_lock_names_each_value_once() -> None:
    assert check_mac_lock([MAC, "aabb.cc0d.eeff", "02:00:00:00:00:01"]) == [MAC, "02:00:00:00:00:01"]


def test_what_is_learned_first_holds_and_is_on_record(session: Session, keyring: Keyring) -> None:
    service = make_service(session, keyring, mac_lock=[], circuit_lock=[], nas_lock=["9"])
    version = service.version
    services.learn_locks(session, [LearnedLocks(service.id, MAC, None, 7)])
    services.learn_locks(session, [LearnedLocks(service.id, "02:00:00:00:00:01", "line-1", 7)])
    session.commit()
    assert (service.mac_lock, service.circuit_lock, service.nas_lock) == ([MAC], ["line-1"], ["9"])
    assert service.version == version + 2
    entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "learn").order_by(AuditEntry.id)).all()
    assert [(entry.actor, entry.changes) for entry in entries] == [
        ("system:radius", {"mac_lock": [MAC]}),
        ("system:radius", {"circuit_lock": ["line-1"]}),
    ]
    told = session.scalars(select(Event).where(Event.type == "service.locks_learned").order_by(Event.id)).all()
    assert [event.payload["locks"] for event in told] == [["mac_lock"], ["circuit_lock"]]


def test_a_lock_set_to_learn_again_forgets_the_device_before(session: Session, keyring: Keyring, actor: Actor) -> None:
    service = make_service(session, keyring, mac_lock=[MAC])
    services.update_service(session, keyring, service, {"mac_lock": []}, actor)
    services.learn_locks(session, [LearnedLocks(service.id, "02:00:00:00:00:01", None, None)])
    assert service.mac_lock == ["02:00:00:00:00:01"]
    assert [one.id for one in services.find_by_mac_lock(session, "02:00:00:00:00:01")] == [service.id]
    assert not services.find_by_mac_lock(session, MAC)


def test_a_lock_to_a_nas_that_is_not_there_is_refused(session: Session, keyring: Keyring, actor: Actor) -> None:
    nas_id, service = make_nas(session, keyring).id, make_service(session, keyring)
    services.update_service(session, keyring, service, {"nas_lock": [str(nas_id)]}, actor)
    with pytest.raises(InvalidInput) as refused:
        services.update_service(session, keyring, service, {"nas_lock": [str(nas_id), "999"]}, actor)
    assert refused.value.field == "nas_id"
    assert session.scalar(select(Service.nas_lock).where(Service.id == service.id)) == [str(nas_id)]


def test_logins_that_differ_only_in_their_spelling_are_found(session: Session, keyring: Keyring) -> None:
    for login in ("Ana", "ana@provedor", "anabela", "rui"):
        make_service(session, keyring, login=login)
    assert [one.login for one in services.find_near_logins(session, " ANA @outro")] == ["Ana", "ana@provedor"]
    assert [one.login for one in services.find_near_logins(session, "Ana")] == ["ana@provedor"]
    assert not services.find_near_logins(session, "@provedor")

"""How a box is managed, as people write it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import network
from core.audit import Actor
from core.errors import InvalidInput
from core.keyring import NAS_SECRET, Keyring, SealBroken
from core.models.network import Nas, Vendor
from core.models.system import AuditEntry, Event
from core.nas_management import check_host_key, management_of, pin_host_key

ACTOR = Actor("test")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZ5bEJvbmVzQW5kTW9yZUJvbmVzQW5kTW9yZUJv"
GIVEN = {"management": {"driver": "huawei_vrp8", "user": "provedor"}, "management_secret": {"password": "s3nha"}}


def make(session: Session, keyring: Keyring, **given: Any) -> Nas:
    values = {"name": "bng", "address": "192.0.2.1", "secret": "s", "vendor": Vendor.HUAWEI}
    return network.create_nas(session, keyring, values | given, ACTOR)


def test_a_box_is_not_managed_unless_that_is_said(session: Session, keyring: Keyring) -> None:
    assert management_of(make(session, keyring), keyring) is None


def test_defaults_are_written_out_and_secrets_are_sealed_for_this_purpose_only(
    session: Session, keyring: Keyring
) -> None:
    nas = make(session, keyring, **GIVEN)
    assert nas.management == {
        "driver": "huawei_vrp8", "address": None, "port": 22, "user": "provedor", "host_key": None, "arguments": {},
    }  # fmt: skip
    access = management_of(nas, keyring)
    assert access is not None
    assert (access.address, access.password, access.enable) == ("192.0.2.1", "s3nha", None)
    assert "s3nha" not in repr(access)
    assert nas.management_secret_encrypted is not None
    with pytest.raises(SealBroken):
        keyring.open(nas.management_secret_encrypted, NAS_SECRET)
    entry = session.scalars(select(AuditEntry)).one()
    assert (entry.changes["management_secret"], "s3nha" in repr(entry.changes)) == ("(changed)", False)


def test_a_key_that_was_approved_stays_until_another_or_none_is_said(session: Session, keyring: Keyring) -> None:
    nas = make(session, keyring, **GIVEN)
    version = nas.version
    pin_host_key(session, nas, KEY, ACTOR)
    assert (nas.management or {})["host_key"] == KEY
    assert nas.version == version
    assert "nas.host_key_pinned" in session.scalars(select(Event.type)).all()
    network.update_nas(session, keyring, nas, {"management": {"driver": "huawei_vrp8", "user": "other"}}, ACTOR)
    assert ((nas.management or {})["user"], (nas.management or {})["host_key"]) == ("other", KEY)
    none = {"driver": "huawei_vrp8", "user": "other", "host_key": None}
    network.update_nas(session, keyring, nas, {"management": none}, ACTOR)
    assert (nas.management or {})["host_key"] is None


def test_management_that_is_taken_away_takes_its_secrets_with_it(session: Session, keyring: Keyring) -> None:
    nas = make(session, keyring, **GIVEN)
    network.update_nas(session, keyring, nas, {"management": None}, ACTOR)
    assert (nas.management, nas.management_secret_encrypted) == (None, None)
    with pytest.raises(InvalidInput):
        network.update_nas(session, keyring, nas, {"management_secret": {"password": "x"}}, ACTOR)


@pytest.mark.parametrize("text", [KEY, f"  {KEY}  ", f"{KEY} root@bng"])
def test_a_key_is_taken_as_ssh_keyscan_prints_it(text: str) -> None:
    assert check_host_key(text) == KEY


@pytest.mark.parametrize("text", ["", "ssh-ed25519", KEY.replace("ssh-ed25519", "ssh-rsa"), f"192.0.2.1 {KEY}", "a b"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="ssh-keyscan"):
        check_host_key(text)

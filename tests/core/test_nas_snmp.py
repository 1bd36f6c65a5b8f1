"""How a NAS's SNMP agent may be asked, as people write it."""

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
from core.models.system import AuditEntry
from core.nas_snmp import kept_secrets

ACTOR = Actor("test")
V3 = {"version": "v3", "user": "provedor", "auth": "sha256", "priv": "aes128"}


def make(session: Session, keyring: Keyring, **given: Any) -> Nas:
    values = {"name": "bng", "address": "192.0.2.1", "secret": "s", "vendor": Vendor.HUAWEI}
    return network.create_nas(session, keyring, values | given, ACTOR)


def test_a_nas_has_no_snmp_unless_it_is_given(session: Session, keyring: Keyring) -> None:
    nas = make(session, keyring)
    assert (nas.snmp, kept_secrets(nas, keyring)) == ({}, {})


def test_defaults_are_written_out_and_the_secret_is_sealed_for_this_purpose_only(
    session: Session, keyring: Keyring
) -> None:
    nas = make(session, keyring, snmp={}, snmp_secret={"community": "leitura"})
    assert nas.snmp == {"version": "v2c", "port": 161, "ppp_only": False}
    assert kept_secrets(nas, keyring) == {"community": "leitura"}
    assert nas.snmp_secret_encrypted is not None
    assert b"leitura" not in nas.snmp_secret_encrypted
    with pytest.raises(SealBroken):
        keyring.open(nas.snmp_secret_encrypted, NAS_SECRET)


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"snmp": {}}, "snmp_secret", "the community is missing: write snmp_secret.community"),
        ({"snmp": V3, "snmp_secret": {"auth": "autenticar"}}, "snmp_secret", "write snmp_secret.priv"),
        ({"snmp": V3, "snmp_secret": {"auth": "curta", "priv": "particular"}}, "snmp_secret", "at least 8 octets"),
        ({"snmp": {"version": "v3"}}, "snmp", "needs a user"),
        ({"snmp": {"version": "v3", "user": "u", "priv": "aes128"}}, "snmp", "without authentication"),
        ({"snmp": {"user": "u"}, "snmp_secret": {"community": "c"}}, "snmp", "belong to version v3"),
        ({"snmp": {}, "snmp_secret": {"community": "c", "auth": "autenticar"}}, "snmp_secret", "auth is not used"),
        ({"snmp_secret": {"community": "c"}}, "snmp_secret", "needs `snmp`"),
        ({"snmp": None, "snmp_secret": {"community": "c"}}, "snmp_secret", "needs `snmp`"),
    ],
)
def test_what_cannot_work_is_refused_with_what_is_missing(
    session: Session, keyring: Keyring, given: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        make(session, keyring, **given)
    assert (error.value.field, words in error.value.detail) == (field, True)


def test_each_is_changed_by_itself_and_both_go_together(session: Session, keyring: Keyring) -> None:
    nas = make(session, keyring, snmp={}, snmp_secret={"community": "leitura"})
    network.update_nas(session, keyring, nas, {"snmp": {"port": 1161}}, ACTOR)
    assert (nas.snmp["port"], kept_secrets(nas, keyring)) == (1161, {"community": "leitura"})
    network.update_nas(session, keyring, nas, {"snmp_secret": {"community": "outra"}}, ACTOR)
    assert (nas.snmp["port"], kept_secrets(nas, keyring)) == (1161, {"community": "outra"})
    with pytest.raises(InvalidInput, match="write snmp_secret"):
        network.update_nas(session, keyring, nas, {"snmp": V3}, ACTOR)
    secrets = {"auth": "autenticar", "priv": "particular"}
    network.update_nas(session, keyring, nas, {"snmp": V3, "snmp_secret": secrets}, ACTOR)
    assert kept_secrets(nas, keyring) == secrets
    network.update_nas(session, keyring, nas, {"snmp": None}, ACTOR)
    assert (nas.snmp, nas.snmp_secret_encrypted) == ({}, None)


def test_other_edits_leave_it_and_what_is_as_before_is_no_change(session: Session, keyring: Keyring) -> None:
    nas = make(session, keyring, snmp={}, snmp_secret={"community": "leitura"})
    network.update_nas(session, keyring, nas, {"coa_port": 1700}, ACTOR)
    network.update_nas(session, keyring, nas, {"snmp": {"version": "v2c"}}, ACTOR)
    session.flush()
    assert kept_secrets(nas, keyring) == {"community": "leitura"}
    audited = [one.changes for one in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert [one.get("snmp_secret") for one in audited] == ["(changed)", None]
    assert "leitura" not in str(audited)


def test_who_cannot_read_the_kept_secret_writes_it_anew(session: Session, keyring: Keyring) -> None:
    nas = make(session, keyring, snmp={}, snmp_secret={"community": "leitura"})
    nas.snmp_secret_encrypted = b"damaged"
    with pytest.raises(SealBroken):
        network.update_nas(session, keyring, nas, {"snmp": {"port": 1161}}, ACTOR)
    network.update_nas(session, keyring, nas, {"snmp_secret": {"community": "outra"}}, ACTOR)
    assert kept_secrets(nas, keyring) == {"community": "outra"}

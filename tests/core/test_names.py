"""What may stand on the wire is checked where it comes in, in octets, and the refusal names the field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core import network, plans
from core.audit import Actor
from core.errors import InvalidInput
from core.keyring import Keyring
from core.logins import NAME_OCTETS_MAX, check_login, check_name, check_password

LONG = "é" * 124  # 248 octets


@given(st.text(max_size=260))
def test_what_is_accepted_fits_its_attribute(text: str) -> None:
    for check, octets_max in ((check_login, 253), (check_password, 128), (lambda t: check_name(t, field="x"), 247)):
        try:
            accepted = check(text)
        except InvalidInput:
            continue
        assert 0 < len(accepted.encode()) <= octets_max
        assert "\0" not in accepted


@pytest.mark.parametrize("field", ["address_pool", "address_list"])
@pytest.mark.parametrize("name", [LONG, "", "a\nb"])
def test_a_plan_names_what_fits(session: Session, actor: Actor, field: str, name: str) -> None:
    values: dict[str, Any] = {"name": "p", "down_kbps": 1, "up_kbps": 1}
    with pytest.raises(InvalidInput) as refused:
        plans.create_plan(session, {**values, field: name}, actor)
    assert refused.value.field == field
    plan = plans.create_plan(session, values, actor)
    with pytest.raises(InvalidInput):
        plans.update_plan(session, plan, {field: name}, actor)
    assert plans.update_plan(session, plan, {field: "é" * (NAME_OCTETS_MAX // 2)}, actor)


@pytest.mark.parametrize("family", ["pools", "address_lists"])
def test_a_nas_names_what_fits(session: Session, actor: Actor, keyring: Keyring, family: str) -> None:
    values = {"name": "n", "address": "192.0.2.1", "secret": "x", "vendor": "mikrotik"}
    names = {"names": {family: {"residential": LONG}}}
    with pytest.raises(InvalidInput) as refused:
        network.create_nas(session, keyring, values | names, actor)
    assert refused.value.field == "names"
    nas = network.create_nas(session, keyring, values, actor)
    with pytest.raises(InvalidInput):
        network.update_nas(session, keyring, nas, names, actor)

"""Menus as data: what they say holds together, and two ways of writing a value are one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.routeros.schema import MENUS, Field, Kind, MenuSchema, Release, canonical
from provisioning.routeros.values import duration_text, parse_duration

FIELDS = [pytest.param(menu, field, id=f"{menu.path} {field.name}")
          for menu in MENUS.values() for field in menu.fields.values()]  # fmt: skip


@pytest.mark.parametrize(("menu", "field"), FIELDS)
def test_every_field_holds_together(menu: MenuSchema, field: Field) -> None:
    assert field.refers_to is None or field.refers_to in MENUS
    assert field.default is None or canonical(field.kind, field.default) == field.default
    assert field.default is None or not field.can_unset
    if field.kind is Kind.CHOICE:
        assert field.default is None or field.default in field.choices
    if field.kind is Kind.SET and field.choices and field.default:
        assert set(field.default.split(",")) <= field.choices
    assert set(menu.key) <= set(menu.fields)


@pytest.mark.parametrize(
    ("kind", "written", "printed"),
    [
        (Kind.BOOLEAN, "yes", "true"),
        (Kind.INTEGER, "007", "7"),
        (Kind.DURATION, "300", "5m"),
        (Kind.DURATION, "00:05:00", "5m"),
        (Kind.DURATION, "3s300ms", "3s300ms"),
        (Kind.DURATION, "none", "none"),
        (Kind.ADDRESS, "192.0.2.1/32", "192.0.2.1"),
        (Kind.ADDRESS, "2001:DB8::/32", "2001:db8::/32"),
        (Kind.RANGES, "192.0.2.2-192.0.2.9,198.51.100.0/24", "192.0.2.2-192.0.2.9,198.51.100.0/24"),
        (Kind.RATE, "10M/20000k", "10000000/20000000"),
        (Kind.SET, "pap,chap", "chap,pap"),
        (Kind.POLICIES, "write,!ftp,read", "read,write"),
        (Kind.TEXT, "yes", "yes"),
    ],
)
def test_a_value_is_written_as_the_router_prints_it(kind: Kind, written: str, printed: str) -> None:
    assert canonical(kind, written) == printed


@given(st.sampled_from(Kind), st.text(max_size=30))
def test_what_is_printed_is_printed_so_again(kind: Kind, text: str) -> None:
    assert canonical(kind, canonical(kind, text)) == canonical(kind, text)


@given(st.integers(0, 10**10))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(duration_text(duration)) == duration


def test_a_field_belongs_to_releases() -> None:
    radius = MENUS["/radius"]
    assert "require-message-auth" not in radius.known_to(Release.parse("7.12.1 (stable)"))
    assert "require-message-auth" in radius.known_to(Release.parse("7.18beta4 (testing)"))
    assert "primary-ntp" not in MENUS["/system/ntp/client"].known_to(Release(7, 0))
    with pytest.raises(ValueError, match="no release"):
        Release.parse("stable")

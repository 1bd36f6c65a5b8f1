"""What a NAS entry says about its own box."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.orm import Session

from core import network
from core.audit import Actor
from core.errors import InvalidInput
from core.keyring import Keyring
from core.models.network import Vendor
from core.nas_options import OPTIONS, check_names, check_options

ACTOR = Actor("test")


@pytest.mark.parametrize("vendor", list(Vendor))
def test_every_default_is_allowed(vendor: Vendor) -> None:
    for name, option in OPTIONS.get(vendor, {}).items():
        assert re.fullmatch(option.pattern, option.default), name


@pytest.mark.parametrize(
    ("vendor", "options", "words"),
    [
        (Vendor.MIKROTIK, {"platform": "ios"}, "platform: a NAS of vendor mikrotik leaves nothing to choose"),
        (Vendor.CISCO, {"platform": "nexus"}, "platform: 'nexus' is not allowed; ios:"),
        (Vendor.CISCO, {"plattform": "ios"}, "plattform: a NAS of vendor cisco leaves platform to choose"),
        (Vendor.NOKIA, {"egress": "q"}, "what limits the download"),
        (Vendor.JUNIPER, {"rate_service": "a(b)"}, "dynamic profile"),
        (Vendor.ACCEL_PPP, {"l4_redirect": "L4-Redirect"}, "number of its attr-l4-redirect"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_may_be_written(
    vendor: Vendor, options: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        check_options(vendor, options)
    assert words in error.value.detail
    assert error.value.field == "options"


def test_a_family_of_names_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="write one of pools, address_lists"):
        check_names({"pool": {"a": "b"}})


def test_options_must_fit_the_vendor_that_a_nas_becomes(session: Session, keyring: Keyring) -> None:
    values = {"name": "bng", "address": "192.0.2.1", "secret": "s", "vendor": Vendor.CISCO}
    nas = network.create_nas(session, keyring, {**values, "options": {"platform": "ios_xr"}}, ACTOR)
    assert nas.options == {"platform": "ios_xr"}
    with pytest.raises(InvalidInput, match="leaves nothing to choose"):
        network.update_nas(session, keyring, nas, {"vendor": Vendor.HUAWEI}, ACTOR)

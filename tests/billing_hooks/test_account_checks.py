"""What an account is given is checked when it is saved: the field is named, and what is to be done."""

from __future__ import annotations

import pytest
from certificates import certify
from gateway_drivers import DRIVERS, OURS, Driver, PixDriver
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from billing_hooks import accounts
from billing_hooks.gateways import ADAPTERS
from billing_hooks.models import GatewayAccount
from core.audit import Actor
from core.clock import utc_now
from core.errors import InvalidInput
from core.keyring import Keyring

ACTOR = Actor("test:person")
BY_NAME = {one.gateway: one for one in DRIVERS}
WITH_API = [one for one in DRIVERS if one.credentials]


def create(session: Session, keyring: Keyring, driver: type[Driver], **changed: dict[str, str]) -> GatewayAccount:
    given_ = {"settings": dict(driver.settings), "credentials": dict(driver.credentials)} | changed
    return accounts.create_account(session, keyring, driver.gateway, "one", driver.secret, ACTOR, **given_)


@pytest.mark.parametrize(
    ("gateway", "name", "value"),
    [
        ("asaas", "base_url", "api.asaas.com/v3"), ("asaas", "base_url", "ftp://api.asaas.com"),
        ("asaas", "base_url", "http://api.asaas.com/v3"), ("efi", "base_url", "https://user:pass@api.test"),
        ("iugu", "base_url", "https://api.test/?a=1"), ("pix", "base_url", "https://"), ("pix", "base_url", "https://[x"),
        ("pix", "base_url", "https://bank.test:99999"), ("pix", "base_url", "https://a b"),
        ("stripe", "livemode", "yes"), ("stripe", "livemode", "True"), ("stripe", "payment_method", "cheque"),
        ("stripe", "currency", "real"), ("stripe", "account", "cus_1"), ("stripe", "api_version", "latest"),
        ("mercadopago", "payment_method", "card"), ("mercadopago", "user_id", "abc"),
        ("pix", "pix_key", "not a key"), ("pix", "pix_key", "11111111111"), ("pix", "pix_key", "5581987654321"),
        ("pix", "token_path", "oauth/token"), ("pix", "api_path", "https://bank.test/v2"),
        ("pix", "skip_mtls_checking", "no"), ("pix", "payable_after_due_days", "-1"), ("pix", "period_days", "0"),
        ("pix", "period_days", "99999"), ("pix", "payable_after_due_days", "1.5"), ("pix", "scope", "cob.read\n"),
        ("pix", "webhook_ca", "no PEM"), ("asaas", "payment_method", "boleto"), ("standard", "base_url", "https://a.test"),
    ],
)  # fmt: skip
def test_a_setting_that_could_not_work_is_refused_by_its_name(
    session: Session, keyring: Keyring, gateway: str, name: str, value: str
) -> None:
    account = create(session, keyring, BY_NAME[gateway])
    for save in (
        lambda: accounts.create_account(
            session, keyring, gateway, "other", BY_NAME[gateway].secret, ACTOR, settings={name: value},
            credentials=BY_NAME[gateway].credentials,
        ),
        lambda: accounts.update_account(session, keyring, account, {"settings": {name: value}}, ACTOR, utc_now()),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            save()
        assert refused.value.field == f"settings.{name}"
        assert len(refused.value.detail) > 10


@pytest.mark.parametrize(
    ("gateway", "settings"),
    [
        ("asaas", {"base_url": "http://127.0.0.1:9101/v3"}), ("efi", {"base_url": "http://localhost:9101/v1"}),
        ("pix", {"base_url": "https://[::1]:9101", "pix_key": "+5581987654321", "scope": "cobv.read pix.read"}),
        ("pix", {"pix_key": "52998224725"}), ("pix", {"pix_key": "maria@example.com", "webhook_ca": OURS.pem}),
        ("stripe", {"livemode": "true", "account": "acct_1", "payment_method": "pix", "api_version": "2020-08-27"}),
        ("mercadopago", {"payment_method": "boleto", "user_id": "123"}),
    ],
)  # fmt: skip
def test_settings_that_work_are_taken(
    session: Session, keyring: Keyring, gateway: str, settings: dict[str, str]
) -> None:
    assert create(session, keyring, BY_NAME[gateway], settings=settings).settings == settings


@pytest.mark.parametrize("driver", WITH_API, ids=[one.gateway for one in WITH_API])
def test_a_credential_that_is_missing_unknown_or_no_header_bears_is_refused_by_its_name(
    session: Session, keyring: Keyring, driver: type[Driver]
) -> None:
    first = next(iter(driver.credentials))
    for credentials, name in (
        ({}, first), (dict(driver.credentials) | {"password": "x"}, "password"),
        (dict(driver.credentials) | {first: "copied with\na line break"}, first),
        (dict(driver.credentials) | {first: "chavé"}, first),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            create(session, keyring, driver, credentials=credentials)
        assert refused.value.field == f"credentials.{name}"
        assert "line break\n" not in refused.value.detail


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"certificate": "no PEM"}, "certificate"),
        ({"certificate": OURS.key_pem()}, "certificate"),
        ({"certificate": certify("of another key").pem}, "certificate"),
        ({"private_key": "no PEM"}, "private_key"),
        ({"private_key": OURS.pem}, "private_key"),
        ({"private_key": OURS.key_pem(b"passphrase")}, "private_key"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_refused(
    session: Session, keyring: Keyring, changed: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(session, keyring, PixDriver, credentials=dict(PixDriver.credentials) | changed)
    assert refused.value.field == f"credentials.{field}"
    assert "PRIVATE KEY" not in refused.value.detail


words = st.text(max_size=30) | st.sampled_from(["https://a.test", "true", "pix", "30"])


@given(gateway=st.sampled_from(sorted(ADAPTERS)), values=st.lists(words, min_size=9, max_size=9))
def test_any_words_are_settings_or_are_refused_by_their_name(gateway: str, values: list[str]) -> None:
    adapter = ADAPTERS[gateway]
    settings = dict(zip(adapter.settings, values, strict=False))
    refused = ""
    try:
        adapter.check_settings(settings)
    except InvalidInput as error:
        refused = error.field or "nothing"
    assert not refused or refused.removeprefix("settings.") in settings

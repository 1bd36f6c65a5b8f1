"""Gateway accounts: whom webhooks may come from, how the API behind them is asked, and whose ids a payment carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import Access
from billing_hooks.gateways.checks import check_credential, check_names
from billing_hooks.gateways.mutual_tls import CERTIFICATE, PRIVATE_KEY, client_context
from billing_hooks.models import GatewayAccount
from core import audit, events
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import InvalidInput, NotFound
from core.keyring import GATEWAY_CREDENTIALS, GATEWAY_SECRET, Keyring

#: How long the secret before stays valid where nobody says otherwise: senders change theirs within a day.
ROTATION = timedelta(days=1)


def create_account(
    session: Session,
    keyring: Keyring,
    gateway: str,
    name: str,
    secret: str,
    actor: Actor,
    *,
    settings: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> GatewayAccount:
    """Raises InvalidInput or Conflict."""
    if gateway not in ADAPTERS:
        raise InvalidInput(f"there is no gateway {gateway}", field="gateway")
    ADAPTERS[gateway].check_secret(secret)
    account = GatewayAccount(gateway=gateway, name=name, secret_encrypted=keyring.seal(secret, GATEWAY_SECRET))
    account.settings = _checked_settings(gateway, settings or {})
    account.credentials_encrypted = _sealed(keyring, gateway, credentials or {})
    session.add(account)
    flush_unique(session, {"name": "name"})
    shown = {"gateway": gateway, "name": name, "secret": "(changed)", "settings": account.settings}
    audit.record(session, actor, "create", "gateway_account", account.id, shown)
    events.record(session, "gateway_account.created", "gateway_account", account.id, gateway=gateway)
    return account


def get_account(session: Session, account_id: int) -> GatewayAccount:
    account = session.get(GatewayAccount, account_id)
    if account is None:
        raise NotFound("gateway account", account_id)
    return account


def find_account(session: Session, name: str) -> GatewayAccount:
    account = session.scalar(select(GatewayAccount).where(GatewayAccount.name == name))
    if account is None:
        raise NotFound("gateway account", name)
    return account


def update_account(
    session: Session, keyring: Keyring, account: GatewayAccount, values: Mapping[str, Any], actor: Actor, now: datetime
) -> GatewayAccount:
    """Change name, `enabled`, `settings`, `credentials`, `secret` or `previous_valid_until`.

    Settings and credentials are given whole. With a new secret the one before stays valid for ROTATION, or until
    `previous_valid_until`; None ends it at once.
    """
    plain = dict(values)
    secret, credentials = plain.pop("secret", None), plain.pop("credentials", None)
    if "settings" in plain:
        plain["settings"] = _checked_settings(account.gateway, plain["settings"])
    if secret is not None:
        _rotate(keyring, account, secret)
        plain.setdefault("previous_valid_until", now + ROTATION)
    if plain.get("previous_valid_until", now) is None:
        account.previous_secret_encrypted = None
    changed = apply_changes(account, plain)
    if credentials is not None:
        account.credentials_encrypted = _sealed(keyring, account.gateway, credentials)
    for secret_name, given in (("secret", secret), ("credentials", credentials)):
        if given is not None:
            changed[secret_name] = "(changed)"
    flush_unique(session, {"name": "name"})
    if changed:
        audit.record(session, actor, "update", "gateway_account", account.id, changed)
        events.record(session, "gateway_account.changed", "gateway_account", account.id)
    return account


def valid_secrets(account: GatewayAccount, now: datetime) -> list[bytes]:
    """Sealed, the present one first."""
    previous, until = account.previous_secret_encrypted, account.previous_valid_until
    if previous is None or until is None or until <= now:
        return [account.secret_encrypted]
    return [account.secret_encrypted, previous]


def access_of(keyring: Keyring, account: GatewayAccount) -> Access | None:
    """What its API is asked with; None for an account that was given no credentials."""
    if account.credentials_encrypted is None:
        return None
    credentials = msgspec.json.decode(keyring.open(account.credentials_encrypted, GATEWAY_CREDENTIALS))
    secret = keyring.open_text(account.secret_encrypted, GATEWAY_SECRET)
    return Access({**ADAPTERS[account.gateway].settings, **account.settings}, credentials, secret)


def account_of_charge(session: Session, gateway: str, account_id: int | None) -> int | None:
    """Whose charge an invoice names: the account given, or the only one there is.

    None where the gateway has no account here (yet). Raises InvalidInput where the account is not one of that gateway,
    or where several could be meant.
    """
    known = session.scalars(select(GatewayAccount.id).where(GatewayAccount.gateway == gateway)).all()
    if account_id is not None:
        if account_id not in known:
            raise InvalidInput(f"there is no account {account_id} of {gateway}", field="external.account_id")
        return account_id
    if len(known) > 1:
        raise InvalidInput(f"there are {len(known)} accounts of {gateway}: say which", field="external.account_id")
    return known[0] if known else None


def _rotate(keyring: Keyring, account: GatewayAccount, secret: str) -> None:
    ADAPTERS[account.gateway].check_secret(secret)
    account.previous_secret_encrypted = account.secret_encrypted
    account.secret_encrypted = keyring.seal(secret, GATEWAY_SECRET)


def _checked_settings(gateway: str, settings: Mapping[str, str]) -> dict[str, Any]:
    check_names(settings, ADAPTERS[gateway].settings, "settings", gateway)
    ADAPTERS[gateway].check_settings(settings)
    return dict(settings)


def _sealed(keyring: Keyring, gateway: str, credentials: Mapping[str, str]) -> bytes | None:
    """All of what the API needs: without it nothing that the gateway tells can be asked about."""
    wanted = ADAPTERS[gateway].credentials
    check_names(credentials, wanted, "credentials", gateway)
    for name in wanted:
        if not credentials.get(name):
            raise InvalidInput(f"the API of {gateway} needs {', '.join(wanted)}", field=f"credentials.{name}")
        if name not in {CERTIFICATE, PRIVATE_KEY}:
            check_credential(name, credentials[name])
    if CERTIFICATE in credentials:
        client_context(credentials)  # one that cannot be used is refused now, not when the API is asked
    return keyring.seal(msgspec.json.encode(dict(credentials)), GATEWAY_CREDENTIALS) if wanted else None

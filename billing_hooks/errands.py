"""Errands to gateways: what is asked of an API or ordered there, outside of every transaction.

    begin     (transaction)  the work is owed again for later, and that is the claim
    go        (no transaction, a thread)  the API, once
    conclude  (transaction)  what came of it, and the work owed for later is forgotten

A gateway that is away keeps its own work waiting and nobody else's: after a failure that account is left alone for a
while. If we die, the claim runs out and the errand is run again; what it changed is found changed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Generic, TypeVar

import httpx
import structlog
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing_hooks import accounts
from billing_hooks.gateways import ADAPTERS
from billing_hooks.gateways.base import Access, GatewayApi
from billing_hooks.gateways.http import TIMEOUT_S, GatewayAway, GatewayDenied, Http
from billing_hooks.gateways.mutual_tls import client_context
from billing_hooks.models import GatewayAccount
from core import outbox
from core.clock import Clock
from core.database import Database
from core.errors import ProvedorError
from core.keyring import Keyring
from core.models.system import OutboxItem
from core.topics import Topic
from core.work import Afterwards

#: Longer than an API is waited for, with a token to be fetched first.
CLAIM = timedelta(seconds=3 * TIMEOUT_S)
#: An account whose credentials are refused is tried again all the same: somebody may have put them right.
DENIED_RETRY_S = 300.0

log = structlog.get_logger()
MakeClient = Callable[[Access], httpx.Client]
_Result = TypeVar("_Result")


class NotYetKnown(GatewayAway):
    """The gateway does not know yet of what its own event tells. It is asked again so often, then a person is."""

    tries_max = 8


class NoCredentials(ProvedorError):
    """An account that was given nothing to ask its API with, or whose gateway has none."""

    title = "The gateway cannot be asked"


@dataclass(slots=True)
class Connections:
    """The APIs of our accounts, each opened once for as long as the account stays as it is. For several threads."""

    keyring: Keyring
    make_client: MakeClient
    _apis: dict[int, tuple[int, GatewayApi]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def api(self, account: GatewayAccount) -> GatewayApi | None:
        """None where the account has no credentials, or its gateway no API."""
        with self._lock:
            version, api = self._apis.get(account.id, (0, None))
            if version == account.version:
                return api
            access = accounts.access_of(self.keyring, account)
            if access is None:
                return None
            opened = ADAPTERS[account.gateway].connect(access, Http(self.make_client(access)))
            if opened is not None:
                self._apis[account.id] = account.version, opened
            return opened


def make_client(access: Access) -> httpx.Client:
    """With the account's own certificate, where its API wants one."""
    return httpx.Client(
        base_url=access.settings["base_url"], timeout=TIMEOUT_S, verify=client_context(access.credentials)
    )


@dataclass(frozen=True, slots=True)
class Errand(Generic[_Result]):
    """`topic` and `payload` are the work that is owed; `go` is run with the account's API, `conclude` with what it
    returned, `refuse` with the reason where it never will."""

    account_id: int
    topic: Topic
    payload: dict[str, Any]
    go: Callable[[GatewayApi], _Result]
    conclude: Callable[[Session, _Result], None]
    refuse: Callable[[Session, str], None]


@dataclass(slots=True)
class Errands:
    """`threads` do the waiting; one that waits for a gateway holds no connection to the database."""

    database: Database
    connections: Connections
    threads: Executor
    clock: Clock
    #: Accounts that failed, and until when they are left alone.
    _away: dict[int, datetime] = field(default_factory=dict)

    def begin(self, session: Session, errand: Errand[Any]) -> Afterwards | None:
        """Within the transaction that takes the work; what is returned runs the errand."""
        account = session.get_one(GatewayAccount, errand.account_id)
        api = self.connections.api(account)
        if api is None:
            errand.refuse(session, f"account {account.name} has no credentials to ask its API with")
            return None
        until = self._away.get(account.id)
        if until is not None and until > self.clock():
            outbox.enqueue(session, errand.topic, _tried(errand, 0), due_at=until)
            return None
        owed_id = outbox.enqueue(session, errand.topic, _tried(errand, 0), due_at=self.clock() + CLAIM)
        return lambda: self._submit(api, errand, owed_id)

    def _submit(self, api: GatewayApi, errand: Errand[Any], owed_id: int) -> None:
        self.threads.submit(self._run, api, errand, owed_id)

    def _run(self, api: GatewayApi, errand: Errand[Any], owed_id: int) -> None:
        try:
            result = errand.go(api)
        except GatewayAway as away:
            self._put_off(errand, owed_id, away)
        except GatewayDenied as denied:
            self._put_off(errand, owed_id, GatewayAway(denied.detail, retry_after_s=DENIED_RETRY_S))
        except ProvedorError as refused:
            detail = refused.detail
            self._finish(owed_id, lambda session: errand.refuse(session, detail))
        except Exception as error:  # noqa: BLE001  (a thread has nobody to raise to; it comes again with its claim)
            log.error("errand to a gateway failed", topic=errand.topic.name, error=type(error).__name__)
        else:
            self._away.pop(errand.account_id, None)
            self._finish(owed_id, lambda session: errand.conclude(session, result))

    def _put_off(self, errand: Errand[Any], owed_id: int, away: GatewayAway) -> None:
        if isinstance(away, NotYetKnown):
            if errand.payload.get("tries", 0) >= away.tries_max:
                self._finish(owed_id, lambda session: errand.refuse(session, away.detail))
                return
        else:
            self._away[errand.account_id] = self.clock() + timedelta(seconds=away.retry_after_s)
            log.warning("gateway is not to be asked, its work waits", account=errand.account_id, detail=away.detail)
        due_at = self.clock() + timedelta(seconds=away.retry_after_s)
        again = update(OutboxItem).where(OutboxItem.id == owed_id)
        with self.database.transaction() as session:
            session.execute(again.values(payload=_tried(errand, 1), due_at=due_at))

    def _finish(self, owed_id: int, conclude: Callable[[Session], None]) -> None:
        with self.database.transaction() as session:
            outbox.forget(session, owed_id)
            conclude(session)


def _tried(errand: Errand[Any], more: int) -> dict[str, Any]:
    return {**errand.payload, "tries": errand.payload.get("tries", 0) + more}

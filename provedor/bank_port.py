"""The TLS port on which banks send their Pix webhooks, and show certificates of their own (BCB, "API Pix": mutual TLS).

Who shows none that comes from an authority of one of our accounts (`webhook_ca`) gets no further than the handshake.
Which accounts he may speak for is judged by the adapter, account by account, from the chain that the handshake
verified: the protocol below puts it into each request's state. So an authority that was taken off an account is trusted
no longer although the handshake still knows it, and one bank's certificate is no good for another's account.

What changes meanwhile is taken up without a restart: accounts' authorities, and our own certificate when it was
renewed (Let's Encrypt).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import structlog
import uvicorn
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from billing_hooks.models import GatewayAccount
from core.database import Database
from core.errors import ConfigurationError

PATHS: Final = frozenset({"/hooks/pix", "/hooks/pix/pix"})
LOOK_S: Final = 15.0
_DER: Final = 2

log = structlog.get_logger()


class BankPort:
    """`certificate` and `private_key` are ours, in PEM; the first with its chain. Raises ConfigurationError."""

    def __init__(self, certificate: Path, private_key: Path, authorities: Callable[[], Iterable[str]]) -> None:
        self._files = certificate, private_key
        self._authorities = authorities
        self._trusted: set[str] = set()
        self._loaded: tuple[float, ...] = ()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.verify_mode = ssl.CERT_REQUIRED
        #: A bank may publish the authority in the middle alone.
        self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            self._load_own()
        except OSError as error:
            raise ConfigurationError(f"PROVEDOR_BANK_CERTIFICATE or _KEY: {error.strerror or error}") from None

    def refresh(self) -> None:
        """Take up what changed; what cannot be had now is had later."""
        try:
            self._load_own()
            self._trust_new()
        except (OSError, SQLAlchemyError) as error:
            log.warning("the banks' port goes on with what it has", error=type(error).__name__)

    def refresh_until(self, stopped: Event) -> None:
        while not stopped.wait(LOOK_S):
            self.refresh()

    def config(self, app: ASGIApp, host: str, port: int) -> uvicorn.Config:
        return uvicorn.Config(
            only_banks(app), host=host, port=port, log_level="warning", access_log=False, server_header=False,
            lifespan="off", timeout_graceful_shutdown=3, http=_WithChain, ws="none",
            ssl_context_factory=lambda *_: self.context,
        )  # fmt: skip

    def _load_own(self) -> None:
        """ssl.SSLError, of a pair that does not belong together, is an OSError."""
        modified = tuple(file.stat().st_mtime for file in self._files)
        if modified != self._loaded:
            self.context.load_cert_chain(*self._files)
            self._loaded = modified

    def _trust_new(self) -> None:
        for pem in set(self._authorities()) - self._trusted:
            self.context.load_verify_locations(cadata=pem)
            self._trusted.add(pem)


def authorities_of_accounts(database: Database) -> list[str]:
    """What our accounts at banks say, in PEM."""
    query = select(GatewayAccount.settings).where(GatewayAccount.gateway == "pix", GatewayAccount.enabled)
    with database.transaction() as session:
        found = [settings.get("webhook_ca", "") for settings in session.scalars(query)]
    return [pem for pem in found if pem]


def only_banks(app: ASGIApp) -> ASGIApp:
    """Nothing else of ours is to be had on this port."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        wanted = app if scope["type"] == "http" and scope["path"] in PATHS else PlainTextResponse("Not Found", 404)
        await wanted(scope, receive, send)

    return served


def run(server: uvicorn.Server, port: BankPort) -> None:
    """Until the server is told to stop."""
    port.refresh()
    stopped = Event()
    thread = Thread(target=port.refresh_until, args=(stopped,), daemon=True)
    thread.start()
    server.run()
    stopped.set()
    thread.join()


class _WithChain(H11Protocol):
    """uvicorn tells an application nothing of its client's certificate."""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        super().connection_made(transport)
        chain = _verified_chain(transport.get_extra_info("ssl_object"))
        self.app_state = {**self.app_state, "client_chain": chain}


def _verified_chain(tls: Any) -> tuple[bytes, ...]:  # noqa: ANN401
    """In DER, the client's own first. Python has a public name for it since 3.13 only."""
    if hasattr(tls, "get_verified_chain"):
        return tuple(tls.get_verified_chain())
    return tuple(one.public_bytes(_DER) for one in tls._sslobj.get_verified_chain())  # noqa: SLF001

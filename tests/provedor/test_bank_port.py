"""The banks' port over real TLS: who shows a certificate of the account's bank is heard, and nobody else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from applications import make_app
from certificates import Certified, certify
from gateway_drivers import PixDriver
from sqlalchemy import select
from starlette.testclient import TestClient

from billing_hooks import accounts
from billing_hooks.models import GatewayAccount, InboxEntry
from core.audit import Actor
from core.clock import utc_now
from core.database import Database
from core.errors import ConfigurationError
from core.keyring import Keyring
from provedor.bank_port import BankPort, authorities_of_accounts

OUR_AUTHORITY = certify("a public authority")
BANK_ROOT = certify("bank's root")
BANK = certify("bank's authority", BANK_ROOT, authority=True)
OTHER_BANK = certify("another bank's authority")
CALLER = certify("bank's caller", BANK)
SECRET, OTHER_SECRET = PixDriver.secret, PixDriver.other_secret
BODY = b'{"pix": [{"endToEndId": "E00416968202611241200s08793XPJ11", "valor": "1.00"}]}'


class _Listening(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.came_up = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets)  # type: ignore[arg-type]
        self.came_up.set()


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    server = certify("127.0.0.1", OUR_AUTHORITY)
    certificate.write_text(server.pem)
    key.write_text(server.key_pem())
    return certificate, key


@pytest.fixture
def port(database: Database, keyring: Keyring, own: tuple[Path, Path]) -> BankPort:
    with database.transaction() as session:
        for name, secret, authority in (("bank", SECRET, BANK_ROOT), ("other", OTHER_SECRET, OTHER_BANK)):
            accounts.create_account(
                session, keyring, "pix", name, secret, Actor("test"), settings={"webhook_ca": authority.pem},
                credentials=PixDriver.credentials,
            )  # fmt: skip
    return BankPort(*own, lambda: authorities_of_accounts(database))


@pytest.fixture
def url(database: Database, keyring: Keyring, port: BankPort) -> Iterator[str]:
    port.refresh()
    server = _Listening(port.config(make_app(database, keyring), "127.0.0.1", 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.came_up.wait(10)
    yield f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def client(shown: Certified | None, between: str, directory: Path) -> httpx.Client:
    """`between`: the certificates that lead from his own to the authority's."""
    context = ssl.create_default_context(cadata=OUR_AUTHORITY.pem)
    if shown is not None:
        file = directory / "client.pem"
        file.write_text(shown.pem + between + shown.key_pem())
        context.load_cert_chain(file)
    return httpx.Client(verify=context, timeout=10)


def post(url: str, shown: Certified | None, directory: Path, *, secret: str = SECRET, between: str = BANK.pem) -> int:
    with client(shown, between, directory) as caller:
        answer = caller.post(f"{url}/hooks/pix?hmac={secret}&ignorar=/pix", content=BODY)
    return answer.status_code


def stored(database: Database) -> list[str]:
    with database.transaction() as session:
        names = select(GatewayAccount.name).join(InboxEntry, InboxEntry.account_id == GatewayAccount.id)
        return list(session.scalars(names))


def test_who_shows_the_banks_certificate_is_heard(url: str, database: Database, tmp_path: Path) -> None:
    assert post(url, CALLER, tmp_path) == 200
    assert stored(database) == ["bank"]


@pytest.mark.parametrize("shown", [None, certify("stranger"), certify("signed by another", certify("nobody"))])
def test_who_shows_none_or_a_strangers_gets_no_further_than_the_handshake(
    url: str, database: Database, tmp_path: Path, shown: Certified | None
) -> None:
    """A bank tries that before it registers a webhook."""
    with pytest.raises(httpx.TransportError):
        post(url, shown, tmp_path, between="")
    assert stored(database) == []


def test_one_banks_certificate_is_no_good_for_anothers_account(url: str, database: Database, tmp_path: Path) -> None:
    assert post(url, CALLER, tmp_path, secret=OTHER_SECRET) == 401
    assert post(url, certify("other's caller", OTHER_BANK), tmp_path, secret=OTHER_SECRET, between="") == 200
    assert post(url, CALLER, tmp_path, secret="x" * 40) == 401
    assert stored(database) == ["other"]


def test_with_an_authority_nothing_is_taken_on_any_other_port(
    url: str, database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    plain = TestClient(make_app(database, keyring))
    assert plain.post(f"/hooks/pix?hmac={SECRET}", content=BODY).status_code == 401
    assert stored(database) == []


@pytest.mark.parametrize("path", ["/api/v1/events", "/healthz", "/metrics", "/hooks/asaas", "/hooks/pix/x"])
def test_nothing_else_of_ours_is_to_be_had_there(url: str, tmp_path: Path, path: str) -> None:
    with client(CALLER, BANK.pem, tmp_path) as caller:
        assert caller.get(f"{url}{path}").status_code == 404


def test_an_authority_that_is_new_is_trusted_and_one_that_is_gone_is_not(
    url: str, port: BankPort, database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    new = certify("bank's new authority")
    caller = certify("bank's caller", new)
    with pytest.raises(httpx.TransportError):
        post(url, caller, tmp_path, between="")
    with database.transaction() as session:
        account = accounts.find_account(session, "bank")
        settings = {"settings": {"webhook_ca": new.pem}}
        accounts.update_account(session, keyring, account, settings, Actor("test"), utc_now())
    port.refresh()
    assert post(url, caller, tmp_path, between="") == 200
    assert post(url, CALLER, tmp_path) == 401


def test_our_own_certificate_is_renewed_without_a_restart(
    url: str, port: BankPort, own: tuple[Path, Path], tmp_path: Path
) -> None:
    renewed = certify("127.0.0.1", OUR_AUTHORITY)
    own[1].write_text("half written")
    port.refresh()
    assert post(url, CALLER, tmp_path) == 200
    for file, text in zip(own, (renewed.pem, renewed.key_pem()), strict=True):
        file.write_text(text)
    port.refresh()
    address = httpx.URL(url)
    shown = ssl.get_server_certificate((address.host, address.port or 0))
    assert ssl.PEM_cert_to_DER_cert(shown) == renewed.der


def test_files_that_are_missing_or_do_not_belong_together_stop_the_start(
    tmp_path: Path, own: tuple[Path, Path]
) -> None:
    with pytest.raises(ConfigurationError, match="BANK_CERTIFICATE"):
        BankPort(tmp_path / "none.pem", own[1], list)
    own[1].write_text(certify("another").key_pem())
    with pytest.raises(ConfigurationError, match="BANK_CERTIFICATE"):
        BankPort(*own, list)

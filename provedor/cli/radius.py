"""radius test, and the group that radius trace belongs to."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from aaa import testclient
from aaa.authenticator import SharedSecret
from aaa.packet import Code, Kind, text_attribute
from aaa.vendors.table import markdown
from core import network, services
from core.errors import InvalidInput, NotFound, ProvedorError
from core.keyring import NAS_SECRET, SERVICE_PASSWORD
from provedor.cli.common import Json, describe_packet, print_json, print_packet, runtime
from provedor.cli.trace import trace
from provedor.settings import load_settings

radius_app = typer.Typer(no_args_is_help=True, help="test and watch RADIUS")
radius_app.command()(trace)

OURSELVES = "127.0.0.1"


class Method(StrEnum):
    PAP = "pap"
    CHAP = "chap"
    MSCHAPV2 = "mschapv2"


@radius_app.command()
def vendors() -> None:
    """What each vendor's NAS is told of a plan, and what of it changes live, as the tables of docs/radius.md."""
    typer.echo(markdown())


@radius_app.command("test")
def authenticate(
    login: str,
    method: Annotated[Method, typer.Option()] = Method.PAP,
    server: Annotated[str, typer.Option(help="address of the RADIUS server")] = OURSELVES,
    nas: Annotated[str, typer.Option(help="NAS entry whose secret is used; default: the one of 127.0.0.1")] = "",
    as_json: Json = False,
) -> None:
    """Authenticate as a NAS would, and print the reply's attributes by name; exit 1 when refused."""
    secret, password = _facts(login, nas)
    attributes = text_attribute(Kind.NAS_IDENTIFIER, "provedor-radius-test")
    request = testclient.access_request(1, login, password, method, attributes, secret, os.urandom)
    port = load_settings().radius_auth_port
    try:
        reply = testclient.exchange(server, port, request.octets)
    except OSError as error:
        raise InvalidInput(f"cannot send to {server}: {error.strerror}", field="--server") from None
    if reply is None:
        raise ProvedorError(
            f"{server} port {port} does not answer: is RADIUS up there, and is our address a NAS entry of it?"
        )
    if not testclient.reply_valid(reply, request, secret):
        raise ProvedorError("the reply's signature is wrong: the shared secrets differ")
    accepted = reply.code == Code.ACCESS_ACCEPT
    if as_json:
        print_json({"accepted": accepted, **describe_packet(reply)})
    else:
        print_packet(reply)
    if not accepted:
        typer.echo(f"refused; `provedor explain {login}` says why", err=True)
        raise typer.Exit(1)
    if not testclient.server_proven(reply, request):
        raise ProvedorError("the server accepted without proving that it knows the password (MS-CHAP2-Success)")


def _facts(login: str, nas_name: str) -> tuple[SharedSecret, str]:
    """The NAS's secret and the subscriber's password, as the database has them."""
    given = runtime()
    with given.database.transaction() as session:
        service = services.find_by_login(session, login)
        if service is None or service.password_encrypted is None:
            raise NotFound("service with the login", login)
        try:
            nas = network.find_by_name(session, nas_name) if nas_name else network.find_by_address(session, OURSELVES)
        except NotFound as error:
            advice = "create one over POST /api/v1/nas, or name another with --nas"
            raise InvalidInput(f"{error.detail}; {advice}", field="--nas") from None
        secret = SharedSecret(given.keyring.open(nas.secret_encrypted, NAS_SECRET))
        return secret, given.keyring.open_text(service.password_encrypted, SERVICE_PASSWORD)

"""user create|list, token create|list|revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import select

from core import tokens
from core.errors import NotFound
from core.models.system import ApiToken, Operator, Role
from provedor.cli.common import Json, actor, print_json, print_table, runtime

user_app = typer.Typer(no_args_is_help=True, help="operators")
token_app = typer.Typer(no_args_is_help=True, help="API tokens")


@user_app.command("create")
def create_user(
    username: str,
    name: Annotated[str, typer.Option(help="the person's name")],
    role: Annotated[Role, typer.Option()] = Role.READONLY,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = "",
) -> None:
    """Create an operator; the password is asked for."""
    with runtime().database.transaction() as session:
        tokens.create_operator(session, name=name, username=username, password=password, role=role, actor=actor())
    typer.echo(f"operator {username} created")


@user_app.command("list")
def list_users(as_json: Json = False) -> None:
    """Operators and their roles."""
    with runtime().database.transaction() as session:
        rows = [
            {"username": one.username, "role": one.role.value, "name": one.name}
            for one in session.scalars(select(Operator).order_by(Operator.id))
        ]
    _print(["username", "role", "name"], rows, as_json=as_json)


@token_app.command("create")
def create_token(name: str, role: Annotated[Role, typer.Option()] = Role.READONLY) -> None:
    """Create an API token; it is printed once, alone."""
    with runtime().database.transaction() as session:
        _, secret = tokens.create_token(session, name, role, actor())
    typer.echo(secret)


@token_app.command("list")
def list_tokens(as_json: Json = False) -> None:
    """Tokens by name, never their values."""
    with runtime().database.transaction() as session:
        rows = [
            {"name": one.name, "role": one.role.value, "state": "revoked" if one.revoked_at else "live"}
            for one in session.scalars(select(ApiToken).order_by(ApiToken.id))
        ]
    _print(["name", "role", "state"], rows, as_json=as_json)


@token_app.command("revoke")
def revoke_token(name: str) -> None:
    """End a token; who uses it is refused from now on."""
    with runtime().database.transaction() as session:
        found = session.scalar(select(ApiToken.id).where(ApiToken.name == name))
        if found is None:
            raise NotFound("token", name)
        tokens.revoke_token(session, found, actor(), datetime.now(UTC))
    typer.echo(f"token {name} revoked")


def _print(columns: list[str], rows: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(columns, [list(row.values()) for row in rows])

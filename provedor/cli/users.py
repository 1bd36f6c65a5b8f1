"""user create, token create."""

from __future__ import annotations

from typing import Annotated

import typer

from core import tokens
from core.models.system import Role
from provedor.cli.common import actor, runtime

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
def list_users() -> None:
    """Operators and their roles."""
    from sqlalchemy import select  # noqa: PLC0415

    from core.models.system import Operator  # noqa: PLC0415

    with runtime().database.transaction() as session:
        for operator in session.scalars(select(Operator).order_by(Operator.id)):
            typer.echo(f"{operator.username}\t{operator.role}\t{operator.name}")


@token_app.command("create")
def create_token(name: str, role: Annotated[Role, typer.Option()] = Role.READONLY) -> None:
    """Create an API token; it is printed once, alone."""
    with runtime().database.transaction() as session:
        _, secret = tokens.create_token(session, name, role, actor())
    typer.echo(secret)


@token_app.command("list")
def list_tokens() -> None:
    """Tokens by name, never their values."""
    from sqlalchemy import select  # noqa: PLC0415

    from core.models.system import ApiToken  # noqa: PLC0415

    with runtime().database.transaction() as session:
        for token in session.scalars(select(ApiToken).order_by(ApiToken.id)):
            typer.echo(f"{token.name}\t{token.role}\t{'revoked' if token.revoked_at else 'live'}")

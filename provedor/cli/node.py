"""up, demo, settings, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from provedor.cli.common import Json, print_json, print_table
from provedor.settings import PREFIX, SECRETS, Settings, load_settings


def up(only: Annotated[str, typer.Option(help="radius,api,worker,beat,natlog")] = "") -> None:
    """Start what this node runs, until SIGTERM."""
    from provedor.node import ROLES, run_node  # noqa: PLC0415

    roles = [role.strip() for role in only.split(",") if role.strip()] or list(ROLES)
    unknown = set(roles) - set(ROLES)
    if unknown:
        raise typer.BadParameter(f"there is no role {', '.join(sorted(unknown))}; roles are {', '.join(ROLES)}")
    run_node(load_settings(), roles)


def demo() -> None:
    """A demo provider with a simulated BRAS, in its own data directory."""
    from provedor.demo import run_demo  # noqa: PLC0415

    run_demo()


def settings(as_json: Json = False) -> None:
    """Every setting with its value, default and purpose; secrets are not shown.

    Each is an environment variable, or the lower-case name without PROVEDOR_ in a provedor.toml of the working
    directory; the environment wins.
    """
    loaded = load_settings()
    rows = [
        {"name": PREFIX + name.upper(), "value": _shown(loaded, name), "default": _default(field.default),
         "description": field.description}
        for name, field in Settings.model_fields.items()
    ]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    for row in rows:
        default = "" if row["value"] == row["default"] else f"; default: {row['default'] or 'empty'}"
        typer.echo(f"{row['name']}={row['value']}\n    {row['description']}{default}")


def doctor(
    names: Annotated[list[str] | None, typer.Argument(metavar="[CHECK]...", help="by name; default: all")] = None,
    as_json: Json = False,
) -> None:
    """Check this node and say what to do; exit 1 when something is wrong."""
    from provedor.doctor import NAMES, examine  # noqa: PLC0415

    if unknown := set(names or ()) - set(NAMES):
        raise typer.BadParameter(f"no check is called {', '.join(sorted(unknown))}: {', '.join(NAMES)}")
    checks = examine(load_settings(), names or NAMES)
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        words = {True: "ok", False: "WRONG", None: "?"}
        print_table(["check", "ok", "what to do"], [[check.name, words[check.ok], check.advice] for check in checks])
    if any(check.ok is False for check in checks):
        raise typer.Exit(1)


def _shown(loaded: Settings, name: str) -> str:
    value = getattr(loaded, name)
    if value in {None, ""}:
        return ""
    return "(set)" if name in SECRETS else str(value)


def _default(value: object) -> str:
    return "" if value is None else str(value)

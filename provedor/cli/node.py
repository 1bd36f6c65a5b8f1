"""up, demo, settings, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from provedor.cli.common import Json, print_json, print_table
from provedor.settings import SECRETS, Settings, load_settings


def up(only: Annotated[str, typer.Option(help="radius,api,worker,beat")] = "") -> None:
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
    """Every setting with its value; secrets are not shown."""
    loaded = load_settings()
    rows = [
        [f"PROVEDOR_{name.upper()}", _shown(loaded, name), field.description or ""]
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        print_json([{"name": name, "value": value, "description": about} for name, value, about in rows])
    else:
        print_table(["setting", "value", "what it is"], rows)


def doctor(as_json: Json = False) -> None:
    """Check this node and say what to do; exit 1 when something is wrong."""
    from provedor.doctor import examine  # noqa: PLC0415

    checks = examine(load_settings())
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        print_table(["check", "ok", "what to do"], [[c.name, "ok" if c.ok else "WRONG", c.advice] for c in checks])
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _shown(loaded: Settings, name: str) -> str:
    value = getattr(loaded, name)
    return "(set)" if name in SECRETS and value else str(value)

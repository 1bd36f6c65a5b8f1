"""All commands by their names. Only the one that is asked for is imported: all of them together take seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

import typer

#: {command or group: (module, what it is there)}, in the order of the help.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("node", "up"),
    "demo": ("node", "demo"),
    "top": ("top", "top"),
    "settings": ("node", "settings"),
    "doctor": ("node", "doctor"),
    "explain": ("explain", "explain"),
    "user": ("users", "user_app"),
    "token": ("users", "token_app"),
    "import": ("imports", "import_app"),
    "export": ("exports", "export_app"),
    "takeover": ("takeover", "takeover_app"),
    "enforcement": ("enforcement", "enforcement_app"),
    "nas": ("enforcement", "nas_app"),
    "node": ("nodes", "node_app"),
    "provision": ("provision", "provision_app"),
    "billing": ("billing", "billing_app"),
    "gateway": ("gateways", "account_app"),
    "radius": ("radius", "radius_app"),
    "simulate": ("simulate", "simulate_app"),
    "connection-log": ("connection_log", "log_app"),
}


def make_app(words: Sequence[str]) -> typer.Typer:
    """For this command line: with the command that it names, or with all where it names none."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="Network provisioning and RADIUS.",
    )  # fmt: skip
    app.callback()(_all_of_it)
    asked_for = words[0] if words and words[0] in COMMANDS else None
    for name in COMMANDS if asked_for is None else (asked_for,):
        module, attribute = COMMANDS[name]
        found = getattr(import_module(f"provedor.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _all_of_it() -> None:
    """Network provisioning and RADIUS."""

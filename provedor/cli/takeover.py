"""takeover home|mode|report: moving from another server, NAS by NAS."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from aaa.pools import adoption
from aaa.takeover import report
from core import home_servers, network
from core.errors import InvalidInput, NotFound
from core.models.network import NasMode
from provedor.cli.common import InLanguage, Json, actor, print_json, runtime

takeover_app = typer.Typer(no_args_is_help=True, help="take over from another RADIUS server")
#: What differs that is shown, the most frequent first.
GROUPS_SHOWN = 40
Port = Annotated[int, typer.Option(min=1, max=65535)]


@takeover_app.command()
def home(
    name: str,
    address: str,
    auth_port: Port = 1812,
    acct_port: Port = 1813,
    secret: Annotated[
        str, typer.Option(envvar="PROVEDOR_HOME_SECRET", help="- reads it from stdin; asked for without it")
    ] = "",
    status_server: Annotated[bool, typer.Option(help="whether it answers Status-Server")] = True,
) -> None:
    """Name the server that we take over from, or change what is known of it. It must have us as a client."""
    given = runtime()
    values: dict[str, Any] = {
        "name": name, "address": address, "auth_port": auth_port, "acct_port": acct_port,
        "status_server": status_server, "secret": _secret(secret),
    }  # fmt: skip
    with given.database.transaction() as session:
        try:
            known = home_servers.find_by_name(session, name)
        except NotFound:
            home_servers.create_home_server(session, given.keyring, values, actor())
            outcome = "created"
        else:
            home_servers.update_home_server(session, given.keyring, known, values, actor())
            outcome = "changed"
    typer.echo(f"home server {name} {outcome}")


@takeover_app.command()
def mode(
    nas: str,
    mode: NasMode,
    home: Annotated[str, typer.Option(help="home server; default: the one that it has")] = "",
) -> None:
    """Who answers this NAS: serve (we), shadow (the home server, compared with us), proxy (unknown logins go there)."""
    given = runtime()
    with given.database.transaction() as session:
        found = network.find_by_name(session, nas)
        values: dict[str, Any] = {"mode": mode}
        if home:
            values["home_server_id"] = home_servers.find_by_name(session, home).id
        network.update_nas(session, given.keyring, found, values, actor())
        if mode is not NasMode.SHADOW:
            adoption.adopt(session)  # from now on we give addresses there, and none that a session has
    typer.echo(f"{nas} is in mode {mode}")


@takeover_app.command("report")
def show_report(
    nas: Annotated[str, typer.Argument(help="name of a NAS; all without it")] = "",
    everything: Annotated[bool, typer.Option("--all", help="also what no NAS treats otherwise")] = False,
    language: InLanguage = None,
    as_json: Json = False,
) -> None:
    """In what the old server's answers and ours differ, and for how many logins. Exit 1 when any differs."""
    given = runtime()
    with given.database.transaction() as session:
        nas_id = network.find_by_name(session, nas).id if nas else None
        progress = report.progress(session, nas_id)
        spoken = language or given.settings.language
        groups = report.groups(session, spoken, nas_id, harmless=everything)
        found = report.differences(session, nas_id, harmless=everything) if as_json else []
        lines = [report.in_words(one, spoken) for one in found]
    if as_json:
        print_json(
            {
                "nas": [one.as_json() for one in progress],
                "groups": [one.as_json() for one in groups],
                "differences": [one.as_json() for one in lines],
            }
        )
    else:
        _print_report(progress, groups)
    if any(not group.harmless for group in groups):
        raise typer.Exit(1)


def _print_report(progress: list[report.Progress], groups: list[report.Group]) -> None:
    for one in progress:
        typer.echo(f"{one.nas} ({one.mode}): {one.logins} logins compared, {one.equal} equal, {one.differing} differ")
    for group in groups[:GROUPS_SHOWN]:
        names = [f"{login} (= {group.near[login]})" if login in group.near else login for login in group.examples]
        more = ", …" if group.logins > len(names) else ""
        typer.echo(f"{group.nas}, {group.logins} of them ({', '.join(names)}{more}): {group.text}")
    if len(groups) > GROUPS_SHOWN:
        typer.echo(f"… and {len(groups) - GROUPS_SHOWN} more; --json has them all")
    if any(group.near for group in groups):
        typer.echo("“a (= b)”: a is b here; the NAS's login_rules can make it so, or the login at the CPE is corrected")


def _secret(given: str) -> str:
    if given == "-":
        return sys.stdin.readline().rstrip("\n")
    if given:
        return given
    if not sys.stdin.isatty():
        raise InvalidInput("say it by PROVEDOR_HOME_SECRET, or `--secret -` and stdin", field="--secret")
    return str(typer.prompt("shared secret", hide_input=True))

"""provision adopt: a router that is there already, looked at and taken over step by step."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final, TextIO, TypeVar

import typer

from core import audit, network
from core.errors import InvalidInput, ProvedorError
from provedor.cli.common import Json, actor, print_json, print_table, progress, runtime
from provedor.cli.imports import read_rate, show_outcome
from provedor.cli.local import await_look, tell
from provedor.imports.accounts import Level
from provedor.imports.adoption import Adoption, Busy
from provedor.runtime import Runtime
from provisioning.adopt.found import Found, words_of
from provisioning.adopt.intent import propose_intent
from provisioning.adopt.naming import ProposedPlan
from provisioning.adopt.owning import Owning, rows_to_own
from provisioning.adopt.ppp_secret import ProposedService
from provisioning.adopt.proposal import Choices, LeftOut, Proposal
from provisioning.backups.keeper import Backups
from provisioning.local import store
from provisioning.local.owning import check_kept

T = TypeVar("T")
#: Those that `import csv` reads, and what a person wants to see beside them.
_COLUMNS: Final = (
    "login", "password", "plan", "customer_name", "document", "due_day", "ipv4_address", "ipv6_prefix", "mac_lock",
    "comment", "hold", "told",
)  # fmt: skip
#: Logins of one reason that are shown.
_SHOWN_MAX: Final = 10
#: Seconds that we wait for whoever is at the box.
_TRIES: Final = 30


def adopt(
    nas: Annotated[str, typer.Argument(help="name of a NAS entry with access to its RouterOS API")],
    logins: Annotated[list[str] | None, typer.Argument(help="those that --own is about")] = None,
    take: Annotated[bool, typer.Option("--take", help="make the plans, customers and services: shown, asked")] = False,
    own: Annotated[
        bool, typer.Option("--own", help="the secrets of these logins, or --all, become ours at the router: asked")
    ] = False,
    everybody: Annotated[bool, typer.Option("--all", help="with --own: all that are services here")] = False,
    differing: Annotated[
        bool, typer.Option("--differing", help="with --own: those too who get something else here than there")
    ] = False,
    intent: Annotated[bool, typer.Option("--intent", help="what the router is, for `provision intent`")] = False,
    own_intent: Annotated[
        bool, typer.Option("--own-intent", help="rows that its intent names become ours for the next plan: asked")
    ] = False,
    rate: Annotated[
        list[str] | None, typer.Option(help="PROFILE=DOWN/UP, as 200M/100M, of a profile that does not tell")
    ] = None,
    blocked_plan: Annotated[
        str | None, typer.Option(metavar="PLAN", help="of those whose profile is for debtors: a plan, or a profile")
    ] = None,
    due_day: Annotated[int, typer.Option(min=1, max=31, help="of the contracts that are made")] = 10,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", dir_okay=False, help="write what `import csv` takes, to be edited; -: here")
    ] = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="with the passwords; it is logged")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """What of an existing router becomes services and plans. It is only read, but for --own."""
    asked = {"--take": take, "--own": own, "--intent": intent, "--own-intent": own_intent, "--csv": bool(csv_file)}
    _check_asked([name for name, is_asked in asked.items() if is_asked], of_own=bool(logins) or everybody or differing)
    given = runtime()
    with given.database.transaction() as session:
        nas_id = network.find_by_name(session, nas).id
        if secrets:
            audit.record(session, actor(), "reveal", "adoption", nas_id, {})
    choices = Choices(dict(map(read_rate, rate or ())), blocked_plan)
    adoption = Adoption(given.database, given.keyring, nas_id, choices)
    if own_intent:
        _own_intent(given, adoption, nas, yes=yes)
        return
    found = adoption.read()
    if intent:
        _print_intent(found)
        return
    proposal = adoption.propose(found)
    if own:
        wanted = _wanted(logins, everybody=everybody)
        _own(given, adoption, nas, rows_to_own(proposal, wanted, differing=differing), differing=differing, yes=yes)
    elif csv_file is not None:
        _write_csv(csv_file, proposal, due_day, secrets=secrets)
    elif take:
        _take(given, adoption, proposal, due_day, yes=yes, as_json=as_json)
    elif as_json:
        print_json(_body(proposal, secrets=secrets))
    else:
        _show(proposal)


def _check_asked(asked: list[str], *, of_own: bool) -> None:
    if len(asked) > 1:
        raise InvalidInput("one step at a time", field=" ".join(asked))
    if of_own and asked != ["--own"]:
        raise InvalidInput(
            "logins, --all and --differing go with it: what is proposed is all of the router", field="--own"
        )


def _take(
    given: Runtime, adoption: Adoption, proposal: Proposal, due_day: int, *, yes: bool, as_json: bool
) -> None:  # fmt: skip
    dry = adoption.take(proposal, actor(), given.clock(), due_day=due_day, dry_run=True)
    if not yes:
        show_outcome(dry, dry_run=True, as_json=as_json)
        if not typer.confirm("Make these? The router stays as it is"):
            raise typer.Exit(1)
    outcome = adoption.take(
        proposal, actor(), given.clock(), due_day=due_day, dry_run=False,
        progress=lambda chunks: progress(chunks, "taking", len(chunks)),
    )  # fmt: skip
    show_outcome(outcome, dry_run=False, as_json=as_json)
    if any(finding.level is Level.REJECTED for finding in outcome.findings):
        raise typer.Exit(1)


# What becomes ours


def _wanted(logins: list[str] | None, *, everybody: bool) -> list[str] | None:
    if bool(logins) == everybody:
        raise InvalidInput("name logins, or --all", field="--own")
    return logins or None


def _own(
    given: Runtime, adoption: Adoption, nas: str, owning: Owning, *, differing: bool, yes: bool
) -> None:  # fmt: skip
    for login, why in owning.refused:
        typer.echo(f"stays the router's own: {login!r} {why}")
    for login, what in owning.told:
        typer.echo(f"{login!r}: {what}")
    if not owning.services:
        raise ProvedorError("nobody's secret can become ours")
    with given.database.transaction() as session:
        kept = store.get_local(session, adoption.nas_id)
        check_kept(kept)
    question = f"{len(owning.services)} secrets at {nas} become ours, and who is online stays online. Take them over?"
    if not yes and not typer.confirm(question):
        raise typer.Exit(1)
    backups = Backups(
        given.database, given.keyring, adoption.connect, ThreadPoolExecutor(1), given.clock, time.sleep
    )  # fmt: skip
    done = _alone(lambda: adoption.own(list(owning.services), differing=differing, actor=actor(), backups=backups))
    kept = await_look(given, nas, kept.looked_at, adoption.nas_id)
    tell(nas, kept)
    typer.echo(f"{len(done.services)} secrets are ours; {kept.services} services are kept at {nas}")


def _own_intent(given: Runtime, adoption: Adoption, nas: str, *, yes: bool) -> None:
    rows = _alone(lambda: adoption.own_intent(actor(), given.clock(), dry_run=True))
    for menu, key in rows:
        typer.echo(f"{menu} {' '.join(key)}")
    if not rows:
        typer.echo("no row that is not ours has the name of one of the intent")
        return
    if not yes and not typer.confirm("Are these ours from the next plan on? The box changes when that is approved"):
        raise typer.Exit(1)
    _alone(lambda: adoption.own_intent(actor(), given.clock(), dry_run=False))
    typer.echo(f"kept; `provedor provision plan {nas}` shows what it means for the box")


def _alone(do: Callable[[], T]) -> T:
    """Whoever keeps the box is there for moments."""
    for _ in range(_TRIES):
        try:
            return do()
        except Busy:
            time.sleep(1)
    return do()


def _print_intent(found: Found) -> None:
    proposed = propose_intent(found)
    for line in proposed.told:
        typer.echo(line, err=True)
    print_json(proposed.body)


# What is shown


def _show(proposal: Proposal) -> None:
    print_table(
        ["plan", "profile", "down/up kbit/s", "pool", "services", "to know"],
        [_plan_row(one, proposal) for one in proposal.plans.values()],
    )
    print_table(
        ["login", "customer", "plan", "fixed address", "hold", "here", "to know"],
        [_service_row(one, proposal) for one in proposal.services],
    )
    shown = {one.login for one in proposal.services}
    for login, joined in proposal.joined.items():
        if login not in shown:
            typer.echo(f"here already: {login}: {'; '.join(joined.differences) or 'as at the router'}")
    for block in proposal.blocks:
        typer.echo(f"for those who do not pay: {block}")
    for line in _left_out(proposal.left_out):
        typer.echo(line)
    new = sum(one.login not in proposal.joined for one in proposal.services)
    typer.echo(
        f"{len(proposal.plans)} plans, {new} new services, {len(proposal.joined)} here already, "
        f"{len(proposal.left_out)} left out, {len(proposal.ours)} kept by us; nothing was changed"
    )


def _plan_row(plan: ProposedPlan, proposal: Proposal) -> list[str]:
    services = str(sum(one.plan == plan.name for one in proposal.services))
    if plan.terms is None:
        return [plan.name, "", "", "", services, "is here"]
    known = [f"keeps its profile for {', '.join(plan.beyond)}"] if plan.beyond else []
    rates = f"{plan.terms.down_kbps}/{plan.terms.up_kbps}" + (" with burst" if plan.terms.burst else "")
    return [
        plan.name,
        words_of(plan.profile),
        rates,
        plan.terms.address_pool or "",
        services,
        "; ".join([*known, *plan.lost]),
    ]


def _service_row(one: ProposedService, proposal: Proposal) -> list[str]:
    joined = proposal.joined.get(one.login)
    here = "" if joined is None else "; ".join(joined.differences) or "the same"
    hold = "" if one.hold is None else f"{one.hold.effect.value}: {one.hold.note}"
    return [
        one.login, one.customer, one.plan, one.terms.ipv4_address or "", hold, here, "; ".join(one.lost)
    ]  # fmt: skip


def _left_out(left_out: Iterable[LeftOut]) -> Iterator[str]:
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in left_out:
        grouped.setdefault((one.kind.value, one.reason, one.fix), []).append(one.login)
    for (kind, reason, fix), logins in grouped.items():
        more = f" and {len(logins) - _SHOWN_MAX} more" if len(logins) > _SHOWN_MAX else ""
        shown = ", ".join(map(repr, logins[:_SHOWN_MAX]))
        yield f"{kind.replace('_', ' ')}: {shown}{more} {reason}" + (f"; {fix}" if fix else "")


def _body(proposal: Proposal, *, secrets: bool) -> dict[str, Any]:
    return {
        "plans": [
            {"name": one.name, "profile": words_of(one.profile), "terms": one.terms.columns() if one.terms else None,
             "beyond": one.beyond, "lost": one.lost}
            for one in proposal.plans.values()
        ],
        "services": [_service_body(one, secrets=secrets) for one in proposal.services],
        "joined": [
            {"login": login, "service_id": one.here.service_id, "plan": one.here.plan,
             "differences": one.differences, "lost": one.lost, "other_queues": one.other_queues}
            for login, one in proposal.joined.items()
        ],
        "left_out": [
            {"login": one.login, "kind": one.kind.value, "reason": one.reason, "fix": one.fix}
            for one in proposal.left_out
        ],
        "ours": proposal.ours, "blocks": proposal.blocks,
    }  # fmt: skip


def _service_body(one: ProposedService, *, secrets: bool) -> dict[str, Any]:
    hold = None if one.hold is None else {"effect": one.hold.effect.value, "note": one.hold.note}
    return {
        "login": one.login, **({"password": one.password} if secrets else {}), "plan": one.plan,
        "customer": one.customer, "document": one.document or None, "comment": one.comment,
        "ipv4_address": one.terms.ipv4_address, "ipv4_routes": one.terms.ipv4_routes,
        "ipv6_prefix": one.terms.ipv6_prefix, "mac_lock": one.mac_lock, "hold": hold, "online": one.online,
        "limited_by": one.limited_by, "lost": one.lost,
    }  # fmt: skip


# What a person edits


def _write_csv(file: Path, proposal: Proposal, due_day: int, *, secrets: bool) -> None:
    """Those that are not here yet, also those whose plan a person has to say."""
    services = [*proposal.services, *(one.service for one in proposal.left_out if one.service is not None)]
    told = {one.login: one.reason for one in proposal.left_out}
    rows = [
        _csv_row(one, told.get(one.login, ""), due_day, secrets=secrets)
        for one in services if one.login not in proposal.joined
    ]  # fmt: skip
    if str(file) == "-":
        _write_rows(sys.stdout, rows)
        return
    try:
        # there are passwords in it
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", field=str(file)) from None
    with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as out:
        _write_rows(out, rows)
    typer.echo(f"{len(rows)} rows in {file}" + ("" if secrets else ": without passwords, which --secrets writes"))


def _write_rows(out: TextIO, rows: list[dict[str, str]]) -> None:
    writer = csv.DictWriter(out, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)


def _csv_row(one: ProposedService, told: str, due_day: int, *, secrets: bool) -> dict[str, str]:
    hold = "" if one.hold is None else f"{one.hold.effect.value}: {one.hold.note}"
    return {
        "login": one.login, "password": one.password if secrets else "", "plan": one.plan,
        "customer_name": one.customer, "document": one.document, "due_day": str(due_day),
        "ipv4_address": one.terms.ipv4_address or "", "ipv6_prefix": one.terms.ipv6_prefix or "",
        "mac_lock": "|".join(one.mac_lock or ()), "comment": one.comment, "hold": hold,
        "told": "; ".join(filter(None, [told, *one.lost])),
    }  # fmt: skip

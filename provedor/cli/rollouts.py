"""provision rollout start, list, cancel: the same care for many boxes."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated

import typer
from sqlalchemy import select

from core import network
from core.errors import ConfigurationError
from core.models.network import Nas
from provedor.cli.common import Json, actor, print_json, print_table, runtime
from provedor.runtime import Runtime
from provisioning.jobs import rollouts
from provisioning.jobs.models import BrasIntent, Rollout, RolloutState

rollout_app = typer.Typer(no_args_is_help=True, help="many boxes: a canary, then waves, and a stop at the first harm")
#: Boxes are read by the workers of the running node.
PATIENCE_S = 300.0
SHOWN = 30


@rollout_app.command()
def start(
    nas: Annotated[
        list[str] | None, typer.Argument(help="names of NAS entries; all that have an intent without")
    ] = None,
    canary: Annotated[int, typer.Option(min=1, help="so many boxes first")] = 1,
    wave_size: Annotated[int, typer.Option(min=1, help="so many at a time then")] = 10,
    soak: Annotated[int, typer.Option(min=0, help="seconds that a wave stands before the next")] = 300,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    now: Annotated[bool, typer.Option("--now", help="boxes wait for no window")] = False,
) -> None:
    """Read many boxes, show what there is to do at each, ask, and begin.

    A canary, then wave after wave, and a stop at the first harm; the node goes on with it by itself.
    """
    given = runtime()
    with given.database.transaction() as session:
        found = [network.find_by_name(session, name).id for name in nas or ()]
        nas_ids = found or list(session.scalars(select(BrasIntent.nas_id).order_by(BrasIntent.nas_id)))
        made = rollouts.create_rollout(
            session, nas_ids, actor(), given.clock(), canary=canary, wave_size=wave_size, soak_seconds=soak
        )
    _await(given, made.id)
    _show(given, made.id)
    if not yes and not typer.confirm("Begin?"):
        with given.database.transaction() as session:
            rollouts.cancel(session, rollouts.get_rollout(session, made.id, lock=True), actor(), given.clock())
        raise typer.Exit(1)
    with given.database.transaction() as session:
        held = rollouts.get_rollout(session, made.id, lock=True)
        rollouts.approve(session, held, actor(), given.clock(), given.zone, at_once=now)
    typer.echo(f"rollout {made.id} has begun; `provedor provision rollout list` shows how far it is")


@rollout_app.command("list")
def show(as_json: Json = False) -> None:
    """The latest rollouts, and how far they are."""
    given = runtime()
    with given.database.transaction() as session:
        found = session.scalars(select(Rollout).order_by(Rollout.id.desc()).limit(SHOWN)).all()
        counts = {one.id: Counter(job.state.value for job in rollouts.jobs_of(session, one)) for one in found}
    rows = [[str(one.id), f"{one.created_at.astimezone(given.zone):%Y-%m-%d %H:%M}", one.state.value,
             ", ".join(f"{count} {state}" for state, count in sorted(counts[one.id].items())), one.approved_by or "",
             one.detail or ""] for one in found]  # fmt: skip
    columns = ["rollout", "at", "state", "boxes", "approved by", "because"]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@rollout_app.command()
def cancel(rollout_id: Annotated[int, typer.Argument(metavar="ROLLOUT")]) -> None:
    """What is done stays; what runs is undone."""
    given = runtime()
    with given.database.transaction() as session:
        rollouts.cancel(session, rollouts.get_rollout(session, rollout_id, lock=True), actor(), given.clock())
    typer.echo(f"rollout {rollout_id} is cancelled")


def _await(given: Runtime, rollout_id: int) -> None:
    """Until every box was read. Raises ConfigurationError where no worker is there to do it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with given.database.transaction() as session:
            if rollouts.get_rollout(session, rollout_id).state is not RolloutState.PLANNING:
                return
        time.sleep(0.2)
    raise ConfigurationError(f"rollout {rollout_id} is not planned still: is `provedor up` running with its worker?")


def _show(given: Runtime, rollout_id: int) -> None:
    with given.database.transaction() as session:
        found = rollouts.jobs_of(session, rollouts.get_rollout(session, rollout_id))
        names = dict(session.execute(select(Nas.id, Nas.name).where(Nas.id.in_([job.nas_id for job in found]))).all())
    print_table(["nas", "state", "steps", "sessions", "cannot be had", "because"], [
        [names[job.nas_id], job.state.value, str(len(job.commands)), str(job.sessions or ""), str(len(job.problems)),
         job.detail or ""] for job in found
    ])  # fmt: skip

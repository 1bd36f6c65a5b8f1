"""A provisioning job as people and programs see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import typer

from core.language import Language
from provedor.cli.common import print_json
from provisioning.jobs.models import JobState, ProvisioningJob
from provisioning.napalm.host_keys import fingerprint
from provisioning.routeros.planning.words import sentences


def show_steps(commands: Sequence[str], changes: Sequence[Mapping[str, Any]], language: Language) -> None:
    """In words, and in the box's own. Without words, the box has said itself, in lines, what would change."""
    words = sentences(changes, language)
    for number, command in enumerate(commands):
        if words:
            typer.echo(words[number])
        typer.echo(f"    {command}" if words else command)


def show_plan(job: ProvisioningJob, language: Language) -> None:
    """What is to be done, whom it concerns, and what a person approves with it."""
    show_steps(job.commands, job.changes, language)
    for problem in job.problems:
        typer.echo(f"cannot be had: {problem}", err=True)
    if job.commands and job.sessions is not None:
        gone = f"; {job.removed} rows that they may use go" if job.removed else ""
        steps, sessions = _count(len(job.commands), "step"), _count(job.sessions, "session")
        typer.echo(f"{steps}; {sessions} online, {job.touched} may feel it{gone}")
    if job.state is JobState.PLANNED and job.host_key is not None:
        key = f"{job.host_key} ({fingerprint(job.host_key)})"
        typer.echo(f"its SSH host key, which you approve with this: {key}", err=True)


def show_end(job: ProvisioningJob, zone: tzinfo) -> None:
    """What became of it."""
    if job.state is JobState.IN_STEP:
        typer.echo("the box is as it should be")
    elif job.state is JobState.DONE:
        typer.echo(f"done: {_count(job.steps_applied, 'step')}")
    elif job.state is JobState.APPROVED:
        typer.echo(f"job {job.id} waits for its window, which opens {time_in(job.not_before, zone)}")
    if job.detail is not None:
        typer.echo(f"{job.state}: {job.detail}", err=True)


def tell(job: ProvisioningJob, language: Language, zone: tzinfo, *, as_json: bool) -> None:
    """All of it."""
    if as_json:
        print_json(job_body(job, language))
        return
    show_plan(job, language)
    show_end(job, zone)


def job_body(job: ProvisioningJob, language: Language) -> dict[str, Any]:
    return {
        "id": job.id, "nas_id": job.nas_id, "state": job.state.value, "release": job.release,
        "commands": job.commands, "words": sentences(job.changes, language), "problems": job.problems,
        "sessions": job.sessions, "touched": job.touched, "host_key": job.host_key, "cannot_undo": job.cannot_undo,
        "not_before": job.not_before, "steps_applied": job.steps_applied, "detail": job.detail,
    }  # fmt: skip


def _count(number: int, of: str) -> str:
    return f"{number} {of}" if number == 1 else f"{number} {of}s"


def time_in(moment: datetime | None, zone: tzinfo) -> str:
    return "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"

"""Provisioning: what each BRAS should be, and the jobs that make it so."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Response
from msgspec import to_builtins
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.context import (
    Db,
    Given,
    IfMatch,
    Paged,
    RefFilter,
    Who,
    check_version,
    list_page,
    parse_id,
    reference,
    tagged,
)
from api.idempotency import OnceOnly
from api.schemas import Flag, Input, Number, Output, PageOf, Ref
from core import network
from core.errors import NotFound
from core.language import Language
from core.models.system import Role
from provisioning.jobs import accepting, approval, drift, intents, rollouts, store
from provisioning.jobs.models import BrasIntent, JobState, ProvisioningJob, Rollout, RolloutState
from provisioning.napalm.models import ManagedDevice
from provisioning.napalm.plan_names import lacking
from provisioning.routeros.planning.words import Does, sentences

intent_routes = APIRouter(prefix="/nas", tags=["provisioning"])
provisioning_routes = APIRouter(prefix="/provisioning", tags=["provisioning"])
device_routes = APIRouter(prefix="/nas", tags=["provisioning"])
approval_routes = APIRouter(prefix="/provisioning-policy", tags=["provisioning-policy"])


class IntentIn(Input):
    """Each part may be left out, and what is left out is not managed. A RouterOS: `radius`, `pools`, `ipv6_pools`,
    `profile`, `pppoe`, `dhcp`, `hotspots`, `queues`, `walled_garden`, `cgnat`, `management`; `probe`: who has to answer
    the box after a change as before. Any other box: `radius`, `pools`, `ipv6_pools`, `subscribers`, `access`,
    `policies`, `walled_garden`, `serves`. docs/provisioning.md has all of it."""

    body: dict[str, Any]


class IntentOut(Output):
    """`drift`: what there would be to do by the last look at the box, and `drift_problems` what cannot be had there;
    null before the first. `check_error`: why the last look failed."""

    nas_id: str
    body: dict[str, Any]
    checked_at: datetime | None
    check_error: str | None
    drift: list[str] | None
    drift_problems: list[str] | None
    version: int


class DeviceOut(Output):
    """As of the last look. `facts`: vendor, model, release, serial, hostname, uptime_s. `environment`: as NAPALM's
    get_environment has it, where the driver can tell. `names`: what RADIUS replies may name there, by kind; null where
    we cannot tell. `missing`: what plans name and is not there. `refused_host_key`: another SSH host key than the
    approved one, which was refused."""

    nas_id: str
    read_at: datetime | None
    facts: dict[str, Any]
    environment: dict[str, Any]
    names: dict[str, list[str]] | None
    names_read_at: datetime | None
    missing: list[str]
    refused_host_key: str | None


class FieldChange(Output):
    """Null where nothing is set; masked where it is a secret."""

    name: str
    was: str | None
    becomes: str | None


class StepOut(Output):
    """`menu` and `what`: the row; empty where the menu has a single one. `does`: add, change, move or remove. `before`:
    in front of which row it goes. `command`: as RouterOS takes it. `words`: the same for people."""

    menu: str
    what: str
    does: Does
    fields: list[FieldChange]
    before: str | None
    command: str
    words: str


class AcceptIn(Input):
    """`job_id`: a job that is planned, which shows what differs. Without `confirm` nothing is kept."""

    job_id: Ref
    confirm: Flag = False


class AcceptedOut(Output):
    """`taken`: what the intent says then instead. `rest`: what it cannot say, as what there is to do at the box to put
    it back. `kept`: the intent is this one now, and the job is cancelled."""

    intent: dict[str, Any]
    taken: list[str]
    rest: list[str]
    kept: bool


class JobIn(Input):
    nas_id: Ref


class ApprovalIn(Input):
    """`not_before`: it is carried out then; else now. `at_once`: it waits for no window. `without_undo`: also at a box
    that would not undo by itself."""

    not_before: AwareDatetime | None = None
    at_once: Flag = False
    without_undo: Flag = False


class RolloutApprovalIn(Input):
    """`at_once`: its boxes wait for no window."""

    at_once: Flag = False


TimeOfDay = Annotated[str, StringConstraints(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class WindowIn(Input):
    """In the provider's time; one that ends before it begins goes on after midnight."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1, max_length=7)]
    begins: TimeOfDay = Field(alias="from")
    until: TimeOfDay


Windows = Annotated[list[WindowIn], Field(max_length=approval.WINDOWS_MAX)]


class ApprovalPolicy(Input):
    """Who may approve changes of boxes, and when they are made.

    `approvers`: roles besides admin; null: all that may write. `second_person`: whoever planned it does not approve it.
    `windows`, of a box `nas_windows` by the NAS entry's id: a plan waits for one, unless it touches at most
    `sessions_max` sessions and takes away no row that they may use; null: every plan waits.
    """

    approvers: list[Role] | None = None
    second_person: Flag = False
    sessions_max: Annotated[int, Field(ge=0, le=10_000_000), Number] | None = None
    windows: Windows = Field(default_factory=list)
    nas_windows: dict[Ref, Windows] = Field(default_factory=dict)


class RolloutIn(Input):
    """`canary`: so many boxes first; then waves of `wave_size`, each when the one before has stood for
    `soak_seconds`."""

    nas_ids: Annotated[list[Ref], Field(min_length=1, max_length=rollouts.BOXES_MAX)]
    canary: Annotated[int, Field(ge=1, le=rollouts.BOXES_MAX), Number] = 1
    wave_size: Annotated[int, Field(ge=1, le=rollouts.BOXES_MAX), Number] = 10
    soak_seconds: Annotated[int, Field(ge=0, le=86_400), Number] = 300


class RolloutOut(Output):
    """`jobs`: how many are in each state."""

    id: str
    state: RolloutState
    canary: int
    wave_size: int
    soak_seconds: int
    jobs: dict[JobState, int]
    created_at: datetime
    created_by: str
    approved_at: datetime | None
    approved_by: str | None
    finished_at: datetime | None
    detail: str | None


class JobOut(Output):
    """`commands`: what is done, a command a step, without secrets. `problems`: what is wanted and cannot be had there.
    `sessions`: online when it was planned; `touched` of them may feel it, and it takes away `removed` rows that they
    may use. `host_key`: the SSH host key that was seen where none was approved yet; approving the job approves it.
    `cannot_undo`: why the box would not undo it by itself. `in_window`: it begins within a window, not before
    `not_before`. `undo_by`: how the box would undo it by itself, while it would. `detail`: why it is not done."""

    id: str
    nas_id: str
    state: JobState
    release: str | None
    commands: list[str]
    problems: list[str]
    sessions: int | None
    touched: int
    removed: int
    host_key: str | None
    cannot_undo: str | None
    steps_applied: int
    undo_by: str | None
    detail: str | None
    created_at: datetime
    created_by: str
    approved_at: datetime | None
    approved_by: str | None
    not_before: datetime | None
    in_window: bool
    cancelled_by: str | None
    finished_at: datetime | None
    rollout_id: str | None
    wave: int | None


@intent_routes.get("/{nas_id}/intent")
def get_intent(nas_id: str, session: Db, _: Who, response: Response) -> IntentOut:
    return tagged(response, _intent_view(intents.get_intent(session, parse_id(nas_id, "NAS"))))


@intent_routes.put("/{nas_id}/intent")
def set_intent(
    nas_id: str, body: IntentIn, session: Db, caller: Who, response: Response, if_match: IfMatch = None
) -> IntentOut:
    """What the box should be. The box itself is changed by a job."""
    nas = network.get_nas(session, parse_id(nas_id, "NAS"))
    if if_match is not None:
        check_version(intents.get_intent(session, nas.id, lock=True).version, if_match)
    return tagged(response, _intent_view(intents.set_intent(session, nas, body.body, caller.actor)))


@intent_routes.get("/{nas_id}/intent/drift")
def list_drift(nas_id: str, session: Db, _: Who, language: Language = "pt_BR") -> list[StepOut]:
    """What there would be to do by the last look, in words. None of a box that says itself what differs."""
    row = intents.get_intent(session, parse_id(nas_id, "NAS"))
    return _steps(row.drift or [], row.drift_changes, language)


@intent_routes.post("/{nas_id}/intent/check", status_code=202)
def check_now(nas_id: str, session: Db, _: Who, given: Given) -> IntentOut:
    """The box is looked at within seconds, as it is every quarter of an hour. Nothing is changed there."""
    row = intents.get_intent(session, parse_id(nas_id, "NAS"), lock=True)
    drift.owe(session, row.nas_id, given.clock())
    return _intent_view(row)


@device_routes.get("/{nas_id}/device")
def get_device(nas_id: str, session: Db, _: Who) -> DeviceOut:
    """What the box of a NAS entry with `management` said of itself; `POST …/intent/check` looks anew."""
    row = session.get(ManagedDevice, parse_id(nas_id, "NAS"))
    if row is None:
        raise NotFound("look at NAS", nas_id)
    return DeviceOut(
        nas_id=str(row.nas_id), read_at=row.read_at, facts=row.facts, environment=row.environment, names=row.names,
        names_read_at=row.names_read_at, missing=lacking(session, row.nas_id), refused_host_key=row.refused_host_key,
    )  # fmt: skip


@intent_routes.post("/{nas_id}/intent/accept")
def accept_drift(
    nas_id: str, body: AcceptIn, session: Db, caller: Who, given: Given, if_match: IfMatch = None
) -> AcceptedOut:  # fmt: skip
    """What somebody changed at the box is what you want: it is said in the intent, as far as an intent can say it."""
    row = intents.get_intent(session, parse_id(nas_id, "NAS"), lock=True)
    check_version(row.version, if_match)
    job = store.get_job(session, reference(body.job_id, "job_id") or 0, lock=True)
    found = accepting.propose(session, given.keyring, row.nas_id, job, given.clock())
    if body.confirm:
        accepting.keep(session, job, found, caller.actor, given.clock())
    return AcceptedOut(intent=to_builtins(found.intent), taken=list(found.taken), rest=list(found.rest),
                       kept=body.confirm)  # fmt: skip


@provisioning_routes.get("/jobs")
def list_jobs(
    session: Db, _: Who, paged: Paged, nas_id: RefFilter = None, rollout_id: RefFilter = None,
    state: JobState | None = None,
) -> PageOf[JobOut]:  # fmt: skip
    query = select(ProvisioningJob)
    if nas_id is not None:
        query = query.where(ProvisioningJob.nas_id == reference(nas_id, "nas_id"))
    if rollout_id is not None:
        query = query.where(ProvisioningJob.rollout_id == reference(rollout_id, "rollout_id"))
    if state is not None:
        query = query.where(ProvisioningJob.state == state)
    rows, cursor = list_page(session, query, ProvisioningJob.id, paged)
    return PageOf(items=[_job_view(row) for row in rows], next_cursor=cursor)


@provisioning_routes.post("/jobs", status_code=202, response_model=JobOut)
def create_job(body: JobIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """The box is read, and what there is to do is shown within seconds; nothing is changed before it is approved."""
    nas = network.get_nas(session, reference(body.nas_id, "nas_id") or 0)
    return once.created(_job_view(store.create_job(session, nas, caller.actor, given.clock())), status=202)


@provisioning_routes.get("/jobs/{job_id}")
def get_job(job_id: str, session: Db, _: Who) -> JobOut:
    return _job_view(store.get_job(session, parse_id(job_id, "provisioning job")))


@provisioning_routes.get("/jobs/{job_id}/steps")
def list_steps(job_id: str, session: Db, _: Who, language: Language = "pt_BR") -> list[StepOut]:
    """What there is to do in words, step by step. None of a box that says itself what would change."""
    row = store.get_job(session, parse_id(job_id, "provisioning job"))
    return _steps(row.commands, row.changes, language)


@provisioning_routes.post("/jobs/{job_id}/approve")
def approve_job(job_id: str, body: ApprovalIn, session: Db, caller: Who, given: Given) -> JobOut:
    """You have looked at it. It waits for its window where it has to; the box undoes by itself what does not prove
    right."""
    job = _locked(session, job_id)
    approved = store.approve(
        session,
        job,
        caller.actor,
        given.clock(),
        given.zone,
        body.not_before,
        role=caller.role,
        at_once=body.at_once,
        without_undo=body.without_undo,
    )
    return _job_view(approved)


@provisioning_routes.post("/jobs/{job_id}/cancel")
def cancel_job(job_id: str, session: Db, caller: Who, given: Given) -> JobOut:
    """One that runs undoes what it did."""
    return _job_view(store.cancel(session, _locked(session, job_id), caller.actor, given.clock()))


@provisioning_routes.get("/rollouts")
def list_rollouts(session: Db, _: Who, paged: Paged, state: RolloutState | None = None) -> PageOf[RolloutOut]:
    query = select(Rollout) if state is None else select(Rollout).where(Rollout.state == state)
    rows, cursor = list_page(session, query, Rollout.id, paged)
    return PageOf(items=[_rollout_view(session, row) for row in rows], next_cursor=cursor)


@provisioning_routes.post("/rollouts", status_code=202, response_model=RolloutOut)
def create_rollout(body: RolloutIn, session: Db, caller: Who, given: Given, once: OnceOnly) -> Response:
    """Every box is read, and has a job of its own that shows what there is to do."""
    nas_ids = [reference(one, "nas_ids") or 0 for one in body.nas_ids]
    row = rollouts.create_rollout(
        session, nas_ids, caller.actor, given.clock(), canary=body.canary, wave_size=body.wave_size,
        soak_seconds=body.soak_seconds,
    )  # fmt: skip
    return once.created(_rollout_view(session, row), status=202)


@provisioning_routes.get("/rollouts/{rollout_id}")
def get_rollout(rollout_id: str, session: Db, _: Who) -> RolloutOut:
    return _rollout_view(session, rollouts.get_rollout(session, parse_id(rollout_id, "rollout")))


@provisioning_routes.post("/rollouts/{rollout_id}/approve")
def approve_rollout(
    rollout_id: str, session: Db, caller: Who, given: Given, body: RolloutApprovalIn | None = None
) -> RolloutOut:
    """You have looked at its jobs: the canary begins. It stops at the first harm."""
    row = rollouts.get_rollout(session, parse_id(rollout_id, "rollout"), lock=True)
    at_once = body is not None and body.at_once
    approved = rollouts.approve(
        session, row, caller.actor, given.clock(), given.zone, role=caller.role, at_once=at_once
    )
    return _rollout_view(session, approved)


@provisioning_routes.post("/rollouts/{rollout_id}/cancel")
def cancel_rollout(rollout_id: str, session: Db, caller: Who, given: Given) -> RolloutOut:
    """What is done stays; what runs is undone."""
    row = rollouts.get_rollout(session, parse_id(rollout_id, "rollout"), lock=True)
    return _rollout_view(session, rollouts.cancel(session, row, caller.actor, given.clock()))


@approval_routes.get("")
def get_policy(session: Db, _: Who) -> ApprovalPolicy:
    return _policy_view(approval.get_policy(session))


@approval_routes.put("")
def set_policy(body: ApprovalPolicy, session: Db, caller: Who) -> ApprovalPolicy:
    """It holds for the next approvals, and for what waits for its window. An administrator's to say."""
    said = body.model_dump(mode="json", by_alias=True)
    return _policy_view(approval.set_policy(session, said, caller.actor))


def _policy_view(policy: approval.Policy) -> ApprovalPolicy:
    return ApprovalPolicy.model_validate(msgspec.json.decode(msgspec.json.encode(policy)))


def _locked(session: Session, job_id: str) -> ProvisioningJob:
    return store.get_job(session, parse_id(job_id, "provisioning job"), lock=True)


def _intent_view(row: BrasIntent) -> IntentOut:
    return IntentOut(
        nas_id=str(row.nas_id), body=row.body, checked_at=row.checked_at, check_error=row.check_error, drift=row.drift,
        drift_problems=row.drift_problems, version=row.version,
    )  # fmt: skip


def _steps(commands: list[str], changes: list[dict[str, Any]], language: Language) -> list[StepOut]:
    if not changes:
        return []
    steps = zip(commands, changes, sentences(changes, language), strict=True)
    return [StepOut(**change, command=command, words=words) for command, change, words in steps]


def _job_view(row: ProvisioningJob) -> JobOut:
    return JobOut(
        id=str(row.id), nas_id=str(row.nas_id), state=row.state, release=row.release, commands=row.commands,
        problems=row.problems, sessions=row.sessions, touched=row.touched, removed=row.removed,
        host_key=row.host_key, cannot_undo=row.cannot_undo,
        steps_applied=row.steps_applied, undo_by=row.undo_by,
        detail=row.detail, created_at=row.created_at, created_by=row.created_by, approved_at=row.approved_at,
        approved_by=row.approved_by, not_before=row.not_before, in_window=row.in_window, cancelled_by=row.cancelled_by,
        finished_at=row.finished_at, rollout_id=None if row.rollout_id is None else str(row.rollout_id), wave=row.wave,
    )  # fmt: skip


def _rollout_view(session: Session, row: Rollout) -> RolloutOut:
    return RolloutOut(
        id=str(row.id), state=row.state, canary=row.canary, wave_size=row.wave_size, soak_seconds=row.soak_seconds,
        jobs=Counter(job.state for job in rollouts.jobs_of(session, row)), created_at=row.created_at,
        created_by=row.created_by, approved_at=row.approved_at, approved_by=row.approved_by,
        finished_at=row.finished_at, detail=row.detail,
    )  # fmt: skip

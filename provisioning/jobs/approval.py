"""Approval: who may have a plan carried out, and when. One policy of the provider's, with windows of single boxes.

    {"approvers": ["noc"], "second_person": true, "sessions_max": 50,
     "windows": [{"days": ["tue"], "from": "02:00", "until": "05:00"}], "nas_windows": {"3": […]}}

    approvers      roles that may approve; null: all that may write. An administrator always may
    second_person  whoever planned it does not approve it
    windows        when changes are made, in the provider's time; of a box with windows of its own those count
    sessions_max   a plan that touches at most so many sessions, and takes away no row that they may use, is done at any
                   time; null: where there are windows, every plan waits for one

A heavier plan where there is no window, and any plan outside of one, is done at once only where a person says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final, Literal

import msgspec
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit, events
from core.audit import Actor
from core.errors import Conflict, Forbidden, InvalidInput
from core.models.system import Role, Setting
from core.schedule import check_windows, next_open
from provisioning.jobs.models import ProvisioningJob
from provisioning.routeros.planning import Plan, Remove

WINDOWS_MAX: Final = 20
_SETTING: Final = "provisioning_approval"
#: Menus that no session goes through; a change in any other may be felt by all that are online.
_APART: Final = frozenset({
    "/ip/neighbor/discovery-settings", "/ip/service", "/snmp", "/snmp/community", "/system/logging",
    "/system/logging/action", "/system/ntp/client", "/tool/bandwidth-server", "/tool/mac-server",
    "/tool/mac-server/mac-winbox", "/tool/mac-server/ping", "/user", "/user/group",
})  # fmt: skip


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begins": "from"}):
    """A window that ends before it begins goes on after midnight, and its days are those on which it begins."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...]
    begins: str
    until: str


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    approvers: tuple[Role, ...] | None = None
    second_person: bool = False
    sessions_max: int | None = None
    windows: tuple[Window, ...] = ()
    #: By the NAS entry's id.
    nas_windows: dict[str, tuple[Window, ...]] = {}

    def windows_of(self, nas_id: int) -> list[dict[str, Any]]:
        found = self.nas_windows.get(str(nas_id)) or self.windows
        return [msgspec.to_builtins(window) for window in found]


def get_policy(session: Session) -> Policy:
    setting = session.get(Setting, _SETTING, populate_existing=True)
    return Policy() if setting is None else msgspec.convert(setting.value, Policy)


def set_policy(session: Session, body: Mapping[str, Any], actor: Actor) -> Policy:
    """Of the next approvals, and of what waits for its window. Raises InvalidInput naming the field."""
    policy = _policy_of(body)
    value = msgspec.json.decode(msgspec.json.encode(policy))
    row = insert(Setting).values(key=_SETTING, value=value)
    session.execute(row.on_conflict_do_update(index_elements=["key"], set_={"value": row.excluded.value}))
    audit.record(session, actor, "update", "provisioning_policy", "all", value)
    events.record(session, "provisioning_policy.changed", "provisioning_policy", 0)
    return policy


def weigh(plan: Plan, sessions: int) -> tuple[int, int]:
    """How many sessions may feel it, and how many rows that they may use it takes away."""
    felt = [step for step in plan.steps if step.menu not in _APART]
    removed = sum(isinstance(step, Remove) for step in felt)
    return (sessions, removed) if felt and sessions else (0, 0)


def check_approver(policy: Policy, planned_by: str, actor: Actor, role: Role) -> None:
    """Raises Forbidden, or Conflict where another person is asked."""
    if policy.approvers is not None and role not in {Role.ADMIN, *policy.approvers}:
        names = ", ".join(sorted({Role.ADMIN, *policy.approvers}))
        raise Forbidden(f"{role} may not approve changes of boxes: {names} may")
    if policy.second_person and actor.name == planned_by:
        raise Conflict(f"{planned_by} planned it: another person has to approve it", field="approved_by")


def due_at(policy: Policy, job: ProvisioningJob, after: datetime, zone: tzinfo) -> datetime | None:
    """The first moment from then on at which it may be done; None: at any. Raises Conflict where there is none."""
    if policy.sessions_max is not None and job.touched <= policy.sessions_max and not job.removed:
        return None
    windows = policy.windows_of(job.nas_id)
    if windows:
        return next_open(windows, after.astimezone(zone))
    if policy.sessions_max is None:
        return None
    detail = f"{job.touched} sessions may feel job {job.id}, and there is no window: say that it is done at once"
    raise Conflict(detail, field="at_once")


def _policy_of(body: Mapping[str, Any]) -> Policy:
    try:
        policy = msgspec.convert(dict(body), Policy)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$.")
        raise InvalidInput(detail, field=path.rstrip("`") or None) from None
    if policy.sessions_max is not None and policy.sessions_max < 0:
        raise InvalidInput("from 0", field="sessions_max")
    for nas_id in policy.nas_windows:
        if not (nas_id.isascii() and nas_id.isdecimal()):
            raise InvalidInput(f"{nas_id!r} is no NAS entry's id", field="nas_windows")
    checked = {nas_id: _checked(windows, "nas_windows") for nas_id, windows in policy.nas_windows.items()}
    return msgspec.structs.replace(policy, windows=_checked(policy.windows, "windows"), nas_windows=checked)


def _checked(windows: tuple[Window, ...], field: str) -> tuple[Window, ...]:
    if len(windows) > WINDOWS_MAX or not all(window.days for window in windows):
        raise InvalidInput(f"at most {WINDOWS_MAX}, each on some days", field=field)
    try:
        found = check_windows([msgspec.to_builtins(window) for window in windows])
    except InvalidInput as error:
        raise InvalidInput(error.detail, field=field) from None
    return msgspec.convert(found, tuple[Window, ...])

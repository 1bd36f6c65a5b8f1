"""Provisioning's background work, for `provedor` to wire."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from sqlalchemy.orm import Session

from core import topics
from core.clock import Clock
from core.work import Afterwards, Handler, Periodic
from provisioning import live_rows
from provisioning.adopt import store as adoptions
from provisioning.backups import drill
from provisioning.backups import store as backups
from provisioning.credentials import store as rotations
from provisioning.enforce import Enforcer
from provisioning.jobs import drift, rollouts, store
from provisioning.jobs.runner import Provisioner
from provisioning.live_rows import Cleaner
from provisioning.local import store as local
from provisioning.local.keeper import Keeper
from provisioning.reconciler import sweep


def handlers(
    enforcer: Enforcer, provisioner: Provisioner, keeper: Keeper, cleaner: Cleaner
) -> dict[str, Handler]:  # fmt: skip
    service_changed = _both(enforcer.service_out_of_step, keeper.service_changed)
    return {
        topics.PROVISIONING_DUE.name: provisioner.handle_due,
        topics.DRIFT_DUE.name: provisioner.handle_drift,
        topics.BACKUP_DUE.name: provisioner.backups.handle_due,
        topics.DRILL_DUE.name: provisioner.backups.handle_drill,
        topics.ROTATION_DUE.name: provisioner.rotations.handle_due,
        topics.LIVE_ROWS_LEFT.name: cleaner.handle_left,
        topics.LOCAL_DUE.name: keeper.handle_due,
        topics.SERVICE_OUT_OF_STEP.name: service_changed,
        topics.SERVICE_RESTRICTED.name: service_changed,
        topics.SESSION_OUT_OF_STEP.name: enforcer.session_out_of_step,
        topics.SESSION_AWAITS_TURN.name: enforcer.session_awaits_turn,
        topics.SESSION_DISCONNECT.name: enforcer.session_disconnect,
    }


def _both(first: Handler, second: Handler) -> Handler:
    def handle(session: Session, payload: dict[str, Any]) -> Afterwards | None:
        left = [after for after in (first(session, payload), second(session, payload)) if after is not None]

        def afterwards() -> None:
            for after in left:
                after()

        return afterwards if left else None

    return handle


def periodic(clock: Clock, zone: tzinfo, *, backup_days: int) -> list[Periodic]:
    """`zone`: the provider's, of windows."""
    return [
        Periodic("provisioning.reconcile", 15.0, sweep),
        Periodic("provisioning.owe_left_rows", 5.0, lambda session: live_rows.owe_left(session, clock())),
        Periodic("provisioning.keep_local", 5.0, lambda session: local.owe_due(session, clock())),
        Periodic("provisioning.owe_looks", 15.0, lambda session: drift.owe_due(session, clock())),
        Periodic("provisioning.advance_rollouts", 5.0, lambda session: rollouts.advance_all(session, clock(), zone)),
        Periodic("provisioning.owe_backups", 15.0, lambda session: backups.owe_due(session, clock())),
        Periodic("provisioning.owe_rotations", 15.0, lambda session: rotations.owe_due(session, clock())),
        Periodic("provisioning.owe_adoptions", 30.0, lambda session: adoptions.owe_due(session, clock())),
        Periodic("provisioning.ask_drills", 600.0, lambda session: drill.ask_due(session, clock())),
        Periodic("provisioning.forget_backups", 3600.0, lambda session: backups.forget(session, clock(), backup_days)),
        Periodic("provisioning.owe_abandoned", 15.0, lambda session: store.owe_abandoned(session, clock())),
    ]

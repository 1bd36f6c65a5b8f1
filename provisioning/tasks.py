"""Provisioning's background work, for `provedor` to wire."""

from __future__ import annotations

from core import topics
from core.clock import Clock
from core.work import Handler, Periodic
from provisioning.backups import drill
from provisioning.backups import store as backups
from provisioning.credentials import store as rotations
from provisioning.enforce import Enforcer
from provisioning.jobs import drift, rollouts, store
from provisioning.jobs.runner import Provisioner
from provisioning.reconciler import sweep


def handlers(enforcer: Enforcer, provisioner: Provisioner) -> dict[str, Handler]:
    return {
        topics.PROVISIONING_DUE.name: provisioner.handle_due,
        topics.DRIFT_DUE.name: provisioner.handle_drift,
        topics.BACKUP_DUE.name: provisioner.backups.handle_due,
        topics.DRILL_DUE.name: provisioner.backups.handle_drill,
        topics.ROTATION_DUE.name: provisioner.rotations.handle_due,
        topics.SERVICE_OUT_OF_STEP.name: enforcer.service_out_of_step,
        topics.SERVICE_RESTRICTED.name: enforcer.service_out_of_step,
        topics.SESSION_OUT_OF_STEP.name: enforcer.session_out_of_step,
        topics.SESSION_AWAITS_TURN.name: enforcer.session_awaits_turn,
        topics.SESSION_DISCONNECT.name: enforcer.session_disconnect,
    }


def periodic(clock: Clock, *, backup_days: int) -> list[Periodic]:
    return [
        Periodic("provisioning.reconcile", 15.0, sweep),
        Periodic("provisioning.owe_looks", 15.0, lambda session: drift.owe_due(session, clock())),
        Periodic("provisioning.advance_rollouts", 5.0, lambda session: rollouts.advance_all(session, clock())),
        Periodic("provisioning.owe_backups", 60.0, lambda session: backups.owe_due(session, clock())),
        Periodic("provisioning.owe_rotations", 15.0, lambda session: rotations.owe_due(session, clock())),
        Periodic("provisioning.ask_drills", 600.0, lambda session: drill.ask_due(session, clock())),
        Periodic("provisioning.forget_backups", 3600.0, lambda session: backups.forget(session, clock(), backup_days)),
        Periodic("provisioning.owe_abandoned", 15.0, lambda session: store.owe_abandoned(session, clock())),
    ]

"""Provisioning's background work, for `provedor` to wire."""

from __future__ import annotations

from datetime import tzinfo

from core import topics
from core.clock import Clock
from core.work import Handler, Periodic
from provisioning.enforce import Enforcer
from provisioning.jobs import drift, rollouts, store
from provisioning.jobs.runner import Provisioner
from provisioning.reconciler import sweep


def handlers(enforcer: Enforcer, provisioner: Provisioner) -> dict[str, Handler]:
    return {
        topics.PROVISIONING_DUE.name: provisioner.handle_due,
        topics.DRIFT_DUE.name: provisioner.handle_drift,
        topics.SERVICE_OUT_OF_STEP.name: enforcer.service_out_of_step,
        topics.SERVICE_RESTRICTED.name: enforcer.service_out_of_step,
        topics.SESSION_OUT_OF_STEP.name: enforcer.session_out_of_step,
        topics.SESSION_AWAITS_TURN.name: enforcer.session_awaits_turn,
        topics.SESSION_DISCONNECT.name: enforcer.session_disconnect,
    }


def periodic(clock: Clock, zone: tzinfo) -> list[Periodic]:
    """`zone`: the provider's, of windows."""
    return [
        Periodic("provisioning.reconcile", 15.0, sweep),
        Periodic("provisioning.owe_looks", 15.0, lambda session: drift.owe_due(session, clock())),
        Periodic("provisioning.advance_rollouts", 5.0, lambda session: rollouts.advance_all(session, clock(), zone)),
        Periodic("provisioning.owe_abandoned", 15.0, lambda session: store.owe_abandoned(session, clock())),
    ]

"""Provisioning's background work, for `provedor` to wire."""

from __future__ import annotations

from core import topics
from core.work import Handler, Periodic
from provisioning.enforce import Enforcer
from provisioning.reconciler import sweep


def handlers(enforcer: Enforcer) -> dict[str, Handler]:
    return {
        topics.SERVICE_OUT_OF_STEP.name: enforcer.service_out_of_step,
        topics.SERVICE_RESTRICTED.name: enforcer.service_out_of_step,
        topics.SESSION_OUT_OF_STEP.name: enforcer.session_out_of_step,
        topics.SESSION_AWAITS_TURN.name: enforcer.session_awaits_turn,
        topics.SESSION_DISCONNECT.name: enforcer.session_disconnect,
    }


def periodic() -> list[Periodic]:
    return [Periodic("provisioning.reconcile", 15.0, sweep)]

"""Names of the work that follows a change, and the Celery queue each runs on.

`enforce` has a process of its own, so that slow provisioning never delays a payment; what happens when somebody
pays runs there from the inbox to the wire.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: What somebody waits for. The relay is woken for it; other work it finds when it looks by itself, a moment later.
ENFORCE: Final = "enforce"
#: Restrictions that nobody waits for, and what a NAS's pace puts off: whoever pays meanwhile overtakes ten thousand.
PACED: Final = "paced"
DEFAULT: Final = "default"
#: Boxes that are planned for and changed: each job is minutes of a thread of its own, which is begun here.
PROVISION: Final = "provision"
#: In the order in which the relay serves them.
QUEUES: Final = (ENFORCE, PACED, DEFAULT, PROVISION)


class Topic(NamedTuple):
    name: str
    queue: str

    @property
    def is_urgent(self) -> bool:
        return self.queue == ENFORCE


#: An authenticated webhook was stored: interpret it. Payload: {"inbox_id"}.
INBOX_STORED = Topic("billing.inbox_stored", ENFORCE)
#: A charge was ordered, or is to be closed, at its gateway. Payload: {"charge_row_id"}.
CHARGE_DUE = Topic("billing.charge_due", DEFAULT)
#: An invoice needs no payment any more: its charges are to be closed. Payload: {"invoice_id"}. Nobody waits for it; but
#: most have none, and the worker that recorded the payment sees that sooner than it could be told to another.
INVOICE_CLOSED = Topic("billing.invoice_closed", ENFORCE)
#: Invoices of these contracts are due to be made. Payload: {"contract_ids"}.
INVOICES_DUE = Topic("billing.invoices_due", DEFAULT)
#: The API of a gateway account is to be read for what no webhook told. Payload: {"account_id"}.
RECONCILE = Topic("billing.reconcile", DEFAULT)
#: Another billing system is to be read. Payload: {"source_id", "asked_at"}.
FOLLOW_READ = Topic("billing.follow_read", DEFAULT)
#: The standing of a contract may have changed: place or lift its billing holds. Payload: {"contract_id"}.
STANDING_CHANGED = Topic("billing.standing_changed", ENFORCE)
#: A promise, a trust unlock or a payment window of a contract is over. Payload: {"promise_id"}.
PROMISE_OVER = Topic("billing.promise_over", ENFORCE)
#: A bank's file is to be read, or the next of its lines are to be done. Payload: {"file_id"}. Not on `enforce` either.
BANK_FILE_DUE = Topic("billing.bank_file_due", DEFAULT)
#: A part of a billing run is to be done. Payload: {"run_id", "action", "contract_ids"}. Not on `enforce`: who pays
#: meanwhile does not wait behind it.
BILLING_CHUNK = Topic("billing.run_chunk", DEFAULT)
#: The intended policy of a service is not what its sessions may have. Payload: {"service_id"}.
SERVICE_OUT_OF_STEP = Topic("provisioning.service_out_of_step", ENFORCE)
#: The same, where a debt restricts it: nobody waits for that. Payload: {"service_id"}.
SERVICE_RESTRICTED = Topic("provisioning.service_restricted", PACED)
#: One session is to be brought in step (retry or reconciler). Payload: {"session_id"}.
SESSION_OUT_OF_STEP = Topic("provisioning.session_out_of_step", ENFORCE)
#: The same, where its NAS has had its disconnects for now. Payload: {"session_id"}.
SESSION_AWAITS_TURN = Topic("provisioning.session_awaits_turn", PACED)
#: A box is to be planned for, changed, or taken over from whoever died at it. Payload: {"job_id"}.
PROVISIONING_DUE = Topic("provisioning.job_due", PROVISION)
#: A box is to be looked at, whether it still is what it should be. Payload: {"nas_id"}.
DRIFT_DUE = Topic("provisioning.drift_due", PROVISION)
#: A box that lets subscribers in by itself is behind, or to be looked at. Payload: {"nas_id"}.
LOCAL_DUE = Topic("provisioning.local_due", ENFORCE)
#: A session has ended for which something stands at its router. Payload: {"session_id"}.
LIVE_ROWS_LEFT = Topic("provisioning.live_rows_left", ENFORCE)
#: A box's configuration is to be kept. Payload: {"nas_id", "why"}.
BACKUP_DUE = Topic("provisioning.backup_due", PROVISION)
#: What was kept of a box is to be tried on a simulated router. Payload: {"drill_id"}.
DRILL_DUE = Topic("provisioning.drill_due", PROVISION)
#: A box's password is to be changed. Payload: {"rotation_id"}.
ROTATION_DUE = Topic("provisioning.rotation_due", PROVISION)
#: An operator ends a session. Payload: {"session_id", "reason"}.
SESSION_DISCONNECT = Topic("provisioning.session_disconnect", ENFORCE)
#: A session was silent for long, and its NAS is to be asked whether it lives. Payload: {"session_id"}.
SESSION_VERIFY = Topic("aaa.session_verify", ENFORCE)
#: What a prepaid service has left is to be counted: it is new, or a session of it ended. Payload: {"service_id"}.
PREPAID_DUE = Topic("core.prepaid_due", ENFORCE)
#: A plan changed: recompute the policy of its services in chunks. Payload: {"plan_id", "after_service_id"}.
PLAN_CHANGED = Topic("core.plan_changed", DEFAULT)

"""Names of the work that follows a change, and the Celery queue each runs on.

`enforce` has a process of its own, so that slow provisioning never delays a payment; what happens when somebody
pays runs there from the inbox to the wire.
"""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    name: str
    queue: str


#: An authenticated webhook was stored: interpret it. Payload: {"inbox_id"}.
INBOX_STORED = Topic("billing.inbox_stored", "enforce")
#: A charge was ordered, or is to be closed, at its gateway. Payload: {"charge_row_id"}.
CHARGE_DUE = Topic("billing.charge_due", "default")
#: An invoice needs no payment any more: its charges are to be closed. Payload: {"invoice_id"}.
INVOICE_CLOSED = Topic("billing.invoice_closed", "default")
#: Invoices of these contracts are due to be made. Payload: {"contract_ids"}.
INVOICES_DUE = Topic("billing.invoices_due", "default")
#: The API of a gateway account is to be read for what no webhook told. Payload: {"account_id"}.
RECONCILE = Topic("billing.reconcile", "default")
#: Another billing system is to be read. Payload: {"source_id", "asked_at"}.
FOLLOW_READ = Topic("billing.follow_read", "default")
#: The standing of a contract may have changed: place or lift its billing holds. Payload: {"contract_id"}.
STANDING_CHANGED = Topic("billing.standing_changed", "enforce")
#: A promise, a trust unlock or a payment window of a contract is over. Payload: {"promise_id"}.
PROMISE_OVER = Topic("billing.promise_over", "enforce")
#: A part of a billing run is to be done. Payload: {"run_id", "action", "contract_ids"}. Not on `enforce`: who pays
#: meanwhile does not wait behind it.
BILLING_CHUNK = Topic("billing.run_chunk", "default")
#: The intended policy of a service is not what its sessions may have. Payload: {"service_id"}.
SERVICE_OUT_OF_STEP = Topic("provisioning.service_out_of_step", "enforce")
#: One session is to be brought in step (retry or reconciler). Payload: {"session_id"}.
SESSION_OUT_OF_STEP = Topic("provisioning.session_out_of_step", "enforce")
#: An operator ends a session. Payload: {"session_id", "reason"}.
SESSION_DISCONNECT = Topic("provisioning.session_disconnect", "enforce")
#: A session was silent for long, and its NAS is to be asked whether it lives. Payload: {"session_id"}.
SESSION_VERIFY = Topic("aaa.session_verify", "enforce")
#: What a prepaid service has left is to be counted: it is new, or a session of it ended. Payload: {"service_id"}.
PREPAID_DUE = Topic("core.prepaid_due", "enforce")
#: A plan changed: recompute the policy of its services in chunks. Payload: {"plan_id", "after_service_id"}.
PLAN_CHANGED = Topic("core.plan_changed", "default")

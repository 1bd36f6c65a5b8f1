"""Why a packet got the answer it got. The same word goes to counters, logs, attempts and pages."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    # Answered with Access-Accept
    ACCEPTED = "accepted"
    ACCEPTED_EMERGENCY = "accepted_emergency"
    # Answered with Access-Reject
    UNKNOWN_LOGIN = "unknown_login"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    BLOCKED = "blocked"
    SESSION_LIMIT = "session_limit"
    CREDENTIALS_MISSING = "credentials_missing"
    CREDENTIALS_CONTRADICTORY = "credentials_contradictory"
    METHOD_UNSUPPORTED = "method_unsupported"
    AUTHORIZE_ONLY = "authorize_only"
    #: No address is free in the pool; more are being taken back from those who are offline.
    POOL_EXHAUSTED = "pool_exhausted"
    LOCKED_MAC = "locked_mac"
    LOCKED_CIRCUIT = "locked_circuit"
    LOCKED_NAS = "locked_nas"
    #: By the home server, whose answer was passed on.
    HOME_REJECTED = "home_rejected"
    # Answered otherwise
    #: The home server's answer, other than a reject, was passed on.
    FORWARDED = "forwarded"
    RECORDED = "recorded"
    STATUS_SERVER = "status_server"
    DUPLICATE_ANSWERED = "duplicate_answered"
    # Discarded in silence
    DUPLICATE_PENDING = "duplicate_pending"
    UNKNOWN_CLIENT = "unknown_client"
    MALFORMED = "malformed"
    UNEXPECTED_CODE = "unexpected_code"
    BAD_AUTHENTICATOR = "bad_authenticator"
    MESSAGE_AUTHENTICATOR_MISSING = "message_authenticator_missing"
    UNSIGNED_PROXY_STATE = "unsigned_proxy_state"
    INCOMPLETE = "incomplete"
    #: A lease out of a pool of ours is being asked for: the NAS asks again, and it will be there.
    LEASE_AWAITED = "lease_awaited"
    #: The node has not heard from the database for so long that a lease might be another's by now.
    LEASES_STALE = "leases_stale"
    OVERLOADED = "overloaded"
    SPOOL_FULL = "spool_full"
    #: The home server did not answer in time, or is known not to.
    HOME_SILENT = "home_silent"
    #: What was to be brought to the home server could not be kept for it.
    NOT_FORWARDED = "not_forwarded"
    #: A fault of ours.
    FAILED = "failed"


REJECTS = frozenset(
    {
        Reason.UNKNOWN_LOGIN,
        Reason.WRONG_PASSWORD,
        Reason.BLOCKED,
        Reason.SESSION_LIMIT,
        Reason.CREDENTIALS_MISSING,
        Reason.CREDENTIALS_CONTRADICTORY,
        Reason.METHOD_UNSUPPORTED,
        Reason.AUTHORIZE_ONLY,
        Reason.POOL_EXHAUSTED,
        Reason.LOCKED_MAC,
        Reason.LOCKED_CIRCUIT,
        Reason.LOCKED_NAS,
        Reason.HOME_REJECTED,
    }
)
#: Discards that tell of a fault or an attack and are worth a (rate-limited) line in the log.
SUSPICIOUS = frozenset(
    {
        Reason.UNKNOWN_CLIENT,
        Reason.MALFORMED,
        Reason.UNEXPECTED_CODE,
        Reason.BAD_AUTHENTICATOR,
        Reason.MESSAGE_AUTHENTICATOR_MISSING,
        Reason.UNSIGNED_PROXY_STATE,
        Reason.INCOMPLETE,
        Reason.LEASES_STALE,
        Reason.OVERLOADED,
        Reason.SPOOL_FULL,
        Reason.FAILED,
    }
)

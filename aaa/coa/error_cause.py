"""Error-Cause (RFC 5176 3.5): what a NAS says when it refuses."""

from __future__ import annotations

from enum import IntEnum


class ErrorCause(IntEnum):
    RESIDUAL_CONTEXT_REMOVED = 201
    INVALID_EAP_PACKET = 202
    UNSUPPORTED_ATTRIBUTE = 401
    MISSING_ATTRIBUTE = 402
    NAS_IDENTIFICATION_MISMATCH = 403
    INVALID_REQUEST = 404
    UNSUPPORTED_SERVICE = 405
    UNSUPPORTED_EXTENSION = 406
    INVALID_ATTRIBUTE_VALUE = 407
    ADMINISTRATIVELY_PROHIBITED = 501
    REQUEST_NOT_ROUTABLE = 502
    SESSION_CONTEXT_NOT_FOUND = 503
    SESSION_CONTEXT_NOT_REMOVABLE = 504
    OTHER_PROXY_PROCESSING_ERROR = 505
    RESOURCES_UNAVAILABLE = 506
    REQUEST_INITIATED = 507
    MULTIPLE_SESSION_SELECTION_UNSUPPORTED = 508


#: The NAS cannot now and may later.
TEMPORARY = frozenset({ErrorCause.RESOURCES_UNAVAILABLE, ErrorCause.OTHER_PROXY_PROCESSING_ERROR})
#: A key that we sent beside the session id may be stale (an old address): worth one try with the id alone.
PERHAPS_STALE_KEY = frozenset({ErrorCause.SESSION_CONTEXT_NOT_FOUND, ErrorCause.INVALID_ATTRIBUTE_VALUE})


def describe(cause: int | None) -> str:
    """The cause in words, for a person."""
    if cause is None:
        return "no Error-Cause given"
    try:
        return f"{cause} {ErrorCause(cause).name.replace('_', ' ').capitalize()}"
    except ValueError:
        return f"{cause} (unknown Error-Cause)"

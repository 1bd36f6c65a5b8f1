"""Errors by what the caller does next; each carries the field or ids it is about.

The HTTP edge turns any `ProvedorError` into a problem document from `status`, `title` and `field`.
"""

from __future__ import annotations


class ProvedorError(Exception):
    """Root of everything this program raises on purpose.

    `detail_pt` says the same in Portuguese where it is kept for, or told to, whoever runs the provider.
    """

    status = 500
    title = "Internal error"

    def __init__(self, detail: str, *, field: str | None = None, detail_pt: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.detail_pt = detail_pt


class InvalidInput(ProvedorError, ValueError):
    """A value that a person or program gave us cannot be used; `field` names it, the detail says the fix.

    Also a ValueError, so that a pydantic validator may raise it as it is.
    """

    status = 422
    title = "Invalid input"


class NotFound(ProvedorError):
    """The thing named does not exist (or is not visible to the caller)."""

    status = 404
    title = "Not found"

    def __init__(self, kind: str, key: object, fix: str = "") -> None:
        super().__init__(f"there is no {kind} {key}" + (f": {fix}" if fix else ""))
        self.kind = kind
        self.key = key


class Conflict(ProvedorError):
    """The request is sound but the present state forbids it."""

    status = 409
    title = "Conflict"


class Forbidden(ProvedorError):
    """The caller is known and may not do this."""

    status = 403
    title = "Forbidden"


class Unauthenticated(ProvedorError):
    """No valid credential came with the request."""

    status = 401
    title = "Unauthenticated"


class Transient(ProvedorError):
    """Something outside is away; the same call may succeed after `retry_after_s`."""

    status = 503
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after_s: float = 5.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ConfigurationError(ProvedorError):
    """A setting stops the start; the detail is the one sentence that names it."""

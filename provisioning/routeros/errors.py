"""What can go wrong between us and a router's API. Each error names its NAS; none holds a value that was sent."""

from __future__ import annotations

from typing import Final

from core.errors import ProvedorError

#: Of a `!trap`, as the manual numbers its categories.
MISSING_ITEM_OR_COMMAND: Final = 0


class RouterOsError(ProvedorError):
    status = 502
    title = "Router API failed"

    def __init__(self, nas_id: int, detail: str) -> None:
        super().__init__(detail)
        self.nas_id = nas_id


class Unreachable(RouterOsError):
    """No connection, no TLS, or no whole answer in time. What was asked may have been done."""

    title = "Router does not answer"


class CertificateRefused(RouterOsError):
    """It is not the pinned certificate, or no authority vouches for it: nothing was said to whoever is there."""

    title = "Router's certificate is not the expected one"

    def __init__(self, nas_id: int, detail: str, *, expected: str | None, shown: str | None) -> None:
        """SHA-256 fingerprints; `expected` None: no authority vouches for it, `shown` None: it shows no other."""
        super().__init__(nas_id, detail)
        self.expected = expected
        self.shown = shown


class LoginRefused(RouterOsError):
    title = "Router refuses the login"


class Trap(RouterOsError):
    """The router refused a command and said why; the connection is in order."""

    title = "Router refuses the command"

    def __init__(self, nas_id: int, command: str, message: str, category: int | None) -> None:
        super().__init__(nas_id, f"{command}: {message}")
        self.command = command
        self.message = message
        self.category = category

    @property
    def no_such_command(self) -> bool:
        """The router has no such menu or command: a package that is not installed, or another version."""
        return self.category in {None, MISSING_ITEM_OR_COMMAND} and self.message.startswith("no such command")


class Misunderstood(RouterOsError):
    """Something came that is not the API's protocol, or the router ended the connection with `!fatal`."""

    title = "Router's answer is not understood"

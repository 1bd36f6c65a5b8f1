"""What can go wrong between us and a managed box. Each error names its NAS; none holds a secret that was sent."""

from __future__ import annotations

from core.errors import ProvedorError


class DeviceError(ProvedorError):
    status = 502
    title = "Box cannot be managed"

    def __init__(self, nas_id: int, detail: str) -> None:
        super().__init__(detail)
        self.nas_id = nas_id


class Unreachable(DeviceError):
    """No connection, or no answer in time. What was asked may have been done."""

    title = "Box does not answer"


class LoginRefused(DeviceError):
    title = "Box refuses the login"


class HostKeyRefused(DeviceError):
    """Another SSH host key than the approved one: nothing was said to whoever is there."""

    title = "Box's SSH host key is not the approved one"

    def __init__(self, nas_id: int, detail: str, seen: str) -> None:
        super().__init__(nas_id, detail)
        self.seen = seen


class Refused(DeviceError):
    """The box refused what it was told, and said why; the connection is in order."""

    title = "Box refuses the configuration"


class DriverUnusable(DeviceError):
    """It is not installed, or is one that we do not use; the detail says what to do."""

    title = "Driver cannot be used"

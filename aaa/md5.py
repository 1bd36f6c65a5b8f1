"""The fastest MD5 that this interpreter has. RADIUS is built on MD5; nothing else here may use it.

The interpreter's own implementation costs half of OpenSSL's for messages as short as ours, copies cheaply, and is
there on hosts in FIPS mode, where RADIUS still needs it.
"""

from __future__ import annotations

from typing import Any, Protocol


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...
    def copy(self) -> _Digest: ...


class _Constructor(Protocol):
    def __call__(self, data: bytes = b"", /) -> _Digest: ...


def _fastest() -> Any:  # noqa: ANN401  (the interpreter's module has no stubs)
    try:
        import _md5  # type: ignore[import-not-found]  # noqa: PLC0415
    except ImportError:
        import hashlib  # noqa: PLC0415

        return hashlib.md5
    return _md5.md5


md5: _Constructor = _fastest()

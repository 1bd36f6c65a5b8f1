"""HTTP to a gateway's API: JSON in and out, every failure one of three, and never a secret in any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from core.errors import ProvedorError, Transient

TIMEOUT_S: Final = 10.0
RETRY_AFTER_S: Final = 30.0
#: Nothing that we ask for is larger; a page of HTML in its place may be.
BODY_OCTETS_MAX: Final = 4 * 1024 * 1024
_DETAIL_LENGTH: Final = 300


class GatewayAway(Transient):
    """No answer, an answer that says "later", or one that is none: the same call may succeed after a while."""

    title = "The gateway is away"


class GatewayDenied(ProvedorError):
    """Our credentials are not, or no longer, good there: a person looks."""

    status = 502
    title = "The gateway refuses our credentials"


class GatewayRefused(ProvedorError):
    """It understood and will not: asking again changes nothing. `status_code` is the gateway's."""

    status = 502
    title = "The gateway refused"

    def __init__(self, detail: str, *, status_code: int) -> None:
        super().__init__(detail)
        self.status_code = status_code


class Http:
    """One gateway account's connections. `client` carries base URL, certificate and whatever does not change."""

    def __init__(self, client: httpx.Client, *, octets_max: int = BODY_OCTETS_MAX) -> None:
        self._client = client
        self._octets_max = octets_max

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,  # noqa: ANN401
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
    ) -> bytes:
        """The body of a success. Raises GatewayAway, GatewayDenied or GatewayRefused."""
        try:
            answer = self._client.request(
                method, path, headers=headers, params=params, json=json, data=form,
                auth=httpx.BasicAuth(*basic) if basic else None,
            )  # fmt: skip
        except httpx.HTTPError as error:  # its text may hold the URL, and so a secret
            raise GatewayAway(f"{method} of {_plain(path)}: {type(error).__name__}") from None
        return _body(answer, f"{method} of {_plain(path)}", self._octets_max)

    def close(self) -> None:
        self._client.close()


def _body(answer: httpx.Response, what: str, octets_max: int) -> bytes:
    status = answer.status_code
    if status == 429 or status >= 500:
        raise GatewayAway(f"{what}: status {status}", retry_after_s=_retry_after_s(answer))
    if status in {401, 403}:
        raise GatewayDenied(f"{what}: status {status}")
    if status >= 300:
        raise GatewayRefused(f"{what}: status {status} {answer.text[:_DETAIL_LENGTH]}", status_code=status)
    if len(answer.content) > octets_max:
        raise GatewayAway(f"{what}: the answer has {len(answer.content)} octets")
    return answer.content


def _retry_after_s(answer: httpx.Response) -> float:
    value = answer.headers.get("retry-after", "")
    return min(float(value), 3600.0) if value.isascii() and value.isdigit() else RETRY_AFTER_S


def _plain(path: str) -> str:
    return path.partition("?")[0]

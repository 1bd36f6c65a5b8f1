"""Access tokens for a gateway's API by client credentials (RFC 6749, 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from threading import Lock
from typing import Annotated, Any, Final

import msgspec

from billing_hooks.gateways.base import WebhookMalformed
from billing_hooks.gateways.http import GatewayAway, GatewayDenied, GatewayRefused, Http
from billing_hooks.gateways.reading import decode
from core.clock import Clock

#: A token is renewed so long before it expires: longer than a call takes.
MARGIN: Final = timedelta(seconds=30)


class _Grant(msgspec.Struct):
    access_token: str
    #: The RFC recommends it and does not demand it.
    expires_in: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = 300


class Token:
    """Kept until shortly before it expires. For several threads: who comes second waits, and finds it renewed.

    `as_json`: a server that takes JSON in the place of the RFC's form. Raises what `http` raises.
    """

    def __init__(
        self, http: Http, path: str, client: tuple[str, str], clock: Clock, *, scope: str = "", as_json: bool = False
    ) -> None:
        self._http, self._path, self._client, self._clock, self._scope = http, path, client, clock, scope
        self._as_json = as_json
        self._lock = Lock()
        self._token, self._until = "", clock()

    def call(self, method: str, path: str, headers: Mapping[str, str] = {}, **more: Any) -> bytes:  # noqa: ANN401
        """`Http.call` with the token that we have; one that is refused is renewed once, for it may have been ended
        early."""
        token = self.current()
        try:
            return self._http.call(method, path, headers={**_bearer(token), **headers}, **more)
        except GatewayDenied:
            again = _bearer(self.instead_of(token))
            return self._http.call(method, path, headers={**again, **headers}, **more)

    def current(self) -> str:
        with self._lock:
            if self._clock() >= self._until:
                self._renew()
            return self._token

    def instead_of(self, refused: str) -> str:
        """Another one than this, which the API does not take."""
        with self._lock:
            if self._token == refused:
                self._renew()
            return self._token

    def _renew(self) -> None:
        grant = self._grant()
        self._token = grant.access_token
        self._until = self._clock() + timedelta(seconds=grant.expires_in) - MARGIN

    def _grant(self) -> _Grant:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        asked: dict[str, Any] = {"json": form} if self._as_json else {"form": form}
        try:
            return decode(self._http.call("POST", self._path, basic=self._client, **asked), _Grant)
        except GatewayRefused as refused:  # a client that is unknown is 401, or 400
            raise GatewayDenied(f"POST of {self._path}: status {refused.status_code}") from None
        except WebhookMalformed:
            raise GatewayAway(f"POST of {self._path}: the answer holds no token") from None


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}

"""Webhooks: each is stored before its sender hears of success, and those that come together are stored together.

A commit waits for the disk, and a gateway that delivers what it held back sends hundreds a second. So one thread stores
whatever waits in one transaction, and what comes meanwhile is the next one's; who comes alone is stored at once. A
thread of their own also keeps webhooks from waiting for one that the rest of the API has taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import sqlalchemy.exc
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.problems import TooLarge
from billing_hooks import inbox
from billing_hooks.gateways.base import Delivery
from billing_hooks.inbox import Arrival
from core.clock import Clock
from core.database import Database
from core.errors import Transient
from core.keyring import Keyring

#: Stored in one transaction.
TOGETHER_MAX: Final = 200
#: While the database stands still no more than these wait for it; senders come again by themselves.
WAITING_MAX: Final = 5000
_RECEIVED: Final = b'{"status":"received"}'


class TooManyWaiting(Transient):
    title = "Too many webhooks wait to be stored"


@dataclass(slots=True)
class _Waiting:
    """`decided`: stored and committed, or `refused`."""

    arrival: Arrival
    decided: bool = False
    refused: Exception | None = None

    def decide(self, outcome: object) -> None:
        self.decided, self.refused = True, outcome if isinstance(outcome, Exception) else None


class Receiver:
    """`receive` returns once the delivery's events are committed."""

    def __init__(
        self, database: Database, keyring: Keyring, clock: Clock, *, waiting_max: int = WAITING_MAX
    ) -> None:  # fmt: skip
        self._database, self._keyring, self._clock, self._waiting_max = database, keyring, clock, waiting_max
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "webhooks")

    async def receive(self, gateway: str, delivery: Delivery) -> None:
        """Raises what `inbox.receive` raises, TooManyWaiting, or SQLAlchemy's errors."""
        if len(self._waiting) >= self._waiting_max:
            raise TooManyWaiting("the database does not keep up with what comes in")
        one = _Waiting(Arrival(gateway, delivery))
        self._waiting.append(one)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store_with, one)
        if one.refused is not None:
            raise one.refused

    def _store_with(self, one: _Waiting) -> None:
        """Him and all who wait; nothing where he was stored with somebody who came before."""
        while not one.decided:
            together = [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]
            try:
                self._store(together)
            except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError) as away:
                for each in together:
                    each.decide(away)
            except Exception:  # noqa: BLE001  (it is one of them, and the others do not answer for him)
                for each in together:
                    self._store_alone(each)

    def _store_alone(self, one: _Waiting) -> None:
        try:
            self._store([one])
        except Exception as error:  # noqa: BLE001  (its sender is answered by it)
            one.decide(error)

    def _store(self, together: Sequence[_Waiting]) -> None:
        with self._database.transaction() as session:
            arrivals = [one.arrival for one in together]
            outcomes = inbox.receive_together(session, self._keyring, arrivals, self._clock())
        for one, outcome in zip(together, outcomes, strict=True):
            one.decide(outcome)


def webhook_routes() -> list[Route]:
    """For an application with a `receiver` in its state.

    Without FastAPI's dependencies and validation, which would take most of a webhook's time: there is nothing to
    validate before the signature is.
    """

    async def webhook(request: Request) -> Response:
        body = await _body(request)
        query = request.scope["query_string"].decode("latin-1")
        chain = getattr(request.state, "client_chain", ())  # of who came over the banks' port
        delivery = Delivery(request.headers, body, query, client_chain=chain)
        await request.app.state.receiver.receive(request.path_params["gateway"], delivery)
        return Response(_RECEIVED, media_type="application/json")

    # Banks append /pix to the URL that they were given (BCB, API Pix).
    return [Route(path, webhook, methods=["POST"]) for path in ("/hooks/{gateway}", "/hooks/{gateway}/pix")]


async def _body(request: Request) -> bytes:
    """The raw octets, which are what was signed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > inbox.BODY_OCTETS_MAX:
            inbox.count_oversized(request.path_params["gateway"])
            raise TooLarge(f"a webhook has at most {inbox.BODY_OCTETS_MAX} octets")
    return bytes(body)

"""What workers and their threads do, in the test's own thread and before it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from typing import Any

from sqlalchemy import func, or_, select

from core import outbox
from core.database import Database
from core.models import OutboxItem
from core.work import Handler


class AtOnce(Executor):
    """Does what it is given before it returns."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        fn(*args, **kwargs)
        return Future()


def work_off(database: Database, handlers: Mapping[str, Handler]) -> None:
    """All of these topics that is due, and what follows from it; what a handler puts off is left to the next call.

    That is so whatever time it is by the handler's own clock, which may be behind the database's.
    """
    with database.transaction() as session:
        newest = session.scalar(select(func.max(OutboxItem.id))) or 0
    at_once = or_(OutboxItem.id <= newest, OutboxItem.due_at == OutboxItem.created_at)
    due = (OutboxItem.topic.in_(handlers), OutboxItem.due_at <= func.now(), at_once)
    while True:
        with database.transaction() as session:
            item_id = session.scalar(select(OutboxItem.id).where(*due).order_by(OutboxItem.id).limit(1))
            item = None if item_id is None else outbox.claim(session, item_id)
            if item is None:
                return
            afterwards = handlers[item.topic](session, item.payload)
        if afterwards is not None:
            afterwards()

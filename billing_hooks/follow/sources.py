"""The systems that are followed: made, changed, opened, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing_hooks.follow.adapters import ADAPTERS, PUSH
from billing_hooks.follow.base import SourceAdapter
from billing_hooks.follow.models import FollowedContract, FollowSource, Mode
from billing_hooks.gateways.base import Access
from billing_hooks.invoicing.words import Words, columns
from core import audit, events
from core.audit import Actor
from core.edits import apply_changes, flush_unique
from core.errors import Conflict, InvalidInput, NotFound
from core.keyring import FOLLOW_CREDENTIALS, Keyring

EVERY_S: Final = 30
EVERY_S_MIN: Final = 5
EVERY_S_MAX: Final = 3600
#: A file needs none.
_WITHOUT_CREDENTIALS: Final = frozenset({"csv"})
#: A system that could not be read for so long raises the alarm.
UNREADABLE_AFTER: Final = timedelta(minutes=10)


def create_source(
    session: Session, keyring: Keyring, kind: str, name: str, actor: Actor, *,
    settings: Mapping[str, str] | None = None, credentials: Mapping[str, str] | None = None,
    every_s: int | None = None,
) -> FollowSource:  # fmt: skip
    """Dry at first. Raises InvalidInput or Conflict."""
    if kind not in {*ADAPTERS, PUSH}:
        raise InvalidInput(f"kinds are {_list([*ADAPTERS, PUSH])}", field="kind")
    source = FollowSource(kind=kind, name=name, settings=dict(settings or {}), malformed={}, mode=Mode.DRY)
    source.credentials_encrypted = _sealed(keyring, source, credentials or {})
    source.every_s = every_s if every_s is not None or kind == PUSH else EVERY_S
    _check_every(source.every_s)
    session.add(source)
    flush_unique(session, {"name": "name"})
    audit.record(session, actor, "create", "follow_source", source.id, {"kind": kind, "name": name,
                 "settings": source.settings})  # fmt: skip
    events.record(session, "follow_source.created", "follow_source", source.id, kind=kind)
    return source


def get_source(session: Session, source_id: int, *, lock: bool = False) -> FollowSource:
    source = session.get(FollowSource, source_id, with_for_update=lock, populate_existing=lock)
    if source is None:
        raise NotFound("follow source", source_id)
    return source


def find_source(session: Session, name: str) -> FollowSource:
    """By its name or id."""
    source = session.scalar(select(FollowSource).where(FollowSource.name == name))
    if source is not None:
        return source
    if not (name.isascii() and name.isdigit() and len(name) <= 18):
        raise NotFound("follow source", name)
    return get_source(session, int(name))


def update_source(
    session: Session, keyring: Keyring, source: FollowSource, values: Mapping[str, Any], actor: Actor
) -> FollowSource:
    """Change name, `enabled`, `mode`, `calendar`, `every_s`, `settings` or `credentials`, the last two whole."""
    plain = dict(values)
    credentials = plain.pop("credentials", None)
    if plain.get("mode") is Mode.LIVE and source.read_at is None:
        raise Conflict("it was never read: look at its differences first", field="mode")
    if plain.get("every_s", source.every_s) is None and source.kind != PUSH:
        raise InvalidInput("is needed: it has to be read", field="every_s")
    _check_every(plain.get("every_s"))
    changed = apply_changes(source, plain)
    if credentials is not None or "settings" in plain:
        given = credentials if credentials is not None else open_credentials(keyring, source)
        source.credentials_encrypted = _sealed(keyring, source, given)
    if credentials is not None:
        changed["credentials"] = "(changed)"
    flush_unique(session, {"name": "name"})
    if changed:
        audit.record(session, actor, "update", "follow_source", source.id, changed)
        events.record(session, "follow_source.changed", "follow_source", source.id)
    return source


def adapter_of(source: FollowSource) -> SourceAdapter:
    """Raises Conflict for one that pushes."""
    if source.kind == PUSH:
        raise Conflict(f"{source.name} tells us by itself: there is nothing to read")
    return ADAPTERS[source.kind]


def access_of(keyring: Keyring, source: FollowSource) -> Access:
    return Access({**adapter_of(source).settings, **source.settings}, open_credentials(keyring, source))


def open_credentials(keyring: Keyring, source: FollowSource) -> dict[str, str]:
    if source.credentials_encrypted is None:
        return {}
    opened: dict[str, str] = msgspec.json.decode(keyring.open(source.credentials_encrypted, FOLLOW_CREDENTIALS))
    return opened


def alarms(session: Session) -> list[Words]:
    """What keeps a run from being believed, source by source; one that nothing follows says nothing."""
    heeded = (FollowSource.enabled, FollowSource.mode == Mode.LIVE, FollowSource.alarm.is_not(None))
    said = (FollowSource.name, FollowSource.alarm, FollowSource.alarm_pt)
    rows = session.execute(select(*said).where(*heeded).order_by(FollowSource.id))
    return [Words(f"{name}: {pt}", f"{name}: {en}") for name, en, pt in rows]


def note(session: Session, source_id: int, **values: Any) -> None:  # noqa: ANN401  (columns of several types)
    """What the reader found, which is no edit of a person's: the version stays."""
    session.execute(update(FollowSource).where(FollowSource.id == source_id).values(**values))


def set_error(session: Session, source_id: int, error: Words | None) -> None:
    """Why the last attempt to read failed."""
    note(session, source_id, **columns("error", error))


def set_alarm(session: Session, source_id: int, alarm: Words | None) -> None:
    """Told as an event when it changes."""
    before = session.scalars(select(FollowSource.alarm).where(FollowSource.id == source_id)).one()
    note(session, source_id, **columns("alarm", alarm))
    if before != (alarm.en if alarm else None):
        told = "follow_source.alarm" if alarm else "follow_source.well"
        events.record(session, told, "follow_source", source_id, **columns("alarm", alarm))


def set_stopped(session: Session, source_id: int, stopped: Words | None) -> None:
    """What a run's guard says of its word; told as an event when it says something new."""
    before = session.scalars(select(FollowSource.stopped).where(FollowSource.id == source_id)).one()
    note(session, source_id, **columns("stopped", stopped))
    if stopped is not None and stopped.en != before:
        events.record(session, "follow_source.stopped", "follow_source", source_id, **columns("detail", stopped))


def count_following(session: Session, source_id: int) -> int:
    query = select(func.count()).where(FollowedContract.source_id == source_id)
    return session.scalar(query) or 0


def unreadable_since(source: FollowSource) -> datetime:
    return source.read_at or source.created_at


def _sealed(keyring: Keyring, source: FollowSource, credentials: Mapping[str, str]) -> bytes | None:
    """Checked together with the settings: half of what a system wants reads nothing."""
    if source.kind == PUSH:
        if source.settings or credentials:
            raise InvalidInput("who pushes needs none", field="settings" if source.settings else "credentials")
        return None
    adapter = ADAPTERS[source.kind]
    for name, value in source.settings.items():
        if name not in adapter.settings:
            raise InvalidInput(f"{source.kind} has {_list(adapter.settings)}", field=f"settings.{name}")
        if name.endswith("_url") and value and urlsplit(value).scheme not in {"http", "https"}:
            raise InvalidInput("is no http:// or https:// URL", field=f"settings.{name}")
    for name in credentials:
        if name not in adapter.credentials:
            raise InvalidInput(f"{source.kind} has {_list(adapter.credentials)}", field=f"credentials.{name}")
    missing = [name for name in adapter.credentials if not credentials.get(name)]
    if missing and (credentials or source.kind not in _WITHOUT_CREDENTIALS):
        raise InvalidInput(f"{source.kind} needs {_list(adapter.credentials)}", field=f"credentials.{missing[0]}")
    adapter.check({**adapter.settings, **source.settings}, credentials)
    return keyring.seal(msgspec.json.encode(dict(credentials)), FOLLOW_CREDENTIALS) if credentials else None


def _check_every(every_s: int | None) -> None:
    if every_s is not None and not EVERY_S_MIN <= every_s <= EVERY_S_MAX:
        raise InvalidInput(f"is {EVERY_S_MIN} to {EVERY_S_MAX} seconds", field="every_s")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"

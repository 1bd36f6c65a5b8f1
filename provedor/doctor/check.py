"""What a check is, and what checks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import sqlalchemy.exc

from core.errors import ProvedorError
from core.keyring import Keyring, load_keyring
from provedor.node import resolve_runtime
from provedor.observe import processes
from provedor.settings import Settings

#: Raises Wrong or NotAsked; returns a note, or nothing.
Look = Callable[[Settings], str | None]


class Check(NamedTuple):
    """`ok` is None where it could not be looked at. `advice` says what to do, or else is a note."""

    name: str
    ok: bool | None
    advice: str


class Wrong(Exception):
    """A check failed; the message is the advice."""


class NotAsked(Exception):
    """There is nothing to look at here; the message says why."""


def check(name: str, look: Look, settings: Settings) -> Check:
    try:
        return Check(name, True, look(settings) or "")
    except NotAsked as reason:
        return Check(name, None, str(reason))
    except Wrong as wrong:
        return Check(name, False, str(wrong))
    except ProvedorError as error:
        return Check(name, False, error.detail)
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        said = str(getattr(error, "orig", error)).strip().splitlines() or [type(error).__name__]
        return Check(name, False, f"the database does not answer: {said[0]}")
    except OSError as error:
        return Check(name, False, f"{error.filename or settings.data}: {error.strerror or error}")


def not_asked(_: Settings) -> None:
    raise NotAsked("not asked: it needs the database")


def check_key_file(settings: Settings) -> None:
    """Does not make one, as a start does: a lost key file must not be covered up by a new one."""
    path = settings.key_file
    if not path.exists():
        raise Wrong(f"{path} is missing: restore it from its copy; without it no stored secret can be read")
    if path.stat().st_mode & 0o077:
        raise Wrong(f"{path} can be read by others: chmod 600 {path}")
    load_keyring(path)


def keyring(settings: Settings) -> Keyring:
    check_key_file(settings)
    return load_keyring(settings.key_file)


def connect(settings: Settings) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(resolve_runtime(settings).libpq_url, connect_timeout=3, options="-c statement_timeout=5000")


def runs_here(settings: Settings, role: str) -> bool:
    """A node that is down should run everything; one that is up runs what its supervisor has started."""
    names = [one.name for one in processes(settings)]
    if role == "radius":
        return not names or any(name.startswith(("feeder", "auth-", "acct-", "shipper-")) for name in names)
    return not names or role in names

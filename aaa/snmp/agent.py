"""Questions to an SNMP agent, over gufo-snmp.

They raise TimeoutError (also where nobody listens, and for a wrong community, which an agent does not answer), OSError,
or SnmpError (a wrong user or passphrase, an answer that cannot be read).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpError,
    User,
)
from gufo.snmp.aio import SnmpSession

from aaa.snmp.access import SnmpAccess

#: For one answer. A login waits a second for the registrar, which is to hear of a silent agent before.
ANSWER_S: Final = 0.8
#: For each answer in the reading of a column, and for all of it.
COLUMN_ANSWER_S: Final = 2.0
READ_S_MAX: Final = 10.0
ROWS_MAX: Final = 20_000
#: Rows asked for at a time: with logins of the usual length, what fits into a datagram that is not cut into fragments.
REPETITIONS: Final = 20

#: What the functions raise.
AgentFailed = (OSError, SnmpError)

_AUTH: Final[Mapping[str, type[BaseAuthKey]]] = {
    "md5": Md5Key, "sha1": Sha1Key, "sha224": Sha224Key, "sha256": Sha256Key, "sha384": Sha384Key, "sha512": Sha512Key,
}  # fmt: skip
_PRIV: Final[Mapping[str, type[BasePrivKey]]] = {
    "des": DesKey, "aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key,
}  # fmt: skip


class Unreadable(OSError):
    """An answer is no SNMP."""


class TooManyRows(OSError):
    """The column has more rows than are read."""


async def get(access: SnmpAccess, oids: Iterable[str]) -> dict[str, object]:
    """What the agent has of these."""
    async with _session(access, ANSWER_S) as session:
        return dict(await session.get_many(oids))


async def get_column(access: SnmpAccess, oid: str, around: str) -> tuple[list[object], tuple[object, object]]:
    """All values of the column, and that of `around` before and after (None where the agent has none)."""
    async with asyncio.timeout(READ_S_MAX), _session(access, COLUMN_ANSWER_S) as session:
        before = (await session.get_many([around])).get(around)
        values: list[object] = []
        async for _, value in session.getbulk(oid, max_repetitions=REPETITIONS):
            values.append(value)
            if len(values) > ROWS_MAX:
                raise TooManyRows(f"more than {ROWS_MAX} rows")
        after = (await session.get_many([around])).get(around)
    return values, (before, after)


async def shows(access: SnmpAccess, oid: str) -> bool:
    """Whether the column has any row."""
    async with _session(access, ANSWER_S) as session:
        async for _ in session.getbulk(oid, max_repetitions=1):
            return True
    return False


@asynccontextmanager
async def _session(access: SnmpAccess, timeout_s: float) -> AsyncIterator[SnmpSession]:
    """Each time anew: a late answer finds no socket, and a v3 agent's clock is learned afresh."""
    try:
        async with _opened(access, timeout_s) as session:
            yield session
    except BaseException as error:
        # gufo-snmp 0.13 panics over a datagram that ends within a header; that is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable("an answer that cannot be read") from None


def _opened(access: SnmpAccess, timeout_s: float) -> SnmpSession:
    if not access.user:
        return SnmpSession(access.address, access.port, community=access.community, timeout=timeout_s)
    auth = _AUTH[access.auth](access.auth_passphrase.encode()) if access.auth else None
    priv = _PRIV[access.priv](access.priv_passphrase.encode()) if access.priv else None
    return SnmpSession(
        access.address, access.port, user=User(access.user, auth_key=auth, priv_key=priv), timeout=timeout_s
    )

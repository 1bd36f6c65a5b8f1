"""Schema migrations, run at start by whoever serves the database's users, under an advisory lock.

Nobody waits for them with RADIUS, which starts with the database away.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from core.database import psycopg_url
from core.errors import ConfigurationError

CONNECT_TIMEOUT_S = 5
#: What `RETURNING old` needs, by which accounting tells how much more a session has used.
POSTGRESQL_MIN = 18
#: Serialises migrations of several nodes that start at once.
LOCK_KEY = 0x50524F57
DIRECTORY = Path(__file__).parent / "migrations"


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(DIRECTORY))
    config.set_main_option("path_separator", "os")
    return config


def head_revision() -> str:
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None  # noqa: S101  (a repository without migrations is broken)
    return head


def refuse_old(version: int) -> None:
    """`version` as PostgreSQL numbers itself: 180003 is 18.3."""
    if version < POSTGRESQL_MIN * 10_000:
        raise ConfigurationError(
            f"the database is PostgreSQL {version // 10_000}, and {POSTGRESQL_MIN} or later is needed: "
            "point PROVEDOR_DATABASE_URL at one"
        )


def migrate(url: str) -> None:
    """Bring the schema to the newest revision; waits while another node does.

    Raises OperationalError (it is away) and ConfigurationError (it is too old).
    """
    engine = create_engine(psycopg_url(url), connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    with engine.connect() as connection:
        refuse_old(connection.scalar(text("SELECT current_setting('server_version_num')::int")))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.commit()
        try:
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
            connection.commit()
    engine.dispose()

"""What `provedor up` refuses before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import discard

from core import network
from core.audit import Actor
from core.database import Database, psycopg_url
from core.errors import ConfigurationError
from core.keyring import load_keyring
from provedor.embedded import EmbeddedPostgres
from provedor.migrate import migrate
from provedor.node import run_node
from provedor.settings import Settings


@pytest.fixture
def used(tmp_path: Path) -> Iterator[Settings]:
    """A node that was used and is down."""
    settings = Settings(data=tmp_path / "data")
    server = EmbeddedPostgres(settings.data / "postgres", fsync=False)
    server.start()
    migrate(server.url)
    database = Database(psycopg_url(server.url))
    with database.transaction() as session:
        values = {"name": "bras", "address": "192.0.2.1", "secret": "s3cret", "vendor": "mikrotik"}
        network.create_nas(session, load_keyring(settings.key_file), values, Actor("test", None))
    database.dispose()
    server.stop()
    yield settings
    discard(server)


def test_a_node_whose_key_file_is_lost_does_not_start_with_a_new_one(used: Settings) -> None:
    used.key_file.unlink()
    with pytest.raises(ConfigurationError, match=r"the key file .* is missing.*PROVEDOR_SECRET_KEY_FILE"):
        run_node(used, ["worker"])
    assert not used.key_file.exists()

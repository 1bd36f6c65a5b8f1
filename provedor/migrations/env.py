"""Alembic's environment: migrations run on the connection that `provedor.migrate` holds the lock with."""

from alembic import context

import provedor.tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=provedor.tables.metadata, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()

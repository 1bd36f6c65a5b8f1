"""Embedded PostgreSQL clusters of tests, and their end."""

from __future__ import annotations

import shutil

from provedor.embedded import EmbeddedPostgres


def discard(server: EmbeddedPostgres) -> None:
    """Stop it and delete its data, which under root lies outside the test's own directory."""
    server.stop()
    shutil.rmtree(server._home, ignore_errors=True)

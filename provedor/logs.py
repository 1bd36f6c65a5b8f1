"""Structured logs on stderr: for people on a terminal, JSON lines otherwise."""

from __future__ import annotations

import logging
import sys
import warnings

import structlog


def configure_logs() -> None:
    """stdout belongs to what commands print."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # It tells a lost connection by a traceback on stderr; whoever had the connection is told as well.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    # Celery warns of root; our workers run no code that came over the network.
    warnings.filterwarnings("ignore", message=".*superuser privileges.*")

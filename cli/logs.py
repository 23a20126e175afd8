"""One log format for every process: time, level, logger, thread, sentence; to standard error, one line per record.

Celery's own account of every task is kept for level DEBUG: our runs say themselves what they did, and Flower shows the
tasks.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s [%(threadName)s] %(message)s"
# Celery warns of running as root because of pickled messages (ours are JSON), and of what happens to tasks that are
# acknowledged late when the connection is lost (ours are acknowledged early).
_NOT_FOR_US = ("You're running the worker with superuser privileges", "In Celery 5.1 we introduced")
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace", "celery.pool", "kombu", "amqp", "urllib3", "asyncio")


class _OneLine(logging.Formatter):
    """A message that has line feeds (some of Celery's do) becomes one line; a traceback stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = " ".join(record.message.split())
        return super().formatMessage(record)


def set_up(level: str) -> None:
    """Sends all logging from `level` on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(_FORMAT, "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for text in _NOT_FOR_US:
        warnings.filterwarnings("ignore", message=text)
    set_level(level)


def set_level(level: str) -> None:
    """Changes what is shown, at any time."""
    logging.getLogger().setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "DEBUG" else logging.WARNING)


def leave_alone(**_: Any) -> None:
    """A receiver of Celery's `setup_logging` signal: with one connected, Celery configures no logging of its own."""

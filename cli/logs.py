"""One log for every process, to standard error, one line per record: for people, or as JSON.

`AKO_LOG_FORMAT` chooses: `text` (the default) or `json` (the image sets it). A line that belongs to the run of a work
key says so: at its end in text, in the fields `key` and `run` in JSON. So the line of a run, its warnings and, at level
DEBUG, each call to the controller are found together. The line of a run has `outcome`, `operations`, `cause` and
`seconds` as fields of their own.

Celery's own account of every task is kept for level DEBUG: our runs say themselves what they did, and Flower shows the
tasks.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from shared.correlation import current_run
from shared.errors import AkoError

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")
_TEXT = "%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s [%(threadName)s] %(message)s"
_FIELDS = ["levelname", "name", "threadName", "message"]
_RENAMED = {"levelname": "level", "name": "logger", "threadName": "thread"}
# Celery warns of running as root because of pickled messages (ours are JSON), and of what happens to tasks that are
# acknowledged late when the connection is lost (ours are acknowledged early).
_NOT_FOR_US = ("You're running the worker with superuser privileges", "In Celery 5.1 we introduced")
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace", "celery.pool", "kombu", "amqp", "urllib3", "asyncio")


class _OneLine(logging.Formatter):
    """A message that has line feeds (some of Celery's do) becomes one line; a traceback stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = " ".join(record.message.split())
        _, run = current_run()
        return super().formatMessage(record) + (f" (run {run})" if run else "")


class _Json(JsonFormatter):
    """The same as an object per line; what was raised is in `exc_info`."""

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        key, run = current_run()
        if run:
            log_data.update(key=key, run=run)


def set_up(level: str) -> None:
    """Sends all logging from `level` on to standard error. Raises AkoError for a format that there is not."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(os.environ.get("AKO_LOG_FORMAT") or "text"))
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for text in _NOT_FOR_US:
        warnings.filterwarnings("ignore", message=text)
    set_level(level)


def _formatter(kind: str) -> logging.Formatter:
    if kind not in FORMATS:
        raise AkoError(f"AKO_LOG_FORMAT is {kind!r}", action=f"Set it to one of {', '.join(FORMATS)}")
    if kind == "text":
        return _OneLine(_TEXT, "%Y-%m-%d %H:%M:%S")
    return _Json(_FIELDS, rename_fields=_RENAMED, timestamp="time")


def set_level(level: str) -> None:
    """Changes what is shown, at any time."""
    logging.getLogger().setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "DEBUG" else logging.WARNING)


def leave_alone(**_: Any) -> None:
    """A receiver of Celery's `setup_logging` signal: with one connected, Celery configures no logging of its own."""

"""Which run of which key a thread is busy with: what ties every log line of a run together, calls included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[tuple[str, str]] = ContextVar("run", default=("", ""))


@contextmanager
def run_of(key: str, token: str) -> Iterator[None]:
    """While it is open, this thread works on `key`, under the claim with this token."""
    before = _current.set((key, token))
    try:
        yield
    finally:
        _current.reset(before)


def current_run() -> tuple[str, str]:
    """Key and token of the run that this thread is busy with; two empty texts outside of any."""
    return _current.get()

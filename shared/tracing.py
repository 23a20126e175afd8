"""Optional OpenTelemetry spans: for each run of a key, and for each call to the controller.

Without the extra `tracing` nothing happens and nothing is imported. With it, `opentelemetry-instrument` starts a
process so that Celery's and Redis's own instrumentations join in: the trace of a change goes from the watcher's message
to the worker's task, the runs of keys in it, and their calls. See docs/logging.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

try:
    from opentelemetry import trace
except ImportError:  # the extra is not installed
    trace = None  # type: ignore[assignment]


@contextmanager
def span(name: str, attributes: Mapping[str, str]) -> Iterator[dict[str, str | int]]:
    """A span around what is done inside; what is put into the yielded dict is added to it at the end.

    Names are few: `run host`, `avi GET pool`. Attributes hold keys and names, never a body.
    """
    late: dict[str, str | int] = {}
    if trace is None:
        yield late
        return
    with trace.get_tracer("ako").start_as_current_span(name, attributes=attributes) as current:
        try:
            yield late
        finally:
            current.set_attributes(late)

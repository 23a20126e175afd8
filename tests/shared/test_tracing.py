"""Spans: a run with its calls below it where OpenTelemetry is there, nothing where it is not."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing
from tests.workers.model.world import endpoint_slice, ingress, service
from tests.workers.site import PASSWORD, site


def test_a_run_and_its_calls_are_one_trace(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has key, cause and outcome; GET and PUT hang below it, with the object and the status, and no body."""
    caught = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(caught))
    monkeypatch.setattr(tracing.trace, "get_tracer", provider.get_tracer)
    with site(redis_url) as here:
        here.apply(service(), ingress(), endpoint_slice(["10.244.1.5"]))
        here.settle()
        caught.clear()
        here.apply(endpoint_slice(["10.244.1.6"]))
        here.run()
    spans = {each.name: each for each in caught.get_finished_spans()}
    run = spans["run host"]
    assert run.attributes is not None
    assert dict(run.attributes) == {
        "ako.key": "host:foo.example.com",
        "ako.cause": "test",
        "ako.run": run.attributes["ako.run"],
        "ako.outcome": "done",
    }
    for name in ("avi GET pool", "avi PUT pool"):
        call = spans[name]
        assert call.parent is not None
        assert call.parent.span_id == run.context.span_id
        assert call.attributes is not None
        assert call.attributes["http.response.status_code"] == 200
    assert PASSWORD not in "".join(each.to_json() for each in caught.get_finished_spans())


def test_without_opentelemetry_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs, and an exception of it passes through."""
    monkeypatch.setattr(tracing, "trace", None)
    with tracing.span("run host", {}) as late:
        late["ako.outcome"] = "done"
    with pytest.raises(ValueError, match="mine"), tracing.span("run host", {}):
        raise ValueError("mine")

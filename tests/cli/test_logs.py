"""The log: a line per run with key, cause, operations and duration; every line of a run bears its id, calls too."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from cli import logs
from shared.errors import AkoError
from tests.workers.model.world import endpoint_slice, ingress, service
from tests.workers.site import PASSWORD, Site, site


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url) as made:
        made.apply(service(), ingress(), endpoint_slice(["10.244.1.5"]))
        made.settle()
        yield made


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Afterwards logging is as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_run_is_one_line(here: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON: the key, why, what was written, how it ended and how long it took; a second run of nothing is silent."""
    monkeypatch.setenv("AKO_LOG_FORMAT", "json")
    logs.set_up("INFO")
    here.apply(endpoint_slice(["10.244.1.6"]))
    here.run()
    here.mark(["host:foo.example.com"])
    here.run()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (line,) = [each for each in lines if each["logger"] == "workers.reconcile"]
    assert line["key"] == "host:foo.example.com"
    assert (line["outcome"], line["level"]) == ("done", "INFO")
    assert line["operations"] == ["update pool/admin/bench--foo.example.com_-red-ing1 (servers)"]
    assert line["cause"] == "test"
    assert 0 < line["seconds"] < 10
    assert line["run"]
    assert line["time"].startswith("20")
    assert "because of test" in line["message"]


def test_every_call_of_a_run_bears_its_id(here: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """At level DEBUG the GET and the PUT of a run, and its line, end in the same id; no password is there."""
    logs.set_up("DEBUG")
    here.apply(endpoint_slice(["10.244.1.6"]))
    here.run()
    said = capsys.readouterr().err
    lines = said.splitlines()
    (done,) = [line for line in lines if "host:foo.example.com: done in" in line]
    run = done[done.rindex("(run ") :]
    calls = [line for line in lines if "shared.avi.session" in line and line.endswith(run)]
    assert len(calls) == 2
    assert [word for line in calls for word in ("GET pool", "PUT pool") if word in line] == ["GET pool", "PUT pool"]
    assert PASSWORD not in said


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the words that there are."""
    monkeypatch.setenv("AKO_LOG_FORMAT", "xml")
    with pytest.raises(AkoError, match="one of text, json"):
        logs.set_up("INFO")

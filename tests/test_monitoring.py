"""Alert rules, dashboard, scrape configuration and the pages about them say what the code exposes, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from shared.exposition import EVERY
from shared.telemetry import Metric
from workers.model.vips import VIP_CHANGE_HELD

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "deploy/monitoring"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
# Those of the client library that are used, and what Prometheus adds to every series.
OTHERS = {
    "process_cpu_seconds_total": Metric("process_cpu_seconds_total", "counter", (), ""),
    "process_resident_memory_bytes": Metric("process_resident_memory_bytes", "gauge", (), ""),
}
ADDED = {"namespace", "instance", "job"}
METRICS = {metric.name: metric for metric in EVERY} | OTHERS
VALUES = {
    "role": {"watcher", "worker"},
    "state": {"due", "later", "claimed"},
    "cause": {"census", "change"},
    "reason": {VIP_CHANGE_HELD},
}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Every expression of alerts and dashboard, by where it stands; Grafana's variables filled in."""
    found = {rule["alert"]: rule["expr"] for rule in ALERTS}
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "1m").replace("$namespace", ".*")
            found[f"{panel['title']} {target['refId']}"] = text
    return found


def selectors(text: str) -> Iterator[Any]:
    """The vector selectors of an expression; raises ValueError when it is none of PromQL."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(text), visit)
    yield from found


def metric_of(name: str) -> Metric | None:
    """The metric that a series belongs to; a histogram is asked for by its parts alone."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    if base != name and base in METRICS and METRICS[base].type == "histogram":
        return METRICS[base]
    found = METRICS.get(name)
    return None if found is None or found.type == "histogram" else found


@pytest.mark.parametrize("where", sorted(expressions()))
def test_expressions_parse_and_name_what_exists(where: str) -> None:
    """Each expression is PromQL; its metrics, labels and their fixed values are ones that the code exposes."""
    text = expressions()[where]
    labels: set[str] = set()
    found = list(selectors(text))
    assert found
    for selector in found:
        metric = metric_of(selector.name)
        assert metric is not None, f"{selector.name} does not exist"
        labels |= {*metric.labels, *({"le"} if selector.name.endswith("_bucket") else ())}
        for matcher in selector.matchers.matchers:
            assert matcher.name in {*metric.labels, *ADDED}, f"{selector.name} has no label {matcher.name}"
            if matcher.name in VALUES:
                assert matcher.value in VALUES[matcher.name]
    for listed in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", text):
        assert {name.strip() for name in listed.split(",")} <= labels | ADDED


def test_a_wrong_expression_is_found() -> None:
    """The check above can fail: on what is no PromQL, and on a metric that is not there."""
    with pytest.raises(ValueError, match="parenthesis"):
        list(selectors("max by (namespace (ako_ready)"))
    assert [metric_of(each.name) for each in selectors("rate(ako_nonsense_total[5m])")] == [None]
    assert metric_of("ako_run_duration_seconds") is None  # a histogram without a part of it has no series


def test_counters_are_asked_for_by_their_growth() -> None:
    """A counter is read by rate or increase only, and a gauge never is."""
    for where, text in expressions().items():
        grown = set(re.findall(r"(?:rate|increase)\(\s*(\w+)", text))
        for selector in selectors(text):
            metric = metric_of(selector.name)
            assert metric is not None
            assert (metric.type in {"counter", "histogram"}) == (selector.name in grown), (where, selector.name)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_its_section_in_the_runbook(rule: dict[str, Any]) -> None:
    """Summary, description, a severity, and a runbook_url that leads to the section of this alert."""
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert len(notes["description"]) > len(notes["summary"])
    assert notes["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    for name in re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]):
        kept = re.findall(r"by \(([^)]*)\)", rule["expr"])
        assert all(name in listed for listed in kept[:1]), f"the expression drops the label {name}"


def test_each_section_of_the_runbook_is_an_alert() -> None:
    """The runbook has one section for each alert, in the same order, and each says the same four things."""
    text = (ROOT / "docs/runbook.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == [rule["alert"] for rule in ALERTS]
    for section in sections:
        assert re.findall(r"^\*\*(.+?)\.\*\*", section, re.MULTILINE) == ["Means", "Users see", "Look", "Do"], section
    anchors = {rule["alert"].lower() for rule in ALERTS}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= anchors


@pytest.mark.parametrize("page", ["runbook", "metrics"])
def test_the_pages_name_metrics_that_exist(page: str) -> None:
    """Each `ako_…` in code type is a metric, alone or with a label that it has."""
    text = (ROOT / f"docs/{page}.md").read_text()
    for name, label in re.findall(r"`(ako_\w+)(?:\{(\w+)=[^}]*\})?`", text):
        assert name in METRICS, name
        assert not label or label in METRICS[name].labels


def test_the_table_of_metrics_is_the_catalogue() -> None:
    """docs/metrics.md has a row for each metric with its type, labels and meaning, and no other row."""
    rows = re.findall(r"^\| `(ako_\w+)` \|.*$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(metric.name for metric in EVERY)
    lines = set((ROOT / "docs/metrics.md").read_text().splitlines())
    for metric in EVERY:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        row = f"| `{metric.name}` | {metric.type} | {labels} | {metric.meaning} |"
        assert row in lines, f"docs/metrics.md should have:\n{row}"


def test_names_follow_the_conventions() -> None:
    """Prefix, `_total` for counters alone, base units, a meaning without full stop; no label without end."""
    assert len(METRICS) == len(EVERY) + len(OTHERS)
    for metric in EVERY:
        assert re.fullmatch(r"ako_[a-z]+(_[a-z]+)*", metric.name)
        assert (metric.type == "counter") == metric.name.endswith("_total")
        assert not re.search(r"_(ms|millis|minutes|kb|percent)(_|$)", metric.name)
        assert metric.type != "histogram" or metric.name.endswith("_seconds")
        assert metric.meaning
        assert not metric.meaning.endswith(".")
        assert not {"host", "key", "name", "namespace", "worker", "node", "le"} & set(metric.labels)


def test_the_dashboard_can_be_imported() -> None:
    """Panels have ids of their own and don't overlap; each asks the data source that the user chose."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
    for panel in panels():
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "namespace"]
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]

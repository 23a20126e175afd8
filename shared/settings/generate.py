"""`python -m shared.settings.generate`: writes every file that is made from the settings' schemas and other files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from shared.settings.jsonschema import chart_schema, json_schema
from shared.settings.page import page
from shared.settings.reference import configuration, example

ROOT = Path(__file__).parents[2]
CHART = "deploy/helm/ako-celery"


def _chart() -> str:
    own = json.loads((ROOT / CHART / "deployment.schema.json").read_text())
    return json.dumps(chart_schema(own), indent=2) + "\n"


GENERATED: Mapping[str, Callable[[], str]] = {
    "docs/ipv6.md": page,
    "docs/configuration.md": configuration,
    "docs/values.schema.json": lambda: json.dumps(json_schema(), indent=2) + "\n",
    "examples/values.yaml": example,
    f"{CHART}/values.schema.json": _chart,
    # A chart can't read beyond its own folder.
    f"{CHART}/files/alerts.yaml": (ROOT / "deploy/monitoring/alerts.yaml").read_text,
}
"""Path below the project's root → its content."""


if __name__ == "__main__":
    for name, made in GENERATED.items():
        (ROOT / name).write_text(made())
        print(name)

"""What is made from the settings' schemas and tables says the same as they do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from shared.settings import load
from shared.settings.fields import Rows
from shared.settings.generate import GENERATED
from shared.settings.jsonschema import default_of, json_schema
from shared.settings.matrix import MATRIX
from shared.settings.meanings import MEANINGS
from shared.settings.page import page
from shared.settings.schema import SCHEMA, Part, Section, keys
from tests.shared.settings.table import TABLE

ROOT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft7Validator(json_schema())


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_each_file_is_what_is_generated(name: str) -> None:
    """The committed file is what `python -m shared.settings.generate` writes."""
    assert (ROOT / name).read_text(encoding="utf-8") == GENERATED[name]()


def test_the_page_names_every_rule_and_gate() -> None:
    """Each rule has its line in docs/ipv6.md, with its gate or `none`."""
    lines = page().splitlines()
    for row in MATRIX:
        gate = f"`{row.gate}`" if row.gate else "none"
        assert any(line.startswith(f"| {row.id} |") and line.endswith(f"{gate} |") for line in lines)


def paths(section: Section, path: str) -> Iterator[str]:
    for field in section.fields.values():
        here = f"{path}.{field.data_key}" if path else str(field.data_key)
        yield here
        if isinstance(field, Part):
            yield from paths(field.section, here)
        elif isinstance(field, Rows):
            inner = field.inner
            yield from paths(inner.section, f"{here}[]") if isinstance(inner, Part) else [f"{here}[]"]


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    """No key is without a sentence, no sentence speaks of a key that is gone, and each sentence ends as one."""
    assert set(paths(SCHEMA, "")) == set(MEANINGS)
    assert all(text.endswith(".") for text in MEANINGS.values())


def test_the_example_holds_every_default(tmp_path: Path) -> None:
    """examples/values.yaml loads without warning or note, and all but the keys to be edited stand at their defaults."""
    path = ROOT / "examples/values.yaml"
    loaded = load(str(path), {})
    assert (loaded.warnings, loaded.notes) == ((), ())
    values = yaml.safe_load(path.read_text())
    edited = {"clusterName", "vipNetworkList", "controllerHost"}
    for where, key in keys(SCHEMA):
        if key.metadata["use"].name in {"DEPRECATED", "CHART"}:
            continue
        assert re.search(rf"^ +(# )?{where[-1]}:", path.read_text(), re.MULTILINE), where
        if where[-1] in edited:
            continue
        found: Any = values
        for part in where:
            found = found.get(part) if isinstance(found, dict) else None
        assert found == default_of(key), where


def test_the_schema_is_one() -> None:
    """The JSON Schema is valid against draft 7, and the example against the JSON Schema."""
    jsonschema.Draft7Validator.check_schema(json_schema())
    assert list(VALIDATOR.iter_errors(yaml.safe_load((ROOT / "examples/values.yaml").read_text()))) == []


def test_what_validate_accepts_the_schema_accepts() -> None:
    """Of the table's rows that are about a file, each good one passes the JSON Schema too."""
    for line in TABLE:
        if not line.good or line.environ or line.configmap or line.phase != "load":
            continue
        assert [error.message for error in VALIDATOR.iter_errors(line.values)] == [], line.name


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"AKOSettings": {"ipFamly": "V6"}}, "AKOSettings"),
        ({"AKOSettings": {"ipFamily": "v6"}}, "ipFamily"),
        ({"AKOSettings": {"clusterName": "a b"}}, "clusterName"),
        ({"AKOSettings": {"fullSyncFrequency": -1}}, "fullSyncFrequency"),
        ({"AKOSettings": {"deleteConfig": "yes"}}, "deleteConfig"),
        ({"NetworkSettings": {"vipNetworkList": []}}, "vipNetworkList"),
        ({"NetworkSettings": {"nodeNetworkList": [{"networkName": 7}]}}, "nodeNetworkList"),
        ({"controllerHost": "avi"}, ""),
    ],
)
def test_an_editor_sees_mistakes(values: dict[str, Any], place: str) -> None:
    """Unknown keys, wrong words, wrong types and numbers out of bounds are errors of the JSON Schema as well."""
    errors = [".".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(values)]
    assert len(errors) == 1
    assert errors[0].startswith(place) or f".{place}" in errors[0]

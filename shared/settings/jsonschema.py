"""The JSON Schema of values.yaml, for editors and for helm, made from the marshmallow schemas.

It never refuses what `ako validate` accepts; the other way round it is only as strict as JSON Schema can be: networks,
the bounds of numbers written as text, and what the support matrix says stay with `ako validate`. Required keys are not
required here, since each may come from the environment. Draft 7 is what helm and the editors know.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from marshmallow import fields, missing

from shared.settings.fields import Anything, Choice, Flag, Key, Number, Rows, Text, Use
from shared.settings.meanings import MEANINGS
from shared.settings.schema import SCHEMA, Part, Section

_NOTES = {
    Use.PENDING: " Not served by this release.",
    Use.DECISIVE: " Not served by this release; refused except at its default.",
    Use.DEPRECATED: " Deprecated, without effect.",
    Use.CHART: " Read past.",
}
_NUMBER_TEXT = r"^\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*$"


def json_schema() -> dict[str, Any]:
    """The whole schema, as data for JSON."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "values.yaml of ako-celery",
        **_section(SCHEMA, ""),
    }


def description(path: str, field: fields.Field[Any]) -> str:
    """What the key at `path` means, and what this release does with it when that is not simply to obey it."""
    return MEANINGS[path] + _NOTES.get(field.metadata.get("use", Use.SERVED), "")


def default_of(field: Key[Any] | Rows) -> Any:
    """The default as it is written in a file; None when there is none."""
    default = field.load_default
    if default is missing or default is None:
        return None
    if isinstance(field, Choice):
        return next((word for word, meant in words_of(field).items() if meant == default and word), "")
    return list(default) if isinstance(field, Rows) else default


def words_of(field: Choice[Any]) -> Mapping[str, Any]:
    """The words of a choice as they are shown: those that are read without regard to case in their usual spelling."""
    if not field.fold:
        return field.words
    return {str(meant): meant for meant in field.words.values()}


def _section(section: Section, path: str) -> dict[str, Any]:
    properties = {}
    for field in section.fields.values():
        key = str(field.data_key)
        below = f"{path}.{key}" if path else key
        properties[key] = {"description": description(below, field), **_nullable(_field(field, below), field)}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _nullable(schema: dict[str, Any], field: fields.Field[Any]) -> dict[str, Any]:
    """A key that is there and empty counts as not given."""
    if isinstance(field, Anything):
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def _field(field: fields.Field[Any], path: str) -> dict[str, Any]:
    if isinstance(field, Part):
        return _section(field.section, path)
    schema = _value(field, path)
    if isinstance(field, Key | Rows) and (default := default_of(field)) is not None and not field.metadata["secret"]:
        schema["default"] = default.value if isinstance(default, enum.Enum) else default
    if field.metadata["use"] is Use.DEPRECATED:
        schema["deprecated"] = True
    return schema


def _value(field: fields.Field[Any], path: str) -> dict[str, Any]:
    if isinstance(field, Rows):
        row = _field(field.inner, f"{path}[]")
        row.pop("default", None)
        rows: dict[str, Any] = {
            "type": "array",
            "items": _nullable(row, field.inner) if field.inner.allow_none else row,
        }
        return (
            rows
            | ({"minItems": field.fewest} if field.fewest else {})
            | ({"maxItems": field.most} if field.most else {})
        )
    if isinstance(field, Flag):
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": _any_case("true", "false")}]}
    if isinstance(field, Number):
        kind = "integer" if field.whole else "number"
        bounds = {"minimum": field.low, "maximum": field.high}
        return {"anyOf": [{"type": kind, **bounds}, {"type": "string", "pattern": _NUMBER_TEXT}]}
    if isinstance(field, Choice):
        shown = [word for word in words_of(field) if word]
        pattern = _any_case(*field.words) if field.fold else rf"^\s*({'|'.join(field.words)})\s*$"
        return {"anyOf": [{"enum": shown}, {"type": "string", "pattern": pattern}]}
    if isinstance(field, Text) and field.pattern and not field.metadata["secret"]:
        return {"type": "string", "pattern": rf"^\s*({field.pattern.pattern})?\s*$"}
    return {} if isinstance(field, Anything) else {"type": "string"}


def _any_case(*words: str) -> str:
    """A pattern for these words in whatever case; JSON Schema has no flag for that."""
    spelt = ("".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in word) for word in words)
    return rf"^\s*({'|'.join(spelt)})\s*$"

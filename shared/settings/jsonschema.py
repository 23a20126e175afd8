"""The JSON Schema of values.yaml, for editors and for helm, made from the marshmallow schemas.

It never refuses what `ako validate` accepts; the other way round it is only as strict as JSON Schema can be: networks,
the bounds of numbers written as text, and what the support matrix says stay with `ako validate`. Required keys are not
required here, since each may come from the environment. Draft 7 is what helm and the editors know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, missing

from shared.settings.fields import Anything, Choice, Flag, Key, Number, Rows, Text, Url, Use
from shared.settings.meanings import MEANINGS
from shared.settings.schema import SCHEMA, Part, Section

_NOTES = {
    Use.PENDING: " Not served by this release.",
    Use.DECISIVE: " Not served by this release; refused except at its default.",
    Use.DEPRECATED: " Deprecated, without effect.",
    Use.CHART: " Read past.",
}
_MOVED = "L4Settings.defaultDomain"  # obeyed still, with a warning
_NUMBER_TEXT = r"^\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*$"


def json_schema() -> dict[str, Any]:
    """The whole schema, as data for JSON."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "values.yaml of ako-celery",
        **_section(SCHEMA, ""),
    }


def chart_schema(own: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the values of our Helm chart: the program's, with `own` for the keys that only the chart reads.

    Networks may be missing here: the chart says so itself, and they can come from AKO's ConfigMap.
    """
    schema = json_schema()
    properties = {**schema["properties"], **own}
    networks = properties["NetworkSettings"]["properties"]["vipNetworkList"]
    del networks["minItems"]
    return {**schema, "title": "values of the Helm chart ako-celery", "properties": properties}


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
    kinds = schema["type"]
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}


def _field(field: fields.Field[Any], path: str) -> dict[str, Any]:
    if isinstance(field, Part):
        return _section(field.section, path)
    schema = _value(field, path)
    if isinstance(field, Key | Rows) and (default := default_of(field)) is not None:
        schema["default"] = default
    if field.metadata["use"] is Use.DEPRECATED or path == _MOVED:
        schema["deprecated"] = True
    return schema


def _value(field: fields.Field[Any], path: str) -> dict[str, Any]:
    """What may stand there. A pattern holds for texts only and bounds for numbers only, whatever else is allowed."""
    if isinstance(field, Rows):
        return _rows(field, path)
    if isinstance(field, Flag):
        return {"type": ["boolean", "string"], "pattern": _any_case("true", "false")}
    if isinstance(field, Number):
        kind = "integer" if field.whole else "number"
        return {"type": [kind, "string"], "minimum": field.low, "maximum": field.high, "pattern": _NUMBER_TEXT}
    if isinstance(field, Choice):
        # The words alone are what an editor offers; the pattern also takes blanks around them.
        shown = [word for word in words_of(field) if word]
        pattern = _any_case(*field.words) if field.fold else rf"^\s*({'|'.join(field.words)})\s*$"
        return {"anyOf": [{"enum": shown}, {"type": "string", "pattern": pattern}]}
    if isinstance(field, Anything):
        return {}
    return {"type": "string", **_pattern(field)}


def _pattern(field: fields.Field[Any]) -> dict[str, Any]:
    """The pattern of a text, if it has one; that of a PEM text spans lines, for which the languages differ."""
    if isinstance(field, Url):
        return {"pattern": rf"^\s*($|({_letters('rediss')}?|{_letters('unix')})://)"}
    if isinstance(field, Text) and field.pattern and not field.metadata["secret"]:
        return {"pattern": rf"^\s*({field.pattern.pattern})?\s*$"}
    return {}


def _rows(field: Rows, path: str) -> dict[str, Any]:
    row = _field(field.inner, f"{path}[]")
    row.pop("default", None)
    rows: dict[str, Any] = {"type": "array", "items": _nullable(row, field.inner) if field.inner.allow_none else row}
    if field.fewest:
        rows["minItems"] = field.fewest
    if field.most:
        rows["maxItems"] = field.most
    return rows


def _any_case(*words: str) -> str:
    """A pattern for these words in whatever case."""
    return rf"^\s*({'|'.join(map(_letters, words))})\s*$"


def _letters(word: str) -> str:
    """A pattern's way of writing a word in whatever case; JSON Schema has no flag for that."""
    return "".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in word)

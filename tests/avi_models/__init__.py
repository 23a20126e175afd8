"""The published models of the Avi objects that we write, and what is wrong with a body by them.

`models.json` has, for every struct that such an object can hold, the fields with type (`t`), enum values (`e`),
whether they are repeated (`r`) or required (`q`), and the type that a reference is to (`ref`); it was taken from the
Go models of Avi's SDK. What the models leave open (which fields go together, lengths) is not checked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MODELS: dict[str, Any] = json.loads((Path(__file__).parent / "models.json").read_text())
_STRUCTS: dict[str, dict[str, dict[str, Any]]] = _MODELS["structs"]
_PLAIN = {"string": str, "bool": bool, "int32": int, "uint32": int, "int64": int, "uint64": int}


def faults(type_: str, body: dict[str, Any]) -> list[str]:
    """What a body of this REST type has that the published model does not allow, each with its place."""
    return list(_struct(_MODELS["roots"][type_], body, type_))


def _struct(name: str, body: Any, where: str) -> Iterator[str]:
    if not isinstance(body, dict):
        yield f"{where}: {body!r} is no {name}"
        return
    fields = _STRUCTS[name]
    for key, value in body.items():
        if key not in fields:
            yield f"{where}.{key}: {name} has no such field"
        else:
            yield from _field(fields[key], value, f"{where}.{key}")
    yield from (f"{where}.{key}: missing" for key, field in fields.items() if field.get("q") and key not in body)


def _field(field: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if not field.get("r"):
        yield from _value(field, value, where)
    elif not isinstance(value, list):
        yield f"{where}: {value!r} is no list"
    else:
        for number, each in enumerate(value):
            yield from _value(field, each, f"{where}[{number}]")


def _value(field: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    type_ = field["t"]
    if type_ in _STRUCTS:
        yield from _struct(type_, value, where)
    elif type(value) is not _PLAIN[type_]:
        yield f"{where}: {value!r} is no {type_}"
    elif "e" in field and value not in field["e"]:
        yield f"{where}: {value!r} is none of {', '.join(field['e'])}"
    elif "ref" in field and value and not re.match(rf"(https://[^/]+)?/api/{field['ref']}([/?#]|$)", value):
        yield f"{where}: {value!r} is no reference to a {field['ref']}"

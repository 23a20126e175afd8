"""How one Avi object points at another, in every spelling that the controller takes or gives back.

::

    /api/pool/?name=N   /api/pool?name=N&cloud_ref.name=C     what we and AKO send; N raw or percent-escaped
    /api/pool/<uuid>    https://CTRL/api/pool/<uuid>          what the controller stores
    https://CTRL/api/pool/<uuid>#N                            the same when `include_name` was asked for; N raw

Two spellings are compared by the object they mean, never as text. A name alone does not say in which tenant or cloud
it is looked up: that is decided by the object that holds the reference, so compare references of one holder only.
Bare uuids and self links (`uuid`, `url`) are not references. Pure; nothing here asks the controller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

_SPELLING = re.compile(
    r"(?:https?://[^/?#]+)?/+api/+(?P<type>[a-z0-9]+)/*(?:\?(?P<query>[^#]*)|(?<=/)(?P<uuid>[^/?#]+)/?)(?:#(?P<name>.*))?",
    re.DOTALL,
)
# What would be read as something else inside a query; the rest stays raw, as AKO writes it ("VM Network").
_ESCAPES = str.maketrans({"%": "%25", "&": "%26", "#": "%23", "+": "%2B"})
_REMEMBERED = 4_096  # texts; a worker meets the same few thousand again and again


@dataclass(frozen=True, slots=True)
class Reference:
    """One object as another one names it: its REST type and a uuid, a name or both (never neither)."""

    type: str
    uuid: str | None = None
    name: str | None = None


@lru_cache(maxsize=_REMEMBERED)
def parse(text: str) -> Reference | None:
    """The reference that `text` spells, None when it spells none."""
    found = _SPELLING.fullmatch(text)
    if found is None:
        return None
    if (query := found["query"]) is None:
        return Reference(found["type"], found["uuid"], found["name"] or None)
    for parameter in query.split("&"):
        key, _, value = parameter.partition("=")
        if key == "name" and value:
            return Reference(found["type"], None, unquote(value))
    return None


def by_name(type: str, name: str, slash: bool = True) -> str:  # noqa: A002 - the REST word
    """The spelling by name, `/api/pool/?name=N` (`/api/pool?name=N` without the slash, as AKO writes some fields)."""
    return f"/api/{type}{'/' if slash else ''}?name={name.translate(_ESCAPES)}"


def same(a: Reference, b: Reference) -> bool:
    """Whether both mean one object: equal types; then uuids decide if both have one, else names if both have one."""
    if a.type != b.type:
        return False
    if a.uuid is not None and b.uuid is not None:
        return a.uuid == b.uuid
    return a.name is not None and a.name == b.name


def find_references(body: Any) -> list[Reference]:
    """Every reference in a JSON body, at any depth, in the order of the body, each once.

    Only fields named `…_ref` or `…_refs` count, so that a path or text that merely looks like one does not.
    """
    found: dict[Reference, None] = {}
    _collect(body, found)
    return list(found)


def _collect(value: Any, found: dict[Reference, None]) -> None:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                _collect(item, found)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)):
                _collect(item, found)
            if key.endswith(("_ref", "_refs")):
                for text in item if isinstance(item, list) else (item,):
                    if isinstance(text, str) and (reference := parse(text)):
                        found[reference] = None

"""Reads values of unknown shape: an object comes from users, by way of an API server that may be older or laxer.

Nothing here raises; what is not what it should be is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Projection:
    """What the mirror keeps of one object; see the module's docstring. `id` is `ns/name`, or `name` without namespace.

    `status` (Ingress, Service) is `{"ingress": [{"ip", "hostname"}], "annotations": {...}}`: what we wrote ourselves. A
    change of it alone marks only the object's `status:` key.
    """

    id: str
    body: dict[str, Any]
    status: dict[str, Any] | None = None
    index: tuple[tuple[str, str], ...] = ()
    marks: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()


def identity(obj: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Namespace ("" without), name and metadata."""
    meta = mapping(obj.get("metadata"))
    return text_of(meta.get("namespace")), text_of(meta.get("name")), meta


def mapping(value: object) -> dict[str, Any]:
    """The mapping, {} for anything else."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[Any]:
    """The list, [] for anything else."""
    return value if isinstance(value, list) else []


def mappings(value: object) -> list[dict[str, Any]]:
    """The mappings in a list."""
    return [item for item in listing(value) if isinstance(item, dict)]


def text_of(value: object) -> str:
    """The text, "" for anything else; a text that can't be printed (or encoded, half a surrogate pair) is none."""
    return value if isinstance(value, str) and value.isprintable() else ""


def labels_of(meta: dict[str, Any]) -> dict[str, str]:
    """The labels that are texts."""
    return {key: value for key, value in mapping(meta.get("labels")).items() if isinstance(value, str)}


def kept_annotations(meta: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Those of the named annotations that have a text."""
    annotations = meta.get("annotations")
    if not annotations:
        return {}
    return {name: text for name in names if (text := text_of(mapping(annotations).get(name)))}


def is_host(host: str) -> bool:
    """Whether the text is a DNS name in lower case, maybe with a wildcard in front."""
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def is_name(name: str) -> bool:
    """Whether the API server would take this as an object's name; so it has no blank and no slash."""
    return is_host(name) and not name.startswith("*")

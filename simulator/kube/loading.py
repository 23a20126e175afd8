"""Seeding: many objects at once, as JSON or YAML, in an order in which they can stand.

What is loaded is stored as it is given, with the API server's defaults but without its validation, so that a test can
put objects into the cluster that a real one holds only by accident. The types of fields are checked all the same.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import yaml

from simulator.kube.errors import ApiError, bad_request
from simulator.kube.writes import Writer

_FIRST = {"CustomResourceDefinition": 0, "Namespace": 1, "IngressClass": 2}


class Loader:
    """Puts documents into the store."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def load(self, text: bytes) -> dict[str, int]:
        """How many objects were created, changed and unchanged. Raises ApiError naming the object; others may stand."""
        counts = Counter({"created": 0, "changed": 0, "unchanged": 0})
        objects = _objects(_documents(text))
        for obj in sorted(objects, key=lambda obj: _FIRST.get(str(obj.get("kind")), 3)):
            try:
                counts[self._writer.load(obj)] += 1
            except ApiError as error:
                name = (obj.get("metadata") or {}).get("name")
                raise ApiError(error.code, f"{obj.get('kind')} {name}: {error.message}") from None
        return dict(counts)


def _documents(text: bytes) -> list[Any]:
    try:
        return [orjson.loads(text)]
    except orjson.JSONDecodeError:
        try:
            return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark is not None else ""
            # Only the parser's own words: the text around it may be part of a Secret.
            raise bad_request(f"neither JSON nor YAML{line}: {getattr(error, 'problem', None)}") from None


def _objects(documents: list[Any]) -> list[dict[str, Any]]:
    """The objects of documents that may be objects, lists of them or List objects."""
    found: list[dict[str, Any]] = []
    for document in documents:
        if document is None:
            continue
        if isinstance(document, list):
            found += _objects(document)
        elif not isinstance(document, dict) or not isinstance(document.get("metadata") or {}, dict):
            raise bad_request("a Kubernetes object is expected: apiVersion, kind and metadata")
        elif str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
            found += _objects(document["items"])
        else:
            found.append(document)
    return found

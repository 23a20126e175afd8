"""Label and field selectors, compiled once per call into a test on objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from simulator.kube.errors import ApiError, bad_request
from simulator.kube.resources import Obj, Resource

Test = Callable[[Obj], bool]

_FIELDS = {
    "namespaces": {"status.phase"},
    "nodes": {"spec.unschedulable"},
    "services": {"spec.clusterIP", "spec.type"},
    "secrets": {"type"},
    "pods": {"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"},
    "events": {
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    },
}
_RENAMED = {"source": "source.component"}
_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<how>==|=|!=)\s*(?P<value>[^\s=!,()]*)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s!=,()]+)$")


def compiled(resource: Resource, labels: str, fields: str) -> Test | None:
    """The test for both selectors on stored objects; None when everything matches. Raises ApiError 400."""
    tests = [_label_test(part) for part in _split(labels)] if labels else []
    if fields:
        tests += [_field_test(resource, part) for part in fields.split(",") if part]
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda obj: all(test(obj) for test in tests)


def _split(text: str) -> list[str]:
    """The requirements of a label selector: commas inside parentheses belong to a set."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _label_test(text: str) -> Test:
    if match := _SET.match(text):
        values = {value.strip() for value in match["values"].split(",")}
        return _labelled(match["key"], values, negated=match["how"] == "notin")
    if match := _EQUAL.match(text):
        return _labelled(match["key"], {match["value"]}, negated=match["how"] == "!=")
    if match := _EXISTS.match(text):
        key, absent = match["key"], bool(match["not"])
        return lambda obj: (key in (obj["metadata"].get("labels") or {})) != absent
    raise bad_request(f"unable to parse requirement: {text!r}")


def _labelled(key: str, values: set[str], *, negated: bool) -> Test:
    return lambda obj: ((obj["metadata"].get("labels") or {}).get(key) in values) != negated


def _field_test(resource: Resource, text: str) -> Test:
    match = _EQUAL.match(text.strip())
    if match is None:
        raise bad_request(f"invalid selector: {text!r}; can't understand {text!r}")
    name, wanted, negated = match["key"], match["value"], match["how"] == "!="
    if name not in {"metadata.name", "metadata.namespace"} and name not in _FIELDS.get(resource.key, ()):
        raise _unsupported(resource, name)
    path = _RENAMED.get(name, name).split(".")
    return lambda obj: (_text_at(obj, path) == wanted) != negated


def _unsupported(resource: Resource, name: str) -> ApiError:
    kind = f"{resource.api_version}, Kind={resource.kind}"
    return bad_request(f'Unable to find "{kind}" that match label selector: field label not supported: {name}')


def _text_at(obj: Obj, path: list[str]) -> str:
    value: Any = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)

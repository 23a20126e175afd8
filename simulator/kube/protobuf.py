"""Objects that kubectl sends as Protocol Buffers: what `kubectl create namespace`, `auth can-i` and their like do.

Only requests are understood, only of the kinds that kubectl can build from its command line; answers are always JSON,
which every client takes. A message is described by its fields: number → (JSON name, what it holds).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simulator.kube.errors import ApiError, bad_request

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

Message = dict[int, tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Many:
    """A repeated field."""

    of: Any


@dataclass(frozen=True, slots=True)
class Map:
    """A map from strings to `of`."""

    of: Any


class Inline(dict[int, tuple[str, Any]]):
    """A message whose fields stand in the object around it."""


TEXT, NUMBER, BOOL, BYTES, INT_OR_STRING, SKIPPED = "text", "number", "bool", "bytes", "int or string", "skipped"

_OWNER: Message = {1: ("kind", TEXT), 3: ("name", TEXT), 4: ("uid", TEXT), 5: ("apiVersion", TEXT)}
_METADATA: Message = {
    1: ("name", TEXT),
    2: ("generateName", TEXT),
    3: ("namespace", TEXT),
    5: ("uid", TEXT),
    6: ("resourceVersion", TEXT),
    11: ("labels", Map(TEXT)),
    12: ("annotations", Map(TEXT)),
    13: ("ownerReferences", Many(_OWNER)),
    14: ("finalizers", Many(TEXT)),
}
_PORT: Message = {
    1: ("name", TEXT),
    2: ("protocol", TEXT),
    3: ("port", NUMBER),
    4: ("targetPort", INT_OR_STRING),
    5: ("nodePort", NUMBER),
    6: ("appProtocol", TEXT),
}
_SERVICE: Message = {
    1: ("ports", Many(_PORT)),
    2: ("selector", Map(TEXT)),
    3: ("clusterIP", TEXT),
    4: ("type", TEXT),
    5: ("externalIPs", Many(TEXT)),
    7: ("sessionAffinity", TEXT),
    10: ("externalName", TEXT),
    11: ("externalTrafficPolicy", TEXT),
    17: ("ipFamilyPolicy", TEXT),
    18: ("clusterIPs", Many(TEXT)),
    19: ("ipFamilies", Many(TEXT)),
    22: ("internalTrafficPolicy", TEXT),
}
_BACKEND: Message = {
    3: ("resource", {1: ("apiGroup", TEXT), 2: ("kind", TEXT), 3: ("name", TEXT)}),
    4: ("service", {1: ("name", TEXT), 2: ("port", {1: ("name", TEXT), 2: ("number", NUMBER)})}),
}
_PATH: Message = {1: ("path", TEXT), 2: ("backend", _BACKEND), 3: ("pathType", TEXT)}
_INGRESS: Message = {
    1: ("defaultBackend", _BACKEND),
    2: ("tls", Many({1: ("hosts", Many(TEXT)), 2: ("secretName", TEXT)})),
    3: ("rules", Many({1: ("host", TEXT), 2: ("", Inline({1: ("http", {1: ("paths", Many(_PATH))})}))})),
    4: ("ingressClassName", TEXT),
}
_REVIEW: Message = {
    1: (
        "resourceAttributes",
        {
            number: (name, TEXT)
            for number, name in enumerate(
                ("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1
            )
        },
    ),
    2: ("nonResourceAttributes", {1: ("path", TEXT), 2: ("verb", TEXT)}),
}
_KINDS: dict[str, Message] = {
    "Namespace": {2: ("spec", {1: ("finalizers", Many(TEXT))})},
    "Secret": {2: ("data", Map(BYTES)), 3: ("type", TEXT), 4: ("stringData", Map(TEXT)), 5: ("immutable", BOOL)},
    "ConfigMap": {2: ("data", Map(TEXT)), 3: ("binaryData", Map(BYTES)), 4: ("immutable", BOOL)},
    "Service": {2: ("spec", _SERVICE)},
    "Ingress": {2: ("spec", _INGRESS)},
    "SelfSubjectAccessReview": {2: ("spec", _REVIEW)},
}
_ENVELOPE: Message = {1: ("type", {1: ("apiVersion", TEXT), 2: ("kind", TEXT)}), 2: ("raw", SKIPPED)}


def decoded(body: bytes) -> dict[str, Any]:
    """The object in a Protocol Buffers body. Raises ApiError 400 for a damaged one, 415 for a kind not known here."""
    envelope = body.removeprefix(_MAGIC)
    try:
        head = _message(envelope, _ENVELOPE)["type"]
        raw = next(value for number, value in _fields(envelope) if number == 2)
        kind = _KINDS.get(head["kind"])
        if kind is not None:
            return {**head, **_message(raw, {1: ("metadata", _METADATA), **kind})}
    except (ValueError, IndexError, KeyError, TypeError, StopIteration) as error:
        raise bad_request(f"the object provided is unrecognized: {type(error).__name__}") from None
    raise ApiError(415, f"a {head['kind']} in Protocol Buffers is not understood here - accepted media types include: "
                   "application/json")  # fmt: skip


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a message's fields: an int, or the bytes of what has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("cut off")
            yield number, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _message(data: bytes, message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in message:
            continue
        name, holds = message[number]
        if isinstance(holds, Many):
            found.setdefault(name, []).append(_value(value, holds.of))
        elif isinstance(holds, Map):
            pair = _message(value, {1: ("key", TEXT), 2: ("value", holds.of)})
            found.setdefault(name, {})[pair.get("key", "")] = pair.get("value", "")
        elif isinstance(holds, Inline):
            found.update(_message(value, holds))
        elif holds != SKIPPED and (shown := _value(value, holds)) not in ("", 0, {}):
            found[name] = shown  # the sender writes empty fields out, in JSON they are missing
    return found


def _value(value: Any, holds: Any) -> Any:
    if isinstance(holds, dict):
        return _message(value, holds)
    if holds == TEXT:
        return value.decode()
    if holds == BYTES:
        return base64.b64encode(value).decode()
    if holds == BOOL:
        return bool(value)
    if holds == INT_OR_STRING:
        parts = _message(value, {1: ("type", NUMBER), 2: ("number", NUMBER), 3: ("text", TEXT)})
        return parts.get("text", "") if parts.get("type") else parts.get("number", 0)
    return value

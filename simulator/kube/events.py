"""Events have two faces, core/v1 and events.k8s.io/v1, over one stored form, which is core's."""

from __future__ import annotations

from typing import Any

_CORE_TO_NEW = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_NEW_TO_CORE = {new: core for core, new in _CORE_TO_NEW.items()}


def from_core(event: dict[str, Any]) -> dict[str, Any]:
    """A stored Event as events.k8s.io/v1 shows it."""
    return {**_renamed(event, _CORE_TO_NEW), "apiVersion": "events.k8s.io/v1"}


def to_core(event: dict[str, Any]) -> dict[str, Any]:
    """An events.k8s.io/v1 Event in its stored form."""
    return {**_renamed(event, _NEW_TO_CORE), "apiVersion": "v1"}


def _renamed(event: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in event.items()}

"""AKO's ConfigMap `avi-k8s-config`: the settings in flat form, as AKO's chart renders them.

Each key is that of the values file without its section, but for the few of `_OTHERWISE`; every value is text, and lists
are JSON. Empty text counts as not given, since the chart writes a key for every setting. Our own section `pipeline`
and the credentials are not part of it; our feature gates are, under their own names.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from shared.settings.fields import Key, Rows
from shared.settings.sources import Document, dotted, from_json, put

CONFIGMAP = "avi-k8s-config"

Path_ = tuple[str, ...]

_OTHERWISE: dict[Path_, str] = {
    ("ControllerSettings", "controllerHost"): "controllerIP",
    ("AKOSettings", "namespaceSelector", "labelKey"): "nsSyncLabelKey",
    ("AKOSettings", "namespaceSelector", "labelValue"): "nsSyncLabelValue",
    ("nodePortSelector", "key"): "nodeKey",
    ("nodePortSelector", "value"): "nodeValue",
    ("featureGates", "EnablePrometheus"): "enablePrometheus",
    ("featureGates", "EnableEndpointSlice"): "enableEndpointSlice",
}
_NOT_FLAT = {"avicredentials", "pipeline"}
_MERGED = ("L4Settings", "defaultDomain")  # the chart writes one defaultDomain, which is that of NetworkSettings


def flat_keys(keys: Iterable[tuple[Path_, Key[Any] | Rows]]) -> dict[str, tuple[Path_, Key[Any] | Rows]]:
    """Key of the ConfigMap → path in the values file and field."""
    return {
        _OTHERWISE.get(path, path[-1]): (path, key)
        for path, key in keys
        if len(path) > 1 and path[0] not in _NOT_FLAT and path != _MERGED
    }


def overlay_configmap(
    document: Document, keys: Iterable[tuple[Path_, Key[Any] | Rows]], data: Mapping[Any, Any]
) -> list[tuple[str, str]]:
    """Put the ConfigMap's data over the document; the answer is (place, message) of each key that nobody knows."""
    known = flat_keys(keys)
    problems = []
    for name, value in data.items():
        place = CONFIGMAP + dotted((name,), start=False)
        if name not in known:
            problems.append((place, _unknown(name, known)))
            continue
        path, key = known[name]
        given = from_json(value) if isinstance(key, Rows) and isinstance(value, str) and value.strip() else value
        if given is None or (isinstance(given, str) and not given.strip()):
            continue
        if put(document.values, path, given):
            document.origins[path] = place
    return problems


def _unknown(name: Any, known: Iterable[str]) -> str:
    names = {key.lower(): key for key in known}
    near = difflib.get_close_matches(str(name).lower()[:60], names, n=1)
    return f"unknown key; write {names[near[0]]}" if near else "unknown key; remove it"

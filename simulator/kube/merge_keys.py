"""Which lists are merged element by element, and by which fields, as the API's own description has it.

Paths are field names joined by dots, without list elements. A strategic merge patch uses the first key, server-side
apply all of them. What is not named here is replaced as a whole, as most lists of the networking kinds are.
"""

from __future__ import annotations

Keys = dict[str, tuple[str, ...]]

PRIMITIVE = ""
"""The key of a list of plain values that is merged as a set."""

_METADATA: Keys = {"metadata.ownerReferences": ("uid",), "metadata.finalizers": (PRIMITIVE,)}
_CONDITIONS: Keys = {"status.conditions": ("type",)}
_CONTAINER: Keys = {
    "": ("name",),
    ".env": ("name",),
    ".ports": ("containerPort", "protocol"),
    ".volumeMounts": ("mountPath",),
    ".volumeDevices": ("devicePath",),
}
_POD: Keys = {
    f"spec.{field}{path}": key
    for field in ("containers", "initContainers", "ephemeralContainers")
    for path, key in _CONTAINER.items()
}

_BY_KIND: dict[str, Keys] = {
    "Namespace": _CONDITIONS,
    "Service": {**_CONDITIONS, "spec.ports": ("port", "protocol")},
    "Node": {**_CONDITIONS, "status.addresses": ("type",), "spec.podCIDRs": (PRIMITIVE,)},
    "Pod": {
        **_CONDITIONS,
        **_POD,
        "spec.volumes": ("name",),
        "spec.imagePullSecrets": ("name",),
        "spec.hostAliases": ("ip",),
        "status.podIPs": ("ip",),
        "status.hostIPs": ("ip",),
    },
    "Secret": {},
    "ConfigMap": {},
}


def merge_keys(kind: str) -> Keys:
    """The merged lists of a kind."""
    return {**_METADATA, **_BY_KIND.get(kind, {})}

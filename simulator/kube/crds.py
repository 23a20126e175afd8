"""CustomResourceDefinitions: their defaults, their validation, and the state of one that is served.

Schemas are kept and shown but not enforced: an object of a custom kind may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulator.kube.errors import Cause, invalid, required, unsupported
from simulator.kube.resources import Obj
from simulator.kube.services import Cluster


def default_crd(crd: Obj, old: Obj | None, _: Cluster) -> None:
    """Names that follow from others, and the status of an established definition."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})
    stored = [version.get("name") for version in spec.get("versions") or () if version.get("storage")]
    since = crd["metadata"]["creationTimestamp"]
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": text}
        for kind, reason, text in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    before = ((old or {}).get("status") or {}).get("storedVersions") or []
    versions = list(dict.fromkeys([*before, *stored]))
    crd["status"] = {"conditions": conditions, "acceptedNames": names, "storedVersions": versions}


def validate_crd(crd: Obj, old: Obj | None, _: Cluster) -> Iterator[Cause]:
    """What is wrong with a definition."""
    spec = crd["spec"]
    names, versions = spec["names"], spec.get("versions") or []
    missing = [f"spec.{name}" for name in ("group", "scope") if not spec.get(name)]
    missing += [f"spec.names.{name}" for name in ("plural", "kind") if not names.get(name)]
    yield from (required(name) for name in missing)
    if not missing and crd["metadata"]["name"] != f"{names['plural']}.{spec['group']}":
        yield invalid("metadata.name", crd["metadata"]["name"], 'must be spec.names.plural+"."+spec.group')
    if spec.get("scope") and spec["scope"] not in {"Cluster", "Namespaced"}:
        yield unsupported("spec.scope", spec["scope"], ("Cluster", "Namespaced"))
    if len([version for version in versions if version.get("storage")]) != 1:
        yield invalid("spec.versions", [], "must have exactly one version marked as storage version")
    if not all(version.get("name") for version in versions):
        yield required("spec.versions[0].name")
    for field in ("group", "scope"):
        if old is not None and old["spec"].get(field) != spec.get(field):
            yield invalid(f"spec.{field}", spec.get(field), "field is immutable")

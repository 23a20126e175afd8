"""What is served, told in the ways clients ask: discovery (`/api`, `/apis`), `/version` and `/openapi/v3`.

The OpenAPI document is as small as kubectl lets it be: it says only that PATCH takes `fieldValidation` and `dryRun`,
upon which kubectl leaves the validation to the server instead of asking for schemas.
"""

from __future__ import annotations

from typing import Any

from simulator.kube.resources import VERBS, Registry, Resource

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.4+simulator",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-04-22T16:02:58Z",
    "goVersion": "go1.23.6",
    "compiler": "gc",
    "platform": "linux/amd64",
}
REVIEW_GROUP, REVIEW = "authorization.k8s.io", "selfsubjectaccessreviews"
_REVIEW_ROW = {
    "name": REVIEW,
    "singularName": "selfsubjectaccessreview",
    "namespaced": False,
    "kind": "SelfSubjectAccessReview",
    "verbs": ["create"],
}


def document(registry: Registry, path: list[str], address: str) -> dict[str, Any] | None:
    """The discovery document at a path (its segments), or None when nothing is served there."""
    found: dict[str, Any] | None = None
    match path:
        case ["api"]:
            server = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
            found = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": server}
        case ["api", version]:
            found = _resources(registry, "", version)
        case ["apis"]:
            found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(_groups(registry).values())}
        case ["apis", group] if group in (groups := _groups(registry)):
            found = {"kind": "APIGroup", "apiVersion": "v1", **groups[group]}
        case ["apis", group, version]:
            found = _resources(registry, group, version)
        case ["version"]:
            found = VERSION
        case ["openapi", "v3"]:
            found = {"paths": {where: {"serverRelativeURL": f"/openapi/v3/{where}"} for where in _roots(registry)}}
        case ["openapi", "v3", *rest] if "/".join(rest) in _roots(registry):
            found = _openapi(registry, "/".join(rest))
    return found


def _groups(registry: Registry) -> dict[str, dict[str, Any]]:
    versions: dict[str, list[str]] = {}
    for group, version in registry.versions():
        if group:
            versions.setdefault(group, []).append(version)
    versions[REVIEW_GROUP] = ["v1"]
    groups = {}
    for group, names in versions.items():
        rows = [{"groupVersion": f"{group}/{name}", "version": name} for name in names]
        groups[group] = {"name": group, "versions": rows, "preferredVersion": rows[0]}
    return groups


def _resources(registry: Registry, group: str, version: str) -> dict[str, Any] | None:
    found = registry.of_version(group, version)
    if (group, version) == (REVIEW_GROUP, "v1"):
        rows: list[dict[str, Any]] = [_REVIEW_ROW]
    elif found is None:
        return None
    else:
        rows = [row for resource in found for row in _rows(resource)]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": rows}


def _rows(resource: Resource) -> list[dict[str, Any]]:
    row: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    if resource.short:
        row["shortNames"] = list(resource.short)
    if resource.categories:
        row["categories"] = list(resource.categories)
    if not resource.status:
        return [row]
    status = {"name": f"{resource.plural}/status", "singularName": "", "namespaced": resource.namespaced}
    return [row, {**status, "kind": resource.kind, "verbs": ["get", "patch", "update"]}]


def _roots(registry: Registry) -> list[str]:
    return [f"apis/{group}/{version}" if group else f"api/{version}" for group, version in registry.versions()]


def _openapi(registry: Registry, root: str) -> dict[str, Any]:
    parts = root.split("/")
    group = parts[1] if parts[0] == "apis" else ""
    paths = {}
    for resource in registry.of_version(group, parts[-1]) or ():
        space = "namespaces/{namespace}/" if resource.namespaced else ""
        kind = {"group": group, "version": resource.version, "kind": resource.kind}
        parameters = [{"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
                      for name in ("dryRun", "fieldManager", "fieldValidation", "force")]  # fmt: skip
        patch = {
            "operationId": f"patch{resource.kind}",
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": kind,
        }
        paths[f"/{root}/{space}{resource.plural}/{{name}}"] = {"patch": patch}
    info = {"title": "Kubernetes API server emulator", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths}

"""From a path to what is meant: `/apis/<group>/<version>/namespaces/<ns>/<resource>/<name>/<subresource>`."""

from __future__ import annotations

from simulator.kube.errors import ApiError, no_such_path
from simulator.kube.resources import Registry
from simulator.kube.writes import Target
from simulator.server import Request

_ON_ONE = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ON_ALL = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_TRUE = {"1", "t", "T", "true", "True", "TRUE"}


def is_resource(segments: list[str]) -> bool:
    """Whether a path is below a group and version, and not discovery."""
    return (segments[:1] == ["api"] and len(segments) > 2) or (segments[:1] == ["apis"] and len(segments) > 3)


def truthy(request: Request, name: str) -> bool:
    """A boolean query parameter."""
    return request.first(name) in _TRUE


def target_of(registry: Registry, request: Request, segments: list[str]) -> tuple[str, Target]:
    """(verb, target) of a call. Raises ApiError 404 for what is not served, 405 for a method that makes no sense."""
    group, version, *rest = ["", *segments[1:]] if segments[0] == "api" else segments[1:]
    target = _target(registry, group, version, rest)
    verbs = _ON_ONE if target.name else _ON_ALL
    verb = verbs.get(request.method)
    allowed = not target.sub or verb in {"get", "update", "patch"}
    everywhere = target.resource.namespaced and target.namespace is None
    if verb is None or not allowed or (everywhere and verb not in {"list", "deletecollection"}):
        raise ApiError(405, "the server does not allow this method on the requested resource")
    return ("watch" if verb == "list" and truthy(request, "watch") else verb), target


def _target(registry: Registry, group: str, version: str, rest: list[str]) -> Target:
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and not (group == "" and rest[2:] == ["status"]):
        namespace, rest = rest[1], rest[2:]
    resource = registry.get(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.namespaced):
        raise no_such_path()
    if not resource.namespaced:
        namespace = ""
    name = rest[1] if len(rest) > 1 else ""
    sub = rest[2] if len(rest) > 2 else ""
    if sub and not (sub == "status" and resource.status):
        raise no_such_path()
    return Target(resource, namespace, name, sub)

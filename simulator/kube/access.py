"""Who may do what: one bearer token for everything, and rules that deny.

Without a token everybody is let in. A deny rule is `{"verbs": ["create"], "group": "", "resource": "events",
"namespace": "red"}`; each part may be left out or `*`. A subresource is named as `ingresses/status`.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from simulator.kube.errors import ApiError, bad_request
from simulator.kube.resources import Resource
from simulator.server import Request

USER = "kubernetes-admin"


@dataclass(frozen=True, slots=True)
class Denial:
    """What is denied; "*" matches everything."""

    verbs: frozenset[str]
    group: str
    resource: str
    namespace: str

    def matches(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether this call is denied."""
        return (
            bool(self.verbs & {"*", verb})
            and self.group in {"*", group}
            and self.resource in {"*", resource}
            and self.namespace in {"*", namespace}
        )


def denial(spec: Any) -> Denial:
    """A deny rule from JSON; raises ValueError."""
    if not isinstance(spec, dict) or spec.keys() - {"verbs", "group", "resource", "namespace"}:
        raise ValueError('a deny rule has "verbs", "group", "resource" and "namespace", each of them optional')
    parts = [str(spec.get(name, "*")) for name in ("group", "resource", "namespace")]
    return Denial(frozenset(str(verb) for verb in spec.get("verbs", ["*"])), *parts)


class Access:
    """Checks the token, then the rules."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.denials: list[Denial] = []

    def authenticate(self, request: Request) -> None:
        """Raises ApiError 401."""
        if not self.token:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise ApiError(401, "Unauthorized")

    def allows(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether no rule denies it; `namespace` is "" for all of them."""
        return not any(rule.matches(verb, group, resource, namespace) for rule in self.denials)

    def authorize(self, verb: str, resource: Resource, sub: str, namespace: str | None, name: str) -> None:
        """Raises ApiError 403."""
        if not self.denials:
            return
        plural = f"{resource.plural}/{sub}" if sub else resource.plural
        if self.allows(verb, resource.group, plural, namespace or ""):
            return
        shown = f' "{name}"' if name else ""
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        text = (
            f'{resource.key}{shown} is forbidden: User "{USER}" cannot {verb} resource "{plural}" in API group '
            f'"{resource.group}" {where}'
        )
        raise ApiError(403, text, details={"name": name, "group": resource.group, "kind": resource.plural})

    def review(self, body: Any) -> dict[str, Any]:
        """Answers a SelfSubjectAccessReview. Raises ApiError 400."""
        spec = body.get("spec") if isinstance(body, dict) else None
        if not isinstance(spec, dict):
            raise bad_request("spec: at least one of resourceAttributes or nonResourceAttributes is needed")
        asked = spec.get("resourceAttributes")
        allowed = True
        if isinstance(asked, dict):
            plural = str(asked.get("resource", ""))
            plural += f"/{asked['subresource']}" if asked.get("subresource") else ""
            parts = [str(asked.get(name) or "") for name in ("verb", "group", "namespace")]
            allowed = self.allows(parts[0], parts[1], plural, parts[2])
        status = {"allowed": allowed, **({} if allowed else {"reason": "denied by a rule of the simulator"})}
        head = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
        return {**head, "metadata": {"creationTimestamp": None}, "spec": spec, "status": status}

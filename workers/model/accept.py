"""Which Ingresses are ours, and for which tenant.

An Ingress is ours by the controller of its IngressClass, never by the class's name; without a class it is ours when one
of our classes is a default class. Its namespace must not be blocked and, where namespaceSelector is set, must bear the
label. An Ingress that is being deleted counts as gone. One that is ours but asks for a
feature that this release doesn't serve is *frozen*: what stands for it stays as it is, and its owner is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.projection import DEFAULT_BACKEND, generated_host, passes_through
from shared.settings.model import Settings
from workers.model.context import Context
from workers.model.types import Problem

AVI_CONTROLLER = "ako.vmware.com/avi-lb"
"""`spec.controller` of the IngressClasses that are ours."""

TENANT_ANNOTATION = "ako.vmware.com/tenant-name"
INFRA_ANNOTATION = "aviinfrasetting.ako.vmware.com/name"

Projections = Mapping[str, dict[str, Any]]


class Acceptance(NamedTuple):
    """Whether an Ingress is ours, and the feature that this release can't serve for it ("" when there is none)."""

    ours: bool
    unserved: str = ""


def acceptance(ingress: dict[str, Any], namespaces: Projections, classes: Projections, context: Context) -> Acceptance:
    """Whether this Ingress is ours and can be served; with `deleteConfig` none is."""
    settings = context.settings
    if settings.delete_config or not namespace_served(ingress["ns"], namespaces, settings):
        return Acceptance(ours=False)
    ingress_class = _class_of(ingress, classes)
    if ingress["deleting"] or ingress_class is None:
        return Acceptance(ours=False)
    return Acceptance(ours=True, unserved=_unserved(ingress, namespaces, ingress_class))


def namespace_served(name: str, namespaces: Projections, settings: Settings) -> bool:
    """Whether the objects of a namespace are served: it is not blocked, and bears the label of namespaceSelector."""
    key, value = settings.namespace_label
    labels = namespaces.get(name, {}).get("labels", {})
    return name not in settings.blocked_namespaces and (not key or labels.get(key) == value)


def tenant_of(namespace: str, namespaces: Projections, context: Context) -> str:
    """The tenant that the objects of a namespace are made in; a namespace not seen yet has no annotation."""
    annotations = namespaces.get(namespace, {}).get("annotations", {})
    return annotations.get(TENANT_ANNOTATION) or context.settings.controller.tenant


def host_of(rule: Mapping[str, Any], ingress: Mapping[str, Any], context: Context) -> str:
    """The host of a rule. Without one it is made of the Ingress and the cloud's first DNS domain; "" without a domain.

    AKO makes the same one, and takes it out of the status again.
    """
    if rule["host"] or not context.domains:
        return str(rule["host"])
    return generated_host(ingress["ns"], ingress["name"]) + context.domains[0]


def hosts_of(ingress: Mapping[str, Any], context: Context) -> dict[str, None]:
    """The hosts that an Ingress names or means, in the order of its rules."""
    hosts = dict.fromkeys(host_of(rule, ingress, context) for rule in ingress["rules"])
    hosts.pop("", None)
    return hosts


def in_domains(host: str, context: Context) -> bool:
    """Whether the cloud's DNS serves `host`: equal to one of its domains or below one; any host without domains.

    AKO compares the end of the text only, so that `xavi.com` passes for `avi.com`; the controller refuses such a name.
    """
    return not context.domains or any(host == domain or host.endswith(f".{domain}") for domain in context.domains)


def ingress_problems(
    ingress: dict[str, Any], namespaces: Projections, classes: Projections, context: Context
) -> tuple[Problem, ...]:
    """What is wrong with an Ingress as a whole; what concerns one host is reported by that host's key."""
    accepted = acceptance(ingress, namespaces, classes, context)
    if not accepted.ours:
        return ()
    problems = [_problem(ingress, "MalformedIngress", f"{text}.") for text in ingress.get("bad", ())]
    if not all(host_of(rule, ingress, context) for rule in ingress["rules"]):
        text = (
            f"A rule without host is not served, since cloud {context.settings.controller.cloud} has no DNS domain "
            "for it. Write the host into the rule, or give the cloud a DNS profile with a domain."
        )
        problems.append(_problem(ingress, "RuleWithoutHost", text))
    if any(path["type"] == DEFAULT_BACKEND for rule in ingress["rules"] for path in rule["paths"]):
        problems.append(_problem(ingress, "DefaultBackendOfHosts", _of_default_backend(ingress, context)))
    if accepted.unserved:
        text = f"{accepted.unserved} is not served by this release; what stands on the controller is left as it is."
        problems.append(_problem(ingress, "FeatureNotServed", text))
    return tuple(problems)


def _of_default_backend(ingress: dict[str, Any], context: Context) -> str:
    if passes_through(ingress):
        return "The default backend gets no request, since nobody sees the path of TLS that is passed through."
    hosts = ", ".join(hosts_of(ingress, context)) or "no host"
    return (
        f"The default backend gets the requests for {hosts} that no path matches, and those for no other host, since a "
        "virtual service knows the hosts of its rules only. Give every host that it is meant for a rule."
    )


def _problem(ingress: dict[str, Any], reason: str, message: str) -> Problem:
    return Problem("Ingress", ingress["ns"], ingress["name"], reason, message)


def _class_of(ingress: dict[str, Any], classes: Projections) -> dict[str, Any] | None:
    """The class that makes the Ingress ours: the named one, or our default class (the first by name)."""
    if ingress["class"] is not None:
        named = classes.get(ingress["class"])
        return named if named is not None and named["controller"] == AVI_CONTROLLER else None
    ours = [each for each in classes.values() if each["default"] and each["controller"] == AVI_CONTROLLER]
    return min(ours, key=lambda each: str(each["name"]), default=None)


def _unserved(ingress: dict[str, Any], namespaces: Projections, ingress_class: dict[str, Any]) -> str:
    parameters = ingress_class["parameters"]
    if parameters and parameters["kind"] == "AviInfraSetting":
        return f"The AviInfraSetting {parameters['name']} of IngressClass {ingress_class['name']}"
    infra = namespaces.get(ingress["ns"], {}).get("annotations", {}).get(INFRA_ANNOTATION)
    if infra:
        return f"The AviInfraSetting {infra} of namespace {ingress['ns']}"
    return ""

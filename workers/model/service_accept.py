"""Which Services of type LoadBalancer are ours, for which tenant, and which DNS names they have.

A Service is ours by its loadBalancerClass; without one it is ours unless `defaultLBController` is false. Its namespace
must be served, and one that is being deleted counts as gone.

Of two objects that want one DNS name an Ingress comes before a Service, and the Service whose automatic name it is
before one that claims it in its annotation; else the older one has it. Automatic names are not looked for among the
claims of others: they are made of namespace and name, so nobody can take the name of another one's Service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.loadbalancer import INFRA_SETTING, L4_RULE, SHARED_KEY, dns_names, service_key
from shared.settings.model import AutoFqdn
from workers.model import names
from workers.model.accept import (
    AVI_CONTROLLER,
    INFRA_ANNOTATION,
    Acceptance,
    Projections,
    acceptance,
    hosts_of,
    namespace_served,
    tenant_of,
)
from workers.model.context import Context
from workers.model.types import ServiceSnapshot


def service_acceptance(service: Mapping[str, Any], namespaces: Projections, context: Context) -> Acceptance:
    """Whether a Service is ours and can be served; with `deleteConfig` none is."""
    settings = context.settings
    part = service.get("lb")
    if part is None or part["deleting"] or settings.delete_config:
        return Acceptance(ours=False)
    ours = part["class"] == AVI_CONTROLLER or (not part["class"] and settings.default_lb_controller)
    if not ours or not namespace_served(service["ns"], namespaces, settings):
        return Acceptance(ours=False)
    return Acceptance(ours=True, unserved=_unserved(service, namespaces))


def tenant_for(service: Mapping[str, Any], namespaces: Projections, context: Context) -> str:
    """The tenant of what serves a Service; a shared VIP is in the configured one, as with AKO."""
    if shares_vip(service):
        return context.settings.controller.tenant
    return tenant_of(service["ns"], namespaces, context)


def age_of(service: Mapping[str, Any]) -> tuple[str, str, str]:
    """By which of two Services the older one is told."""
    return service["lb"]["created"], service["ns"], service["name"]


def shares_vip(service: Mapping[str, Any]) -> bool:
    """Whether a Service of type LoadBalancer shares its VIP with others."""
    return service_key(service).startswith(f"{SHARED_KEY}:")


def names_wanted(service: Mapping[str, Any], context: Context) -> tuple[list[str], list[str]]:
    """The DNS names that a Service wants, in its order, and the texts that are no names.

    With `autoFQDN: disabled` a Service has none; one that shares its VIP may still name its own, as with AKO.
    """
    if context.settings.auto_fqdn is not AutoFqdn.DISABLED or (shares_vip(service) and context.domains):
        wanted, bad = dns_names(service)
        if wanted or bad:
            return wanted, bad
    automatic = _automatic(service, context)
    return ([automatic] if automatic else []), []


def holder_of(name: str, service: Mapping[str, Any], snapshot: ServiceSnapshot, context: Context) -> str:
    """Who has the name before this Service of the snapshot, "" when nobody has."""
    if name == _automatic(service, context) and not dns_names(service)[0]:
        return ""
    for ingress in sorted(snapshot.ingresses, key=lambda each: (each["ns"], each["name"])):
        accepted = acceptance(ingress, snapshot.namespaces, snapshot.classes, context)
        if accepted.ours and name in hosts_of(ingress, context):
            return f"Ingress {ingress['ns']}/{ingress['name']}"
    for id_, other in sorted(snapshot.claimants.items()):
        rival = id_ not in snapshot.services and service_acceptance(other, snapshot.namespaces, context).ours
        if rival and name in names_wanted(other, context)[0]:
            automatic = name == _automatic(other, context)
            if automatic or (name != _automatic(service, context) and age_of(other) < age_of(service)):
                return f"Service {id_}"
    return ""


def _automatic(service: Mapping[str, Any], context: Context) -> str:
    return names.service_fqdn(service["ns"], service["name"], context.settings, context.domains)


def _unserved(service: Mapping[str, Any], namespaces: Projections) -> str:
    annotations = service["lb"]["annotations"]
    if rule := annotations.get(L4_RULE):
        return f"The L4Rule {rule}"
    if infra := annotations.get(INFRA_SETTING):
        return f"The AviInfraSetting {infra}"
    infra = namespaces.get(service["ns"], {}).get("annotations", {}).get(INFRA_ANNOTATION)
    return f"The AviInfraSetting {infra} of namespace {service['ns']}" if infra else ""

"""Why an object or a host that somebody asks for is none of ours: the first question when a VIP is not there. Pure.

Whether it is ours is decided in the model (`acceptance`); here only the reason is put into words, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.site import Site
from workers.model.accept import AVI_CONTROLLER, acceptance, hosts_of, namespace_served
from workers.model.context import Context
from workers.model.service_accept import service_acceptance

Projection = Mapping[str, Any]


def why_unlisted(site: Site, context: Context, name: str) -> str:
    """A sentence about a `namespace/name` or a host that is not listed, and why it is not."""
    ingresses = site.mirror.all("Ingress")
    if name in ingresses:
        return f"Ingress {name} is in the cluster and not served: {_of_ingress(site, context, ingresses[name])}"
    service = site.mirror.get("Service", [name]).get(name)
    if service is not None:
        return f"Service {name} is in the cluster and not served by itself: {_of_service(site, context, service)}"
    for id_, ingress in sorted(ingresses.items()):
        if name in hosts_of(ingress, context):
            return f"the host {name} is of Ingress {id_}, which is not served: {_of_ingress(site, context, ingress)}"
    return (
        f"{name} is no Ingress or Service that the watcher has seen (NAMESPACE/NAME), and no host of one. Compare with "
        "`kubectl get ingress,service --all-namespaces`; `ako status` lists what is ours"
    )


def _of_ingress(site: Site, context: Context, ingress: dict[str, Any]) -> str:
    namespaces, classes = site.snapshots.namespaces(), site.mirror.all("IngressClass")
    if acceptance(ingress, namespaces, classes, context).ours:
        return "it is in another namespace than --namespace"
    if text := _of_any(site, ingress, deleting=ingress["deleting"]):
        return text
    named = ingress["class"]
    if named is None:
        return f"it has no ingressClassName, and no IngressClass of {AVI_CONTROLLER} is the default one. Give it one"
    if named not in classes:
        return f"its IngressClass {named} does not exist. Create it, or correct ingressClassName"
    controller = classes[named]["controller"]
    return f"its IngressClass {named} belongs to the controller {controller!r}, and ours is {AVI_CONTROLLER}"


def _of_service(site: Site, context: Context, service: dict[str, Any]) -> str:
    part = service.get("lb")
    if part is None:
        return "it is not of type LoadBalancer. Ask for an Ingress that names it, or a host"
    if site.settings.layer7_only:
        return "layer7Only is true, so no Service of type LoadBalancer is"
    if service_acceptance(service, site.snapshots.namespaces(), context).ours:
        return "it is in another namespace than --namespace"
    if text := _of_any(site, service, deleting=part["deleting"]):
        return text
    if part["class"]:
        return f"its loadBalancerClass is {part['class']}, and ours is {AVI_CONTROLLER}"
    return f"it has no loadBalancerClass, and defaultLBController is false. Give it {AVI_CONTROLLER}"


def _of_any(site: Site, object_: Projection, *, deleting: bool) -> str:
    settings, namespace = site.settings, object_["ns"]
    if settings.delete_config:
        return "deleteConfig is true, so nothing is"
    if namespace_served(namespace, site.snapshots.namespaces(), settings):
        return "it is being deleted" if deleting else ""
    if namespace in settings.blocked_namespaces:
        return f"namespace {namespace} is in blockedNamespaceList"
    key, value = settings.namespace_label
    return f"namespace {namespace} lacks the label {key}={value} of namespaceSelector"

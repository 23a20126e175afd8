"""What an Ingress or a Service says of itself once it is served: addresses and our three annotations.

Per host one entry for each address, every IPv4 one before the IPv6 ones, in the order of the rules. A host that has a
virtual service but no address yet keeps the entries that it has: a VIP still being allocated is not an address lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shared.settings.model import Settings
from workers.model.accept import hosts_of
from workers.model.context import context_for
from workers.model.types import Facts, HostVips

UUID_MAP = "ako.vmware.com/host-fqdn-vs-uuid-map"
CLUSTER_UUID = "ako.vmware.com/controller-cluster-uuid"
TENANT = "ako.vmware.com/tenant-name"
ANNOTATIONS = (CLUSTER_UUID, UUID_MAP, TENANT)


def ingress_status(
    ingress: dict[str, Any],
    vips: Mapping[str, HostVips],
    settings: Settings,
    facts: Facts,
    *,
    current: Mapping[str, Any] | None = None,
    tenant: str = "",
) -> dict[str, Any]:
    """`{"ingress": [{"ip", "hostname"}], "annotations": {...}}`, both empty when no host of the Ingress is served.

    `vips` holds the hosts that have a virtual service; `current` is the status part of the Ingress's projection;
    `tenant` is the namespace's tenant, the configured one by default. Only for Ingresses that are ours, or that were
    (then with no `vips`): the status of any other one belongs to its own controller.
    """
    hosts = [host for host in hosts_of(ingress, context_for(settings, facts)) if host in vips]
    entries: list[dict[str, str]] = []
    for host in hosts:
        addresses = (*vips[host].v4, *vips[host].v6)
        if addresses:
            entries += [{"ip": address, "hostname": host} for address in addresses]
        elif current is not None:
            entries += [entry for entry in current.get("ingress", ()) if entry.get("hostname") == host]
    uuids = {host: vips[host].vs_uuid for host in sorted(hosts)}
    if not uuids:
        return {"ingress": entries, "annotations": {}}
    annotations = {
        UUID_MAP: orjson.dumps(uuids).decode(),
        CLUSTER_UUID: facts.cluster_uuid,
        TENANT: tenant or settings.controller.tenant,
    }
    return {"ingress": entries, "annotations": annotations}


def service_status(served: Mapping[str, Any], facts: Facts, tenant: str) -> dict[str, Any]:
    """The same for a Service of type LoadBalancer: an entry for each address, in the order of its families.

    `served` has `addresses`, the `names` of the Service, and the `uuid` of its virtual service. The first name stands
    in every entry. The annotations are there without a name too: they say that the status is ours.
    """
    hostname = {"hostname": served["names"][0]} if served["names"] else {}
    annotations = {CLUSTER_UUID: facts.cluster_uuid, TENANT: tenant}
    if served["names"]:
        annotations[UUID_MAP] = orjson.dumps(dict.fromkeys(sorted(served["names"]), served["uuid"])).decode()
    return {"ingress": [{"ip": address, **hostname} for address in served["addresses"]], "annotations": annotations}

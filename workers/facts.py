"""Reads from the controller what the model must know of it: cloud, VRF, networks, DNS domains, licence."""

from __future__ import annotations

from typing import Any

from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.errors import AkoError, SettingsError
from shared.settings.matrix import Known, refusals
from shared.settings.model import ServiceType, Settings
from workers.model.types import Facts

# Clouds, networks, VRFs and SE groups mostly belong to the tenant admin, whatever tenant we build in.
ANY = "*"


def read_facts(avi: AviClient, settings: Settings) -> Facts:
    """The facts as they are now. Raises AkoError naming the setting whose object does not exist.

    Raises SettingsError for what the support matrix refuses on this cloud; no key is handed out before a census of the
    present settings has succeeded, so nothing is written meanwhile.
    """
    controller = settings.controller
    cloud = _must(avi.find("cloud", controller.cloud, tenant=ANY), "ControllerSettings.cloudName", controller.cloud)
    if refused := refusals("contact", settings, Known(cloud_type=str(cloud["vtype"]))):
        raise SettingsError(refused)
    group = _must(
        avi.find("serviceenginegroup", controller.se_group, tenant=ANY, cloud=controller.cloud),
        "ControllerSettings.serviceEngineGroupName",
        controller.se_group,
    )
    domains = avi.read("ipamdnsproviderprofiledomainlist", cloud_uuid=str(cloud["uuid"])).get("domains") or []
    return Facts(
        cloud_type=str(cloud["vtype"]),
        cloud_uuid=str(cloud["uuid"]),
        vrf=_vrf(avi, settings),
        dns_domains=tuple(sorted(str(domain) for domain in domains)),
        node_network_uuids={row.name: _node_network(avi, settings, row.name) for row in settings.node_networks},
        cluster_uuid=str(avi.read("cluster").get("uuid", "")),
        license_tier=str(avi.read("systemconfiguration").get("default_license_tier", "")),
        se_group_uuid=str(group["uuid"]),
    )


def _vrf(avi: AviClient, settings: Settings) -> str:
    """The VRF: as configured, else that of the VIP network (NodePort mode: `global`)."""
    if settings.controller.vrf:
        found = avi.find("vrfcontext", settings.controller.vrf, tenant=ANY, cloud=settings.controller.cloud)
        return str(_must(found, "ControllerSettings.vrfName", settings.controller.vrf)["name"])
    if settings.service_type is ServiceType.NODE_PORT or not settings.vip_networks:
        return "global"
    name = settings.vip_networks[0].name
    network = avi.find("network", name, tenant=ANY, cloud=settings.controller.cloud)
    ref = str(_must(network, "NetworkSettings.vipNetworkList[0].networkName", name).get("vrf_context_ref", ""))
    return name_of(ref) or "global"


def name_of(reference: str) -> str:
    """The name in a reference, "" when it holds none."""
    parsed = parse(reference)
    return (parsed.name or "") if parsed else ""


def _node_network(avi: AviClient, settings: Settings, name: str) -> str:
    found = avi.find("network", name, tenant=ANY, cloud=settings.controller.cloud)
    return str(_must(found, "NetworkSettings.nodeNetworkList", name)["uuid"])


def _must(found: dict[str, Any] | None, where: str, name: str) -> dict[str, Any]:
    if found is None:
        raise AkoError(
            f"{name!r} does not exist on the controller",
            where=where,
            action="Create it there or correct the name in values.yaml",
        )
    return found

"""Reads from the controller what the model must know of it: cloud, VRF, networks, DNS domains, licence."""

from __future__ import annotations

from typing import Any

from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.errors import AviNotFound, SettingsError
from shared.kube import KubeClient
from shared.settings.matrix import refusals
from shared.settings.model import NodeNetwork, ServiceType, Settings, VipNetwork
from workers.contact import ANY, find_cloud, must, read_known
from workers.model.l4 import PERSISTENCE
from workers.model.types import Facts


def read_facts(avi: AviClient, kube: KubeClient, settings: Settings) -> Facts:
    """The facts as they are now. Raises AkoError naming the setting whose object does not exist.

    Raises SettingsError for what the support matrix refuses with this controller and cluster; no key is handed out
    before a census of the present settings has succeeded, so nothing is written meanwhile.
    """
    known = read_known(avi, kube, settings)
    if refused := refusals("contact", settings, known):
        raise SettingsError(refused)
    controller = settings.controller
    cloud = find_cloud(avi, settings)
    group = must(
        avi.find("serviceenginegroup", controller.se_group, tenant=ANY, cloud=controller.cloud),
        "ControllerSettings.serviceEngineGroupName",
        controller.se_group,
    )
    domains = avi.read("ipamdnsproviderprofiledomainlist", cloud_uuid=str(cloud["uuid"])).get("domains") or []
    return Facts(
        cloud_type=known.cloud_type,
        cloud_uuid=str(cloud["uuid"]),
        vrf=_vrf(avi, settings),
        dns_domains=tuple(sorted(str(domain) for domain in domains)),
        node_network_uuids=_node_networks(avi, settings),
        cluster_uuid=str(avi.read("cluster").get("uuid", "")),
        license_tier=known.license_tier,
        se_group_uuid=str(group["uuid"]),
        client_ip_persistence=avi.find("applicationpersistenceprofile", PERSISTENCE, tenant=ANY) is not None,
    )


def _vrf(avi: AviClient, settings: Settings) -> str:
    """The VRF: as configured, else that of the VIP network (NodePort mode: `global`)."""
    if settings.controller.vrf:
        found = avi.find("vrfcontext", settings.controller.vrf, tenant=ANY, cloud=settings.controller.cloud)
        return str(must(found, "ControllerSettings.vrfName", settings.controller.vrf)["name"])
    if settings.service_type is ServiceType.NODE_PORT or not settings.vip_networks:
        return "global"
    network = _network(avi, settings, settings.vip_networks[0], "NetworkSettings.vipNetworkList[0]")
    return name_of(str(network.get("vrf_context_ref", ""))) or "global"


def name_of(reference: str) -> str:
    """The name in a reference, "" when it holds none."""
    parsed = parse(reference)
    return (parsed.name or "") if parsed else ""


def _node_networks(avi: AviClient, settings: Settings) -> dict[str, str]:
    """The uuid of each node network that is given by its name alone; those given by uuid have to exist, too."""
    uuids = {}
    for number, row in enumerate(settings.node_networks):
        found = _network(avi, settings, row, f"NetworkSettings.nodeNetworkList[{number}]")
        if not row.uuid:
            uuids[row.name] = str(found["uuid"])
    return uuids


def _network(avi: AviClient, settings: Settings, row: VipNetwork | NodeNetwork, where: str) -> dict[str, Any]:
    """The network of a row of the settings: by its uuid where that is given, else by name."""
    if not row.uuid:
        found = avi.find("network", row.name, tenant=ANY, cloud=settings.controller.cloud)
        return must(found, f"{where}.networkName", row.name)
    try:
        return avi.get("network", row.uuid, tenant=ANY)
    except AviNotFound:
        return must(None, f"{where}.networkUUID", row.uuid)

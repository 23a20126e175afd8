"""What only controller and cluster can tell the support matrix, read at each census before it concludes anything.

Where an answer is missing there is no knowledge: an API server or controller that does not answer raises the error that
it is, and the census is tried again. It is never taken for "no such API group" or "no such subnet". Two things are
left unknown on purpose, because nothing is refused that could work: what a cluster without any IPv6 in its settings
would say, and the subnets of networks whose addresses do not come from Avi's own IPAM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.addresses import Network, parse_network
from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.avi.transport import parse_endpoint
from shared.dialing import families
from shared.errors import AkoError, AviUnreachable, KubeUnreachable
from shared.kube import KubeClient
from shared.settings.matrix import Known, network_key, refusals
from shared.settings.model import Settings, VipNetwork
from shared.settings.reach import api_server

# Clouds, networks, VRFs and SE groups mostly belong to the tenant admin, whatever tenant we build in.
ANY = "*"
_OWN_IPAM = "IPAMDNS_TYPE_INTERNAL"


def read_known(avi: AviClient, kube: KubeClient, settings: Settings) -> Known:
    """What controller and cluster say now.

    The addresses of both come first: a host that only a closed gate leads to can't be asked anything, and then they
    are all that is known. Raises AkoError for whatever does not answer, and naming a cloud that does not exist.
    """
    known = _reach(kube, settings)
    if refusals("contact", settings, known):
        return known
    cloud = find_cloud(avi, settings)
    tier = avi.read("systemconfiguration").get("default_license_tier", "")
    known = replace(known, cloud_type=str(cloud["vtype"]), license_tier=str(tier))
    if not (settings.ip_family.v6 or any(network.v6cidr for network in settings.vip_networks)):
        return known
    return replace(known, subnets=_subnets(avi, cloud, settings), api_groups=_api_groups(kube))


def find_cloud(avi: AviClient, settings: Settings) -> dict[str, Any]:
    """The cloud of the settings. Raises AkoError when it does not exist."""
    name = settings.controller.cloud
    return must(avi.find("cloud", name, tenant=ANY), "ControllerSettings.cloudName", name)


def must(found: dict[str, Any] | None, where: str, name: str) -> dict[str, Any]:
    """What was found. Raises AkoError that names the setting when it was not."""
    if found is None:
        raise AkoError(
            f"{name!r} does not exist on the controller",
            where=where,
            action="Create it there or correct the name in values.yaml",
        )
    return found


def _reach(kube: KubeClient, settings: Settings) -> Known:
    """The families of both hosts."""
    host = parse_endpoint(settings.controller.host).host.strip("[]")
    try:
        controller = families(host)
    except OSError as error:
        where = "ControllerSettings.controllerHost"
        raise AviUnreachable(f"{host} can't be resolved: {error}", sent=False, where=where) from error
    try:
        return replace(api_server(kube.url), controller_families=controller)
    except OSError as error:
        raise KubeUnreachable(f"the host of {kube.url} can't be resolved: {error}", where="kubeconfig") from error


def _api_groups(kube: KubeClient) -> frozenset[str]:
    groups = kube.get("/apis").get("groups")
    if not isinstance(groups, list):
        raise KubeUnreachable("the answer is not a list of API groups", where="GET /apis")
    return frozenset(str(group.get("name")) for group in groups if isinstance(group, dict))


def _subnets(avi: AviClient, cloud: dict[str, Any], settings: Settings) -> dict[str, tuple[Network, ...]]:
    """The configured subnets of each VIP network with a v6cidr, where the controller allocates from these."""
    asked = [network for network in settings.vip_networks if network.v6cidr is not None]
    if not asked or not _has_own_ipam(avi, cloud):
        return {}
    found = {}
    for network in asked:
        configured = [each.get("configured_subnets") or [] for each in _candidates(avi, network, settings)]
        # A network without any is served by DHCP or not there; the model's own check says the latter.
        if configured and all(configured):
            found[network_key(network)] = tuple(_network(each["prefix"]) for entries in configured for each in entries)
    return found


def _has_own_ipam(avi: AviClient, cloud: dict[str, Any]) -> bool:
    reference = parse(str(cloud.get("ipam_provider_ref", "")))
    if reference is None or reference.uuid is None:
        return False
    return avi.get("ipamdnsproviderprofile", reference.uuid, tenant=ANY).get("type") == _OWN_IPAM


def _candidates(avi: AviClient, network: VipNetwork, settings: Settings) -> list[dict[str, Any]]:
    """The networks that the row can mean: a name may be there more than once."""
    if network.uuid:
        return [avi.get("network", network.uuid, tenant=ANY)]
    filters: dict[str, Any] = {"name": network.name, "cloud_ref.name": settings.controller.cloud}
    pages = avi.pages("network", tenant=ANY, **filters)
    return [each for page in pages for each in page.objects if each.get("name") == network.name]


def _network(prefix: dict[str, Any]) -> Network:
    return parse_network(f"{prefix['ip_addr']['addr']}/{prefix['mask']}")

"""What is the same in every object of one settings and facts, computed once.

A host takes some 100 microseconds to translate, so references, placement networks and address families are not built
again for each. The parts are shared between bodies: nobody may change a body that the model has made.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from shared.addresses import Family, avi_subnet
from shared.projection import DEFAULT_SECRET
from shared.settings.model import Settings
from workers.model import names
from workers.model.layout import Layout, layout_of
from workers.model.markers import marker
from workers.model.types import Facts

PLACEMENT_CLOUDS = frozenset({"CLOUD_VCENTER"})
"""Clouds on which a pool names the networks of its servers."""


@dataclass(frozen=True, slots=True)
class Context:
    """See the module's docstring.

    `domains` are the cloud's DNS domains, sorted, without leading dots. `default_secret` is the `ns/name` of the Secret
    for Ingresses that ask for TLS without naming one.
    """

    settings: Settings
    facts: Facts
    layout: Layout
    prefix: str
    created_by: str
    cluster: dict[str, Any]
    cloud_ref: str
    vrf_ref: str
    se_group_ref: str
    placement: list[dict[str, Any]]
    families: Collection[Family]
    domains: tuple[str, ...]
    default_secret: str


_last: tuple[Settings, Facts, Context] | None = None


def context_for(settings: Settings, facts: Facts) -> Context:
    """The context of these very objects; the last one is remembered."""
    global _last  # noqa: PLW0603 - one tuple, replaced as a whole, so threads see the old or the new one
    last = _last
    if last is not None and last[0] is settings and last[1] is facts:
        return last[2]
    context = _context(settings, facts)
    _last = (settings, facts, context)
    return context


def _context(settings: Settings, facts: Facts) -> Context:
    families = [Family.V4] if settings.ip_family.v4 else []
    if settings.ip_family.v6:
        families.append(Family.V6)
    return Context(
        settings=settings,
        facts=facts,
        layout=layout_of(settings),
        prefix=settings.prefix,
        created_by=settings.created_by,
        cluster=marker("clustername", settings.cluster_name),
        cloud_ref=names.bare_ref("cloud", settings.controller.cloud),
        vrf_ref=names.bare_ref("vrfcontext", facts.vrf),
        se_group_ref=names.bare_ref("serviceenginegroup", settings.controller.se_group),
        placement=_placement(settings, facts),
        families=tuple(families),
        domains=facts.domains,
        default_secret=f"{settings.pod_namespace}/{DEFAULT_SECRET}",
    )


def _placement(settings: Settings, facts: Facts) -> list[dict[str, Any]]:
    """The networks of the nodes, of both families whatever `ipFamily` is, in the order of the settings, once each."""
    if facts.cloud_type not in PLACEMENT_CLOUDS:
        return []
    rows = dict.fromkeys(
        (names.network_ref(network.name, network.uuid or facts.node_network_uuids.get(network.name, "")), cidr)
        for network in settings.node_networks
        for cidr in network.cidrs
    )
    return [{"network_ref": ref, "subnet": avi_subnet(cidr)} for ref, cidr in rows]

"""`ako orphans`: what of this cluster stands on the controller and is looked after by nobody. It writes nothing.

The pipeline deletes an object only by the plan of the work key that owns it. So an object of ours stays for good when
no key can be told from it (another feature or release made it), when nothing in the cluster yields its key, or when it
is an entry of ours in a VRF or SE group that these settings do not name. Each is listed with the reason; whether it may
go is for a person to decide. What belongs to an Ingress deleted a moment ago may still be on its way out: look again.

Exit code 0: no orphan; 3: there are some; 1: it could not be told; 2: wrong usage. `--output json` is a list of
`{"type", "tenant", "name", "uuid", "key", "reason"}`, stable for programs.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cli.table import columns
from shared.avi.client import AviClient
from shared.kinds import kinds_for
from shared.kube import KubeClient
from shared.loadbalancer import OWN_KEY, SHARED_KEY, service_key
from shared.projection import DEFAULT_CERTIFICATE, passes_through, tls_by_default
from shared.settings import load, load_credentials
from shared.settings.model import Settings
from shared.settings.reach import API_SERVER_GATE, CONTROLLER_GATE
from shared.state import keys
from workers.contact import ANY
from workers.facts import name_of, read_facts
from workers.model import names
from workers.model.accept import hosts_of
from workers.model.context import context_for
from workers.model.owners import MADE_TYPES, Owners, is_ours
from workers.model.routes import routes_active, routes_off
from workers.model.types import Facts
from workers.model.vips import VSVIP
from workers.parts import is_ours as is_our_entry

FOUND = 3  # exit code


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """One object, or one entry inside an object of others. `key` is the work key that owns it, "" for none."""

    type: str
    tenant: str
    name: str
    uuid: str
    key: str
    reason: str


def run(options: argparse.Namespace) -> int:
    """The command; prints a table or JSON. Raises AkoError for whatever can't be read: half a list is none."""
    path = options.values or os.environ.get("AKO_VALUES")
    settings, credentials = load(path, os.environ).settings, load_credentials(os.environ, path)
    kube = KubeClient.from_config(options.kubeconfig, options.context, ipv6=API_SERVER_GATE in settings.gates)
    avi = AviClient(
        settings.controller.host,
        credentials,
        version=settings.controller.version,
        tenant=settings.controller.tenant,
        ipv6=CONTROLLER_GATE in settings.gates,
    )
    try:
        found = find_orphans(avi, kube, settings)
    finally:
        avi.close()
    if options.output == "json":
        print(json.dumps([asdict(orphan) for orphan in found], indent=2))
    elif found:
        rows = [(each.type, each.tenant, each.name, each.key or "-", each.reason) for each in found]
        print(columns([("type", "tenant", "name", "key", "why nobody looks after it"), *rows]))
        print(f"\n{len(found)} orphans; nothing was changed")
    else:
        print(f"no orphans of cluster {settings.cluster_name}")
    return FOUND if found else 0


def find_orphans(avi: AviClient, kube: KubeClient, settings: Settings) -> list[Orphan]:
    """All orphans, sorted. Raises AviError, KubeError, or SettingsError where the controller refuses the settings."""
    facts = read_facts(avi, kube, settings)
    services = _services(kube, settings)
    yielded = _yielded(kube, settings, facts) | services
    owners = Owners(settings, services, _namespaces(kube, settings))
    found: list[Orphan] = []
    left: list[dict[str, Any]] = []
    for type_ in MADE_TYPES:
        for page in avi.pages(type_, tenant=ANY):
            for obj in (obj for obj in page.objects if is_ours(type_, obj, settings)):
                key = owners.of(type_, obj)
                if type_ == VSVIP and key is None:
                    left.append(obj)
                else:
                    found += _object(type_, obj, key, yielded)
    found += [orphan for obj in left for orphan in _object(VSVIP, obj, owners.late(obj), yielded)]
    found += _entries(avi, "vrfcontext", "static_routes", facts.vrf, settings)
    found += _entries(avi, "serviceenginegroup", "labels", settings.controller.se_group, settings)
    return sorted(found)


def _yielded(kube: KubeClient, settings: Settings, facts: Facts) -> set[str]:
    """The host keys that the cluster yields, and the parents that serve these hosts."""
    context = context_for(settings, facts)
    (kind,) = [kind for kind in kinds_for(settings) if kind.name == "Ingress"]
    found: set[str] = set()
    for page in kube.pages(f"{kind.path}/{kind.resource}"):
        for ingress in page.items:
            body = kind.project(ingress).body
            hosts = hosts_of(body, context)
            found |= {keys.host_key(host) for host in hosts}
            if tls_by_default(body):
                found.add(DEFAULT_CERTIFICATE)
            if passes_through(body):
                found |= {context.layout.passthrough_parent(host) for host in hosts}
            else:
                found |= {context.layout.parent(host, body["ns"]) for host in hosts}
    return found


def _services(kube: KubeClient, settings: Settings) -> set[str]:
    """The keys of the Services of type LoadBalancer."""
    (kind,) = [kind for kind in kinds_for(settings) if kind.name == "Service"]
    bodies = (kind.project(obj).body for page in kube.pages(f"{kind.path}/{kind.resource}") for obj in page.items)
    return {service_key(body) for body in bodies if "lb" in body}


def _namespaces(kube: KubeClient, settings: Settings) -> list[str]:
    (kind,) = [kind for kind in kinds_for(settings) if kind.name == "Namespace"]
    return [obj["metadata"]["name"] for page in kube.pages(f"{kind.path}/{kind.resource}") for obj in page.items]


def _object(type_: str, obj: dict[str, Any], key: str | None, yielded: set[str]) -> Iterator[Orphan]:
    if key is None:
        reason = "no work key of this release owns it: another feature or another release made it"
    elif key in yielded or (key.startswith("shard:") and (type_ == "vsvip" or names.secure(obj["name"]) in yielded)):
        return  # the vsvip of a shared parent stays on purpose: so its address does
    elif key.startswith((f"{OWN_KEY}:", f"{SHARED_KEY}:")):
        reason = "there is no Service of type LoadBalancer for it"
    else:
        reason = "nothing in the cluster names its host" if key.startswith("host:") else "no host is served by it"
    yield Orphan(type_, name_of(str(obj.get("tenant_ref", ""))), str(obj["name"]), str(obj["uuid"]), key or "", reason)


def _entries(avi: AviClient, type_: str, field: str, served: str, settings: Settings) -> Iterator[Orphan]:
    """Entries of ours in objects of others that the settings do not name, or in none that they name."""
    active = not routes_off(settings) if field == "labels" else routes_active(settings)
    for page in avi.pages(type_, tenant=ANY):
        for obj in page.objects:
            number = sum(_is_our_entry(field, entry, settings) for entry in obj.get(field) or ())
            if number and not (obj["name"] == served and active):
                what = f"{number} of its {field} are ours, and these settings "
                reason = what + (f"use {served}" if active else "write none")
                yield Orphan(type_, name_of(str(obj.get("tenant_ref", ""))), obj["name"], obj["uuid"], "", reason)


def _is_our_entry(field: str, entry: dict[str, Any], settings: Settings) -> bool:
    """A label is told by itself, a route by its labels."""
    return is_our_entry({"labels": [entry]} if field == "labels" else entry, settings.cluster_name)

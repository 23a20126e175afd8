"""What a fresh computation wants of a cluster, against what stands: objects, shared lists, statuses and annotations.

It reads every object of the API server, hands all of it to the pure model in one thread, with nothing of what the
pipeline remembers, and compares with every object of ours on the controller by the fields that we own. What an Ingress
must say of itself is put together here from the addresses on the controller, not by the code that writes it.

History counts in one place: a host whose Secret is missing stays what it was, in its objects and in its status. While
one is missing, the computation is told what stands, and the statuses of such hosts are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.kinds import kinds_for
from shared.kube import KubeClient
from shared.settings.model import Settings
from shared.state import State
from tests.workers.model.world import World
from workers import owned
from workers.model.accept import acceptance, hosts_of, in_domains, tenant_of
from workers.model.context import context_for
from workers.model.layout import layout_of
from workers.model.owners import MADE_TYPES, is_ours
from workers.model.segroup import desired_segroup
from workers.model.services import standing_vip
from workers.model.types import AviObject, Desired, ServedService, SharedPart, object_id
from workers.model.vips import VSVIP
from workers.parts import merge_shared
from workers.snapshot import read_facts

CLUSTER_UUID = "ako.vmware.com/controller-cluster-uuid"
UUIDS = "ako.vmware.com/host-fqdn-vs-uuid-map"
TENANT = "ako.vmware.com/tenant-name"
OUR_ANNOTATIONS = (CLUSTER_UUID, UUIDS, TENANT)


@dataclass(slots=True)
class Wanted:
    """The model's answers: objects by id, what statuses of Ingresses (by host) and Services rest on, shared lists."""

    objects: dict[str, AviObject] = field(default_factory=dict)
    hosts: dict[str, Desired] = field(default_factory=dict)
    services: dict[str, ServedService] = field(default_factory=dict)
    shared: list[SharedPart] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)


class Comparison:
    """One look at a cluster and its controller; `differences` says what is not as it should be."""

    def __init__(self, settings: Settings, state: State, kube: KubeClient, avi: AviClient) -> None:
        self._settings, self._avi = settings, avi
        self._ingresses: list[dict[str, Any]] = []
        self._services: list[dict[str, Any]] = []
        self._world = World(settings, read_facts(state))
        self._context = context_for(settings, self._world.facts)
        for kind in kinds_for(settings):
            found = [item for page in kube.pages(f"{kind.path}/{kind.resource}") for item in page.items]
            self._world.objects[kind.name] = {made.id: made.body for made in map(kind.project, found)}
            if kind.name == "Ingress":
                self._ingresses = found
            if kind.name == "Service":
                self._services = found
        self._stands = {id_: obj for type_ in MADE_TYPES for id_, obj in self._read(type_)}
        extracts = {id_: owned.extract(VSVIP, obj) for id_, obj in self._stands.items() if id_.startswith(f"{VSVIP}/")}
        vips = {id_: standing_vip(json.loads(json.dumps(extract))) for id_, extract in extracts.items()}
        self._world.vips = {id_: vip for id_, vip in vips.items() if vip is not None}
        self._wanted = self._compute()

    def differences(self) -> list[str]:
        """Each begins with the id of the object or Ingress that it is about."""
        return [*self._objects(), *self._shared(), *self._statuses(), *self._service_statuses()]

    # -- objects -------------------------------------------------------------------------------------------------

    def _read(self, type_: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for page in self._avi.pages(type_, tenant="*"):
            for obj in page.objects:
                if is_ours(type_, obj, self._settings):
                    tenant = parse(obj["tenant_ref"])
                    assert tenant is not None
                    assert tenant.name
                    yield object_id(type_, tenant.name, obj["name"]), obj

    def _compute(self) -> Wanted:
        world, wanted = self._world, Wanted()
        world.standing = set(self._stands) if self._without_secret() else set()
        wanted.hosts = {host: world.host(host) for host in world.hosts()}
        balancers = [world.services(key) for key in world.service_keys()]
        for each in balancers:
            wanted.services |= {id_: served for id_, served in (each.services or {}).items() if served is not None}
        made = [world.certificates(), *wanted.hosts.values(), *balancers]
        # A parent lists what stands: here, all that is wanted below it.
        world.standing |= {each.id for desired in made for each in desired.objects}
        made += [world.shard(key) for key in sorted({key for each in wanted.hosts.values() for key in each.shards})]
        for each in (one for desired in made for one in desired.objects):
            if each.id in wanted.objects:
                wanted.twice.append(f"{each.id}: two keys want it")
            wanted.objects[each.id] = each
        shared = (world.routes(), desired_segroup(self._settings, world.facts))
        wanted.shared = [part for desired in shared for part in desired.shared]
        return wanted

    def _objects(self) -> Iterator[str]:
        yield from self._wanted.twice
        for id_, wanted in self._wanted.objects.items():
            if id_ not in self._stands:
                yield f"{id_}: is missing"
            elif differs := self._differs(wanted):
                yield f"{id_}: has other {', '.join(differs)}"
        layout = layout_of(self._settings)
        for id_, obj in self._stands.items():
            kept = id_.startswith("vsvip/") and layout.keeps(obj["name"])
            if id_ not in self._wanted.objects and not kept:
                yield f"{id_}: nothing wants it"

    def _differs(self, wanted: AviObject) -> list[str]:
        read = owned.extract(wanted.type, self._stands[wanted.id])
        return owned.differs(wanted.type, wanted.body, json.loads(json.dumps(read)))

    def _shared(self) -> Iterator[str]:
        for part in self._wanted.shared:
            found = self._avi.find(part.type, part.name, tenant=part.tenant)
            assert found is not None
            if isinstance(merge_shared(found, part, self._settings.cluster_name), dict):
                yield f"{object_id(part.type, part.tenant, part.name)}: has other {part.field} of ours"

    # -- statuses ------------------------------------------------------------------------------------------------

    def _statuses(self) -> Iterator[str]:
        for raw in self._ingresses:
            id_ = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"
            says = ((raw.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
            annotations = raw["metadata"].get("annotations") or {}
            ours = {name: annotations[name] for name in OUR_ANNOTATIONS if name in annotations}
            rows, uuids, tenant = self._expected(id_)
            if unknown := self._unserved(id_, set(uuids)):
                says = [row for row in says if row.get("hostname") not in unknown]
            if says != rows:
                yield f"Ingress/{id_}: its status says {says} and should say {rows}"
            expected: dict[str, Any] = {}
            if uuids:
                cluster = self._world.facts.cluster_uuid
                expected = {UUIDS: dict(sorted(uuids.items())), CLUSTER_UUID: cluster, TENANT: tenant}
            found = {**ours, **({UUIDS: json.loads(ours[UUIDS])} if UUIDS in ours else {})}
            if found != expected and not (unknown and not uuids):
                yield f"Ingress/{id_}: its annotations are {found} and should be {expected}"

    def _service_statuses(self) -> Iterator[str]:
        for raw in self._services:
            id_ = f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"
            says = ((raw.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
            annotations = raw["metadata"].get("annotations") or {}
            found: dict[str, Any] = {name: annotations[name] for name in OUR_ANNOTATIONS if name in annotations}
            if UUIDS in found:
                found[UUIDS] = json.loads(found[UUIDS])
            says = [{name: text for name, text in row.items() if name != "ipMode"} for row in says]  # a default
            rows, expected = self._expected_of_service(id_)
            if says != rows:
                yield f"Service/{id_}: its status says {says} and should say {rows}"
            if found != expected:
                yield f"Service/{id_}: its annotations are {found} and should be {expected}"

    def _expected_of_service(self, id_: str) -> tuple[list[dict[str, str]], dict[str, Any]]:
        """Rows of the status and annotations of a Service: in the order of its families, by its first name."""
        served = self._wanted.services.get(id_)
        if served is None:
            return [], {}
        addresses = owned.vips(self._stands.get(served.vsvip, {}))
        order = dict.fromkeys((*(family.name.lower() for family in served.families), "v4", "v6"))
        hostname = {"hostname": served.names[0]} if served.names else {}
        rows = [{"ip": text, **hostname} for family in order for text in addresses[family]]
        uuid = self._stands.get(served.service, {}).get("uuid", "that is missing")
        expected: dict[str, Any] = {CLUSTER_UUID: self._world.facts.cluster_uuid, TENANT: served.vsvip.split("/")[1]}
        if served.names:
            expected[UUIDS] = dict.fromkeys(served.names, uuid)
        return rows, expected

    def _expected(self, id_: str) -> tuple[list[dict[str, str]], dict[str, str], str]:
        """Rows of the status, uuids by host and the tenant that the Ingress should have; empty when it is not ours."""
        rows: list[dict[str, str]] = []
        uuids: dict[str, str] = {}
        if not self._ours(id_):
            return rows, uuids, ""
        ingress = self._world.of("Ingress")[id_]
        tenant = tenant_of(ingress["ns"], self._world.of("Namespace"), self._context)
        for host in hosts_of(ingress, self._context):
            desired = self._wanted.hosts[host]
            standing = any(each.tenant == tenant for each in desired.objects)
            if standing and id_ not in desired.refused:
                face = desired.faces[tenant]
                service = next((self._stands[each] for _, each in face.services if each in self._stands), {})
                addresses = owned.vips(self._stands.get(face.vsvip[1], {}))
                rows += [{"ip": text, "hostname": host} for text in (*addresses["v4"], *addresses["v6"])]
                uuids[host] = service.get("uuid", "that is missing")
        return rows, uuids, tenant

    def _ours(self, id_: str) -> bool:
        ingress = self._world.of("Ingress")[id_]
        return acceptance(ingress, self._world.of("Namespace"), self._world.of("IngressClass"), self._context).ours

    def _unserved(self, id_: str, served: set[str]) -> set[str]:
        """The hosts of an Ingress of ours that nothing stands for though they may be served: their rows stay."""
        if not self._ours(id_) or not self._without_secret():
            return set()
        named = {host for host in hosts_of(self._world.of("Ingress")[id_], self._context) if host not in served}
        return {
            host for host in named if in_domains(host, self._context) and id_ not in self._wanted.hosts[host].refused
        }

    def _without_secret(self) -> bool:
        """Whether an Ingress of ours names a Secret that is not there."""
        secrets = self._world.of("Secret")
        return any(
            f"{ingress['ns']}/{row['secret']}" not in secrets
            for id_, ingress in self._world.of("Ingress").items()
            for row in ingress["tls"]
            if self._ours(id_)
        )


def differences(settings: Settings, state: State, kube: KubeClient, avi: AviClient) -> Mapping[str, str]:
    """What is wrong now, by the id of what it is about."""
    found = Comparison(settings, state, kube, avi).differences()
    return {text.partition(": ")[0]: text for text in found}

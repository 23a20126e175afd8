"""What goes into the model and what comes out of it: plain frozen data, shared by snapshot, model, plan and executor.

The model is a pure function from a snapshot (projections of Kubernetes objects), the settings and the facts read from
the controller to the Avi objects of one work key. Nothing in here knows Redis, HTTP or Celery, so the same values can
be printed by `ako render`, compared in a test or executed against a controller.

Two conventions hold everywhere. An *object id* is the text `<REST type>/<tenant>/<name>`; the name may hold slashes,
so it is split at the first two only. A *work key* is the text that a worker claims, e.g. `host:foo.com`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.addresses import Family

ObjectId = str
WorkKey = str

DAY = 86_400
"""The seconds of a day, the unit of `HostSnapshot.day`."""

NOTHING_REQUIRED: Mapping[ObjectId, WorkKey] = {}


def object_id(type_: str, tenant: str, name: str) -> ObjectId:
    """The id of an Avi object in the ledger and between keys."""
    return f"{type_}/{tenant}/{name}"


def split_object_id(id_: ObjectId) -> tuple[str, str, str]:
    """(type, tenant, name) of an object id; the name keeps its slashes. Raises ValueError on any other text."""
    type_, tenant, name = id_.split("/", 2)
    return type_, tenant, name


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where the two halves of a certificate come from; read from Kubernetes only when the object is written."""

    namespace: str
    name: str
    crt: str = "tls.crt"
    key: str = "tls.key"


@dataclass(frozen=True, slots=True)
class AviObject:
    """One wanted Avi object of one work key.

    `body` is what a POST sends, references as `/api/<type>/?name=<name>`. `requires` names objects of *other* keys
    that must stand first, with the key that makes them. A certificate's body holds the digest of the PEM text in
    place of the text, and no key; `secret` says where the executor finds both. `kept`: the object is wanted as it
    stands, whatever it holds; it is neither written nor created. Of a vsvip, `vip_held`: its VIP is wanted as it
    stands; `released`: the families ("v4", "v6") whose address its owner lets go by itself.
    """

    type: str
    tenant: str
    name: str
    body: dict[str, Any]
    requires: Mapping[ObjectId, WorkKey] = field(default_factory=lambda: NOTHING_REQUIRED)
    secret: SecretRef | None = None
    kept: bool = False
    vip_held: bool = False
    released: frozenset[str] = frozenset()

    @property
    def id(self) -> ObjectId:
        """The object id: `<type>/<tenant>/<name>`."""
        return f"{self.type}/{self.tenant}/{self.name}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of a Kubernetes object that cannot be served as written; becomes an Event on that object."""

    kind: str
    namespace: str
    name: str
    reason: str
    message: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class SharedPart:
    """Our entries in one list field of an object that we do not own, e.g. the static routes of a VRF."""

    type: str
    tenant: str
    name: str
    field: str
    entries: tuple[dict[str, Any], ...]


OwnedId = tuple[WorkKey, ObjectId]


@dataclass(frozen=True, slots=True)
class Face:
    """Where a host meets its clients: the virtual services that may serve it, best first, and their vsvip."""

    services: tuple[OwnedId, ...]
    vsvip: OwnedId


@dataclass(frozen=True, slots=True)
class ServedService:
    """A Service of type LoadBalancer that is served: by what, under which names, and the order of its families."""

    service: ObjectId
    vsvip: ObjectId
    names: tuple[str, ...]
    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class Desired:
    """The model's answer for one key.

    `objects` stand in the order in which they can be created. `row` (host keys) maps each shard key that serves the
    host to what that shard has to know; None when the host is on no shard. `shards` are the keys of `row`: a row that
    changed marks the old and the new ones. `shared` (routes and segroup keys) are our entries inside objects of others.
    `waits` are objects whose appearance changes this answer, so the key has to run again when one stands.
    `faces` (host keys) tell, by tenant, where a status finds the host's virtual service and addresses.
    `refused` (host keys) are the Ingresses (`ns/name`) that name the host and get no address of it.
    `frozen`: the host uses a feature that this release does not serve, so nothing of the key may be written or deleted.
    `services` (keys of Services) tells by `namespace/name` what the status of each Service needs, None of one that is
    refused; it is None when the key has no Service of ours.
    """

    objects: tuple[AviObject, ...] = ()
    problems: tuple[Problem, ...] = ()
    row: dict[str, Any] | None = None
    shards: tuple[WorkKey, ...] = ()
    shared: tuple[SharedPart, ...] = ()
    waits: tuple[ObjectId, ...] = ()
    faces: Mapping[str, Face] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    frozen: bool = False
    services: Mapping[str, ServedService | None] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the model needs to know of the controller; read at each census.

    `dns_domains` are the cloud's DNS subdomains, sorted. `node_network_uuids` maps a network name to its uuid.
    `client_ip_persistence`: the profile that keeps a client on its server by address is there.
    """

    cloud_type: str
    cloud_uuid: str
    vrf: str
    dns_domains: tuple[str, ...]
    node_network_uuids: Mapping[str, str]
    cluster_uuid: str
    license_tier: str
    se_group_uuid: str
    client_ip_persistence: bool = True

    @property
    def domains(self) -> tuple[str, ...]:
        """The cloud's DNS domains without dots around, sorted; rules without host are served below the first one."""
        return tuple(sorted(domain.strip(".") for domain in self.dns_domains))


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """Everything that one host depends on. Keys of the maps are `ns/name`, or the name for cluster-scoped kinds.

    `standing` holds the ids of the objects that stand on the controller; those that this key owns and the default
    certificates are enough. `nodes` are there in NodePort mode only; `pods`, by Service, those of them that Antrea has
    given ports, in NodePortLocal mode only. `day` is the present one, in days since the epoch: certificates expire
    without anything happening in the cluster.
    """

    host: str
    ingresses: tuple[dict[str, Any], ...]
    namespaces: Mapping[str, dict[str, Any]]
    classes: Mapping[str, dict[str, Any]]
    services: Mapping[str, dict[str, Any]]
    slices: Mapping[str, tuple[dict[str, Any], ...]]
    secrets: Mapping[str, dict[str, Any]]
    day: int
    standing: Collection[ObjectId] = frozenset()
    nodes: tuple[dict[str, Any], ...] = ()
    pods: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """Every Ingress that names a host of the shard (others do no harm), and what stands on the controller.

    `secrets` are the TLS Secrets that these Ingresses name: a host whose certificate can't be built is not redirected.
    `standing` must hold the shard's own vsvip and the pools and child virtual services of its hosts.
    """

    tenant: str
    parent: str
    ingresses: tuple[dict[str, Any], ...]
    namespaces: Mapping[str, dict[str, Any]]
    classes: Mapping[str, dict[str, Any]]
    secrets: Mapping[str, dict[str, Any]]
    standing: Collection[ObjectId]


@dataclass(frozen=True, slots=True)
class CertificateSnapshot:
    """Every Ingress that asks for the default certificate, the default Secret, and what of it stands."""

    ingresses: tuple[dict[str, Any], ...]
    namespaces: Mapping[str, dict[str, Any]]
    classes: Mapping[str, dict[str, Any]]
    secret: dict[str, Any] | None
    standing: Collection[ObjectId]


@dataclass(frozen=True, slots=True)
class StandingVip:
    """The VIP of a vsvip as it stands: the families that are allocated for it, and the addresses that it has."""

    families: frozenset[Family]
    addresses: Mapping[Family, str]


@dataclass(frozen=True, slots=True)
class ServiceSnapshot:
    """Everything that the Services of one key depend on. Keys of the maps are `ns/name`, or the name without namespace.

    `services` are those of the key: one, or all that share a VIP. `claimants` are other Services, and `ingresses`
    Ingresses, that may have one of the DNS names that these want. `vips` are the key's own vsvips that stand;
    `nodes` are there in NodePort mode only, `pods` as for hosts. `vip_change`: the settings may take addresses
    away from a VIP.
    """

    key: WorkKey
    services: Mapping[str, dict[str, Any]]
    slices: Mapping[str, tuple[dict[str, Any], ...]]
    namespaces: Mapping[str, dict[str, Any]]
    classes: Mapping[str, dict[str, Any]]
    claimants: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    ingresses: tuple[dict[str, Any], ...] = ()
    vips: Mapping[ObjectId, StandingVip] = field(default_factory=dict)
    nodes: tuple[dict[str, Any], ...] = ()
    pods: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    vip_change: bool = False


@dataclass(frozen=True, slots=True)
class RoutesSnapshot:
    """The nodes of the cluster and, by kind, the objects in which CNI plugins keep the nodes' pod networks.

    A kind of which no object was ever seen is not in `networks`: that says nothing of what there is.
    """

    nodes: tuple[dict[str, Any], ...]
    networks: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostVips:
    """What stands for a host on the controller: the virtual service that serves it and the addresses of its VIP."""

    vs_uuid: str
    vs_name: str
    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()

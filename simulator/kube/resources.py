"""Which resources there are: the built-in table, and the registry that CustomResourceDefinitions extend while it runs.

One stored object may be seen through several resources: the versions of a custom kind, or an Event through the core
group and through events.k8s.io. They share a storage `key`; the object is kept in one form (the *storage* resource's)
and converted when it is read or written through another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator.kube import events

Obj = dict[str, Any]
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it is served. `key` names what is stored, e.g. `ingresses.networking.k8s.io` or `services`.

    `status`: it has a status subresource, so that the main one leaves the status alone. `keeps_status`: a status given
    on creation stays (Nodes). `generation`: metadata.generation counts changes of what is neither metadata nor status.
    `unconditional`: a PUT without resourceVersion overwrites. `returns_deleted`: DELETE answers the object itself.
    `columns` are a custom kind's own printer columns.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""
    list_kind: str = ""
    status: bool = False
    keeps_status: bool = False
    generation: bool = False
    unconditional: bool = True
    returns_deleted: bool = False
    custom: bool = False
    columns: tuple[Obj, ...] = ()
    storage: bool = True
    to_stored: Callable[[Obj], Obj] | None = None
    from_stored: Callable[[Obj], Obj] | None = None
    key: str = ""
    api_version: str = field(init=False)

    def __post_init__(self) -> None:
        fill = object.__setattr__
        fill(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        fill(self, "key", self.key or (f"{self.plural}.{self.group}" if self.group else self.plural))
        fill(self, "singular", self.singular or self.kind.lower())
        fill(self, "list_kind", self.list_kind or f"{self.kind}List")

    def stored(self, obj: Obj) -> Obj:
        """The object in its stored form."""
        return self.to_stored(obj) if self.to_stored else obj

    def shown(self, stored: Obj) -> Obj:
        """A stored object as this resource shows it."""
        return self.from_stored(stored) if self.from_stored else stored


_NET, _APIEXT = "networking.k8s.io", "apiextensions.k8s.io"

BUILT_IN = (
    Resource("", "v1", "Namespace", "namespaces", namespaced=False, short=("ns",), status=True),
    Resource("", "v1", "Node", "nodes", namespaced=False, short=("no",), status=True, keeps_status=True),
    Resource("", "v1", "Service", "services", short=("svc",), categories=("all",), status=True, returns_deleted=True),
    Resource("", "v1", "Secret", "secrets"),
    Resource("", "v1", "ConfigMap", "configmaps", short=("cm",)),
    Resource("", "v1", "Pod", "pods", short=("po",), categories=("all",), status=True, returns_deleted=True),
    Resource("", "v1", "Event", "events", short=("ev",)),
    Resource(
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        short=("ev",),
        key="events",
        storage=False,
        to_stored=events.to_core,
        from_stored=events.from_core,
    ),
    Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", generation=True),
    Resource(_NET, "v1", "Ingress", "ingresses", short=("ing",), status=True, generation=True),
    Resource(_NET, "v1", "IngressClass", "ingressclasses", namespaced=False, generation=True),
    Resource(
        "apps", "v1", "StatefulSet", "statefulsets", short=("sts",), categories=("all",), status=True, generation=True
    ),
    Resource("coordination.k8s.io", "v1", "Lease", "leases", unconditional=False),
    Resource(
        _APIEXT,
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
        short=("crd", "crds"),
        categories=("api-extensions",),
        status=True,
        generation=True,
        unconditional=False,
    ),
)

NAMESPACES, CRDS = BUILT_IN[0], BUILT_IN[-1]


class Registry:
    """What is served, by group and version; a custom resource comes and goes with its definition."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str], dict[str, Resource]] = {}
        for resource in BUILT_IN:
            self._add(resource)

    def _add(self, resource: Resource) -> None:
        self._served.setdefault((resource.group, resource.version), {})[resource.plural] = resource

    def get(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path, or None."""
        return self._served.get((group, version), {}).get(plural)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource that serves a kind, or None."""
        group, _, version = api_version.rpartition("/")
        found = self._served.get((group, version), {}).values()
        return next((resource for resource in found if resource.kind == kind), None)

    def storage(self, key: str) -> Resource | None:
        """The resource in whose form objects of `key` are stored."""
        return next((resource for resource in self.all() if resource.key == key and resource.storage), None)

    def all(self) -> Iterator[Resource]:
        """Everything that is served."""
        for resources in self._served.values():
            yield from resources.values()

    def versions(self) -> Iterable[tuple[str, str]]:
        """(group, version) of all that is served, the storage version of a group first."""
        return self._served

    def of_version(self, group: str, version: str) -> list[Resource] | None:
        """The resources of one group and version; None when there is no such thing."""
        found = self._served.get((group, version))
        return None if found is None else list(found.values())

    def define(self, crd: Obj) -> None:
        """Serves what a CustomResourceDefinition says, instead of what an earlier form of it said."""
        self.undefine(crd)
        for resource in custom_resources(crd):
            self._add(resource)

    def undefine(self, crd: Obj) -> None:
        """Stops serving it."""
        key = str(crd["metadata"]["name"])
        for version, resources in list(self._served.items()):
            for plural in [plural for plural, resource in resources.items() if resource.key == key]:
                del resources[plural]
            if not resources:
                del self._served[version]


def custom_resources(crd: Obj) -> list[Resource]:
    """The resources that a definition (with its defaults filled in) serves, the storage version first."""
    spec = crd["spec"]
    names = spec["names"]
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    found = []
    for version in sorted(spec["versions"], key=lambda version: not version.get("storage")):
        if not version.get("served"):
            continue
        is_stored = version["name"] == stored
        found.append(
            Resource(
                spec["group"],
                version["name"],
                names["kind"],
                names["plural"],
                namespaced=spec["scope"] == "Namespaced",
                short=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                singular=names["singular"],
                list_kind=names["listKind"],
                status="status" in (version.get("subresources") or {}),
                generation=True,
                unconditional=False,
                custom=True,
                columns=tuple(version.get("additionalPrinterColumns") or ()),
                storage=is_stored,
                to_stored=None if is_stored else _renamed(f"{spec['group']}/{stored}"),
                from_stored=None if is_stored else _renamed(f"{spec['group']}/{version['name']}"),
            )
        )
    return found


def _renamed(api_version: str) -> Callable[[Obj], Obj]:
    """The conversion of strategy None: only the version is another one."""
    return lambda obj: {**obj, "apiVersion": api_version}

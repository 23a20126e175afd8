"""What `ako preflight` checks: settings, controller, cluster, Redis. Reads only; every call has a deadline of seconds.

Each function yields `Check`s in the order in which they make sense. A check whose ground is missing (no login) is
skipped with the reason, never passed. A failure of the outer world in the middle of a group ends the group with that
failure, so one broken thing is one line.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import redis

from shared.addresses import Network, parse_network
from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.errors import AkoError, KubeForbidden, KubeNotFound
from shared.kinds import kinds_for
from shared.kube import KubeClient
from shared.settings.flat import CONFIGMAP
from shared.settings.matrix import refusals
from shared.settings.model import ServiceType, Settings
from workers.contact import ANY, read_known
from workers.model.segroup import desired_segroup
from workers.model.types import Facts, Problem
from workers.parts import merge_shared

Verdict = Literal["pass", "warn", "fail", "skip"]

AKO_STATEFUL_SET = "ako"
AKO_LEASE = "ako-lease-lock"
_VCENTER = "CLOUD_VCENTER"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at (`id`, stable), how it came out, what was found, and what to do about it."""

    id: str
    result: Verdict
    found: str
    action: str = ""


def failed(id_: str, error: AkoError) -> Check:
    """The check for an error, with its own advice."""
    return Check(id_, "fail", error.message + (f" ({error.where})" if error.where else ""), error.action)


def controller(avi: AviClient, kube: KubeClient, settings: Settings) -> Iterator[Check]:
    """Login, and everything on the controller that the settings name."""
    try:
        avi.read("cluster")
        version = str((avi.read("initial-data").get("version") or {}).get("Version", ""))
    except AkoError as error:
        yield failed("controller.login", error)
        yield Check("controller", "skip", "without a login nothing on the controller can be looked at")
        return
    yield Check(
        "controller.login",
        "pass",
        f"logged in to {settings.controller.host}{f', version {version}' if version else ''}",
    )
    yield _version(version, settings.controller.version)
    looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        (
            "controller.tenant",
            lambda: _named(avi, "tenant", settings.controller.tenant, "ControllerSettings.tenantName"),
        ),
        ("controller.cloud", lambda: _cloud(avi, settings)),
        ("controller.vrf", lambda: _vrf(avi, settings)),
        ("controller.segroup", lambda: _se_group(avi, settings)),
        ("controller.vipNetworks", lambda: _vip_networks(avi, settings)),
        ("controller.nodeNetworks", lambda: _node_networks(avi, settings)),
        ("controller.matrix", lambda: _matrix(avi, kube, settings)),
    )
    for id_, look in looks:
        try:
            yield from look()
        except AkoError as error:
            yield failed(id_, error)


def _version(found: str, wanted: str) -> Check:
    id_ = "controller.version"
    if not found:
        return Check(id_, "skip", "the controller does not tell its version")
    if wanted and _numbers(found) < _numbers(wanted):
        action = "Write the controller's version, or a lower one, as ControllerSettings.controllerVersion"
        return Check(id_, "fail", f"the controller is {found}, older than controllerVersion {wanted}", action)
    return Check(id_, "pass", f"{found}, spoken to as {wanted or 'the version that this release was made for'}")


def _named(avi: AviClient, type_: str, name: str, setting: str) -> Iterator[Check]:
    if avi.find(type_, name, tenant=ANY) is None:
        yield Check(f"controller.{type_}", "fail", f"there is no {type_} {name!r}", f"Create it or correct {setting}")
    else:
        yield Check(f"controller.{type_}", "pass", name)


def _cloud(avi: AviClient, settings: Settings) -> Iterator[Check]:
    name = settings.controller.cloud
    cloud = avi.find("cloud", name, tenant=ANY)
    if cloud is None:
        yield Check("controller.cloud", "fail", f"there is no cloud {name!r}", "Correct ControllerSettings.cloudName")
        return
    yield Check("controller.cloud", "pass", f"{name}, {cloud['vtype']}")
    for field, what, action in (
        ("ipam_provider_ref", "IPAM", "Give the cloud an IPAM profile, or be sure that its networks have DHCP"),
        ("dns_provider_ref", "DNS", "Give the cloud a DNS profile, if the controller is to serve the hosts' names"),
    ):
        reference = parse(str(cloud.get(field) or ""))
        id_ = f"controller.{what.lower()}"
        if reference is None:
            yield Check(id_, "warn", f"the cloud has no {what} profile", action)
        else:
            yield Check(id_, "pass", f"profile {reference.name or reference.uuid}")


def _vrf(avi: AviClient, settings: Settings) -> Iterator[Check]:
    name = settings.controller.vrf
    if not name:
        yield Check("controller.vrf", "pass", "that of the VIP network")
        return
    if avi.find("vrfcontext", name, tenant=ANY, cloud=settings.controller.cloud) is None:
        action = "Create it or correct ControllerSettings.vrfName"
        yield Check("controller.vrf", "fail", f"there is no VRF {name!r} in cloud {settings.controller.cloud}", action)
    else:
        yield Check("controller.vrf", "pass", name)


def _se_group(avi: AviClient, settings: Settings) -> Iterator[Check]:
    id_, name = "controller.segroup", settings.controller.se_group
    group = avi.find("serviceenginegroup", name, tenant=ANY, cloud=settings.controller.cloud)
    if group is None:
        action = "Create it or correct ControllerSettings.serviceEngineGroupName"
        yield Check(id_, "fail", f"there is no SE group {name!r} in cloud {settings.controller.cloud}", action)
        return
    for part in desired_segroup(settings, _NO_FACTS).shared:
        merged = merge_shared(group, part, settings.cluster_name)
        if isinstance(merged, Problem):
            yield Check(id_, "fail", merged.message, "Use another SE group or take the labels away")
            return
    yield Check(id_, "pass", name)


_NO_FACTS = Facts("", "", "", (), {}, "", "", "")  # the SE group's label depends on none of them


def _vip_networks(avi: AviClient, settings: Settings) -> Iterator[Check]:
    for number, row in enumerate(settings.vip_networks):
        wanted = [cidr for cidr in (row.cidr, row.v6cidr) if cidr is not None]
        yield from _network(avi, settings, f"NetworkSettings.vipNetworkList[{number}]", row.name, row.uuid, wanted)


def _node_networks(avi: AviClient, settings: Settings) -> Iterator[Check]:
    for number, row in enumerate(settings.node_networks):
        yield from _network(avi, settings, f"NetworkSettings.nodeNetworkList[{number}]", row.name, row.uuid, ())


def _network(
    avi: AviClient, settings: Settings, place: str, name: str, uuid: str, wanted: Iterable[Network]
) -> Iterator[Check]:
    """A network of the settings: there, only once, and with subnets that hold what VIPs are taken from."""
    if uuid:
        found = [avi.get("network", uuid, tenant=ANY)]
    else:
        filters: dict[str, Any] = {"name": name, "cloud_ref.name": settings.controller.cloud}
        found = [each for page in avi.pages("network", tenant=ANY, **filters) for each in page.objects]
        found = [each for each in found if each.get("name") == name]
    if not found:
        action = f"Create it or correct {place}.networkName"
        yield Check(place, "fail", f"there is no network {name!r} in cloud {settings.controller.cloud}", action)
        return
    if len(found) > 1:
        uuids = ", ".join(str(each.get("uuid")) for each in found)
        yield Check(
            place, "warn", f"{len(found)} networks are named {name!r}: {uuids}", "Write the one meant as networkUUID"
        )
    subnets = [_subnet(each["prefix"]) for network in found for each in network.get("configured_subnets") or []]
    missing = [str(cidr) for cidr in wanted if subnets and not any(_within(cidr, subnet) for subnet in subnets)]
    shown = ", ".join(map(str, subnets)) or "none (DHCP)"
    if missing:
        action = f"Add the subnet to the network, or write one of its subnets in {place}"
        yield Check(place, "fail", f"{name or uuid} has the subnets {shown}, and not {', '.join(missing)}", action)
    elif len(found) == 1:
        yield Check(place, "pass", f"{name or uuid}, subnets {shown}")


def _subnet(prefix: Mapping[str, Any]) -> Network:
    return parse_network(f"{prefix['ip_addr']['addr']}/{prefix['mask']}")


def _within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _matrix(avi: AviClient, kube: KubeClient, settings: Settings) -> Iterator[Check]:
    """What the IPv6 support matrix says, now that controller and cluster can be asked."""
    refused = refusals("contact", settings, read_known(avi, kube, settings))
    for place, text in refused:
        yield Check(place, "fail", text)
    if not refused:
        yield Check("controller.matrix", "pass", "nothing of the settings is outside the IPv6 support matrix")


def cluster(kube: KubeClient, settings: Settings, *, cloud_type: str) -> Iterator[Check]:
    """The API server, what it serves, what we may do there, and whether AKO still runs."""
    try:
        version = kube.get("/version", timeout=5.0).get("gitVersion", "")
    except AkoError as error:
        yield failed("kubernetes", error)
        yield Check("kubernetes.rights", "skip", "without an answer of the API server nothing there can be looked at")
        return
    yield Check("kubernetes", "pass", f"{kube.url}, {version}")
    for look in (_kinds, _rights):
        yield from look(kube, settings)
    yield from _old_ako(kube, settings, cloud_type)


def _kinds(kube: KubeClient, settings: Settings) -> Iterator[Check]:
    missing = {True: set[str](), False: set[str]()}
    for kind in kinds_for(settings):
        try:
            names = {each.get("name") for each in kube.get(kind.path, timeout=5.0).get("resources") or []}
        except KubeNotFound:
            names = set()
        if kind.resource not in names:
            missing[kind.optional].add(f"{kind.resource} ({kind.path})")
    if missing[False]:
        found = f"not served: {', '.join(sorted(missing[False]))}"
        yield Check("kubernetes.kinds", "fail", found, "A cluster from Kubernetes 1.21 on serves them")
    elif missing[True]:
        found = f"not served yet: {', '.join(sorted(missing[True]))}; it is watched when it appears"
        yield Check("kubernetes.kinds", "warn", found, f"Is cniPlugin {settings.cni_plugin!r} the cluster's CNI?")
    else:
        yield Check("kubernetes.kinds", "pass", "all that is watched is served")


def _needs(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """(verb, group, resource, namespace) of all that watcher and workers do."""
    home = settings.pod_namespace
    for kind in kinds_for(settings):
        group = kind.path.split("/")[2] if kind.path.startswith("/apis/") else ""
        yield from ((verb, group, kind.resource, "") for verb in ("list", "watch"))
    yield "get", "", "secrets", ""
    yield "get", "networking.k8s.io", "ingresses", ""
    for resource in ("ingresses", "ingresses/status"):
        yield "patch", "networking.k8s.io", resource, ""
    if not settings.layer7_only:
        yield "get", "", "services", ""
        yield from (("patch", "", resource, "") for resource in ("services", "services/status"))
    elif settings.service_type is ServiceType.NODE_PORT_LOCAL and settings.annotate_services:
        yield "patch", "", "services", ""
    for verb in ("create", "get", "patch"):
        yield verb, "", "events", ""
    for verb in ("create", "get", "update"):
        yield verb, "coordination.k8s.io", "leases", home


def _rights(kube: KubeClient, settings: Settings) -> Iterator[Check]:
    lacking: dict[str, list[str]] = {}
    for verb, group, resource, namespace in _needs(settings):
        if not kube.can_i(verb, group, resource, namespace):
            lacking.setdefault(f"{resource}{f'.{group}' if group else ''}", []).append(verb)
    for resource, verbs in lacking.items():
        action = "Give our service account a ClusterRole with it"
        yield Check("kubernetes.rights", "fail", f"not allowed: {', '.join(verbs)} {resource}", action)
    if not lacking:
        yield Check("kubernetes.rights", "pass", "everything that watcher and workers do is allowed")


def _old_ako(kube: KubeClient, settings: Settings, cloud_type: str) -> Iterator[Check]:
    """An AKO that still writes, and the settings that it had."""
    home = settings.pod_namespace
    running = [text for text in (_stateful_set(kube, home), _fresh_lease(kube, home)) if text]
    if running:
        action = f"Scale it to zero first: kubectl -n {home} scale statefulset {AKO_STATEFUL_SET} --replicas=0"
        yield Check(
            "ako.running", "fail", f"{'; '.join(running)}: two controllers must not write the same objects", action
        )
    else:
        yield Check("ako.running", "pass", f"no AKO runs in namespace {home}")
    data = _get(kube, f"/api/v1/namespaces/{home}/configmaps/{CONFIGMAP}")
    if data is None:
        return
    told = str((data.get("data") or {}).get("ipFamily") or "")
    theirs = told or ("V4_V6" if cloud_type == _VCENTER else "V4")
    if theirs == settings.ip_family.value:
        yield Check("ako.ipFamily", "pass", f"AKO used {theirs}, as these settings do")
    else:
        default = "" if told else " (its default on this cloud)"
        found = f"AKO used {theirs}{default}, these settings use {settings.ip_family.value}"
        yield Check(
            "ako.ipFamily",
            "warn",
            found,
            "Pools change their servers at the takeover; write ipFamily if that is not meant",
        )


def _stateful_set(kube: KubeClient, home: str) -> str:
    found = _get(kube, f"/apis/apps/v1/namespaces/{home}/statefulsets/{AKO_STATEFUL_SET}")
    replicas = ((found or {}).get("spec") or {}).get("replicas", 1) if found else 0
    return f"StatefulSet {home}/{AKO_STATEFUL_SET} has {replicas} replicas" if replicas else ""


def _fresh_lease(kube: KubeClient, home: str) -> str:
    spec = (_get(kube, f"/apis/coordination.k8s.io/v1/namespaces/{home}/leases/{AKO_LEASE}") or {}).get("spec") or {}
    try:
        renewed = datetime.datetime.fromisoformat(str(spec.get("renewTime")))
    except ValueError:
        return ""
    age = (datetime.datetime.now(datetime.UTC) - renewed).total_seconds()
    fresh = bool(spec.get("holderIdentity")) and age < 60.0
    return f"Lease {home}/{AKO_LEASE} was renewed {age:.0f} s ago by {spec['holderIdentity']}" if fresh else ""


def _get(kube: KubeClient, path: str) -> dict[str, Any] | None:
    """The object, None when there is none. What we may not read counts as not there: the check says what it saw."""
    try:
        return kube.get(path, timeout=5.0)
    except (KubeNotFound, KubeForbidden):
        return None


def redis_server(settings: Settings) -> Iterator[Check]:
    """The Redis that is to hold the work: there, and one that forgets nothing by itself."""
    client = redis.Redis.from_url(settings.pipeline.redis_url, socket_timeout=3.0, socket_connect_timeout=3.0)
    try:
        info: dict[str, Any] = client.info()
    except redis.RedisError as error:
        found = f"{type(error).__name__}: {error}"
        yield Check("redis", "fail", found, "Start it, or correct pipeline.redisURL (AKO_REDIS_URL)")
        yield Check("redis.eviction", "skip", "without an answer of Redis it cannot be told what it keeps")
        return
    finally:
        client.close()
    persistent = "with" if info.get("aof_enabled") else "without"
    yield Check("redis", "pass", f"version {info.get('redis_version', 'unknown')}, {persistent} an append-only file")
    policy, limit = str(info.get("maxmemory_policy", "")), int(info.get("maxmemory", 0))
    if not policy:
        yield Check("redis.eviction", "skip", "the server does not tell its maxmemory-policy")
    elif policy == "noeviction":
        yield Check("redis.eviction", "pass", policy)
    else:
        found = f"maxmemory-policy is {policy}: at {limit or 'any'} bytes keys are thrown away, and with them changes"
        action = "Set maxmemory-policy noeviction"
        yield Check("redis.eviction", "fail" if limit else "warn", found, action)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())

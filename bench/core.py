"""How fast the pure core is: hosts per second through model and plan on one core, nothing else running."""

from __future__ import annotations

import time
from typing import Any

from bench import world
from shared.kinds import KINDS
from shared.settings import load
from shared.settings.model import Settings
from workers.execute import entry_of
from workers.model.hosts import desired_host
from workers.model.types import DAY, Desired, Facts, HostSnapshot
from workers.plan import Entry, View, plan

FACTS = Facts(
    "CLOUD_VCENTER",
    "cloud-1",
    "global",
    ("avi.internal", "example.com"),
    {"node-net": "network-1"},
    "c",
    "ENTERPRISE",
    "g",
)


def settings() -> Settings:
    """The settings of the measured cluster."""
    environ = {
        "CLUSTER_NAME": "bench",
        "CTRL_IPADDRESS": "127.0.0.1",
        "CNI_PLUGIN": "flannel",
        "NODE_NETWORK_LIST": '[{"networkName":"node-net","cidrs":["10.50.0.0/24"]}]',
        "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16"}]',
        "IP_FAMILY": "V4",
    }
    return load(None, environ).settings


def snapshot(number: int, projected: dict[str, Any]) -> HostSnapshot:
    """The snapshot of one host from projected objects, as the worker would load it."""
    service = f"{world.NAMESPACE}/s{number:05d}"
    return HostSnapshot(
        world.host(number),
        (projected[f"Ingress {world.NAMESPACE}/i{number:05d}"],),
        {world.NAMESPACE: projected[f"Namespace {world.NAMESPACE}"]},
        {"avi-lb": projected["IngressClass avi-lb"]},
        {service: projected[f"Service {service}"]},
        {service: (projected[f"EndpointSlice {service}-x"],)},
        {f"{world.NAMESPACE}/tls": projected[f"Secret {world.NAMESPACE}/tls"]},
        int(time.time() // DAY),
    )


def standing_view(desired: Desired, key: str) -> View:
    """The ledger as it is when everything wanted stands."""
    own = {}
    for number, wanted in enumerate(desired.objects):
        obj = {**wanted.body, "uuid": f"{wanted.type}-{number}", "_last_modified": "1"}
        entry = entry_of(wanted.type, wanted.tenant, obj)
        own[wanted.id] = Entry(wanted.id, key, entry.uuid, entry.last_modified, dict(entry.owned), entry.references)
    others = {id_: (owner, True) for wanted in desired.objects for id_, owner in wanted.requires.items()}
    return View(own, others, {})


def measure(hosts: int = 2000) -> dict[str, float]:
    """Hosts per second: model and plan of new hosts, and of hosts that stand unchanged."""
    kinds = {kind.name: kind for kind in KINDS}
    projected = {}
    for obj in world.world(hosts):
        projection = kinds[obj["kind"]].project({**obj, "metadata": {"uid": "u", **obj["metadata"]}})
        projected[f"{obj['kind']} {projection.id}"] = projection.body
    chosen = settings()
    snapshots = [snapshot(number, projected) for number in range(hosts)]
    requires = {
        id_: (owner, True)
        for s in snapshots[:50]
        for o in desired_host(s, chosen, FACTS).objects
        for id_, owner in o.requires.items()
    }
    empty = View({}, requires, {})

    began = time.process_time()
    wanted = [desired_host(each, chosen, FACTS) for each in snapshots]
    model = time.process_time() - began
    began = time.process_time()
    created = [plan(each, empty) for each in wanted]
    creating = time.process_time() - began
    if not all(each.operations for each in created):
        raise RuntimeError("a new host planned nothing: the measurement would be of something else")
    views = [standing_view(each, f"host:{world.host(number)}") for number, each in enumerate(wanted)]
    began = time.process_time()
    unchanged = [plan(each, view) for each, view in zip(wanted, views, strict=True)]
    comparing = time.process_time() - began
    if any(each.operations for each in unchanged):
        raise RuntimeError(
            f"an unchanged host planned something: {next(e for e in unchanged if e.operations).to_dict()}"
        )
    return {
        "new hosts per second (model + plan)": hosts / (model + creating),
        "unchanged hosts per second (model + plan)": hosts / (model + comparing),
        "model, ms per host": model / hosts * 1000,
        "plan of a new host, ms": creating / hosts * 1000,
        "plan of an unchanged host, ms": comparing / hosts * 1000,
    }

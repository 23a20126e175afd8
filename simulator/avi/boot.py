"""What clients read once at their start: version, cluster, licence, DNS domains."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

from simulator.avi.references import parse
from simulator.avi.scope import Scopes
from simulator.avi.store import Store
from simulator.avi.vips import Allocator
from simulator.server import Request

VERSION = "30.2.1"
VERSION_INFO = {"Product": "controller", "Version": VERSION, "build": 5000, "Tag": f"{VERSION}-5000"}
_NAMES = uuid.UUID("8f7b3c58-5d0e-4b7a-9f1c-2f0f4a3d9a11")


class Boot:
    """The fixed reads, by path after `/api/`."""

    def __init__(self, store: Store, scopes: Scopes, allocator: Allocator) -> None:
        self._store, self._scopes, self._allocator = store, scopes, allocator
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.paths: dict[str, Callable[[Request], dict[str, Any]]] = {
            "initial-data": self._initial_data,
            "cluster": self._cluster,
            "cluster/runtime": self._runtime,
            "systemconfiguration": self._configuration,
            "ipamdnsproviderprofiledomainlist": self._domains,
        }

    def _initial_data(self, _: Request) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        return {
            "setup_failed": False,
            "welcome_workflow_complete": True,
            "version": VERSION_INFO,
            "controller_time": now,
        }

    def _cluster(self, _: Request) -> dict[str, Any]:
        node = {"name": "node1", "ip": {"addr": "127.0.0.1", "type": "V4"}, "vm_hostname": "node1"}
        cluster = f"cluster-{uuid.uuid5(_NAMES, 'cluster')}"
        return {"uuid": cluster, "name": "cluster-0-1", "tenant_ref": "\ue000/api/tenant/admin", "nodes": [node]}

    def _runtime(self, _: Request) -> dict[str, Any]:
        state = {"state": "CLUSTER_UP_NO_HA", "up_since": self._started, "progress": 100}
        node = {"name": "node1", "state": "CLUSTER_ACTIVE", "role": "CLUSTER_LEADER", "up_since": self._started}
        return {"cluster_state": state, "node_states": [node]}

    def _configuration(self, _: Request) -> dict[str, Any]:
        return {
            "uuid": "default",
            "url": "\ue000/api/systemconfiguration",
            "default_license_tier": self._allocator.license_tier,
            "welcome_workflow_complete": True,
        }

    def _domains(self, request: Request) -> dict[str, Any]:
        """The domains of the DNS profile of the cloud `cloud_uuid`, of all clouds without it."""
        wanted = request.first("cloud_uuid")
        domains: dict[str, None] = {}
        for cloud in self._store.of_type("cloud"):
            reference = parse(cloud.body.get("dns_provider_ref", ""))
            if reference is not None and wanted in {"", cloud.uuid}:
                profile = self._store.records[reference.uuid].body.get("internal_profile", {})
                domains.update((entry["domain_name"], None) for entry in profile.get("dns_service_domain", ()))
        return {"domains": list(domains)}

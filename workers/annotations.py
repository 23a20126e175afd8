"""Asks Antrea for node ports: the annotation that it heeds, on the Services that our Ingresses name and on our own.

As AKO, in NodePortLocal mode and unless `autoAnnotateService` is off. It is written once, where it is missing: a value
that somebody chose stays. It is never taken away, since nobody can tell who wrote it and whom else it serves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from shared.errors import KubeNotFound
from shared.kube import KubeClient
from shared.projection.pods import ASKING_ANNOTATION
from shared.state import Mirror
from workers.model.podports import not_local

log = logging.getLogger(__name__)


def ask_for_node_ports(ids: Iterable[str], mirror: Mirror, kube: KubeClient) -> None:
    """Annotates those of the Services (`ns/name`) that lack it and have use for it. Raises KubeError."""
    for service in mirror.get("Service", sorted(set(ids))).values():
        if service["asked"] or not_local(service):
            continue
        path = f"/api/v1/namespaces/{service['ns']}/services/{service['name']}"
        try:
            kube.patch(path, {"metadata": {"annotations": {ASKING_ANNOTATION: "true"}}})
        except KubeNotFound:
            log.info("Service %s/%s is gone, it is not annotated", service["ns"], service["name"])

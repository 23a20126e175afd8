"""NodePortLocal over real processes: Antrea is asked by an annotation, and pods become servers at its node ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bench import world as cluster
from tests.e2e.scene import Scene
from tests.support import wait_for

SERVICE = f"/api/v1/namespaces/{cluster.NAMESPACE}/services/s00001"
LABELS = {"app": "web"}


def pod(*, annotation: str = "") -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "a", "namespace": cluster.NAMESPACE, "labels": LABELS}
    if annotation:
        meta["annotations"] = {"nodeportlocal.antrea.io": annotation}
    container = {"name": "web", "image": "web", "ports": [{"name": "http", "containerPort": 8080}]}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}, "status": status}


def servers(scene: Scene) -> list[str]:
    """Those of the one pool."""
    pools = [each for each in scene.dump().get("pool", ()) if cluster.host(1) in each["name"]]
    return [row["external_uuid"] for each in pools for row in each.get("servers", ())]


def test_pods_are_served_at_the_ports_that_antrea_opens(tmp_path: Path) -> None:
    """From the first mode to this one while running: the pool is never without servers on the way."""
    values = cluster.values()
    values["AKOSettings"]["cniPlugin"] = "antrea"
    service, slice_, ingress = cluster.objects_of(1)
    service["spec"]["selector"] = LABELS
    entry = '[{"podPort":8080,"nodeIP":"10.50.0.11","nodePort":61000,"protocol":"tcp"}]'
    with Scene(tmp_path, values, workers=1) as scene:
        scene.load([*cluster.base(), service, slice_, pod(annotation=entry), ingress])
        pods = [f"{text}:8080" for text in cluster.addresses(1)]
        wait_for(lambda: servers(scene) == pods, what="the endpoints as servers")
        assert "annotations" not in scene.kube.get(SERVICE)["metadata"]
        scene.forget_audit()
        path = Path(scene.stack.environ["AKO_VALUES"])
        changed = yaml.safe_load(path.read_text())
        changed["L7Settings"]["serviceType"] = "NodePortLocal"
        path.write_text(yaml.safe_dump(changed))
        wait_for(lambda: servers(scene) == ["10.50.0.11:61000"], seconds=20, what="the node port as server")
        asked = {"nodeportlocal.antrea.io/enabled": "true"}
        wait_for(lambda: scene.kube.get(SERVICE)["metadata"].get("annotations") == asked, what="the annotation")
        assert [method for method, path in scene.writes() if "/api/pool/" in path] == ["PUT"]
        scene.load([pod(annotation=entry.replace("61000", "61001"))])
        wait_for(lambda: servers(scene) == ["10.50.0.11:61001"], what="the new node port")
        scene.kube.delete(f"/api/v1/namespaces/{cluster.NAMESPACE}/pods/a")
        wait_for(lambda: servers(scene) == [], what="no server without the pod")

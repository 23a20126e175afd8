"""What a status run writes: never again what the API server holds already, whatever the mirror has seen of it."""

from __future__ import annotations

from bench import world as cluster
from tests.workers.site import site

PATH = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses/i00001"
STATUS = f"status:Ingress/{cluster.NAMESPACE}/i00001"


def test_what_the_mirror_has_not_seen_yet_is_not_written_again(redis_url: str) -> None:
    """A run that knows of the last one's first patch only repeats neither; a status that is really gone, it writes."""
    with site(redis_url) as here:
        here.apply(*cluster.objects_of(1))
        here.settle()
        assert [path for path, _ in here.kube.patches] == [PATH, f"{PATH}/status"]
        annotations, status = (body for _, body in here.kube.patches)
        ingress = here.kube.objects[PATH]
        seen = {**ingress, "metadata": {**ingress["metadata"], **annotations["metadata"]}}
        here.apply(seen)
        here.kube.objects[PATH] = {**seen, "status": status["status"]}
        here.settle()
        assert len(here.kube.patches) == 2
        here.kube.objects[PATH] = seen
        here.mark([STATUS])
        here.settle()
        assert [path for path, _ in here.kube.patches][2:] == [f"{PATH}/status"]

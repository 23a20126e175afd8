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


def test_a_status_that_the_mirror_has_not_seen_goes_with_the_annotations(redis_url: str) -> None:
    """Of the two patches of an Ingress only the first has come back when it becomes another's: both are undone."""
    with site(redis_url) as here:
        here.apply(*cluster.objects_of(1))
        here.settle()
        annotations, status = (body for _, body in here.kube.patches)
        ingress = here.kube.objects[PATH]
        seen = {**ingress, "metadata": {**ingress["metadata"], **annotations["metadata"]}}
        here.apply({**seen, "spec": {**seen["spec"], "ingressClassName": "other"}})
        here.kube.objects[PATH] = {**here.kube.objects[PATH], "status": status["status"]}
        here.kube.patches.clear()
        here.settle()
        cleared = dict.fromkeys(annotations["metadata"]["annotations"])
        assert here.kube.patches == [
            (f"{PATH}/status", {"status": {"loadBalancer": {"ingress": None}}}),
            (PATH, {"metadata": {"annotations": cleared}}),
        ]

"""What is kept of each Kubernetes object that is watched.

A *projection* holds just the fields that the model reads, so that a change of anything else marks nothing, the mirror
stays small, and no private key can reach Redis. It also says how the object is woven into the rest: `index` entries
(`ref`, `member`) answer "who depends on this ref", `marks` are the work keys that the object concerns by itself, and
`touches` are the refs whose members' work keys have to run. A member is `<work key> <Kind>/<id>`; the work key `-`
stands for none.

A projection never raises (see `reading`). What can't be read is left out and described under `bad`, for the model to
turn into an Event; the rest of the object is served. Fields that nothing reads yet are not kept: they would make work
whenever they change. What a Service of type LoadBalancer has beyond this is in `shared.loadbalancer`.
"""

from shared.projection.cluster import project_ingress_class, project_namespace, project_node, project_secret
from shared.projection.ingress import (
    BUCKETS,
    DEFAULT_BACKEND,
    DEFAULT_CERTIFICATE,
    DEFAULT_SECRET,
    DEFAULT_TLS_ANNOTATION,
    STATUS_ANNOTATIONS,
    fnv1a32,
    generated_host,
    load_balancer_status,
    passes_through,
    project_ingress,
    tls_by_default,
)
from shared.projection.reading import Projection
from shared.projection.services import project_endpoint_slice, project_service

__all__ = [
    "BUCKETS",
    "DEFAULT_BACKEND",
    "DEFAULT_CERTIFICATE",
    "DEFAULT_SECRET",
    "DEFAULT_TLS_ANNOTATION",
    "STATUS_ANNOTATIONS",
    "Projection",
    "fnv1a32",
    "generated_host",
    "load_balancer_status",
    "passes_through",
    "project_endpoint_slice",
    "project_ingress",
    "project_ingress_class",
    "project_namespace",
    "project_node",
    "project_secret",
    "project_service",
    "tls_by_default",
]

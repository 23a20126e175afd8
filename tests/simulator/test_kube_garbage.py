"""Whatever stands in whichever field: the answer is an object or a Status, never a failure of the emulator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.kube_world import (
    APPLY_PATCH,
    INGRESSES,
    MERGE_PATCH,
    RED,
    SLICES,
    STRATEGIC_PATCH,
    Api,
    cluster,
    crd,
    ingress,
    service,
)

GARBAGE: tuple[Any, ...] = (None, "x", 7, True, [], {}, [None], [{"a": 1}], -1, 1.5)
NODE = {
    "metadata": {"name": "n", "labels": {"a": "b"}},
    "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "conditions": [{"type": "Ready"}]},
}
SLICE = {
    "metadata": {"name": "s"},
    "addressType": "IPv4",
    "ports": [{"port": 1}],
    "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}],
}
SECRET = {"metadata": {"name": "s", "finalizers": ["a/b"]}, "type": "Opaque", "data": {"a": "eA=="}}
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def spoilt(value: Any) -> Iterator[Any]:
    """Copies of `value`, each with garbage in one place."""
    if isinstance(value, dict | list):
        for place in value if isinstance(value, dict) else range(len(value)):
            for part in (*GARBAGE, *spoilt(value[place])):
                changed = copy.copy(value)
                changed[place] = part
                yield changed


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with cluster() as api:
        yield api


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INGRESSES, ingress()),
        (f"{RED}/services", service(ports=[{"name": "a", "port": 1}], selector={"a": "b"})),
        (SLICES, SLICE),
        (f"{RED}/secrets", SECRET),
        ("/api/v1/nodes", NODE),
        (DEFINITIONS, crd()),
    ],
)
def test_garbage_in_every_field(api: Api, path: str, body: dict[str, Any]) -> None:
    """Creating and patching with one spoilt field is answered below 500, and the list can be shown afterwards."""
    name = body["metadata"]["name"]
    api.post(path, body)
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    kinds = (MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
    for number, bad in enumerate(spoilt(body)):
        where = f"{path}/{name}{'/status' if number % 5 == 0 else ''}?fieldManager=m&dryRun=All"
        for answer in (
            api.call("POST", f"{path}?dryRun=All", bad),
            api.call("PATCH", where, bad, kinds[number % 3]),
        ):
            assert answer.status < 500, f"{bad}: {answer.text}"
        if number % 20 == 0:
            api.patch(f"{path}/{name}", {"metadata": {"labels": {"n": str(number)}}})
            assert api.get(path, **table)["rows"]

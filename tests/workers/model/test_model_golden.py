"""The bodies that the model makes, field by field against those that AKO sent for the same manifests."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.workers.model.world import FACTS, GOLDEN, golden_bodies, golden_world
from workers.model.status import ingress_status, service_status
from workers.model.types import HostVips

CASES = ["01-insecure-v4-sni", "02-secure-sni", "03-dual-vip", "05-v6-calico", "08-evh", "09-lb-v4"]
SHARED_TYPES = ("vrfcontext", "serviceenginegroup")
CHECKSUMS = ("cloud_config_cksum", "vsvip_cloud_config_cksum")


def comparable(type_: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body without what the golden README doesn't compare: checksums, script text, key, and some orders."""
    result = copy.deepcopy(body)
    for field in CHECKSUMS:
        if field in result:
            assert result[field].isdecimal()
            result[field] = "a checksum"
    for script in result.get("datascript", []):
        script["script"] = "a script"
    if type_ == "sslkeyandcertificate":
        result.pop("key", None)
        pem = result["certificate"]["certificate"]
        if not pem.startswith("sha256:"):
            result["certificate"]["certificate"] = "sha256:" + hashlib.sha256(pem.strip().encode()).hexdigest()
    for field in ("servers", "members", "dns_info", "markers", "services"):
        if field in result:
            result[field] = sorted(result[field], key=lambda each: json.dumps(each, sort_keys=True))
    for marker in result.get("markers", []):
        marker["values"] = sorted(marker["values"])
    return result


Bodies = dict[tuple[str, str], dict[str, Any]]


def ours_of(case: str) -> Bodies:
    """What the model makes of the case's manifests, ready to compare."""
    objects, problems, _ = golden_world(case).everything()
    assert problems == []
    bodies = {(each.type, each.name): comparable(each.type, each.body) for each in objects}
    assert len(bodies) == len(objects)
    return bodies


def theirs_of(case: str) -> Bodies:
    """What AKO sent, ready to compare."""
    golden = golden_bodies(case)
    return {key: comparable(key[0], body) for key, body in golden.items() if key[0] not in SHARED_TYPES}


def without_one_field(bodies: Bodies) -> Iterator[tuple[str, Bodies]]:
    """Every copy of the bodies that lacks one field or list entry, at any depth."""
    for key, body in bodies.items():
        for path in _field_paths(body, ()):
            changed = copy.deepcopy(body)
            at: Any = changed
            for step in path[:-1]:
                at = at[step]
            del at[path[-1]]
            yield f"{key} {path}", {**bodies, key: changed}


def _field_paths(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for field, inner in value.items():
            yield (*path, field)
            yield from _field_paths(inner, (*path, field))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _field_paths(inner, (*path, number))


@pytest.mark.parametrize("case", CASES)
def test_every_golden_object_is_made_with_every_field_and_no_other(case: str) -> None:
    """The model makes the very objects that AKO sent, equal in every field that is compared."""
    assert ours_of(case) == theirs_of(case)


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_taken_out_of_a_golden_body_is_noticed(case: str) -> None:
    """The comparison above is sharp: without any one golden field, entry or object it fails."""
    ours, theirs = ours_of(case), theirs_of(case)
    tried = 0
    for what, changed in without_one_field(theirs):
        tried += 1
        assert ours != changed, f"{what} is not compared"
    assert tried > 100
    for key in theirs:
        assert ours != {other: body for other, body in theirs.items() if other != key}


@pytest.mark.parametrize("case", CASES)
def test_routes_and_label_are_those_of_the_golden_case(case: str) -> None:
    """The static routes equal AKO's but for their ids and order, and the SE group gets the same label."""
    bodies = golden_bodies(case)
    _, _, (routes, segroup) = golden_world(case).everything()

    def sortable(route: dict[str, Any]) -> str:
        return json.dumps({field: route[field] for field in route if field != "route_id"}, sort_keys=True)

    (part,) = routes.shared
    golden = bodies["vrfcontext", "global"]["static_routes"]
    assert (part.type, part.tenant, part.name, part.field) == ("vrfcontext", "admin", "global", "static_routes")
    assert sorted(map(sortable, part.entries)) == sorted(map(sortable, golden))
    assert all(set(route) == set(golden[0]) for route in part.entries)
    (label,) = segroup.shared
    assert list(label.entries) == bodies["serviceenginegroup", "Default-Group"]["labels"]


@pytest.mark.parametrize("case", [case for case in CASES if case != "09-lb-v4"])
def test_statuses_are_those_of_the_golden_case(case: str) -> None:
    """Given the addresses and uuids of the golden run, each Ingress gets AKO's status and annotations."""
    world = golden_world(case)
    golden = json.loads((GOLDEN / case / "k8s-status.json").read_text())
    assert world.of("Ingress")
    for id_, ingress in world.of("Ingress").items():
        annotations = golden[f"ingress/{id_}"]["annotations"]
        rows = golden[f"ingress/{id_}"]["status"]["loadBalancer"]["ingress"]
        vips = {}
        for host, uuid in json.loads(annotations["ako.vmware.com/host-fqdn-vs-uuid-map"]).items():
            addresses = [row["ip"] for row in rows if row["hostname"] == host]
            v4, v6 = (tuple(each for each in addresses if (":" in each) is six) for six in (False, True))
            vips[host] = HostVips(uuid, "vs", v4, v6)
        facts = replace(FACTS, cluster_uuid=annotations["ako.vmware.com/controller-cluster-uuid"])
        status = ingress_status(ingress, vips, world.settings, facts)
        assert status == {"ingress": rows, "annotations": annotations}


def test_statuses_of_services_are_those_of_the_golden_case() -> None:
    """Given the addresses and uuids of the golden run, each Service gets AKO's status and annotations."""
    world = golden_world("09-lb-v4")
    golden = json.loads((GOLDEN / "09-lb-v4" / "k8s-status.json").read_text())
    for id_ in ("red/lb1", "red/lb2", "red/udp1"):
        annotations = golden[f"service/{id_}"]["annotations"]
        rows = [
            {name: row[name] for name in ("ip", "hostname")}
            for row in golden[f"service/{id_}"]["status"]["loadBalancer"]["ingress"]
        ]
        served = (world.services(f"lb:{id_}").services or {})[id_]
        assert served is not None
        (uuid,) = json.loads(annotations["ako.vmware.com/host-fqdn-vs-uuid-map"]).values()
        facts = replace(FACTS, cluster_uuid=annotations["ako.vmware.com/controller-cluster-uuid"])
        row = {"addresses": [row["ip"] for row in rows], "names": served.names, "uuid": uuid}
        assert service_status(row, facts, "admin") == {"ingress": rows, "annotations": annotations}

"""What is kept of a Kubernetes object, how it is woven into the indexes, and that nothing a user writes breaks it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.certificates import look
from shared.kinds import KINDS, fnv1a32, kinds_for
from shared.settings.model import ServiceType
from tests import pems
from tests.workers.model.world import PROJECT, block, endpoint_slice, ingress, node, secret, service, settings

LOCAL_KINDS = kinds_for(settings(service_type=ServiceType.NODE_PORT_LOCAL, cni_plugin="antrea"))
LOCAL = {kind.name: kind.project for kind in LOCAL_KINDS}


def test_hash_is_fnv1a_of_32_bits() -> None:
    """The hash gives the published numbers, so a host is met again on AKO's shard."""
    expected = {
        "foo.com": 1101858200,
        "bar.com": 1912621137,
        "baz.com": 242556329,
        "voo.com": 162261832,
        "foo.avi.com": 2260435100,
        "foo.com.avi.internal": 623673227,
    }
    assert {host: fnv1a32(host) for host in expected} == expected


def test_ingress_is_indexed_under_everything_its_hosts_depend_on() -> None:
    """Each host's work key is found by host, Service, Secret, namespace, class and bucket; the status by itself."""
    projection = PROJECT["Ingress"](ingress(tls="foo-tls"))
    member = "host:foo.example.com Ingress/red/ing1"
    bucket = fnv1a32("foo.example.com") % 8
    refs = ["Host/foo.example.com", f"Bucket/{bucket}", "Namespace/red", "IngressClass/avi-lb", "Service/red/web"]
    assert set(projection.index) == {(ref, member) for ref in [*refs, "Secret/red/foo-tls"]}
    assert projection.marks == ("host:foo.example.com", "status:Ingress/red/ing1")
    assert projection.id == "red/ing1"
    assert projection.touches == ("Fqdn/foo.example.com",)


def test_ingress_body_has_the_agreed_fields() -> None:
    """The body holds what the model reads and nothing else."""
    obj = ingress(tls="foo-tls")
    obj["metadata"]["annotations"] = {"ako.vmware.com/enable-tls": "false", "other": "x"}
    assert PROJECT["Ingress"](obj).body == {
        "ns": "red",
        "name": "ing1",
        "uid": "uid-ing1",
        "created": "2026-01-01T00:00:00Z",
        "class": "avi-lb",
        "annotations": {"ako.vmware.com/enable-tls": "false"},
        "rules": [
            {
                "host": "foo.example.com",
                "paths": [{"path": "/", "type": "Prefix", "service": "web", "port": 80}],
            }
        ],
        "tls": [{"hosts": ["foo.example.com"], "secret": "foo-tls"}],
        "deleting": False,
    }


def test_own_status_and_annotations_are_no_part_of_the_body() -> None:
    """What we write ourselves changes the status part alone, so it does not make the host run again."""
    before = PROJECT["Ingress"](ingress())
    obj = ingress()
    obj["status"] = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "hostname": "foo.example.com", "ports": []}]}}
    obj["metadata"]["annotations"] = {"ako.vmware.com/tenant-name": "admin"}
    after = PROJECT["Ingress"](obj)
    assert before.body == after.body
    assert after.status == {
        "ingress": [{"ip": "10.0.0.1", "hostname": "foo.example.com"}],
        "annotations": {"ako.vmware.com/tenant-name": "admin"},
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ({"path": "foo"}, "does not begin with /"),
        ({"path": 3}, "does not begin with /"),
        ({"path": "/a\ud800"}, "can't be printed"),
        ({"path": "/", "backend": {"resource": {"kind": "Bucket"}}}, "must be a Service"),
        ({"path": "/", "backend": {"service": {"name": "a b", "port": {"number": 80}}}}, "names no Service"),
        ({"path": "/", "backend": {"service": {"name": "web"}}}, "neither a port number nor a port name"),
        ({"path": "/", "backend": None}, "names no Service"),
    ],
)
def test_a_malformed_path_is_left_out_and_named(path: dict[str, Any], said: str) -> None:
    """A path that can't be read is described on its rule; the other paths are kept."""
    body = PROJECT["Ingress"](ingress(paths=[path, "/ok"])).body
    (rule,) = body["rules"]
    assert [each["path"] for each in rule["paths"]] == ["/ok"]
    assert "spec.rules[0].http.paths[0]" in rule["bad"]
    assert said in rule["bad"]


@pytest.mark.parametrize("host", ["Foo.example.com", "a b.example.com", "a/b", "foo..com", "-a.com", 7, "*", "a" * 254])
def test_a_host_that_is_no_dns_name_is_left_out_and_named(host: Any) -> None:
    """A rule with a malformed host makes no work key; the rest of the Ingress is kept."""
    obj = ingress()
    obj["spec"]["rules"].insert(0, {"host": host, "http": obj["spec"]["rules"][0]["http"]})
    projection = PROJECT["Ingress"](obj)
    assert projection.marks == ("host:foo.example.com", "status:Ingress/red/ing1")
    assert "spec.rules[0]" in projection.body["bad"][0]


def test_a_rule_without_host_is_indexed_by_the_host_that_is_made_of_its_name() -> None:
    """The host ends in a dot, behind which the cloud's domain belongs; its bucket is not known."""
    obj = ingress()
    del obj["spec"]["rules"][0]["host"]
    projection = PROJECT["Ingress"](obj)
    assert projection.marks == ("host:ing1.red.", "status:Ingress/red/ing1")
    refs = {ref for ref, member in projection.index if member == "host:ing1.red. Ingress/red/ing1"}
    assert refs >= {"Hostless", "Host/ing1.red.", "Namespace/red", "Service/red/web"}
    assert not [ref for ref in refs if ref.startswith("Bucket/")]


def test_a_default_backend_becomes_the_last_path_of_every_rule() -> None:
    """Also of a rule without paths, and of one without host where there is no rule at all."""
    obj = ingress(defaultBackend={"service": {"name": "rest", "port": {"number": 80}}})
    obj["spec"]["rules"].append({"host": "bar.example.com"})
    default = {"path": "", "type": "DefaultBackend", "service": "rest", "port": 80}
    rules = PROJECT["Ingress"](obj).body["rules"]
    assert [rule["paths"][-1] for rule in rules] == [default, default]
    del obj["spec"]["rules"]
    assert PROJECT["Ingress"](obj).body["rules"] == [{"host": "", "paths": [default]}]


def test_a_backend_that_is_no_service_is_left_out_and_named() -> None:
    """A resource, in a path or as the default backend, is told apart from a missing name."""
    resource = {"resource": {"kind": "StorageBucket", "name": "static"}}
    obj = ingress(defaultBackend=resource)
    obj["spec"]["rules"][0]["http"]["paths"].append({"path": "/x", "backend": resource})
    body = PROJECT["Ingress"](obj).body
    assert "spec.defaultBackend: a backend must be a Service" in body["bad"][0]
    assert "paths[1]: a backend must be a Service" in body["rules"][0]["bad"]


def test_service_and_slice_touch_the_same_ref() -> None:
    """A Service and its slices wake whoever has the Service as a backend; the slice is found by its Service."""
    assert PROJECT["Service"](service()).touches == ("Service/red/web",)
    projection = PROJECT["EndpointSlice"](endpoint_slice(["10.0.0.1"]))
    assert projection.touches == ("Service/red/web",)
    assert projection.index == (("Slices/red/web", "- EndpointSlice/red/web-ipv4"),)


@pytest.mark.parametrize(
    ("conditions", "enabled"),
    [
        ({"ready": True}, True),
        ({"ready": True, "terminating": True}, False),
        ({"ready": False, "serving": True}, False),
        ({}, False),
        (None, False),
    ],
)
def test_an_endpoint_is_enabled_when_ready_and_not_terminating(conditions: Any, enabled: bool) -> None:
    """`serving` is not asked, and an unknown readiness is not ready, as with AKO."""
    obj = endpoint_slice([])
    obj["endpoints"] = [{"addresses": ["10.0.0.1", "10.0.0.2"], "conditions": conditions, "nodeName": "n1"}]
    assert PROJECT["EndpointSlice"](obj).body["endpoints"] == [
        {"address": "10.0.0.1", "enabled": enabled, "node": "n1"}
    ]


def test_an_endpoint_without_address_is_left_out_and_named() -> None:
    """An EndpointSlice without addresses breaks nothing and says what is wrong."""
    obj = endpoint_slice(["10.0.0.1"])
    obj["endpoints"] += [{"addresses": []}, {"addresses": None}, {}]
    body = PROJECT["EndpointSlice"](obj).body
    assert len(body["endpoints"]) == 1
    assert len(body["bad"]) == 3


def test_a_secret_leaves_what_its_pairs_are_and_no_value() -> None:
    """Neither a private key nor a certificate's text is in the projection; no alternate pair where there is none."""
    crt, key = pems.pair()
    projection = PROJECT["Secret"](secret(**pems.data(crt, key), **{"alt.crt": ""}))
    found = look(crt.encode(), key.encode())
    assert found["fault"] == ""
    assert projection.body == {"ns": "red", "name": "foo-tls", "certs": {"tls.crt": found}, "rv": "7"}
    assert projection.touches == ("Secret/red/foo-tls",)
    for line in (crt + key).splitlines():
        assert line not in repr(projection)
        assert base64.b64encode(line.encode()).decode() not in repr(projection)


def test_each_pair_of_a_secret_is_judged_by_itself() -> None:
    """A bad alternate pair leaves the first one good, and half a pair is a pair that lacks something."""
    certs = PROJECT["Secret"](secret(**{**pems.two(), "alt.key": pems.data(*pems.pair())["tls.key"]})).body["certs"]
    assert [certs[crt]["fault"] for crt in ("tls.crt", "alt.crt")] == ["", "other-key"]
    certs = PROJECT["Secret"](secret(**{**pems.two(), "alt.key": "", "tls.crt": ""})).body["certs"]
    assert [certs[crt]["fault"] for crt in ("tls.crt", "alt.crt")] == ["no-certificate", "no-key"]


def test_a_new_key_for_the_same_certificate_is_a_change() -> None:
    """The resourceVersion of a TLS Secret is kept, so a corrected private key is noticed."""
    obj = secret()
    before = PROJECT["Secret"](obj)
    obj["metadata"]["resourceVersion"] = "8"
    assert PROJECT["Secret"](obj).body != before.body


def test_other_secrets_concern_nobody() -> None:
    """Of a Secret that is no TLS Secret nothing but the name is kept, whatever happens to it."""
    obj = {**secret(password="eA=="), "type": "Opaque"}
    projection = PROJECT["Secret"](obj)
    assert projection.body == {"ns": "red", "name": "foo-tls", "certs": {}}
    assert projection.touches == ()


@pytest.mark.parametrize(("field", "fault"), [("tls.crt", "certificate"), ("tls.key", "key")])
@pytest.mark.parametrize("value", ["!!", "\u00e9", 7, ["a"], "x" * 9])
def test_what_is_not_base64_is_no_certificate_and_no_key(field: str, fault: str, value: object) -> None:
    """Data that no API server would take makes the pair unusable, and raises nothing."""
    obj = secret(**pems.data(*pems.pair()))
    obj["data"][field] = value
    assert PROJECT["Secret"](obj).body["certs"]["tls.crt"] == {
        "fault": field.removeprefix("tls.").replace("crt", "certificate")
    }


def test_a_node_keeps_internal_addresses_in_order_and_the_pod_networks() -> None:
    """Only InternalIP counts; podCIDR stands in for missing podCIDRs; other annotations are dropped."""
    obj = node("n1", "10.0.0.1", "2001:db8::1", **{"projectcalico.org/IPv4Address": "10.0.0.9/24", "x": "y"})
    obj["status"]["addresses"].insert(0, {"type": "ExternalIP", "address": "1.2.3.4"})
    obj["spec"] = {"podCIDR": "10.244.0.0/24"}
    projection = PROJECT["Node"](obj)
    assert projection.body == {
        "name": "n1",
        "addresses": ["10.0.0.1", "2001:db8::1"],
        "pod_cidrs": ["10.244.0.0/24"],
        "annotations": {"projectcalico.org/IPv4Address": "10.0.0.9/24"},
        "labels": {},
        "leaving": False,
    }
    assert projection.marks == ("change:Node/n1",)
    obj["metadata"]["labels"] = {"pool": "a", "odd": 7}
    obj["spec"]["taints"] = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]
    body = PROJECT["Node"](obj).body
    assert (body["labels"], body["leaving"]) == ({"pool": "a"}, True)


def test_wide_kinds_mark_a_change_key() -> None:
    """Cluster-wide kinds are expanded later, so they mark only a change key; those of CNIs that of their node."""
    assert PROJECT["Namespace"]({"metadata": {"name": "red"}}).marks == ("change:Namespace/red",)
    assert PROJECT["IngressClass"]({"metadata": {"name": "avi-lb"}}).marks == ("change:IngressClass/avi-lb",)
    projection = PROJECT["BlockAffinity"](block("b1", "n1", "10.0.0.0/26", deleted="true"))
    assert projection.marks == ("change:Node/n1",)
    assert projection.body == {"name": "b1", "node": "n1", "cidr": "10.0.0.0/26", "deleted": True, "state": ""}
    cilium = {"metadata": {"name": "n1"}, "spec": {"ipam": {"podCIDRs": ["10.0.0.0/24", 7, ""]}}}
    assert PROJECT["CiliumNode"](cilium).body == {"name": "n1", "node": "n1", "pod_cidrs": ["10.0.0.0/24"]}
    assert PROJECT["CiliumNode"](cilium).marks == ("change:Node/n1",)
    subnet = PROJECT["HostSubnet"]({"metadata": {"name": "h"}, "host": "n1", "subnet": "10.0.0.0/23"})
    assert subnet.body == {"name": "h", "node": "n1", "subnet": "10.0.0.0/23"}
    assert subnet.marks == ("change:Node/n1",)


@pytest.mark.parametrize(
    ("cni", "kind"), [("calico", "BlockAffinity"), ("cilium", "CiliumNode"), ("openshift", "HostSubnet"), ("", "")]
)
def test_the_kind_of_a_cni_is_watched_with_that_cni_only(cni: str, kind: str) -> None:
    """An optional kind is asked for only where it exists."""
    assert {each.name for each in kinds_for(settings(cni_plugin=cni)) if each.optional} == ({kind} - {""})
    assert [each for each in kinds_for(settings(cni_plugin=cni)) if not each.optional] == [
        each for each in KINDS if not each.optional and each.name != "Pod"
    ]


def local_pod(**status: Any) -> dict[str, Any]:
    """A pod as Antrea annotates it."""
    entry = '{"podPort":8080,"nodeIP":"10.50.0.1","nodePort":61000,"protocol":"tcp","protocols":["tcp"]}'
    labels = {"app": "web", "tier": "front"}
    meta: dict[str, Any] = {"name": "a", "namespace": "red", "uid": "u1", "resourceVersion": "1", "labels": labels}
    spec = {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]}
    conditions = [{"type": "Ready", "status": "True", "lastProbeTime": None}]
    annotations = {"nodeportlocal.antrea.io": f"[{entry}]"}
    return {
        "metadata": {**meta, "annotations": annotations},
        "spec": spec,
        "status": {"conditions": conditions, **status},
    }


def test_pods_are_watched_for_node_port_local_only() -> None:
    """Before the Ingresses; Services and Ingresses keep more in that mode, and the plain kinds are as they were."""
    local = list(LOCAL)
    assert [name for name in local if name != "Pod"] == [kind.name for kind in kinds_for(settings(cni_plugin="antrea"))]
    assert local.index("Pod") < local.index("Ingress")
    for service_type in (ServiceType.CLUSTER_IP, ServiceType.NODE_PORT):
        assert set(kinds_for(settings(service_type=service_type))) < set(KINDS)


def test_a_pod_keeps_what_decides_about_servers_and_a_heartbeat_changes_nothing() -> None:
    """It is indexed under its labels and touches whoever selects one of them."""
    projection = LOCAL["Pod"](local_pod(phase="Running", podIP="10.244.0.9"))
    assert projection.body == {
        "ns": "red",
        "name": "a",
        "uid": "u1",
        "enabled": True,
        "ports": [{"ip": "10.50.0.1", "port": 61000, "pod_port": 8080, "protocols": ["TCP"]}],
        "named": {"http": {"TCP": 8080}},
    }
    assert projection.index == (("Pods/red/app=web", "- Pod/red/a"), ("Pods/red/tier=front", "- Pod/red/a"))
    assert (projection.marks, projection.touches) == ((), ("Selects/red/app=web", "Selects/red/tier=front"))
    beating = local_pod(phase="Running", startTime="2026-01-01T00:00:00Z")
    beating["status"]["conditions"][0]["lastProbeTime"] = "2026-01-01T00:00:10Z"
    beating["metadata"]["resourceVersion"] = "2"
    assert LOCAL["Pod"](beating) == projection


def test_a_pod_without_ports_touches_nobody() -> None:
    """Antrea has given it nothing, or it has ended: its name is all that is kept."""
    plain = local_pod()
    del plain["metadata"]["annotations"]
    for obj in (plain, local_pod(phase="Succeeded"), local_pod(phase="Failed")):
        projection = LOCAL["Pod"](obj)
        assert (projection.body, projection.index, projection.touches) == ({"ns": "red", "name": "a"}, (), ())


def test_a_service_is_found_by_its_selector_and_by_who_may_annotate_it() -> None:
    """It stands under one pair; without the annotation it touches the statuses of the Ingresses that name it."""
    obj = service(selector={"tier": "front", "app": "web"})
    projection = LOCAL["Service"](obj)
    plain = PROJECT["Service"](obj)
    assert projection.body == {**plain.body, "selector": ["app=web", "tier=front"], "asked": False}
    assert projection.index == (("Selects/red/app=web", "- Service/red/web"),)
    assert projection.touches == ("Service/red/web", "Asks/red/web")
    obj["metadata"]["annotations"] = {"nodeportlocal.antrea.io/enabled": "false"}
    assert LOCAL["Service"](obj).touches == plain.touches
    assert LOCAL["Service"](service()).index == ()
    asking = LOCAL["Ingress"](ingress())
    assert set(asking.index) - set(PROJECT["Ingress"](ingress()).index) == {
        ("Asks/red/web", "status:Ingress/red/ing1 Ingress/red/ing1")
    }
    assert asking.marks == PROJECT["Ingress"](ingress()).marks


FIELDS = [
    "metadata",
    "spec",
    "data",
    "addressType",
    "endpoints",
    "ports",
    "rules",
    "tls",
    "http",
    "paths",
    "path",
    "backend",
    "service",
    "host",
    "name",
    "annotations",
    "ipFamilies",
    "podCIDRs",
    "status",
    "addresses",
    "loadBalancer",
    "ingress",
    "conditions",
    "labels",
    "secretName",
    "hosts",
    "type",
    "cidr",
    "node",
    "selector",
    "containers",
    "initContainers",
    "nodeportlocal.antrea.io",
]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "/", "a", "10.0.0.1", "kubernetes.io/tls", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=20,
)


PROJECTIONS: dict[str, Any] = {kind.project.__name__: kind.project for kind in (*KINDS, *LOCAL_KINDS)}


@pytest.mark.parametrize("name", PROJECTIONS)
@examples(deadline=None)
@given(obj=st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=6))
def test_no_object_breaks_a_projection(name: str, obj: dict[str, Any]) -> None:
    """Whatever is under the known field names, the projection is made and fits into JSON."""
    projection = PROJECTIONS[name](obj)
    json.dumps(projection.body)
    assert all(" " in member for _, member in projection.index)

"""What the API server adds to objects and what it refuses, kind by kind."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.kube_world import INGRESSES, RED, SLICES, Api, cluster, ingress, lease, service

SERVICES = f"{RED}/services"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


@pytest.fixture
def api() -> Iterator[Api]:
    with cluster() as api:
        yield api


def spec_of(api: Api, **spec: Any) -> dict[str, Any]:
    return dict(api.post(SERVICES, service(**spec))["spec"])


def test_a_plain_service(api: Api) -> None:
    """A Service that says only a port gets everything else, in the cluster's first family."""
    spec = spec_of(api)
    address = spec.pop("clusterIP")
    assert address.startswith("10.96.")
    assert spec == {
        "type": "ClusterIP",
        "clusterIPs": [address],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }


@pytest.mark.parametrize(
    ("name", "spec", "families", "policy"),
    [
        ("single", {"ipFamilyPolicy": "SingleStack"}, ["IPv4"], "SingleStack"),
        ("single v6", {"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
        ("prefer", {"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
        ("require", {"ipFamilyPolicy": "RequireDualStack"}, ["IPv4", "IPv6"], "RequireDualStack"),
        ("v6 first", {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}, ["IPv6", "IPv4"],
         "RequireDualStack"),
        ("by address", {"clusterIP": "fd00:10:96::77"}, ["IPv6"], "SingleStack"),
        ("headless", {"clusterIP": "None", "selector": {"a": "b"}}, ["IPv4"], "SingleStack"),
        ("headless alone", {"clusterIP": "None"}, ["IPv4", "IPv6"], "RequireDualStack"),
    ],
)  # fmt: skip
def test_families_of_a_service(api: Api, name: str, spec: dict[str, Any], families: list[str], policy: str) -> None:
    """Families and addresses follow from the policy, the families and the addresses that are given."""
    found = spec_of(api, **spec)
    assert (found["ipFamilies"], found["ipFamilyPolicy"]) == (families, policy), name
    if found["clusterIP"] == "None":
        assert found["clusterIPs"] == ["None"]
    else:
        assert ["IPv6" if ":" in text else "IPv4" for text in found["clusterIPs"]] == families


@pytest.mark.parametrize(
    ("families", "spec", "wanted"),
    [
        (("IPv4",), {"ipFamilyPolicy": "PreferDualStack"}, ["IPv4"]),
        (("IPv6",), {}, ["IPv6"]),
        (("IPv6", "IPv4"), {}, ["IPv6"]),
        (("IPv6", "IPv4"), {"ipFamilyPolicy": "PreferDualStack"}, ["IPv6", "IPv4"]),
        (("IPv4",), {"ipFamilyPolicy": "RequireDualStack"}, "Cluster is not configured for dual-stack"),
        (("IPv4",), {"ipFamilies": ["IPv6"]}, 'spec.ipFamilies[0]: Invalid value: "IPv6": not configured'),
    ],
)
def test_families_of_a_cluster(families: tuple[str, ...], spec: dict[str, Any], wanted: Any) -> None:
    """A cluster's families decide what a Service gets and may ask for."""
    with cluster(families=families) as api:
        answer = api.call("POST", SERVICES, service(**spec))
        if isinstance(wanted, str):
            assert (answer.status, wanted in answer["message"]) == (422, True), answer.text
        else:
            assert answer["spec"]["ipFamilies"] == wanted


def test_node_ports(api: Api) -> None:
    """NodePort and LoadBalancer Services get ports that nobody has and keep them; freed ones can be had again."""
    first = spec_of(api, type="NodePort", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}])
    taken = [port["nodePort"] for port in first["ports"]]
    assert len({*taken}) == 2
    assert all(30000 <= port <= 32767 for port in taken)
    assert first["externalTrafficPolicy"] == "Cluster"
    clash = service("other", type="NodePort", ports=[{"port": 80, "nodePort": taken[0]}])
    assert "already allocated" in api.call("POST", SERVICES, clash)["message"]
    again = service(type="LoadBalancer", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}])
    kept = api.put(f"{SERVICES}/web", again)["spec"]
    assert [port["nodePort"] for port in kept["ports"]] == taken
    assert (kept["clusterIP"], kept["allocateLoadBalancerNodePorts"]) == (first["clusterIP"], True)
    api.delete(f"{SERVICES}/web")
    assert api.post(SERVICES, clash)["spec"]["ports"][0]["nodePort"] == taken[0]


def test_a_service_keeps_its_addresses(api: Api) -> None:
    """A PUT without addresses keeps them; another one is refused; a second family comes and goes with the policy."""
    before = spec_of(api)
    assert api.put(f"{SERVICES}/web", service())["spec"] == before
    changed = api.call("PUT", f"{SERVICES}/web", service(clusterIP="10.96.7.7"))
    assert (changed.status, "may not change once set" in changed["message"]) == (422, True)
    both = api.patch(f"{SERVICES}/web", {"spec": {"ipFamilyPolicy": "PreferDualStack"}})["spec"]
    assert both["ipFamilies"] == ["IPv4", "IPv6"]
    assert both["clusterIPs"][0] == before["clusterIP"]
    assert api.patch(f"{SERVICES}/web", {"spec": {"ipFamilyPolicy": "SingleStack"}})["spec"] == before


def test_the_status_of_a_load_balancer(api: Api) -> None:
    """An address in a Service's status gets its ipMode, as the real server adds it."""
    spec_of(api, type="LoadBalancer")
    status = {"loadBalancer": {"ingress": [{"ip": "10.10.0.1", "hostname": "a.example.com"}]}}
    new = api.patch(f"{SERVICES}/web/status", {"status": status})
    assert new["status"]["loadBalancer"]["ingress"] == [
        {"ip": "10.10.0.1", "hostname": "a.example.com", "ipMode": "VIP"}
    ]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2}]}, "spec.ports[0].name: Required value"),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}, 'spec.ports[1].name: Duplicate value: "a"'),
        ({"ports": [{"port": 1, "protocol": "tcp"}]}, "spec.ports[0].protocol: Unsupported value"),
        ({"type": "Other"}, 'spec.type: Unsupported value: "Other"'),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        ({"clusterIP": "10.1.2.3"}, "not in the valid range"),
        ({"clusterIP": "ten"}, "must be a valid IP address"),
        ({"ipFamilies": ["IPv4", "IPv6"]}, "must be 'RequireDualStack' or 'PreferDualStack'"),
        ({"ipFamilies": ["IPv5"]}, "spec.ipFamilies[0]: Unsupported value"),
        ({"ipFamilyPolicy": "Both"}, "spec.ipFamilyPolicy: Unsupported value"),
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}, "spec.ports[0].nodePort: Invalid value: 80"),
    ],
)
def test_what_is_no_service(api: Api, spec: dict[str, Any], text: str) -> None:
    """A Service that cannot be is 422 with the field and the real server's words."""
    answer = api.call("POST", SERVICES, service(**spec))
    assert answer.status == 422, answer.text
    assert text in answer["message"]
    assert answer["message"].startswith('Service "web" is invalid')


def test_addresses_are_unique(api: Api) -> None:
    """A given cluster address is taken once; the ones that are chosen go round it."""
    spec_of(api, clusterIP="10.96.0.10")
    clash = api.call("POST", SERVICES, service("b", clusterIP="10.96.0.10"))
    assert "already allocated" in clash["message"]
    assert api.post(SERVICES, service("c"))["spec"]["clusterIP"] != "10.96.0.10"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pathType": None}, "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"),
        ({"pathType": "Regex"}, "pathType: Unsupported value"),
        ({"path": "x"}, "must be an absolute path"),
        ({"backend": {}}, "backend: Required value"),
        ({"backend": {"service": {"name": "web"}}}, "service.port: Required value"),
        ({"backend": {"service": {"name": "", "port": {"number": 80}}}}, "service.name: Required value"),
        ({"backend": {"service": {"name": "web", "port": {"number": 99999}}}}, "port.number: Invalid value: 99999"),
    ],
)
def test_what_is_no_ingress(api: Api, change: dict[str, Any], text: str) -> None:
    """An Ingress path that cannot be is 422, on creation and on change."""
    answer = api.call("POST", INGRESSES, ingress(**change))
    assert answer.status == 422, answer.text
    assert text in answer["message"]
    api.post(INGRESSES, ingress())
    patch = {"spec": ingress(**change)["spec"]}
    assert api.call("PATCH", f"{INGRESSES}/ing", patch, "application/merge-patch+json").status == 422


@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::1", "Upper.example.com", "a..b", "*.*.example.com", "*"])
def test_what_is_no_host(api: Api, host: str) -> None:
    """A host of a rule is a DNS name or a wildcard for one label."""
    assert api.call("POST", INGRESSES, ingress(host=host)).status == 422
    assert api.call("POST", INGRESSES, ingress(host="*.example.com")).status == 201


def test_an_ingress_without_anything_is_refused(api: Api) -> None:
    """It needs rules or a default backend; the wrong type of a field is 400."""
    assert api.call("POST", INGRESSES, {**ingress(), "spec": {}}).status == 422
    wrong = api.call("POST", INGRESSES, {**ingress(), "spec": {"rules": [{"http": "no"}]}})
    assert (wrong.status, "Ingress.spec.rules.http" in wrong["message"]) == (400, True)


def test_the_default_class(api: Api) -> None:
    """A new Ingress without a class gets the default one; one that names its class, or is older, does not."""
    api.post(INGRESSES, ingress("older"))
    default = {"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    spec = {"controller": "ako.vmware.com/avi-lb", "parameters": {"kind": "AviInfraSetting", "name": "x"}}
    made = api.post(CLASSES, {"metadata": {"name": "avi-lb", **default}, "spec": spec})
    assert made["spec"]["parameters"]["scope"] == "Cluster"
    assert api.post(INGRESSES, ingress("new"))["spec"]["ingressClassName"] == "avi-lb"
    named = ingress("named")
    named["spec"]["ingressClassName"] = "nginx"
    assert api.post(INGRESSES, named)["spec"]["ingressClassName"] == "nginx"
    old = ingress("old-style")
    old["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    assert "ingressClassName" not in api.post(INGRESSES, old)["spec"]
    assert "ingressClassName" not in api.patch(f"{INGRESSES}/older", {"metadata": {"labels": {"a": "b"}}})["spec"]


def test_secrets(api: Api) -> None:
    """stringData becomes data, the type Opaque; a TLS Secret needs both parts; data must be base64."""
    path = f"{RED}/secrets"
    made = api.post(path, {"metadata": {"name": "s"}, "stringData": {"a": "x"}, "data": {"b": "eQ=="}})
    assert (made["type"], made["data"]) == ("Opaque", {"a": base64.b64encode(b"x").decode(), "b": "eQ=="})
    assert "stringData" not in made
    tls = {"metadata": {"name": "t"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "eA=="}}
    assert "data[tls.key]: Required value" in api.call("POST", path, tls)["message"]
    assert api.call("POST", path, {"metadata": {"name": "u"}, "data": {"a": "not base64!"}}).status == 400
    assert api.call("PATCH", f"{path}/s", {"type": "x/y"}, "application/merge-patch+json").status == 422


def test_nodes(api: Api) -> None:
    """podCIDR and podCIDRs follow from each other and stay once set."""
    nodes = "/api/v1/nodes"
    assert api.post(nodes, {"metadata": {"name": "a"}, "spec": {"podCIDR": "10.1.0.0/24"}})["spec"]["podCIDRs"] == [
        "10.1.0.0/24"
    ]
    both = ["10.2.0.0/24", "2001:db8:2::/64"]
    assert api.post(nodes, {"metadata": {"name": "b"}, "spec": {"podCIDRs": both}})["spec"]["podCIDR"] == both[0]
    assert api.post(nodes, {"metadata": {"name": "c"}})["spec"] == {}
    api.patch(f"{nodes}/c", {"spec": {"podCIDRs": both}})
    changed = api.call("PATCH", f"{nodes}/c", {"spec": {"podCIDRs": both[:1]}}, "application/merge-patch+json")
    assert changed.status == 422


def test_endpoint_slices(api: Api) -> None:
    """A slice needs a type, addresses of that family and at least one per endpoint; ports default to TCP."""
    body = {"metadata": {"name": "s"}, "addressType": "IPv6", "ports": [{"port": 8080}],
            "endpoints": [{"addresses": ["2001:db8::1"]}]}  # fmt: skip
    assert api.post(SLICES, body)["ports"] == [{"port": 8080, "name": "", "protocol": "TCP"}]
    for change in ({"addressType": None}, {"addressType": "IPX"}, {"addressType": "IPv4"}, {"endpoints": [{}]}):
        assert api.call("POST", SLICES, {**body, "metadata": {"name": "t"}, **change}).status == 422, change


def test_other_kinds(api: Api) -> None:
    """A namespace is active and labelled with its name, a pod pending, an Event in its object's namespace."""
    space = api.get("/api/v1/namespaces/red")
    assert (space["status"], space["metadata"]["labels"]) == (
        {"phase": "Active"},
        {"kubernetes.io/metadata.name": "red"},
    )
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert api.post(f"{RED}/pods", pod)["status"] == {"phase": "Pending"}
    assert api.call("POST", f"{RED}/pods", {"metadata": {"name": "q"}}).status == 422
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Ingress", "name": "i", "namespace": "blue"}}
    assert api.call("POST", f"{RED}/events", event).status == 422
    wrong = lease("a")
    wrong["spec"]["leaseDurationSeconds"] = 0
    assert api.call("POST", "/apis/coordination.k8s.io/v1/namespaces/red/leases", wrong).status == 422

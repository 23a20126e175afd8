"""What good settings become, from a file, from the environment or both, and what is said about what is not served."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.errors import SettingsError
from shared.settings import AutoFqdn, IpFamily, ServiceType, Settings, ShardSize, load

REQUIRED = {
    "CLUSTER_NAME": "peer",
    "CTRL_IPADDRESS": "10.1.1.5",
    "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16"}]',
}

# AKO's published chart: every key with its default, beside the three that every site must write.
CHART = """
replicaCount: 1
image: {repository: registry.example.com/ako, pullPolicy: IfNotPresent, pullSecrets: []}
GatewayAPI: {image: {repository: registry.example.com/gw, pullPolicy: IfNotPresent}}
featureGates: {GatewayAPI: false, EnablePrometheus: false}
AKOSettings:
  primaryInstance: true
  enableEvents: "true"
  logLevel: WARN
  fullSyncFrequency: "1800"
  apiServerPort: 8080
  deleteConfig: "false"
  disableStaticRouteSync: "false"
  clusterName: my-cluster
  cniPlugin: ""
  enableEVH: false
  layer7Only: false
  namespaceSelector: {labelKey: "", labelValue: ""}
  servicesAPI: false
  vipPerNamespace: "false"
  istioEnabled: false
  blockedNamespaceList: []
  ipFamily: ""
  useDefaultSecretsOnly: "false"
  vpcMode: false
NetworkSettings:
  nodeNetworkList: []
  enableRHI: false
  nsxtT1LR: ""
  bgpPeerLabels: []
  vipNetworkList:
    - networkName: net1
  defaultDomain: ""
L7Settings:
  defaultIngController: "true"
  noPGForSNI: false
  serviceType: ClusterIP
  shardVSSize: LARGE
  passthroughShardSize: SMALL
  enableMCI: "false"
  fqdnReusePolicy: InterNamespaceAllowed
L4Settings: {defaultLBController: "true", defaultDomain: "", autoFQDN: default}
ControllerSettings:
  serviceEngineGroupName: Default-Group
  controllerVersion: ""
  cloudName: Default-Cloud
  controllerHost: 10.1.1.5
  tenantName: admin
  vrfName: ""
  dedicatedTenantMode: false
nodePortSelector: {key: "", value: ""}
resources: {limits: {cpu: 350m, memory: 400Mi}, requests: {cpu: 200m, memory: 300Mi}}
securityContext: {}
podSecurityContext: {}
rbac: {pspEnable: false}
avicredentials: {username: null, password: null, authtoken: null, certificateAuthorityData: null}
persistentVolumeClaim: ""
mountPath: /log
logFile: avi.log
akoGatewayLogFile: avi-gw.log
ako-crd-operator:
  enabled: true
  controllerManager:
    container:
      image: {repository: registry.example.com/crd, imagePullPolicy: IfNotPresent, pullSecrets: []}
      resources: {limits: {cpu: 256m, memory: 128Mi}, requests: {cpu: 128m, memory: 64Mi}}
      mountPath: /log
      logFile: ako-crd-operator.log
    persistentVolumeClaim: ""
"""


def write(tmp_path: Path, values: Any) -> str:
    """A values file with this content, given as text or as plain data."""
    path = tmp_path / "values.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return str(path)


def test_the_whole_chart_loads_without_a_warning(tmp_path: Path) -> None:
    """A file with every key of AKO's chart at its default gives our defaults, one note and no warning."""
    loaded = load(write(tmp_path, CHART), {})
    settings = loaded.settings
    assert loaded.warnings == ()
    assert len(loaded.notes) == 1
    assert "replicaCount, image, GatewayAPI" in loaded.notes[0]
    assert settings == Settings(settings.cluster_name, settings.controller, settings.vip_networks)
    assert (settings.cluster_name, settings.prefix, settings.created_by) == (
        "my-cluster",
        "my-cluster--",
        "ako-my-cluster",
    )


def test_the_environment_of_ako_is_enough() -> None:
    """Without a file, AKO's container variables give the same settings as a file would."""
    settings = load(
        None,
        {
            "CLUSTER_NAME": "peer",
            "CTRL_IPADDRESS": "10.1.1.5:8443",
            "CNI_PLUGIN": "calico",
            "NODE_NETWORK_LIST": '[{"networkName":"node-net","cidrs":["2001:db8:50::/64","10.0.0.1/24"]}]',
            "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::1/64"}]',
            "IP_FAMILY": "V6",
            "SHARD_VS_SIZE": "SMALL",
            "AUTO_L4_FQDN": "flat",
            "DISABLE_STATIC_ROUTE_SYNC": "true",
            "TENANT_NAME": "blue",
            "VRF_NAME": "v1",
            "SEG_NAME": "seg",
            "CLOUD_NAME": "vc1",
            "CTRL_VERSION": "22.1.4",
            "DEFAULT_DOMAIN": "example.com",
            "POD_NAMESPACE": "lb",
        },
    ).settings
    (vips,), (nodes,) = settings.vip_networks, settings.node_networks
    assert (vips.name, vips.cidr, vips.v6cidr) == ("net1", ip_network("10.10.0.0/16"), ip_network("2001:db8:10::/64"))
    assert nodes.cidrs == (ip_network("2001:db8:50::/64"), ip_network("10.0.0.0/24"))
    assert (settings.ip_family, settings.shard_size, settings.auto_fqdn) == (
        IpFamily.V6,
        ShardSize.SMALL,
        AutoFqdn.FLAT,
    )
    assert (settings.cni_plugin, settings.disable_static_routes, settings.pod_namespace) == ("calico", True, "lb")
    controller = settings.controller
    assert (controller.host, controller.tenant, controller.vrf) == ("10.1.1.5:8443", "blue", "v1")
    assert (controller.se_group, controller.cloud, controller.version) == ("seg", "vc1", "22.1.4")
    assert settings.default_domain == "example.com"


def test_the_later_source_wins(tmp_path: Path) -> None:
    """The file wins over the defaults and the environment over the file; an empty variable counts as not set."""
    path = write(tmp_path, {"AKOSettings": {"ipFamily": "V6", "cniPlugin": "antrea", "clusterName": "a"}})
    settings = load(path, {**REQUIRED, "CNI_PLUGIN": "calico", "IP_FAMILY": "", "NODE_NETWORK_LIST": "null"}).settings
    assert (settings.cluster_name, settings.ip_family, settings.cni_plugin) == ("peer", IpFamily.V6, "calico")
    assert settings.node_networks == ()


def test_empty_keys_and_sections_count_as_not_given(tmp_path: Path) -> None:
    """A key or section without a value has its default, as for helm."""
    text = "AKOSettings:\nL7Settings:\n  serviceType:\n  shardVSSize: MEDIUM\nControllerSettings:\n  tenantName: ''\n"
    settings = load(write(tmp_path, text), REQUIRED).settings
    assert (settings.service_type, settings.shard_size) == (ServiceType.CLUSTER_IP, ShardSize.MEDIUM)
    assert settings.controller.tenant == "admin"


def test_the_pipeline_section_and_its_variables(tmp_path: Path) -> None:
    """`pipeline` sets how the work is done; each key has a variable; numbers may be text."""
    section = {"redisURL": "redis://:secret@redis:6379/1", "leaseTTL": 1, "resyncInterval": "60", "concurrency": 4}
    path = write(tmp_path, {"pipeline": section, "AKOSettings": {"logLevel": "DEBUG"}})
    variables = {
        "AKO_CONCURRENCY": "2",
        "AKO_CONNECT_TIMEOUT": "1.5",
        "AKO_READ_TIMEOUT": "9",
        "AKO_MAX_IN_FLIGHT": "3",
    }
    settings = load(path, REQUIRED | variables).settings
    pipeline = settings.pipeline
    assert (pipeline.lease_ttl, pipeline.resync_interval, pipeline.concurrency) == (1.0, 60.0, 2)
    assert (pipeline.connect_timeout, pipeline.read_timeout, pipeline.max_in_flight) == (1.5, 9.0, 3)
    assert (pipeline.redis_url, pipeline.log_level) == ("redis://:secret@redis:6379/1", "DEBUG")
    assert "secret" not in repr(settings)
    assert load(None, REQUIRED | {"AKO_REDIS_URL": "unix:///run/r.sock"}).settings.pipeline.redis_url.startswith("unix")


def test_full_sync_frequency_is_the_resync_interval() -> None:
    """AKO's own key sets the interval unless ours does; 0 switches it off."""
    assert load(None, REQUIRED).settings.pipeline.resync_interval == 1800.0
    assert load(None, REQUIRED | {"FULL_SYNC_INTERVAL": "0"}).settings.pipeline.resync_interval == 0.0
    both = REQUIRED | {"FULL_SYNC_INTERVAL": "90", "AKO_RESYNC_INTERVAL": "7"}
    assert load(None, both).settings.pipeline.resync_interval == 7.0


def test_the_digest_covers_what_the_model_reads() -> None:
    """Equal networks written differently and pipeline settings keep the digest; a model setting changes it."""
    base = load(None, REQUIRED).settings.digest()
    spelled = REQUIRED | {"VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.3.4/16"}]', "AKO_CONCURRENCY": "3"}
    assert load(None, spelled).settings.digest() == base
    assert load(None, REQUIRED | {"IP_FAMILY": "V6", "CNI_PLUGIN": "calico"}).settings.digest() != base
    assert load(None, REQUIRED | {"AKO_GATE_IPV6_ANY_CNI": "true"}).settings.digest() != base


def test_the_digest_is_the_same_in_every_process() -> None:
    """Watcher and workers compare digests, so the order in which a process keeps a set must not enter it."""
    program = (
        "from shared.settings.matrix import GATES\nfrom shared.settings.model import Settings\n"
        "print(Settings('c', None, (), gates=frozenset(GATES)).digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(("text", "meant"), [("Calico", "calico"), ("", ""), ("ovn-kubernetes", "ovn-kubernetes")])
def test_the_cni_is_lower_cased(tmp_path: Path, text: str, meant: str) -> None:
    """The CNI plugin is read in any case, as AKO does."""
    path = write(tmp_path, {"AKOSettings": {"cniPlugin": text}})
    assert load(path, REQUIRED).settings.cni_plugin == meant


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"AKOSettings": {"istioEnabled": True}}, "AKOSettings.istioEnabled: "),
        ({"L7Settings": {"fqdnReusePolicy": "Strict"}}, "L7Settings.fqdnReusePolicy: "),
        ({"featureGates": {"GatewayAPI": True}}, "featureGates.GatewayAPI: "),
        ({"featureGates": {"EnableEndpointSlice": True}}, "featureGates.EnableEndpointSlice: deprecated"),
        ({"NetworkSettings": {"subnetIP": "10.0.0.0"}}, "NetworkSettings.subnetIP: deprecated"),
        ({"L4Settings": {"defaultDomain": "example.com"}}, "L4Settings.defaultDomain: deprecated"),
    ],
)
def test_what_is_not_served_is_named(tmp_path: Path, values: dict[str, Any], warning: str) -> None:
    """A key whose feature is missing loads with exactly one warning that names it."""
    (line,) = load(write(tmp_path, values), REQUIRED).warnings
    assert line.startswith(warning)


def test_a_warning_names_the_variable_it_came_from() -> None:
    """A value from the environment is reported under its variable."""
    (line,) = load(None, REQUIRED | {"ISTIO_ENABLED": "true"}).warnings
    assert line.startswith("ISTIO_ENABLED: ")


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"NetworkSettings": {"enableRHI": "true"}}, "NetworkSettings.enableRHI"),
        ({"AKOSettings": {"vpcMode": True}}, "AKOSettings.vpcMode"),
        ({"NetworkSettings": {"nsxtT1LR": "t1"}}, "NetworkSettings.nsxtT1LR"),
    ],
)
def test_what_would_build_other_objects_is_refused(tmp_path: Path, values: dict[str, Any], place: str) -> None:
    """A key without which other objects would be built than asked for is an error until it is served."""
    with pytest.raises(SettingsError) as caught:
        load(write(tmp_path, values), REQUIRED)
    assert [found for found, _ in caught.value.problems] == [place]


def test_the_old_default_domain_still_counts(tmp_path: Path) -> None:
    """L4Settings.defaultDomain is used until NetworkSettings.defaultDomain is set."""
    path = write(tmp_path, {"L4Settings": {"defaultDomain": "old.example.com"}})
    assert load(path, REQUIRED).settings.default_domain == "old.example.com"
    assert load(path, REQUIRED | {"DEFAULT_DOMAIN": "example.com"}).settings.default_domain == "example.com"


def test_yaml_aliases_are_read(tmp_path: Path) -> None:
    """Anchors, aliases and merge keys mean what they mean in YAML, and a variable changes only its own section."""
    text = """
AKOSettings: {clusterName: &name demo}
ControllerSettings: &shared {tenantName: *name, controllerHost: c1}
NetworkSettings: {vipNetworkList: [{networkName: *name}]}
L7Settings: {<<: {shardVSSize: SMALL}}
"""
    settings = load(write(tmp_path, text), {"CTRL_IPADDRESS": "c2"}).settings
    assert (settings.controller.tenant, settings.controller.host) == ("demo", "c2")
    assert settings.vip_networks[0].name == "demo"
    assert settings.shard_size is ShardSize.SMALL


@pytest.mark.parametrize("host", ["c1", "10.1.1.5:8443", "[2001:db8::5]:443", "2001:db8::5", "http://127.0.0.1:9"])
def test_the_controller_host_stays_as_written(host: str) -> None:
    """Names, addresses of both families, ports and a scheme are accepted; the client makes the endpoint of it."""
    environ = REQUIRED | {"CTRL_IPADDRESS": host, "AKO_GATE_IPV6_CONTROLLER": "true"}
    assert load(None, environ).settings.controller.host == host


@pytest.mark.parametrize(
    ("selector", "label"),
    [({}, ("", "")), ({"labelKey": "a"}, ("", "")), ({"labelKey": " a ", "labelValue": "b"}, ("a", "b"))],
)
def test_a_namespace_selector_needs_key_and_value(tmp_path: Path, selector: dict[str, str], label: Any) -> None:
    """As with AKO, one of the two alone selects every namespace; blanks around them do not count."""
    values = {"AKOSettings": {"namespaceSelector": selector, "blockedNamespaceList": ["kube-system", ""]}}
    settings = load(write(tmp_path, values), REQUIRED).settings
    assert settings.namespace_label == label
    assert settings.blocked_namespaces == {"kube-system"}

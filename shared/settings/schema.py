"""The front door: every key of values.yaml, its type, default and environment variable, as marshmallow schemas.

The key names and defaults are those of AKO's published chart; `pipeline` is ours. Loading collects every mistake at
once and never stops at the first. A key whose feature this release does not have is accepted at its default and named
in a warning otherwise, so a site's real file loads and nothing in it is ignored in silence.

`SettingsSchema.load` gives plain dictionaries; `shared.settings.build` makes the frozen dataclasses of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, missing, pre_load, validates_schema

from shared.addresses import Family
from shared.settings.fields import (
    Anything,
    Choice,
    Cidr,
    Flag,
    Host,
    Key,
    Number,
    Rows,
    Text,
    Url,
    Use,
    VipCidr,
)
from shared.settings.model import AutoFqdn, IpFamily, ServiceType, ShardSize

_PENDING = Use.PENDING
_DECISIVE = Use.DECISIVE
_DNS_NAME = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
_CNI = ("calico", "canal", "flannel", "openshift", "antrea", "ncp", "ovn-kubernetes", "cilium")


_DOMAIN = r"\.?" + _DNS_NAME
_DOMAIN_SHAPE = "a DNS domain such as example.com"
_SHARDS = {size.name: size for size in ShardSize}


class Section(Schema):
    """A mapping of known keys. A key that is present but empty counts as not given, as it does for helm."""

    class Meta:
        """A misspelt key must never be ignored."""

        unknown = RAISE

    error_messages = {"type": "is not a mapping; write one `key: value` per line below it"}  # noqa: RUF012 - marshmallow's protocol

    @pre_load
    def _complete(self, data: Any, **_: Any) -> Any:
        """Empty keys go, absent sections come: so required keys are missed, and defaults found, in absent ones too."""
        if not isinstance(data, Mapping):
            return data
        known = {field.data_key: field for field in self.fields.values()}
        kept = {key: value for key, value in data.items() if value is not None or key not in known}
        for key, field in known.items():
            if isinstance(field, Part):
                kept.setdefault(key, {})
        return kept


class Part(fields.Nested):
    """A section below a key."""

    def __init__(self, key: str, schema: type[Section]) -> None:
        super().__init__(
            schema,
            data_key=key,
            metadata={"use": Use.SERVED},
            error_messages={"null": "is empty; give it a value or remove it"},
        )

    @property
    def section(self) -> Section:
        """The schema of the section."""
        schema = self.schema
        assert isinstance(schema, Section)
        return schema


class FeatureGates(Section):
    """`featureGates`: AKO's own two, and those of the IPv6 support matrix (`shared.settings.matrix`)."""

    other_clouds = Flag("IPv6OtherClouds", default=False, env="AKO_GATE_IPV6_OTHER_CLOUDS")
    any_cni = Flag("IPv6AnyCNI", default=False, env="AKO_GATE_IPV6_ANY_CNI")
    dual_stack_backends = Flag("DualStackBackends", default=False, env="AKO_GATE_DUAL_STACK_BACKENDS")
    load_balancer = Flag("IPv6LoadBalancer", default=False, env="AKO_GATE_IPV6_LOAD_BALANCER")
    controller = Flag("IPv6Controller", default=False, env="AKO_GATE_IPV6_CONTROLLER")
    kubernetes_api = Flag("IPv6KubernetesAPI", default=False, env="AKO_GATE_IPV6_KUBERNETES_API")
    gateway_api = Flag("GatewayAPI", default=False, use=_PENDING)
    enable_prometheus = Flag("EnablePrometheus", default=False)
    enable_endpoint_slice = Anything("EnableEndpointSlice", default=None, use=Use.DEPRECATED)


class NamespaceSelector(Section):
    """`AKOSettings.namespaceSelector`."""

    label_key = Text("labelKey", default="", env="NAMESPACE_SYNC_LABEL_KEY")
    label_value = Text("labelValue", default="", env="NAMESPACE_SYNC_LABEL_VALUE")


class AkoSettings(Section):
    """`AKOSettings`."""

    cluster_name = Text(
        "clusterName",
        env="CLUSTER_NAME",
        pattern="[a-zA-Z0-9_-]{1,100}",  # so that the names of all parents fit into 255 characters
        example="<a name unique on this controller>",
        shape="a name of at most 100 letters, digits, hyphens and underscores",
    )
    ip_family = Choice(
        "ipFamily",
        {"": IpFamily.V4, **{family.value: family for family in IpFamily}},
        default=IpFamily.V4,
        env="IP_FAMILY",
    )
    cni_plugin = Choice("cniPlugin", {"": "", **{name: name for name in _CNI}}, default="", env="CNI_PLUGIN", fold=True)
    disable_static_routes = Flag("disableStaticRouteSync", default=False, env="DISABLE_STATIC_ROUTE_SYNC")
    resync_interval = Number(
        "fullSyncFrequency", 0, 604_800, whole=True, unit="seconds, 0 for never", default=1800, env="FULL_SYNC_INTERVAL"
    )
    log_level = Choice(
        "logLevel", {"DEBUG": "DEBUG", "INFO": "INFO", "WARN": "WARNING", "ERROR": "ERROR"}, default="WARNING"
    )
    layer7_only = Flag("layer7Only", default=False)
    primary = Flag("primaryInstance", default=True, env="PRIMARY_AKO_FLAG")
    events = Flag("enableEvents", default=True)
    api_port = Number("apiServerPort", 1, 65_535, whole=True, default=8080, env="AKO_API_PORT")
    delete_config = Flag("deleteConfig", default=False)
    evh = Flag("enableEVH", default=False, env="ENABLE_EVH")
    namespace_selector = Part("namespaceSelector", NamespaceSelector)
    services_api = Flag("servicesAPI", default=False, env="SERVICES_API", use=_PENDING)
    vip_per_namespace = Flag("vipPerNamespace", default=False, env="VIP_PER_NAMESPACE")
    istio = Flag("istioEnabled", default=False, env="ISTIO_ENABLED", use=_PENDING)
    blocked_namespaces = Rows("blockedNamespaceList", Text("", default=""), env="BLOCKED_NS_LIST")
    default_secrets_only = Flag("useDefaultSecretsOnly", default=False, env="USE_DEFAULT_SECRETS_ONLY", use=_PENDING)
    vpc_mode = Flag("vpcMode", default=False, env="VPC_MODE", use=_DECISIVE)


class NetworkRow(Section):
    """What the rows of both network lists have in common."""

    name = Text("networkName", default="")
    uuid = Text("networkUUID", default="")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _named(self, _: Mapping[str, Any], row: Any, **__: Any) -> None:
        if isinstance(row, Mapping) and not row.get("networkName") and not row.get("networkUUID"):
            raise ValidationError("missing; write the name of the network on the controller", "name")


class VipNetworkRow(NetworkRow):
    """One row of `NetworkSettings.vipNetworkList`."""

    cidr = VipCidr("cidr", Family.V4, example="an IPv4 network such as 10.10.0.0/16")
    v6cidr = VipCidr("v6cidr", Family.V6, example="an IPv6 network such as 2001:db8:10::/64")


class NodeNetworkRow(NetworkRow):
    """One row of `NetworkSettings.nodeNetworkList`."""

    cidrs = Rows("cidrs", Cidr("", default=None))


class NetworkSettings(Section):
    """`NetworkSettings`."""

    vip_networks = Rows(
        "vipNetworkList",
        Part("", VipNetworkRow),
        default=missing,
        env="VIP_NETWORK_LIST",
        fewest=1,
        most=1,
        example='[{networkName: "...", cidr: "10.10.0.0/16", v6cidr: "2001:db8:10::/64"}]',
    )
    node_networks = Rows("nodeNetworkList", Part("", NodeNetworkRow), env="NODE_NETWORK_LIST", most=5)
    default_domain = Text("defaultDomain", default="", env="DEFAULT_DOMAIN", pattern=_DOMAIN, shape=_DOMAIN_SHAPE)
    rhi = Flag("enableRHI", default=False, env="ENABLE_RHI", use=_DECISIVE)
    t1_router = Text("nsxtT1LR", default="", env="NSXT_T1_LR", use=_DECISIVE)
    bgp_peer_labels = Rows("bgpPeerLabels", Text("", default=""), env="BGP_PEER_LABELS", use=_DECISIVE)
    subnet_ip = Anything("subnetIP", default=None, use=Use.DEPRECATED)
    subnet_prefix = Anything("subnetPrefix", default=None, use=Use.DEPRECATED)
    network_name = Anything("networkName", default=None, use=Use.DEPRECATED)


class L7Settings(Section):
    """`L7Settings`."""

    service_type = Choice(
        "serviceType",
        {service_type.value: service_type for service_type in ServiceType},
        default=ServiceType.CLUSTER_IP,
        env="SERVICE_TYPE",
    )
    annotate_services = Flag("autoAnnotateService", default=True, env="AUTO_ANNOTATE_SERVICE")
    shard_size = Choice("shardVSSize", _SHARDS, default=ShardSize.LARGE, env="SHARD_VS_SIZE")
    passthrough_shards = Choice("passthroughShardSize", _SHARDS, default=ShardSize.SMALL, env="PASSTHROUGH_SHARD_SIZE")
    default_controller = Flag("defaultIngController", default=True, env="DEFAULT_ING_CONTROLLER", use=_PENDING)
    no_pool_group_for_sni = Flag("noPGForSNI", default=False)
    multi_cluster_ingress = Flag("enableMCI", default=False, env="MCI_ENABLED", use=_PENDING)
    fqdn_reuse = Choice(
        "fqdnReusePolicy",
        {"internamespaceallowed": "InterNamespaceAllowed", "strict": "Strict"},
        default="InterNamespaceAllowed",
        env="FQDN_REUSE_POLICY",
        fold=True,
    )
    path_matching = Choice(
        "pathMatching", {"AKO": "AKO", "Kubernetes": "Kubernetes"}, default="AKO", env="AKO_PATH_MATCHING"
    )
    sync_namespace = Anything("syncNamespace", default=None, use=Use.DEPRECATED)


class L4Settings(Section):
    """`L4Settings`."""

    default_controller = Flag("defaultLBController", default=True, env="DEFAULT_LB_CONTROLLER")
    auto_fqdn = Choice(
        "autoFQDN", {choice.value: choice for choice in AutoFqdn}, default=AutoFqdn.DEFAULT, env="AUTO_L4_FQDN"
    )
    default_domain = Text("defaultDomain", default="", pattern=_DOMAIN, shape=_DOMAIN_SHAPE)
    advanced = Anything("advancedL4", default=None, use=Use.DEPRECATED)


class Controller(Section):
    """`ControllerSettings`."""

    host = Host("controllerHost", env="CTRL_IPADDRESS", example="<name or address of the Avi Controller>")
    version = Text(
        "controllerVersion",
        default="",
        env="CTRL_VERSION",
        pattern=r"[0-9]+(\.[0-9]+){1,3}",
        shape='a version such as "22.1.4"',
    )
    cloud = Text("cloudName", default="Default-Cloud", env="CLOUD_NAME")
    tenant = Text("tenantName", default="admin", env="TENANT_NAME")
    vrf = Text("vrfName", default="", env="VRF_NAME")
    se_group = Text("serviceEngineGroupName", default="Default-Group", env="SEG_NAME")
    dedicated_tenant = Flag("dedicatedTenantMode", default=False, env="DEDICATED_TENANT_MODE", use=_PENDING)


class NodePortSelector(Section):
    """`nodePortSelector`."""

    key = Text("key", default="", env="NODE_KEY")
    value = Text("value", default="", env="NODE_VALUE")


class AviCredentials(Section):
    """`avicredentials`: what `load_credentials` reads; no message ever repeats a value of it."""

    username = Text("username", default="", env="CTRL_USERNAME", secret=True)
    password = Text("password", default="", env="CTRL_PASSWORD", secret=True)
    token = Text("authtoken", default="", env="CTRL_AUTHTOKEN", secret=True)
    ca = Text(
        "certificateAuthorityData",
        default="",
        env="CTRL_CA_DATA",
        secret=True,
        pattern=r"(?s).*-----BEGIN CERTIFICATE-----.*",
        shape="the certificate of the authority in PEM",
    )


class CredentialsOnly(Section):
    """The part of the file that `load_credentials` looks at."""

    credentials = Part("avicredentials", AviCredentials)


class Pipeline(Section):
    """`pipeline`: our own section; times in seconds. Without `resyncInterval`, `fullSyncFrequency` counts."""

    redis_url = Url("redisURL", default="redis://127.0.0.1:6379/0", env="AKO_REDIS_URL", secret=True)
    lease_ttl = Number("leaseTTL", 0.2, 300, unit="seconds", default=10.0, env="AKO_LEASE_TTL")
    resync_interval = Number(
        "resyncInterval", 0, 604_800, unit="seconds, 0 for never", default=None, env="AKO_RESYNC_INTERVAL"
    )
    concurrency = Number("concurrency", 1, 256, whole=True, unit="threads", default=8, env="AKO_CONCURRENCY")
    connect_timeout = Number("connectTimeout", 0.1, 60, unit="seconds", default=3.0, env="AKO_CONNECT_TIMEOUT")
    read_timeout = Number("readTimeout", 0.1, 600, unit="seconds", default=60.0, env="AKO_READ_TIMEOUT")
    max_in_flight = Number("maxInFlight", 1, 1024, whole=True, unit="requests", default=16, env="AKO_MAX_IN_FLIGHT")


class SettingsSchema(Section):
    """The whole file."""

    ako = Part("AKOSettings", AkoSettings)
    network = Part("NetworkSettings", NetworkSettings)
    l7 = Part("L7Settings", L7Settings)
    l4 = Part("L4Settings", L4Settings)
    controller = Part("ControllerSettings", Controller)
    node_port_selector = Part("nodePortSelector", NodePortSelector)
    credentials = Part("avicredentials", AviCredentials)
    gates = Part("featureGates", FeatureGates)
    pipeline = Part("pipeline", Pipeline)

    replica_count = Anything("replicaCount", default=None, use=Use.CHART)
    image = Anything("image", default=None, use=Use.CHART)
    gateway_api = Anything("GatewayAPI", default=None, use=Use.CHART)
    resources = Anything("resources", default=None, use=Use.CHART)
    security_context = Anything("securityContext", default=None, use=Use.CHART)
    pod_security_context = Anything("podSecurityContext", default=None, use=Use.CHART)
    rbac = Anything("rbac", default=None, use=Use.CHART)
    volume_claim = Anything("persistentVolumeClaim", default=None, use=Use.CHART)
    mount_path = Anything("mountPath", default=None, use=Use.CHART)
    log_file = Anything("logFile", default=None, use=Use.CHART)
    gateway_log_file = Anything("akoGatewayLogFile", default=None, use=Use.CHART)
    crd_operator = Anything("ako-crd-operator", default=None, use=Use.CHART)
    deployment = Anything("deployment", default=None, use=Use.CHART)


SCHEMA = SettingsSchema()


def keys(schema: Section, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key[Any] | Rows]]:
    """Every key below a section with its path, in the order of the file; a list counts as one key."""
    for field in schema.fields.values():
        here = (*path, str(field.data_key))
        if isinstance(field, Part):
            yield from keys(field.section, here)
        elif isinstance(field, Key | Rows):
            yield here, field

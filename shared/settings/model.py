"""The settings as the rest of the program sees them: frozen, typed, already validated.

Built by `shared.settings.load`; nothing here parses or checks anything. Secrets are kept out of `Settings`
on purpose (see `Credentials`), so that a digest, a log line or a Redis value can never carry one.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network


class IpFamily(enum.Enum):
    """`AKOSettings.ipFamily`: which back-end families are used. V4_V6 needs the feature gate DualStackBackends."""

    V4 = "V4"
    V6 = "V6"
    V4_V6 = "V4_V6"

    @property
    def v4(self) -> bool:
        """Whether IPv4 servers and node addresses are used."""
        return self is not IpFamily.V6

    @property
    def v6(self) -> bool:
        """Whether IPv6 servers and node addresses are used."""
        return self is not IpFamily.V4


class ServiceType(enum.Enum):
    """`L7Settings.serviceType`."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    NODE_PORT_LOCAL = "NodePortLocal"


class ShardSize(enum.Enum):
    """`L7Settings.shardVSSize`: the number of shared parents; DEDICATED has none."""

    LARGE = 8
    MEDIUM = 4
    SMALL = 1
    DEDICATED = 0


class AutoFqdn(enum.Enum):
    """`L4Settings.autoFQDN`."""

    DEFAULT = "default"
    FLAT = "flat"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class VipNetwork:
    """One row of `NetworkSettings.vipNetworkList`; the networks are canonical (host bits cleared)."""

    name: str
    uuid: str = ""
    cidr: IPv4Network | None = None
    v6cidr: IPv6Network | None = None


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """One row of `NetworkSettings.nodeNetworkList`."""

    name: str
    uuid: str = ""
    cidrs: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """`ControllerSettings` of values.yaml. `host` may carry a port; an empty `vrf` means: of the VIP network."""

    host: str
    version: str = ""
    cloud: str = "Default-Cloud"
    tenant: str = "admin"
    vrf: str = ""
    se_group: str = "Default-Group"


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Our own section `pipeline`: how the work is done, never what is built (so it is not in the digest).

    Times are in seconds; a `resync_interval` of 0 means no periodic census. `log_level` is `AKOSettings.logLevel`
    in Python's words (DEBUG, INFO, WARNING, ERROR), `events` is `enableEvents`, `health_port` is `apiServerPort`.
    """

    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)  # it may carry a password
    lease_ttl: float = 10.0
    resync_interval: float = 1800.0
    concurrency: int = 8
    connect_timeout: float = 3.0
    read_timeout: float = 60.0
    max_in_flight: int = 16
    log_level: str = "WARNING"
    events: bool = True
    health_port: int = 8080


@dataclass(frozen=True, slots=True)
class Credentials:
    """Access to the controller. `repr` shows nothing of it. Without `ca` the system's trust store is used."""

    username: str
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what the Avi objects look like, and `pipeline`, which does not.

    `annotate_services`: in NodePortLocal mode we ask Antrea for the node ports of the Services that we serve.
    In NodePort mode servers are on the nodes with the label `node_port_label` (key, value; ("", "") for any).
    Only namespaces with the label `namespace_label` (key, value; ("", "") for any) that are not blocked are served.
    `strict_hosts`: a host belongs to one namespace (EVH only, as with AKO).
    `kubernetes_paths`: `Prefix` matches whole elements of a path.
    `layer7_only`: Services of type LoadBalancer are left alone; `default_lb_controller`: one without a class is ours.
    `gates` are the feature gates of the IPv6 support matrix that are on. `delete_config` takes away everything of ours.
    Not `primary`: a further instance in the same cluster, which bears its namespace in names where AKO does.
    """

    cluster_name: str
    controller: ControllerSettings
    vip_networks: tuple[VipNetwork, ...]
    node_networks: tuple[NodeNetwork, ...] = ()
    ip_family: IpFamily = IpFamily.V4
    cni_plugin: str = ""
    service_type: ServiceType = ServiceType.CLUSTER_IP
    annotate_services: bool = True
    node_port_label: tuple[str, str] = ("", "")
    shard_size: ShardSize = ShardSize.LARGE
    evh: bool = False
    vip_per_namespace: bool = False
    strict_hosts: bool = False
    kubernetes_paths: bool = False
    no_pool_group: bool = False
    passthrough_size: ShardSize = ShardSize.SMALL
    auto_fqdn: AutoFqdn = AutoFqdn.DEFAULT
    default_domain: str = ""
    layer7_only: bool = False
    default_lb_controller: bool = True
    disable_static_routes: bool = False
    primary: bool = True
    pod_namespace: str = "avi-system"
    namespace_label: tuple[str, str] = ("", "")
    blocked_namespaces: frozenset[str] = frozenset()
    gates: frozenset[str] = frozenset()
    delete_config: bool = False
    pipeline: PipelineSettings = PipelineSettings()

    @property
    def prefix(self) -> str:
        """What every Avi name of this cluster begins with."""
        return f"{self.cluster_name}--"

    @property
    def created_by(self) -> str:
        """The `created_by` mark on the objects of this cluster, or of this instance when it is not the primary one."""
        return f"ako-{self.cluster_name}" + ("" if self.primary else f"-{self.pod_namespace}")

    @property
    def instance(self) -> str:
        """What stands before the names of shared parents after the prefix: the namespace of a further instance."""
        return "" if self.primary else f"{self.pod_namespace}-"

    def digest(self) -> str:
        """A stable id of every field that enters the model (`pipeline` does not)."""
        fields = dataclasses.asdict(dataclasses.replace(self, pipeline=PipelineSettings()))
        return hashlib.sha256(json.dumps(fields, sort_keys=True, default=_plain).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """A value as JSON can have it, the same in every process: the order of a set is not."""
    return sorted(value) if isinstance(value, frozenset) else str(value)

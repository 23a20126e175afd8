"""Ten thousand values files: valid ones survive being written back, spoilt ones give the settings error and no other.

Hypothesis draws the seeds and a generator of our own the files, since drawing such large documents would take minutes.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings import Settings, load_values
from shared.settings.jsonschema import json_schema
from shared.settings.matrix import GATES

SECRET = "hunter2-never-in-a-message"
LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO", "WARNING": "WARN", "ERROR": "ERROR"}
VALIDATOR = jsonschema.Draft7Validator(json_schema())
seen: Counter[str] = Counter()


class Drawn:
    """One valid file, in the many spellings that AKO's own files have."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def flag(self) -> Any:
        return self.draw.choice([True, False, "true", "false", "True", None])

    def number(self, low: int, high: int) -> Any:
        value = self.draw.randint(low, high)
        return self.draw.choice([value, str(value), None])

    def word(self, *words: str) -> Any:
        return self.draw.choice([*words, None, f" {words[0]} "])

    def v4(self) -> str:
        return f"10.{self.draw.randrange(256)}.{self.draw.randrange(256)}.7/{self.draw.choice([16, 20, 24])}"

    def v6(self) -> str:
        text = f"2001:db8:{self.draw.randrange(65536):x}::{self.draw.randrange(65536):x}/64"
        return self.draw.choice([text, text.upper(), text.replace("::", ":0:0:0:0:")])

    def vip(self) -> dict[str, Any]:
        families = self.draw.choice([{"cidr"}, {"v6cidr"}, {"cidr", "v6cidr"}, set()])
        row = {"networkName": "net", "cidr": self.v4(), "v6cidr": self.v6()}
        return {key: value for key, value in row.items() if key == "networkName" or key in families}

    def values(self) -> dict[str, Any]:
        """The whole file."""
        draw = self.draw
        return {
            "AKOSettings": {
                "clusterName": f"c-{draw.randrange(99)}",
                "ipFamily": self.word("V4", "V6", "V4_V6", ""),
                "cniPlugin": self.word("calico", "antrea", "Calico", ""),
                "disableStaticRouteSync": self.flag(),
                "fullSyncFrequency": self.number(0, 604_800),
                "logLevel": self.word("DEBUG", "INFO", "WARN", "ERROR"),
                "enableEvents": self.flag(),
                "apiServerPort": self.number(1, 65_535),
                "deleteConfig": self.flag(),
                "namespaceSelector": draw.choice([None, {"labelKey": "a"}, {"labelKey": "a", "labelValue": " b "}]),
                "blockedNamespaceList": draw.sample(["kube-system", "red", "blue"], draw.randrange(3)),
            },
            "NetworkSettings": {
                "vipNetworkList": [self.vip()],
                "nodeNetworkList": [
                    {"networkName": f"n{n}", "cidrs": [self.v4(), self.v6()][: draw.randrange(3)]}
                    for n in range(draw.randrange(6))
                ],
                "defaultDomain": self.word("example.com", ".avi.internal", ""),
            },
            "L7Settings": {"shardVSSize": self.word("LARGE", "MEDIUM", "SMALL")},
            "L4Settings": {"autoFQDN": self.word("default", "flat", "disabled")},
            "ControllerSettings": {
                "controllerHost": draw.choice(["avi", "10.0.0.1:8443", "avi.example.com"]),
                "controllerVersion": self.word("22.1.4", "30.2.1"),
                "vrfName": self.word("blue", ""),
            },
            "avicredentials": {"username": "admin", "password": SECRET},
            # With every gate on, the support matrix refuses none of these.
            "featureGates": dict.fromkeys(GATES, draw.choice([True, "true"])),
            "pipeline": {
                "redisURL": f"redis://:{SECRET}@h:6379/{draw.randrange(16)}",
                "leaseTTL": draw.choice([None, 10, "2.5", 0.2]),
                "resyncInterval": self.number(0, 1000),
                "concurrency": self.number(1, 256),
            },
        }

    def spoil(self, values: dict[str, Any]) -> str:
        """Spoils one value; says how."""
        sections = [name for name, section in values.items() if isinstance(section, dict)]
        section = values[self.draw.choice(sections)]
        key = self.draw.choice(list(section))
        how = self.draw.choice(["type", "nesting", "unknown", "text", "absent"])
        match how:
            case "type":
                section[key] = self.draw.choice([[1], {"a": 1}, 3.7, float("nan"), b"bytes", object])
            case "nesting":
                section[key] = {"a": [{"b": [section[key]]}]}
            case "unknown":
                section[f"{key}x"] = section[key]
            case "text":
                section[key] = self.draw.choice(["fe80::1%eth0/64", "999.1.1.1/8", "\x00", "{{", "%s", "é" * 300])
            case "absent":
                del section[key]
        return how


def written(of: Settings) -> dict[str, Any]:
    """The file that says what these settings say."""
    pipeline, controller = of.pipeline, of.controller
    return {
        "AKOSettings": {
            "clusterName": of.cluster_name,
            "ipFamily": of.ip_family.value,
            "cniPlugin": of.cni_plugin,
            "disableStaticRouteSync": of.disable_static_routes,
            "logLevel": LEVELS[pipeline.log_level],
            "enableEvents": pipeline.events,
            "apiServerPort": pipeline.health_port,
            "deleteConfig": of.delete_config,
            "namespaceSelector": dict(zip(("labelKey", "labelValue"), of.namespace_label, strict=True)),
            "blockedNamespaceList": sorted(of.blocked_namespaces),
        },
        "NetworkSettings": {
            "vipNetworkList": [
                {
                    "networkName": row.name,
                    "networkUUID": row.uuid,
                    "cidr": str(row.cidr or ""),
                    "v6cidr": str(row.v6cidr or ""),
                }
                for row in of.vip_networks
            ],
            "nodeNetworkList": [
                {"networkName": row.name, "networkUUID": row.uuid, "cidrs": [str(cidr) for cidr in row.cidrs]}
                for row in of.node_networks
            ],
            "defaultDomain": of.default_domain,
        },
        "L7Settings": {"serviceType": of.service_type.value, "shardVSSize": of.shard_size.name},
        "L4Settings": {"autoFQDN": of.auto_fqdn.value},
        "ControllerSettings": {
            "controllerHost": controller.host,
            "controllerVersion": controller.version,
            "cloudName": controller.cloud,
            "tenantName": controller.tenant,
            "vrfName": controller.vrf,
            "serviceEngineGroupName": controller.se_group,
        },
        "featureGates": dict.fromkeys(of.gates, True),
        "pipeline": {
            "redisURL": pipeline.redis_url,
            "leaseTTL": pipeline.lease_ttl,
            "resyncInterval": pipeline.resync_interval,
            "concurrency": pipeline.concurrency,
            "connectTimeout": pipeline.connect_timeout,
            "readTimeout": pipeline.read_timeout,
            "maxInFlight": pipeline.max_in_flight,
        },
    }


@given(st.integers(0, 2**63))
@settings(max_examples=5_000, deadline=None)
def check_valid(seed: int) -> None:
    values = Drawn(seed).values()
    first = load_values(copy.deepcopy(values), {}).settings
    assert load_values(written(first), {}).settings == first
    if seen["valid"] % 10 == 0:  # the library takes longer for one file than everything else
        assert [error.message for error in VALIDATOR.iter_errors(values)] == []
    seen["valid"] += 1


@given(st.integers(0, 2**63))
@settings(max_examples=5_000, deadline=None)
def check_spoilt(seed: int) -> None:
    drawn = Drawn(seed)
    values = drawn.values()
    how = drawn.spoil(values)
    error = refusal(values)
    if error is not None:
        assert all(place and text for place, text in error.problems)
        assert SECRET not in str(error)
        assert error.__cause__ is None
        seen["refused"] += 1
    seen[how] += 1


def refusal(values: dict[str, Any]) -> SettingsError | None:
    try:
        load_values(values, {})
    except SettingsError as error:
        return error
    return None


def test_ten_thousand_files() -> None:
    """5,000 valid files load, are written back and load as equal; 5,000 spoilt ones give no error but SettingsError."""
    seen.clear()
    check_valid()
    check_spoilt()
    assert seen["valid"] >= 5_000
    assert sum(seen[how] for how in ("type", "nesting", "unknown", "text", "absent")) >= 5_000
    assert seen["refused"] >= 2_000

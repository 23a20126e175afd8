"""Ten thousand values files: valid ones survive being written back, spoilt ones give the settings error and no other.

Hypothesis draws the seeds and a generator of our own the files, since drawing such large documents would take minutes.
"""

from __future__ import annotations

import datetime
import random
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings import Loaded, Settings, load, load_values
from shared.settings.fields import Choice, Flag, Use
from shared.settings.jsonschema import json_schema
from shared.settings.matrix import GATES
from shared.settings.schema import SCHEMA, keys

SECRET = "hunter2-never-in-a-message"
LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO", "WARNING": "WARN", "ERROR": "ERROR"}
PEM = f"-----BEGIN CERTIFICATE-----\n{SECRET}\n-----END CERTIFICATE-----\n"
VALIDATOR = jsonschema.Draft7Validator(json_schema())
FILES = 5_000  # of each of the two sorts
EACH = 20  # every 20th file is also written down, or held against the JSON Schema: YAML and that take the longest
UNSERVED = [(path, key) for path, key in keys(SCHEMA) if key.metadata["use"] in (Use.PENDING, Use.DEPRECATED)]


MISPLACED: list[tuple[str, Any]] = [
    ("avicredentials", SECRET),
    ("avicredentials", [SECRET]),
    ("avicredentials", {SECRET: "admin"}),
    ("avicredentials", {f"password:{SECRET}": None}),
    ("avicredentials", {"username": {SECRET: SECRET}}),
    ("avicredentials", {"password": [SECRET]}),
    ("avicredentials", {"certificateAuthorityData": SECRET}),
    ("pipeline", {f"redisURL:redis://:{SECRET}@h": None}),
    ("pipeline", {"redisURL": f"http://:{SECRET}@h"}),
    ("pipeline", {"redisURL": f"redis://:{SECRET}@h:99999"}),
    ("ControllerSettings", {"controllerHost": f"https://admin:{SECRET}@c/"}),
]
HOW = ("type", "nesting", "unknown", "text", "absent", "credential")


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
        """The whole file: what is served, and beside it keys that only give a warning or a note."""
        values = self.served()
        for path, key in self.draw.sample(UNSERVED, 3):
            section = values.setdefault(path[0], {})
            if isinstance(section, dict):
                section.setdefault(path[1], self.unserved(key))
        return {**values, **self.draw.choice([{}, {"replicaCount": 2, "image": {"repository": "r"}}])}

    def unserved(self, key: Any) -> Any:
        if isinstance(key, Flag):
            return self.flag()
        return self.word(*key.words) if isinstance(key, Choice) else self.draw.choice(["a", "", None])

    def served(self) -> dict[str, Any]:
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
            "avicredentials": {
                "username": "admin",
                "password": SECRET,
                "authtoken": SECRET,
                "certificateAuthorityData": draw.choice([PEM, None]),
            },
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
        """Spoils one value, mostly so that it is wrong; says how."""
        sections = [name for name, section in values.items() if isinstance(section, dict)]
        section = values[self.draw.choice(sections)]
        key = self.draw.choice(list(section))
        how = self.draw.choice(HOW)
        match how:
            case "type":
                section[key] = self.draw.choice([[1], {"a": 1}, 3.7, float("nan"), b"bytes", datetime.date(2026, 1, 1)])
            case "nesting":
                section[key] = {"a": [{"b": [section[key]]}]}
            case "unknown":
                section[f"{key}x"] = section[key]
            case "text":
                section[key] = self.draw.choice(["fe80::1%eth0/64", "999.1.1.1/8", "\x00", "{{", "%s", "é" * 300])
            case "absent":
                del section[key]
            case "credential":
                values.update(self.misplaced())
        return how

    def misplaced(self) -> dict[str, Any]:
        """A secret where it is refused, and its message could repeat it."""
        section, wrong = self.draw.choice(MISPLACED)
        return {section: wrong}


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


def loaded(values: dict[str, Any]) -> Loaded | SettingsError:
    """What loading gives; any exception but SettingsError fails the test."""
    try:
        return load_values(values, {})
    except SettingsError as error:
        return error


def json_errors(values: dict[str, Any]) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(values)]


def test_five_thousand_valid_files_survive_being_written_back(tmp_path: Path) -> None:
    """Each loads, gives equal settings when these are written back, and of some also by way of YAML and JSON Schema."""
    seeds: set[int] = set()
    path = tmp_path / "values.yaml"

    @given(st.integers(0, 2**63))
    @settings(max_examples=FILES, deadline=None)
    def check(seed: int) -> None:
        values = Drawn(seed).values()
        first = load_values(values, {}).settings
        assert load_values(written(first), {}).settings == first
        if len(seeds) % EACH == 0:
            assert json_errors(values) == []
            path.write_text(yaml.safe_dump(values))
            assert load(str(path), {}).settings == first
        seeds.add(seed)

    check()
    assert len(seeds) >= FILES * 0.99


def test_five_thousand_spoilt_files_give_the_settings_error_or_load(tmp_path: Path) -> None:
    """Each gives SettingsError with a place and a text per line, or loads; and never a secret in what is said."""
    seeds: set[int] = set()
    seen: Counter[str] = Counter()

    @given(st.integers(0, 2**63))
    @settings(max_examples=FILES, deadline=None)
    def check(seed: int) -> None:
        drawn = Drawn(seed)
        values = drawn.values()
        how = drawn.spoil(values)
        given_back = loaded(values)
        if isinstance(given_back, SettingsError):
            assert given_back.problems
            assert all(place and text for place, text in given_back.problems)
            assert given_back.__cause__ is given_back.__context__ is None
            seen[f"{how} refused"] += 1
        elif len(seeds) % EACH == 0:
            assert json_errors(values) == []
        said = given_back.problems if isinstance(given_back, SettingsError) else (given_back.warnings, given_back.notes)
        assert SECRET not in f"{said}{given_back}"
        seeds.add(seed)
        seen[how] += 1

    check()
    print(dict(seen))
    assert len(seeds) >= FILES * 0.99
    assert all(seen[how] >= 500 and seen[f"{how} refused"] >= 20 for how in HOW), seen
    assert seen["credential refused"] == seen["credential"]

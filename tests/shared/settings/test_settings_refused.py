"""What is refused, and in which words: all mistakes at once, each with its place, what was found and what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings import load
from shared.settings.schema import SCHEMA, keys

REQUIRED = {
    "CLUSTER_NAME": "peer",
    "CTRL_IPADDRESS": "10.1.1.5",
    "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16"}]',
}


# Each line is ten times the one before.
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]" for before, name in ("ab", "bc", "cd", "de")
)


def problems(tmp_path: Path, values: Any, environ: dict[str, str] | None = None) -> list[str]:
    """The lines of the error for these values (text, bytes or plain data); [] when they load."""
    path = tmp_path / "values.yaml"
    if isinstance(values, bytes):
        path.write_bytes(values)
    else:
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    error = refusal(str(path), REQUIRED if environ is None else environ)
    if error is None:
        return []
    assert error.__cause__ is None  # marshmallow's error would carry every value, passwords included
    assert str(error).splitlines() == [f"{place}: {text}" for place, text in error.problems]
    return [line.replace(str(path), "values.yaml") for line in str(error).splitlines()]


def refusal(path: str, environ: dict[str, str]) -> SettingsError | None:
    """The error of loading, None when it succeeds."""
    try:
        load(path, environ)
    except SettingsError as error:
        return error
    return None


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One error lists every mistake with its place: the path in the file, or the variable it came from."""
    values = {
        "AKOSettings": {"clustername": "x", "ipFamily": "v6", "enableEVH": "yes"},
        "NetworkSettings": {"nodeNetworkList": [{"cidrs": ["10.0.0.0"]}, 7], "vipNetworklist": []},
        "ControllerSettings": {"controllerVersion": 30.2},
        "pipelin": {},
    }
    environ = {"CLUSTER_NAME": "a b", "VIP_NETWORK_LIST": '[{"networkName":"net1","v6cidr":"10.0.0.0/8"}]'}
    assert problems(tmp_path, values, environ) == [
        "CLUSTER_NAME: found 'a b'; write a name of at most 100 letters, digits, hyphens and underscores",
        "AKOSettings.ipFamily: found 'v6'; write V4, V6 or V4_V6",
        "AKOSettings.enableEVH: found 'yes'; write true or false",
        "AKOSettings.clustername: unknown key; write clusterName",
        (
            "VIP_NETWORK_LIST[0].v6cidr: '10.0.0.0/8' is an IPv4 network, not an IPv6 one; "
            "write an IPv6 network such as 2001:db8:10::/64"
        ),
        "NetworkSettings.nodeNetworkList[0].networkName: missing; write the name of the network on the controller",
        (
            "NetworkSettings.nodeNetworkList[0].cidrs[0]: '10.0.0.0' has no prefix length (/32 is a single address); "
            "write a network such as 10.50.0.0/24 or 2001:db8:50::/64"
        ),
        "NetworkSettings.nodeNetworkList[1]: is not a mapping; write one `key: value` per line below it",
        "NetworkSettings.vipNetworklist: unknown key; write vipNetworkList",
        (
            "ControllerSettings.controllerHost: missing; write controllerHost: <name or address of the Avi Controller> "
            "or set CTRL_IPADDRESS"
        ),
        "ControllerSettings.controllerVersion: found the number 30.2; write text in quotes",
        "pipelin: unknown key; write pipeline",
    ]


def test_what_must_be_written_is_missed() -> None:
    """Without file and environment, exactly the three keys that have no default are asked for."""
    with pytest.raises(SettingsError) as caught:
        load(None, {})
    places = [place for place, _ in caught.value.problems]
    assert places == [
        "AKOSettings.clusterName",
        "NetworkSettings.vipNetworkList",
        "ControllerSettings.controllerHost",
    ]


ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("unknown section", {"foo": 1}, "foo: unknown key; remove it"),
    (
        "key in the wrong section",
        {"clusterName": "a"},
        "clusterName: unknown key here; write it below AKOSettings",
    ),
    ("section is a list", {"L7Settings": []}, "L7Settings: is not a mapping; write one `key: value`"),
    ("word of another case", {"L7Settings": {"shardVSSize": "large"}}, "found 'large'; write LARGE, MEDIUM, SMALL or"),
    ("empty word", {"L7Settings": {"serviceType": ""}}, "found ''; write ClusterIP, NodePort or"),
    (
        "both families",
        {"AKOSettings": {"ipFamily": "V4_V6", "cniPlugin": "calico"}},
        "AKOSettings.ipFamily: found 'V4_V6', which needs servers of both families in one pool",
    ),
    (
        "node port local without antrea",
        {"L7Settings": {"serviceType": "NodePortLocal"}},
        "AKOSettings.cniPlugin: found nothing with serviceType NodePortLocal, which is a feature of Antrea; write",
    ),
    ("unknown CNI", {"AKOSettings": {"cniPlugin": "weave"}}, "AKOSettings.cniPlugin: found 'weave'; write calico, "),
    ("boolean for text", {"AKOSettings": {"cniPlugin": False}}, "cniPlugin: found the boolean false; write calico"),
    ("date for text", "ControllerSettings: {tenantName: 2026-01-01}", "tenantName: found a date; write text in quotes"),
    ("base 60", "ControllerSettings: {tenantName: 1:20}", "tenantName: found the number 80; write text in quotes"),
    ("mapping for text", {"ControllerSettings": {"vrfName": {"a": 1}}}, "vrfName: found a mapping; write text"),
    ("huge number", "ControllerSettings: {vrfName: 0x" + "f" * 5000 + "}", "vrfName: found a huge number; write"),
    ("number for flag", {"AKOSettings": {"deleteConfig": 1}}, "deleteConfig: found the number 1; write true or false"),
    ("text for number", {"AKOSettings": {"fullSyncFrequency": "1h"}}, "found '1h'; write a whole number from 0 to"),
    ("flag for number", {"AKOSettings": {"apiServerPort": True}}, "apiServerPort: found the boolean true; write a"),
    (
        "fraction",
        {"pipeline": {"concurrency": 1.5}},
        "pipeline.concurrency: found the number 1.5; write a whole number",
    ),
    ("out of range", {"pipeline": {"leaseTTL": 0}}, "pipeline.leaseTTL: found the number 0; write a number from 0.2"),
    ("infinity", {"pipeline": {"leaseTTL": float("inf")}}, "pipeline.leaseTTL: found a huge number; write"),
    ("not a number", {"pipeline": {"leaseTTL": float("nan")}}, "pipeline.leaseTTL: found a huge number; write"),
    ("no URL", {"pipeline": {"redisURL": "redis"}}, "pipeline.redisURL: found text; write redis://host:6379/0"),
    ("bad port", {"pipeline": {"redisURL": "redis://h:99999"}}, "pipeline.redisURL: found text; write redis://"),
    (
        "controller path",
        {"ControllerSettings": {"controllerHost": "https://c/api"}},
        "found text that is not a host; write",
    ),
    ("name with a slash", {"AKOSettings": {"clusterName": "a/b"}}, "found 'a/b'; write a name of at most 100 letters"),
    ("name too long", {"AKOSettings": {"clusterName": "a" * 101}}, "write a name of at most 100 letters"),
    (
        "name with a line end",
        {"AKOSettings": {"clusterName": "a\nb"}},
        "found 'a\\nb'; write a name of at most 100 letters",
    ),
    ("number as name", {"AKOSettings": {"clusterName": 7}}, "clusterName: found the number 7; write text in quotes"),
    ("no row", {"NetworkSettings": {"vipNetworkList": []}}, "vipNetworkList: found no row; write vipNetworkList: [{"),
    (
        "two rows",
        {"NetworkSettings": {"vipNetworkList": [{"networkName": "a"}, {"networkName": "b"}]}},
        "NetworkSettings.vipNetworkList: found 2 rows; write at most 1",
    ),
    (
        "six node networks",
        {"NetworkSettings": {"nodeNetworkList": [{"networkName": "n"}] * 6}},
        "NetworkSettings.nodeNetworkList: found 6 rows; write at most 5",
    ),
    (
        "mapping for rows",
        {"NetworkSettings": {"vipNetworkList": {"networkName": "a"}}},
        "vipNetworkList: is not a list",
    ),
    ("empty row", {"NetworkSettings": {"nodeNetworkList": [None]}}, "nodeNetworkList[0]: is empty; give it a value"),
    (
        "cidr without prefix",
        {"NetworkSettings": {"vipNetworkList": [{"networkName": "a", "cidr": "10.0.0.0"}]}},
        "NetworkSettings.vipNetworkList[0].cidr: '10.0.0.0' has no prefix length",
    ),
    (
        "cidr is no text",
        {"NetworkSettings": {"vipNetworkList": [{"networkName": "a", "cidr": 10}]}},
        "vipNetworkList[0].cidr: found the number 10; write an IPv4 network such as 10.10.0.0/16 in quotes",
    ),
    (
        "loopback VIPs",
        {"NetworkSettings": {"vipNetworkList": [{"networkName": "a", "v6cidr": "::1/128"}]}},
        "vipNetworkList[0].v6cidr: '::1/128' holds loopback addresses",
    ),
    (
        "unknown key of a row",
        {"NetworkSettings": {"vipNetworkList": [{"networkName": "a", "v6Cidr": "x"}]}},
        "NetworkSettings.vipNetworkList[0].v6Cidr: unknown key; write v6cidr",
    ),
    ("key that is no text", "AKOSettings: {true: 1}", "AKOSettings.True: unknown key; remove it"),
    ("unspeakable key", '"a\\nb c": 1', "'a\\nb c': unknown key; remove it"),
]


@pytest.mark.parametrize(("values", "message"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_mistake_has_one_line(tmp_path: Path, values: Any, message: str) -> None:
    """One mistake gives one line, with the place, what was found and what to write instead."""
    environ = dict(REQUIRED)
    text = values if isinstance(values, str) else yaml.safe_dump(values)
    for variable, key in (("CLUSTER_NAME", "AKOSettings:\n  clusterName"), ("CTRL_IPADDRESS", "controllerHost")):
        if key in text:
            del environ[variable]
    if "vipNetworkList" in text:
        del environ["VIP_NETWORK_LIST"]
    lines = problems(tmp_path, values, environ)
    assert [message in line for line in lines if "missing; write clusterName" not in line] == [True], lines


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("VIP_NETWORK_LIST", "[{", "VIP_NETWORK_LIST: is not a list"),
        ("VIP_NETWORK_LIST", "{}", "VIP_NETWORK_LIST: is not a list"),
        ("VIP_NETWORK_LIST", "[" * 100_000, "VIP_NETWORK_LIST: is not a list"),
        ("NODE_NETWORK_LIST", '[{"networkName":5}]', "NODE_NETWORK_LIST[0].networkName: found the number 5"),
        ("IP_FAMILY", "v4", "IP_FAMILY: found 'v4'; write V4, V6 or V4_V6"),
        ("AKO_LEASE_TTL", "-1", "AKO_LEASE_TTL: found '-1'; write a number from 0.2 to 300 (seconds)"),
        ("DISABLE_STATIC_ROUTE_SYNC", "1", "DISABLE_STATIC_ROUTE_SYNC: found '1'; write true or false"),
        ("POD_NAMESPACE", "a b", "POD_NAMESPACE: found 'a b'; write the name of a namespace"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, text: str, message: str) -> None:
    """A mistake in the environment is one line that begins with the variable."""
    (line,) = problems(tmp_path, "", REQUIRED | {variable: text})
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "line 1, column 5: expected the node content; text that ends in"),
        ("a: fe80::", "line 1, column 9: mapping values are not allowed here; text that ends in"),
        ("a: *other", "line 1, column 4: an alias (*name) without its anchor"),
        ("a: &x [*x]", "line 1, column 8: an alias (*name) without its anchor"),
        ("a: !!python/object:os.system {}", "line 1, column 4: tags (!name) are not read"),
        ("a: 1\na: 2", "line 2, column 1: a key is written twice"),
        ("a: 1\n---\nb: 1", "line 2, column 1: but found another document"),
        ("a: 2026-99-99", "holds something that looks like a number or a date"),
        ("a: 0x_", "holds something that looks like a number or a date"),
        (LAUGHS, "line 4, column 17: nested too deeply or too large"),
        ("? [a]\n: 1", "line 1, column 3: found unhashable key"),
        ("[1, 2]", "is not a mapping of sections"),
        ("just text", "is not a mapping of sections"),
        ("[" * 100_000, "line 1, column 25: nested too deeply"),
        ("a: \x00", "is not YAML"),
        (b"a: \xff\xfe", "is not UTF-8 text"),
        ("#" * 300_000, "is larger than 256 KiB"),
    ],
)
def test_a_file_that_is_no_values_file(tmp_path: Path, content: str | bytes, message: str) -> None:
    """Broken, cyclic, huge or foreign YAML is one line with the place in the file, never a traceback."""
    (line,) = problems(tmp_path, content)
    assert line.startswith(f"values.yaml: {message}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a directory and an impossible path are each one line with the reason."""
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=reason):
            load(str(path), REQUIRED)
    with pytest.raises(SettingsError, match="not a usable path"):
        load("a\x00b", REQUIRED)


@pytest.mark.parametrize(
    "values",
    [
        "avicredentials: {password: *hunter2-alias}",
        "avicredentials: {password: !hunter2-tag x}",
        "avicredentials: {password: @hunter2-sign}",
        "avicredentials: {password: 'hunter2-unfinished}",
        "avicredentials: {password: [hunter2-list]}",
        "avicredentials: hunter2-text",
        "avicredentials: {hunter2-key: x}",
        "avicredentials: {password:hunter2-without-a-blank}",
        "pipeline: {redisURL:redis://:hunter2@host}",
        "avicredentials: {certificateAuthorityData: hunter2-pem}",
        "pipeline: {redisURL: 'http://:hunter2@host'}",
        "ControllerSettings: {controllerHost: 'https://admin:hunter2@host/'}",
    ],
)
def test_no_message_repeats_a_secret(tmp_path: Path, values: str) -> None:
    """Whatever is wrong around a password, the message does not hold it."""
    environ = {name: value for name, value in REQUIRED.items() if name != "CTRL_IPADDRESS"}
    lines = problems(tmp_path, values, environ)
    assert lines
    assert "hunter2" not in "".join(lines)


def test_every_key_refuses_a_wrong_type_by_its_path(tmp_path: Path) -> None:
    """Each key of the schema, set to a mapping where none belongs, is one line beginning with its path."""
    for path, key in keys(SCHEMA):
        if not key.metadata["env"]:
            continue
        values: Any = {"neither": ["text", "nor", "number"]}
        for name in reversed(path):
            values = {name: values}
        environ = {name: value for name, value in REQUIRED.items() if name != key.metadata["env"]}
        (line,) = problems(tmp_path, values, environ)
        assert line.startswith(".".join(path) + ": ")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
LEAVES = SCALARS | st.sampled_from(["V4", "V6", "true", "1800", "10.0.0.0/8", "2001:db8::/64", "net1", "LARGE"])
NAMES = st.sampled_from(sorted({name for path, _ in keys(SCHEMA) for name in path} | {"networkName", "cidr", "cidrs"}))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
SECTIONS = st.fixed_dictionaries({}, optional={str(field.data_key): TREES for field in SCHEMA.fields.values()})


@given(SECTIONS)
@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_file_loads_or_gives_the_settings_error(tmp_path: Path, values: dict[str, Any]) -> None:
    """Whatever the file holds, it either loads or gives lines that begin with a place; nothing else is raised."""
    for line in problems(tmp_path, yaml.safe_dump(values, allow_unicode=True)):
        assert ": " in line

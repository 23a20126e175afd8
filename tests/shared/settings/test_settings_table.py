"""The table of good and bad settings, with the full text of every message in `messages.txt`.

After a change of a message or a row: `python -m tests.shared.settings.table`, then read the difference.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import shared.addresses
import shared.settings
from shared.errors import SettingsError
from shared.settings import Settings, load
from shared.settings.fields import Anything, Rows
from shared.settings.flat import flat_keys
from shared.settings.matrix import GATES, MATRIX, Row
from shared.settings.schema import SCHEMA, Part, Section, keys
from tests.shared.settings.table import TABLE, Line, file_of_ako, golden, inner_types, over, said, wrong_types

GOLDEN = golden()
SETTINGS = Path(shared.settings.__file__).parent
SOURCES = [Path(shared.addresses.__file__), *(SETTINGS / f"{name}.py" for name in ("fields", "schema", "sources"))]


@pytest.mark.parametrize("line", TABLE, ids=[line.name for line in TABLE])
def test_each_row_has_exactly_its_message(line: Line, tmp_path: Path) -> None:
    """Good settings load, bad ones give exactly the lines of messages.txt."""
    lines = said(line, tmp_path)
    assert lines == GOLDEN[line.name]
    assert (lines[0] == "valid") is line.good


def test_table_and_messages_have_the_same_rows() -> None:
    """No message is left without its row, no two rows have one name, and there are at least 150."""
    assert [line.name for line in TABLE] == list(GOLDEN)
    assert len(GOLDEN) == len(TABLE) >= 150


def every_path(section: Section, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place that a value can stand at, sections and items of lists included; `[0]` is an item."""
    for field in section.fields.values():
        here = (*path, str(field.data_key)) if field.data_key else path
        if isinstance(field, Anything):
            continue
        yield here
        if isinstance(field, Part):
            yield from every_path(field.section, here)
        elif isinstance(field, Rows):
            item = (*here[:-1], f"{here[-1]}[0]")
            yield item
            if isinstance(field.inner, Part):
                yield from every_path(field.inner.section, item)


def test_every_key_is_shown_with_a_wrong_type() -> None:
    """Each key, section and item of a list has a row of a wrong type whose one message begins with its path."""
    shown = {GOLDEN[line.name][0].partition(": ")[0] for line in (*wrong_types(), *inner_types())}
    missing = [place for place in map(".".join, every_path(SCHEMA)) if place not in shown]
    assert missing == []


def test_every_message_is_one_line_with_a_place() -> None:
    """Whatever is said begins with a path and has something after it."""
    for lines in GOLDEN.values():
        for text in lines:
            place, colon, rest = text.partition(": ")
            assert text == "valid" or (place and colon and rest.strip()), text


@pytest.mark.parametrize("row", MATRIX, ids=[f"{row.id}-{row.phase}-{row.refused[:40]}" for row in MATRIX])
def test_each_row_of_the_matrix_is_shown_on_both_sides(row: Row) -> None:
    """In its phase, each rule of the matrix refuses some line of the table with its text, and passes another; a rule
    with a gate passes one for which the gate is on.
    """
    shown = [line for line in TABLE if (line.rule, line.phase) == (row.id, row.phase)]
    ending = row.message("").removeprefix("found ")
    assert [line.name for line in shown if any(text.endswith(ending) for text in GOLDEN[line.name])]
    passed = [line for line in shown if line.good]
    assert passed
    assert not row.gate or [line for line in passed if row.gate in line.values.get("featureGates", {})]


def test_no_line_names_a_rule_that_is_not_there() -> None:
    """A line that shows a boundary names a row of the matrix by id and phase."""
    rows = {(row.id, row.phase) for row in MATRIX}
    assert [line.name for line in TABLE if line.rule and (line.rule, line.phase) not in rows] == []


def test_each_gate_is_a_key_and_opens_its_rules() -> None:
    """Every gate can be set in the file, and with all on, no rule that has a gate refuses anything."""
    names = {path[-1] for path, _ in keys(SCHEMA) if path[0] == "featureGates"}
    assert set(GATES) <= names
    opened = Settings("c", None, (), gates=frozenset(GATES))  # type: ignore[arg-type]
    assert {row.gate for row in MATRIX if row.gate} == opened.gates


# Places that raise for others than `load`.
ELSEWHERE = {"is not the text of an address"}


def test_every_place_that_refuses_is_reached(tmp_path: Path) -> None:
    """Each `raise` in the code that reads settings is run by some row of the table."""
    reached: set[tuple[str, int]] = set()
    watched = {str(path) for path in SOURCES}

    def lines(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return lines

    def calls(frame: FrameType, *_: Any) -> Any:
        return lines if frame.f_code.co_filename in watched else None

    before = sys.gettrace()
    sys.settrace(calls)
    try:
        for line in TABLE:
            if not line.good:
                said(line, tmp_path)
        load_of_no_file(tmp_path)
    finally:
        sys.settrace(before)
    assert [place for place in _raises() if not place[1] & reached] == []


def load_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(str(tmp_path / "none"), {})


def _raises() -> list[tuple[str, set[tuple[str, int]]]]:
    """(text, lines) of each raise statement."""
    found = []
    for path in SOURCES:
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Raise) and node.exc is not None:
                text = ast.get_source_segment(source, node) or ""
                if not any(part in text for part in ELSEWHERE):
                    found.append((text, {(str(path), n) for n in range(node.lineno, (node.end_lineno or 0) + 1)}))
    return found


def test_ako_s_own_file_loads_without_a_warning(tmp_path: Path) -> None:
    """A file with every key and default of AKO's published chart loads with the one deliberate note, no warning."""
    values = file_of_ako()
    required = {
        "ControllerSettings": {"controllerHost": "10.1.1.5"},
        "NetworkSettings": {"vipNetworkList": [{"networkName": "net1"}]},
    }
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(over(values, required)))
    loaded = load(str(path), {})
    assert len(values) == 20
    assert loaded.warnings == ()
    assert [note.partition(": ")[2] for note in loaded.notes] == [
        "read past, only the deployment of the containers needs it"
    ]


def test_the_configmap_of_ako_s_chart_is_known() -> None:
    """Every key that AKO's chart writes into avi-k8s-config is one of ours."""
    chart = """
    primaryInstance controllerIP controllerVersion cniPlugin shardVSSize passthroughShardSize fullSyncFrequency
    cloudName clusterName servicesAPI enableEVH layer7Only vipPerNamespace tenantName vrfName defaultDomain
    disableStaticRouteSync defaultIngController defaultLBController noPGForSNI enableRHI nsxtT1LR enableEvents logLevel
    deleteConfig autoFQDN nsSyncLabelKey nsSyncLabelValue serviceType nodeKey nodeValue serviceEngineGroupName
    bgpPeerLabels nodeNetworkList vipNetworkList apiServerPort enableMCI blockedNamespaceList ipFamily istioEnabled
    useDefaultSecretsOnly enablePrometheus enableEndpointSlice fqdnReusePolicy vpcMode
    """
    assert set(chart.split()) <= set(flat_keys(keys(SCHEMA)))


def test_the_configmap_stands_between_file_and_environment(tmp_path: Path) -> None:
    """The ConfigMap wins over the file, and the environment over the ConfigMap; empty text leaves what is there."""
    path = tmp_path / "values.yaml"
    path.write_text("AKOSettings: {clusterName: file, cniPlugin: calico}\nControllerSettings: {vrfName: v}")
    configmap = {
        "clusterName": "flat",
        "cniPlugin": "antrea",
        "vrfName": "",
        "controllerIP": "10.1.1.5",
        "vipNetworkList": '[{"networkName":"net1","v6cidr":"2001:db8::1/64"}]',
        "nodeNetworkList": "null",
    }
    settings = load(str(path), {"CLUSTER_NAME": "environ"}, configmap).settings
    assert (settings.cluster_name, settings.cni_plugin, settings.controller.vrf) == ("environ", "antrea", "v")
    assert (settings.controller.host, str(settings.vip_networks[0].v6cidr)) == ("10.1.1.5", "2001:db8::/64")


def _flat(text: str) -> list[Any]:
    return text.split("|")


FAMILIES = st.sampled_from(_flat("|V4|V6|V4_V6|v6"))
CIDRS = st.sampled_from(_flat("|10.10.0.0/16|10.10.3.4/16|2001:db8::/64|2002::1234:abcd:ffff:c0a8:101/64|::1/128|x"))
FLAGS = st.sampled_from([True, False, "true", "false", "yes", 1, None])
AKO = st.fixed_dictionaries(
    {"clusterName": st.sampled_from(["demo", "a b", "", None])},
    optional={
        "ipFamily": FAMILIES,
        "cniPlugin": st.sampled_from(_flat("|calico|Antrea|cilium|openshift|weave")),
        "disableStaticRouteSync": FLAGS,
        "fullSyncFrequency": st.sampled_from([0, "60", -1, 1.5, float("nan")]),
    },
)
VIP_ROWS = st.fixed_dictionaries({"networkName": st.just("n")}, optional={"cidr": CIDRS, "v6cidr": CIDRS})
NODE_ROWS = st.fixed_dictionaries({"networkName": st.just("n"), "cidrs": st.lists(CIDRS, max_size=2)})
FILES = st.fixed_dictionaries(
    {
        "AKOSettings": AKO,
        "NetworkSettings": st.fixed_dictionaries(
            {"vipNetworkList": st.lists(VIP_ROWS, max_size=2)},
            optional={"nodeNetworkList": st.lists(NODE_ROWS, max_size=6)},
        ),
        "ControllerSettings": st.fixed_dictionaries(
            {"controllerHost": st.sampled_from(_flat("10.1.1.5|avi|::1|[::1]:443|a/b|"))}
        ),
        "L7Settings": st.fixed_dictionaries(
            {}, optional={"serviceType": st.sampled_from(_flat("ClusterIP|NodePort|NodePortLocal"))}
        ),
        "featureGates": st.dictionaries(st.sampled_from(GATES), FLAGS),
    }
)


def loaded_or_refused(path: Path) -> Settings | SettingsError:
    try:
        return load(str(path), {}).settings
    except SettingsError as error:
        return error


@given(FILES)
@hypothesis_settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_plausible_files_give_settings_or_the_settings_error(tmp_path: Path, values: dict[str, Any]) -> None:
    """A file that could be meant gives settings within the matrix, or SettingsError with a place per line."""
    path = tmp_path / "values.yaml"
    path.write_text(json.dumps(values).replace("NaN", ".nan"))
    settings = loaded_or_refused(path)
    if isinstance(settings, SettingsError):
        assert settings.problems
        assert all(place and text for place, text in settings.problems)
        return
    routed = not settings.disable_static_routes
    if settings.ip_family.v6 and routed and settings.cni_plugin not in {"calico", "antrea"}:
        assert "IPv6AnyCNI" in settings.gates
    assert settings.ip_family.value != "V4_V6" or "DualStackBackends" in settings.gates
    assert settings.digest() == load(str(path), {}).settings.digest()

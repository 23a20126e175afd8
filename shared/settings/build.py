"""From a document to settings: the schema's verdict as (place, message) pairs, the dataclasses, and what to warn of.

Everything here is plain data in, plain data out.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from marshmallow import ValidationError, fields, missing

from shared.errors import SettingsError
from shared.settings.fields import Key, Rows, Use, found
from shared.settings.matrix import GATES
from shared.settings.model import ControllerSettings, NodeNetwork, PipelineSettings, ServiceType, Settings, VipNetwork
from shared.settings.schema import SCHEMA, AviCredentials, FeatureGates, Part, Section
from shared.settings.sources import Document

Path_ = tuple[Any, ...]


def check(schema: Section, document: Document) -> dict[str, Any]:
    """The document's values as the schema understands them. Raises SettingsError with every problem."""
    values, wrong = understand(schema, document)
    if wrong:
        raise SettingsError([(document.place(path), text) for path, text in wrong])
    return values


def understand(schema: Section, document: Document) -> tuple[dict[str, Any], list[tuple[Path_, str]]]:
    """The values as far as they are right, with defaults for the others, and what is wrong as (path, message) pairs.

    Nothing is raised, and marshmallow's error goes no further: it carries all the data, credentials included.
    """
    try:
        return schema.load(document.values), []
    except ValidationError as error:
        return _completed(schema, error.valid_data), list(_problems(error.messages, schema, ()))


def _completed(schema: Section, values: Any) -> dict[str, Any]:
    """The values of a section with defaults for what is not there; what has no default is empty."""
    given = values if isinstance(values, Mapping) else {}
    complete: dict[str, Any] = {}
    for name, field in schema.fields.items():
        if isinstance(field, Part):
            complete[name] = _completed(field.section, given.get(name))
        elif isinstance(field, Key | Rows):
            empty = () if isinstance(field, Rows) else ""
            complete[name] = given.get(name, empty if field.load_default is missing else field.load_default)
    return complete


def build(values: Mapping[str, Any], pod_namespace: str) -> Settings:
    """The settings that checked values mean."""
    ako, network, l7, l4 = values["ako"], values["network"], values["l7"], values["l4"]
    controller = {name: value for name, value in values["controller"].items() if name != "dedicated_tenant"}
    pipeline = dict(values["pipeline"])
    if pipeline["resync_interval"] is None:
        pipeline["resync_interval"] = float(ako["resync_interval"])
    return Settings(
        cluster_name=ako["cluster_name"],
        controller=ControllerSettings(**controller),
        vip_networks=tuple(VipNetwork(**row) for row in network["vip_networks"]),
        node_networks=tuple(
            NodeNetwork(row["name"], row["uuid"], tuple(cidr for cidr in row["cidrs"] if cidr))
            for row in network["node_networks"]
        ),
        ip_family=ako["ip_family"],
        cni_plugin=ako["cni_plugin"],
        service_type=l7["service_type"],
        annotate_services=l7["annotate_services"],
        node_port_label=(values["node_port_selector"]["key"], values["node_port_selector"]["value"]),
        shard_size=l7["shard_size"],
        evh=ako["evh"],
        kubernetes_paths=l7["path_matching"] == "Kubernetes",
        vip_per_namespace=ako["vip_per_namespace"],
        strict_hosts=ako["evh"] and l7["fqdn_reuse"] == "Strict",
        no_pool_group=l7["no_pool_group_for_sni"],
        passthrough_size=l7["passthrough_shards"],
        auto_fqdn=l4["auto_fqdn"],
        default_domain=network["default_domain"] or l4["default_domain"],
        layer7_only=ako["layer7_only"],
        default_lb_controller=l4["default_controller"],
        disable_static_routes=ako["disable_static_routes"],
        primary=ako["primary"],
        pod_namespace=pod_namespace,
        gates=frozenset(
            str(field.data_key)
            for name, field in FeatureGates().fields.items()
            if field.data_key in GATES and values["gates"][name]
        ),
        namespace_label=_namespace_label(ako["namespace_selector"]),
        blocked_namespaces=frozenset(name for name in ako["blocked_namespaces"] if name),
        delete_config=ako["delete_config"],
        pipeline=PipelineSettings(
            **pipeline, log_level=ako["log_level"], events=ako["events"], health_port=ako["api_port"]
        ),
    )


def _namespace_label(selector: Mapping[str, str]) -> tuple[str, str]:
    """The label that a served namespace bears; as with AKO a key or a value alone selects nothing."""
    key, value = selector["label_key"].strip(), selector["label_value"].strip()
    return (key, value) if key and value else ("", "")


def warnings(values: Mapping[str, Any], document: Document) -> Iterator[str]:
    """One line for each key that asks for something that this release does not do."""
    for path, field, value in _walk(SCHEMA, values, ()):
        use = field.metadata["use"]
        if use is Use.PENDING and not _is_default(field, value):
            said = found(_raw(document.values, path))
            yield f"{document.place(path)}: {said} has no effect, since this release does not serve it yet"
        if use is Use.DEPRECATED and value not in (None, "", False):
            yield f"{document.place(path)}: deprecated and without effect; remove it"
    if values["l7"]["fqdn_reuse"] == "Strict" and not values["ako"]["evh"]:
        place = document.place(("L7Settings", "fqdnReusePolicy"))
        yield f"{place}: Strict has no effect without AKOSettings.enableEVH"
    if values["l4"]["default_domain"]:
        yield "L4Settings.defaultDomain: deprecated; move it to NetworkSettings.defaultDomain"


def unserved(values: Mapping[str, Any], document: Document) -> list[tuple[str, str]]:
    """What is asked for and would build other objects than asked for, as (place, message) pairs."""
    problems = []
    for path, field, value in _walk(SCHEMA, values, ()):
        if field.metadata["use"] is Use.DECISIVE and not _is_default(field, value):
            said = found(_raw(document.values, path))
            problems.append(
                (document.place(path), f"found {said}, which this release does not serve; leave it at its default")
            )
    return problems


def disagreements(values: Mapping[str, Any], document: Document, wrong: Collection[Path_]) -> Iterator[tuple[str, str]]:
    """Settings that are right by themselves and wrong together, as (place, message); none about a `wrong` place."""
    place, cni = ("AKOSettings", "cniPlugin"), values["ako"]["cni_plugin"]
    clear = not any(place[: len(each)] == each for each in wrong)
    if values["l7"]["service_type"] is ServiceType.NODE_PORT_LOCAL and cni != "antrea" and clear:
        text = f"found {repr(cni) if cni else 'nothing'} with serviceType NodePortLocal, which is a feature of Antrea"
        yield document.place(place), f"{text}; write antrea if that is the cluster's CNI, or another serviceType"


def notes(document: Document) -> Iterator[str]:
    """One line that names all keys that only a chart needs, AKO's or ours."""
    chart = [str(field.data_key) for field in SCHEMA.fields.values() if field.metadata.get("use") is Use.CHART]
    present = [key for key in chart if document.values.get(key) is not None]
    if present:
        yield f"{', '.join(present)}: read past, only the deployment of the containers needs it"


def _problems(errors: Any, field: Section | fields.Field[Any] | None, path: Path_) -> Iterator[tuple[Path_, str]]:
    """Nested errors as flat pairs: in the order of the schema, rows by number, unknown keys last."""
    if not isinstance(errors, Mapping):
        yield from ((path, str(text)) for text in errors)
        return
    section = field.section if isinstance(field, Part) else field
    below = {part.data_key: part for part in section.fields.values()} if isinstance(section, Section) else {}
    for key in _ordered(errors, below):
        if isinstance(section, Section) and errors[key] == [section.error_messages["unknown"]]:
            if isinstance(section, AviCredentials):  # where a forgotten blank or colon makes a key of a password
                yield path, f"holds a key that is not known, nor repeated here; write {', '.join(map(str, below))}"
            else:
                yield (*path, key), _unknown(key, below)
        elif key == "_schema":
            yield from _problems(errors[key], None, path)
        else:
            inner = section.inner if isinstance(section, Rows) else below.get(key)
            yield from _problems(errors[key], inner, (*path, key))


def _ordered(errors: Mapping[Any, Any], known: Iterable[Any]) -> list[Any]:
    ranks = {key: rank for rank, key in enumerate(known)}
    return sorted(errors, key=lambda key: (ranks.get(key, len(ranks)), isinstance(key, str), str(key).rjust(8)))


def _unknown(key: Any, known: Iterable[Any]) -> str:
    """What to do about a key that nobody knows: the nearest one, or the section where it belongs."""
    names = {str(name).lower(): str(name) for name in known}
    near = difflib.get_close_matches(str(key).lower()[:60], names, n=1)
    if near:
        return f"unknown key; write {names[near[0]]}"
    for path, _ in _every_key(SCHEMA, ()):
        if path[-1] == key and len(path) > 1:
            return f"unknown key here; write it below {'.'.join(path[:-1])}"
    return "unknown key; remove it"


def _every_key(schema: Section, path: Path_) -> Iterator[tuple[Path_, fields.Field[Any]]]:
    for field in schema.fields.values():
        yield (*path, field.data_key), field
        if isinstance(field, Part):
            yield from _every_key(field.section, (*path, field.data_key))


def _walk(schema: Section, values: Mapping[str, Any], path: Path_) -> Iterator[tuple[Path_, Key[Any] | Rows, Any]]:
    """Each key with its path in the file and its checked value."""
    for name, field in schema.fields.items():
        here = (*path, field.data_key)
        if isinstance(field, Part):
            yield from _walk(field.section, values[name], here)
        elif isinstance(field, Key | Rows):
            yield here, field, values[name]


def _is_default(field: Key[Any] | Rows, value: Any) -> bool:
    default = list(field.load_default) if isinstance(field, Rows) else field.load_default
    return bool((list(value) if isinstance(field, Rows) else value) == default)


def _raw(values: Any, path: Path_) -> Any:
    for key in path:
        values = values[key]
    return values

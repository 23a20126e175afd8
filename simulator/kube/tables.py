"""Objects as tables, which is what `kubectl get` asks for: the server decides on columns and cells.

Each kind has its columns, a custom kind those of its definition; the last resort is name and age.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

from simulator.kube.resources import Obj, Resource
from simulator.kube.store import Record

Cell = Callable[[Obj], Any]
Column = tuple[str, str, int, Cell]  # name, type, priority (0 is always shown), cell
_PATH = re.compile(r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[(\d+)\]")


class Tables:
    """Builds Table objects; `objects` says what each row carries: Metadata (the default), Object or None."""

    def __init__(self, objects: str = "Metadata") -> None:
        self._objects = objects or "Metadata"
        self._started = False

    def table(self, resource: Resource, records: Sequence[Record], metadata: dict[str, Any]) -> dict[str, Any]:
        """The Table of these records. In a watch only the first one carries the columns."""
        columns = columns_of(resource)
        rows = [self._row(resource, columns, resource.shown(record.obj)) for record in records]
        definitions = [] if self._started else [_definition(column) for column in columns]
        self._started = True
        head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
        return {**head, "columnDefinitions": definitions, "rows": rows}

    def bookmark(self, obj: dict[str, Any]) -> dict[str, Any]:
        """A bookmark as a Table with one empty row."""
        row = {"cells": [], "object": obj}
        head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
        return {**head, "columnDefinitions": [], "rows": [row]}

    def _row(self, resource: Resource, columns: Sequence[Column], obj: Obj) -> dict[str, Any]:
        row: dict[str, Any] = {"cells": [cell(obj) for _, _, _, cell in columns]}
        if self._objects == "Metadata":
            head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
            row["object"] = {**head, "metadata": obj["metadata"]}
        elif self._objects == "Object":
            row["object"] = {**obj, "kind": resource.kind, "apiVersion": resource.api_version}
        return row


def columns_of(resource: Resource) -> Sequence[Column]:
    """The columns of a kind."""
    if resource.custom and resource.columns:
        return [_NAME, *(_custom(column) for column in resource.columns)]
    return _COLUMNS.get(resource.key, (_NAME, _AGE))


def _definition(column: Column) -> dict[str, Any]:
    name, kind, priority, _ = column
    format_ = "name" if name == "Name" else ""
    return {"name": name, "type": kind, "format": format_, "description": "", "priority": priority}


def age(time: str) -> str:
    """How long ago `time` was, in the words of kubectl."""
    try:
        seconds = int((datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(time)).total_seconds())
    except (ValueError, TypeError):
        return "<unknown>"
    seconds = max(0, seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 180:
        return f"{minutes}m{seconds % 60}s" if minutes < 10 and seconds % 60 else f"{minutes}m"
    if hours < 48:
        return f"{hours}h{minutes % 60}m" if hours < 8 and minutes % 60 else f"{hours}h"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def _at(*path: str, otherwise: Any = "") -> Cell:
    def cell(obj: Obj) -> Any:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return otherwise if value is None else value

    return cell


def _custom(column: Obj) -> Column:
    steps = [name or quoted or int(index) for name, quoted, index in _PATH.findall(column.get("jsonPath") or "")]
    is_date = column.get("type") == "date"

    def cell(obj: Obj) -> Any:
        value: Any = obj
        for step in steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return age(value) if is_date and isinstance(value, str) else value

    return str(column.get("name") or ""), str(column.get("type") or "string"), int(column.get("priority") or 0), cell


def _joined(texts: Sequence[Any], otherwise: str = "<none>") -> str:
    return ",".join(str(text) for text in texts) or otherwise


def _some(texts: Sequence[str], most: int) -> str:
    more = f" + {len(texts) - most} more..." if len(texts) > most else ""
    return _joined(texts[:most]) + more


def _load_balancer(obj: Obj) -> str:
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ",".join(text for entry in entries if (text := entry.get("ip") or entry.get("hostname")))


def _node_status(obj: Obj) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or []
    ready = next((item.get("status") for item in conditions if item.get("type") == "Ready"), None)
    text = {"True": "Ready", "False": "NotReady"}.get(str(ready), "Unknown")
    return text + (",SchedulingDisabled" if (obj.get("spec") or {}).get("unschedulable") else "")


def _node_roles(obj: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    return _joined(
        sorted(name[len(prefix) :] for name in obj["metadata"].get("labels") or () if name.startswith(prefix))
    )


def _node_address(kind: str) -> Cell:
    def cell(obj: Obj) -> str:
        addresses = (obj.get("status") or {}).get("addresses") or []
        return next((item.get("address", "") for item in addresses if item.get("type") == kind), "<none>")

    return cell


def _external_ip(obj: Obj) -> str:
    spec = obj["spec"]
    if spec.get("type") == "LoadBalancer":
        return _load_balancer(obj) or _joined(spec.get("externalIPs") or [], "<pending>")
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or "<none>")
    return _joined(spec.get("externalIPs") or [])


def _service_ports(obj: Obj) -> str:
    ports = obj["spec"].get("ports") or []
    return _joined(
        [
            f"{port.get('port')}:{port['nodePort']}/{port.get('protocol')}"
            if port.get("nodePort")
            else f"{port.get('port')}/{port.get('protocol')}"
            for port in ports
        ]
    )


def _selector(obj: Obj) -> str:
    return _joined([f"{name}={value}" for name, value in sorted((obj["spec"].get("selector") or {}).items())])


def _slice_ports(obj: Obj) -> str:
    return _some([str(port.get("port") or "*") for port in obj.get("ports") or ()], 3).replace("<none>", "<unset>")


def _slice_endpoints(obj: Obj) -> str:
    texts = [text for endpoint in obj.get("endpoints") or () for text in endpoint.get("addresses") or ()]
    return _some(texts, 3).replace("<none>", "<unset>")


def _hosts(obj: Obj) -> str:
    hosts = [rule["host"] for rule in (obj.get("spec") or {}).get("rules") or () if rule.get("host")]
    return _some(hosts, 3).replace("<none>", "*")


def _ingress_ports(obj: Obj) -> str:
    return "80, 443" if (obj.get("spec") or {}).get("tls") else "80"


def _parameters(obj: Obj) -> str:
    found = (obj.get("spec") or {}).get("parameters")
    if not found:
        return "<none>"
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return f"{found.get('kind')}{group}/{found.get('name')}"


def _ready(obj: Obj) -> str:
    states = (obj.get("status") or {}).get("containerStatuses") or []
    return f"{len([state for state in states if state.get('ready')])}/{len(obj['spec'].get('containers') or [])}"


def _restarts(obj: Obj) -> str:
    states = (obj.get("status") or {}).get("containerStatuses") or []
    return str(sum(state.get("restartCount") or 0 for state in states))


def _event_age(obj: Obj) -> str:
    return age(obj.get("lastTimestamp") or obj.get("eventTime") or obj.get("deprecatedLastTimestamp") or "")


def _event_object(obj: Obj) -> str:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_message(obj: Obj) -> str:
    return str(obj.get("message") or obj.get("note") or "").strip()


_NAME: Column = ("Name", "string", 0, _at("metadata", "name"))
_AGE: Column = ("Age", "string", 0, lambda obj: age(obj["metadata"].get("creationTimestamp", "")))


def _text(name: str, cell: Cell, priority: int = 0) -> Column:
    return name, "string", priority, cell


def _number_of(field: str) -> Column:
    return "Data", "string", 0, lambda obj: str(len(obj.get(field) or ()))


_COLUMNS: dict[str, Sequence[Column]] = {
    "namespaces": (_NAME, _text("Status", _at("status", "phase")), _AGE),
    "nodes": (
        _NAME,
        _text("Status", _node_status),
        _text("Roles", _node_roles),
        _AGE,
        _text("Version", _at("status", "nodeInfo", "kubeletVersion")),
        _text("Internal-IP", _node_address("InternalIP"), 1),
        _text("External-IP", _node_address("ExternalIP"), 1),
    ),
    "services": (
        _NAME,
        _text("Type", _at("spec", "type")),
        _text("Cluster-IP", _at("spec", "clusterIP", otherwise="<none>")),
        _text("External-IP", _external_ip),
        _text("Port(s)", _service_ports),
        _AGE,
        _text("Selector", _selector, 1),
    ),
    "secrets": (_NAME, _text("Type", _at("type")), _number_of("data"), _AGE),
    "configmaps": (_NAME, _number_of("data"), _AGE),
    "pods": (
        _NAME,
        _text("Ready", _ready),
        _text("Status", _at("status", "phase")),
        _text("Restarts", _restarts),
        _AGE,
        _text("IP", _at("status", "podIP", otherwise="<none>"), 1),
        _text("Node", _at("spec", "nodeName", otherwise="<none>"), 1),
    ),
    "events": (
        _text("Last Seen", _event_age),
        _text("Type", _at("type")),
        _text("Reason", _at("reason")),
        _text("Object", _event_object),
        _text("Message", _event_message),
    ),
    "endpointslices.discovery.k8s.io": (
        _NAME,
        _text("AddressType", _at("addressType")),
        _text("Ports", _slice_ports),
        _text("Endpoints", _slice_endpoints),
        _AGE,
    ),
    "ingresses.networking.k8s.io": (
        _NAME,
        _text("Class", _at("spec", "ingressClassName", otherwise="<none>")),
        _text("Hosts", _hosts),
        _text("Address", _load_balancer),
        _text("Ports", _ingress_ports),
        _AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        _NAME,
        _text("Controller", _at("spec", "controller")),
        _text("Parameters", _parameters),
        _AGE,
    ),
    "leases.coordination.k8s.io": (_NAME, _text("Holder", _at("spec", "holderIdentity")), _AGE),
    "customresourcedefinitions.apiextensions.k8s.io": (
        _NAME,
        _text("Created At", _at("metadata", "creationTimestamp")),
    ),
}

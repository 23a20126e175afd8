"""`docs/configuration.md` and `examples/values.yaml`, made from the schemas, the meanings and the support matrix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from shared.settings.fields import Anything, Choice, Cidr, Flag, Host, Key, Number, Rows, Url, Use, VipCidr
from shared.settings.flat import flat_keys
from shared.settings.jsonschema import default_of, description, words_of
from shared.settings.matrix import MATRIX
from shared.settings.meanings import MEANINGS
from shared.settings.schema import SCHEMA, Part, Section, keys

_INTRODUCTION = """\
# Configuration

<!-- Made from shared/settings by `python -m shared.settings.generate`; a test keeps the two equal. -->

One `values.yaml`, with AKO's keys and a section `pipeline` of our own. [examples/values.yaml](../examples/values.yaml)
has them all with their defaults; [values.schema.json](values.schema.json) is for editors. The later source wins:
defaults, the file, AKO's ConfigMap `avi-k8s-config` (with `--configmap`), environment variables. Booleans and numbers
may be written as text, as helm does. Every mistake is reported at once, by `ako validate` and by each process, which
then waits until it is mended. A key that nobody knows is refused.

The last column names what refuses a value of the right type: rules of the support matrix ([ipv6.md](ipv6.md)), or that
the key is not served yet. Such a key is accepted at its default; any other value is named in a warning, or refused
where other objects would be built than asked for. Credentials may also come from files that are followed while they
change: each of CTRL_USERNAME, CTRL_PASSWORD, CTRL_AUTHTOKEN and CTRL_CA_DATA can be given as `<name>_FILE`, or all of
them as `CTRL_SECRET_DIR`, the folder where AKO's Secret `avi-secret` is mounted.
"""

_TABLE = """\
| key | type | default | meaning | variable | ConfigMap key | refused by |
|---|---|---|---|---|---|---|
"""

_REFUSED = {
    Use.PENDING: "not served yet: a warning unless it is the default",
    Use.DECISIVE: "not served yet: everything but the default",
    Use.DEPRECATED: "deprecated: a warning",
}

_EXAMPLE_HEAD = """\
# Every setting with its default, but for the three that must be edited: clusterName, vipNetworkList, controllerHost.
# Made by `python -m shared.settings.generate`; `ako validate FILE` says what a file will do. See docs/configuration.md.
# yaml-language-server: $schema=../docs/values.schema.json
"""

_EDIT: dict[str, str] = {
    "AKOSettings.clusterName": " my-cluster",
    "NetworkSettings.vipNetworkList": """
    - networkName: net1 # the network's name on the controller; networkUUID: where that is not unique or not known
      cidr: 10.10.0.0/16 # leave it out for IPv6 VIPs alone
      v6cidr: 2001:db8:10::/64 # leave it out for IPv4 VIPs alone""",
    "NetworkSettings.nodeNetworkList": """ []
  #  - networkName: node-net # or networkUUID
  #    cidrs: [10.50.0.0/24, "2001:db8:50::/64"] # networks of either family that the nodes have addresses in""",
    "ControllerSettings.controllerHost": " avi.example.com",
}
_SHAPES: dict[type[fields.Field[Any]], str] = {
    Flag: "true or false",
    VipCidr: "network",
    Cidr: "network",
    Host: "host",
    Url: "URL",
    Anything: "anything",
}


def configuration() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    sections = [field for field in SCHEMA.fields.values() if isinstance(field, Part)]
    for part in sections:
        lines.append(f"\n## {part.data_key}\n\n{MEANINGS[str(part.data_key)]}\n\n")
        lines.append(_TABLE)
        lines += _rows(part.section, (str(part.data_key),), "")
    chart = [str(field.data_key) for field in SCHEMA.fields.values() if field.metadata["use"] is Use.CHART]
    lines.append(
        "\n## Read past\n\nOnly the deployment of containers needs them, by AKO's chart or [ours](install-helm.md): "
        f"{', '.join(map(_code, chart))}.\n"
    )
    return "".join(lines)


def example() -> str:
    """The values file."""
    lines = [_EXAMPLE_HEAD]
    for field in SCHEMA.fields.values():
        if isinstance(field, Part):
            lines.append("\n")
            lines += _example(field, str(field.data_key), 0)
    return "".join(lines)


def _rows(section: Section, path: tuple[str, ...], shown: str) -> Iterator[str]:
    """A line of the table for each key; those of a nested section and of a list's rows come below it."""
    for field in section.fields.values():
        here = (*path, str(field.data_key))
        name = f"{shown}.{field.data_key}" if shown else str(field.data_key)
        if isinstance(field, Part):
            yield from _rows(field.section, here, name)
            continue
        assert isinstance(field, Key | Rows)
        default = default_of(field)
        cells = [
            _code(name),
            _type(field),
            "" if default is None else _code(json.dumps(default)),
            MEANINGS[".".join(here)],
            _code(field.metadata["env"]) if field.metadata["env"] else "",
            _code(_FLAT[here]) if here in _FLAT else "",
            _refused(here, field),
        ]
        yield f"| {' | '.join(cells)} |\n"
        if isinstance(field, Rows) and isinstance(field.inner, Part):
            yield from _rows(field.inner.section, (*path, f"{field.data_key}[]"), f"{name}[]")


def _example(part: Part, path: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}# {MEANINGS[path]}\n{indent}{part.data_key}:\n"
    for field in part.section.fields.values():
        below = f"{path}.{field.data_key}"
        if isinstance(field, Part):
            yield from _example(field, below, depth + 1)
        elif field.metadata["use"] is not Use.DEPRECATED:
            assert isinstance(field, Key | Rows)
            yield f"{indent}  # {description(below, field)}\n"
            yield f"{indent}  {_line(below, field)}\n"


def _line(path: str, field: Key[Any] | Rows) -> str:
    if path in _EDIT:
        return f"{field.data_key}:{_EDIT[path]}"
    default = default_of(field)
    return f"# {field.data_key}:" if default is None else f"{field.data_key}: {json.dumps(default)}"


def _type(field: Key[Any] | Rows) -> str:
    if isinstance(field, Rows):
        return f"list, at most {field.most}" if field.most else "list"
    if isinstance(field, Choice):
        return ", ".join(_code(word) for word in words_of(field) if word)
    if isinstance(field, Number):
        unit = f" {field.unit.partition(',')[0]}" if field.unit else ""
        return f"{'whole number' if field.whole else 'number'} from {field.low:g} to {field.high:g}{unit}"
    return _SHAPES.get(type(field), "text")


_FLAT = {path: name for name, (path, _) in flat_keys(keys(SCHEMA)).items()}


def _refused(path: tuple[str, ...], field: Key[Any] | Rows) -> str:
    """What refuses a value of the right type: the rules of the support matrix that read it, and what is not served.

    Of a VIP network the rules look at `v6cidr` only.
    """
    plain = tuple(part.removesuffix("[]") for part in path)
    rules = dict.fromkeys(row.id for row in MATRIX if any(plain[: len(read)] == read for read in row.reads))
    named = ", ".join(rules) if plain == path or path[-1] == "v6cidr" else ""
    return "; ".join(filter(None, [named, _REFUSED.get(field.metadata["use"], "")]))


def _code(text: str) -> str:
    return f"`{text}`"

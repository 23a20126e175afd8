"""Settings: from AKO's values.yaml and environment to frozen dataclasses, or every mistake at once.

`load` is for everybody; `load_credentials` only for who talks to the controller. The later source wins: defaults, the
file, the ConfigMap, the environment. Credentials are never part of `Settings`, and no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import SettingsError
from shared.settings.build import build, disagreements, notes, understand, unserved, warnings
from shared.settings.credentials import load_credentials
from shared.settings.flat import overlay_configmap
from shared.settings.matrix import Known, findings
from shared.settings.model import (
    AutoFqdn,
    ControllerSettings,
    Credentials,
    IpFamily,
    NodeNetwork,
    PipelineSettings,
    ServiceType,
    Settings,
    ShardSize,
    VipNetwork,
)
from shared.settings.schema import SCHEMA, keys
from shared.settings.sources import Document, overlay, read_values

__all__ = [
    "AutoFqdn",
    "ControllerSettings",
    "Credentials",
    "IpFamily",
    "Loaded",
    "NodeNetwork",
    "PipelineSettings",
    "ServiceType",
    "Settings",
    "ShardSize",
    "VipNetwork",
    "early_gates",
    "load",
    "load_credentials",
    "load_values",
]

_NAMESPACE = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Usable settings, `warnings` (what was asked for and is not done) and `notes` (what was read past)."""

    settings: Settings
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load(path: str | None, environ: Mapping[str, str], configmap: Mapping[Any, Any] | None = None) -> Loaded:
    """Read the values file (None: no file), AKO's ConfigMap (its `data`) and the environment; the later one wins.

    Raises SettingsError with every problem found: those of the schema, what this release does not serve, and what the
    support matrix refuses from the settings alone.
    """
    return load_values(read_values(path), environ, configmap)


def load_values(
    values: dict[Any, Any], environ: Mapping[str, str], configmap: Mapping[Any, Any] | None = None
) -> Loaded:
    """The same for a values file that has been read already."""
    document = Document(values)
    problems = overlay_configmap(document, keys(SCHEMA), configmap or {})
    overlay(document, keys(SCHEMA), environ)
    understood, wrong = understand(SCHEMA, document)
    problems += [(document.place(place), text) for place, text in wrong]
    problems += unserved(understood, document)
    problems += disagreements(understood, document, [place for place, _ in wrong])
    namespace = environ.get("POD_NAMESPACE", "").strip() or "avi-system"
    if not re.fullmatch(_NAMESPACE, namespace):
        problems.append(("POD_NAMESPACE", f"found {namespace[:60]!r}; write the name of a namespace"))
    settings = build(understood, namespace)
    refused = findings("load", settings, Known(), [place for place, _ in wrong])
    problems += [(document.place(place), text) for place, text in refused]
    if problems:
        raise SettingsError(problems)
    return Loaded(settings, tuple(warnings(understood, document)), tuple(notes(document)))


def early_gates(environ: Mapping[str, str]) -> frozenset[str]:
    """The feature gates that values file and environment turn on, however wrong the rest of them is.

    For what comes before the settings are whole: the API server from which the ConfigMap has to be read.
    """
    try:
        document = Document(read_values(environ.get("AKO_VALUES") or None))
        overlay(document, keys(SCHEMA), environ)
    except SettingsError:
        return frozenset()
    values, _ = understand(SCHEMA, document)
    return build(values, "").gates

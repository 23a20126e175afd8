"""Settings: from AKO's values.yaml and environment to frozen dataclasses, or every mistake at once.

`load` is for everybody; `load_credentials` only for who talks to the controller. The later source wins: defaults, the
file, the environment. Credentials are never part of `Settings`, and no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import SettingsError
from shared.settings.build import build, check, notes, unserved, warnings
from shared.settings.credentials import load_credentials
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
    "load",
    "load_credentials",
]

_NAMESPACE = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Usable settings, `warnings` (what was asked for and is not done) and `notes` (what was read past)."""

    settings: Settings
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load(path: str | None, environ: Mapping[str, str]) -> Loaded:
    """Read the values file (None: no file) and the environment. Raises SettingsError with every problem found."""
    document = Document(read_values(path))
    overlay(document, keys(SCHEMA), environ)
    values = check(SCHEMA, document)
    if problems := unserved(values, document):
        raise SettingsError(problems)
    namespace = environ.get("POD_NAMESPACE", "").strip() or "avi-system"
    if not re.fullmatch(_NAMESPACE, namespace):
        raise SettingsError([("POD_NAMESPACE", f"found {namespace[:60]!r}; write the name of a namespace")])
    return Loaded(build(values, namespace), tuple(warnings(values, document)), tuple(notes(document)))

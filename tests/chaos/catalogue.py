"""Imports every module that defines scenarios, so that the register is whole."""

from __future__ import annotations

import importlib
import pkgutil

import tests.chaos
from tests.chaos.figures import SCENARIOS, Scenario

_NOT_SCENARIOS = {"__main__", "figures", "catalogue"}


def scenarios() -> dict[str, Scenario]:
    """Every scenario by name, in the order of their modules."""
    for module in sorted(each.name for each in pkgutil.iter_modules(tests.chaos.__path__)):
        if module not in _NOT_SCENARIOS and not module.startswith("test_"):
            importlib.import_module(f"tests.chaos.{module}")
    return SCENARIOS

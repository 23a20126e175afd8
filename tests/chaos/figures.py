"""What a scenario of the chaos suite is, and what it must show.

A scenario breaks one thing and measures what came of it, as `Figure`s: what was measured, what was found, what is
demanded. It runs at a `Scale`: "small" takes seconds and is a test like any other, "full" is what docs/reliability.md
reports (`make chaos`). Where real waiting times would be long, all timeouts shrink by `factor`, which the report names.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Size = Literal["small", "full"]

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {"==": operator.eq, "<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of a scenario to run: pick by `of(small, full)`."""

    size: Size

    def of(self, small: int, full: int) -> int:
        """The number for this size."""
        return small if self.size == "small" else full


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number: `Figure("lost keys", 0, "==", 0)`. `unit` is for the reader."""

    what: str
    found: float
    comparison: Literal["==", "<=", ">="]
    demanded: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether what was found is what is demanded."""
        return _COMPARISONS[self.comparison](self.found, self.demanded)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.what}: {self.found:g}{unit} (demanded {self.comparison} {self.demanded:g})"


# Runs in an empty folder of its own and yields its figures as it goes.
Run = Callable[[Path, Scale], Iterator[Figure]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`name` is how it is asked for; `breaks` says in a sentence what it does, `shrunk` by what factor times shrink."""

    name: str
    breaks: str
    run: Run
    shrunk: float = 1.0


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, breaks: str, *, shrunk: float = 1.0) -> Callable[[Run], Run]:
    """Registers a scenario; the modules that define them are imported by `tests.chaos.__main__` and by the test."""

    def register(run: Run) -> Run:
        if name in SCENARIOS:
            raise ValueError(f"there are two scenarios {name}")
        SCENARIOS[name] = Scenario(name, breaks, run, shrunk)
        return run

    return register

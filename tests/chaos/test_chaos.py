"""Some scenarios of the chaos suite at their small size: each figure is what is demanded.

These are quick and depend least on how busy the machine is; `make chaos ARGS=--small` runs all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.catalogue import scenarios
from tests.chaos.figures import Scale

KNOWN = scenarios()
CHOSEN = ("api-server-503", "churn", "crashed-holder", "kill-storm", "redis-emptied")


@pytest.mark.parametrize("name", CHOSEN)
def test_the_figures_hold(name: str, tmp_path: Path) -> None:
    """A scenario yields at least one figure, and every figure is within what docs/reliability.md promises."""
    figures = list(KNOWN[name].run(tmp_path, Scale("small")))
    assert figures
    assert [str(figure) for figure in figures if not figure.holds] == []

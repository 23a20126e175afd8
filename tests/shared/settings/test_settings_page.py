"""docs/ipv6.md and the support matrix say the same."""

from __future__ import annotations

from pathlib import Path

from shared.settings.matrix import MATRIX
from shared.settings.page import page


def test_the_page_is_made_from_the_table() -> None:
    """docs/ipv6.md is what `python -m shared.settings.page` writes."""
    assert (Path(__file__).parents[3] / "docs/ipv6.md").read_text(encoding="utf-8") == page()


def test_the_page_names_every_rule_and_gate() -> None:
    """Each rule has its line, with its gate or `none`."""
    lines = page().splitlines()
    for row in MATRIX:
        gate = f"`{row.gate}`" if row.gate else "none"
        assert any(line.startswith(f"| {row.id} |") and line.endswith(f"{gate} |") for line in lines)

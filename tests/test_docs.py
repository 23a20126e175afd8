"""The documentation: every link leads somewhere, every command it names exists."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from cli.main import build_parser
from shared.settings.matrix import GATES, MATRIX

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("deploy/**/*.md")}
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file that exists."""
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    """Each `ako …` and `make …` that a page shows is a command of the program or a target of the Makefile."""
    (commands,) = [
        action.choices for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    named = set(re.findall(r"`ako ([a-z]+)", text))
    made = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))
    assert named <= set(commands)
    assert made <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rules_and_gates_exist(page: Path) -> None:
    """Each `V6-…` and each gate that begins with IPv6 which a page names is one of the support matrix."""
    text = page.read_text()
    assert set(re.findall(r"\bV6-[A-Z]+", text)) <= {row.id for row in MATRIX}
    assert set(re.findall(r"`(IPv6[A-Za-z]+)`", text)) <= set(GATES)


@pytest.mark.parametrize("page", ["design", "differences"])
def test_the_pages_name_files_that_exist(page: str) -> None:
    """Each path in code type in a page about the code is a file or folder of the project."""
    text = (ROOT / f"docs/{page}.md").read_text()
    paths = re.findall(r"`((?:shared|watcher|workers|simulator|cli|bench|tests)/[\w./*-]+)`", text)
    assert len(paths) > 10
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []

"""The documentation: every link leads somewhere, every command it names exists."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from cli.main import build_parser

ROOT = Path(__file__).parents[1]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")})


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


def test_the_design_names_files_that_exist() -> None:
    """Each path in code type in docs/design.md is a file or folder of the project."""
    text = (ROOT / "docs/design.md").read_text()
    paths = re.findall(r"`((?:shared|watcher|workers|simulator|cli|bench|tests)/[\w./*-]+)`", text)
    assert len(paths) > 10
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []

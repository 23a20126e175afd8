"""The tests themselves: each says in a sentence what it expects, and none sleeps for luck."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(HERE.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield path, node


def test_every_test_says_what_it_expects() -> None:
    """Each test function has a docstring of more than one word."""
    silent = [
        f"{path.name}:{node.name}" for path, node in functions() if len((ast.get_docstring(node) or "").split()) < 3
    ]
    assert silent == []
    assert sum(1 for _ in functions()) > 100

"""The outputs that README shows: made by running the real thing, written into the page, and compared with it in CI.

    .venv/bin/python -m tests.captures          writes them anew

What differs from run to run (addresses, ages, names of machines, ports) is masked before comparing, and so is the width
of columns that follows from it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cli import readback, table
from cli.main import main
from cli.manifests import Applier, read_folder
from cli.stack import EXAMPLE, Stack
from tests.support import wait_for

NODES, HOSTS = 3, 6  # of the example
PAGE = Path(__file__).parents[1] / "README.md"
_BLOCK = re.compile(r"(<!-- capture: (\w+) -->\n```\n)(.*?)(```\n)", re.DOTALL)
_MASKS = (
    (r"10\.10\.1\.\d+", "10.10.1.N"),
    (r"2001:db8:10::[0-9a-f]+", "2001:db8:10::N"),
    (r"Shared-L7-\d", "Shared-L7-N"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:N"),
    (r"watcher +\S+ leads", "watcher NAME leads"),
    (r"settings [0-9a-f]{16}", "settings DIGEST"),
    (r"\d+ (s|min)\b", "N s"),
    (r"\d+ objects", "N objects"),
    (r"\d+ keys", "N keys"),
    (r"-{3,}", "---"),
    (r" +", " "),
)


def masked(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, instead in _MASKS:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.strip() for line in text.splitlines())


def shown() -> dict[str, str]:
    """The captures in the page, by name."""
    return {name: text for _, name, text, _ in _BLOCK.findall(PAGE.read_text())}


def taken() -> dict[str, str]:
    """The same, made now: the table of `make demo`, and `ako status` beside it."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), workers=2, tls=True) as stack:
        manifests = read_folder(EXAMPLE / "manifests")
        _, failed = Applier(stack.kube_client()).apply(manifests)
        assert failed == []
        with contextlib.closing(stack.avi_client()) as avi:
            wait_for(lambda: len(readback.read(avi, stack.settings).routes) == NODES, seconds=40, what="the routes")
            status = wait_for(lambda: _at_rest(stack), seconds=40, what="every host being served")
            return {"demo": table.full(readback.read(avi, stack.settings), 200) + "\n", "status": status}


def _at_rest(stack: Stack) -> str:
    """What `ako status` prints once every host is served and nothing is left to do; "" before."""
    code, text = _ako(stack, "status")
    return text if code == 0 and text.count("  served") == HOSTS and "0 due, 0 running" in text else ""


def _ako(stack: Stack, *words: str) -> tuple[int, str]:
    out = io.StringIO()
    with _environment(stack), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main(words)
    return code, out.getvalue()


@contextlib.contextmanager
def _environment(stack: Stack) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(stack.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def write() -> None:
    """Puts what is taken now into the page."""
    found = taken()
    text = PAGE.read_text()
    PAGE.write_text(_BLOCK.sub(lambda match: match[1] + found[match[2]] + match[4], text))


if __name__ == "__main__":
    write()

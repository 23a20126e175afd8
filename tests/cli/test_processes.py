"""Child processes: they are waited for, their logs are shown, and none outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.processes import Processes, write_ready
from shared.errors import AkoError
from tests.support import wait_for

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    family = Processes(tmp_path / "logs")
    yield family
    family.stop(seconds=2)


def test_a_child_gets_exactly_the_given_environment(processes: Processes) -> None:
    """Nothing of our own environment leaks into a child, and its output is in its log."""
    program = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    child = processes.spawn("env", program, {"LC_ALL": "C", "ONLY": "this"})
    child.process.wait(20)
    assert child.tail() == "['LC_ALL', 'ONLY']"


def test_the_end_of_the_log_tells_why_a_start_failed(processes: Processes) -> None:
    """A child that ends before it is ready raises an error with its exit code and what it said last."""
    child = processes.spawn("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], {})
    with pytest.raises(AkoError, match=r"broken ended with exit code 1:\nno such thing"):
        processes.wait_for(child, lambda: False, seconds=20)


def test_a_start_that_takes_too_long_is_an_error(processes: Processes) -> None:
    """A child that runs and never gets ready is reported after the given time."""
    child = processes.spawn("slow", SLEEPS, {})
    with pytest.raises(AkoError, match=r"slow is not ready after 0\.2 s"):
        processes.wait_for(child, lambda: False, seconds=0.2)


def test_the_ready_file_is_read_when_it_is_whole(processes: Processes, tmp_path: Path) -> None:
    """What a child writes with `write_ready` is what `wait_for_file` returns."""
    child = processes.spawn("ready", SLEEPS, {})
    write_ready(tmp_path / "ready.json", "http://127.0.0.1:1")
    assert processes.wait_for_file(child, tmp_path / "ready.json") == {"url": "http://127.0.0.1:1", "pid": os.getpid()}


def test_a_death_that_nobody_asked_for_is_noticed(processes: Processes) -> None:
    """A child that died by itself is in `died`; one that we killed is not."""
    ours, theirs = processes.spawn("ours", SLEEPS, {}), processes.spawn("theirs", SLEEPS, {})
    processes.kill(ours)
    os.kill(theirs.pid, signal.SIGKILL)
    wait_for(lambda: processes.died() == [theirs], what="the death")
    assert theirs.ended() == "was ended by SIGKILL"


def test_an_ended_process_can_be_started_again(processes: Processes) -> None:
    """The same name starts the same command again, in the same log; while it runs the name is taken."""
    first = processes.spawn("once", SLEEPS, {})
    with pytest.raises(ValueError, match="once runs already"):
        processes.again("once")
    processes.kill(first)
    second = processes.again("once")
    assert second.alive
    assert second.pid != first.pid
    assert second.log == first.log
    assert processes.children["once"] is second


def test_stop_ends_stopped_and_stubborn_ones_too(processes: Processes) -> None:
    """One that is frozen ends on SIGTERM as soon as it runs again; one that ignores SIGTERM is killed and named."""
    frozen = processes.spawn("frozen", SLEEPS, {})
    program = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    deaf = processes.spawn("deaf", [sys.executable, "-c", program], {})
    processes.wait_for(deaf, lambda: deaf.tail() == "deaf")
    processes.kill(frozen, signal.SIGSTOP)
    assert processes.stop(seconds=1) == [deaf]
    assert not frozen.alive
    assert not deaf.alive


def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """After SIGKILL of the parent, which can stop nobody any more, its children are gone within moments."""
    program = (
        "import sys, time; from pathlib import Path; from cli.processes import Processes\n"
        "child = Processes(Path(sys.argv[1])).spawn('c', [sys.executable, '-c', 'import time; time.sleep(600)'], {})\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's death")

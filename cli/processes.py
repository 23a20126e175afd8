"""Processes that `ako dev`, the end-to-end tests and the benchmark start, and that must never outlive them.

Every process has a session of its own, so that Ctrl-C in a terminal reaches only the parent, which then stops the
children in the right order. On Linux the kernel kills the children when the parent dies without a chance to do so
(PDEATHSIG). That counts the *thread* which started them as the parent: start processes from a thread that stays.

Standard output and error of each go to one log file, which a restarted process continues.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shared.errors import AkoError

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_LOOK_EVERY = 0.02
_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 16_384


@dataclass(slots=True)
class Child:
    """One process. `stopping` is set once we asked it to end, so that its death is no surprise."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    process: subprocess.Popen[bytes]
    stopping: bool = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def ended(self) -> str:
        """How it ended, in words."""
        code = self.process.poll()
        if code is None:
            return "runs"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class Processes:
    """A family of processes with their logs in one folder."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.children: dict[str, Child] = {}

    def spawn(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        """Starts `command` with exactly this environment. A name is free again when its process has ended."""
        known = self.children.get(name)
        if known is not None and known.alive:
            raise ValueError(f"{name} runs already")
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command lines
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - it makes one system call and takes no lock
            )
        child = Child(name, tuple(command), dict(env), log, process)
        self.children[name] = child
        return child

    def again(self, name: str) -> Child:
        """Starts a process that has ended once more, with the same command and environment."""
        known = self.children[name]
        return self.spawn(name, known.command, known.env)

    def kill(self, child: Child, number: signal.Signals = signal.SIGKILL, *, seconds: float = STOP_SECONDS) -> None:
        """Sends a signal and waits for the end, unless the signal is one that a process survives (SIGSTOP, SIGCONT)."""
        if number not in {signal.SIGSTOP, signal.SIGCONT}:
            child.stopping = True
        if child.alive:
            child.process.send_signal(number)
        if child.stopping:
            child.process.wait(seconds)

    def died(self) -> list[Child]:
        """Those that ended although nobody asked them to."""
        return [child for child in self.children.values() if not child.stopping and not child.alive]

    def stop(self, names: Iterable[str] | None = None, *, seconds: float = STOP_SECONDS) -> list[Child]:
        """Asks these (or all) to end, all at once; kills and returns what has not ended after `seconds`."""
        chosen = [self.children[name] for name in (list(self.children) if names is None else names)]
        for child in chosen:
            child.stopping = True
            if child.alive:
                child.process.terminate()
                child.process.send_signal(signal.SIGCONT)  # a stopped process ends only when it runs again
        until = time.monotonic() + seconds
        stubborn = []
        for child in chosen:
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
                stubborn.append(child)
        return stubborn

    def wait_for(self, child: Child, ready: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
        """Waits until `ready()` or raises AkoError with the end of the log, when the process ended or took too long."""
        until = time.monotonic() + seconds
        while not ready():
            if not child.alive:
                raise AkoError(f"{child.name} {child.ended()}:\n{child.tail()}", action=f"Its log is {child.log}")
            if time.monotonic() > until:
                raise AkoError(
                    f"{child.name} is not ready after {seconds:g} s:\n{child.tail()}", action=f"Its log is {child.log}"
                )
            time.sleep(_LOOK_EVERY)

    def wait_for_file(self, child: Child, path: Path) -> dict[str, Any]:
        """The content of the JSON file that a process writes, in one step, when it is ready."""
        self.wait_for(child, path.is_file)
        content: dict[str, Any] = orjson.loads(path.read_bytes())
        return content


def write_ready(path: Path, url: str) -> None:
    """Says in a file where this process listens; a reader sees all of it or no file."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(orjson.dumps({"url": url, "pid": os.getpid()}))
    part.replace(path)


def module(name: str, *arguments: str) -> list[str]:
    """The command line that runs one of our modules in this Python."""
    return [sys.executable, "-m", name, *arguments]


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does between fork and exec; the library is looked up before, in the parent."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def run() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return run

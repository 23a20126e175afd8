"""`ako dev`: everything on one machine, from nothing to a table of what stands, and on while the manifests are edited.

The story in order: start the processes, apply the manifests, wait until the controller shows what they promise, print
it, follow changes until Ctrl-C, stop everything. With `--once` it ends after the table. Only an independent reading of
the controller (`readback`) against what the objects promise (`wanted`) counts as done; no word of the pipeline does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cli import readback, table
from cli.manifests import Applier, Fingerprint, Manifests, fingerprint, read_folder
from cli.readback import Missing, Standing
from cli.screen import Screen
from cli.stack import EXAMPLE, Stack
from cli.wanted import Wanted, read_cluster, wanted
from shared.avi.client import AviClient
from shared.errors import AkoError, AviError, KubeError
from shared.kube import KubeClient
from shared.settings import load, load_credentials
from shared.settings.model import Settings
from shared.settings.schema import AviCredentials

LOOK_EVERY = 0.3  # seconds between two looks while it converges
FOLLOW_EVERY = 1.0
MOST_NAMED = 12  # lines about what is missing


def run(options: argparse.Namespace) -> int:
    """The command. Raises AkoError for what can be told before anything runs, and when a process dies."""
    folder = Path(options.examples) if options.examples else EXAMPLE
    manifests = read_folder(folder / "manifests") if _applies(options) else {}
    values = Path(options.values) if options.values else folder / "values.yaml"
    environ = _credentials(options)
    load(str(values), {"CTRL_IPADDRESS": "127.0.0.1"})  # mistakes in the file, before anything is started
    if options.kubeconfig is not None:
        KubeClient.from_config(options.kubeconfig)
    directory = Path(options.directory or tempfile.mkdtemp(prefix="ako-dev-"))
    stack = Stack(
        directory,
        values,
        workers=options.workers,
        flower=True,
        tls=True,
        env=environ,
        kubeconfig=options.kubeconfig,
        controller=options.controller,
        redis_url=os.environ.get("REDIS_URL") or None,
    )
    code = _Demo(options, stack, folder / "manifests", manifests).run()
    if code == 0 and options.directory is None:  # after a failure somebody will want the logs
        shutil.rmtree(directory, ignore_errors=True)
    return code


@dataclass(frozen=True, slots=True)
class Look:
    """One look at both sides: what stands, what should, and what is missing for it."""

    standing: Standing
    want: Wanted
    missing: list[Missing]

    @property
    def served(self) -> int:
        """How many of the wanted hosts lack nothing."""
        return len(self.want.hosts) - len({each.host for each in self.missing} & set(self.want.hosts))


class _Demo:
    def __init__(self, options: argparse.Namespace, stack: Stack, folder: Path, manifests: Manifests) -> None:
        self.options, self.stack, self.folder, self.manifests = options, stack, folder, manifests
        self.screen = Screen(sys.stdout)
        self.begun = time.monotonic()
        self.interrupts = _Interrupts()
        self.settings: Settings
        self.avi: AviClient
        self.kube: KubeClient

    def run(self) -> int:
        try:
            self._start()
            with contextlib.closing(self.stack.avi_client()) as self.avi:
                return self._show()
        except KeyboardInterrupt:
            self.screen.say("")
            return 1 if self.options.once else 0
        finally:
            self._stop()

    def _show(self) -> int:
        applier = Applier(self.kube)
        if self.manifests:
            applied, failed = applier.apply(self.manifests)
            self.screen.say(f"applied {len(applied)} objects of {self.folder}")
            if failed:
                raise AkoError("\n".join(["not everything could be applied:", *failed]))
        look, done = self._converge()
        if done:
            self.screen.say(f"everything stands after {self._seconds():.1f} s, read back from the controller:\n")
        else:
            self._name_missing(look)
        if look is not None:
            self.screen.say(table.full(look.standing, self.screen.width))
        if not self.options.once:
            self._hints()
            _Follower(self, applier, look).run()
        return 0 if done else 1

    def _start(self) -> None:
        self.screen.say(f"logs: {self.stack.family.logs}")
        self.screen.progress("starting Redis and the simulators")
        self.stack.directory.mkdir(parents=True, exist_ok=True)
        self.stack.start_outside()
        self.settings, self.kube = self.stack.settings, self.stack.kube_client()
        self.screen.progress("starting watcher, workers and Flower")
        self.stack.start_pipeline()
        self.screen.say(_pieces(self.stack, self.kube, self.settings))

    def _converge(self) -> tuple[Look | None, bool]:
        """Looks until nothing is missing (True) or the time is over; None when not even a look succeeded."""
        last: Look | None = None
        end = self.begun + self.options.timeout
        while time.monotonic() < end:
            self.check(workers_may_die=False)
            try:
                last = self.look()
            except (AviError, KubeError) as error:
                self.screen.progress(f"{self._seconds():.0f} s: {error}")
            else:
                if not last.missing and self._all_applied(last):
                    return last, True
                hosts = f"{last.served} of {len(last.want.hosts)} hosts served"
                routes = f"{len(last.standing.routes)} of {len(last.want.routes or ())} routes"
                self.screen.progress(f"{self._seconds():.0f} s: {hosts}, {routes}")
            time.sleep(LOOK_EVERY)
        return last, False

    def look(self) -> Look:
        """Reads both sides now. The controller is read last, so that what is missing is really missing."""
        want = wanted(read_cluster(self.kube, self.settings), self.settings)
        standing = readback.read(self.avi, self.settings)
        return Look(standing, want, readback.missing(standing, want, self.settings))

    def _all_applied(self, look: Look) -> bool:
        """Whether every Ingress of the manifests is one of those that we looked at."""
        ids = {f"{ref.namespace or 'default'}/{ref.name}" for ref in self.manifests if ref.kind == "Ingress"}
        return ids <= set(look.want.statuses)

    def check(self, *, workers_may_die: bool) -> None:
        """Raises AkoError with the end of its log when a process died; a worker may if another one lives.

        Raises KeyboardInterrupt when we were asked to end.
        """
        self.interrupts.check()
        workers = [child for name, child in self.stack.processes().items() if name.startswith("worker-")]
        for child in self.stack.family.died():
            text = f"{child.name} {child.ended()}; the end of {child.log}:\n{child.tail()}"
            if not (workers_may_die and child in workers and any(worker.alive for worker in workers)):
                raise AkoError(text)
            child.stopping = True  # said once
            self.screen.say(f"{text}\nThe other workers take its work over.")

    def _name_missing(self, look: Look | None) -> None:
        self.screen.say(f"after {self._seconds():.0f} s this is missing:")
        if look is None:
            self.screen.say("  the controller or the API server could not be read")
            return
        texts = [str(each) for each in look.missing] or [
            "an Ingress of the manifests is not in the cluster or not ours"
        ]
        for text in texts[:MOST_NAMED]:
            self.screen.say(f"  {text}")
        if len(texts) > MOST_NAMED:
            self.screen.say(f"  and {len(texts) - MOST_NAMED} more")

    def _hints(self) -> None:
        kubectl = f"kubectl --kubeconfig {self.stack.kubeconfig}"
        lines = ["", f"Flower, with every task and why it ran: {self.stack.flower_url}"]
        if self.manifests:
            lines.append(f"Edit a file in {self.folder}: what changes on the controller is printed here.")
            lines += _suggestions(self.folder)
        lines.append(f"In another terminal: . {self._environment()} && ako status --watch")
        lines += [f"Or: {kubectl} get ingress --all-namespaces", "Ctrl-C ends everything."]
        self.screen.say("\n".join(lines))

    def _environment(self) -> Path:
        """A file for a shell of the same user, by which `ako status` and the like find this pipeline."""
        names = ("AKO_VALUES", "AKO_REDIS_URL", "CTRL_IPADDRESS", "KUBECONFIG")
        path = self.stack.directory / "environment"
        path.touch(mode=0o600)
        environ = self.stack.environ
        path.write_text("".join(f"export {name}={shlex.quote(environ[name])}\n" for name in names if name in environ))
        return path

    def _seconds(self) -> float:
        return time.monotonic() - self.begun

    def _stop(self) -> None:
        self.interrupts.ignore()  # it takes seconds at most, and must not stop half-way
        self.screen.progress("stopping")
        self.stack.stop()
        self.screen.say("stopped; nothing is left running")


class _Follower:
    """Applies edited manifests and prints what becomes of them, until interrupted."""

    def __init__(self, demo: _Demo, applier: Applier, look: Look | None) -> None:
        self.demo, self.applier = demo, applier
        self.shown = look.standing if look is not None else Standing({}, ())
        self.seen = self.tried = self._fingerprint()
        self.complained = ""
        self.since: float | None = None

    def run(self) -> None:
        """Until KeyboardInterrupt; raises AkoError when a process that is needed dies."""
        while True:
            time.sleep(FOLLOW_EVERY)
            self.demo.check(workers_may_die=True)
            if self.demo.manifests:
                self._apply_edits()
            self._print_changes()

    def _apply_edits(self) -> None:
        now = self._fingerprint()
        settled, self.seen = now == self.seen, now
        if now == self.tried or not settled:  # an editor may still be writing: two looks must agree
            return
        self.tried = now
        try:
            manifests = read_folder(self.demo.folder)
        except AkoError as error:
            self.demo.screen.say(f"{error}\nNothing is changed until this is corrected.")
            return
        try:
            done, failed = self.applier.apply(manifests)
        except KubeError as error:
            self.tried = ()  # the API server does not answer: once more
            self.demo.screen.say(str(error))
            return
        self.demo.manifests = manifests
        for text in (*done, *failed):
            self.demo.screen.say(text)
        self.since = time.monotonic()
        self.complained = ""

    def _print_changes(self) -> None:
        try:
            look = self.demo.look()
        except (AviError, KubeError) as error:
            self._complain(str(error))
            return
        if look.missing:
            if self.since is not None and time.monotonic() > self.since + self.demo.options.timeout:
                self._complain("\n".join(str(each) for each in look.missing[:MOST_NAMED]))
            self.since = self.since or time.monotonic()
            return
        if text := table.changes(self.shown, look.standing, self.demo.screen.width):
            took = "" if self.since is None else f" within {time.monotonic() - self.since:.1f} s"
            self.demo.screen.say(f"\nnow on the controller{took}:\n{text}")
        self.shown, self.since, self.complained = look.standing, None, ""

    def _complain(self, text: str) -> None:
        if text != self.complained:
            self.demo.screen.say(text)
        self.complained = text

    def _fingerprint(self) -> Fingerprint:
        return fingerprint(self.demo.folder) if self.demo.manifests else ()


def _applies(options: argparse.Namespace) -> bool:
    """A cluster of somebody else's gets our manifests only when that was asked for."""
    return options.kubeconfig is None or bool(options.apply)


def _credentials(options: argparse.Namespace) -> Mapping[str, str]:
    """What the pipeline's environment needs for a real controller. Raises SettingsError when it is not enough."""
    if options.controller is None:
        return {}
    names = [str(field.metadata["env"]) for field in AviCredentials().fields.values()]
    found = {
        name: os.environ[name] for each in names for name in (each, f"{each}_FILE") if os.environ.get(name, "").strip()
    }
    load_credentials(found, options.values)
    return found


def _pieces(stack: Stack, kube: KubeClient, settings: Settings) -> str:
    workers = ", ".join(str(child.pid) for name, child in stack.processes().items() if name.startswith("worker-"))
    redis = stack.processes().get("redis")
    rows = [
        ("Redis", f"process {redis.pid}" if redis is not None else "the one of REDIS_URL"),
        ("Kubernetes API", kube.url),
        ("Avi Controller", stack.avi_url or settings.controller.host),
        ("watcher", f"process {stack.processes()['watcher'].pid}"),
        ("workers", f"processes {workers}"),
        ("Flower", stack.flower_url),
    ]
    return "\n".join(f"  {name:<16}{text}" for name, text in rows)


def _suggestions(folder: Path) -> list[str]:
    """Concrete edits, for the example that comes with the program."""
    if folder.resolve() != (EXAMPLE / "manifests").resolve():
        return []
    return [
        "For example, in 10-shop.yaml, change address 2001:db8:244:2::a to 2001:db8:244:2::b: a server is replaced;",
        "or, in 20-iot.yaml, the host sensors.example.com to devices.example.com: its objects go, new ones come.",
    ]


class _Interrupts:
    """Ctrl-C and its relatives: each raises KeyboardInterrupt at once, and `check` raises it again.

    Once is not enough: what is raised while Python is inside a callback of its own (after a fork, say) is lost.
    """

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._came = False
        for number in self._NUMBERS:
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raises KeyboardInterrupt when a signal has come."""
        if self._came:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """From now on none of them does anything."""
        for number in self._NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        raise KeyboardInterrupt

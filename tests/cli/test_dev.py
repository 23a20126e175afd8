"""`ako dev` for real, as somebody at a terminal sees it: what it prints, how it ends, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.manifests import read_folder
from cli.stack import EXAMPLE, Stack
from tests.support import wait_for

HOSTS = {
    "shop.example.com",
    "www.example.com",
    "sensors.example.com",
    "wiki.avi.internal",
    "tools.avi.internal",
    "status.avi.internal",
}


class Dev:
    """A running `ako dev` whose output can be waited for. Its temporary files go to `folder`/tmp."""

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "dev", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env, "TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for(self, pattern: str, *, seconds: float = 60) -> str:
        """Waits until the output matches and returns what matched."""

        def look() -> str | None:
            found = re.search(pattern, self.output)
            assert found or self.process.poll() is None, self.output
            return found[0] if found else None

        try:
            return str(wait_for(look, seconds=seconds))
        except AssertionError:
            raise AssertionError(f"{pattern!r} did not come:\n{self.output}") from None

    def family(self) -> list[psutil.Process]:
        """Every process that works for it: their temporary folder gives them away."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR") == str(self.temporary) and process.pid != self.process.pid:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example that a test may edit."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example"))


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[list[Dev]]:
    """What is put in here is ended after the test."""
    started: list[Dev] = []
    yield started
    for dev in started:
        if dev.process.poll() is None:
            dev.end(signal.SIGKILL)


def test_once_shows_every_host_and_leaves_nothing(tmp_path: Path, starting: list[Dev]) -> None:
    """`ako dev --once` ends with 0 after a table in which every host has an address of each promised family."""
    dev = Dev(tmp_path, "--once")
    starting.append(dev)
    assert dev.process.wait(100) == 0, dev.output
    rows = [line.split() for line in dev.output.splitlines()]
    served = {row[0]: row for row in rows if row and row[0] in HOSTS}
    assert set(served) == HOSTS
    for host, row in served.items():
        cells = [cell for cell in row[1:] if cell != "(TLS)"]
        assert cells[0].startswith("10.10."), host
        assert cells[1].startswith("2001:db8:10:"), host
    assert re.search(r"^2001:db8:244:1::/122 +2001:db8:50::11$", dev.output, re.MULTILINE)
    assert "\x1b" not in dev.output
    assert dev.family() == []
    assert list(dev.temporary.iterdir()) == []


def test_the_node_port_example_is_served(tmp_path: Path, starting: list[Dev]) -> None:
    """Two nodes serve, one of them in both families; the Service with the local policy is served where its pod is."""
    dev = Dev(tmp_path, "--once", "--examples", str(EXAMPLE.with_name("node-port")))
    starting.append(dev)
    assert dev.process.wait(100) == 0, dev.output
    up = re.findall(r"(/\S*) +demo--shop\.example\.com_\S* +(\S+)$", dev.output, re.MULTILINE)
    assert up == [("/", "3/3"), ("/api", "1/1")]
    assert "next hop" not in dev.output


def test_edits_are_followed_until_ctrl_c(tmp_path: Path, example: Path, starting: list[Dev]) -> None:
    """A changed, a broken, a new and a removed manifest each do what they should; a killed worker is survived."""
    dev = Dev(tmp_path, "--examples", str(example))
    starting.append(dev)
    dev.wait_for("Ctrl-C ends everything", seconds=100)
    assert f"kubectl --kubeconfig {dev.temporary}" in dev.output
    iot = example / "manifests" / "20-iot.yaml"

    iot.write_text(iot.read_text().replace("sensors.example.com", "devices.example.com"))
    dev.wait_for(
        r"changed Ingress iot/sensors\n(.*\n)*gone: sensors\.example\.com\n(.*\n)*devices\.example\.com  10\.10\."
    )

    good = iot.read_text()
    iot.write_text("kind: [\n")
    dev.wait_for(r"20-iot\.yaml, line \d+: not YAML.*\nNothing is changed")
    iot.write_text(good)

    worker = dev.wait_for(r"workers +processes \d+").split()[-1]
    os.kill(int(worker), signal.SIGKILL)
    dev.wait_for(r"worker-1 was ended by SIGKILL(.*\n)+The other workers take its work over")

    ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress" + good.partition("kind: Ingress")[2]
    extra = example / "manifests" / "40-new.yaml"
    extra.write_text(ingress.replace("name: sensors", "name: new", 1).replace("devices.example.com", "new.example.com"))
    dev.wait_for(r"created Ingress iot/new\n(.*\n)*new\.example\.com +10\.10\.\S+ +2001:db8:10:\S+ .*2/2")

    extra.unlink()
    dev.wait_for(r"deleted Ingress iot/new\n(.*\n)*gone: new\.example\.com")

    assert dev.end() == 0
    assert dev.output.endswith("stopped; nothing is left running\n")
    assert "Traceback" not in dev.output
    assert dev.family() == []
    assert list(dev.temporary.iterdir()) == []


def test_once_says_what_is_missing(tmp_path: Path, example: Path, starting: list[Dev]) -> None:
    """When a promise cannot be kept (a TLS host without its Secret), `--once` fails, names the host, keeps the logs."""
    (example / "manifests" / "11-shop-tls.yaml").unlink()
    assert "shop.example.com" in str(read_folder(example / "manifests"))
    dev = Dev(tmp_path, "--once", "--timeout", "6", "--workers", "1", "--examples", str(example))
    starting.append(dev)
    assert dev.process.wait(60) == 1, dev.output
    assert re.search(r"this is missing:\n  shop\.example\.com: ", dev.output)
    assert re.search(r"^www\.example\.com +10\.10\.", dev.output, re.MULTILINE)
    assert dev.family() == []
    kept = {path.name for path in dev.temporary.glob("ako-dev-*/logs/*")}
    assert kept >= {"watcher.log", "worker-1.log", "avi.log", "kube.log", "redis.log", "flower.log"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_survives_the_end_of_dev(tmp_path: Path, starting: list[Dev], number: signal.Signals) -> None:
    """However `ako dev` ends, also in the middle of starting and also by SIGKILL, no process of it is left."""
    dev = Dev(tmp_path)
    starting.append(dev)
    wait_for(lambda: len(dev.family()) >= 4, seconds=60, what="some processes")
    dev.end(number)
    wait_for(lambda: dev.family() == [], what="the end of all processes")


def test_other_worlds_than_the_simulators_can_be_used(tmp_path: Path, starting: list[Dev]) -> None:
    """With `--kubeconfig` and `--controller` no simulator starts; manifests go there with `--apply` only, and stay."""
    access = ("CTRL_USERNAME", "CTRL_PASSWORD", "CTRL_CA_DATA_FILE")
    with Stack(tmp_path / "worlds", workers=0, watcher=False, tls=True) as worlds:
        env = {name: worlds.environ[name] for name in access}
        there = ["--kubeconfig", str(worlds.kubeconfig), "--controller", worlds.avi_url]
        (tmp_path / "a").mkdir()
        unapplied = Dev(tmp_path / "a", "--once", *there, **env)
        starting.append(unapplied)
        assert unapplied.process.wait(60) == 0, unapplied.output
        assert "example.com" not in unapplied.output
        (tmp_path / "b").mkdir()
        applied = Dev(tmp_path / "b", *there, "--apply", **env)
        starting.append(applied)
        applied.wait_for("Ctrl-C ends everything")
        modules = {word for process in applied.family() for word in process.cmdline() if word.startswith("simulator")}
        assert applied.end() == 0
        assert modules == set()
        assert re.search(r"^sensors\.example\.com +10\.10\.", applied.output, re.MULTILINE)
        with contextlib.closing(worlds.avi_client()) as avi:
            assert avi.find("virtualservice", "demo--shop.example.com") is not None

"""`ako-kube-simulator`: the API server emulator as a process."""

from __future__ import annotations

import argparse
import base64
import os
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from simulator.kube.app import BOOKMARK_INTERVAL, EVENT_RING, FAMILIES, KubeSimulator
from simulator.kube.errors import ApiError
from simulator.server import add_listen_arguments, parse_listening, serve

_CONTEXT = "ako-kube-simulator"


def main(argv: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; 2 when the arguments or the objects to load are wrong."""
    arguments = parse_listening(build_parser(), argv)
    token = arguments.token or os.environ.get("AKO_KUBE_SIM_TOKEN") or ""
    simulator = KubeSimulator(
        token=token,
        ring=arguments.event_ring,
        bookmark_interval=arguments.bookmark_interval,
        families=arguments.service_families,
        usual_crds=arguments.usual_crds,
    )

    certificate, tls = _tls(arguments.host) if arguments.tls else (b"", None)

    def ready(url: str) -> None:
        if arguments.kubeconfig_out is not None:
            write_kubeconfig(arguments.kubeconfig_out, url, token, certificate)
        sys.stdout.write(f"Kubernetes API server emulator at {url}\n")
        sys.stdout.flush()

    try:
        _load(simulator, [*arguments.crd, *arguments.load])
        serve(
            simulator.handle,
            host=arguments.host,
            port=arguments.port,
            tls=tls,
            ready_file=arguments.ready_file,
            on_ready=ready,
        )
    except (ApiError, OSError) as error:
        sys.stderr.write(f"ako-kube-simulator: {error}\n")
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ako-kube-simulator", description="A Kubernetes API server to develop and test against."
    )
    add = parser.add_argument
    add_listen_arguments(parser)
    add("--tls", action="store_true", help="serve HTTPS with a certificate made at start (see --kubeconfig-out)")
    add("--token", help="bearer token that every call must carry (default: AKO_KUBE_SIM_TOKEN, else none is needed); "
        "kubectl sends one over TLS only")  # fmt: skip
    add("--load", type=Path, action="append", default=[], metavar="PATH",
        help="objects to begin with: a file, YAML or JSON, or a folder of YAML files")  # fmt: skip
    add("--crd", type=Path, action="append", default=[], metavar="FILE", help="CustomResourceDefinitions to begin with")
    add("--no-usual-crds", dest="usual_crds", action="store_false", help="begin without Calico's and AKO's kinds")
    add("--kubeconfig-out", type=Path, metavar="FILE", help="where to write a kubeconfig for this server")
    add("--bookmark-interval", type=_positive, default=BOOKMARK_INTERVAL, metavar="SECONDS",
        help="seconds between the bookmarks of a watch (default %(default)s)")  # fmt: skip
    add("--event-ring", type=int, default=EVENT_RING, metavar="N",
        help="changes that a watch can resume from (default %(default)s)")  # fmt: skip
    add("--service-families", type=_families, default=FAMILIES, metavar="LIST",
        help="IP families of Services, the default one first (default IPv4,IPv6)")  # fmt: skip
    return parser


def write_kubeconfig(path: Path, url: str, token: str, certificate: bytes) -> None:
    """Writes a kubeconfig in one step, readable by its owner only."""
    cluster = {"server": url}
    if certificate:
        cluster["certificate-authority-data"] = base64.b64encode(certificate).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": _CONTEXT,
        "clusters": [{"name": _CONTEXT, "cluster": cluster}],
        "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": _CONTEXT}}],
        "users": [{"name": _CONTEXT, "user": {"token": token} if token else {}}],
    }
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)
    part.write_text(yaml.safe_dump(config, sort_keys=False))
    part.replace(path)


def _load(simulator: KubeSimulator, paths: Iterable[Path]) -> None:
    """Loads the files in their order, a folder's by name; raises ApiError naming the one that cannot be."""
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    for path in files:
        try:
            simulator.loader.load(path.read_bytes())
        except ApiError as error:
            raise ApiError(error.code, f"{path}: {error.message}") from None


def _tls(host: str) -> tuple[bytes, ssl.SSLContext]:
    from simulator.avi.tls import self_signed, server_context  # noqa: PLC0415 - half of the start, seldom needed

    certificate, key = self_signed(host)
    return certificate, server_context(certificate, key)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _families(text: str) -> tuple[str, ...]:
    families = tuple(part.strip() for part in text.split(","))
    if families not in {("IPv4",), ("IPv6",), ("IPv4", "IPv6"), ("IPv6", "IPv4")}:
        raise argparse.ArgumentTypeError("IPv4, IPv6 or both, separated by a comma")
    return families


if __name__ == "__main__":
    sys.exit(main())

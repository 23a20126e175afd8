"""`ako-avi-simulator`: the simulated controller as a process."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import ssl
import sys
from pathlib import Path

from simulator.avi.app import AviSimulator
from simulator.avi.errors import ApiError
from simulator.avi.foreign import foreign_objects
from simulator.avi.tls import self_signed, server_context
from simulator.server import add_listen_arguments, parse_listening, serve


def main(argv: list[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; 2 when the arguments or the objects to load are wrong."""
    arguments = parse_listening(build_parser(), argv)
    password = arguments.password or os.environ.get("AKO_SIM_PASSWORD") or ""
    if not password:
        password = secrets.token_urlsafe(12)
        _say(f"password of {arguments.username}: {password}")
    simulator = AviSimulator(username=arguments.username, password=password)
    try:
        if arguments.seed_foreign:
            simulator.loader.load(foreign_objects(arguments.seed_foreign))
        for path in arguments.load:
            simulator.loader.load(json.loads(path.read_bytes()))
        simulator.faults.latency = arguments.latency / 1000
        serve(
            simulator.handle,
            host=arguments.host,
            port=arguments.port,
            tls=_tls(arguments.name or arguments.host, arguments.cert_out) if arguments.tls else None,
            ready_file=arguments.ready_file,
            on_ready=lambda url: _say(f"simulated Avi Controller at {url}"),
        )
    except (ApiError, ValueError, OSError) as error:
        sys.stderr.write(f"ako-avi-simulator: {error}\n")
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ako-avi-simulator", description="An Avi Controller to develop and test against."
    )
    add_listen_arguments(parser)
    parser.add_argument("--tls", action="store_true", help="serve HTTPS with a certificate made at start")
    parser.add_argument("--name", help="DNS name that the certificate is for too (default: the address)")
    parser.add_argument("--cert-out", type=Path, metavar="FILE", help="where to write that certificate (PEM)")
    parser.add_argument(
        "--username", default=os.environ.get("AKO_AVI_USERNAME") or "admin", help="the one user (default %(default)s)"
    )
    parser.add_argument("--password", help="default: from AKO_SIM_PASSWORD, else made and printed")
    parser.add_argument("--seed-foreign", type=int, default=0, metavar="N", help="make N objects of other owners")
    parser.add_argument("--load", type=Path, action="append", default=[], metavar="FILE", help="load an avi.json")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="milliseconds that each call takes")
    return parser


def _tls(host: str, cert_out: Path | None) -> ssl.SSLContext:
    certificate, key = self_signed(host)
    if cert_out is not None:
        cert_out.write_bytes(certificate)
        _say(f"certificate: {cert_out}")
    return server_context(certificate, key)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

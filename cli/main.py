"""The `ako` command: `build_parser` says what can be asked, `main` does it and turns errors into sentences.

Exit codes: 0 done, 1 failed, 2 wrong usage (argparse). A mistake in the settings is one line `path: text` per problem;
no error of ours ends in a traceback.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence

from cli import conformance, dev, explain, orphans, preflight, resync, services, status, validate, work
from cli.logs import LEVELS
from shared.errors import AkoError, SettingsError


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line; each command's function is in `run`."""
    parser = argparse.ArgumentParser(
        prog="ako", description="Keeps VMware Avi load balancers in step with Kubernetes.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_watcher(commands)
    _add_worker(commands)
    _add_flower(commands)
    _add_dev(commands)
    _add_validate(commands)
    _add_preflight(commands)
    _add_status(commands)
    _add_explain(commands)
    _add_work(commands)
    _add_locks(commands)
    _add_resync(commands)
    _add_orphans(commands)
    _add_conformance(commands)
    completion = commands.add_parser(
        "completion",
        help="print what a shell completes our command lines by",
        description='For bash: eval "$(ako completion bash)"; zsh and fish alike, or write it where the shell looks.',
        allow_abbrev=False,
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    completion.set_defaults(run=_completion)
    version = commands.add_parser("version", help="print the version", allow_abbrev=False)
    version.set_defaults(run=_version)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = build_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SettingsError as error:
        for path, text in error.problems:
            print(f"{path}: {text}", file=sys.stderr)
    except AkoError as error:
        print(f"ako: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("ako: interrupted", file=sys.stderr)
    except BrokenPipeError:
        # Whoever read our output has gone (`ako dev | head`). The interpreter must not complain on exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _add_watcher(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("watcher", help="follow Kubernetes and hand out work", allow_abbrev=False)
    _add_common(parser)
    _add_live(parser)
    parser.add_argument("--single", action="store_true", help="the only watcher: lead at once, without a Lease")
    parser.add_argument(
        "--allow-mass-delete", action="store_true", help="do not hold back when a list lacks many objects"
    )
    parser.set_defaults(run=services.watcher)


def _add_worker(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("worker", help="do the work; start as many as you like", allow_abbrev=False)
    _add_common(parser)
    _add_live(parser)
    parser.add_argument("--concurrency", type=_positive, metavar="N", help="threads (default: pipeline.concurrency)")
    parser.set_defaults(run=services.worker)


def _add_flower(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("flower", help="Celery's web page: workers and tasks", allow_abbrev=False)
    _add_common(parser)
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--ready-file", metavar="FILE", help="write the URL as JSON to FILE once listening")
    parser.set_defaults(run=services.flower)


def _add_dev(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "dev",
        help="the whole pipeline on this machine, with simulators",
        description="Starts Redis, an API server emulator, an Avi Controller simulator, watcher, workers and Flower; "
        "loads the example, shows what stands on the controller and follows changes of the manifests until Ctrl-C.",
        allow_abbrev=False,
    )
    parser.add_argument("--once", action="store_true", help="end when everything stands (exit 0) or at the timeout (1)")
    parser.add_argument("--timeout", type=_seconds, default=90.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="processes (default: %(default)d)")
    parser.add_argument("--examples", metavar="DIR", help="folder with values.yaml and manifests/")
    parser.add_argument("--values", metavar="FILE", help="settings (default: values.yaml of the example)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="use this cluster instead of the emulator")
    parser.add_argument("--apply", action="store_true", help="with --kubeconfig: apply the example's manifests there")
    parser.add_argument(
        "--controller",
        metavar="HOST",
        help="use this Avi Controller instead of the simulator; credentials by CTRL_USERNAME, CTRL_PASSWORD, ...",
    )
    parser.add_argument("--directory", metavar="DIR", help="for logs and data, which stay (default: a temporary one)")
    parser.set_defaults(run=dev.run)


def _add_validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "validate",
        help="check a values.yaml and say what it will do",
        description="Reads the file alone (no environment, no network). Exit code 0: valid, with a summary; "
        "1: one line `path: text` for each mistake.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="a values.yaml")
    parser.add_argument("--from-configmap", action="store_true", help="FILE is AKO's ConfigMap avi-k8s-config as YAML")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: %(default)s")
    parser.set_defaults(run=validate.run)


def _add_preflight(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "preflight",
        help="look at controller, cluster and Redis before anything is started",
        description="Logs in and looks at everything that the settings name; writes nothing. Exit code 0: nothing "
        "failed; 1: something did.",
        allow_abbrev=False,
    )
    _add_look(parser)
    parser.set_defaults(run=preflight.run)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "status",
        help="what is served, and what is not and why",
        description="Reads Redis alone and writes nothing. Exit code 0: everything is served; 3: something is not; "
        "1: it could not be told.",
        allow_abbrev=False,
    )
    _add_read(parser)
    parser.add_argument("names", nargs="*", metavar="NAME", help="namespace/name of an Ingress or Service, or a host")
    parser.add_argument("--namespace", default="", help="this namespace only")
    parser.add_argument("--watch", action="store_true", help="show it again whenever it changes, until Ctrl-C")
    parser.set_defaults(run=status.run)


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "explain",
        help="why something is as it is: inputs, wanted objects, what stands, what is waited for",
        description="Reads Redis alone and writes nothing. Exit code 0: nothing is left to do for it; 3: something is; "
        "1: it could not be told.",
        allow_abbrev=False,
    )
    _add_read(parser)
    parser.add_argument("what", metavar="WHAT", help="a work key, a host, or namespace/name of an Ingress or Service")
    parser.set_defaults(run=explain.run)


def _add_work(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "work",
        help="what is due, running, waiting and failing; or try again now",
        description="Without --retry it writes nothing. Exit code 0: nothing fails; 3: something does; 1: it could "
        "not be told.",
        allow_abbrev=False,
    )
    _add_read(parser)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="these work keys only (default: all unfinished ones)")
    parser.add_argument("--retry", action="store_true", help="run the KEYs now, or without any all that fail")
    parser.set_defaults(run=work.run)


def _add_locks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "locks",
        help="which worker holds which key, for how long, and who leads",
        description="Reads Redis alone and writes nothing.",
        allow_abbrev=False,
    )
    _add_read(parser)
    parser.set_defaults(run=work.locks)


def _add_read(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", metavar="FILE", help="values.yaml (default: $AKO_VALUES, else environment only)")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: %(default)s")


def _add_resync(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "resync",
        help="compare everything with the controller now",
        description="Asks the workers for a census: every object of ours is read and compared, and whatever differs "
        "is put right. Exit code 0: done; 3: done, and a VIP change is still held or was refused; 1: not in time.",
        allow_abbrev=False,
    )
    _add_read(parser)
    parser.add_argument(
        "--allow-vip-change",
        action="store_true",
        help="let VIPs lose the addresses that the VIP network of the present settings takes away; for an hour",
    )
    parser.add_argument("--timeout", type=_seconds, default=300.0, metavar="SECONDS", help="default: %(default)g")
    parser.set_defaults(run=resync.run)


def _add_orphans(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "orphans",
        help="list what of this cluster stands on the controller and nobody looks after",
        description="Writes nothing. Exit code 0: no orphan; 3: there are some; 1: it could not be told.",
        allow_abbrev=False,
    )
    _add_look(parser)
    parser.set_defaults(run=orphans.run)


def _add_conformance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "conformance",
        help="try on a controller what our guarantees rest on",
        description="Creates objects of its own on the controller, tries on them what our guarantees rest on, and "
        "takes them away again. Exit code 1: something does not hold, or could not be taken away.",
        allow_abbrev=False,
    )
    parser.add_argument("--values", metavar="FILE", help="values.yaml (default: $AKO_VALUES, else environment only)")
    parser.add_argument("--yes", action="store_true", help="yes, create and remove objects on that controller")
    parser.set_defaults(run=conformance.run)


def _add_look(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", metavar="FILE", help="values.yaml (default: $AKO_VALUES, else environment only)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, ~/.kube/config, the pod's account")
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: %(default)s")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--values", metavar="FILE", help="values.yaml (default: $AKO_VALUES, else environment only)")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, ~/.kube/config, the pod's account")
    parser.add_argument("--log-level", choices=LEVELS, help="default: AKOSettings.logLevel")


def _add_live(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    parser.add_argument(
        "--configmap", action="store_true", help="read AKO's ConfigMap avi-k8s-config of our namespace over the file"
    )
    parser.add_argument(
        "--health-port",
        type=_port,
        metavar="PORT",
        help="for /healthz, /readyz and /metrics; 0 takes a free one (default: AKOSettings.apiServerPort)",
    )
    parser.add_argument("--ready-file", metavar="FILE", help="write the URL of /readyz as JSON to FILE once listening")


def _completion(options: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415 - no other command needs it

    print(shtab.complete(build_parser(), options.shell))
    return 0


def _version(_: argparse.Namespace) -> int:
    print(f"ako-celery {importlib.metadata.version('ako-celery')}")
    return 0


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535; 0: a free one)")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench [core] [latency] [statuses] [cold] [nodes] [scaling]`: runs the measurements (default: all)."""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys

from bench import core, nodes, pipeline, scaling
from bench.statuses import statuses

HEADS = ("hosts", "latency", "workers", "objects", "statuses")
HEADS += ("avi", "kube", "redis", "watcher", "workers", "watcher MB", "worker MB")
COLD = "  {:>5} {:>7} {:>7} {:>8} {:>8} | {:>5} {:>5} {:>5} {:>7} {:>7} | {:>10} {:>9}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=[], help="core, latency, statuses, cold, nodes, scaling (default: all)"
    )
    parser.add_argument("--hosts", type=int, nargs="*", default=[500, 1000], help="cold: numbers of hosts")
    parser.add_argument("--latencies", type=int, nargs="*", default=[0, 20], help="cold: controller latencies in ms")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4], help="cold: worker processes")
    parser.add_argument("--runs", type=int, default=3, help="cold: runs of each, the median is printed")
    args = parser.parse_args()
    parts = args.parts or ["core", "latency", "statuses", "cold", "nodes", "scaling"]
    if "core" in parts:
        print("Pure core, one core")
        for name, value in core.measure().items():
            print(f"  {name:44} {value:10.2f}")
    if "latency" in parts:
        print("Event to controller write, 300 hosts standing, 2 worker processes, 0 ms controller latency", flush=True)
        for name, value in pipeline.latency().items():
            print(f"  {name:44} {value:10.1f}")
    if "statuses" in parts:
        print("1,000 Ingresses wiped at once, one worker process, by latency of the API server", flush=True)
        for latency in (0, 5, 20):
            row = statuses(1000, latency)
            print(f"  {latency:>2} ms: " + ", ".join(f"{name} {value:.6g}" for name, value in row.items()), flush=True)
    if "cold" in parts:
        print(f"Cold sync, median of {args.runs}: s until all objects and all statuses stand; CPU s by process; memory")
        print(COLD.format(*HEADS))
        for hosts, latency, workers in itertools.product(args.hosts, args.latencies, args.workers):
            runs = [pipeline.cold(hosts, latency, workers) for _ in range(args.runs)]
            row = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            figures = [f"{row[name]:.2f}" for name in ("objects", "statuses")]
            figures += [f"{row[name]:.1f}" for name in ("avi", "kube", "redis", "watcher", "workers")]
            figures += [f"{row[name]:.0f}" for name in ("watcher_rss", "worker_rss")]
            print(COLD.format(hosts, f"{latency} ms", workers, *figures), flush=True)
    if "nodes" in parts:
        print("1,000 nodes with a pod network of each family within 10 s, 2 worker processes", flush=True)
        for name, value in nodes.flood().items():
            print(f"  {name:44} {value:10.1f}")
    if "scaling" in parts:
        print("200 endpoint changes at once, by worker processes of two threads", flush=True)
        scaling.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())

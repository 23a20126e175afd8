"""`python -m bench [core] [latency] [cold] [memory]`: runs the measurements (default: all) and prints their tables."""

from __future__ import annotations

import argparse
import statistics
import sys

from bench import core, pipeline


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help="core, latency, cold (default: all)")
    parser.add_argument("--hosts", type=int, nargs="*", default=[500, 1000], help="cold: numbers of hosts")
    parser.add_argument("--latencies", type=int, nargs="*", default=[0, 20], help="cold: controller latencies in ms")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4], help="cold: worker processes")
    parser.add_argument("--runs", type=int, default=3, help="cold: runs of each, the median is printed")
    args = parser.parse_args()
    parts = args.parts or ["core", "latency", "cold"]
    if "core" in parts:
        print("Pure core, one core")
        for name, value in core.measure().items():
            print(f"  {name:44} {value:10.2f}")
    if "latency" in parts:
        print("Event to controller write, 300 hosts standing, 2 worker processes, 0 ms controller latency", flush=True)
        for name, value in pipeline.latency().items():
            print(f"  {name:44} {value:10.1f}")
    if "cold" in parts:
        print("Cold sync (median of %d runs): seconds until all objects stand / until all statuses stand" % args.runs)
        print(
            "  hosts  latency  workers   objects  statuses   CPU s: avi-sim  kube-sim  redis  watcher  workers   RSS MB: watcher  worker"
        )
        for hosts in args.hosts:
            for latency in args.latencies:
                for workers in args.workers:
                    runs = [pipeline.cold(hosts, latency, workers) for _ in range(args.runs)]
                    row = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
                    print(
                        f"  {hosts:5d} {latency:5d} ms {workers:8d} {row['objects']:9.2f} {row['statuses']:9.2f}"
                        f" {row['avi']:17.1f} {row['kube']:9.1f} {row['redis']:6.1f} {row['watcher']:8.1f} {row['workers']:8.1f}"
                        f" {row['watcher_rss']:17.0f} {row['worker_rss']:7.0f}",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.chaos [NAME...] [--small] [--list]`: runs scenarios in full and prints their figures as a table.

Exit code 1 when a figure is not what is demanded, or a scenario could not be run to its end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.chaos.catalogue import scenarios
from tests.chaos.figures import Scale, Scenario


def main() -> int:
    """Runs what was asked for; see the module's docstring."""
    known = scenarios()
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Breaks things and measures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all)")
    parser.add_argument("--small", action="store_true", help="the size that the test suite runs")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.names or known]
    if options.list:
        for each in chosen:
            print(f"{each.name:<24} {each.breaks}")
        return 0
    scale = Scale("small" if options.small else "full")
    wrong = [each.name for each in chosen if not _show(each, scale)]
    print(f"\n{len(chosen)} scenarios, {len(wrong)} wrong{': ' + ', '.join(wrong) if wrong else ''}")
    return 1 if wrong else 0


def _show(scenario: Scenario, scale: Scale) -> bool:
    """Runs one scenario and prints its figures as they come; True when all of them hold and there was one."""
    shrunk = f" (all times shrunk by {scenario.shrunk:g})" if scenario.shrunk != 1 else ""
    print(f"\n{scenario.name}: {scenario.breaks}{shrunk}", flush=True)
    began, good, count = time.monotonic(), True, 0
    with tempfile.TemporaryDirectory(prefix=f"ako-chaos-{scenario.name}-") as folder:
        try:
            for figure in scenario.run(Path(folder), scale):
                count += 1
                good = good and figure.holds
                print(f"  {'ok   ' if figure.holds else 'WRONG'} {figure}", flush=True)
        except Exception:  # noqa: BLE001 - one scenario that cannot go on must not end the others
            traceback.print_exc()
            good = False
    print(f"        {time.monotonic() - began:.0f} s")
    return good and count > 0


if __name__ == "__main__":
    sys.exit(main())

"""What is wrong with a site as a whole, as sentences that say what it means and what to do. Pure.

Each of them makes `ako status` end with exit code 3, however well every host is served at the moment: without a watcher
or a worker nothing that changes from now on arrives. What stands on the controller goes on serving in all these cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from cli.served import Served
from cli.site import DUE, RUNNING, Site, age
from shared.state.work import MILLION

LATE_AFTER = 120 * MILLION
MOST_NAMED = 5


def troubles(site: Site, every: Sequence[Served]) -> list[str]:
    """Every trouble of the site, the one to begin with first.

    What the keys of an Ingress or Service fail with is told of that one; here of those that belong to none of `every`.
    """
    shown = {key for served in every for line in served.lines for key in (line.key, *line.parent_keys)}
    return [*_processes(site), *_knowledge(site), *_controller(site), *_keys(site, shown)]


def _processes(site: Site) -> Iterator[str]:
    if site.silent_since:
        who = f"{site.meta.get('leader') or '?'} was last heard {age(site.now, site.silent_since)} ago"
        yield (
            f"No watcher leads: {who}. Changes in the cluster are not noticed. See whether `ako watcher` runs, its log "
            "and its /readyz."
        )
    if not site.workers:
        yield "No worker runs, so nothing is done. See whether `ako worker` runs, its log and its /readyz."


def _knowledge(site: Site) -> Iterator[str]:
    if site.meta.get("mirror_complete") != "1":
        yield (
            "The watcher has not read the whole cluster yet; until then nothing is written. If that lasts, its /readyz "
            "names the kinds that it can't read."
        )
    elif site.meta.get("ledger_complete") != "1":
        yield "The controller has not been read completely yet, so nothing is written. See `ako explain resync`."
    if refused := site.meta.get("refused"):
        yield f"The last census was not believed: {refused}"


def _controller(site: Site) -> Iterator[str]:
    if unanswered := int(site.meta.get("breaker", 0)):
        at = int(float(site.meta.get("probe_at", 0)))
        again = f" in {age(site.now, at)}" if at > site.now else ""
        yield (
            f"The controller {site.settings.controller.host} can't be used ({unanswered} runs in a row); one key at a "
            f"time tries, next{again}. See its last error in `ako work`."
        )


def _keys(site: Site, shown: Collection[str]) -> Iterator[str]:
    failing = [key for key in site.keys.values() if key.failing and key.key not in shown]
    for key in failing[:MOST_NAMED]:
        again = f"; next try in {age(site.now, key.at)}" if key.at > site.now else ""
        yield (key.trouble if key.key in key.trouble else f"{key.key}: {key.trouble}") + again
    if len(failing) > MOST_NAMED:
        yield f"{len(failing) - MOST_NAMED} more keys fail; see `ako work`."
    if held := sorted(key.key for key in site.keys.values() if key.held):
        named = ", ".join(held[:MOST_NAMED]) + (f" and {len(held) - MOST_NAMED} more" if len(held) > MOST_NAMED else "")
        yield (
            f"Held until a second census agrees, since much would be taken away at once (MassDeleteHeld): {named}. Is "
            "that wanted? If not, put right what changed in the settings, the cluster or the controller."
        )
    waiting = [key for key in site.keys.values() if key.state == DUE]
    oldest = min((key.at for key in waiting), default=site.now)
    if site.workers and site.now - oldest > LATE_AFTER:
        running = sum(key.state == RUNNING for key in site.keys.values())
        yield (
            f"{len(waiting)} keys are due and the oldest waits for {age(site.now, oldest)}, with {running} of "
            f"{sum(site.workers.values())} slots in use. See `ako work` and `ako locks`; all in use: more workers."
        )

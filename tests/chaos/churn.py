"""Ingresses of all sorts come, change and go, with what they stand on; at each quiet point all must be as wanted.

What is right is told by `fresh`, which computes it anew from what the API server holds then; the sorts are a table in
`sorts`. The cluster is left alone only for as long as it takes to come to rest, and never for a look at one thing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import world as cluster
from shared.avi.client import AviClient
from shared.state.keys import RESYNC
from tests.chaos import balancers, sorts
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.fresh import differences
from tests.chaos.ground import FOREIGN, Strangers
from tests.chaos.life import Life
from tests.e2e.scene import Scene
from tests.support import wait_for
from workers.model.owners import MADE_TYPES
from workers.model.vips import VSVIP

READ_TIMEOUT = 3.0
CALM_SECONDS = 60.0
FORMS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "SNI": {},
    "SNI, small, without pool groups": {"L7Settings": {"shardVSSize": "SMALL", "noPGForSNI": True}},
    "EVH": {"AKOSettings": {"enableEVH": True}},
    "EVH, an address per namespace": {"AKOSettings": {"enableEVH": True, "vipPerNamespace": True}},
    "dedicated": {"L7Settings": {"shardVSSize": "DEDICATED", "passthroughShardSize": "DEDICATED"}},
    "EVH, dedicated": {"AKOSettings": {"enableEVH": True}, "L7Settings": {"shardVSSize": "DEDICATED"}},
}


@scenario("churn", "200 Ingresses of all sorts come, change and go for two minutes, with what they stand on")
def churn(folder: Path, scale: Scale) -> Iterator[Figure]:
    with living(folder, FORMS["SNI"], number=scale.of(60, 200), seed=1) as here:
        yield from here.live(seconds=scale.of(4, 120), burst=scale.of(2, 10), rate=scale.of(60, 20))
        yield Figure("sorts of Ingresses that were there", len(here.life.seen), "==", len(sorts.SORTS))
        yield from here.end()
        yield from here.control()
        yield from here.leave()


@scenario("churn-forms", "the same for half a minute in each of the other forms, with another seed")
def churn_forms(folder: Path, scale: Scale) -> Iterator[Figure]:
    for place, form in enumerate(list(FORMS)[1:]):
        with living(folder / str(place), FORMS[form], number=scale.of(40, 200), seed=2 + place) as here:
            figures = [*here.live(seconds=scale.of(3, 30), burst=scale.of(3, 10), rate=20), *here.end()]
        yield from (replace(each, what=f"{form}: {each.what}") for each in figures)


@scenario("churn-services", "200 Services of type LoadBalancer of all sorts come, change and go for two minutes")
def churn_services(folder: Path, scale: Scale) -> Iterator[Figure]:
    gates = {"featureGates": {"IPv6LoadBalancer": True, "DualStackBackends": True}}
    form = {"AKOSettings": {"ipFamily": "V4_V6", "cniPlugin": "antrea"}, **gates}
    with living(folder, form, life=balancers.Life, number=scale.of(40, 200), seed=11) as here:
        yield from here.live(
            seconds=scale.of(4, 120), burst=scale.of(2, 10), rate=scale.of(40, 20), kinds=scale.of(8, 10)
        )
        yield Figure("sorts of Services that were there", len(here.life.seen), "==", len(balancers.SORTS))
        yield from here.end()
        yield from here.control()
        yield from here.leave()


def values(form: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The bench's settings with addresses of both families, namespaces that are chosen by label, and a form."""
    made = cluster.values(leaseTTL=3, readTimeout=READ_TIMEOUT)
    made["NetworkSettings"]["vipNetworkList"][0]["v6cidr"] = "2001:db8:10::/64"
    key, value = sorts.LABEL
    made["AKOSettings"] |= {
        "namespaceSelector": {"labelKey": key, "labelValue": value},
        "blockedNamespaceList": [sorts.BLOCKED],
    }
    for section, changes in form.items():
        made[section] = {**made.get(section, {}), **changes}
    return made


@contextmanager
def living(
    folder: Path,
    form: Mapping[str, Mapping[str, Any]],
    *,
    number: int,
    seed: int,
    life: type[Life] | type[balancers.Life] = Life,
) -> Iterator[Living]:
    """A running pipeline beside objects of others, over a cluster with that many Ingresses (or Services)."""
    with Scene(folder, values(form), foreign=FOREIGN) as scene:
        avi = scene.stack.avi_client()
        try:
            avi.create("tenant", {"name": sorts.TENANT})
            scene.load(cluster.base())
            lived = life(scene, random.Random(seed), number)
            lived.begin()
            yield Living(scene, avi, lived)
        finally:
            avi.close()


class Living:
    """A cluster that lives, and the looks at its quiet points."""

    def __init__(self, scene: Scene, avi: AviClient, life: Life | balancers.Life) -> None:
        self.scene, self.avi, self.life = scene, avi, life
        self.strangers = Strangers(scene)

    def live(self, *, seconds: float, burst: float, rate: float, kinds: int = 10) -> Iterator[Figure]:
        """Bursts of that many seconds with `rate` changes in each second; a quiet point after each."""
        took: list[float] = []
        wrong = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end and not wrong:
            self._burst(min(burst, end - time.monotonic()), rate)
            if len(took) % 2 == 0:  # with every Secret there, the computation knows nothing of before
                self.life.heal()
            began = time.monotonic()
            found = self.calm()
            took.append(time.monotonic() - began)
            wrong += self._named(found)
        yield Figure("changes of the cluster", self.life.made.total(), ">=", 0.3 * rate * seconds)
        yield Figure("kinds of changes", len(self.life.made), ">=", kinds)
        yield Figure("quiet points", len(took), ">=", max(1, 0.3 * seconds / burst))
        yield Figure("differences from a fresh computation at a quiet point", wrong, "==", 0)
        yield Figure("from the last change of a burst to rest, at most", max(took), "<=", CALM_SECONDS / 2, "s")
        yield self.strangers.touched()

    def _burst(self, seconds: float, rate: float) -> None:
        began, count = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            if count < passed * rate:
                self.life.change()
                count += 1
            else:
                time.sleep(0.005)

    def calm(self) -> list[str]:
        """Waits until nothing is left to do and nothing is wrong; returns what is so all the same after a minute.

        It waits for both, since a change that no watch has delivered yet is no difference that stays.
        """
        end = time.monotonic() + CALM_SECONDS
        while True:
            complete = self.scene.state.fields("meta", ["ledger_complete"]) == ["1"]
            found = self.scene.unfinished() if complete else ["nothing is known of the controller yet"]
            if not found and not (found := self.wrong()):
                return []
            if time.monotonic() > end:
                return found
            time.sleep(0.1)

    def wrong(self) -> list[str]:
        """What is not as a fresh computation wants it."""
        return list(differences(self.scene.stack.settings, self.scene.state, self.scene.kube, self.avi).values())

    def end(self) -> Iterator[Figure]:
        """With every Secret there, and then once more with nothing left to write."""
        self.life.heal()
        yield Figure("differences with every Secret there", self._named(self.calm()), "==", 0)
        self.scene.forget_audit()
        self.scene.stack.kube_control("audit", method="DELETE")
        self.scene.work().mark([*self.scene.all_keys(), *self.life.statuses()], "change", "look again")
        yield Figure("differences when every key has run once more", self._named(self.calm()), "==", 0)
        yield Figure("writes to the controller of that", len(self.scene.writes()), "==", 0)
        calls = self.scene.stack.kube_control("audit")["calls"]
        patches = [call["path"] for call in calls if call["method"] == "PATCH" and "/leases" not in call["path"]]
        yield Figure("patches to Kubernetes of that", self._named(patches), "==", 0)

    def control(self) -> Iterator[Figure]:
        """The comparison must be able to fail: with the pipeline stopped, things are broken by hand."""
        self.scene.stop_pipeline()
        broken = set(self.life.break_things(self.avi))
        found = set(differences(self.scene.stack.settings, self.scene.state, self.scene.kube, self.avi))
        yield Figure("things broken by hand", len(broken), ">=", 5)
        yield Figure("of these not named by the comparison", self._named(sorted(broken - found)), "==", 0)
        yield Figure("things named that nobody broke", self._named(sorted(found - broken)), "==", 0)

    def leave(self) -> Iterator[Figure]:
        """The pipeline comes back and repairs what was broken; then every Ingress goes."""
        self.scene.stack.start_worker()
        self.scene.stack.start_watcher()
        self.scene.work().mark(["resync"], "change", "look at everything")
        wait_for(lambda: RESYNC not in self.scene.state.hash("claim"), what="a census")
        yield Figure("differences after a census", self._named(self.calm()), "==", 0)
        self.life.clear()
        yield Figure("differences when all have gone", self._named(self.calm()), "==", 0)
        left = [name for type_ in MADE_TYPES if type_ != VSVIP for name in self.scene.ours(type_)]
        yield Figure("objects left but kept addresses", self._named(left), "==", 0)
        yield self.strangers.touched()

    @staticmethod
    def _named(found: list[str]) -> int:
        """How many, and what they are beside the figures."""
        for text in found:
            print(f"        {text[:400]}")
        return len(found)

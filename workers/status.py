"""Write-back to Kubernetes: the status and the annotations of an Ingress or a Service, and Events.

What is written is computed from what stands on the controller, and nothing is written when nothing changed. A host
whose virtual service or address is not known for certain keeps what its status says: it is taken out of a status only
when the Ingress no longer names it or is no longer ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import astuple, replace
from typing import Any

import orjson

from shared.errors import AkoError, AviConflict, AviRefused, KubeError, KubeNotFound, SettingsError
from shared.kube import KubeClient
from shared.projection import load_balancer_status
from shared.settings.model import ServiceType, Settings
from shared.state import Claim, Ledger, LedgerEntry, Mirror, State, keys
from shared.state.connection import bounded
from shared.state.work import MILLION
from workers.annotations import ask_for_node_ports
from workers.model.accept import acceptance, hosts_of, in_domains, ingress_problems, tenant_of
from workers.model.context import Context, context_for
from workers.model.status import ingress_status
from workers.model.types import HostVips, Problem, split_object_id
from workers.outcome import Result
from workers.services import KINDS, is_served, read_status, services_of
from workers.snapshot import Snapshots

log = logging.getLogger(__name__)

NOT_APPLIED = "NotApplied"


class Reporter:
    """Turns the problems of a run into Events, once each: a repeated run says what is new among them."""

    def __init__(self, state: State, kube: KubeClient, *, events: bool = True, pod: tuple[str, str] = ("", "")) -> None:
        """`pod` is our own as (namespace, name), which mistakes in the settings concern; no name: there is none.

        What concerns a shard, and so a whole cluster, is told on that namespace.
        """
        self.state = state
        self.mirror = Mirror(state)
        self.kube = kube
        self.events = events
        self.pod = pod

    def report(self, claim: Claim, result: Result) -> None:
        """Emits what is new. Events are best effort: a failure is logged and forgotten."""
        key = claim.key
        if result.error is not None:
            self._keep_error(key, result.error)
        problems = [on for problem in result.problems for on in self._placed(key, problem)]
        if isinstance(result.error, AviRefused | AviConflict):
            problems += self._placed(key, Problem("", "", "", NOT_APPLIED, f"{key}: {result.error}"))
        if isinstance(result.error, SettingsError) and self.pod[1]:
            problems.append(Problem("Pod", *self.pod, "InvalidSettings", str(result.error)))
        if key == keys.RESYNC:
            self._refused(result.error)
        problems = sorted(set(problems), key=astuple)
        known = problems_in(claim.problems)
        if problems == known:
            return
        for problem in problems:
            if problem not in known:
                claim.progress = time.monotonic()  # there may be one for each of a thousand nodes
                self.event(problem)
        with bounded():
            if problems:
                text = orjson.dumps([astuple(problem) for problem in problems]).decode()
                self.state.client.hset(self.state.key("problems"), key, text)
            else:
                self.state.client.hdel(self.state.key("problems"), key)

    def _keep_error(self, key: str, error: AkoError) -> None:
        """For `ako status`: the error of a key's last run, until one is done."""
        at = int(time.time() * MILLION)
        with bounded():
            self.state.client.hset(self.state.key("errors"), key, orjson.dumps([at, str(error)]).decode())

    def _refused(self, error: AkoError | None) -> None:
        """Tells every worker, for its /readyz, why the last census failed: the support matrix refused, or no answer."""
        text = "" if error is None else str(error)
        if text and not isinstance(error, SettingsError):
            text = f"the census failed, so nothing of it is believed: {text}"
        with bounded():
            if text:
                self.state.client.hset(self.state.key("meta"), "refused", text)
            else:
                self.state.client.hdel(self.state.key("meta"), "refused")

    def event(self, problem: Problem) -> None:
        """One Event on the object that a problem concerns; none with `enableEvents: false`."""
        if not self.events:
            return
        id_ = f"{problem.namespace}/{problem.name}" if problem.namespace else problem.name
        # Of a node kubectl shows the Events whose uid is its name, as the kubelet writes them.
        uid = id_ if problem.kind == "Node" else str(self.mirror.get(problem.kind, [id_]).get(id_, {}).get("uid", ""))
        try:
            self.kube.emit_event(
                problem.kind,
                problem.namespace,
                problem.name,
                uid,
                type="Warning" if problem.warning else "Normal",
                reason=problem.reason,
                message=problem.message,
            )
        except KubeError as error:
            log.warning("no Event for %s %s (%s): %s", problem.kind, id_, problem.message, error)

    def _placed(self, key: str, problem: Problem) -> list[Problem]:
        """A problem of an Avi object concerns the Ingresses or Services that it is for; of others it is only logged."""
        if problem.kind:
            return [problem]
        log.warning("%s: %s: %s", key, problem.reason, problem.message)
        kind, host = keys.split(key)
        if kind in KINDS:
            served = [id_.split("/") for id_ in services_of(self.mirror, key)]
            return [replace(problem, kind="Service", namespace=ns, name=name) for ns, name in served]
        if kind == "shard":
            return [replace(problem, kind="Namespace", namespace=self.pod[0], name=self.pod[0])]
        if kind != "host":
            return []
        ids = sorted(member.partition(" ")[2].partition("/")[2] for member in self.mirror.naming(host))
        return [
            replace(problem, kind="Ingress", namespace=id_.partition("/")[0], name=id_.partition("/")[2]) for id_ in ids
        ]


def problems_in(text: str) -> list[Problem]:
    """The problems of one key as they are kept in Redis; "" is none, as is what an older release kept."""
    return [Problem(*fields) for fields in orjson.loads(text)] if text.startswith("[") else []


class StatusRuns:
    """The handler of `status:` keys."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        snapshots: Snapshots,
        kube: KubeClient,
        reporter: Reporter,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.snapshots = snapshots
        self.kube = kube
        self.reporter = reporter
        self.asks = settings.service_type is ServiceType.NODE_PORT_LOCAL and settings.annotate_services

    def run(self, claim: Claim) -> Result:
        """Writes status and annotations of one Ingress or Service if they differ from what they should be.

        In NodePortLocal mode the Services get the annotation that asks Antrea for node ports, too.
        """
        kind, _, id_ = keys.split(claim.key)[1].partition("/")
        if kind == "Service":
            return self._service(id_)
        snapshot = self.snapshots.status(kind, id_)
        if snapshot is None or snapshot.object["deleting"]:
            return Result()
        ingress, current, namespaces, classes, facts = (
            snapshot.object,
            snapshot.current,
            snapshot.namespaces,
            snapshot.classes,
            snapshot.facts,
        )
        context = context_for(self.settings, facts)
        vips: dict[str, HostVips] = {}
        wanted: Mapping[str, Any] = {"ingress": [], "annotations": {}}
        problems = ingress_problems(ingress, namespaces, classes, context)
        accepted = acceptance(ingress, namespaces, classes, context)
        if accepted.unserved:
            return Result(problems=problems)
        if not accepted.ours and not current["annotations"]:
            return Result(problems=problems)  # without an annotation of ours the status is somebody else's
        if accepted.ours:
            tenant = tenant_of(ingress["ns"], namespaces, context)
            hosts = [host for host in hosts_of(ingress, context) if _may_show(host, id_, snapshot.rows, context)]
            rows = {host: row for host, row in snapshot.rows.items() if host in hosts}
            vips = vips_of(rows, tenant, self.ledger)
            served = ingress_status(ingress, vips, self.settings, facts, current=current, tenant=tenant)
            wanted = _keep_unknown(served, current, hosts, vips)
        path = f"/apis/networking.k8s.io/v1/namespaces/{ingress['ns']}/ingresses/{ingress['name']}"
        if self._write(path, current, wanted):
            self._say_what_changed(ingress, current, wanted, vips)
        if self.asks and accepted.ours:
            named = [f"{ingress['ns']}/{path['service']}" for rule in ingress["rules"] for path in rule["paths"]]
            ask_for_node_ports(named, self.snapshots.mirror, self.kube)
        return Result(problems=problems, operations=_patched(path, current, wanted))

    def _service(self, id_: str) -> Result:
        """Writes status and annotations of one Service; what is wrong with it is told by the key that serves it."""
        if self.asks and is_served(self.snapshots, self.settings, id_):
            ask_for_node_ports([id_], self.snapshots.mirror, self.kube)
        found = read_status(self.snapshots, self.settings, id_)
        if found is None:
            return Result()
        namespace, name = id_.split("/")
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        if self._write(path, found.current, found.wanted) and bool(found.current["ingress"]) is not bool(found.vs):
            reason, text = (
                ("Synced", f"Added virtualservice {found.vs}") if found.vs else ("Removed", "Removed virtualservice")
            )
            self.reporter.event(Problem("Service", namespace, name, reason, f"{text} for {name}", warning=False))
        return Result(operations=_patched(path, found.current, found.wanted))

    def _write(self, path: str, current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        """Writes what differs of an object's status and annotations; True when the rows of the status did."""
        annotate, show = (wanted[part] != current[part] for part in ("annotations", "ingress"))
        if not annotate and not show:
            return False
        shown = False
        try:
            # The annotations say that the status is ours, so they come before it and go after it.
            if annotate and wanted["annotations"]:
                there = self._annotate(path, current, wanted)
            else:
                # The mirror may lack what the run before this one wrote a moment ago.
                there = load_balancer_status(self.kube.get(path))
            # Without the annotations nobody can tell any more whose the rows are, so these go first, seen or not.
            if (show or not wanted["annotations"]) and wanted["ingress"] != there["ingress"]:
                load_balancer = {"ingress": wanted["ingress"] or None}
                self.kube.patch(f"{path}/status", {"status": {"loadBalancer": load_balancer}})
                shown = True
            if annotate and not wanted["annotations"] and there["annotations"]:
                self._annotate(path, there, wanted)
        except KubeNotFound:
            log.info("%s is gone, its status is not written", path)
        return shown

    def _annotate(self, path: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what the object says now."""
        annotations = {**dict.fromkeys(there["annotations"]), **wanted["annotations"]}
        return load_balancer_status(self.kube.patch(path, {"metadata": {"annotations": annotations}}))

    def _say_what_changed(
        self,
        ingress: Mapping[str, Any],
        current: Mapping[str, Any],
        wanted: Mapping[str, Any],
        vips: Mapping[str, HostVips],
    ) -> None:
        before = {str(row.get("hostname", "")) for row in current["ingress"]}
        after = {str(row.get("hostname", "")) for row in wanted["ingress"]}
        texts = [("Synced", f"Added virtualservice {vips[host].vs_name} for {host}") for host in sorted(after - before)]
        texts += [("Removed", f"Removed virtualservice for {host}") for host in sorted(before - after) if host]
        for reason, message in texts:
            self.reporter.event(Problem("Ingress", ingress["ns"], ingress["name"], reason, message, warning=False))


def vips_of(rows: Mapping[str, Any], tenant: str, ledger: Ledger) -> dict[str, HostVips]:
    """What stands in a tenant for each host of these rows; hosts that don't stand yet are left out."""
    faces = {host: row["faces"][tenant] for host, row in rows.items() if tenant in row.get("faces", {})}
    asked = {tuple(owned) for face in faces.values() for owned in (face["vsvip"], *face["services"])}
    entries = ledger.entries(sorted(asked))
    found = {host: _vips_of(rows[host], face, entries, tenant) for host, face in faces.items()}
    return {host: vips for host, vips in found.items() if vips is not None}


def _patched(path: str, current: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """For the log: which parts of an object were patched."""
    parts = [
        name for name, part in (("annotations", "annotations"), ("status", "ingress")) if wanted[part] != current[part]
    ]
    return (f"patch {path} ({', '.join(parts)})",) if parts else ()


def _may_show(host: str, ingress: str, rows: Mapping[str, Any], context: Context) -> bool:
    """Whether the status of an Ingress may have the host's addresses: the host is served, and for this Ingress too."""
    return in_domains(host, context) and ingress not in rows.get(host, {}).get("refused", ())


def _vips_of(
    row: Mapping[str, Any], face: Mapping[str, Any], entries: Mapping[str, LedgerEntry], tenant: str
) -> HostVips | None:
    """What serves a host (`face`: see the model's Face): the best virtual service that stands; None while none does."""
    vsvip = entries.get(face["vsvip"][1])
    if vsvip is None or not vsvip.stands or not any(split_object_id(id_)[1] == tenant for id_ in row["standing"]):
        return None
    for _, id_ in face["services"]:
        service = entries.get(id_)
        if service is not None and service.stands:
            v4, v6 = tuple(vsvip.extra.get("v4", ())), tuple(vsvip.extra.get("v6", ()))
            return HostVips(service.uuid, split_object_id(id_)[2], v4, v6)
    return None


def _keep_unknown(
    wanted: Mapping[str, Any], current: Mapping[str, Any], hosts: Collection[str], vips: Mapping[str, HostVips]
) -> Mapping[str, Any]:
    """A host that is still named but not known to stand keeps what its status says of it."""
    unknown = set(hosts) - set(vips)
    kept = [row for row in current["ingress"] if row.get("hostname") in unknown]
    if not kept:
        return wanted
    order = {host: place for place, host in enumerate(hosts)}
    rows = sorted([*wanted["ingress"], *kept], key=lambda row: order[row["hostname"]])
    return {"ingress": rows, "annotations": {**current["annotations"], **wanted["annotations"]}}

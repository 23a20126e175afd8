"""What a key wants right now, by the model and the mirror, for whoever asks without running it. It writes nothing."""

from __future__ import annotations

from shared.settings.model import Settings
from shared.state import Ledger, keys
from workers.model.certificates import desired_default_certificates
from workers.model.hosts import desired_host
from workers.model.l4 import desired_services
from workers.model.layout import layout_of
from workers.model.shards import desired_shard
from workers.model.types import Desired, Facts
from workers.services import KINDS, read_snapshot
from workers.snapshot import Snapshots


def wanted_by(key: str, facts: Facts, settings: Settings, snapshots: Snapshots, ledger: Ledger) -> Desired | None:
    """What a key would want under these facts; None for a kind of key that has no objects of its own."""
    kind, rest = keys.split(key)
    if kind == "host":
        return desired_host(snapshots.host(rest, facts)[0], settings, facts)
    if kind == "shard":
        tenant, _, parent = rest.partition("/")
        snapshot, _ = snapshots.shard(tenant, parent, layout_of(settings), ledger.standing_of, facts)
        return desired_shard(snapshot, settings, facts)
    if kind == "certificate":
        return desired_default_certificates(snapshots.default_certificate(facts)[0], settings, facts)
    if kind in KINDS:
        return desired_services(read_snapshot(snapshots, key, facts)[0], settings, facts)
    return None

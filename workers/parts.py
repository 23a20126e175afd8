"""Our entries inside objects that we share with others: static routes of a VRF, labels of a Service Engine group.

Such an object is read, our part of it changed and the whole written back under `_last_modified`; what is computed here
is the body of that PUT. Three promises: an entry of somebody else stays as it is and where it is, whatever it looks
like; what is already right is not touched (a route of ours with the wanted prefix and next hop keeps the route id it
has, which may be AKO's); and the same input gives the same body. Ours is told by the label `clustername` with our
cluster's name, never by the prefix of a name: cluster `c1` is not `c1-x`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from workers.fields import address_text, subnet_text
from workers.model.types import Problem, SharedPart

CLUSTER_LABEL: Final = "clustername"

Entry = dict[str, Any]


def merge_shared(actual: Mapping[str, Any], part: SharedPart, cluster: str) -> dict[str, Any] | Problem | None:
    """The body of the PUT that puts our part into the object as read; None when it is there already.

    A Problem (without a Kubernetes object) says why the part cannot be written, and then nothing may be. Raises
    ValueError for a field in which we have no part.
    """
    present: list[Entry] = list(actual.get(part.field) or ())
    if part.field == "static_routes":
        merged = _routes(present, part.entries, cluster)
    elif part.field == "labels":
        labels = _labels(present, part, cluster)
        if isinstance(labels, Problem):
            return labels
        merged = labels
    else:
        raise ValueError(f"{part.type}.{part.field} is not a field that holds entries of ours")
    return None if merged == present else {**actual, part.field: merged}


def routes_taken(actual: Mapping[str, Any], part: SharedPart, cluster: str) -> tuple[list[str], int]:
    """The routes of ours that our part would take away, as `prefix via hop`, and how many there are of ours."""
    wanted = {_way(route) for route in part.entries}
    ours = {_way(route) for route in actual.get(part.field) or () if is_ours(route, cluster)}
    return [f"{prefix} via {hop}" for _, prefix, hop in sorted(ours - wanted)], len(ours)


def is_ours(entry: Mapping[str, Any], cluster: str) -> bool:
    """Whether an entry bears our cluster's label."""
    return any(_is_label(label, cluster) for label in entry.get("labels") or ())


def _routes(present: list[Entry], wanted: Iterable[Entry], cluster: str) -> list[Entry]:
    """Foreign routes and ours that are still wanted, in the order they have; then the new ones, sorted."""
    missing = {_way(route): route for route in wanted}
    # A second route of ours to the same place finds its way taken off the map already, and goes.
    kept = [route for route in present if not is_ours(route, cluster) or missing.pop(_way(route), None) is not None]
    taken = {str(route.get("route_id", "")) for route in kept}
    return kept + [_with_free_id(missing[way], taken) for way in sorted(missing)]


def _way(route: Mapping[str, Any]) -> tuple[bool, str, str]:
    """What a route does, by value: (is it IPv6, prefix, next hop). Its id says nothing about that."""
    prefix = subnet_text(route.get("prefix") or {})
    return ":" in prefix, prefix, address_text((route.get("next_hop") or {}).get("addr", ""))


def _with_free_id(route: Entry, taken: set[str]) -> Entry:
    """The route, under another id if its own is taken; notes the id as taken."""
    wanted = free = str(route["route_id"])
    number = 1
    while free in taken:
        number += 1
        free = f"{wanted}-{number}"
    taken.add(free)
    return route if free == wanted else {**route, "route_id": free}


def _labels(present: list[Entry], part: SharedPart, cluster: str) -> list[Entry] | Problem:
    """Our label where there is none, or no label of ours where none is wanted.

    A group that is labelled for something else is not ours to label.
    """
    if not part.entries:
        return [label for label in present if not _is_label(label, cluster)]
    if any(_is_label(label, cluster) for label in present):
        return present
    if not present:
        return list(part.entries)
    found = ", ".join(sorted(f"{label.get('key')}={label.get('value')}" for label in present))
    return Problem(
        "",
        "",
        "",
        "LabelledOtherwise",
        f"{part.type} {part.name!r} bears the labels {found} and not {CLUSTER_LABEL}={cluster}, so it serves something "
        "else and is left alone. Use another SE group or take the labels away.",
    )


def _is_label(label: Mapping[str, Any], cluster: str) -> bool:
    return label.get("key") == CLUSTER_LABEL and label.get("value") == cluster

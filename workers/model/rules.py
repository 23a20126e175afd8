"""What a host is served with: the one reading of its Ingresses, on which its own objects and its shard's lists rest.

All Ingresses that name the host are read oldest first (creation time, then `ns/name`), so that every conflict has the
same answer everywhere and at all times:

- Two rules for one path: the older one is served, the other gets a problem. Paths of plain hosts are told apart as the
  datascript does, in lower case and without regard to `pathType`; those of TLS hosts by path and by Exact or not.
- Two paths whose pools would have one name (`/a/b` and `/a_b` of one Ingress): the first one is served.
- An Ingress lists the host under `spec.tls`: its paths are TLS paths, even when another Ingress serves the host
  without. With shared SNI both forms then stand, as with AKO: the child virtual service, and pools in the shared pool
  group. In every other form (`layout`) the host's own virtual service switches all paths, and redirects to HTTPS.
- With `fqdnReusePolicy: Strict` (EVH only) a host belongs to the namespace of its oldest Ingress; those of others are
  not served for it.
- TLS passthrough is a matter of the whole host: the oldest Ingress with paths decides, and those that want it otherwise
  are not served for this host. Of several Ingresses that pass it through the oldest one is served, with all its
  Services, since nobody sees the path of such a request.
- Several Secrets: the oldest usable one makes the certificate. Where none can be used but one is there, the host keeps
  the certificate that it has. Without any there is no child virtual service, and the TLS paths are not served without
  TLS instead.

`members` is the rule for a host that moves from plain to TLS: the pools that it already has in the shared pool group
stay, both in what the host wants and in what its shard lists, until the child virtual service stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from shared.projection import DEFAULT_BACKEND, passes_through
from workers.model import names
from workers.model.accept import Projections, acceptance, host_of, in_domains, tenant_of
from workers.model.context import Context
from workers.model.served import Path, Served
from workers.model.tls import choose_secret, secret_asked_for, settle_certificates
from workers.model.types import ObjectId, Problem, object_id


class Member(NamedTuple):
    """A pool of the shared pool group. `kept`: the host moves to TLS and the pool is listed only while it stands."""

    pool: str
    label: str
    path: Path
    kept: bool


class Reading(NamedTuple):
    """What each tenant serves a host with (tenants sorted, those with nothing left out), and what was wrong.

    `refused` are the Ingresses (`ns/name`) that name the host and are not served under it at all.
    """

    found: list[Served]
    problems: list[Problem]
    refused: list[str]


def read_rules(
    host: str,
    ingresses: Iterable[dict[str, Any]],
    namespaces: Projections,
    classes: Projections,
    secrets: Projections,
    standing: Collection[ObjectId],
    context: Context,
) -> Reading:
    """Reads the rules of all Ingresses that name `host` (others do no harm)."""
    reading = Reading([], [], [])
    problems = reading.problems
    tenants: dict[str, Served] = {}
    claimed = ""
    for ingress in sorted(ingresses, key=_age):
        accepted = acceptance(ingress, namespaces, classes, context)
        if not accepted.ours:
            continue
        paths = _paths(ingress, host, context, problems)
        if not in_domains(host, context):
            problems.append(_outside(ingress, host, context))
            continue
        claimed = claimed or ingress["ns"]
        if context.settings.strict_hosts and ingress["ns"] != claimed:
            problems.append(_claimed(ingress, host, claimed))
            reading.refused.append(f"{ingress['ns']}/{ingress['name']}")
            continue
        tenant = tenant_of(ingress["ns"], namespaces, context)
        served = tenants.setdefault(tenant, Served(tenant))
        if not served.any:
            served.passthrough = passes_through(ingress)
        if accepted.unserved:
            served.frozen += paths
        elif paths and served.passthrough is not passes_through(ingress):
            problems.append(_otherwise(ingress, host, served))
            reading.refused.append(f"{ingress['ns']}/{ingress['name']}")
        else:
            _take_in(served, ingress, paths, host, secrets, standing, context, problems)
    reading.found.extend(tenants[name] for name in sorted(tenants) if tenants[name].any)
    for served in reading.found:
        settle_certificates(served, host, secrets, standing, context)
    return reading


def members(served: Served, host: str, standing: Collection[ObjectId], context: Context) -> list[Member]:
    """The host's pools in the shared pool group: of its plain paths, and those of TLS paths that still have to stay."""
    if context.layout.whole or served.passthrough:
        return []
    result = [_member(path, host, context, kept=False) for path in served.plain]
    staying = list(served.frozen)
    if served.own and service_id(served, host, context) not in standing:
        staying += served.own
    seen = {member.label for member in result}
    for path in staying:
        member = _member(path, host, context, kept=True)
        if member.label not in seen and pool_id(served, member) in standing:
            seen.add(member.label)
            result.append(member)
    return result


def service_id(served: Served, host: str, context: Context) -> ObjectId:
    """The object id of the host's own virtual service."""
    return object_id("virtualservice", served.tenant, context.layout.virtual_service(host))


def parent_of(served: Served, host: str, context: Context) -> str:
    """The shared parent that serves the host for this tenant, "" when it has a dedicated virtual service."""
    if served.passthrough:
        return context.layout.passthrough_parent(host)
    return context.layout.parent(host, served.namespace)


def pool_id(served: Served, member: Member) -> ObjectId:
    """The object id of a member's pool."""
    return object_id("pool", served.tenant, member.pool)


def _age(ingress: dict[str, Any]) -> tuple[str, str, str]:
    return ingress["created"], ingress["ns"], ingress["name"]


def _paths(ingress: dict[str, Any], host: str, context: Context, problems: list[Problem]) -> list[Path]:
    """The paths of all rules for the host, in the order of the Ingress, and at last the default backend.

    There is no default backend where a path of the Ingress matches every request.
    """
    paths: list[Path] = []
    for rule in ingress["rules"]:
        if host_of(rule, ingress, context) != host:
            continue
        if "bad" in rule:
            problems.append(_problem(ingress["ns"], ingress["name"], "MalformedRule", f"{rule['bad']}."))
        paths += [_path(ingress, path, context) for path in rule["paths"]]
    written = [path for path in paths if not path.default]
    if any(path.path in ("", "/") and not path.exact for path in written):
        return written
    return [*written, *[path for path in paths if path.default][:1]]


def _path(ingress: dict[str, Any], path: dict[str, Any], context: Context) -> Path:
    return Path(
        ingress["ns"],
        ingress["name"],
        path["path"],
        path["type"] == "Exact",
        path["service"],
        path["port"],
        default=path["type"] == DEFAULT_BACKEND,
        elements=path["type"] == "Prefix" and context.settings.kubernetes_paths,
    )


def _take_in(
    served: Served,
    ingress: dict[str, Any],
    paths: list[Path],
    host: str,
    secrets: Projections,
    standing: Collection[ObjectId],
    context: Context,
    problems: list[Problem],
) -> None:
    """Takes in what one Ingress wants for the host, as far as older ones leave it."""
    if served.passthrough:
        _pass(served, [path for path in paths if not path.default] or paths, host, context, problems)
        return
    asked = secret_asked_for(ingress, host, context)
    if asked:
        problems += choose_secret(served, ingress, host, asked, secrets, standing, context)
    for path in paths:
        _add(served, path._replace(tls=bool(asked)), host, context, problems)


def _add(served: Served, path: Path, host: str, context: Context, problems: list[Problem]) -> None:
    """Takes the path in, unless an older rule has it or one of its names is taken or too long."""
    layout = context.layout
    switched = layout.switches(path.tls)
    if switched:
        group = layout.pool_group(path.namespace, host, path.path, path.ingress)
        made = [layout.pool(path.namespace, host, path.path, path.ingress, path.service), group]
        others = [
            names.rule(layout.policy_set(path.namespace, host), 9999),
            names.rule(layout.virtual_service(host), 0),
            *layout.certificates(host).values(),
        ]
        match = f"own {path.exact} {path.elements} {path.stem}"
    else:
        made = [names.plain_pool(context.prefix, host, path.path, path.namespace, path.ingress)]
        others = [names.priority_label(host, path.path)]
        match = f"plain {others[0]}"
    taken = [name for name in made if f"name {name}" in served.seen]
    if not names.fits(*made, *others):
        text = f"{path.text} of {host} needs names longer than {names.MAX_NAME} characters"
        problems.append(_problem(*path[:2], "NameTooLong", f"{text}; it is left out. Shorten the path or the names."))
    elif match in served.seen:
        text = f"{path.text} of {host} is served by an older rule"
        problems.append(_problem(*path[:2], "DuplicateHostPath", f"{text}; it is left out. Remove one of the two."))
    elif taken:
        text = f"{path.text} of {host} needs the name {taken[0]}, which another path has"
        problems.append(_problem(*path[:2], "NameTaken", f"{text}; it is left out. Move it to another Ingress."))
    else:
        served.seen |= {match, *(f"name {name}" for name in made)}
        (served.own if switched else served.plain).append(path)
        if not switched and context.settings.kubernetes_paths and (path.exact or (path.elements and path.stem != "/")):
            problems.append(_by_text(path, host))


def _by_text(path: Path, host: str) -> Problem:
    text = (
        f"{path.text} of {host} matches whatever begins with its text, in any letter case, since a host without TLS "
        "shares its virtual service. List the host under spec.tls, or use enableEVH or shardVSSize DEDICATED."
    )
    return _problem(*path[:2], "PathMatchedByText", text)


def _pass(served: Served, paths: list[Path], host: str, context: Context, problems: list[Problem]) -> None:
    """Takes in the Services of an Ingress whose TLS is passed through."""
    first = served.passed[0] if served.passed else None
    for path in paths:
        name = names.passthrough_pool(context.prefix, host, path.service)
        others = {each.service: each for each in served.passed}
        if host.startswith("*."):
            reason, text = "WildcardPassthrough", "a pool group is found by the very name that a client asks for"
        elif not names.fits(name):
            reason, text = "NameTooLong", f"its pool needs a name longer than {names.MAX_NAME} characters"
        elif first is not None:
            reason, text = "DuplicateHostPath", f"Ingress {first.namespace}/{first.ingress} is older and serves it"
        elif path.service not in others:
            served.passed.append(path)
            continue
        elif path.port == others[path.service].port:
            continue
        else:
            reason, text = "NameTaken", f"port {others[path.service].port} of the Service has the name {name}"
        what = f"TLS of {host} is not passed through to Service {path.service}, since {text}."
        problems.append(_problem(path.namespace, path.ingress, reason, what))


def _otherwise(ingress: dict[str, Any], host: str, served: Served) -> Problem:
    passes = "passes its TLS through" if served.passthrough else "does not pass its TLS through"
    text = f"{host} is not served for this Ingress, since an older one {passes}. Use one annotation for all of them."
    return _problem(ingress["ns"], ingress["name"], "PassthroughConflict", text)


def _member(path: Path, host: str, context: Context, *, kept: bool) -> Member:
    name = names.plain_pool(context.prefix, host, path.path, path.namespace, path.ingress)
    return Member(name, names.priority_label(host, path.path), path, kept)


def _claimed(ingress: dict[str, Any], host: str, namespace: str) -> Problem:
    text = (
        f"{host} is not served for this Ingress, since an older one in namespace {namespace} has it and "
        "L7Settings.fqdnReusePolicy is Strict. Use another host, or remove it there."
    )
    return _problem(ingress["ns"], ingress["name"], "HostClaimed", text)


def _outside(ingress: dict[str, Any], host: str, context: Context) -> Problem:
    text = (
        f"{host} is not served, since it is in none of the DNS domains of cloud {context.settings.controller.cloud} "
        f"({', '.join(context.domains)}). Use a host in one of them or add its domain to the cloud."
    )
    return _problem(ingress["ns"], ingress["name"], "HostOutsideDomains", text)


def _problem(namespace: str, ingress: str, reason: str, message: str) -> Problem:
    return Problem("Ingress", namespace, ingress, reason, message)

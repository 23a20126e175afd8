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

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.projection import DEFAULT_BACKEND, passes_through, tls_by_default
from workers.model import names
from workers.model.accept import Projections, acceptance, host_of, in_domains, tenant_of
from workers.model.context import Context
from workers.model.pairs import secret_fault, usable_certificates
from workers.model.types import ObjectId, Problem, object_id


class Path(NamedTuple):
    """One path of one Ingress for the host; `port` is the backend Service's port, by number or by name.

    `default`: it is the Ingress's default backend, the path "" after all others. `elements`: it matches whole elements
    of a request's path, as Kubernetes says of `Prefix`; without, the beginning of its text, as AKO.
    """

    namespace: str
    ingress: str
    path: str
    exact: bool
    service: str
    port: int | str
    tls: bool = False
    default: bool = False
    elements: bool = False

    @property
    def stem(self) -> str:
        """The path as it is compared with others: element by element a slash at the end means nothing."""
        return self.path.rstrip("/") or "/" if self.elements else self.path

    @property
    def text(self) -> str:
        """What to call it in an Event."""
        return "The default backend" if self.default else f"The path {self.path[:60]!r}"


class Member(NamedTuple):
    """A pool of the shared pool group. `kept`: the host moves to TLS and the pool is listed only while it stands."""

    pool: str
    label: str
    path: Path
    kept: bool


@dataclass(slots=True)
class Served:
    """What one tenant serves the host with. `secret` is the Secret (`ns/name`) of the certificate, "" without one.

    `by_default`: it is the default Secret, whose certificates are another key's. `kept`: it can't be used, and the
    certificate that stands is served on. `certificates` are the names, by the field of the Secret (`stale`: a Secret to
    fall back to like that).

    `plain` paths have their pools in the parent's pool group, `own` ones are switched by the host's virtual service,
    `passed` ones (one for each Service) belong to a host whose TLS is passed through (`passthrough`).
    `frozen` paths belong to Ingresses that this release can't serve: nothing is made for them, nothing taken away.
    """

    tenant: str
    plain: list[Path] = field(default_factory=list)
    own: list[Path] = field(default_factory=list)
    passed: list[Path] = field(default_factory=list)
    frozen: list[Path] = field(default_factory=list)
    passthrough: bool = False
    secret: str = ""
    by_default: bool = False
    kept: bool = False
    certificates: Mapping[str, str] = field(default_factory=dict)
    stale: tuple[str, bool] | None = None
    seen: set[str] = field(default_factory=set)

    @property
    def paths(self) -> list[Path]:
        """What the host's own virtual service switches: TLS paths only with a certificate, and never without TLS."""
        return [path for path in self.own if self.secret or not path.tls]

    @property
    def has_service(self) -> bool:
        """Whether the host gets a virtual service of its own: there is something that it can switch."""
        return bool(self.paths)

    @property
    def certified(self) -> bool:
        """Whether the host is served with TLS: it has a certificate, and is redirected to HTTPS."""
        return bool(self.secret) and any(path.tls for path in self.own)

    @property
    def namespace(self) -> str:
        """The namespace of the oldest Ingress: of those that are served, if any is."""
        return (self.paths or self.plain or self.own or self.passed or self.frozen)[0].namespace

    @property
    def any(self) -> bool:
        """Whether any path of the host is served, or would be."""
        return bool(self.plain or self.own or self.passed or self.frozen)


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
        _certify(served, host, secrets, standing, context)
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
        stands = _standing_certificates(served.tenant, host, tls_by_default(ingress), standing, context)
        _choose_secret(served, ingress, host, asked, secrets, problems, stands=bool(stands))
    for path in paths:
        _add(served, path._replace(tls=bool(asked)), host, context, problems)


def secret_asked_for(ingress: dict[str, Any], host: str, context: Context) -> str:
    """The Secret (`ns/name`, without a name where `spec.tls` has none) of an Ingress for a host; "" without TLS."""
    if tls_by_default(ingress):
        return context.default_secret
    named = [f"{ingress['ns']}/{entry['secret']}" for entry in ingress["tls"] if host in entry["hosts"]]
    return named[0] if named else ""


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


def _choose_secret(
    served: Served,
    ingress: dict[str, Any],
    host: str,
    id_: str,
    secrets: Projections,
    problems: list[Problem],
    *,
    stands: bool,
) -> None:
    """Keeps the first usable Secret; says what is wrong with the one asked for here, or that another one is used.

    `stands`: the host has a certificate, which serves on when the Secret is there and can't be used.
    """
    by_default = tls_by_default(ingress)
    name = id_ if by_default else id_.partition("/")[2]
    fault = secret_fault(name, secrets.get(id_))
    if fault is not None:
        keeps = stands and id_ in secrets
        served.stale = served.stale or ((id_, by_default) if keeps else None)
        meanwhile = (
            f"{host} keeps the certificate that it has" if keeps else f"this Ingress has no certificate for {host}"
        )
        text = f"{fault.text}. Until then {meanwhile}."
        problems.append(_problem(ingress["ns"], ingress["name"], fault.reason, text))
    elif not served.secret:
        served.secret, served.by_default = id_, by_default
    elif (served.secret, served.by_default) != (id_, by_default):
        text = f"{host} has the certificate of Secret {served.secret}, as an older Ingress asks; {id_} is not used."
        problems.append(_problem(ingress["ns"], ingress["name"], "SecretNotUsed", text))


def _certify(served: Served, host: str, secrets: Projections, standing: Collection[ObjectId], context: Context) -> None:
    """Settles which certificates the host has: of the Secret that can be used, else those that stand."""
    if not served.secret and served.stale:
        served.secret, served.by_default = served.stale
        served.kept = True
    if served.kept:
        served.certificates = _standing_certificates(served.tenant, host, served.by_default, standing, context)
    elif served.secret:
        made = _certificate_names(host, served.by_default, context)
        served.certificates = {crt: made[crt] for crt in usable_certificates(secrets[served.secret])}


def _certificate_names(host: str, by_default: bool, context: Context) -> dict[str, str]:
    return context.layout.default_certificates() if by_default else context.layout.certificates(host)


def _standing_certificates(
    tenant: str, host: str, by_default: bool, standing: Collection[ObjectId], context: Context
) -> dict[str, str]:
    made = _certificate_names(host, by_default, context)
    return {crt: name for crt, name in made.items() if object_id("sslkeyandcertificate", tenant, name) in standing}


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

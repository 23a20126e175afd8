"""What a host is served with, tenant by tenant, as `rules` reads it from the Ingresses that name the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


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

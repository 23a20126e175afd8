"""Where the API server is and how we prove who we are.

Three sources, in kubectl's order: an explicit kubeconfig or `$KUBECONFIG`, `~/.kube/config`, the service account of the
pod. Static credentials (token, token file, client certificate) are read here in a few milliseconds; a kubeconfig whose
user needs an exec plugin or an auth provider is left to the `kubernetes` package, imported only then.

`Access` is immutable but for its token file, which is read again every minute, since Kubernetes rotates it. Everything
else that changes (an exec plugin's token, a rotated client certificate) is had by calling `load` again, which the
client does on a 401. Settings of a kubeconfig that we do not implement and that would change where or as whom we speak
are refused, never ignored.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.errors import KubeError

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE = 60.0  # seconds after which a token file is read again
_PLUGINS = ("exec", "auth-provider")
_REFUSED = {"cluster": ("proxy-url", "tls-server-name"), "user": ("as", "as-uid", "as-groups", "as-user-extra")}


class Bearer:
    """The value of the Authorization header, "" for none. A token that comes from a file is read again every minute."""

    def __init__(
        self, fixed: str = "", *, path: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._clock = clock
        self._read_at = clock()
        self._value = _printable(fixed) if path is None else _token(path)

    def __call__(self) -> str:
        """What to send now."""
        if self._path is not None and self._clock() - self._read_at >= TOKEN_AGE:
            self._read_at = self._clock()
            try:
                self._value = _token(self._path)
            except KubeError as error:
                # The old token may still be good; if it is not, the API server's 401 says so.
                log.warning("keeping the token read before: %s", error)
        return self._value


@dataclass(frozen=True, slots=True)
class Access:
    """One way to the API server: base URL, TLS (None for plain http) and what to put into Authorization."""

    url: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    authorization: Bearer = field(default_factory=Bearer, repr=False)


def load(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """The access that `kubeconfig` (path, or several joined by the path separator), the environment or the pod gives.

    Raises KubeError when there is none or it cannot be used; no text of it contains a credential.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    if not named and (home := Path.home() / ".kube" / "config").is_file():
        named = str(home)
    if named:
        return _from_kubeconfig(named, context)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster()
    raise KubeError("no kubeconfig and not inside a pod", action="Give --kubeconfig or set KUBECONFIG")


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> Access:
    """The access of the pod's service account. Raises KubeError when a part of it is missing."""
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubeError("KUBERNETES_SERVICE_HOST is not set", action="Run inside a pod or give --kubeconfig")
    if ":" in host:
        host = f"[{host}]"
    tls = ssl.create_default_context(cadata=_text(folder / "ca.crt"))
    return Access(f"https://{host}:{port}", _lenient(tls), Bearer(path=folder / "token"))


def _from_kubeconfig(named: str, context: str | None) -> Access:
    rows = _Rows(named)
    cluster, user = rows.of_context(context)
    if any(user.get(plugin) for plugin in _PLUGINS):
        return _from_library(named, context)
    for what, row in (("cluster", cluster), ("user", user)):
        for key in _REFUSED[what]:
            if row.get(key):
                raise KubeError(f"{key} is not supported", where=named, action="Remove it or use another context")
    url = str(cluster.get("server") or "")
    if not url.startswith(("http://", "https://")):
        raise KubeError(f"server is {url!r}", where=named, expected="an http:// or https:// URL")
    tls = _tls(cluster, user, named) if url.startswith("https://") else None
    return Access(url.rstrip("/"), tls, _bearer(user, named))


class _Rows:
    """The named rows of one or several kubeconfig files; the first file that has a name wins, as with kubectl."""

    def __init__(self, named: str) -> None:
        self._named = named
        self._current = ""
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        for path in (Path(part).expanduser() for part in named.split(os.pathsep) if part):
            self._add(path)

    def _add(self, path: Path) -> None:
        try:
            document = yaml.safe_load(_text(path))
        except yaml.YAMLError as error:
            # The error's own text would quote the file, which holds credentials.
            raise KubeError(f"not YAML ({type(error).__name__})", where=str(path)) from None
        if not isinstance(document, dict):
            raise KubeError("not a kubeconfig", where=str(path))
        self._current = self._current or str(document.get("current-context") or "")
        for section in ("cluster", "user", "context"):
            for row in document.get(f"{section}s") or ():
                if isinstance(row, dict) and isinstance(row.get(section), dict):
                    content = {**row[section], "": path.parent}  # relative file names count from their own file
                    self._rows.setdefault((section, str(row.get("name"))), content)

    def of_context(self, context: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The cluster and the user (empty when the context names none) of a context; None means the current one."""
        name = context or self._current
        chosen = self._rows.get(("context", name))
        if chosen is None:
            known = ", ".join(sorted(n for section, n in self._rows if section == "context")) or "none"
            raise KubeError(f"no context {name!r}", where=self._named, expected=f"one of: {known}")
        cluster = self._rows.get(("cluster", str(chosen.get("cluster"))))
        if cluster is None:
            raise KubeError(f"context {name!r} names no known cluster", where=self._named)
        return cluster, self._rows.get(("user", str(chosen.get("user"))), {})


def _bearer(user: dict[str, Any], where: str) -> Bearer:
    if token_file := user.get("tokenFile"):
        return Bearer(path=user[""] / str(token_file))
    if token := user.get("token"):
        return Bearer(f"Bearer {token}")
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        return Bearer("Basic " + base64.b64encode(pair.encode()).decode())
    if not user:
        log.info("%s names no user: the API server is asked anonymously", where)
    return Bearer()


def _tls(cluster: dict[str, Any], user: dict[str, Any], where: str) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", where)
    try:
        tls = ssl.create_default_context(cadata=authority or None)
        certificate, key = _pem(user, "client-certificate", where), _pem(user, "client-key", where)
        if certificate:
            _load_pair(tls, certificate, key)
    except (ssl.SSLError, ValueError) as error:
        raise KubeError(f"certificate or key not usable ({type(error).__name__})", where=where) from None
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return _lenient(tls)


def _lenient(tls: ssl.SSLContext) -> ssl.SSLContext:
    """Python 3.13 asks for extensions that the certificates of many clusters lack; other clients do not."""
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return tls


def _pem(row: dict[str, Any], name: str, where: str) -> str:
    """The PEM text given as `name` (a file) or `name`-data (base64), "" when there is neither."""
    if data := row.get(f"{name}-data"):
        try:
            return base64.b64decode("".join(str(data).split()), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            raise KubeError(f"{name}-data is not base64 of PEM text", where=where) from None
    if path := row.get(name):
        return _text(row[""] / str(path))
    return ""


def _load_pair(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    """Loads a client certificate; OpenSSL reads it from a file only, so one exists (mode 0600) for that moment."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:
        both.write(f"{certificate}\n{key}\n")
        both.flush()
        tls.load_cert_chain(both.name, password="")  # an encrypted key must fail, not ask at a terminal


def _token(path: Path) -> str:
    return _printable(f"Bearer {_text(path)}", where=str(path))


def _printable(value: str, *, where: str = "kubeconfig") -> str:
    """`value`, if it can stand in a header; http.client's own refusal would quote it in full."""
    if not (value.isascii() and value.isprintable()):
        raise KubeError("the token holds characters that no token has", where=where)
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KubeError(f"cannot be read ({type(error).__name__})", where=str(path)) from None


def _from_library(named: str, context: str | None) -> Access:
    """Credentials that a plugin gives; running it again is how they are renewed."""
    from kubernetes import client, config  # noqa: PLC0415 - 40 MB and a second of CPU, needed only here

    found = client.Configuration()
    try:
        load_kube_config: Any = config.load_kube_config  # untyped
        load_kube_config(config_file=named, context=context, client_configuration=found)
    except config.ConfigException as error:
        raise KubeError("the credential plugin gave nothing usable", where=named) from error
    tls = None
    if str(found.host).startswith("https://"):
        tls = ssl.create_default_context(cafile=found.ssl_ca_cert)
        if found.cert_file:
            tls.load_cert_chain(found.cert_file, found.key_file)
        if not found.verify_ssl:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        tls = _lenient(tls)
    return Access(str(found.host).rstrip("/"), tls, Bearer(str(found.api_key.get("BearerToken", ""))))

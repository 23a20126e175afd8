"""The ordinary calls to the API server: lists in pages, objects, Events, permissions; and the opening of watches.

Requests go straight to urllib3, the engine under `requests`: it takes an SSLContext that holds credentials loaded once,
costs half the CPU, and its connection pool serves all threads. Every call has a deadline as a whole: the body is read
in pieces against it (only an answer's head that arrives byte by byte could stretch it). A 401 reads the credentials
once more and repeats the call; everything else that is not 2xx is a typed error at once, and the caller decides. Only a
GET is repeated after a connection that broke, since a server may close an idle one just as it is used.

Nothing here interprets objects, and nothing that was sent appears in an error or a log line.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3

from shared import telemetry
from shared.dialing import Connection, TlsConnection
from shared.errors import KubeAuthError, KubeConflict, KubeError, KubeUnreachable
from shared.kube.answers import error_of, parse
from shared.kube.config import Access, load
from shared.kube.stream import SILENCE, WatchStream

log = logging.getLogger(__name__)
T = TypeVar("T")

COMPONENT = "ako-celery"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": COMPONENT}
_MERGE_PATCH = "application/merge-patch+json"
_EVENT_SECONDS = 5.0  # an Event is a courtesy: nobody waits long for it
_LONGEST_EVENT = 1024  # the API server's limit for an Event's message


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list; `resource_version` is the list's own, the only one a watch may start from."""

    items: list[dict[str, Any]]
    resource_version: str


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = TlsConnection


class _Link:
    """An access and the connections made with it; replaced as a whole when the credentials or `ipv6` change."""

    def __init__(self, access: Access, connect_timeout: float, *, ipv6: bool) -> None:
        self.access = access
        self.connect_timeout = connect_timeout
        self.ipv6 = ipv6
        parts = urlsplit(access.url)
        self.prefix = parts.path.rstrip("/")
        common: dict[str, Any] = {"maxsize": 16, "block": False, "retries": False, "ipv6": ipv6}
        host = parts.hostname or ""
        self.pool: urllib3.HTTPConnectionPool
        if access.tls is None:
            self.pool = _Pool(host, parts.port or 80, **common)
        else:
            self.pool = _TlsPool(host, parts.port or 443, ssl_context=access.tls, **common)


class KubeClient:
    """Access to one API server; may be shared by threads. Times are seconds.

    `load_access` is called once now and again after each 401. Without `ipv6` (the feature gate IPv6KubernetesAPI) only
    IPv4 addresses of the server are connected to. Raises KubeError when there is no usable access.
    """

    def __init__(
        self,
        load_access: Callable[[], Access],
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 30.0,
        ipv6: bool = False,
    ) -> None:
        self._load = load_access
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._renewing = threading.Lock()
        self._link = _Link(load_access(), connect_timeout, ipv6=ipv6)

    @classmethod
    def from_config(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        connect_timeout: float = 3.0,
        read_timeout: float = 30.0,
        ipv6: bool = False,
    ) -> KubeClient:
        """A client for `kubeconfig`, else `$KUBECONFIG`, else `~/.kube/config`, else the pod's service account."""
        load_access = functools.partial(load, kubeconfig, context)
        return cls(load_access, connect_timeout=connect_timeout, read_timeout=read_timeout, ipv6=ipv6)

    @property
    def url(self) -> str:
        """The API server's base URL."""
        return self._link.access.url

    def allow_ipv6(self, allowed: bool) -> None:
        """From the next call on, whether IPv6 addresses of the server are connected to. Open watches stay."""
        with self._renewing:
            before = self._link
            if before.ipv6 != allowed:
                self._link = _Link(before.access, self._connect_timeout, ipv6=allowed)
                before.pool.close()

    def get(self, path: str, *, timeout: float | None = None, **query: str | int) -> dict[str, Any]:
        """GET one object (or whatever `path` is)."""
        return self.request("GET", _target(path, query), timeout=timeout)

    def create(self, path: str, body: dict[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        """POST `body` to a collection. KubeConflict: the name exists. Never repeated by itself."""
        return self.request("POST", path, body, timeout=timeout)

    def replace(self, path: str, body: dict[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        """PUT a whole object; with a resourceVersion in it, KubeConflict when somebody wrote since."""
        return self.request("PUT", path, body, timeout=timeout)

    def patch(
        self, path: str, body: Any, content_type: str = _MERGE_PATCH, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """PATCH; give a resourceVersion in the patch to have it refused when somebody wrote since."""
        return self.request("PATCH", path, body, content_type=content_type, timeout=timeout)

    def delete(self, path: str, *, timeout: float | None = None) -> dict[str, Any]:
        """DELETE one object."""
        return self.request("DELETE", path, timeout=timeout)

    def pages(self, path: str, *, limit: int = 500, **params: str | int) -> Iterator[ListPage]:
        """All objects of a collection, page by page: complete, or it raises. `limit` 0 asks for one page.

        KubeGone: the continue token expired, list again from the start. An answer that is not a list, however
        friendly its status, raises KubeUnreachable: it must never look like an empty cluster.
        """
        query = {**params, "limit": limit} if limit else dict(params)
        while True:
            document = self.request("GET", _target(path, query))
            metadata, items = document.get("metadata"), document.get("items", ())
            version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
            is_list = str(document.get("kind", "")).endswith("List") and "items" in document
            if not is_list or not version or not isinstance(items, list | None):
                raise KubeUnreachable("the answer is not a list", where=f"GET {path}")
            yield ListPage([item for item in items or () if isinstance(item, dict)], str(version))
            token = metadata.get("continue") if isinstance(metadata, dict) else None
            if not token:
                return
            query["continue"] = str(token)

    def watch(
        self, path: str, resource_version: str, *, timeout: int, silence: float = SILENCE, **params: str | int
    ) -> WatchStream:
        """Opens a watch after `resource_version` that the server ends after `timeout`; bookmarks are asked for."""
        query = {
            **params,
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": timeout,
        }
        target, where = _target(path, query), f"WATCH {path}"
        return self._with_credentials(
            lambda link: WatchStream(
                link.access,
                link.prefix + target,
                where=where,
                connect_timeout=self._connect_timeout,
                read_timeout=self._read_timeout,
                silence=silence,
                ipv6=link.ipv6,
            )
        )

    def can_i(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        """Whether these credentials may do `verb` on `resource` (in all namespaces when none is given)."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
        return bool((answer.get("status") or {}).get("allowed"))

    def emit_event(
        self,
        kind: str,
        namespace: str,
        name: str,
        uid: str,
        *,
        type: str,  # noqa: A002 - the Event's own word
        reason: str,
        message: str,
    ) -> None:
        """Says something about an object as a Kubernetes Event (`type` is Normal or Warning).

        The same words about the same object are one Event whose count grows. Raises KubeError; whoever calls decides
        whether that matters.
        """
        message = message[:_LONGEST_EVENT]
        digest = hashlib.sha256("\n".join((kind, name, uid, type, reason, message)).encode()).hexdigest()[:16]
        where = f"/api/v1/namespaces/{namespace or 'default'}/events"
        event = _event(f"{name[:200]}.{digest}", namespace, kind, name, uid, type, reason, message)
        try:
            self.create(where, event, timeout=_EVENT_SECONDS)
        except KubeConflict:
            path = f"{where}/{event['metadata']['name']}"
            count = self.get(path, timeout=_EVENT_SECONDS).get("count")
            again = {"count": (count if isinstance(count, int) else 1) + 1, "lastTimestamp": event["lastTimestamp"]}
            self.patch(path, again, timeout=_EVENT_SECONDS)

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """One call; `target` is path and query. Returns the JSON object of a 2xx answer, else raises a KubeError."""
        data = None if body is None else orjson.dumps(body)
        deadline = time.monotonic() + (timeout or self._read_timeout)
        where = f"{method} {target.partition('?')[0]}"
        send = functools.partial(_send, method, target, data, content_type, deadline, where)
        with telemetry.kube_call(method, target):
            return parse(self._with_credentials(send), where=where)

    def _with_credentials(self, call: Callable[[_Link], T]) -> T:
        """Carries out `call`, after a 401 once more with credentials that were read again."""
        link = self._link
        try:
            return call(link)
        except KubeAuthError:
            return call(self._renewed(link))

    def _renewed(self, stale: _Link) -> _Link:
        with self._renewing:
            if self._link is stale:
                try:
                    self._link = _Link(self._load(), self._connect_timeout, ipv6=stale.ipv6)
                except KubeAuthError:
                    raise
                except KubeError as error:
                    raise KubeAuthError(f"401, and no new credentials: {error}", status=401) from error
                stale.pool.close()
                log.info("the API server answered 401: credentials read again")
            return self._link


def _send(
    method: str, target: str, data: bytes | None, content_type: str, deadline: float, where: str, link: _Link
) -> bytes:
    """One exchange with the API server; returns the body of a 2xx answer."""
    headers = dict(_HEADERS)
    if authorization := link.access.authorization():
        headers["Authorization"] = authorization
    if data is not None:
        headers["Content-Type"] = content_type
    try:
        try:
            response, body = _exchange(method, target, data, headers, deadline, link)
        except urllib3.exceptions.ProtocolError:
            if method != "GET":
                raise
            response, body = _exchange(method, target, data, headers, deadline, link)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise KubeUnreachable(f"no answer from {link.access.url} ({_reason(error)})", where=where) from error
    if 200 <= response.status < 300:
        return body
    raise error_of(response.status, body, where=where, retry_after=response.headers.get("Retry-After"))


def _exchange(
    method: str, target: str, data: bytes | None, headers: dict[str, str], deadline: float, link: _Link
) -> tuple[urllib3.BaseHTTPResponse, bytes]:
    left = _left(deadline)
    response = link.pool.urlopen(
        method,
        link.prefix + target,
        body=data,
        headers=headers,
        timeout=urllib3.Timeout(connect=min(link.connect_timeout, left), read=left),
        retries=False,
        redirect=False,
        assert_same_host=False,
        preload_content=False,
    )
    try:
        pieces = []
        while True:
            left = _left(deadline)
            if sock := getattr(response.connection, "sock", None):
                sock.settimeout(left)
            piece = response.read1(1 << 20, decode_content=True)
            if not piece:
                break
            pieces.append(piece)
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return response, b"".join(pieces)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline passed")
    return left


def _reason(error: Exception) -> str:
    """The innermost cause, for people: urllib3 wraps the operating system's words several times."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    text = getattr(cause, "strerror", None) or ""
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def _target(path: str, query: dict[str, str | int]) -> str:
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path


def _event(
    event_name: str, namespace: str, kind: str, name: str, uid: str, type_: str, reason: str, message: str
) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    involved = {"kind": kind, "name": name, "uid": uid}
    if namespace:
        involved["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name, "namespace": namespace or "default"},
        "involvedObject": involved,
        "type": type_,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    }

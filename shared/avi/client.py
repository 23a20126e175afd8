"""The Avi Controller as the rest of the program sees it: a handful of calls that answer or raise a typed error.

Every error is one of `shared.errors` (see the table in `shared.avi.calls`). Nothing is retried here but what cannot do
harm: a call refused because the session had expired, and a GET on a connection that the controller had closed. In
particular no POST, PUT or DELETE is ever repeated after its answer got lost: AviUnreachable says with `sent` whether it
may have taken effect, and the caller looks the object up by name before it goes on.

`include_name` is asked for everywhere, so references in answers read `https://CTRL/api/pool/<uuid>#<name>`.
The tenant of a call is the given one, else that of the client; `"*"` reads over all tenants.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import orjson

from shared.avi.calls import Answer, Call, object_of, refusal
from shared.avi.references import parse
from shared.avi.session import AviSession, OnCall
from shared.avi.transport import parse_endpoint
from shared.errors import AviRefused, AviStale, AviUnreachable
from shared.settings.model import Credentials

DEFAULT_VERSION = "30.2.1"
ALL_TENANTS = "*"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and when its request was about to be sent (`time.time()`)."""

    objects: list[dict[str, Any]]
    requested_at: float


class AviClient:
    """Calls to one controller. Any number of threads may share it; see `AviSession` for what they share."""

    def __init__(
        self,
        host: str,
        credentials: Credentials,
        *,
        version: str = DEFAULT_VERSION,
        tenant: str = "admin",
        connect_timeout: float = 3.0,
        read_timeout: float = 60.0,
        scheme: str = "https",
        max_in_flight: int = 16,
        ipv6: bool = False,
        on_call: OnCall | None = None,
    ) -> None:
        """`host` is a name or address with or without port, or a URL (`http://…` is for development only).

        `read_timeout` is the time for a whole answer. Without `ipv6` (the feature gate IPv6Controller) only IPv4
        addresses are connected to. Nothing is sent yet. Raises SettingsError.
        """
        self.tenant = tenant
        self._session = AviSession(
            parse_endpoint(host, scheme),
            credentials,
            version=version or DEFAULT_VERSION,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            max_in_flight=max_in_flight,
            ipv6=ipv6,
            on_call=on_call,
        )

    def get(self, type: str, uuid: str, *, tenant: str | None = None) -> dict[str, Any]:  # noqa: A002
        """The object. Raises AviNotFound and other AviErrors."""
        return self._object("GET", type, uuid, uuid, None, tenant)

    def create(self, type: str, body: dict[str, Any], *, tenant: str | None = None) -> dict[str, Any]:  # noqa: A002
        """POST: the object as it stands now. Raises AviConflict when the name is taken, and other AviErrors."""
        return self._object("POST", type, None, str(body.get("name", "")), body, tenant)

    def update(
        self,
        type: str,  # noqa: A002
        uuid: str,
        body: dict[str, Any],
        *,
        tenant: str | None = None,
    ) -> dict[str, Any]:
        """PUT: the object as it stands now. With an outdated `_last_modified` in the body raises AviStale."""
        return self._object("PUT", type, uuid, str(body.get("name", uuid)), body, tenant)

    def delete(self, type: str, uuid: str, *, tenant: str | None = None) -> None:  # noqa: A002
        """Raises AviNotFound when it is gone already, AviReferenced when others refer to it, and other AviErrors."""
        self._send(self._call("DELETE", type, uuid, uuid, None, tenant))

    def find(
        self,
        type: str,  # noqa: A002
        name: str,
        *,
        tenant: str | None = None,
        cloud: str | None = None,
    ) -> dict[str, Any] | None:
        """The object of exactly that name in that tenant (and cloud, by name), None when there is none.

        What a controller shows of other tenants is left out, so an object shared from `admin` is found in `admin`
        or `*`. Raises AviError; in particular a list that is refused or cannot be read is never None.
        """
        filters = {"name": name} | ({"cloud_ref.name": cloud} if cloud else {})
        wanted = self.tenant if tenant is None else tenant
        for page in self._pages(type, wanted, filters, 100):
            for found in page.objects:
                if found.get("name") == name and _in(found, "cloud_ref", cloud) and _in(found, "tenant_ref", wanted):
                    return found
        return None

    def pages(
        self,
        type: str,  # noqa: A002
        *,
        tenant: str | None = ALL_TENANTS,
        page_size: int = 100,
        **filters: str,
    ) -> Iterator[Page]:
        """All objects that pass the filters (`created_by="ako-x"`, `**{"cloud_ref.name": "C"}`), page by page.

        A page that fails raises, so what was yielded before is not the whole list; AviStale when the list shrank so
        much meanwhile that a page is gone. Pages are counted by offset: what others create or delete while we read
        can make an object come twice or be skipped, so "not seen" is never "not there".
        """
        return self._pages(type, self.tenant if tenant is None else tenant, filters, page_size)

    def read(self, path: str, *, tenant: str | None = None, **params: str) -> dict[str, Any]:
        """Any other JSON object: `read("cluster/runtime")` is `GET /api/cluster/runtime`. Raises AviErrors."""
        path = path.removeprefix("/api/").strip("/")
        query = f"?{urlencode(params, quote_via=quote)}" if params else ""
        kind, _, rest = path.partition("/")
        call = Call("GET", kind, rest, f"/api/{path}{query}", self.tenant if tenant is None else tenant, one=True)
        return self._answer(call)

    def close(self) -> None:
        """Close every connection. Later calls raise AviUnreachable."""
        self._session.close()

    def _pages(self, kind: str, tenant: str, filters: dict[str, str], page_size: int) -> Iterator[Page]:
        query = {"include_name": "true", **filters, "page_size": str(page_size)}
        number: int | None = 1
        while number is not None:
            if number > 1:
                query["page"] = str(number)
            path = f"/api/{kind}?{urlencode(query, quote_via=quote)}"
            call = Call("GET", kind, filters.get("name", ""), path, tenant)
            requested_at = time.time()
            try:
                body = self._answer(call)
            except AviRefused as error:
                if error.status != 404 or number == 1:
                    raise
                raise AviStale("the list shrank while it was read", status=404, where=str(call)) from None
            objects, number = _results(call, body), _next_page(call, body, number)
            yield Page(objects, requested_at)

    def _object(
        self, method: str, kind: str, uuid: str | None, name: str, body: dict[str, Any] | None, tenant: str | None
    ) -> dict[str, Any]:
        return self._answer(self._call(method, kind, uuid, name, body, tenant))

    def _call(
        self, method: str, kind: str, uuid: str | None, name: str, body: dict[str, Any] | None, tenant: str | None
    ) -> Call:
        if uuid == "":  # would mean the whole collection
            raise AviRefused("an object without uuid", where=f"{method} {kind} {name!r}")
        path = f"/api/{kind}" if uuid is None else f"/api/{kind}/{quote(uuid, safe='')}"
        if method != "DELETE":
            path += "?include_name=true"
        tenant = self.tenant if tenant is None else tenant
        try:
            data = None if body is None else orjson.dumps(body)
        except orjson.JSONEncodeError as error:
            raise AviRefused(f"the body is no JSON: {error}", where=f"{method} {kind} {name!r}") from None
        return Call(method, kind, name, path, tenant, data, one=uuid is not None)

    def _answer(self, call: Call) -> dict[str, Any]:
        return object_of(call, self._send(call))

    def _send(self, call: Call) -> Answer:
        answer = self._session.send(call)
        if not 200 <= answer.status < 300:
            raise refusal(call, answer, self._session.secrets())
        return answer


def _in(body: dict[str, Any], field: str, name: str | None) -> bool:
    """Whether the reference in that field means an object of that name, as far as it can be told."""
    text = body.get(field)
    reference = parse(text) if isinstance(text, str) and name not in {None, ALL_TENANTS} else None
    return reference is None or reference.name is None or reference.name == name


def _results(call: Call, body: dict[str, Any]) -> list[dict[str, Any]]:
    results = body.get("results")
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise AviUnreachable("the answer is not a list of objects", sent=True, where=str(call))
    return results


def _next_page(call: Call, body: dict[str, Any], number: int) -> int | None:
    """The number of the page after this one, by the answer's `next`; its host and path may be some inner ones."""
    following = body.get("next")
    if not following:
        return None
    text = parse_qs(urlsplit(str(following)).query).get("page", [""])[0]
    if text != str(number + 1):
        raise AviUnreachable(f"after page {number} the answer points at page {text!r}", sent=True, where=str(call))
    return number + 1

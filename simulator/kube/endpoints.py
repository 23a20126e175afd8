"""What each verb answers over HTTP, for all resources alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from simulator.kube import protobuf
from simulator.kube.errors import ApiError, bad_request
from simulator.kube.metadata import parsed
from simulator.kube.reads import Listing, Reader, check_not_ahead, list_body, raw_of
from simulator.kube.removal import Remover
from simulator.kube.routes import truthy
from simulator.kube.selectors import compiled
from simulator.kube.store import Record, Store
from simulator.kube.tables import Tables
from simulator.kube.watch import Hub, Watch
from simulator.kube.writes import Options, Target, Writer
from simulator.server import Answer, Request, Response, StreamResponse, json_response


class Endpoints:
    """The verbs."""

    def __init__(self, reader: Reader, writer: Writer, remover: Remover, hub: Hub, store: Store) -> None:
        self._reader, self._writer, self._remover, self._hub, self._store = reader, writer, remover, hub, store
        self._verbs: dict[str, Callable[[Target, Request], Answer]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def handle(self, verb: str, target: Target, request: Request) -> Answer:
        """Answers a call. Raises ApiError."""
        return self._verbs[verb](target, request)

    def _get(self, target: Target, request: Request) -> Response:
        return self._one(target, request, self._reader.get(target))

    def _list(self, target: Target, request: Request) -> Response:
        listing = self._reader.page(target, request)
        if wants_table(request):
            tables = Tables(request.first("includeObject"))
            return json_response(tables.table(target.resource, listing.records, listing.metadata))
        return Response(200, list_body(target.resource, listing))

    def _watch(self, target: Target, request: Request) -> StreamResponse:
        if truthy(request, "sendInitialEvents"):
            raise ApiError(422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
        text, seconds = request.first("resourceVersion"), request.first("timeoutSeconds") or "0"
        if not (text or "0").isdigit() or not seconds.isdigit():
            raise bad_request("resourceVersion and timeoutSeconds must be numbers")
        version = int(text or 0)
        check_not_ahead(version, self._store)
        test = compiled(target.resource, request.first("labelSelector"), request.first("fieldSelector"))
        tables = Tables(request.first("includeObject")) if wants_table(request) else None
        watch = Watch(target.resource, target.namespace, test, request.path, tables)
        bookmarks = truthy(request, "allowWatchBookmarks")
        return StreamResponse(self._hub.stream(watch, version or None, seconds=float(seconds), bookmarks=bookmarks))

    def _create(self, target: Target, request: Request) -> Response:
        record = self._writer.create(target, body_of(request), _options(request))
        return self._one(target, request, record, 201)

    def _update(self, target: Target, request: Request) -> Response:
        return self._one(target, request, self._writer.replace(target, body_of(request), _options(request)))

    def _patch(self, target: Target, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        record, created = self._writer.patch(target, kind, request.body, _options(request))
        return self._one(target, request, record, 201 if created else 200)

    def _delete(self, target: Target, request: Request) -> Response:
        options = parsed(request.body, orjson.loads) if request.body else {}
        options = options if isinstance(options, dict) else {}
        resource = target.resource
        record, gone = self._remover.delete(
            resource,
            target.namespace or "",
            target.name,
            options.get("preconditions"),
            dry_run=_options(request).dry_run or options.get("dryRun") == ["All"],
        )
        if not gone or resource.returns_deleted:
            return self._one(target, request, record)
        details = {"name": target.name, "kind": resource.plural, "uid": record.obj["metadata"]["uid"]}
        if resource.group:
            details["group"] = resource.group
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return json_response(status)

    def _delete_collection(self, target: Target, request: Request) -> Response:
        listing = self._reader.page(target, request)
        records = []
        for record in listing.records:
            metadata = record.obj["metadata"]
            options = _options(request)
            last, _ = self._remover.delete(
                target.resource, metadata.get("namespace", ""), metadata["name"], dry_run=options.dry_run
            )
            records.append(last)
        return Response(200, list_body(target.resource, Listing(records, listing.metadata)))

    def _one(self, target: Target, request: Request, record: Record, status: int = 200) -> Response:
        if wants_table(request):
            tables = Tables(request.first("includeObject"))
            version = record.obj["metadata"].get("resourceVersion", "")
            return json_response(tables.table(target.resource, [record], {"resourceVersion": version}), status)
        return Response(status, raw_of(target.resource, record))


def wants_table(request: Request) -> bool:
    """Whether the client takes a Table before anything else."""
    return "as=Table" in request.headers.get("accept", "").partition(",")[0]


def body_of(request: Request) -> Any:
    """What the client sent. Raises ApiError 400 or 415."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind == protobuf.CONTENT_TYPE:
        return protobuf.decoded(request.body)
    if kind not in {"application/json", ""}:
        raise ApiError(415, f"the body of the request was in an unknown format ({kind}) - accepted media types "
                       "include: application/json")  # fmt: skip
    return parsed(request.body, orjson.loads)


def _options(request: Request) -> Options:
    dry_run = request.first("dryRun")
    if dry_run not in {"", "All"}:
        raise bad_request(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
    return Options(dry_run=dry_run == "All", manager=request.first("fieldManager"), force=truthy(request, "force"))

"""A folder of Kubernetes manifests, applied through the API server and followed while people edit it.

A change is a JSON merge patch of what the file said before and what it says now: what was taken out of the file goes,
and what others wrote into the object (a status, an annotation of ours) stays. The state of a Node, which has a
subresource of its own, is patched there too. Collections are found through the API server's own discovery, so any kind
that it serves can be used. Deletions come last and in reverse order of the files.

A file that cannot be read changes nothing at all: half a file must never look like a deletion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.errors import AkoError, KubeConflict, KubeError, KubeNotFound
from shared.kube import KubeClient

Fingerprint = tuple[tuple[str, int, int], ...]
_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """What a manifest is about; two manifests of one folder have never the same."""

    api: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


Manifests = dict[Ref, dict[str, Any]]


def read_folder(folder: Path) -> Manifests:
    """Every object of the folder's files, in the order of files and documents. Raises AkoError naming file and line."""
    found: Manifests = {}
    files = _files(folder)
    if not files:
        raise AkoError("no manifests (*.yaml) here", where=str(folder))
    for path in files:
        for number, body in enumerate(_documents(path), 1):
            ref = _ref_of(body, f"{path}, document {number}")
            if ref in found:
                raise AkoError(f"{ref} stands in two documents", where=str(path))
            found[ref] = body
    return found


def fingerprint(folder: Path) -> Fingerprint:
    """Changes when any file of the folder does: names, sizes and times of modification."""
    seen = []
    for path in _files(folder):
        try:
            stat = path.stat()
        except FileNotFoundError:  # an editor is replacing it right now
            continue
        seen.append((path.name, stat.st_size, stat.st_mtime_ns))
    return tuple(seen)


class Applier:
    """Keeps the API server in step with manifests; remembers what it applied."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._applied: Manifests = {}
        self._collections: dict[tuple[str, str], tuple[str, bool]] = {}

    def apply(self, wanted: Manifests) -> tuple[list[str], list[str]]:
        """Creates, changes and deletes what differs from the last call; returns (what was done, what failed).

        What failed is tried again by the next call. Raises KubeUnreachable and KubeAuthError at once.
        """
        done: list[str] = []
        failed: list[str] = []
        for ref, body in wanted.items():
            self._attempt(ref, body, done, failed)
        for ref in [ref for ref in reversed(self._applied) if ref not in wanted]:
            self._attempt(ref, None, done, failed)
        return done, failed

    def _attempt(self, ref: Ref, body: dict[str, Any] | None, done: list[str], failed: list[str]) -> None:
        before = self._applied.get(ref)
        if before == body:
            return
        try:
            if body is None:
                self._delete(ref)
                del self._applied[ref]
                done.append(f"deleted {ref}")
                return
            done.append(f"{self._write(ref, before, body)} {ref}")
            self._applied[ref] = body
        except KubeError as error:
            if error.status in {0, 401}:
                raise
            failed.append(f"{ref}: {error}")

    def _write(self, ref: Ref, before: dict[str, Any] | None, body: dict[str, Any]) -> str:
        collection = self._collection(ref)
        path = f"{collection}/{ref.name}"
        if before is None:
            try:
                self._kube.create(collection, body)
            except KubeConflict:
                before = {}
            else:
                return "created"
        patch = merge_patch(before, body)
        status = patch.pop("status", None)
        if patch:
            self._patch(path, collection, patch, body)
        if status is not None:
            self._kube.patch(f"{path}/status", {"status": status})
        return "changed"

    def _patch(self, path: str, collection: str, patch: dict[str, Any], body: dict[str, Any]) -> None:
        try:
            self._kube.patch(path, patch)
        except KubeNotFound:  # somebody deleted it; the file says that it should be there
            self._kube.create(collection, body)

    def _delete(self, ref: Ref) -> None:
        try:
            self._kube.delete(f"{self._collection(ref)}/{ref.name}")
        except KubeNotFound:
            return

    def _collection(self, ref: Ref) -> str:
        resource, namespaced = self._resource(ref)
        root = f"/apis/{ref.api}" if "/" in ref.api else f"/api/{ref.api}"
        space = f"/namespaces/{ref.namespace or 'default'}" if namespaced else ""
        return f"{root}{space}/{resource}"

    def _resource(self, ref: Ref) -> tuple[str, bool]:
        key = (ref.api, ref.kind)
        if key not in self._collections:
            root = f"/apis/{ref.api}" if "/" in ref.api else f"/api/{ref.api}"
            for row in self._kube.get(root).get("resources") or ():
                if "/" not in row["name"]:
                    self._collections[ref.api, row["kind"]] = (row["name"], bool(row["namespaced"]))
        try:
            return self._collections[key]
        except KeyError:
            raise KubeNotFound(f"the cluster serves no {ref.kind} of {ref.api}", status=404) from None


def merge_patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from `before` to `after`: null removes, lists are replaced as a whole."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            below = merge_patch(known, value)
            if below:
                patch[key] = below
        elif key not in before or known != value:
            patch[key] = value
    return patch


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.suffix in _SUFFIXES and not path.name.startswith((".", "#"))
        )
    except OSError as error:
        raise AkoError(f"cannot be read ({error.strerror})", where=str(folder)) from None


def _documents(path: Path) -> Iterator[Any]:
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise AkoError(f"cannot be read ({type(error).__name__})", where=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        # Only the parser's own words: the text around it may be part of a Secret.
        raise AkoError(f"not YAML: {getattr(error, 'problem', None) or 'unreadable'}", where=place) from None
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
            yield from document["items"] or ()
        elif document is not None:
            yield document


def _ref_of(body: Any, where: str) -> Ref:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict):
        raise AkoError("not a Kubernetes object", where=where, expected="apiVersion, kind and metadata")
    values = [body.get("apiVersion"), body.get("kind"), metadata.get("namespace", ""), metadata.get("name")]
    if not all(isinstance(value, str) for value in values) or not (values[0] and values[1] and values[3]):
        raise AkoError("not a Kubernetes object", where=where, expected="apiVersion, kind and metadata.name")
    return Ref(*(str(value) for value in values))

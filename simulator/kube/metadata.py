"""The metadata that is the server's: names, uid, times, generation; and what a client may not change."""

from __future__ import annotations

import datetime
import random
import re
import uuid
from typing import Any

from simulator.kube.errors import ApiError, bad_request, conflict, invalid, refused, required
from simulator.kube.resources import Obj, Resource

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_SERVICE = re.compile(r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_TEXT = "must consist of lower case alphanumeric characters"
_ENDS = "and must start and end with an alphanumeric character"
_PATTERNS = {
    "services": (_SERVICE, f"a DNS-1035 label {_TEXT} or '-', and must start with an alphabetic character"),
    "namespaces": (_LABEL, f"a lowercase RFC 1123 label {_TEXT} or '-', {_ENDS}"),
}
_OTHERS = (_SUBDOMAIN, f"a lowercase RFC 1123 subdomain {_TEXT}, '-' or '.', {_ENDS}")
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")


def now() -> str:
    """The time as metadata carries it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def identify(resource: Resource, body: Any) -> Obj:
    """`body` as an object of this resource. Raises ApiError 400 when it is something else."""
    if not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized (must be an object)")
    for name, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        given = body.get(name)
        if given and given != wanted:
            what = "API version" if name == "apiVersion" else "kind"
            raise bad_request(f"the {what} in the data ({given}) does not match the expected {what} ({wanted})")
    if not isinstance(body.get("metadata") or {}, dict):
        raise bad_request("metadata: an object is expected")
    rest = {name: value for name, value in body.items() if name not in {"apiVersion", "kind", "metadata"}}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": body.get("metadata") or {}, **rest}


def place(resource: Resource, obj: Obj, namespace: str) -> None:
    """Puts the object into the namespace of the path. Raises ApiError 400 when it names another one."""
    metadata = obj["metadata"]
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.get("namespace") or namespace
    if given != namespace:
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request ({namespace})"
        )
    metadata["namespace"] = namespace


def born(resource: Resource, obj: Obj) -> str:
    """Fills in a new object's metadata; returns its name. Raises ApiError 422 for a bad one."""
    metadata = obj["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        suffix = "".join(random.choices(_SUFFIX, k=5))  # noqa: S311 - a name, not a secret
        metadata["name"] = metadata["generateName"][:58] + suffix
    name = metadata.get("name") or ""
    pattern, text = _PATTERNS.get(resource.key, _OTHERS)
    if not name:
        raise refused(resource, "", [required("metadata.name", "name or generateName is required")])
    if not pattern.match(name):
        raise refused(resource, name, [invalid("metadata.name", name, text)])
    for field in ("resourceVersion", "managedFields", *_OWNED):
        metadata.pop(field, None)
    metadata["uid"] = str(uuid.UUID(int=random.getrandbits(128), version=4))
    metadata["creationTimestamp"] = now()
    if resource.generation:
        metadata["generation"] = 1
    return str(name)


def inherit(resource: Resource, obj: Obj, old: Obj) -> None:
    """Gives a changed object what it cannot change. Raises ApiError 400, 409 (versions, uid) or 422."""
    metadata, before = obj["metadata"], old["metadata"]
    name = before["name"]
    if metadata.setdefault("name", name) != name:
        raise bad_request(f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    uid = metadata.get("uid")
    if uid and uid != before["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}"
        raise conflict(resource, name, text)
    version = metadata.get("resourceVersion")
    if version and version != before["resourceVersion"]:
        raise conflict(resource, name)
    if not version and not resource.unconditional:
        text = "must be specified for an update"
        raise refused(resource, name, [invalid("metadata.resourceVersion", 0, text)])
    metadata.pop("managedFields", None)
    for field in _OWNED:
        if field in before:
            metadata[field] = before[field]
        else:
            metadata.pop(field, None)
    metadata["resourceVersion"] = before["resourceVersion"]


def counted(resource: Resource, obj: Obj, old: Obj) -> None:
    """Raises the generation when more than metadata and status has changed."""
    if not resource.generation:
        return
    outside = {"metadata", "status", "apiVersion"}
    names = (obj.keys() | old.keys()) - outside
    if any(obj.get(name) != old.get(name) for name in names):
        obj["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1


def check_preconditions(resource: Resource, old: Obj, preconditions: Any) -> None:
    """Raises ApiError 409 when a deletion was meant for another object or state."""
    if not isinstance(preconditions, dict):
        return
    metadata = old["metadata"]
    for field, label in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted = preconditions.get(field)
        if wanted and wanted != metadata[field]:
            text = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {metadata[field]}"
            raise conflict(resource, metadata["name"], text)


def parsed(body: bytes, load: Any) -> Any:
    """The body through a decoder; raises ApiError 400 when it cannot be read."""
    try:
        return load(body)
    except ValueError:
        raise ApiError(400, "the object provided is unrecognized: the body is not what its content type says") from None

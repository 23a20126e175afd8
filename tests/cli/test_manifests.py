"""Manifests: read whole or not at all, and turned into the smallest change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cli.manifests import fingerprint, merge_patch, read_folder
from cli.stack import EXAMPLE
from shared.errors import AkoError

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: red}\nspec: {type: ClusterIP}\n"


@pytest.mark.parametrize(
    ("name", "before", "after", "patch"),
    [
        ("nothing changed", {"a": {"b": 1}}, {"a": {"b": 1}}, {}),
        ("a value changed", {"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, {"a": {"b": 3}}),
        ("a key came", {"a": {}}, {"a": {"b": None}}, {"a": {"b": None}}),
        ("a key went", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, {"a": {"b": None}}),
        ("a list is one value", {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ("a mapping became a value", {"a": {"b": 1}}, {"a": 1}, {"a": 1}),
        ("everything is new", {}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_merge_patch(name: str, before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]) -> None:
    """The patch names what differs and nothing else; what is gone is null."""
    assert merge_patch(before, after) == patch, name


def test_the_example_is_read_in_the_order_of_its_files() -> None:
    """Every document of the example is found, namespaces first, so that it can be applied from the top."""
    refs = list(read_folder(EXAMPLE / "manifests"))
    assert [ref.kind for ref in refs[:4]] == ["Namespace", "Namespace", "Namespace", "IngressClass"]
    assert {ref.kind for ref in refs} >= {"Node", "BlockAffinity", "Service", "EndpointSlice", "Secret", "Ingress"}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("no YAML", "a: [1\n", r"a\.yaml, line 2: not YAML"),
        ("a list", "- 1\n", r"a\.yaml, document 1: not a Kubernetes object"),
        ("no name", "apiVersion: v1\nkind: Service\nmetadata: {}\n", r"document 1: not a Kubernetes object"),
        ("no kind", "apiVersion: v1\nmetadata: {name: x}\n", r"document 1: not a Kubernetes object"),
        ("name is a number", "apiVersion: v1\nkind: Service\nmetadata: {name: 1}\n", r"not a Kubernetes object"),
        ("twice", f"{SERVICE}---\n{SERVICE}", r"Service red/web stands in two documents"),
        ("not text", b"\xff\xfe\x00", r"a\.yaml: cannot be read"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str | bytes, complaint: str) -> None:
    """A folder with one unusable file gives nothing but a sentence that says where and what."""
    (tmp_path / "a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "b.yaml").write_text(SERVICE.replace("web", "other"))
    with pytest.raises(AkoError, match=complaint):
        read_folder(tmp_path)


def test_a_folder_without_manifests_is_refused(tmp_path: Path) -> None:
    """An empty or missing folder is a mistake, not a wish to delete everything."""
    with pytest.raises(AkoError, match="no manifests"):
        read_folder(tmp_path)
    with pytest.raises(AkoError, match="cannot be read"):
        read_folder(tmp_path / "missing")


def test_lists_and_empty_documents_are_understood(tmp_path: Path) -> None:
    """`kind: List` counts as its items, empty documents count as nothing, editors' own files are not read."""
    item = "{apiVersion: v1, kind: Namespace, metadata: {name: red}}"
    (tmp_path / "a.yaml").write_text(f"---\n---\napiVersion: v1\nkind: List\nitems:\n- {item}\n")
    (tmp_path / ".a.yaml.swp").write_text("[")
    (tmp_path / ".#b.yaml").write_text("[")
    assert [str(ref) for ref in read_folder(tmp_path)] == ["Namespace red"]


def test_the_fingerprint_changes_with_every_edit(tmp_path: Path) -> None:
    """Content of another length, another time, a new file and a removed file are all noticed."""
    path = tmp_path / "a.yaml"
    path.write_text(SERVICE)
    seen = [fingerprint(tmp_path)]
    os.utime(path, ns=(1, 1))
    seen.append(fingerprint(tmp_path))
    path.write_text(SERVICE + "\n")
    seen.append(fingerprint(tmp_path))
    (tmp_path / "b.yaml").write_text("")
    seen.append(fingerprint(tmp_path))
    path.unlink()
    seen.append(fingerprint(tmp_path))
    assert len(set(seen)) == 5

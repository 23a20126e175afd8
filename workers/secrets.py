"""Reads the two halves of a certificate from Kubernetes at the moment they are written, and keeps neither."""

from __future__ import annotations

import base64
import binascii

from shared.errors import AkoError, KubeNotFound
from shared.kube import KubeClient
from workers.model.types import SecretRef


class SecretReader:
    """Fetches Secrets. A missing one is an error to try again after, never "no certificate"."""

    def __init__(self, kube: KubeClient) -> None:
        self.kube = kube

    def read(self, ref: SecretRef) -> tuple[str, str]:
        """(certificate, key) as PEM texts. Raises KubeError or AkoError; no message carries any of the content."""
        where = f"Secret {ref.namespace}/{ref.name}"
        try:
            secret = self.kube.get(f"/api/v1/namespaces/{ref.namespace}/secrets/{ref.name}")
        except KubeNotFound:
            raise AkoError("the Secret is gone while its certificate is being written", where=where) from None
        data = secret.get("data") or {}
        try:
            certificate, key = (base64.b64decode(data[name], validate=True).decode() for name in (ref.crt, ref.key))
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise AkoError(
                f"{ref.crt} or {ref.key} is missing or is not base64 text",
                where=where,
                action="Create the Secret again from a PEM certificate and its key",
            ) from None
        return certificate, key

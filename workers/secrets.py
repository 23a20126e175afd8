"""Reads the two halves of a certificate from Kubernetes at the moment they are written, and keeps neither.

The Secret may be another one by then than the one that the run decided on, so it is held against that and looked at
again: what does not fit is an error to try again after, and never reaches the controller.
"""

from __future__ import annotations

import base64
import binascii

from shared.certificates import explain, look
from shared.errors import AkoError, KubeNotFound
from shared.kube import KubeClient
from workers.model.types import SecretRef


class SecretReader:
    """Fetches Secrets. A missing one is an error to try again after, never "no certificate"."""

    def __init__(self, kube: KubeClient) -> None:
        self.kube = kube

    def read(self, ref: SecretRef, digest: str) -> tuple[str, str]:
        """(certificate, key) as PEM texts, the certificate being the one with this digest and the key its own.

        Raises KubeError or AkoError; no message carries any of the content.
        """
        where = f"Secret {ref.namespace}/{ref.name}"
        try:
            secret = self.kube.get(f"/api/v1/namespaces/{ref.namespace}/secrets/{ref.name}")
        except KubeNotFound:
            raise AkoError("the Secret is gone while its certificate is being written", where=where) from None
        data = secret.get("data") or {}
        try:
            certificate, key = (base64.b64decode(data[name], validate=True) for name in (ref.crt, ref.key))
        except (KeyError, TypeError, binascii.Error):
            raise AkoError(
                f"{ref.crt} or {ref.key} is missing or is not base64",
                where=where,
                action="Create the Secret again from a PEM certificate and its key",
            ) from None
        found = look(certificate, key)
        if found["fault"]:
            raise AkoError(explain(found["fault"], ref.crt, ref.key), where=where)
        if found["digest"] != digest:
            raise AkoError(f"{ref.crt} changed while it was being written; the next run has the new one", where=where)
        return certificate.decode(), key.decode()

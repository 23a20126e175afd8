"""Kubernetes REST access for the watcher and the workers: raw JSON, typed errors, a deadline on every call.

The official client decodes every object into models (eight times the CPU of raw JSON), costs a second and 40 MB to
import, and its watch neither notices a dead connection nor backs off. What is needed of it is small: `config` finds the
API server and the credentials, `client` does the ordinary calls and lists, `stream` follows a watch. The official
package is imported only where a kubeconfig needs a plugin to get its credentials.
"""

from shared.kube.client import KubeClient, ListPage
from shared.kube.config import Access
from shared.kube.stream import WatchStream

__all__ = ["Access", "KubeClient", "ListPage", "WatchStream"]

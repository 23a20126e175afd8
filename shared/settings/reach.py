"""Which addresses the API server has, and what the support matrix says to that.

This is asked before anything is listed, since without its gate an API server at IPv6 addresses alone can't be reached.
A literal answers at once; for a name the system's resolver is asked, for a few seconds at most.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.dialing import families
from shared.settings.matrix import Known, refusals
from shared.settings.model import Settings

API_SERVER_GATE = "IPv6KubernetesAPI"
CONTROLLER_GATE = "IPv6Controller"


def api_server(url: str) -> Known:
    """What is known of the API server at this URL. Raises OSError when its name can't be resolved now."""
    host = urlsplit(url).hostname or ""
    return Known(api_host=host, api_families=families(host))


def refuse_api_server(url: str, settings: Settings) -> list[tuple[str, str]]:
    """(path, message) of what the matrix refuses about the API server at this URL.

    Raises OSError when its name can't be resolved now: that is neither a refusal nor a pass.
    """
    return refusals("contact", settings, api_server(url))

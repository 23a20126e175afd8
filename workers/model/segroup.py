"""The cluster's label on the Service Engine group.

It says that the static routes of this cluster serve the group's engines, so it is ours to write only where static
routes are, by whichever instance. Whether a group that bears another cluster's label may be used is decided where the
group is read.
"""

from __future__ import annotations

from shared.settings.model import Settings
from workers.model.routes import routes_off
from workers.model.types import Desired, Facts, SharedPart


def desired_segroup(settings: Settings, facts: Facts) -> Desired:  # noqa: ARG001 - the same shape as the others
    """Our label in the configured SE group, gone with `deleteConfig`; nothing where static routes are not ours."""
    if routes_off(settings):
        return Desired()
    label = {"key": "clustername", "value": settings.cluster_name}
    labels = () if settings.delete_config else (label,)
    tenant, group = settings.controller.tenant, settings.controller.se_group
    return Desired(shared=(SharedPart("serviceenginegroup", tenant, group, "labels", labels),))

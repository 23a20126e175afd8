"""How much may go at once before it is asked twice: the one number behind every guard against mass deletion.

Where knowledge enters (a list of the cluster, a census of the controller, new settings) an error looks like many things
gone at once. What exceeds this is held until the same is said again a minute later; see `watcher.reflector` for lists
and `workers.guard` for censuses and settings.
"""

from __future__ import annotations

CONFIRM_AFTER = 60.0  # seconds


def mass(missing: int, known: int) -> bool:
    """True when so much of the known is missing that it has to be said twice: a fifth, and six; or all of three."""
    return (missing > 5 and missing > 0.2 * known) or (known >= 3 and missing == known)

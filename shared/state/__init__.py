"""Redis: the work, the mirror and the ledger. Everything here can be rebuilt from Kubernetes and the controller."""

from shared.state.connection import State
from shared.state.ledger import Ledger, LedgerEntry, LedgerView
from shared.state.mirror import Epoch, Mirror
from shared.state.work import Claim, Work

__all__ = ["Claim", "Epoch", "Ledger", "LedgerEntry", "LedgerView", "Mirror", "State", "Work"]

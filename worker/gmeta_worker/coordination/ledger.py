"""The ledger under the name of its subject; it is defined where commits are, of which it is a part."""

from gmeta_worker.checkpoint.ledger import Ledger

__all__ = ["Ledger"]

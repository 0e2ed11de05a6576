"""Commits: what a job's state looks like on disk, how it gets there and how it is read back.

The coordinator checks commits but never loads one: names that need torch are only imported when they are used, so that
its process stays small and starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gmeta_worker.checkpoint.choose import best, delivered, newest_valid, require_newest
from gmeta_worker.checkpoint.commit import claim_attempt, publish
from gmeta_worker.checkpoint.fit import require_same_job, require_same_layout
from gmeta_worker.checkpoint.folders import CommitFolder, list_commits, next_attempt
from gmeta_worker.checkpoint.ledger import Ledger
from gmeta_worker.checkpoint.manifest import CommitManifest, FileEntry, Layout, Score, Table
from gmeta_worker.checkpoint.prune import prune
from gmeta_worker.checkpoint.reader import Commit, open_commit, verify

if TYPE_CHECKING:
    from gmeta_worker.checkpoint.load import LoadedCommit, load_commit, load_tensors
    from gmeta_worker.checkpoint.writer import CommitWriter

__all__ = [
    "Commit",
    "CommitFolder",
    "CommitManifest",
    "CommitWriter",
    "FileEntry",
    "Layout",
    "Ledger",
    "LoadedCommit",
    "Score",
    "Table",
    "best",
    "claim_attempt",
    "delivered",
    "list_commits",
    "load_commit",
    "load_tensors",
    "newest_valid",
    "next_attempt",
    "open_commit",
    "prune",
    "publish",
    "require_newest",
    "require_same_job",
    "require_same_layout",
    "verify",
]

_NEED_TORCH = {"CommitWriter": "writer", "LoadedCommit": "load", "load_commit": "load", "load_tensors": "load"}


def __getattr__(name: str) -> object:
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NEED_TORCH[name]}"), name)

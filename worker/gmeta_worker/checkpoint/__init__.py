"""Commits: what a job's state looks like on disk, how it gets there and how it is read back."""

from gmeta_worker.checkpoint.choose import best, newest_valid, require_newest
from gmeta_worker.checkpoint.commit import claim_attempt, publish
from gmeta_worker.checkpoint.fit import require_same_job, require_same_layout
from gmeta_worker.checkpoint.folders import CommitFolder, list_commits, next_attempt
from gmeta_worker.checkpoint.ledger import Ledger
from gmeta_worker.checkpoint.manifest import CommitManifest, FileEntry, Layout, Score, Table
from gmeta_worker.checkpoint.prune import prune
from gmeta_worker.checkpoint.reader import Commit, LoadedCommit, load_commit, load_tensors, open_commit, verify
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

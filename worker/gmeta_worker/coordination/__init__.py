"""Membership, progress and commits of a job: the coordinator and the client that workers reach it through."""

from gmeta_worker.coordination.client import CoordinatorClient, FencedError
from gmeta_worker.coordination.messages import Evaluation, Finish, MetricRow, Progress, Round, ShardWritten
from gmeta_worker.coordination.status import Status

__all__ = [
    "CoordinatorClient",
    "Evaluation",
    "FencedError",
    "Finish",
    "MetricRow",
    "Progress",
    "Round",
    "ShardWritten",
    "Status",
]

"""The job's scalars for TensorBoard, written by the coordinator from the events that it keeps anyway."""

from gmeta_worker.tensorboard.log import follow_scalars

__all__ = ["follow_scalars"]

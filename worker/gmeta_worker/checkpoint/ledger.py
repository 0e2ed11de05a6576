"""The ledger: where a job stands in the global order of its data."""

from typing import Self

from pydantic import Field, NonNegativeInt

from gmeta_worker.checkpoint.record import Record


class Ledger(Record):
    """A cursor in the global order, and what was consumed up to it.

    It is part of every commit: what lies behind the cursor of the newest commit has been trained on exactly once,
    everything else has not been trained on at all.
    """

    epoch: NonNegativeInt = Field(default=0, description="Epochs completed.")
    step: NonNegativeInt = Field(default=0, description="Steps completed within the current epoch.")
    global_step: NonNegativeInt = Field(default=0, description="Steps completed since the job began.")
    samples: NonNegativeInt = Field(default=0, description="Rows consumed, support and query together.")
    tasks: NonNegativeInt = Field(default=0, description="Task batches consumed.")

    def advance(self, *, steps_per_epoch: int, tasks: int, samples: int) -> Self:
        """Return the ledger after one more step that consumed `tasks` task batches and `samples` rows."""
        epochs, step = divmod(self.step + 1, steps_per_epoch)
        return self.model_copy(
            update={
                "epoch": self.epoch + epochs,
                "step": step,
                "global_step": self.global_step + 1,
                "samples": self.samples + samples,
                "tasks": self.tasks + tasks,
            }
        )

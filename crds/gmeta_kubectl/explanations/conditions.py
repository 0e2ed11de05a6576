"""What the reasons of a job's conditions mean that are never the reason of its state."""

from collections.abc import Mapping

CONDITIONS: Mapping[str, str] = {
    "SpecValid": "The spec breaks no rule.",
    "NotSuspended": "The manifest does not ask for a suspension.",
    "NoPreparation": "The manifest has no `data.prepare`, so the dataset has to be there.",
    "Prepared": "The dataset has been made.",
    "PodsCreated": "Every pod of the attempt has been made once; one that is missing now was lost.",
    "Waiting": "The pods of the former attempt still leave: they commit first, and no two groups share a run folder.",
    "WaitingForDataset": "Coordinator and workers are made once the dataset is there.",
    "JobEnded": "The job has ended and needs no pods.",
    "Running": "All of these pods run.",
    "Missing": "A pod has yet to be made; the operator makes it in its next pass.",
    "Pending": "A pod has been made and has no container yet.",
    "Terminating": "A pod is being deleted; its place is filled once it has left, or its node is taken for lost.",
    "Failed": "A pod has failed; the state's reason says what it is taken for.",
}

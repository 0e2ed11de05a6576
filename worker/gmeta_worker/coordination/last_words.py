"""The status document of an ended attempt, small enough for a pod's termination message.

Whoever watches the job reads it from the pod's status, so that the end is not missed between two polls.
"""

import json

from gmeta_worker.coordination.status import Status

MAX_BYTES = 4096
"""Longest termination message that Kubernetes keeps."""
MAX_MESSAGE = 1024


def to_last_words(status: Status) -> str:
    """The document without members and warnings, its message cut; without the evaluation's rows if they do not fit."""
    document = status.model_dump(mode="json", exclude={"workers", "waiting", "warnings"})
    if document["finished"]:
        document["finished"]["message"] = document["finished"]["message"][:MAX_MESSAGE]
    text = json.dumps(document)
    if len(text) > MAX_BYTES and document["last_evaluation"]:
        del document["last_evaluation"]["rows"]
        text = json.dumps(document)
    return text

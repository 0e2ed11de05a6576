"""Why a job is Restarting or has Failed: the classes of failures, for people."""

from collections.abc import Mapping
from dataclasses import replace

from gmeta_api.failures import BY_EXIT_CODE, INFRASTRUCTURE
from gmeta_kubectl.explanations.entry import DESCRIBE_POD, LOGS, MANIFEST, STATUS, Explanation

CLASSES: Mapping[str, Explanation] = {
    "Internal": Explanation(
        "A process has ended with an error that it did not foresee: a defect of G-Meta, of your own class, or of the "
        "machine.",
        "Read the traceback in the pod's log. Where it is not of your own class, report it with that log.",
        LOGS,
    ),
    "BadCommand": Explanation(
        "The container cannot run the command that it was given: the image is not one of a G-Meta worker.",
        "Set workers.image to an image that is built from the worker's, with its version of G-Meta (docs/images.md).",
        LOGS,
    ),
    "InvalidManifest": Explanation(
        "A process has refused the manifest: the worker in the image cannot do what a field asks for.",
        "Correct the field that is named in a new job, or use an image of the version that the operator has.",
        LOGS,
    ),
    "BadData": Explanation(
        "The dataset or the source of it is missing, damaged, or not what the manifest says.",
        "Check spec.data.path on its volume and the columns that the message names. `gmeta inspect` prints what a "
        "dataset has. Then make a new job: spec.data cannot be changed.",
        LOGS,
    ),
    "BadModel": Explanation(
        "The model class cannot be imported, built or adapted.",
        "Correct spec.model.type, or put the class on PYTHONPATH in the image. Then make a new job: spec.model cannot "
        "be changed.",
        LOGS,
    ),
    "CheckpointLost": Explanation(
        "No commit can be written, or none that is needed can be read.",
        "Check that the volume of spec.checkpoint has room and is writable by user 10001, and that the object store "
        "answers.",
        LOGS,
    ),
    "CoordinationLost": Explanation(
        "A process could not reach the job's coordinator, or was refused as one of a former attempt.",
        "Once is harmless. Where it comes back, check that network policies and DNS let the job's pods reach the "
        "service of the coordinator.",
        "kubectl gmeta logs {job} -n {namespace} --coordinator --previous",
    ),
    "Diverged": Explanation(
        "The loss is not a finite number any more; starting again would only repeat it.",
        "Lower optimizer.*.rate or meta.inner.rate, or look at the data for values far off, and make a new job.",
        STATUS,
    ),
    "Interrupted": Explanation(
        "A pod was asked to end, has committed its progress and left: a drained node, a pod deleted by hand. It does "
        "not count against faultTolerance.backoffLimit.",
        "Nothing: a new pod goes on from that commit.",
        STATUS,
    ),
    "Killed": Explanation(
        "A process was ended by a signal: the kernel, the container runtime or a crash in native code.",
        "Look for what sent it: 137 is SIGKILL (often memory of the whole node), 139 a crash in native code.",
        LOGS,
    ),
    "Unknown": Explanation(
        "A process has ended with a code that is none of G-Meta's: your own class has ended it.",
        "Read the end of the pod's log.",
        LOGS,
    ),
    "OutOfMemory": Explanation(
        "A container has taken more memory than its limit.",
        "Raise the memory limit in workers.resources (coordinator.resources for the coordinator), or train with "
        "smaller steps: training.tasksPerStep, data.maxTaskRows. More workers hold fewer embedding rows each.",
        "kubectl gmeta plan {job} -n {namespace}",
    ),
    "CannotStart": Explanation(
        "The container runtime could not start the container.",
        "Read the node's own words; a wrong image, a missing device driver or a broken node are the usual causes.",
        DESCRIBE_POD,
    ),
    "Infrastructure": Explanation(
        "A pod was lost with its node, evicted or pre-empted. It does not count against faultTolerance.backoffLimit.",
        "Nothing: a new pod goes on from the last commit. Where it comes back, look at the node.",
        "kubectl get nodes",
    ),
}
"""By class, as in `gmeta_api.failures`; the advice is for what is done about the class without rules."""

_ACTIONS = {each.name: each.action for each in (*BY_EXIT_CODE.values(), INFRASTRUCTURE)}


def restarting() -> Mapping[str, Explanation]:
    """The classes of a job that starts again; some do so only by a rule."""
    rule = "A rule of faultTolerance.rules starts it again; that will hardly help."
    return {
        name: replace(entry, advice=f"{rule} {entry.advice}") if _ACTIONS.get(name) == "Fail" else entry
        for name, entry in CLASSES.items()
    }


def failed() -> Mapping[str, Explanation]:
    """The classes of a job that has ended; some do that only by a rule."""
    advice = (
        "A rule of faultTolerance.rules ends the job on this. Make a new job, without that rule if it should go on."
    )
    return {
        name: replace(entry, advice=advice) if _ACTIONS.get(name) == "RestartUncounted" else entry
        for name, entry in CLASSES.items()
    }


LIMIT = Explanation(
    "The job has failed more often than faultTolerance.backoffLimit allows.",
    "Remove the cause of the last failure, which the status has, and make a new job; raise the limit where such "
    "failures are to be expected.",
    MANIFEST,
)

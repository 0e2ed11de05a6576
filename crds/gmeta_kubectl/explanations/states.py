"""The states of a job and the reasons that belong to one state only."""

from collections.abc import Mapping

from gmeta_kubectl.explanations.entry import LOGS, PODS, STATUS, Explanation, State
from gmeta_kubectl.explanations.failures import LIMIT, failed, restarting
from gmeta_kubectl.explanations.waiting import KUBERNETES, OWN

STATES: Mapping[str, State] = {
    "Pending": State(
        "The job wants to run and cannot yet: pods are missing, or they do not run.",
        ("Unschedulable", "1", "0", "", "", "", "", "5m"),
        "Fewer workers than `spec.workers.replicas`, and pods in phase Pending.",
        "Look at the pods and their events; what they wait for is in Kubernetes' own words.",
    ),
    "Preparing": State(
        "The dataset is made from `data.prepare`; coordinator and workers come after it.",
        ("Preparing", "0", "0", "", "", "", "", "20s"),
        "No workers, and one pod `<job>-prepare-<n>` that runs.",
        "Follow the log of the preparation.",
    ),
    "Running": State(
        "All pods run. A job with `workers.minReplicas` also trains while some of them are missing; its state says "
        "then what those wait for.",
        ("Training", "2", "0", "450", "45", "5120.5", "0.7421", "8m"),
        "All workers, and a step that grows.",
        "Follow the progress.",
    ),
    "Restarting": State(
        "Something has failed and starts again by itself, from the newest commit; counted restarts wait first, each "
        "twice as long as the one before. No command is needed.",
        ("Killed", "1", "1", "450", "45", "5120.5", "0.7421", "8m"),
        "The class of the failure as the reason, the pod that has failed, and soon its successor.",
        "Read the last failure.",
    ),
    "Suspended": State(
        "`runPolicy.suspend` is set: the pods have committed and left, and nothing of the cluster is used but volumes.",
        ("SuspendRequested", "0", "0", "460", "46", "5120.5", "0.7421", "9m"),
        "No workers and no running pods; the step stays.",
        "Resume the job.",
    ),
    "Succeeded": State(
        "The job is complete. It makes nothing again; `runPolicy.cleanPodPolicy` says which pods are kept.",
        ("Completed", "0", "1", "1000", "100", "5120.5", "0.7521", "20m"),
        "Progress 100, or less after an early stop, and the last scores.",
        "Nothing.",
    ),
    "Failed": State(
        "The job has ended without success and is not tried again. What it has committed stays on its volume.",
        ("BadData", "0", "0", "", "", "", "", "1m"),
        "The cause as the reason; the failed pods are kept for their logs unless `runPolicy.cleanPodPolicy` is All.",
        "Read the last failure, remove its cause, and make a new job.",
    ),
}

RESUMABLE = Explanation(
    "Somebody has asked for the suspension; the job goes on from its last commit when it is resumed.",
    "Resume it when its pods may have their place again.",
    "kubectl gmeta resume {job} -n {namespace}",
)

EXPLANATIONS: Mapping[tuple[str, str], Explanation] = {
    **{("Pending", reason): entry for reason, entry in (*OWN.items(), *KUBERNETES.items())},
    ("Preparing", "Preparing"): Explanation(
        "The dataset is being made; it is made once, and kept for restarts and for other jobs of that path.",
        "Wait. Its log tells rows and seconds.",
        "kubectl gmeta logs {job} -n {namespace} --prepare -f",
    ),
    ("Running", "Training"): Explanation("The job trains.", "Nothing.", STATUS),
    ("Running", "Exporting"): Explanation(
        "Training is done, and rank 0 writes the export.",
        "Wait. It appears as a whole, never in part.",
        STATUS,
    ),
    **{("Restarting", name): entry for name, entry in restarting().items()},
    ("Suspended", "Suspending"): Explanation(
        "The processes finish their step, commit and leave; what they have done is kept.",
        "Wait; a pod that does not commit in time ends with its grace period.",
        PODS,
    ),
    ("Suspended", "Suspended"): RESUMABLE,
    ("Suspended", "SuspendRequested"): RESUMABLE,
    ("Succeeded", "Completed"): Explanation(
        "Training has come to its end, by its length or by an early stop.",
        "Open report.html in the folder spec.checkpoint.path of its volume.",
        STATUS,
    ),
    ("Failed", "BackoffLimitExceeded"): LIMIT,
    ("Failed", "DeadlineExceeded"): Explanation(
        "The job has run for longer than runPolicy.activeDeadlineSeconds allows. Its last commit is kept.",
        "Where it was only slow, make a new job with a longer deadline; else look at the speed in its report.",
        STATUS,
    ),
    ("Failed", "PreRunningDeadlineExceeded"): Explanation(
        "Not all pods have run within runPolicy.preRunningDeadlineSeconds.",
        "The message says what the first of them waited for. Give it room or a longer deadline in a new job.",
        "kubectl gmeta plan {job} -n {namespace}",
    ),
    **{("Failed", name): entry for name, entry in failed().items()},
}
"""By state and reason."""

FALLBACK_COMMAND = {"Pending": "kubectl describe pod {pod} -n {namespace}", "Failed": LOGS, "Restarting": LOGS}
"""The next command for a reason that is not in the table; else the page of the job."""

"""What an explanation consists of."""

from dataclasses import dataclass

DESCRIBE_POD = "kubectl describe pod {pod} -n {namespace}"
LOGS = "kubectl logs {pod} -n {namespace}"
MANIFEST = "kubectl get mtj {job} -n {namespace} -o yaml"
PLAN = "kubectl gmeta plan {job} -n {namespace}"
PODS = "kubectl get pods -n {namespace} -l gmeta.dev/job={job} -o wide"
STATUS = "kubectl gmeta status {job} -n {namespace}"


@dataclass(frozen=True)
class Explanation:
    """What a reason means to a person.

    Attributes:
        meaning: what the job waits for, does, or has ended with.
        advice: what to do.
        command: the next command; {job}, {pod} and {namespace} stand for names.
    """

    meaning: str
    advice: str
    command: str


@dataclass(frozen=True)
class State:
    """What a state means to a person.

    Attributes:
        meaning: what is so.
        row: what `kubectl get mtj` may show: reason, workers, restarts, step, progress, samples/s, AUC, age.
        seen: what else shows it.
        advice: what to do about a reason that the table does not know.
    """

    meaning: str
    row: tuple[str, str, str, str, str, str, str, str]
    seen: str
    advice: str

"""Why a job is Pending: a pod is missing or does not run."""

from collections.abc import Mapping

from gmeta_kubectl.explanations.entry import DESCRIBE_POD, MANIFEST, PLAN, PODS, Explanation

IMAGE = Explanation(
    "A node cannot get the image of a pod. It goes on trying, so nothing has to be started again.",
    "Check the name and tag of workers.image (or of workerImage in the chart's values), that the node reaches the "
    "registry, and that workers.imagePullSecrets names a secret of this namespace.",
    DESCRIBE_POD,
)
CONTAINER = Explanation(
    "The node has the image but cannot make the container of it.",
    "Read the node's own words: a volume, a runtime class or a security setting of workers.podTemplate does not suit "
    "the node.",
    DESCRIBE_POD,
)

OWN: Mapping[str, Explanation] = {
    "SpecInvalid": Explanation(
        "The manifest breaks a rule. The operator makes nothing for it; what already runs goes on as it was begun.",
        "Correct every field that is named and apply the manifest again. `gmeta validate job.yaml` finds the same "
        "problems without a cluster.",
        MANIFEST,
    ),
    "CreateFailed": Explanation(
        "The API server has refused to make a pod, or what pods share. The operator asks again, ever more slowly.",
        "Read the refusal: most often a ResourceQuota is used up, or an admission webhook or a Pod Security level does "
        "not allow the pod. The plan shows which quota has room for how many pods.",
        PLAN,
    ),
    "SchedulerNotInstalled": Explanation(
        "The scheduler that the manifest names does not run in this cluster, or its pod groups are unknown there.",
        "Install that scheduler, or make the job again with another scheduling.gang.scheduler or schedulerName.",
        "kubectl get crd podgroups.scheduling.volcano.sh podgroups.scheduling.x-k8s.io",
    ),
    "QueuedByKueue": Explanation(
        "Kueue has not admitted the job: its queue has no room for all of its pods at once.",
        "Wait, or look at the queue's quota; a job that asks for more than the whole quota is never admitted.",
        "kubectl get workloads,localqueues -n {namespace}",
    ),
    "Starting": Explanation(
        "The pods are made and start: nodes are chosen, images are pulled, the ranks find each other.",
        "Wait. Where it takes minutes, look what the pods wait for; a large image takes its time on a new node.",
        PODS,
    ),
}
"""Reasons of the operator's own."""

KUBERNETES: Mapping[str, Explanation] = {
    "Unschedulable": Explanation(
        "No node takes a pod: none has the CPU, memory or GPUs that are free, or none that has them may be used.",
        "Compare what the pods ask for with what the nodes have. Ask for less in workers.resources, scale down, free "
        "or add nodes, or correct workers.nodeSelector, workers.tolerations and the affinity in workers.podTemplate. "
        "A claim that is not bound holds its pod back too.",
        PLAN,
    ),
    "SchedulingGated": Explanation(
        "A scheduling gate holds the pods back: a queueing system such as Kueue has not admitted the job yet.",
        "Look at the job's workload and its queue; the pods start once it is admitted.",
        DESCRIBE_POD,
    ),
    "SchedulerError": Explanation(
        "The scheduler has failed to place a pod and tries again.",
        "Read the events of the pod; a claim, a storage class or a priority class that it names may not exist.",
        DESCRIBE_POD,
    ),
    "ImagePullBackOff": IMAGE,
    "ErrImagePull": IMAGE,
    "RegistryUnavailable": IMAGE,
    "ErrImageNeverPull": Explanation(
        "The image is not on the node, and imagePullPolicy is Never.",
        "Load the image on every node, or set workers.imagePullPolicy to IfNotPresent.",
        DESCRIBE_POD,
    ),
    "InvalidImageName": Explanation(
        "The name of the image cannot be read.",
        "Correct workers.image, which is REGISTRY/NAME:TAG in lower case.",
        MANIFEST,
    ),
    "ImageInspectError": IMAGE,
    "CreateContainerConfigError": Explanation(
        "A secret or config map that a pod names is missing, or a key of it is.",
        "Make the secret that workers.objectStoreSecrets or a volume's credentialsSecret names, in this namespace; the "
        "pod then starts by itself. It also happens where an image runs as root: G-Meta's pods may not.",
        DESCRIBE_POD,
    ),
    "CreateContainerError": CONTAINER,
    "RunContainerError": CONTAINER,
}
"""Reasons that Kubernetes gives and the operator hands on: those of the scheduler and of the kubelet."""

NOT_SEEN = Explanation(
    "The operator has written nothing about this job: it does not run, or it does not serve this namespace.",
    "Look whether its pod is ready, and whether its setting `namespaces` names this one.",
    "kubectl get pods -A -l app.kubernetes.io/component=operator",
)
"""Of a job without a status."""

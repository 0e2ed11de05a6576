"""A small valid manifest, and for every rule of the schema values that it accepts and values that it refuses."""

from typing import Any

from gmeta_api.settings import apply_settings
from gmeta_api.yaml_loader import describe

Manifest = dict[str, Any]

RuleCase = tuple[list[str], list[str], str]
"""Settings that a rule accepts, settings that it refuses, and the whole message of the refusal, with its path."""

SMALL_MANIFEST: Manifest = {
    "apiVersion": "gmeta.dev/v1alpha1",
    "kind": "MetaTrainingJob",
    "metadata": {"name": "quickstart"},
    "spec": {
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "runs", "emptyDir": {}}],
        "data": {
            "volume": "data",
            "path": "ml-100k",
            "prepare": {
                "source": "ratings.csv",
                "task": ["user_id"],
                "labels": [{"name": "click", "rule": "rating >= 4"}],
                "features": [
                    {"name": "movie", "type": "categorical", "columns": ["movie_id"]},
                    {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
                    {"name": "age", "type": "numeric", "columns": ["age"]},
                ],
            },
        },
        "checkpoint": {"volume": "runs", "path": "quickstart"},
    },
}


def changed(*settings: str) -> Manifest:
    """The small manifest with some values set."""
    return apply_settings(SMALL_MANIFEST, settings)


PREPARE = "spec.data.prepare"


def _prior(kind: str, setting: str) -> str:
    """A fourth feature over the movie, with one field set."""
    return f"{PREPARE}.features[3]={{name: movie_prior, type: {kind}, columns: [movie_id], {setting}}}"


def _export(fields: str) -> str:
    """An export phase."""
    return f"{{name: b, export: {fields}}}"


def _embeddings(fields: str) -> str:
    """An export phase with meta embeddings."""
    return _export(f"{{volume: runs, path: out, metaEmbeddings: {fields}}}")


def _claimed(read_only: str) -> str:
    """A third volume, on a claim."""
    return f"spec.volumes[2]={{name: out, persistentVolumeClaim: {{claimName: out, readOnly: {read_only}}}}}"


TRAIN = "{name: a, algorithm: MAML, epochs: 1}"
EXPORT = _export("{volume: runs, path: out}")
RELATIVE = "must be relative to the volume: no leading '/' and no '..'"
UNIQUE = "two items have the same name; every name must be unique"
ROWS_NEEDED = "a hash vocabulary needs its number of rows"
ROWS_USELESS = (
    "an exact vocabulary has as many rows as the training data has keys; remove rows or set type to hash; received 9"
)

RULE_CASES: list[RuleCase] = [
    (
        ["metadata.name=" + "a" * 45],
        ["metadata.name=" + "a" * 46],
        "metadata.name: must be a DNS label of at most 45 characters that starts with a letter: pods and services of "
        f"the job add a suffix to it; received '{'a' * 46}'",
    ),
    (
        ["spec.data.volume=runs"],
        ["spec.data.volume=none"],
        "spec.data.volume: must be the name of one of spec.volumes; received 'none'",
    ),
    (
        ["spec.checkpoint.volume=data"],
        ["spec.checkpoint.volume=none"],
        "spec.checkpoint.volume: must be the name of one of spec.volumes; received 'none'",
    ),
    (
        ["spec.volumes[0]={name: data, persistentVolumeClaim: {claimName: a, readOnly: true}}"],
        ["spec.volumes[1]={name: runs, persistentVolumeClaim: {claimName: a, readOnly: true}}"],
        "spec.checkpoint.volume: must be a volume that can be written; set readOnly of its claim to false; "
        "received 'runs'",
    ),
    (
        ["spec.training={epochs: 1, initFrom: {volume: runs, path: a}}"],
        ["spec.training={epochs: 1, initFrom: {volume: none, path: a}}"],
        "spec.training.initFrom.volume: must be the name of one of spec.volumes; received 'none'",
    ),
    (
        ["spec.training={epochs: 1, labelWeights: {click: 0.5}}"],
        ["spec.training={epochs: 1, labelWeights: {like: 0.5}}"],
        "spec.training.labelWeights: must name labels of data.prepare.labels",
    ),
    (
        ["spec.volumes[2]={name: more, emptyDir: {}}"],
        ["spec.volumes[2]={name: runs, emptyDir: {}}"],
        f"spec.volumes: {UNIQUE}",
    ),
    (
        ["spec.volumes[0]={name: data, objectStore: {uri: s3://b/p}}"],
        ["spec.volumes[0]={name: data, emptyDir: {}, objectStore: {uri: s3://b/p}}"],
        "spec.volumes[0]: set exactly one of persistentVolumeClaim, emptyDir and objectStore",
    ),
    (["spec.data.path=a/..b/c.."], ["spec.data.path=a/.."], f"spec.data.path: {RELATIVE}; received 'a/..'"),
    (
        ["spec.data.support={policy: fixed, size: 0}"],
        ["spec.data.support={policy: fixed}"],
        "spec.data.support.size: policy fixed needs a size",
    ),
    (
        ["spec.data.support={policy: column}"],
        ["spec.data.support={policy: column, size: 3}"],
        "spec.data.support.size: only policy fixed has a size; remove it or change policy; received 3",
    ),
    (
        ["spec.data.support={policy: uniform, min: 0, max: 3}"],
        ["spec.data.support={policy: uniform, min: 3}"],
        "spec.data.support: policy uniform needs min and max",
    ),
    (
        ["spec.data.support={policy: fixed, size: 3}"],
        ["spec.data.support={policy: fixed, size: 3, max: 3}"],
        "spec.data.support: only policy uniform has min and max; remove them or change policy",
    ),
    (
        ["spec.data.support={policy: uniform, min: 3, max: 3}"],
        ["spec.data.support={policy: uniform, min: 4, max: 3}"],
        "spec.data.support.min: must not be above max; received 4",
    ),
    (
        [f"{PREPARE}.features[1].vocabulary=movie"],
        [f"{PREPARE}.features[1].vocabulary=none"],
        f"{PREPARE}.features: a feature's vocabulary must name a feature of this list",
    ),
    (
        [f"{PREPARE}.features[1].vocabulary=movie"],
        [f"{PREPARE}.features[1].vocabulary=age"],
        f"{PREPARE}.features: a shared vocabulary must be that of a categorical or multi feature which names no other",
    ),
    (
        [f"{PREPARE}.format=csv", f"{PREPARE}.delimiter=;"],
        [f"{PREPARE}.format=parquet", f"{PREPARE}.delimiter=;"],
        f"{PREPARE}.delimiter: a delimiter belongs to csv; remove it or change format; received ';'",
    ),
    ([f"{PREPARE}.source=raw/*.csv"], [f"{PREPARE}.source=/raw"], f"{PREPARE}.source: {RELATIVE}; received '/raw'"),
    (
        [f"{PREPARE}.joins=[{{source: raw/a.csv, using: [a]}}]"],
        [f"{PREPARE}.joins=[{{source: raw/../../a.csv, using: [a]}}]"],
        f"{PREPARE}.joins[0].source: {RELATIVE}; received 'raw/../../a.csv'",
    ),
    (
        [f"{PREPARE}.labels[1]={{name: like, rule: rating = 5}}"],
        [f"{PREPARE}.labels[1]={{name: click, rule: rating = 5}}"],
        f"{PREPARE}.labels: {UNIQUE}",
    ),
    (
        [f"{PREPARE}.features[3]={{name: year, type: categorical, columns: [year]}}"],
        [f"{PREPARE}.features[3]={{name: age, type: categorical, columns: [year]}}"],
        f"{PREPARE}.features: {UNIQUE}",
    ),
    (
        [f"{PREPARE}.features[0]={{name: movie, type: multi, columns: [a, b]}}"],
        [f"{PREPARE}.features[0].columns=[a, b]"],
        f"{PREPARE}.features[0].columns: only a multi feature has several columns; give one, or use type multi",
    ),
    (
        [f"{PREPARE}.features[2]={{name: age, type: categorical, columns: [age], vocabulary: movie}}"],
        [f"{PREPARE}.features[2].vocabulary=movie"],
        f"{PREPARE}.features[2].vocabulary: only a categorical or multi feature has a vocabulary; remove it or use "
        "type categorical; received 'movie'",
    ),
    (
        [f"{PREPARE}.features[1].separator=','"],
        [f"{PREPARE}.features[0].separator=','"],
        f"{PREPARE}.features[0].separator: a separator belongs to a multi feature with one column; received ','",
    ),
    (
        [f"{PREPARE}.features[2].transform=log1p"],
        [f"{PREPARE}.features[0].transform=log1p"],
        f"{PREPARE}.features[0].transform: only a numeric, rate or count feature has a transform; received 'log1p'",
    ),
    (
        [_prior("rate", "transform: standardize")],
        [_prior("rate", "transform: log1p")],
        f"{PREPARE}.features[3].transform: a rate or count is a logarithm already; use standardize, or none; "
        "received 'log1p'",
    ),
    (
        [_prior("rate", "label: click")],
        [_prior("count", "label: click")],
        f"{PREPARE}.features[3].label: only a rate feature has a label; remove it or use type rate; received 'click'",
    ),
    (
        [_prior("rate", "label: click")],
        [_prior("rate", "label: like")],
        f"{PREPARE}.features: a rate feature's label must name one of labels",
    ),
    (
        [_prior("count", "folds: 2")],
        [_prior("categorical", "folds: 2")],
        f"{PREPARE}.features[3].folds: only a rate or count feature has folds; remove them or use type rate or count; "
        "received 2",
    ),
    (
        [_prior("rate", "shrinkage: 0.5")],
        [_prior("count", "shrinkage: 0.5")],
        f"{PREPARE}.features[3].shrinkage: only a rate feature has a shrinkage; remove it or use type rate; "
        "received 0.5",
    ),
    (
        [f"{PREPARE}.supportOrder={{by: time, column: timestamp}}"],
        [f"{PREPARE}.supportOrder={{by: time}}"],
        f"{PREPARE}.supportOrder.column: ordering by time or by column needs a column",
    ),
    (
        [f"{PREPARE}.supportOrder={{by: seed}}"],
        [f"{PREPARE}.supportOrder={{by: seed, column: rank}}"],
        f"{PREPARE}.supportOrder.column: ordering by seed uses no column; remove it or set by to time or column; "
        "received 'rank'",
    ),
    (
        [f"{PREPARE}.taskRows={{min: 9, max: 9}}"],
        [f"{PREPARE}.taskRows={{min: 9, max: 8}}"],
        f"{PREPARE}.taskRows.min: must not be above max; received 9",
    ),
    (
        [f"{PREPARE}.split={{by: task, train: 1, valid: 0, test: 0}}"],
        [f"{PREPARE}.split={{by: task, train: 0.9, test: 0.1}}"],
        f"{PREPARE}.split: a split by task needs the fractions train, valid and test",
    ),
    (
        [f"{PREPARE}.split={{by: task, train: 0.7, valid: 0.2, test: 0.1}}"],
        [f"{PREPARE}.split={{by: task, train: 0.7, valid: 0.2, test: 0.2}}"],
        f"{PREPARE}.split: the fractions train, valid and test must add up to 1",
    ),
    (
        [f"{PREPARE}.split={{by: column, column: part}}"],
        [f"{PREPARE}.split={{by: column}}"],
        f"{PREPARE}.split.column: a split by column needs the column",
    ),
    (
        [f"{PREPARE}.split={{by: task, train: 0.8, valid: 0.1, test: 0.1}}"],
        [f"{PREPARE}.split={{by: task, train: 0.8, valid: 0.1, test: 0.1, column: part}}"],
        f"{PREPARE}.split.column: a split by task uses no column; remove it or set by to column; received 'part'",
    ),
    (
        [f"{PREPARE}.split={{by: column, column: part}}"],
        [f"{PREPARE}.split={{by: column, column: part, train: 1}}"],
        f"{PREPARE}.split: a split by column has no fractions; remove train, valid and test",
    ),
    (
        ["spec.model.vocabulary={type: hash, rows: 9}"],
        ["spec.model.vocabulary={type: hash}"],
        f"spec.model.vocabulary.rows: {ROWS_NEEDED}",
    ),
    (
        ["spec.model.vocabulary={type: exact}"],
        ["spec.model.vocabulary={rows: 9}"],
        f"spec.model.vocabulary.rows: {ROWS_USELESS}",
    ),
    (
        ["spec.model.vocabularies=[{name: a, type: hash, rows: 9}, {name: b, type: exact}]"],
        ["spec.model.vocabularies=[{name: a, type: exact}, {name: a, type: exact}]"],
        f"spec.model.vocabularies: {UNIQUE}",
    ),
    (
        ["spec.model.vocabularies=[{name: a, type: hash, rows: 9}]"],
        ["spec.model.vocabularies=[{name: a, type: hash}]"],
        f"spec.model.vocabularies[0].rows: {ROWS_NEEDED}",
    ),
    (
        ["spec.model.vocabularies=[{name: a, type: exact}]"],
        ["spec.model.vocabularies=[{name: a, type: exact, rows: 9}]"],
        f"spec.model.vocabularies[0].rows: {ROWS_USELESS}",
    ),
    (
        ["spec.optimizer.dense={rate: 1, schedule: {type: cosine, minRate: 1}}"],
        ["spec.optimizer.dense={rate: 1, schedule: {type: cosine, minRate: 1.5}}"],
        "spec.optimizer.dense.schedule.minRate: must not be above the optimizer's rate; received 1.5",
    ),
    (
        ["spec.optimizer.sparse.schedule.minRate=0.05"],
        ["spec.optimizer.sparse.schedule.minRate=0.06"],
        "spec.optimizer.sparse.schedule.minRate: must not be above the optimizer's rate; received 0.06",
    ),
    (
        ["spec.training={steps: 5}"],
        ["spec.training={tasksPerStep: 5}"],
        "spec.training: set exactly one of epochs, steps and phases",
    ),
    (
        ["spec.training.phases=[{name: a, algorithm: Joint, steps: 1}, {name: b, algorithm: MAML, epochs: 1}]"],
        ["spec.training.phases=[{name: a, algorithm: Joint, steps: 1}, {name: a, algorithm: MAML, epochs: 1}]"],
        f"spec.training.phases: {UNIQUE}",
    ),
    (
        ["spec.training.phases=[{name: a, algorithm: Joint, steps: 1}]"],
        ["spec.training.phases=[{name: a, algorithm: Joint}]"],
        "spec.training.phases[0]: set exactly one of epochs and steps",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {EXPORT}]"],
        ["spec.training.phases=[{name: a}]"],
        "spec.training.phases[0]: set exactly one of algorithm and export",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {{name: b, export: {{volume: runs, path: out}}}}]"],
        [f"spec.training.phases=[{TRAIN}, {{name: b, epochs: 1, export: {{volume: runs, path: out}}}}]"],
        "spec.training.phases[1]: an export has no length; remove epochs and steps",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {EXPORT}]"],
        [f"spec.training.phases=[{EXPORT}, {TRAIN}]"],
        "spec.training.phases: only the last phase may be an export",
    ),
    (
        [f"spec.training={{initFrom: {{volume: runs, path: a}}, phases: [{EXPORT}]}}"],
        [f"spec.training={{phases: [{EXPORT}]}}"],
        "spec.training.phases: a job that only exports has nothing trained; add a phase with an algorithm before the "
        "export, or set initFrom to the run that is exported",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {_export('{volume: runs, path: out/a}')}]"],
        [f"spec.training.phases=[{TRAIN}, {_export('{volume: runs, path: /out}')}]"],
        f"spec.training.phases[1].export.path: {RELATIVE}; received '/out'",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {_export('{volume: runs, path: out}')}]"],
        [f"spec.training.phases=[{TRAIN}, {_export('{volume: none, path: out}')}]"],
        "spec.training.phases: the export's volume must be the name of one of spec.volumes",
    ),
    (
        [_claimed("false"), f"spec.training.phases=[{TRAIN}, {_export('{volume: out, path: out}')}]"],
        [_claimed("true"), f"spec.training.phases=[{TRAIN}, {_export('{volume: out, path: out}')}]"],
        "spec.training.phases: the export's volume must be one that can be written; set readOnly of its claim to false",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {_embeddings('{volume: data, support: s.csv}')}]"],
        [f"spec.training.phases=[{TRAIN}, {_embeddings('{volume: none, support: s.csv}')}]"],
        "spec.training.phases: the volume of metaEmbeddings must be the name of one of spec.volumes",
    ),
    (
        [f"spec.training.phases=[{TRAIN}, {_embeddings('{volume: data, support: a/s.csv}')}]"],
        [f"spec.training.phases=[{TRAIN}, {_embeddings('{volume: data, support: ../s.csv}')}]"],
        f"spec.training.phases[1].export.metaEmbeddings.support: {RELATIVE}; received '../s.csv'",
    ),
    (
        ["spec.training={epochs: 1, evaluation: {everySteps: 5}}"],
        ["spec.training={epochs: 1, evaluation: {everySteps: 5, everyEpochs: 1}}"],
        "spec.training.evaluation: set exactly one of everyEpochs and everySteps",
    ),
    (
        ["spec.training={epochs: 1, initFrom: {volume: runs, path: a}}"],
        ["spec.training={epochs: 1, initFrom: {volume: runs, path: ..}}"],
        f"spec.training.initFrom.path: {RELATIVE}; received '..'",
    ),
    (["spec.checkpoint.path=a/b"], ["spec.checkpoint.path=/a"], f"spec.checkpoint.path: {RELATIVE}; received '/a'"),
    (
        ["spec.workers={replicas: 2, minReplicas: 2}"],
        ["spec.workers={replicas: 2, minReplicas: 3}"],
        "spec.workers.minReplicas: must not be above replicas; received 3",
    ),
    (
        ["spec.workers={replicas: 2, maxReplicas: 2}"],
        ["spec.workers={maxReplicas: 2, replicas: 3}"],
        "spec.workers.maxReplicas: must not be below replicas; received 2",
    ),
    (
        ["spec.workers.imagePullSecrets=[{name: a}, {name: b}]"],
        ["spec.workers.imagePullSecrets=[{name: a}, {name: a}]"],
        f"spec.workers.imagePullSecrets: {UNIQUE}",
    ),
    (
        ["spec.workers.env=[{name: A, value: x}, {name: B}]"],
        ["spec.workers.env=[{name: A, value: x}, {name: A}]"],
        f"spec.workers.env: {UNIQUE}",
    ),
    (
        ["spec.workers.env=[{name: MY_GMETA_JOB}]"],
        ["spec.workers.env=[{name: GMETA_JOB}]"],
        "spec.workers.env[0].name: variables that start with GMETA_ are set by G-Meta; choose another name; "
        "received 'GMETA_JOB'",
    ),
    (
        ["spec.workers.tolerations=[{key: a, value: x}]"],
        ["spec.workers.tolerations=[{key: a, operator: Exists, value: x}]"],
        "spec.workers.tolerations[0].value: operator Exists takes no value; remove it or set operator to Equal; "
        "received 'x'",
    ),
    (
        ["spec.workers.tolerations=[{operator: Exists}]"],
        ["spec.workers.tolerations=[{operator: Equal, value: x}]"],
        "spec.workers.tolerations[0].key: a toleration without a key needs operator Exists",
    ),
    (
        ["spec.workers.tolerations=[{key: a, effect: NoExecute, tolerationSeconds: 5}]"],
        ["spec.workers.tolerations=[{key: a, effect: NoSchedule, tolerationSeconds: 5}]"],
        "spec.workers.tolerations[0].tolerationSeconds: tolerationSeconds needs effect NoExecute; received 5",
    ),
    (
        ["spec.workers.objectStoreSecrets=[{name: a}, {name: b}]"],
        ["spec.workers.objectStoreSecrets=[{name: a}, {name: a}]"],
        f"spec.workers.objectStoreSecrets: {UNIQUE}",
    ),
    (
        ["spec.faultTolerance={restartBackoffSeconds: 9, maxBackoffSeconds: 9}"],
        ["spec.faultTolerance={restartBackoffSeconds: 9, maxBackoffSeconds: 8}"],
        "spec.faultTolerance.restartBackoffSeconds: must not be above maxBackoffSeconds; received 9",
    ),
    (
        ["spec.faultTolerance.rules=[{name: a, exitCodes: [3], action: Fail}, {name: b, reasons: [X], action: Fail}]"],
        ["spec.faultTolerance.rules=[{name: a, exitCodes: [3], action: Fail}, {name: a, reasons: [X], action: Fail}]"],
        f"spec.faultTolerance.rules: {UNIQUE}",
    ),
    (
        ["spec.faultTolerance.rules=[{name: a, reasons: [Evicted], action: RestartUncounted}]"],
        ["spec.faultTolerance.rules=[{name: a, action: Fail}]"],
        "spec.faultTolerance.rules[0]: name the failures by exitCodes, reasons, conditions, message or several of them",
    ),
    (
        ["spec.faultTolerance.rules=[{name: a, message: 'CUDA error|NCCL', action: RestartUncounted}]"],
        ["spec.faultTolerance.rules=[{name: a, message: '(CUDA', action: RestartUncounted}]"],
        "spec.faultTolerance.rules[0].message: must be a regular expression in RE2 syntax; received '(CUDA'",
    ),
    (
        ["spec.scheduling={gang: {scheduler: volcano}, schedulerName: volcano}"],
        ["spec.scheduling={gang: {scheduler: volcano}, schedulerName: mine}"],
        "spec.scheduling.schedulerName: gang scheduler volcano places pods of schedulerName volcano only; remove "
        "schedulerName; received 'mine'",
    ),
    (
        ["spec.scheduling.gang={scheduler: coscheduling, timeoutSeconds: 5}"],
        ["spec.scheduling.gang={scheduler: volcano, timeoutSeconds: 5}"],
        "spec.scheduling.gang.timeoutSeconds: only gang scheduler coscheduling has a time-out; remove it or set "
        "scheduler to coscheduling; received 5",
    ),
    (
        ["spec.scheduling={gang: {scheduler: volcano}, queue: research}"],
        ["spec.scheduling={gang: {scheduler: coscheduling}, queue: research}"],
        "spec.scheduling.queue: a queue needs a scheduler that has queues; set gang.scheduler to volcano or kueue, or "
        "remove queue; received 'research'",
    ),
    (
        ["spec.scheduling={gang: {scheduler: kueue}, queue: research}"],
        ["spec.scheduling={gang: {scheduler: kueue}}"],
        "spec.scheduling.queue: gang scheduler kueue admits jobs of a queue; set queue to the name of a LocalQueue of "
        "the namespace",
    ),
    (
        [f"spec.scheduling={{gang: {{scheduler: kueue}}, queue: {'q' * 63}}}"],
        [f"spec.scheduling={{gang: {{scheduler: kueue}}, queue: {'q' * 64}}}"],
        "spec.scheduling.queue: the name of a Kueue queue is the value of a label; it has at most 63 characters; "
        f"received {describe('q' * 64)}",
    ),
    (
        ["spec.scheduling.topologySpread=[{topologyKey: zone}, {topologyKey: rack, maxSkew: 2}]"],
        ["spec.scheduling.topologySpread=[{topologyKey: zone}, {topologyKey: zone, maxSkew: 2}]"],
        "spec.scheduling.topologySpread: two items have the same topologyKey; every topologyKey must be unique",
    ),
]

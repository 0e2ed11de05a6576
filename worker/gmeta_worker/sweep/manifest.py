"""From a sweep manifest to the job of each trial."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.load import parse_job, validate
from gmeta_api.settings import apply_settings
from gmeta_api.spec import MetaTrainingJob, VolumeSpec
from gmeta_api.yaml_loader import read_manifest
from gmeta_worker.sweep.space import ends
from gmeta_worker.sweep.spec import SweepSpec
from gmeta_worker.training.supported import check_supported

Params = Mapping[str, JsonValue]
"""Values of fields of the job, by path."""


@dataclass(frozen=True)
class Sweep:
    """A checked sweep manifest.

    Attributes:
        spec: the manifest itself.
        manifest: that of the job, as it was read.
        job: the job with the fixed settings.
    """

    spec: SweepSpec
    manifest: Mapping[str, Any]
    job: MetaTrainingJob

    def manifest_with(self, params: Params) -> dict[str, Any]:
        """The job's manifest with the fixed settings and `params`."""
        return with_params(self.manifest, {**self.spec.fixed, **params})

    def trial_job(self, params: Params, path: str) -> MetaTrainingJob:
        """The job of a trial, whose run folder is `path` of the volume that `trial_volume` names.

        The dataset is there already, and the best commit is scored on the split that training watches.

        Raises:
            ManifestError: the values do not go together.
        """
        spec = parse_job(self.manifest_with(params)).spec
        watched = spec.training.evaluation.split
        evaluation = spec.training.evaluation.model_copy(update={"final_split": watched, "final_shots": ()})
        volume = VolumeSpec.model_validate({"name": self.trial_volume, "emptyDir": {}})
        changed = {
            "volumes": (*spec.volumes, volume),
            "data": spec.data.model_copy(update={"prepare": None}),
            "training": spec.training.model_copy(update={"evaluation": evaluation}),
            "checkpoint": spec.checkpoint.model_copy(update={"volume": volume.name, "path": path, "keep": 1}),
        }
        return self.job.model_copy(update={"spec": spec.model_copy(update=changed)})

    @property
    def trial_volume(self) -> str:
        """A name that no volume of the job has."""
        name = "sweep"
        while any(volume.name == name for volume in self.job.spec.volumes):
            name += "-trials"
        return name


def load_sweep(path: Path) -> Sweep:
    """Read and check a sweep manifest and the job that it names.

    Raises:
        ManifestError: with every problem of the first thing that has some.
    """
    spec = validate(SweepSpec, read_manifest(path, "a sweep manifest", "job and space"))
    manifest = read_manifest(path.parent / spec.job)
    _require(_problems(f"job {spec.job}", manifest, {}))
    _require(_problems("fixed", manifest, spec.fixed))
    _require(_space_problems(spec, manifest))
    job = parse_job(with_params(manifest, spec.fixed))
    check_supported(job.spec)
    _require(_evaluation_problems(spec, job))
    return Sweep(spec, manifest, job)


def with_params(manifest: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """A manifest with some values set."""
    return apply_settings(manifest, (f"{path}={json.dumps(value)}" for path, value in params.items()))


def _require(problems: Iterator[Problem]) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        raise ManifestError(found)


def _problems(where: str, manifest: Mapping[str, Any], params: Params) -> Iterator[Problem]:
    try:
        parse_job(with_params(manifest, params))
    except ManifestError as error:
        yield from (Problem(where, str(problem)) for problem in error.problems)


def _space_problems(spec: SweepSpec, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """The ends of each parameter alone: what a trial makes of all together, it finds out."""
    for place, parameter in enumerate(spec.space):
        for value in ends(parameter):
            yield from _problems(f"space[{place}]", manifest, {**spec.fixed, parameter.path: value})


def _evaluation_problems(spec: SweepSpec, job: MetaTrainingJob) -> Iterator[Problem]:
    evaluation = job.spec.training.evaluation
    if evaluation.split == "test":
        yield Problem(
            f"job {spec.job}",
            "spec.training.evaluation.split: expected valid, received test; a sweep must never choose by test tasks",
        )
    if spec.shot is not None and spec.shot not in evaluation.shots:
        shots = ", ".join(map(str, evaluation.shots))
        yield Problem(
            "shot", f"expected one of the job's spec.training.evaluation.shots ({shots}), received {spec.shot}"
        )

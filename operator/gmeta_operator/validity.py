"""The `Invalid` condition: a custom resource is checked again, since older API servers evaluate no CEL rules."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

from gmeta_api.errors import ManifestError, Problem
from gmeta_api.load import SERVER_METADATA, parse_job
from gmeta_api.objects import overlay_problems
from gmeta_api.spec import MetaTrainingJob
from gmeta_api.spec.base import SpecModel
from gmeta_api.status import Condition
from gmeta_operator.timestamps import to_text

CONDITION_TYPE = "Invalid"
REMEMBERED = 1024
"""Jobs whose check is remembered: it costs milliseconds, and a pass over a job happens every few seconds."""

MAX_MESSAGE = 4096
"""Longest message; the status is part of every watch event of the object."""

_groups: WeakValueDictionary[tuple[type, str], SpecModel] = WeakValueDictionary()
"""Groups of specs by what is in them, as long as a job has them."""


def validity_condition(
    manifest: Mapping[str, Any], generation: int, now: datetime, previous: Condition | None
) -> Condition:
    """The condition `Invalid` for a custom resource as the API server has it.

    Args:
        manifest: the custom resource.
        generation: its metadata.generation.
        now: current time, with a zone.
        previous: the condition in the object's status, if any; its transition time stays while the status does.
    """
    _, problems = checked(manifest)
    status = "True" if problems else "False"
    unchanged = previous is not None and previous.status == status
    return Condition(
        type=CONDITION_TYPE,
        status=status,
        observed_generation=generation,
        last_transition_time=previous.last_transition_time if previous and unchanged else to_text(now),
        reason="SpecInvalid" if problems else "SpecValid",
        message=_message(problems) if problems else "the spec is valid",
    )


def checked(manifest: Mapping[str, Any]) -> tuple[MetaTrainingJob | None, tuple[Problem, ...]]:
    """The job of a custom resource, or everything that is wrong with it; checked once for each version of its spec."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in SERVER_METADATA}
    resource = {name: value for name, value in manifest.items() if name != "status"} | {"metadata": metadata}
    return _checked(json.dumps(resource, sort_keys=True))


@lru_cache(maxsize=REMEMBERED)
def _checked(manifest: str) -> tuple[MetaTrainingJob | None, tuple[Problem, ...]]:
    try:
        job = parse_job(json.loads(manifest))
    except ManifestError as error:
        return None, error.problems
    problems = tuple(overlay_problems(job.spec.workers.pod_template))
    return (None, problems) if problems else (_with_shared_groups(job), ())


def _with_shared_groups(job: MetaTrainingJob) -> MetaTrainingJob:
    """Have equal groups of jobs' specs in memory once: most are the defaults, and a job would take twice the memory."""
    shared = {
        name: _groups.setdefault((type(group), group.model_dump_json()), group)
        for name, group in job.spec
        if isinstance(group, SpecModel)
    }
    return job.model_copy(update={"spec": job.spec.model_copy(update=shared)})


def _message(problems: Sequence[Problem]) -> str:
    """As many whole problems as fit, and how many do not."""
    lines: list[str] = []
    for number, problem in enumerate(problems):
        more = f"and {len(problems) - number} more; `gmeta validate` prints all"
        if len("\n".join([*lines, str(problem), more])) > MAX_MESSAGE:
            return "\n".join([*lines, more])
        lines.append(str(problem))
    return "\n".join(lines)

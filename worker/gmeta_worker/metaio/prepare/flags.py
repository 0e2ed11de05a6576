"""A prepare spec from command-line flags: the short spelling of ``spec.data.prepare``."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmeta_api.load import validate
from gmeta_api.spec.prepare import PrepareSpec


@dataclass(frozen=True)
class Flags:
    """The flags of ``gmeta prepare`` as they were typed; ``gmeta prepare --help`` explains each."""

    source: str
    joins: Sequence[str]
    task: Sequence[str]
    labels: Sequence[str]
    categorical: Sequence[str]
    multi: Sequence[str]
    numeric: Sequence[str]
    order: str
    split: str
    min_task_rows: int
    max_task_rows: int
    chunk_rows: int
    seed: int
    form: str
    delimiter: str | None


def spec_from_flags(flags: Flags) -> tuple[PrepareSpec, Path]:
    """Return the spec and the folder that its sources are relative to.

    Raises:
        ManifestError: Values that no manifest could have either.
    """
    joins = [_two(join, ":") for join in flags.joins]
    root = common_folder([flags.source, *(path for path, _ in joins)])
    data: dict[str, Any] = {
        "source": _relative(flags.source, root),
        "format": flags.form,
        "joins": [{"source": _relative(path, root), "using": keys.split(",")} for path, keys in joins],
        "task": list(flags.task),
        "labels": [
            {"name": "label" if number == 1 else f"label_{number}", "rule": rule}
            for number, rule in enumerate(flags.labels, 1)
        ],
        "features": [
            *map(_categorical, flags.categorical),
            *map(_multi, flags.multi),
            *map(_numeric, flags.numeric),
        ],
        "supportOrder": _order(flags.order),
        "split": _split(flags.split),
        "taskRows": {"min": flags.min_task_rows, "max": flags.max_task_rows},
        "chunkRows": flags.chunk_rows,
        "seed": flags.seed,
    }
    if flags.delimiter is not None:
        data["delimiter"] = flags.delimiter
    return validate(PrepareSpec, data), root


def common_folder(paths: Sequence[str]) -> Path:
    """Return the deepest folder, free of glob characters, that all paths are below."""
    common = Path(os.path.commonpath([Path(path).absolute().parent for path in paths]))
    magic = next((part for part in common.parts if re.search(r"[*?\[]", part)), None)
    return common if magic is None else Path(*common.parts[: common.parts.index(magic)])


def _relative(path: str, root: Path) -> str:
    return str(Path(path).absolute().relative_to(root))


def _two(text: str, separator: str) -> tuple[str, str]:
    left, _, right = text.rpartition(separator)
    return (left, right) if left else (right, "")


def _named(text: str) -> tuple[str, str]:
    """Split ``[NAME=]COLUMN``; without a name the feature is called as its column."""
    match = re.match(r"([A-Za-z_]\w*)=(?!=)(.+)", text)
    return (match[1], match[2]) if match else (text, text)


def _categorical(text: str) -> dict[str, Any]:
    name, column = _named(text)
    return {"name": name, "type": "categorical", "columns": [column]}


def _multi(text: str) -> dict[str, Any]:
    column, _, separator = text.partition(":")
    name, columns = _named(column)
    feature: dict[str, Any] = {"name": name, "type": "multi", "columns": columns.split(",")}
    return {**feature, "separator": separator} if separator else feature


def _numeric(text: str) -> dict[str, Any]:
    column, _, transform = text.partition(":")
    name, column = _named(column)
    return {"name": name, "type": "numeric", "columns": [column], "transform": transform or "none"}


def _order(text: str) -> dict[str, Any]:
    by, _, column = text.partition(":")
    return {"by": by, "column": column} if column else {"by": by}


def _split(text: str) -> dict[str, Any]:
    by, _, value = text.partition(":")
    if by != "task":
        return {"by": by, "column": value}
    fractions = [_number(part) for part in value.split(",")]
    return {"by": "task", **dict(zip(("train", "valid", "test"), fractions, strict=False))}


def _number(text: str) -> float | str:
    """A number, or the text as it is: the manifest's check names it better than a conversion error."""
    try:
        return float(text)
    except ValueError:
        return text

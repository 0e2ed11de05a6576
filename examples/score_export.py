"""Score the rows of a task with an export of `gmeta export`, un-adapted and adapted; nothing of G-Meta is needed.

    python examples/score_export.py EXPORT SUPPORT.parquet QUERY.parquet

The files hold one task each: the columns that signature.json names and, in the support, the labels under their names.
A column that signature.json gives as an SQL expression is expected under the expression's text. Short rather than fast:
it keeps all rows in memory and lets all of them take part in a step.
"""

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

Sample = dict[str, Any]


def key_of(value: object) -> int | None:
    """The 64-bit key of a raw value; None for a missing one."""
    text = "" if value is None else str(value)
    if text.removeprefix("-").isdecimal() and str(int(text)) == text and -(2**63) <= int(text) < 2**63:
        return int(text)
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little", signed=True) if text else None


def mix(key: int) -> int:
    """SplitMix64."""
    z = (key + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


class Export:
    """A folder that `gmeta export` has written."""

    def __init__(self, folder: Path) -> None:
        self.signature, self.recipe = (json.loads((folder / f"{n}.json").read_text()) for n in ("signature", "adapt"))
        self.weights = load_file(folder / "dense.safetensors")
        self.model = torch.export.load(folder / "model.pt2").module()
        tables = {name: pq.read_table(folder / each["file"]) for name, each in self.signature["vocabularies"].items()}
        self.numbers = {name: {k: n for n, k in enumerate(t["key"].to_pylist())} for name, t in tables.items()}
        self.rows = {n: torch.tensor(np.stack(t["row"].to_numpy(zero_copy_only=False))) for n, t in tables.items()}
        priors = {x["name"]: folder / x["prior"] for x in self.signature["numeric"] if x["prior"]}
        read = {name: pa.ipc.open_file(path).read_all() for name, path in priors.items()}
        self.priors = {n: dict(zip(t["key"].to_pylist(), t["value"].to_pylist(), strict=True)) for n, t in read.items()}

    def number(self, feature: dict[str, Any], sample: Sample) -> float:
        """A numeric input."""
        x = sample[feature["column"]]
        if feature["prior"]:
            key = key_of(x)
            x = self.priors[feature["name"]].get(self.signature["missing_key"] if key is None else key, 0.0)
        if x in (None, "") or math.isnan(float(x)):
            t = feature["mean"]
        else:
            t = math.log1p(float(x)) if feature["transform"] == "log1p" else float(x)
        return float((t - feature["mean"]) / feature["std"] if feature["transform"] == "standardize" else t)

    def places(self, feature: dict[str, Any], sample: Sample) -> list[int]:
        """Numbers of the rows that a feature of a sample uses."""
        values = [sample[column] for column in feature["columns"]]
        if feature["separator"]:
            values = (values[0] or "").split(feature["separator"])
        elif isinstance(values[0], list):
            values = values[0]
        keys = [key for value in values if (key := key_of(value)) is not None]
        keys = keys or [self.signature["missing_key"]] * (feature["type"] == "categorical")
        vocabulary = self.signature["vocabularies"][feature["vocabulary"]]
        if vocabulary["type"] == "hash":
            return [mix(key) % vocabulary["rows"] for key in keys]
        return [self.numbers[feature["vocabulary"]].get(key, 0) for key in keys]

    def logits(self, weights: dict[str, Tensor], rows: dict[str, Tensor], samples: list[Sample]) -> Tensor:
        """The model's logits of samples with some weights and rows."""
        numeric = [[self.number(x, sample) for x in self.signature["numeric"]] for sample in samples]
        stacked = [torch.stack([self.row(f, rows, sample) for f in self.signature["features"]]) for sample in samples]
        logits: Tensor = functional_call(self.model, weights, (torch.tensor(numeric), torch.stack(stacked)))
        return logits

    def row(self, feature: dict[str, Any], rows: dict[str, Tensor], sample: Sample) -> Tensor:
        """The row of a feature of a sample: the mean over its keys, zeros without one."""
        own, found = rows[feature["vocabulary"]], self.places(feature, sample)
        return own[found].mean(0) if found else torch.zeros_like(own[0])

    def labels(self, support: list[Sample]) -> tuple[Tensor, Tensor]:
        """Labels, 0 where there is none, and what each counts in the loss; [n, L] both."""
        names = list(self.signature["labels"])
        raw = [[math.nan if sample[name] is None else float(sample[name]) for name in names] for sample in support]
        labels = torch.tensor(raw).reshape(len(support), len(names))
        weights = torch.tensor([self.recipe["label_weights"].get(name, 1.0) for name in names])
        known, shrinkage = ~labels.isnan(), self.recipe["shrinkage"]
        factors = weights * (len(support) + shrinkage) / (known.sum(0) + shrinkage)
        return labels.nan_to_num(), torch.where(known, factors, 0)

    def score(self, support: list[Sample], query: list[Sample]) -> tuple[Tensor, Tensor]:
        """Logits of the query samples: un-adapted, and adapted to the support samples."""
        weights, rows = dict(self.weights), dict(self.rows)
        shared = self.logits(weights, rows, query).detach()
        labels, factors = self.labels(support)
        groups = [(weights, name, s) for s in self.recipe["layers"].values() for name in s["parameters"]]
        groups += [(rows, name, s) for name, s in self.recipe["vocabularies"].items()]
        for _ in range(self.recipe["steps"] if support else 0):
            for of, name, _ in groups:
                of[name] = of[name].detach().requires_grad_()
            logits = self.logits(weights, rows, support).reshape(labels.shape)
            loss = binary_cross_entropy_with_logits(logits, labels, factors, reduction="sum")
            gradients = torch.autograd.grad(loss, [of[name] for of, name, _ in groups], materialize_grads=True)
            for (of, name, size), gradient in zip(groups, gradients, strict=True):
                of[name] = of[name].detach() - size["rate"] / (len(support) + size["shrinkage"]) * gradient
        return shared, self.logits(weights, rows, query).detach()


if __name__ == "__main__":
    export = Export(Path(sys.argv[1]))
    scores = export.score(*(pq.read_table(path).to_pylist() for path in sys.argv[2:4]))
    for shared, adapted in zip(*(logits.sigmoid().tolist() for logits in scores), strict=True):
        print(f"{shared:.6f} {adapted:.6f}")

"""Generated impressions of several scenarios, with the columns of AntM2C (arXiv 2308.16437): scenes are tasks.

Users have three histories of entities (bills, services, queries); items have entities too, and belong to a scene.
Whether a user clicks depends on how many of the item's entities each history knows, and every scene weighs the
histories in its own way: that is what a scene's few support rows can tell.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from gmeta_worker.datasets.folder import record, writing

NAME = "impressions.csv"
HISTORIES = ("bill_entity_seq", "service_entity_seq", "query_entity_seq")
ENTITIES = (
    *(
        "bakery",
        "books",
        "bus",
        "cinema",
        "coffee",
        "concert",
        "dentist",
        "electricity",
        "flowers",
        "fruit",
        "fuel",
        "games",
    ),
    *(
        "hotel",
        "insurance",
        "metro",
        "parcel",
        "parking",
        "pharmacy",
        "pizza",
        "rent",
        "shoes",
        "taxi",
        "train",
        "water",
    ),
)
HISTORY_ENTITIES, ITEM_ENTITIES = 6, 2
PARTS, SHARES = ("train", "valid", "test"), (0.7, 0.1, 0.2)
FIRST_SECOND, SECONDS = 1_688_169_600, 3_000_000
"""Log times lie in the summer of 2023, as AntM2C's do."""

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scenarios:
    """The structure behind the impressions.

    Attributes:
        weights: float64[scenes, histories], what an entity that a history shares with the item is worth in a scene.
        bias: float64[scenes].
        known: bool[users, histories, entities], the entities of each history.
        entities: bool[items, entities], those of each item.
        scene: int64[items], where each item is shown.
        quality: float64[items].
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    known: Bools
    entities: Bools
    scene: Ints
    quality: NDArray[np.float64]

    def logits(self, users: Ints, items: Ints) -> NDArray[np.float64]:
        """Log odds of a click, for each pair of a user and an item."""
        shared = (self.known[users] & self.entities[items, None]).sum(2)
        scenes = self.scene[items]
        worth: NDArray[np.float64] = (self.weights[scenes] * shared).sum(1)
        return worth + self.bias[scenes] + self.quality[items]


def make_scenarios(scenes: int, users: int, items: int, seed: int) -> Scenarios:
    """Draw users, items and scenes; a user's histories come from the same interests."""
    draw = np.random.default_rng([seed, 0])
    interests = draw.gumbel(size=(users, len(HISTORIES), len(ENTITIES))) + draw.normal(
        0, 1.5, (users, 1, len(ENTITIES))
    )
    return Scenarios(
        weights=draw.normal(0, 2.0, (scenes, len(HISTORIES))),
        bias=draw.normal(-0.5, 0.5, scenes),
        known=_largest(interests, HISTORY_ENTITIES),
        entities=_largest(draw.random((items, len(ENTITIES))), ITEM_ENTITIES),
        scene=np.arange(items) % scenes,
        quality=draw.normal(0, 0.5, items),
    )


def generate(
    out: Path, *, rows: int = 50_000, scenes: int = 5, users: int = 2_000, items: int = 500, seed: int = 0
) -> Scenarios:
    """Write the impressions to ``out``, and return the structure behind them.

    Beside AntM2C's columns each row has two splits: ``cold_users``, where no user of one part is in another, and
    ``cold_items``, where no item is.

    Args:
        out: Folder to write to; made if it is missing.
        rows: Impressions.
        scenes: Scenes, which share users but not items.
        users: Users.
        items: Items of all scenes together.
        seed: The same seed gives the same file.
    """
    made = make_scenarios(scenes, users, items, seed)
    with writing(out):
        pa_csv.write_csv(_impressions(made, rows, seed), out / NAME)
        record(out, f"generated: {rows} rows, seed {seed}", [NAME])
    return made


def _impressions(made: Scenarios, rows: int, seed: int) -> pa.Table:
    draw = np.random.default_rng([seed, 1])
    user, item = draw.integers(0, len(made.known), rows), draw.integers(0, len(made.scene), rows)
    names = [_names(row) for row in made.entities]
    histories = {
        column: np.array([_names(row) for row in made.known[:, number]])[user]
        for number, column in enumerate(HISTORIES)
    }
    columns = {
        "user_id": user + 1,
        "item_id": item + 1,
        "log_time": np.sort(draw.integers(FIRST_SECOND, FIRST_SECOND + SECONDS, rows)),
        "label": (draw.logistic(size=rows) < made.logits(user, item)).astype(np.int64),
        **histories,
        "item_entity_names": np.array(names)[item],
        "item_title": np.array([f"{name.replace('|', ' and ')} {n}" for n, name in enumerate(names, 1)])[item],
        "scene": made.scene[item],
        "cold_users": _parts(len(made.known), draw)[user],
        "cold_items": _parts(len(made.scene), draw)[item],
    }
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def _largest(values: NDArray[np.float64], count: int) -> Bools:
    """Which of each row's values are among its largest."""
    chosen: Bools = values.argsort(-1).argsort(-1) >= values.shape[-1] - count
    return chosen


def _names(chosen: Bools) -> str:
    return "|".join(np.array(ENTITIES)[chosen])


def _parts(count: int, draw: np.random.Generator) -> NDArray[np.str_]:
    """The part of each user or item."""
    bounds = (np.cumsum(SHARES[:-1]) * count).round().astype(int)
    return np.repeat(PARTS, np.diff([0, *bounds, count]))[draw.permutation(count)]

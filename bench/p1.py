"""The small user-cold split P1 of MovieLens-1M: side tables as CSV, and how to prepare it.

Users with 13 to 100 ratings, 8:1:1 into train, valid and test users; ten random rows of a user are query, the rest
support.
"""

from pathlib import Path

from bench.movielens_1m import (
    SEEDED_ORDER,
    SIDE_TABLES,
    TASK,
    features,
    unpack,
    users,
    write_csv,
    write_movies,
)
from gmeta_api.load import validate
from gmeta_api.spec import PrepareSpec

PREPARE = {
    **TASK,
    "source": "p1.csv",
    "joins": SIDE_TABLES,
    "features": features(type="numeric", transform="standardize"),
    # Query rows have no rank and are never support.
    "supportOrder": {"by": "column", "column": f"case when part = 'support' then {SEEDED_ORDER} end"},
    "split": {"by": "column", "column": "split"},
}


def write_sources(data: Path, folder: Path) -> PrepareSpec:
    """Write P1's tables from the folder of real data sets as CSV into `folder`; how to prepare them."""
    folder.mkdir(parents=True, exist_ok=True)
    unpack(data / "ml-1m/splits/p1_user_cold.csv.gz", folder / "p1.csv")
    write_csv(folder / "users.csv", "user_id,gender,age,occupation", users(data))
    write_movies(data, folder)
    return validate(PrepareSpec, PREPARE)

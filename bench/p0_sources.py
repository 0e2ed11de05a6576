"""Protocol P0 of MovieLens-1M, the split of RESUS (arXiv 2210.16080): cold users, nested support sets.

Users 1 to 4228 train, 4229 to 4832 validate, the others test. The first k rows of a valid or test user, by the
published rank 1 to 30, are the support of shot k, and every other row of the user is query.
"""

from pathlib import Path

from bench.movielens_1m import unpack, users, write_csv, write_movies

LAST_TRAIN_USER, LAST_VALID_USER = 4228, 4832


def write_sources(data: Path, folder: Path) -> None:
    """Write P0's tables from the folder of real data sets as CSV into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    unpack(data / "ml-1m/ratings.csv.gz", folder / "ratings.csv")
    unpack(data / "ml-1m/splits/p0_resus_support.csv.gz", folder / "support.csv")
    rows = ([*user, part_of(int(user[0]))] for user in users(data))
    write_csv(folder / "users.csv", "user_id,gender,age,occupation,part", rows)
    write_movies(data, folder)


def part_of(user: int) -> str:
    """The split that a user belongs to."""
    if user <= LAST_TRAIN_USER:
        return "train"
    return "valid" if user <= LAST_VALID_USER else "test"

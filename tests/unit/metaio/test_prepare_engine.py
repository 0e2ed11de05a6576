"""The engine's own functions, and the memory that it takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.metaio.prepared import prepare

from gmeta_worker.datasets import synthetic
from gmeta_worker.metaio.prepare.engine import Engine, mixed

BELOW = 2**32


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "work")
    yield made
    made.close()


def fmix32(bits: int) -> int:
    """MurmurHash3's finaliser, as its author wrote it."""
    bits = (bits ^ bits >> 16) * 0x85EBCA6B % BELOW
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 % BELOW
    return bits ^ bits >> 16


def test_numbers_are_mixed_as_murmurhash3_does(engine: Engine) -> None:
    numbers = [*range(1000), *range(BELOW - 1000, BELOW), *(1 << place for place in range(32))]
    values = ", ".join(f"({number}::UBIGINT)" for number in numbers)
    found = engine.rows("mixed", f"SELECT {mixed('bits')} FROM (VALUES {values}) AS numbers(bits)")
    assert [value for (value,) in found] == [fmix32(number) for number in numbers]


def test_rows_are_prepared_in_a_fraction_of_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmeta_worker.metaio.prepare.engine.MEMORY_LIMIT", "40MB")
    synthetic.generate(tmp_path, rows=300_000)
    features = [
        {"name": "item", "type": "categorical", "columns": ["movie_id"]},
        {"name": "genres", "type": "multi", "columns": ["genres"], "separator": "|"},
        {"name": "rate", "type": "rate", "columns": ["movie_id"]},
        {"name": "count", "type": "count", "columns": ["movie_id"]},
    ]
    split = {"by": "task", "train": 0.8, "valid": 0.1, "test": 0.1}
    joins = [{"source": "movies.csv", "using": ["movie_id"]}]
    card = prepare(tmp_path, {}, task=["user_id"], joins=joins, features=features, split=split)
    assert sum(split.rows for split in card.splits.values()) == 300_000


@pytest.mark.slow
def test_what_does_not_fit_into_memory_lies_on_disk(engine: Engine, tmp_path: Path) -> None:
    engine.seal()
    engine.run("rows", "CREATE TABLE many AS SELECT range AS number, md5(range::VARCHAR) AS text FROM range(25000000)")
    assert sum(file.stat().st_size for file in (tmp_path / "work").rglob("*") if file.is_file()) > 2**29
    assert engine.rows("rows", "SELECT count(DISTINCT number // 1000000), max(number) FROM many") == [(25, 24_999_999)]

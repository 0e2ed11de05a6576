"""The engine's own functions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_what_does_not_fit_into_memory_lies_on_disk(engine: Engine, tmp_path: Path) -> None:
    engine.seal()
    engine.run("rows", "CREATE TABLE many AS SELECT range AS number, md5(range::VARCHAR) AS text FROM range(25000000)")
    assert sum(file.stat().st_size for file in (tmp_path / "work").rglob("*") if file.is_file()) > 2**29
    assert engine.rows("rows", "SELECT count(DISTINCT number // 1000000), max(number) FROM many") == [(25, 24_999_999)]

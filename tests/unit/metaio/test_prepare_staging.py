"""Staged sources: text that is integers becomes integers, and lists of side tables are found again."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.metaio.prepared import prepare, read_split, text_of

from gmeta_worker.metaio import Dataset
from gmeta_worker.metaio.prepare import sources
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.sources import find_source, stage

INTEGERS = ("0", "7", "-7", str(2**63 - 1), str(-(2**63)))
OTHERS = ("007", "+7", "-0", "7.0", "1e3", " 7", "7 ", "x", str(2**63), "0x10")
SAMPLED = 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from([*INTEGERS, ""]), st.sampled_from([*INTEGERS, *OTHERS, ""]), st.sampled_from(OTHERS)),
        min_size=1,
        max_size=5,
    )
)
def test_a_column_is_staged_as_its_values_are_spelled(rows: list[tuple[str, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory() as folder:
        patched.setattr(sources, "SAMPLED_ROWS", SAMPLED)
        (Path(folder) / "t.csv").write_text(text_of(rows, "a,b,c"))
        engine = Engine(Path(folder) / "work")
        columns = stage(engine, find_source(Path(folder), "t.csv", "csv", None), "t", {"a", "b", "c"})
        found = engine.rows("t", "SELECT c0, c1, c2 FROM t ORDER BY rowid")
        engine.close()
    assert [tuple("" if value is None else str(value) for value in row) for row in found] == rows
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        assert column.kind in ("BIGINT", "VARCHAR")
        if set(values) - {""} - set(INTEGERS) or not any(values[:SAMPLED]):
            assert column.kind == "VARCHAR"


def test_integers_are_staged_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{row},\n" for row in range(3)) + ",\n")
    engine = Engine(tmp_path / "work")
    kinds = [each.kind for each in stage(engine, find_source(tmp_path, "t.csv", "csv", None), "t", {"a", "b"})]
    engine.close()
    assert kinds == ["BIGINT", "VARCHAR"]


def test_an_id_in_another_spelling_far_below_is_another_id(tmp_path: Path) -> None:
    rows = [(1, row, 5, row) for row in range(sources.SAMPLED_ROWS + 5)]
    ratings = text_of([*rows, (1, "007", 5, 0)], "user,item,rating,time")
    card = prepare(tmp_path, {"ratings.csv": ratings})
    assert card.vocabularies["item"].size == len(rows) + 1


def test_lists_of_a_side_table_share_a_vocabulary_with_the_source(tmp_path: Path) -> None:
    ratings = [(1, 10, 5, "3|4"), (1, 11, 1, ""), (1, 12, 5, "3"), (1, 13, 5, "5"), (1, 13, 5, "5")]
    tags = [(10, "1|2"), (11, ""), (12, "2|3")]
    card = prepare(
        tmp_path,
        {
            "ratings.csv": text_of(ratings, "user,item,rating,own"),
            "tags.csv": text_of(tags, "item,tags"),
        },
        joins=[{"source": "tags.csv", "using": ["item"]}],
        features=[
            {"name": "item", "type": "categorical", "columns": ["item"]},
            {"name": "tags", "type": "multi", "columns": ["tags"], "separator": "|"},
            {"name": "own", "type": "multi", "columns": ["own"], "separator": "|", "vocabulary": "tags"},
        ],
    )
    ((*rows,),) = read_split(tmp_path, "train")
    assert {(row.keys[0], *row.multi) for row in rows} == {
        (10, (1, 2), (3, 4)),
        (11, (), ()),
        (12, (2, 3), (3,)),
        (13, (), (5,)),
    }
    assert card.unmatched == {"tags.csv": 2}
    assert card.splits["train"].duplicate_rows == 1
    dataset = Dataset.open(tmp_path / "dataset")
    assert dataset.vocabulary("tags").tolist() == [1, 2, 3, 4, 5]
    assert dataset.occurrences("tags").tolist() == [1, 2, 3, 1, 2]

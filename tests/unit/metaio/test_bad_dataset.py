"""What a damaged dataset says: which file, what was expected, what was found, what to do."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.metaio.made import Task, write_dataset

from gmeta_api.errors import DataError
from gmeta_worker.metaio import Dataset, EvaluationReader, StepReader, SupportPolicy
from gmeta_worker.metaio.card import Card, ChunkCard, FileCard, read_card
from gmeta_worker.metaio.files import checksum, write_table
from gmeta_worker.metaio.tasks import INDEX_SCHEMA
from gmeta_worker.metaio.verify import verify

REMEDY = "restore the file or run `gmeta prepare --overwrite`"
CHUNK = "train/chunk-00001.arrow"
CHUNKS = [[Task(4, 4)] * 3, [Task(5, 5)] * 2]


def read_everything(root: Path) -> None:
    dataset = Dataset.open(root)
    dataset.vocabulary("row")
    reader = StepReader(dataset.split("train"), tasks_per_step=2, support=SupportPolicy("fixed", size=1))
    with reader.epoch(0) as batches:
        list(batches)


def failure(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_everything(root)
    return str(caught.value)


def edit(root: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (root / name).write_bytes(change((root / name).read_bytes()))


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def change_card(root: Path, change: Callable[[Card], Card]) -> None:
    (root / "card.json").write_bytes(change(read_card(root)).to_json())


def replace_chunk(root: Path, batch: pa.RecordBatch) -> None:
    """Put another file in place of chunk 1, with a card that fits its bytes."""
    file = write_table(root, CHUNK, batch)

    def change(card: Card) -> Card:
        train = card.splits["train"]
        chunks = (train.chunks[0], ChunkCard(file, train.chunks[1].rows, train.chunks[1].tasks))
        return replace(card, splits={"train": replace(train, chunks=chunks)})

    change_card(root, change)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_dataset(tmp_path, CHUNKS)
    return tmp_path


def test_a_missing_folder(tmp_path: Path) -> None:
    assert failure(tmp_path / "no") == (
        f"{tmp_path / 'no'}: not a Meta-IO dataset (card.json is missing); run `gmeta prepare`"
    )


def test_an_unfinished_dataset(root: Path) -> None:
    (root / "card.json").unlink()
    assert failure(root) == f"{root}: not a Meta-IO dataset (card.json is missing); run `gmeta prepare`"


def test_a_file_in_place_of_a_dataset(root: Path) -> None:
    path = root / "card.json"
    assert failure(path) == f"{path}/card.json: cannot be read: Not a directory; check the path and its permissions"


def test_a_truncated_card(root: Path) -> None:
    edit(root, "card.json", lambda content: content[:100])
    message = failure(root)
    assert message.startswith(f"{root}/card.json: damaged card: Invalid JSON: EOF while parsing")
    assert message.endswith(f"; {REMEDY}")


def test_an_empty_card(root: Path) -> None:
    edit(root, "card.json", lambda _: b"")
    assert failure(root) == (
        f"{root}/card.json: damaged card: Invalid JSON: EOF while parsing a value at line 1 column 0; {REMEDY}"
    )


def test_a_card_without_a_field(root: Path) -> None:
    edit(root, "card.json", lambda content: content.replace(b'"left_out"', b'"left"'))
    assert failure(root) == f"{root}/card.json: damaged card: left_out: Field required; {REMEDY}"


def test_a_card_of_another_version(root: Path) -> None:
    edit(root, "card.json", lambda content: content.replace(b'"format": 1', b'"format": 2'))
    assert failure(root) == f"{root}/card.json: expected format 1, found 2; use the G-Meta version that wrote it"


def test_an_unknown_split(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.open(root).split("test")
    assert str(caught.value) == f"{root}: no split 'test'; the dataset has train"


def test_an_unknown_vocabulary(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.open(root).vocabulary("movie")
    assert str(caught.value) == f"{root}: no vocabulary 'movie'; the dataset has row"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        (CHUNK, "split train, chunk 1"),
        ("train/tasks.arrow", "split train, task index"),
        ("vocabulary/row.arrow", "vocabulary row"),
    ],
)
class TestEveryFile:
    def test_missing(self, root: Path, name: str, where: str) -> None:
        (root / name).unlink()
        assert failure(root) == f"{root}: {where} ({name}): the file is missing; {REMEDY}"

    def test_truncated(self, root: Path, name: str, where: str) -> None:
        size = (root / name).stat().st_size
        edit(root, name, lambda content: content[:-7])
        assert failure(root) == f"{root}: {where} ({name}): expected {size} bytes, found {size - 7}; {REMEDY}"

    def test_empty(self, root: Path, name: str, where: str) -> None:
        size = (root / name).stat().st_size
        edit(root, name, lambda _: b"")
        assert failure(root) == f"{root}: {where} ({name}): expected {size} bytes, found 0; {REMEDY}"

    def test_longer(self, root: Path, name: str, where: str) -> None:
        size = (root / name).stat().st_size
        edit(root, name, lambda content: content + b"x")
        assert failure(root) == f"{root}: {where} ({name}): expected {size} bytes, found {size + 1}; {REMEDY}"

    def test_one_bit_flipped(self, root: Path, name: str, where: str) -> None:
        edit(root, name, flip_a_bit)
        message = failure(root)
        assert message.startswith(f"{root}: {where} ({name}): expected checksum ")
        assert message.endswith(f"; {REMEDY}")

    def test_a_folder_in_its_place(self, root: Path, name: str, where: str) -> None:
        (root / name).unlink()
        (root / name).mkdir()
        assert failure(root) == f"{root}: {where} ({name}): the file cannot be read: Is a directory; {REMEDY}"


def test_a_chunk_with_other_columns(root: Path) -> None:
    replace_chunk(root, pa.record_batch({"keys": pa.array([1, 2, 3])}))
    assert failure(root) == (
        f"{root}: split train, chunk 1 ({CHUNK}): expected columns keys: fixed_size_list<item: int64>[2], numeric: "
        "fixed_size_list<item: float>[1], labels: fixed_size_list<item: float>[2], multi:copies: list<item: int64>, "
        f"found keys: int64; {REMEDY}"
    )


def test_a_chunk_with_other_rows(root: Path) -> None:
    other = write_dataset(root / "other", [[Task(7, 7)]])
    chunk = other.path / other.card.splits["train"].chunks[0].file.path
    replace_chunk(root, pa.ipc.open_file(chunk.read_bytes()).get_batch(0))
    shutil.rmtree(root / "other")
    assert failure(root) == f"{root}: split train, chunk 1: expected 10 rows, found 7; {REMEDY}"


def test_a_chunk_that_is_not_arrow(root: Path) -> None:
    replace_chunk(root, pa.record_batch({"keys": pa.array([1])}))
    content = b"not arrow at all"
    (root / CHUNK).write_bytes(content)
    replace_file_card(root, content)
    assert failure(root) == f"{root}: split train, chunk 1 ({CHUNK}): not an Arrow IPC file; {REMEDY}"


def test_a_chunk_of_two_record_batches(root: Path) -> None:
    batch = pa.ipc.open_file((root / CHUNK).read_bytes()).get_batch(0)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
    content = sink.getvalue().to_pybytes()
    (root / CHUNK).write_bytes(content)
    replace_file_card(root, content)
    assert failure(root) == f"{root}: split train, chunk 1 ({CHUNK}): expected 1 record batch, found 2; {REMEDY}"


def replace_file_card(root: Path, content: bytes) -> None:
    """Make the card fit the content of chunk 1."""

    def change(card: Card) -> Card:
        train = card.splits["train"]
        file = FileCard(CHUNK, len(content), checksum(pa.py_buffer(content)))
        return replace(card, splits={"train": replace(train, chunks=(train.chunks[0], ChunkCard(file, 10, 2)))})

    change_card(root, change)


def test_an_index_of_other_chunks(root: Path) -> None:
    columns = [[7], ["seven"], [0], [0], [12], [12]]
    batch = pa.record_batch(
        [pa.array(c, f.type) for c, f in zip(columns, INDEX_SCHEMA, strict=True)], schema=INDEX_SCHEMA
    )
    file = write_table(root, "train/tasks.arrow", batch)
    change_card(root, lambda card: replace(card, splits={"train": replace(card.splits["train"], index=file)}))
    assert failure(root) == (
        f"{root}: split train, task index (train/tasks.arrow): its tasks have 12 rows in 2 chunks, the card says 22 in "
        f"2; {REMEDY}"
    )


def test_good_steps_come_before_the_error(root: Path) -> None:
    edit(root, CHUNK, flip_a_bit)
    reader = EvaluationReader(Dataset.open(root).split("train"), tasks_per_step=2)
    batches = reader.batches(1)
    assert next(batches).row_ids == range(4)
    assert next(batches).row_ids == range(4, 12)
    with pytest.raises(DataError, match=r"split train, chunk 1 .*: expected checksum"):
        next(batches)


def test_a_checksum_is_compared_on_the_first_read_only(root: Path) -> None:
    split = Dataset.open(root).split("train")
    split.read_chunk(1)
    edit(root, CHUNK, flip_a_bit)
    split.read_chunk(1)
    with pytest.raises(DataError, match=r"expected checksum"):
        Dataset.open(root).split("train").read_chunk(1)


def test_verify_names_every_damaged_file_and_none_of_the_whole_ones(root: Path) -> None:
    assert verify(Dataset.open(root)) == []
    edit(root, CHUNK, flip_a_bit)
    (root / "vocabulary/row.arrow").unlink()
    problems = [str(problem) for problem in verify(Dataset.open(root))]
    assert len(problems) == 2
    assert problems[0].startswith(f"{root}: vocabulary row (vocabulary/row.arrow): the file is missing")
    assert problems[1].startswith(f"{root}: split train, chunk 1 ({CHUNK}): expected checksum")

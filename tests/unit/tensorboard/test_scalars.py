"""The event file as tensorboardX's protocol buffers and checksums have it, whatever happens to the coordinator."""

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore
from tensorboardX.proto.event_pb2 import Event as Proto
from tensorboardX.record_writer import masked_crc32c

from gmeta_api.document import JobDocument
from gmeta_worker.checkpoint.object_path import ObjectPath
from gmeta_worker.coordination.messages import CommitRef
from gmeta_worker.tensorboard import follow_scalars
from gmeta_worker.tensorboard.log import FILE
from gmeta_worker.tensorboard.records import restart_record, scalars_record, version_record

MakeDocument = Callable[..., JobDocument]


def protos(data: bytes) -> Iterator[Any]:
    """The messages of a file, with its frames and checksums checked."""
    while data:
        header, rest = data[:8], data[8:]
        (length,) = struct.unpack("<Q", header)
        checksum, body, after = rest[:4], rest[4 : 4 + length], rest[4 + length : 8 + length]
        assert checksum == struct.pack("<I", masked_crc32c(header))
        assert after == struct.pack("<I", masked_crc32c(body))
        yield Proto.FromString(body)
        data = rest[8 + length :]


@given(
    st.floats(0, 2e9),
    st.integers(0, 2**62),
    st.dictionaries(st.text(max_size=200), st.floats(width=32, allow_nan=False), max_size=30),
)
def test_a_record_of_scalars_is_read_back(time: float, step: int, scalars: dict[str, float]) -> None:
    (proto,) = protos(scalars_record(time, step, scalars))
    assert (proto.wall_time, proto.step) == (time, step)
    assert {value.tag: value.simple_value for value in proto.summary.value} == scalars


def test_the_other_records_are_read_back() -> None:
    version, restart = protos(version_record(5.0) + restart_record(6.0, 300))
    assert (version.wall_time, version.file_version) == (5.0, "brain.Event:2")
    assert (restart.step, restart.session_log.status) == (300, restart.session_log.START)


def read(data: bytes) -> dict[tuple[str, int], float]:
    return {(value.tag, proto.step): value.simple_value for proto in protos(data) for value in proto.summary.value}


def scalars_of(path: Path) -> dict[tuple[str, int], float]:
    return read(path.read_bytes())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / FILE


def test_a_run_as_tensorboard_sees_it(history: Any, document: MakeDocument, tmp_path: Path, file: Path) -> None:
    history.formed(0.0).progress(1.0, 10, 2.0, loss=0.75).progress(3.0, 30, 4.0, loss=math.nan, evaluation=50.0)
    history.evaluation(4.0, 30, auc=0.625).commit(5.0, 30).finish(6.0)
    follow = follow_scalars(tmp_path, document(), [])
    for event in history.events:
        follow(event)
    seen = scalars_of(file)
    assert seen["train/loss", 10] == 0.75
    assert ("train/loss", 30) not in seen, "what is not a number has no point"
    assert seen["train/samples_per_second", 30] == 1000 / 2, "evaluations are left out"
    assert seen["train/tasks_per_second", 30] == 20.0
    assert ("train/samples_per_second", 10) not in seen
    assert seen["valid_auc/click-1-shot-unadapted", 30] == 0.625
    assert seen["valid_ndcg_10/click-10-shot-adapted", 30] == pytest.approx(1.4)
    optimizer = document().spec.optimizer
    assert seen["learning_rate/dense", 10] == pytest.approx(optimizer.dense.rate)
    assert seen["learning_rate/sparse", 10] == pytest.approx(optimizer.sparse.rate)


def test_learning_rates_follow_their_schedules(
    history: Any, document: MakeDocument, tmp_path: Path, file: Path
) -> None:
    given = document().model_dump(mode="json", by_alias=True)
    given["spec"]["optimizer"]["dense"] |= {"rate": 0.5, "schedule": {"type": "constant", "warmupSteps": 20}}
    follow = follow_scalars(tmp_path, JobDocument.model_validate(given), [])
    for event in history.progress(1.0, 10, 1.0).progress(2.0, 30, 2.0).events:
        follow(event)
    seen = scalars_of(file)
    assert (seen["learning_rate/dense", 10], seen["learning_rate/dense", 30]) == (0.25, 0.5)


def test_steps_that_are_trained_again_are_forgotten(history: Any, document: MakeDocument, tmp_path: Path) -> None:
    history.formed(0.0).progress(1.0, 10, 1.0).commit(2.0, 10).progress(3.0, 20, 2.0).formed(4.0)
    formed = history.events[-1].message
    reference = CommitRef(attempt=0, generation=1, step=10, path="a0/s10")
    again = history.events[-1].model_copy(update={"message": formed.model_copy(update={"commit": reference})})
    follow = follow_scalars(tmp_path, document(), history.events[:-1])
    follow(again)
    *_, last = protos((tmp_path / FILE).read_bytes())
    assert (last.step, last.session_log.status) == (11, last.session_log.START)


@pytest.mark.parametrize("killed_after", range(6))
@pytest.mark.parametrize("torn", [0, 1, 30])
def test_a_coordinator_that_is_started_again_goes_on_in_the_same_file(
    history: Any, document: MakeDocument, tmp_path: Path, file: Path, killed_after: int, torn: int
) -> None:
    history.formed(0.0).progress(1.0, 10, 1.0).evaluation(2.0, 10).progress(3.0, 20, 2.0).formed(4.0).progress(
        5.0, 5, 1
    )
    unbroken = follow_scalars(tmp_path / "unbroken", document(), [])
    for event in history.events:
        unbroken(event)
    first = follow_scalars(tmp_path, document(), [])
    for event in history.events[:killed_after]:
        first(event)
    if file.exists():
        file.write_bytes(file.read_bytes()[: -torn or None])
    second = follow_scalars(tmp_path, document(), history.events[:killed_after])
    for event in history.events[killed_after:]:
        second(event)
    if killed_after < len(history.events):
        expected = (tmp_path / "unbroken" / FILE).read_bytes()
        assert file.read_bytes() == expected


def test_an_object_is_written_anew_with_every_event_that_is_durable(history: Any, document: MakeDocument) -> None:
    folder = ObjectPath(MemoryStore(), "memory://run")
    history.progress(1.0, 10, 1.0).progress(2.0, 20, 2.0).evaluation(3.0, 20)
    follow = follow_scalars(folder, document(), history.events[:1])
    follow(history.events[1])
    assert not (folder / FILE).exists(), "progress alone is worth no request"
    follow(history.events[2])
    losses = [key for key in read((folder / FILE).read_bytes()) if key[0] == "train/loss"]
    assert losses == [("train/loss", 10), ("train/loss", 20)]


def test_another_files_content_is_replaced(history: Any, document: MakeDocument, tmp_path: Path, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"of another job" * 100)
    history.progress(1.0, 10, 1.0)
    follow_scalars(tmp_path, document(), [])(history.events[0])
    assert scalars_of(file)["train/loss", 10] == 0.5


def test_what_cannot_be_written_is_left_out_with_one_warning(
    history: Any, document: MakeDocument, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tensorboard").write_text("a file in its place")
    follow = follow_scalars(tmp_path, document(), [])
    for event in history.progress(1.0, 10, 1.0).progress(2.0, 20, 2.0).events:
        follow(event)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["no more scalars for TensorBoard"]

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmeta_api.errors import CheckpointError, CoordinationError
from gmeta_worker.coordination.events import Event, EventLog, job_clock_start, read_events

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def events(messages: Any) -> list[Event]:
    sent = [messages.formed(), messages.progress(1), messages.evaluation(1), messages.shard(2), messages.finish()]
    return [Event(at=float(n), time=NOON, generation=1, message=message) for n, message in enumerate(sent)]


def write(path: Path, events: list[Event]) -> bytes:
    with EventLog(path) as log:
        for event in events:
            log.append(event)
    return path.read_bytes()


def test_what_is_appended_is_what_is_read(events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "run" / "events.jsonl"
    write(path, events)
    assert list(read_events(path)) == events
    with EventLog(path) as log:
        assert log.events == events


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_crash_at_any_byte_loses_only_the_unfinished_line(share: float, events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    data = write(path, events)
    cut = round(share * len(data))
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n")
    assert list(read_events(path)) == events[:whole]
    with EventLog(path) as log:
        assert log.events == events[:whole]
        log.append(events[0])
    assert list(read_events(path)) == [*events[:whole], events[0]]


def test_a_damaged_line_is_named(events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = write(path, events).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"at": -1}\n', *lines[2:]]))
    with pytest.raises(CoordinationError) as error:
        EventLog(path)
    assert str(error.value) == (
        f"{path}: line 3 is not an event (at: Input should be greater than or equal to 0); "
        "delete the line, or the run folder to start afresh"
    )


def test_only_one_coordinator_holds_a_run_folder(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path):
        with pytest.raises(CoordinationError) as error:
            EventLog(path)
        assert str(error.value) == (
            f"{tmp_path}: another coordinator is running in this run folder; "
            "stop it first, or give this job its own spec.checkpoint.path"
        )
    with EventLog(path) as log:
        assert log.events == []


def test_a_full_disk_leaves_no_half_line(events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    real_write = os.write

    def write_a_little(descriptor: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data[:-20])

    with EventLog(path) as log:
        log.append(events[0])
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", write_a_little)
            with pytest.raises(CheckpointError) as error:
                log.append(events[1])
        assert str(error.value) == (
            f"{path}: cannot be written (No space left on device); "
            "free space on the checkpoint volume or fix its permissions"
        )
        log.append(events[2])
        assert log.events == [events[0], events[2]]
    assert list(read_events(path)) == [events[0], events[2]]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/events\.jsonl: cannot be written \("):
        EventLog(tmp_path / "file" / "events.jsonl")


@pytest.mark.parametrize(("later", "expected"), [(0, 4.0), (60, 64.0), (-3600, 4.0)])
def test_the_jobs_clock_goes_on_over_a_restart_and_never_back(
    later: float, expected: float, events: list[Event]
) -> None:
    assert job_clock_start(events, NOON + timedelta(seconds=later)) == expected


def test_the_jobs_clock_starts_at_zero() -> None:
    assert job_clock_start([], NOON) == 0.0

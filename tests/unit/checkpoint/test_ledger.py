import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gmeta_worker.checkpoint import Ledger


@settings(deadline=None)
@given(st.integers(1, 7), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 900)), max_size=40))
def test_advance_counts_steps_epochs_and_rows(steps_per_epoch: int, steps: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    for tasks, samples in steps:
        ledger = ledger.advance(steps_per_epoch=steps_per_epoch, tasks=tasks, samples=samples)
    assert (ledger.epoch, ledger.step) == divmod(len(steps), steps_per_epoch)
    assert ledger.global_step == len(steps)
    assert (ledger.tasks, ledger.samples) == (sum(t for t, _ in steps), sum(s for _, s in steps))
    assert Ledger.model_validate_json(ledger.model_dump_json()) == ledger


def test_the_ledger_is_immutable_and_never_negative() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Ledger().epoch = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Ledger.model_validate_json(json.dumps({"samples": -1}))

"""The cost model against numbers worked out by hand."""

import pytest

from gmeta_worker.forecast import Line, Network, Work, fit_rates, forecast

WORK = Work(samples=1000, keys=26_000, unique_rows=20_000, dim=16, number_bytes=4, dense_parameters=150_000)
GIGABIT = Network(bytes_per_second=125e6, latency=1e-4)
COMPUTING = {"input": 0.004, "lookup": 0.003, "gradients": 0.02, "exchange": 0.001, "update": 0.005}
RATES = {
    name: Line(0.0, seconds / amount)
    for (name, seconds), amount in zip(COMPUTING.items(), (26_000, 20_000, 1000, 20_000, 20_000), strict=True)
}


def test_bytes_of_a_step_are_those_of_its_ids_rows_and_dense_gradients() -> None:
    assert (WORK.id_bytes, WORK.row_bytes, WORK.dense_bytes) == (160_000, 1_280_000, 600_000)


def test_a_rank_alone_sends_nothing() -> None:
    assert forecast(WORK, RATES, GIGABIT, 1) == pytest.approx(
        {**COMPUTING, "ids, beyond the gradients": 0, "rows": 0, "row gradients": 0, "dense gradients": 0}
    )


def test_four_ranks_send_three_quarters_of_what_they_exchange_and_six_pieces_around_a_ring() -> None:
    found = forecast(WORK, RATES, GIGABIT, 4)
    assert found["rows"] == pytest.approx(3 * (320_000 / 125e6 + 1e-4))
    assert found["row gradients"] == found["rows"]
    assert found["dense gradients"] == pytest.approx(6 * (150_000 / 125e6 + 1e-4))
    assert found["ids, beyond the gradients"] == 0, "they travel while the step before computes"


def test_ids_that_take_longer_than_the_gradients_are_waited_for() -> None:
    slow = Network(bytes_per_second=1e6, latency=0.0)
    assert forecast(WORK, RATES, slow, 2)["ids, beyond the gradients"] == pytest.approx(0.08 - 0.02)


def test_rates_are_fitted_to_each_phase_by_what_it_grows_with() -> None:
    half = Work(samples=500, keys=13_000, unique_rows=10_000, dim=16, number_bytes=4, dense_parameters=150_000)
    seconds = [{name: 0.001 + value * share for name, value in COMPUTING.items()} for share in (0.5, 1.0)]
    rates = fit_rates([half, WORK], seconds)
    assert rates["gradients"].fixed == pytest.approx(0.001)
    assert rates["gradients"].each == pytest.approx(0.02 / 1000)
    assert rates["update"].each == pytest.approx(0.005 / 20_000)

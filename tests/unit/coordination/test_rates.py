import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_worker.coordination.rates import WINDOW_SECONDS, Rates, Sighting, rates, seen


def test_no_rate_before_the_second_sighting() -> None:
    assert rates(()) == Rates()
    assert rates((Sighting(1.0, 10, 1, 0.5),)) == Rates()
    assert rates((Sighting(1.0, 10, 1, 0.5), Sighting(1.0, 20, 2, 0.5))) == Rates()


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 20.0), min_size=2, max_size=60), st.floats(1.0, 1e6))
def test_a_steady_speed_is_found_whatever_the_times_of_the_reports(gaps: list[float], speed: float) -> None:
    window: tuple[Sighting, ...] = ()
    at = 0.0
    for gap in gaps:
        at += gap
        window = seen(window, Sighting(at, round(at * speed * 1000), round(at * 1000), at / 4))
    found = rates(window)
    seconds = window[-1].at - window[0].at
    assert found.samples == pytest.approx(1000 * speed, abs=2 / seconds)
    assert found.tasks == pytest.approx(1000, abs=2 / seconds)
    assert found.wait_share == pytest.approx(0.25)
    assert seconds <= max(WINDOW_SECONDS, gaps[-1])


def test_old_sightings_leave_the_window() -> None:
    window: tuple[Sighting, ...] = ()
    for second in range(100):
        samples = 10 * second if second < 60 else 600 + 20 * (second - 60)
        window = seen(window, Sighting(float(second), samples, second, 0.0))
    assert rates(window).samples == pytest.approx(20.0)
    assert len(window) == 31

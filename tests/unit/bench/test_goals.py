"""Goals of benchmarks: met, missed, told, and drawn."""

import io

import numpy as np
import pytest
from bench.goals import Goal, goal_table, goals_by_ending, missed, plot
from matplotlib.patches import Rectangle
from rich.console import Console

RATIOS = {"small: G-Meta / pandas": 2.0, "large: G-Meta / pandas": 0.5, "memory": 100.0, "only shown": 7.0}
GOALS = goals_by_ending(RATIOS, {": G-Meta / pandas": Goal(1.0, 3.0), "memory": Goal(100.0, at_most=True)})


@pytest.mark.parametrize(
    ("goal", "ratio", "met"),
    [
        (Goal(1.0), 1.0, True),
        (Goal(1.0), 0.999, False),
        (Goal(1.0, 2.0), 1.5, True),
        (Goal(1.0, at_most=True), 1.0, True),
        (Goal(1.0, at_most=True), 1.001, False),
    ],
)
def test_a_goal_is_a_bound(goal: Goal, ratio: float, met: bool) -> None:
    assert goal.met(ratio) is met


def test_a_goal_says_what_it_asks_for() -> None:
    assert str(Goal(1.7, 2.2)) == "at least 1.7 (aim 2.2)"
    assert str(Goal(150.0, at_most=True)) == "at most 150"


def test_a_goal_is_that_of_every_ratio_with_its_ending() -> None:
    assert set(GOALS) == {"small: G-Meta / pandas", "large: G-Meta / pandas", "memory"}
    assert missed(RATIOS, GOALS) == ["large: G-Meta / pandas"]


def test_the_table_marks_what_is_missed_and_shows_what_has_no_goal() -> None:
    told = io.StringIO()
    Console(file=told, width=100).print(goal_table(RATIOS, GOALS))
    lines = {line.split("│")[1].strip(): line for line in told.getvalue().splitlines() if "│" in line}
    assert "MISSED" in lines["large: G-Meta / pandas"]
    assert "met" in lines["memory"]
    assert [cell.strip() for cell in lines["only shown"].split("│")] == ["", "only shown", "7", "", "", ""]


def test_the_plot_has_a_bar_for_each_ratio_and_a_mark_for_each_goal() -> None:
    (axes,) = plot("prepare", RATIOS, GOALS).axes
    widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert widths == list(RATIOS.values())
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == [[1.0, 1.0], [1.0, 1.0], [100.0, 100.0]]
    assert axes.get_xscale() == "log"

"""Choosing traces, the table in the terminal, and curves."""

import random
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import jsonl
from distill.evaluate.scores import read_scores, result_lines
from distill.report.html import visible
from distill.report.pick import Chosen, cut, pick
from distill.report.plots import TrainingRow, loss_plot, nice, score_plot, thinned
from distill.report.table import result_rows, result_text
from distill.run import Run
from distill.traces import read_judged
from distill.types import Trace


@given(st.lists(st.integers(0, 1000), unique=True), st.integers(1, 20), st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_arrival(
    keys: list[int], size: int, rng: random.Random
) -> None:
    shuffled = list(keys)
    rng.shuffle(shuffled)
    chosen: Chosen[int] = Chosen(size)
    for key in shuffled:
        if chosen.wants(key):
            chosen.add(key, key)
    assert chosen.items == sorted(keys)[:size]


def test_picked_counts_are_those_of_the_files(full_run: Run) -> None:
    picked = pick(full_run)
    statuses = [judged.verdict.status for judged in read_judged(full_run.path) if judged.verdict]
    assert {status: group.total for status, group in picked.statuses.items()} == {
        status: statuses.count(status) for status in set(statuses)
    }
    assert picked.kept is not None
    assert picked.kept + sum(group.total for group in picked.dropped.values()) == picked.traces
    assert all(s.prompt for group in picked.statuses.values() for s in group.shown)
    assert all(s.status == "wrong" for s in picked.dropped["wrong"].shown)


def test_traces_without_a_verdict_are_counted_apart(empty_run: Run) -> None:
    row = Trace(series="s", problem_id="p", sample=0, response="x")
    jsonl.write_rows(empty_run.traces / "0" / "000000.jsonl", [row])
    picked = pick(empty_run)
    assert (picked.traces, picked.unjudged, picked.statuses) == (1, 1, {})


@given(st.text(max_size=60), st.integers(8, 40))
def test_a_cut_text_accounts_for_every_character(text: str, limit: int) -> None:
    before, hidden, after = cut(text, limit)
    assert len(before) + hidden + len(after) == len(text)
    assert text.startswith(before) and text.endswith(after)
    assert len(before) + len(after) <= limit


@given(st.text())
def test_visible_text_is_visible_and_already_visible_text_stays(text: str) -> None:
    once = visible(text)
    assert visible(once) == once
    assert not set("\x00\x1b\u202e\u2028\r") & set(once)


def test_the_table_in_the_terminal_has_every_score_with_both_intervals(full_run: Run) -> None:
    scores = read_scores(full_run)
    table = result_text(scores)
    lines = table.split("\n")
    assert lines[0].split() == [
        "benchmark",
        "role",
        "model",
        "pass@1",
        "sampling",
        "problems",
        "of",
        "teacher",
    ]
    assert len(result_rows(scores)) == len(scores.scores) == 6
    assert all(line.count("–") == 2 for line in lines[1:7])
    assert "tiny: 300 problems × 4 samples; 0 of 300 test problems occur in training." in lines


@pytest.mark.parametrize("value", [1e-9, 0.03, 0.999, 1.0, 1.01, 9.99, 10.0, 123.4, 1e7])
def test_an_axis_ends_at_a_round_figure_just_above(value: float) -> None:
    assert value <= nice(value) <= 2.5 * value


def test_a_long_curve_is_thinned_to_means_that_keep_its_level() -> None:
    rows = [TrainingRow(step=i, loss=i % 2) for i in range(1, 10_001)]
    points = thinned(rows)
    assert len(points) <= 240
    assert all(p.y == pytest.approx(0.5, abs=0.02) for p in points)


@pytest.mark.parametrize("losses", [[0.0], [5.0], [3.0, 2.0, float("1e9")]])
def test_curves_of_any_shape_are_well_formed(losses: list[float]) -> None:
    rows = [TrainingRow(step=i + 1, loss=loss) for i, loss in enumerate(losses)]
    ElementTree.fromstring(loss_plot("<a & b>", rows))


def test_the_picture_of_scores_says_them_in_words(full_run: Run) -> None:
    picture = ElementTree.fromstring(score_plot(result_lines(read_scores(full_run))))
    description = picture.findtext("desc") or ""
    assert "tiny, student tiny-qwen: " in description
    assert len(description.split("; ")) == 6

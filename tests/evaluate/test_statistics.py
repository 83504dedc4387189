"""pass@1 and its two intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.evaluate import statistics
from distill.evaluate.statistics import Interval, pass_at_1, shrunken, student_t, wilson


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 400)


WILSON = [
    # value, attempts, low, high: Brown, Cai and DasGupta 2001, worked by hand to four digits
    (0.0, 10, 0.0, 0.2775),
    (1.0, 10, 0.7225, 1.0),
    (0.5, 10, 0.2366, 0.7634),
    (0.1, 100, 0.0552, 0.1744),
]


@pytest.mark.parametrize(("value", "attempts", "low", "high"), WILSON)
def test_wilson_agrees_with_the_table(value: float, attempts: int, low: float, high: float) -> None:
    assert wilson(value, attempts) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(3, 3.182), (5, 2.571), (10, 2.228), (29, 2.045), (1000, 1.962)]
)
def test_students_quantile_agrees_with_the_table(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, rel=0.01)


@st.composite
def counts(draw: st.DrawFn) -> tuple[list[int], int]:
    samples = draw(st.integers(1, 16))
    return draw(st.lists(st.integers(0, samples), min_size=1, max_size=40)), samples


@settings(max_examples=60, deadline=None)
@given(counts())
def test_intervals_hold_the_value_lie_in_0_to_1_and_have_width(case: tuple[list[int], int]) -> None:
    correct, samples = case
    value, *intervals = pass_at_1(correct, samples)
    assert value == pytest.approx(sum(correct) / (len(correct) * samples))
    for low, high in intervals:
        assert 0.0 <= low <= value <= high <= 1.0
        assert high - low > 0.5 / (len(correct) * samples)


@settings(max_examples=40, deadline=None)
@given(counts())
def test_right_and_wrong_are_mirror_images(case: tuple[list[int], int]) -> None:
    correct, samples = case
    one = pass_at_1(correct, samples)
    other = pass_at_1([samples - c for c in correct], samples)
    assert other.value == pytest.approx(1 - one.value)
    # The resamples differ by noise, so the mirror is not exact.
    assert other.problems == pytest.approx((1 - one.problems.high, 1 - one.problems.low), abs=0.02)
    assert other.sampling == pytest.approx((1 - one.sampling.high, 1 - one.sampling.low), abs=0.02)


@given(st.floats(0, 1), st.floats(1, 1e5), st.floats(1.1, 10))
def test_more_attempts_never_widen_wilson(value: float, attempts: float, more: float) -> None:
    wide, narrow = wilson(value, attempts), wilson(value, attempts * more)
    assert wide.low <= narrow.low + 1e-12 and narrow.high <= wide.high + 1e-12


def test_the_same_counts_and_seed_give_the_same_intervals() -> None:
    assert pass_at_1([4, 0, 2, 3], 4, seed=7) == pass_at_1([4, 0, 2, 3], 4, seed=7)


def test_one_sample_a_problem_does_not_pretend_that_asking_again_changes_nothing() -> None:
    estimate = pass_at_1([1] * 15 + [0] * 15, 1)
    assert estimate.sampling.high - estimate.sampling.low > 0.3


def test_problems_that_are_always_or_never_solved_leave_little_to_sampling() -> None:
    estimate = pass_at_1([16] * 15 + [0] * 15, 16)
    assert estimate.sampling.high - estimate.sampling.low < 0.03
    assert estimate.problems.high - estimate.problems.low > 0.3


@pytest.mark.parametrize("samples", [1, 64])
def test_zero_of_thirty_problems_does_not_rule_out_a_tenth(samples: int) -> None:
    assert pass_at_1([0] * 30, samples).problems.high > 0.1
    assert pass_at_1([samples] * 30, samples).problems.low < 0.9


def test_one_problem_says_nothing_about_others_like_it() -> None:
    assert pass_at_1([3], 4).problems == Interval(0.0, 1.0)


def test_drawn_in_chances_keep_the_mean_and_the_noise_within_problems() -> None:
    rng = np.random.default_rng(0)
    shares = rng.binomial(4, rng.beta(2, 2, 4000)) / 4
    chances = shrunken(shares, 4)
    assert chances.mean() == pytest.approx(shares.mean())
    assert (chances * (1 - chances)).mean() == pytest.approx(0.2, abs=0.01)  # E p(1-p), Beta(2, 2)


# a, b of the Beta that chances are drawn from, problems, samples
WORLDS = [(0.3, 0.3, 30, 4), (5, 1, 30, 4), (1, 1, 100, 1), (0.2, 3, 30, 16), (20, 20, 60, 4)]


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize(("a", "b", "problems", "samples"), WORLDS)
def test_both_intervals_cover_about_95_times_in_100(
    a: float, b: float, problems: int, samples: int
) -> None:
    rng, rounds = np.random.default_rng(11), 150
    sampling = like_these = 0
    for seed in range(rounds):
        chances = rng.beta(a, b, problems)
        estimate = pass_at_1(rng.binomial(samples, chances).tolist(), samples, seed=seed)
        sampling += estimate.sampling.low <= chances.mean() <= estimate.sampling.high
        like_these += estimate.problems.low <= a / (a + b) <= estimate.problems.high
    assert sampling / rounds > 0.9  # 0.95 less three standard errors of 150 rounds is 0.897
    assert like_these / rounds > 0.9

"""Two intervals for one pass@1, and what each of them means.

    estimate = pass_at_1([4, 3, 0, 4], samples=4, seed=0)
    estimate.value                        # 0.6875: mean over problems of correct / samples
    estimate.sampling                     # these problems, asked again
    estimate.problems                     # other problems like these, asked as often

The bootstrap gives the spread, Wilson's formula the shape: percentiles of a bootstrap have no width
at 0 and 1 and lean the wrong way close to them. The spread becomes an effective number of
independent attempts (``p (1 - p) / spread²``), and Wilson's interval is taken on that.

Not a comparison: two models on the same problems are to be compared pair by pair, not by whether
their intervals overlap.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
Z = 1.959964  # 95%, two sides
# How many outcomes of the rarer sort a guess about the spread is worth. One success in 120 attempts
# says next to nothing about whether successes cluster in few problems; hundreds of them do.
PRIOR_OUTCOMES = 4
_CELLS = 4_000_000  # resampled numbers in memory at once: 32 MB

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A 95% interval, inside [0, 1]."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A score with the two answers to "how sure is that?"."""

    value: float
    sampling: Interval
    problems: Interval


def wilson(value: float, attempts: float, z: float = Z) -> Interval:
    """Wilson's score interval (1927) for a share seen in so many independent attempts.

    It always holds ``value``; at 0 it is [0, z² / (attempts + z²)], the rule of three's two-sided kin.
    """
    if attempts <= 0:
        return Interval(0.0, 1.0)
    ratio = z * z / attempts
    centre = (value + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * (value * (1 - value) + ratio / 4)) / (1 + ratio)
    low = 0.0 if value <= 0 else min(value, max(0.0, centre - half))
    high = 1.0 if value >= 1 else max(value, min(1.0, centre + half))
    return Interval(low, high)


def student_t(freedom: int) -> float:
    """The two-sided 95% quantile of Student's t (Cornish-Fisher; within 1% from 3 degrees on)."""
    z, v = Z, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def shrunken(shares: Floats, samples: int) -> Floats:
    """Each problem's own chance, estimated: its share of correct samples, drawn towards the mean.

    Raw shares are too extreme (3 of 4 seen is not 0.75 known), so resampling from them understates
    the noise. They are drawn in until the noise left within problems is the unbiased estimate of it.
    With one sample nothing separates problem from luck: all shares become the mean, which gives the
    widest interval that the data allow instead of none.
    """
    mean, between = float(shares.mean()), float(shares.var())
    total = mean * (1 - mean)
    if samples < 2 or between == 0.0:
        return np.full_like(shares, mean)
    within = (total - between) * samples / (samples - 1)
    known = _rarer(shares, samples)
    keep = max(0.0, (total - within) / between) * known / (known + PRIOR_OUTCOMES)
    return np.clip(mean + math.sqrt(keep) * (shares - mean), 0.0, 1.0)


def sampling_interval(shares: Floats, samples: int, rng: np.random.Generator) -> Interval:
    """These problems, new samples: a parametric bootstrap within each problem."""
    value = float(shares.mean())
    chances = shrunken(shares, samples)
    means = [
        rng.binomial(samples, chances, size=(rows, len(shares))).mean(axis=1) / samples
        for rows in _blocks(len(shares))
    ]
    spread2 = float(np.concatenate(means).var())
    attempts = float(len(shares) * samples)
    return wilson(value, value * (1 - value) / spread2 if spread2 > 0 else attempts)


def problems_interval(shares: Floats, samples: int, rng: np.random.Generator) -> Interval:
    """Problems like these: a bootstrap over whole problems, all samples of one kept together."""
    count = len(shares)
    if count < 2:
        return Interval(0.0, 1.0)  # one problem says nothing about others like it
    value = float(shares.mean())
    total = value * (1 - value)
    if total == 0.0:
        return wilson(value, count)
    means = [
        shares[rng.integers(count, size=(rows, count))].mean(axis=1) for rows in _blocks(count)
    ]
    spread2 = float(np.concatenate(means).var()) * count / (count - 1)
    # Between the two cases that are possible: every problem all or nothing, and all problems alike.
    known = _rarer(shares, samples)
    spread2 = (known * spread2 + PRIOR_OUTCOMES * total / count) / (known + PRIOR_OUTCOMES)
    spread2 = max(spread2, total / (count * samples))
    return wilson(value, total / spread2, student_t(count - 1))


def pass_at_1(correct: Sequence[int], samples: int, *, seed: int = 0) -> Estimate:
    """pass@1 of problems of which ``correct[i]`` out of ``samples`` planned samples were right."""
    assert correct and samples > 0, f"{len(correct)=} {samples=}"
    assert all(0 <= c <= samples for c in correct), f"{max(correct)=} {samples=}"
    shares = np.asarray(correct, dtype=np.float64) / samples
    sampling, problems = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    return Estimate(
        float(shares.mean()),
        sampling_interval(shares, samples, sampling),
        problems_interval(shares, samples, problems),
    )


def _rarer(shares: Floats, samples: int) -> float:
    """How many outcomes of the rarer sort (right or wrong) were seen."""
    return float(min(shares.sum(), (1 - shares).sum()) * samples)


def _blocks(width: int) -> list[int]:
    """`RESAMPLES` cut into blocks of rows that fit in memory."""
    rows = max(1, _CELLS // max(1, width))
    return [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]

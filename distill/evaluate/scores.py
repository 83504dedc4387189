"""``scores.json``: what was measured, and everything that could have changed it.

    scores = read_scores(run)
    for line in result_lines(scores): ...         # base → student → teacher, benchmark by benchmark
    broken_range(line.student)                    # how far checkers that broke could move a score

The file holds no times, so that the same replies give the same bytes.
"""

from typing import NamedTuple

import msgspec

from distill import jsonl
from distill.errors import DistillError
from distill.evaluate.statistics import Interval, pass_at_1
from distill.run import Run
from distill.types import STATUSES, Record, Role, Sampling, Score, Status

BROKEN: tuple[Status, ...] = ("checker_error", "timeout")


class BenchmarkSettings(Record, frozen=True, kw_only=True):
    """What was asked. ``overlap``: how many of its problems occur in the training problems."""

    benchmark: str
    problems: int
    sha256: str
    samples: int
    sampling: Sampling
    overlap: int | None = None


class ModelSettings(Record, frozen=True, kw_only=True):
    """Who was asked. ``revision`` is the card's, or 16 hex of sha256 over a local model's weights."""

    role: Role
    model: str
    benchmark: str
    revision: str | None
    template: str
    series: str
    checkers: list[str]


class Settings(Record, frozen=True, kw_only=True):
    """Everything besides luck that could move a score."""

    engine: str
    seed: int
    versions: dict[str, str]
    benchmarks: list[BenchmarkSettings]
    models: list[ModelSettings]


class Scores(Record, frozen=True, kw_only=True):
    """The whole of ``scores.json``."""

    scores: list[Score]
    settings: Settings


class Outcomes(NamedTuple):
    """What one model did on one benchmark: right answers per problem, statuses over all traces."""

    correct: dict[str, int]
    statuses: dict[Status, int]
    checkers: list[str]
    failed: int
    missing: int


class Line(NamedTuple):
    """One student on one benchmark, beside its start and its teacher (None: not measured)."""

    benchmark: str
    student: Score | None
    base: Score | None
    teacher: Score | None

    @property
    def share(self) -> float | None:
        """The student's pass@1 as a share of the teacher's."""
        if self.student is None or self.teacher is None or self.teacher.value == 0:
            return None
        return self.student.value / self.teacher.value


def score(
    benchmark: str, model: str, role: Role, outcomes: Outcomes, samples: int, seed: int
) -> Score:
    """pass@1 over all planned samples: what is not judged correct counts as not correct."""
    assert outcomes.missing == 0, f"{benchmark} {role} {model}: {outcomes.missing=}"
    estimate = pass_at_1(list(outcomes.correct.values()), samples, seed=seed)
    counts: dict[str, int] = {
        status: outcomes.statuses[status] for status in STATUSES if outcomes.statuses.get(status)
    }
    if outcomes.failed:
        counts["failed"] = outcomes.failed
    assert sum(counts.values()) == len(outcomes.correct) * samples, f"{counts=}"
    return Score(
        benchmark=benchmark,
        model=model,
        role=role,
        value=round(estimate.value, 6),
        sampling_low=round(estimate.sampling.low, 6),
        sampling_high=round(estimate.sampling.high, 6),
        problems_low=round(estimate.problems.low, 6),
        problems_high=round(estimate.problems.high, 6),
        problems=len(outcomes.correct),
        samples=samples,
        status_counts=counts,
    )


def broken_range(score: Score) -> Interval | None:
    """The values the score could take, had no checker broken or timed out; None if none did."""
    broken = sum(score.status_counts.get(status, 0) for status in BROKEN)
    planned = score.problems * score.samples
    return Interval(score.value, score.value + broken / planned) if broken and planned else None


def result_lines(scores: Scores) -> list[Line]:
    """Benchmark by benchmark, student by student; a teacher without students has a line too."""
    found = {(s.benchmark, s.role, s.model): s for s in scores.scores}
    teachers = {s.benchmark: s for s in scores.scores if s.role == "teacher"}
    lines = []
    for benchmark in dict.fromkeys(s.benchmark for s in scores.scores):
        students = dict.fromkeys(
            s.model for s in scores.scores if s.benchmark == benchmark and s.role != "teacher"
        )
        teacher = teachers.get(benchmark)
        for name in students:
            student = found.get((benchmark, "student", name))
            lines.append(Line(benchmark, student, found.get((benchmark, "base", name)), teacher))
        if not students:
            lines.append(Line(benchmark, None, None, teacher))
    return lines


def write_scores(run: Run, scores: Scores) -> None:
    jsonl.write_bytes(
        run.scores, msgspec.json.format(msgspec.json.encode(scores), indent=2) + b"\n"
    )


def read_scores(run: Run) -> Scores:
    """Raises `Missing` when nothing was measured yet, `DistillError` when the file is damaged."""
    data = run.need(run.scores, "distill eval").read_bytes()
    try:
        return msgspec.json.decode(data, type=Scores)
    except msgspec.DecodeError as error:
        raise DistillError(f"{run.scores}: {error}; make it again with 'distill eval'") from None

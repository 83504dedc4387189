"""The result table, as the terminal shows it and as the page does.

    print(result_text(read_scores(run)))

    benchmark  role     model      pass@1  sampling     problems     of teacher
    tiny       base     tiny-qwen    0.4%  0.2–1.0%     0.1–1.3%
               student  tiny-qwen   88.2%  86.2–89.9%   85.3–90.5%   95%
               teacher  tiny        92.6%  91.0–93.9%   90.4–94.3%

No score is shown without both of its intervals.
"""

from typing import NamedTuple

from distill.evaluate.scores import BenchmarkSettings, Scores, broken_range, result_lines
from distill.types import Role, Score

INTERVALS = (
    "95% intervals. sampling: these problems, asked again. problems: other problems like these."
)


class Row(NamedTuple):
    """One score with its figures as text."""

    benchmark: str
    role: Role
    model: str
    value: str
    sampling: str
    problems: str
    share: str


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def interval(low: float | None, high: float | None) -> str:
    """``86.2–89.9%``; a published score without intervals says so."""
    return "not given" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}%"


def result_rows(scores: Scores) -> list[Row]:
    """Base, student, teacher for each benchmark; a teacher stands once below its students."""
    rows: list[Row] = []
    lines = result_lines(scores)
    for number, line in enumerate(lines):
        share = "" if line.share is None else f"{line.share:.0%}"
        last = number + 1 == len(lines) or lines[number + 1].benchmark != line.benchmark
        for score in (line.base, line.student, line.teacher if last else None):
            if score is not None:
                rows.append(_row(score, share if score.role == "student" else ""))
    return rows


def _row(score: Score, share: str) -> Row:
    return Row(
        benchmark=score.benchmark,
        role=score.role,
        model=score.model,
        value=percent(score.value),
        sampling=interval(score.sampling_low, score.sampling_high),
        problems=interval(score.problems_low, score.problems_high),
        share=share,
    )


def notes(scores: Scores) -> list[str]:
    """What must be said beside the table: overlap with training, broken checkers."""
    said = [overlap_note(settings) for settings in scores.settings.benchmarks]
    for score in scores.scores:
        moved = broken_range(score)
        if moved is not None:
            said.append(
                f"Checkers broke or timed out on {score.role} {score.model}, {score.benchmark}: "
                f"its pass@1 could lie anywhere from {percent(moved.low)} to {percent(moved.high)}."
            )
    return said


def overlap_note(settings: BenchmarkSettings) -> str:
    asked = f"{settings.problems:,} problems × {settings.samples} samples"
    if settings.overlap is None:
        return f"{settings.benchmark}: {asked}; the run has no training problems to compare with."
    return (
        f"{settings.benchmark}: {asked}; {settings.overlap:,} of {settings.problems:,} test problems "
        "occur in training."
    )


def result_text(scores: Scores) -> str:
    """The table and its notes in plain text."""
    head = Row("benchmark", "role", "model", "pass@1", "sampling", "problems", "of teacher")  # type: ignore[arg-type]
    rows = [head, *result_rows(scores)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines, before = [], ""
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if row.benchmark == before:
            cells[0] = " " * widths[0]
        cells[3] = row.value.rjust(widths[3])
        lines.append("  ".join(cells).rstrip())
        before = row.benchmark
    return "\n".join([*lines, "", *notes(scores), INTERVALS])

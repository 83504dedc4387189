"""Pictures as inline SVG: no library, no script, colours from the page's style sheet.

    loss_plot("tiny-qwen", rows)        # Markup
    score_plot(result_lines(scores))

Every picture has a title and a description in words; the figures stand in a table beside it as well.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from distill.evaluate.scores import Line
from distill.types import Record, Score

WIDTH = 720
POINTS = 240  # of a curve: more than the page has pixels for helps nobody


class TrainingRow(Record, frozen=True, kw_only=True):
    """One optimiser step (``students/NAME/training.jsonl``)."""

    step: int
    loss: float
    lr: float = 0.0
    tokens: int = 0
    seconds: float = 0.0


class Point(NamedTuple):
    x: float
    y: float


def svg(height: int, title: str, description: str, parts: Sequence[Markup]) -> Markup:
    """A picture as wide as its column, with its text alternative."""
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(WIDTH, height, f"{title}. {description}", title, description, Markup("").join(parts))


def text(x: float, y: float, content: str, style: str = "", anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>').format(
        x, y, style, anchor, content
    )


def rule(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(
        x1, y1, x2, y2, style
    )


def thinned(rows: Sequence[TrainingRow], count: int = POINTS) -> list[Point]:
    """At most ``count`` points: the mean loss of as many equal stretches of steps."""
    size = -(-len(rows) // count)
    stretches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [Point(part[-1].step, sum(row.loss for row in part) / len(part)) for part in stretches]


def loss_plot(student: str, rows: Sequence[TrainingRow]) -> Markup:
    """Training loss by step, from 0."""
    points, height = thinned(rows), 224
    left, right, top, bottom = 48, WIDTH - 12, 14, height - 26
    steps, highest = max(p.x for p in points), max(p.y for p in points) or 1.0
    ceiling = nice(highest)

    def place(point: Point) -> Point:
        return Point(
            left + (right - left) * point.x / max(1.0, steps),
            bottom - (bottom - top) * min(1.0, max(0.0, point.y / ceiling)),
        )

    path = " ".join(f"{p.x:.1f},{p.y:.1f}" for p in map(place, points))
    parts = []
    for quarter in range(5):
        y = bottom - (bottom - top) * quarter / 4
        parts.append(rule(left, y, right, y, "axis" if quarter == 0 else "grid"))
        parts.append(text(left - 8, y + 4, f"{ceiling * quarter / 4:.3g}", "tick", "end"))
        x = left + (right - left) * quarter / 4
        anchor = ("start", "middle", "middle", "middle", "end")[quarter]
        parts.append(text(x, bottom + 18, f"{steps * quarter / 4:,.0f}", "tick", anchor))
    parts.append(Markup('<polyline points="{}" class="curve"/>').format(path))
    last = place(points[-1])
    parts.append(
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" class="dot student"/>').format(*last)
    )
    first, end = rows[0], rows[-1]
    description = f"{first.loss:.3f} at step {first.step:,}, {end.loss:.3f} at step {end.step:,}"
    return svg(height, f"Training loss of {student}", description, parts)


def nice(value: float) -> float:
    """The next round figure above: a small step times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        power * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15) if power * step >= value
    )


def score_plot(lines: Sequence[Line]) -> Markup:
    """One row per score: a dot, a thick bar for `sampling`, a thin one for `problems`."""
    left, right, row = 200, WIDTH - 64, 26
    parts: list[Markup] = []
    said: list[str] = []
    y = 18
    for benchmark in dict.fromkeys(line.benchmark for line in lines):
        parts.append(text(0, y + 4, benchmark, "label"))
        y += row
        for score in _in_order([line for line in lines if line.benchmark == benchmark]):
            parts += _score_row(score, left, right, y)
            said.append(f"{benchmark}, {score.role} {score.model}: {100 * score.value:.1f}%")
            y += row
        y += 8
    bottom = y - 14
    grid = []
    for quarter in range(5):
        x = left + (right - left) * quarter / 4
        grid.append(rule(x, 28, x, bottom, "grid"))
        grid.append(text(x, bottom + 18, f"{25 * quarter}%", "tick", "middle"))
    return svg(bottom + 26, "pass@1 with both 95% intervals", "; ".join(said), [*grid, *parts])


def _in_order(lines: Sequence[Line]) -> list[Score]:
    """Base and student of each line, then the teacher, which they share."""
    own = [score for line in lines for score in (line.base, line.student) if score]
    return own + [line.teacher for line in lines[:1] if line.teacher]


def _score_row(score: Score, left: float, right: float, y: float) -> list[Markup]:
    def x(value: float) -> float:
        return left + (right - left) * value

    parts = [text(left - 12, y + 4, clipped(f"{score.role} {score.model}"), "name", "end")]
    for low, high, style in (
        (score.problems_low, score.problems_high, "wide"),
        (score.sampling_low, score.sampling_high, "narrow"),
    ):
        if low is not None and high is not None:
            parts.append(rule(x(low), y, x(high), y, f"{style} {score.role}"))
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4.5" class="dot {}"/>')
    parts.append(dot.format(x(score.value), y, score.role))
    parts.append(text(WIDTH, y + 4, f"{100 * score.value:.1f}%", "figure", "end"))
    return parts


def clipped(name: str, limit: int = 26) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"

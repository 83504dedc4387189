"""The report: one HTML file that shows a whole run, offline, without a script.

    path = write_report(run)        # RUN/report.html

What models wrote is hostile text. Everything printed goes through `visible` (control and bidi
characters become their code points) and Jinja's autoescape, and the page's Content-Security-Policy
allows nothing but its own inline style. A stage that has not run says so, with its command.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from distill import cards, jsonl
from distill.errors import DistillError
from distill.evaluate.scores import Line, Scores, read_scores, result_lines
from distill.report.pick import TEXT_LIMIT, Picked, Shown, pick, pick_attempts
from distill.report.plots import TrainingRow, loss_plot, score_plot
from distill.report.table import INTERVALS, Row, notes, percent, result_rows
from distill.run import Run, flat
from distill.types import Rejected
from distill.yamlfile import dump_yaml

# The page may show its own inline style and nothing else: no script, no request, no form.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)

# Controls, bidi marks and overrides, invisible characters, tags. Joiners (U+200C, U+200D) stay:
# Persian, Hindi and emoji need them. Variation selectors stay for the same reason.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

REASONS = {
    "truncated": "stopped by the token budget before its end",
    "wrong": "the answer is not the expected one",
    "no_answer": "no answer could be found in the response",
    "timeout": "the checker did not finish in time; no judgement of the trace",
    "checker_error": "the checker broke; no judgement of the trace",
    "unchecked": "of a kind that is not checked",
    "think_format": "the thinking is not where it should be",
    "overlap": "the problem stands in a benchmark",
    "duplicate": "the same text as an earlier trace of this problem",
    "surplus": "enough traces of this problem were kept",
}


class Curve(NamedTuple):
    """A student's training: the picture and its figures."""

    student: str
    picture: Markup
    rows: list[TrainingRow]
    steps: int
    tokens: int
    seconds: float


class Step(NamedTuple):
    """One bar of the funnel."""

    label: str
    number: int
    share: float
    style: str
    hint: str = ""
    examples: list[Shown] = []


class Fact(NamedTuple):
    name: str
    value: str


class Attempts(NamedTuple):
    """What a student wrote on a benchmark, a few of each."""

    student: str
    benchmark: str
    shown: list[Shown]


class Page(NamedTuple):
    """Everything the template shows."""

    name: str
    headline: str
    cards: list[Fact]
    rows: list[Row]
    score_picture: Markup | None
    notes: list[str]
    steps: list[Step]
    picked: Picked
    attempts: list[Attempts]
    curves: list[Curve]
    rejected: int
    provenance: list[Fact]
    settings: list[Fact]
    manifest: list[Fact]
    recipe: str


def visible(text: str) -> str:
    """Text in which nothing hides: invisible and direction-changing characters show their number."""
    return _HIDDEN.sub(lambda m: f"⟨U+{ord(m.group()):04X}⟩", text.replace("\r\n", "\n"))


def environment() -> Environment:
    """Jinja with both guards on: what is printed is made visible first, then escaped."""
    guard: Callable[[object], object] = lambda value: (  # noqa: E731
        visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
    )
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=guard,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {"percent": percent, "count": lambda number: f"{number:,}"}
    return jinja


def write_report(run: Run) -> Path:
    """Write ``report.html`` from whatever the run holds by now."""
    page = gather(run)
    html = (
        environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            policy=POLICY,
            css=Markup((Path(__file__).parent / "report.css").read_text(encoding="utf-8")),
            intervals=INTERVALS,
            option=run.option,
            text_limit=TEXT_LIMIT,
        )
    )
    jsonl.write_bytes(run.report, html.encode("utf-8", errors="replace"))
    return run.report


# ── gathering ────────────────────────────────────────────────────────────────────────────────────


def gather(run: Run) -> Page:
    scores = read_scores(run) if run.scores.exists() else None
    lines = result_lines(scores) if scores else []
    picked = pick(run)
    curves = [curve for path in _trained(run) if (curve := _curve(path)) is not None]
    return Page(
        name=run.path.resolve().name,
        headline=headline(lines, picked),
        cards=_cards(run, lines, picked, curves),
        rows=result_rows(scores) if scores else [],
        score_picture=score_plot(lines) if lines else None,
        notes=notes(scores) if scores else [],
        steps=funnel(run, picked),
        picked=picked,
        attempts=_attempts(run, lines),
        curves=curves,
        rejected=sum(1 for _ in jsonl.read(run.rejected, Rejected)) if run.rejected.exists() else 0,
        provenance=_provenance(run),
        settings=_settings(scores) if scores else [],
        manifest=[Fact(key, str(value)) for key, value in flat(run.read_manifest()).items()],
        recipe=dump_yaml(run.recipe),
    )


def headline(lines: list[Line], picked: Picked) -> str:
    """The run in one sentence."""
    for line in lines:
        if line.student is None:
            continue
        said = f"{line.student.model} solves {percent(line.student.value)} of {line.benchmark}"
        if line.base is not None:
            said += f", from {percent(line.base.value)} before training"
        if line.teacher is not None:
            said += f"; its teacher {line.teacher.model} solves {percent(line.teacher.value)}"
        return said + "."
    if picked.traces:
        return f"{picked.traces:,} traces so far, and no student measured yet."
    return "Nothing has been generated yet."


def _cards(run: Run, lines: list[Line], picked: Picked, curves: list[Curve]) -> list[Fact]:
    """The few figures at the top."""
    facts = []
    share = next((line.share for line in lines if line.share is not None), None)
    if share is not None:
        facts.append(Fact("of the teacher's score", f"{share:.0%}"))
    if picked.traces:
        facts.append(Fact("traces from the teacher", f"{picked.traces:,}"))
    if picked.kept is not None:
        facts.append(Fact("kept to learn from", f"{picked.kept:,}"))
    if "wrong" in picked.dropped and picked.traces:
        wrong = picked.dropped["wrong"].total / picked.traces
        facts.append(Fact("dropped as wrong", percent(wrong)))
    if curves:
        facts.append(Fact("optimiser steps", f"{curves[0].steps:,}"))
    return facts


def funnel(run: Run, picked: Picked) -> list[Step]:
    """From planned traces to training rows; each reason with its share of what was judged."""
    if not picked.traces:
        return []
    judged = picked.traces - picked.unjudged
    problems = jsonl.seal(run.problems).rows if run.problems.exists() else 0
    planned = max(problems * run.recipe.generate.samples, picked.traces)
    hint = f"{problems:,} problems × {run.recipe.generate.samples} samples"
    steps = [
        Step("planned", planned, 1.0, "plain", hint),
        Step("generated", picked.traces, picked.traces / planned, "plain"),
        Step("judged", judged, judged / planned, "plain"),
    ]
    if picked.kept is None:
        return steps
    for reason, group in picked.dropped.items():
        said = REASONS.get(reason, "")
        steps.append(
            Step(reason, group.total, group.total / max(1, judged), "lost", said, group.shown)
        )
    steps.append(
        Step("kept", picked.kept, picked.kept / max(1, judged), "kept", "what students learn from")
    )
    return steps


def _trained(run: Run) -> list[Path]:
    return sorted(run.students.glob("*/training.jsonl"))


def _curve(path: Path) -> Curve | None:
    rows = list(jsonl.read(path, TrainingRow, on_bad=lambda bad: None))  # a torn tail is no step
    if not rows:
        return None
    student = path.parent.name
    every = max(1, len(rows) // 10)
    shown = [*rows[:-1:every], rows[-1]]
    last, tokens = rows[-1], sum(row.tokens for row in rows)
    return Curve(student, loss_plot(student, rows), shown, last.step, tokens, last.seconds)


def _attempts(run: Run, lines: list[Line], each: int = 3) -> list[Attempts]:
    """Of every student on its first benchmark."""
    found: dict[str, Attempts] = {}
    for line in lines:
        if line.student is None or line.student.model in found:
            continue
        name, problems = line.student.model, run.evals / f"{line.benchmark}.problems.jsonl"
        shown = pick_attempts(run.evals / f"student-{name}" / line.benchmark, problems, each)
        found[name] = Attempts(name, line.benchmark, shown)
    return list(found.values())


def _provenance(run: Run) -> list[Fact]:
    """Who made it, under which licence, with which seeds and versions."""
    recipe, manifest = run.recipe, run.read_manifest()
    facts = [Fact("distill", str(manifest["distill"])), *_card_facts("teacher", recipe.teacher)]
    for student in recipe.students:
        facts += _card_facts("student", student)
    facts.append(
        Fact(
            "seeds", f"run {recipe.seed}, training {recipe.train.seed}, eval {recipe.evaluate.seed}"
        )
    )
    facts.append(Fact("versions", ", ".join(f"{k} {v}" for k, v in manifest["versions"].items())))
    machine = manifest["hardware"]
    gpus = len(machine.get("gpus") or [])
    facts.append(Fact("machine", f"{machine['machine']}, {machine['cpus']} cores, {gpus} GPUs"))
    return facts


def _card_facts(role: str, name: str) -> list[Fact]:
    """A card's model, revision and licence; a card that has moved since is said, not an error."""
    try:
        card = cards.load_teacher(name) if role == "teacher" else cards.load_student(name)
    except DistillError as error:
        return [Fact(f"{role} {name}", str(error))]
    facts = [
        Fact(f"{role} {card.name}", card.model or "random start"),
        Fact("revision", card.revision or "not pinned"),
        Fact("licence", card.licence or "not stated"),
    ]
    if card.licence_asks:
        facts.append(Fact("the licence asks", card.licence_asks))
    if isinstance(card, cards.Teacher) and card.made:
        facts.append(Fact("made by", card.made))
    facts += [
        Fact(f"{score.benchmark}, published", f"{score.value:g}% ({score.source})")
        for score in card.published
    ]
    return facts


def _settings(scores: Scores) -> list[Fact]:
    return [Fact(k, str(v)) for k, v in flat(msgspec.to_builtins(scores.settings)).items()]

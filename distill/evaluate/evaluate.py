"""Measure the students of a run beside their own start and their teacher.

    scores = evaluate_run(open_run(Path("run")))

An evaluation is a generation by the model on a benchmark: `produce` asks, judges and resumes, in
``eval/ROLE-MODEL/BENCHMARK/``. A model's revision is part of its series, so an unchanged one is not
asked again and a retrained one is measured anew (its old traces are set aside, not deleted).

``scores.json`` holds what the last call measured. Not a comparison of two runs.
"""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from distill import cards, jsonl
from distill.engine.choose import open_engine, teacher
from distill.engine.protocol import Engine, Served
from distill.errors import DistillError, Missing
from distill.evaluate import benchmarks as benchmark_cards
from distill.evaluate.benchmarks import Benchmark, overlap_count
from distill.evaluate.scores import (
    BenchmarkSettings,
    ModelSettings,
    Outcomes,
    Scores,
    Settings,
    write_scores,
)
from distill.evaluate.scores import score as score_outcomes
from distill.generate.produce import Tally, produce
from distill.progress import Progress
from distill.recipe import Recipe
from distill.run import Run, versions
from distill.series import Asker, identity_of, template_hash
from distill.traces import STANDARD_MARKS, read_judged
from distill.types import Failed, Kind, Problem, Role, Score, Status
from distill.verify.check import require_checkers
from distill.verify.judge import Judge, open_judge
from distill.verify.pool import CheckPool

ASKED = "problems.sha256"  # of the benchmark's problems, beside the traces that answer them


class Subject(NamedTuple):
    """A model to be measured: the name that people know it by, and where its weights are."""

    role: Role
    served: Served
    revision: str | None
    template: str
    instruction: dict[Kind, str]

    @property
    def name(self) -> str:
        return self.served.name


# ── who ──────────────────────────────────────────────────────────────────────────────────────────


def present_students(run: Run) -> list[str]:
    """Students with an exported model, the recipe's order first."""
    found = sorted(
        path.name for path in run.students.glob("*") if any(path.glob("model*.safetensors"))
    )
    order = [own_name(name) for name in run.recipe.students]
    return sorted(
        found, key=lambda name: (order.index(name) if name in order else len(order), name)
    )


def own_name(name: str) -> str:
    """A student's name in the run folder, given its card by name or path."""
    return cards.load_student(name).name if cards.is_path(name) else name


def card_of(recipe: Recipe, name: str) -> str | None:
    """How the card of a student with this name is loaded: as the recipe says, else a shipped one."""
    given = next((given for given in recipe.students if own_name(given) == name), None)
    return given or (name if name in cards.names("students") else None)


def subjects(run: Run, students: Sequence[str]) -> Iterator[Subject]:
    """Base and student for each name, then the teacher, as the recipe wants them."""
    recipe = run.recipe
    shown = recipe.instruction if recipe.show_instruction else {}
    for name in students:
        given = card_of(recipe, name)
        card = cards.load_student(given) if given else None
        marks, serve = (card.marks, card.serve) if card else (STANDARD_MARKS, cards.Serve())
        if recipe.evaluate.base:
            path, revision = _base(run, name, given)
            start = Served(name=name, model=path, revision=revision, marks=marks, serve=serve)
            yield _subject("base", start, shown)
        trained = Served(name=name, model=str(run.student(name)), marks=marks, serve=serve)
        yield _subject("student", trained, shown)
    if recipe.evaluate.teacher:
        yield _subject("teacher", teacher(recipe.teacher), recipe.instruction)


def _base(run: Run, name: str, given: str | None) -> tuple[str, str | None]:
    """Where a student started: its exported random start, else the model that its card names."""
    start = run.path / "bases" / name
    if start.is_dir():
        return str(start), None
    card = cards.load_student(given) if given else None
    if given is None or card is None or card.model is None:
        raise Missing(
            f"{start} is not there: run 'distill train --student {name}{run.option}' again, "
            "or set 'base: false' under 'eval' in the recipe"
        )
    return cards.local_model(given, "students", card.model), card.revision


def _subject(role: Role, served: Served, instruction: dict[Kind, str]) -> Subject:
    revision = identity_of(served.model, served.revision)
    return Subject(role, served, revision, template_hash(served.model or ""), instruction)


# ── what it did ──────────────────────────────────────────────────────────────────────────────────


def read_outcomes(folder: Path, series: str, problems: Sequence[Problem], samples: int) -> Outcomes:
    """Count the planned identities below a folder; anything else there is ignored."""
    correct = {problem.id: 0 for problem in problems}
    statuses: Counter[Status] = Counter()
    checkers: set[str] = set()
    for trace, verdict in read_judged(folder):
        planned = trace.series == series and trace.problem_id in correct and trace.sample < samples
        if not planned or verdict is None:
            continue
        statuses[verdict.status] += 1
        checkers.add(verdict.checker)
        correct[trace.problem_id] += verdict.status == "correct"
    failed = 0
    if (folder / "failed.jsonl").exists():
        rows = jsonl.read(folder / "failed.jsonl", Failed)
        failed = sum(
            r.series == series and r.problem_id in correct and r.sample < samples for r in rows
        )
    missing = len(problems) * samples - statuses.total() - failed
    return Outcomes(correct, dict(statuses), sorted(checkers), failed, missing)


def set_aside(folder: Path, series: str, sha256: str) -> None:
    """Rename a folder that holds another series (a retrained student's) or other problems (the
    benchmark's file was mended) to ``BENCHMARK.SERIES``."""
    path, asked = folder / "series.json", folder / ASKED
    known = jsonl.read_blob(path, dict[str, msgspec.Raw]) if path.exists() else {}
    other_problems = asked.exists() and asked.read_text().strip() != sha256
    if known and (series not in known or other_problems):
        name = f"{folder.name}.{next(iter(known))}"
        free = (folder.with_name(f"{name}.{n}" if n else name) for n in itertools.count())
        folder.rename(next(path for path in free if not path.exists()))


Opener = Callable[[Run, Subject], Engine]


class Measured(NamedTuple):
    """One score and who was asked how."""

    score: Score
    settings: ModelSettings


async def measure(
    run: Run, subject: Subject, benchmarks: Sequence[Benchmark], pool: CheckPool, opener: Opener
) -> list[Measured]:
    """One model on all benchmarks; the model is loaded only if something is left to ask."""
    seed, engine = run.recipe.evaluate.seed, None
    measured = []
    try:
        for benchmark in benchmarks:
            folder = run.evals / f"{subject.role}-{subject.name}" / benchmark.name
            asker = _asker(subject, benchmark)
            set_aside(folder, asker.series, benchmark.sha256)
            plan = (folder, asker.series, benchmark.problems, benchmark.samples)
            outcomes = read_outcomes(*plan)
            if outcomes.missing:
                engine = engine or opener(run, subject)
                jsonl.write_bytes(folder / ASKED, benchmark.sha256.encode() + b"\n")
                await _ask(folder, benchmark, asker, engine, pool, seed, subject)
                outcomes = read_outcomes(*plan)
            score = score_outcomes(
                benchmark.name, subject.name, subject.role, outcomes, benchmark.samples, seed
            )
            settings = ModelSettings(
                role=subject.role,
                model=subject.name,
                benchmark=benchmark.name,
                revision=subject.revision,
                template=subject.template,
                series=asker.series,
                checkers=outcomes.checkers,
            )
            measured.append(Measured(score, settings))
    finally:
        if engine is not None:
            await engine.close()
    return measured


def _asker(subject: Subject, benchmark: Benchmark) -> Asker:
    own = benchmark.instruction
    kinds = {problem.kind for problem in benchmark.problems}
    return Asker(
        model=subject.name,
        revision=subject.revision,
        template=subject.template,
        instruction=subject.instruction if own is None else dict.fromkeys(sorted(kinds), own),
        sampling=benchmark.sampling,
        template_args=dict(subject.served.template_args),
        marks=subject.served.marks,
    )


def open_subject(run: Run, subject: Subject) -> Engine:
    """The engine that answers for a model, seeded so that a score can be had again."""
    recipe = run.recipe
    # An endpoint serves the teacher only; students and their starts are folders on this machine.
    kind = "auto" if recipe.engine == "endpoint" and subject.role != "teacher" else recipe.engine
    return open_engine(
        kind, subject.served, batch=recipe.generate.batch, seeded=True, logs=run.servers, say=say
    )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _ask(
    folder: Path, benchmark: Benchmark, asker: Asker, engine: Engine, pool: CheckPool, seed: int,
    subject: Subject,
) -> None:  # fmt: skip
    planned = len(benchmark.problems) * benchmark.samples
    stage = f"eval {subject.role} {subject.name} on {benchmark.name}"
    with Progress(stage, planned, "traces") as progress:

        def report(tally: Tally) -> None:
            right = tally.statuses["correct"] / tally.fresh if tally.fresh else 0.0
            progress.update(tally.done, correct=f"{right:.1%}")

        await produce(
            folder, benchmark.problems, asker, engine, pool,
            samples=benchmark.samples, seed=seed, report=report,
        )  # fmt: skip


# ── all of it ────────────────────────────────────────────────────────────────────────────────────


def evaluate_run(
    run: Run,
    *,
    students: Sequence[str] | None = None,
    benchmarks: Sequence[str] | None = None,
    opener: Opener = open_subject,
) -> list[Score]:
    """Score every student present (or those named), its base and the teacher; write ``scores.json``.

    ``opener`` opens a model when something is left to ask it (tests bring scripted ones).

    Raises `Missing` when the recipe has students and none is trained yet.
    """
    recipe = run.recipe
    names = list(dict.fromkeys(recipe.evaluate.benchmarks if benchmarks is None else benchmarks))
    if not names:
        raise DistillError("the recipe names no benchmark; list some under 'eval: benchmarks:'")
    chosen = _chosen(run, students)
    asked = [benchmark_cards.load(name, recipe.evaluate, sandbox=recipe.sandbox) for name in names]
    kinds = {problem.kind for benchmark in asked for problem in benchmark.problems}
    require_checkers(kinds, judge=recipe.judge is not None, sandbox=recipe.sandbox)
    who = list(subjects(run, chosen))
    judge = open_judge(recipe.judge, kinds, logs=run.servers, say=say)
    measured = asyncio.run(_measure_all(run, who, asked, opener, judge))
    by_benchmark = [m for b in asked for m in measured if m.score.benchmark == b.name]
    scores = Scores(
        scores=[m.score for m in by_benchmark],
        settings=Settings(
            engine=recipe.engine,
            seed=recipe.evaluate.seed,
            versions=versions(),
            benchmarks=[_benchmark_settings(run, benchmark) for benchmark in asked],
            models=[m.settings for m in by_benchmark],
        ),
    )
    for benchmark in asked:
        jsonl.write_rows(run.evals / f"{benchmark.name}.problems.jsonl", benchmark.problems)
    write_scores(run, scores)
    run.record("eval", scores=jsonl.seal(run.scores).sha256, benchmarks=names, students=chosen)
    return scores.scores


def _chosen(run: Run, students: Sequence[str] | None) -> list[str]:
    present = present_students(run)
    trained = [own_name(name) for name in run.recipe.students]
    wanted = (present or trained) if students is None else [own_name(name) for name in students]
    for name in wanted:
        if name not in present:
            command = f"distill train --student {name}"
            path = run.need(run.student(name), command)
            raise Missing(f"{path} holds no finished model: run '{command}{run.option}' first")
    return wanted


async def _measure_all(
    run: Run, who: Sequence[Subject], benchmarks: Sequence[Benchmark], opener: Opener,
    judge: Judge | None,
) -> list[Measured]:  # fmt: skip
    recipe = run.recipe
    with CheckPool(timeout_s=recipe.check_timeout_s, judge=judge, sandbox=recipe.sandbox) as pool:
        return [m for subject in who for m in await measure(run, subject, benchmarks, pool, opener)]


def _benchmark_settings(run: Run, benchmark: Benchmark) -> BenchmarkSettings:
    return BenchmarkSettings(
        benchmark=benchmark.name,
        problems=len(benchmark.problems),
        sha256=benchmark.sha256,
        samples=benchmark.samples,
        sampling=benchmark.sampling,
        overlap=overlap_count(run, benchmark.problems),
    )

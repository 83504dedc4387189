"""``distill generate``: the run's teacher answers the run's problems.

    summary = generate_run(open_run(Path("run"), "quickstart"))
    summary.statuses        # {"correct": 7312, "wrong": 880}

Problems are read once, into ``problems.jsonl``; from then on the run asks those, whatever happens to
their source. The arithmetic is printed before the first request, the truth after the last.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from distill import jsonl
from distill.cards import Teacher, load_teacher, model_of
from distill.engine.choose import open_engine, teacher
from distill.engine.protocol import Engine
from distill.errors import DistillError
from distill.generate.produce import Tally, produce, unasked
from distill.problems import Counted, load_problems
from distill.progress import Progress
from distill.recipe import Recipe
from distill.run import Run
from distill.series import Asker, identity_of, template_hash, weights_revision
from distill.traces import read_verdicts, segments
from distill.types import Problem, Rejected, Sampling, Status
from distill.verify.check import require_checkers
from distill.verify.judge import Judge, open_judge
from distill.verify.pool import CheckPool

Say = Callable[[str], object]


class Generated(NamedTuple):
    """What ``distill generate`` prints and records. ``graded``: the statuses of which a model is the
    judge, and no rule."""

    problems: int
    rejected: int
    planned: int
    traces: int
    made_now: int
    failed: int
    statuses: dict[Status, int]
    graded: dict[Status, int]
    completion_tokens: int
    seconds: float


def generate_run(
    run: Run, *, engine: Engine | None = None, judge: Judge | None = None, say: Say = print
) -> Generated:
    """Make all planned traces and verdicts of a run; what a former start made is kept.

    ``engine`` replaces the teacher's own, ``judge`` the recipe's (tests bring scripted ones).
    """
    recipe, card = run.recipe, load_teacher(run.recipe.teacher)
    problems, rejected = ensure_problems(run, say)
    kinds = {problem.kind for problem in problems}
    require_checkers(kinds, judge=bool(judge or recipe.judge), sandbox=recipe.sandbox)
    if rejected:
        say(
            f"{rejected:,} input rows cannot be used; each stands with its reason in {run.rejected}"
        )
    planned = len(problems) * recipe.generate.samples
    say(
        f"{len(problems):,} problems x {recipe.generate.samples} samples = {planned:,} traces "
        f"of at most {max_tokens(recipe, card):,} tokens from teacher '{card.name}'"
    )
    model = model_of(recipe.teacher)
    started = time.monotonic()
    asker = ask_as(recipe, card, model)
    if engine is None and unasked(run.path, problems, asker, samples=recipe.generate.samples):
        engine = open_engine(
            recipe.engine,
            teacher(recipe.teacher),
            batch=recipe.generate.batch,
            logs=run.servers,
            say=say,
        )
    judge = judge or open_judge(recipe.judge, kinds, logs=run.servers, say=say)
    tally = asyncio.run(_produce(run, problems, asker, engine, judge))
    seconds = time.monotonic() - started
    statuses, graded = count_statuses(run.path)
    before = run.read_manifest()["stages"].get("generate", {})
    run.record(
        "generate", problems=len(problems), rejected=rejected, planned=planned, teacher=card.name,
        model=card.model, revision=card.revision or weights_revision(model or ""), licence=card.licence,
        traces=tally.traces, failed=tally.failed, statuses=statuses, graded=graded,
        prompt_tokens=tally.prompt_tokens, completion_tokens=tally.completion_tokens,
        seconds=round(before.get("seconds", 0.0) + seconds, 1), sealed=tally.sealed,
    )  # fmt: skip
    run.log("generate", "done", made=tally.fresh, traces=tally.traces, seconds=round(seconds, 1))
    return Generated(
        problems=len(problems), rejected=rejected, planned=planned, traces=tally.traces,
        made_now=tally.fresh, failed=tally.failed, statuses=statuses, graded=graded,
        completion_tokens=tally.completion_tokens, seconds=round(seconds, 1),
    )  # fmt: skip


class Counts(NamedTuple):
    """How many verdicts of each status there are, and how many of these a model gave."""

    statuses: dict[Status, int]
    graded: dict[Status, int]


def count_statuses(folder: Path) -> Counts:
    """How many traces below a folder have which verdict. Reads only the verdict files."""
    counts: Counter[Status] = Counter()
    graded: Counter[Status] = Counter()
    for segment in segments(folder):
        for verdict in read_verdicts(segment.verdicts).values():
            counts[verdict.status] += 1
            graded[verdict.status] += verdict.graded
    return Counts(dict(counts.most_common()), dict((+graded).most_common()))


def ask_as(recipe: Recipe, card: Teacher, model: str | None) -> Asker:
    """How the teacher is asked in this run: what makes its series."""
    return Asker(
        model=card.name,
        revision=identity_of(model, card.revision),
        template=template_hash(model or ""),
        template_args=card.template_args,
        instruction=recipe.instruction,
        sampling=sampling(recipe, card),
        marks=card.marks,
    )


async def _produce(
    run: Run, problems: list[Problem], asker: Asker, engine: Engine | None, judge: Judge | None
) -> Tally:
    recipe = run.recipe
    planned = len(problems) * recipe.generate.samples
    with CheckPool(timeout_s=recipe.check_timeout_s, judge=judge, sandbox=recipe.sandbox) as pool, \
            Progress("generate", planned, "traces") as progress:  # fmt: skip
        try:
            return await produce(
                run.path, problems, asker, engine, pool,
                samples=recipe.generate.samples, seed=recipe.seed,
                report=lambda tally: progress.update(tally.done, **figures(tally)),
            )  # fmt: skip
        finally:
            if engine is not None:
                await engine.close()


def ensure_problems(run: Run, say: Say = print) -> tuple[list[Problem], int]:
    """The run's problems, read from their sources the first time, and how many rows were rejected."""
    if not run.problems.exists():
        rejected: list[Rejected] = []
        counts: list[Counted] = []
        problems = list(load_problems(run.recipe.problems, rejected.append, counts.append))
        for counted in counts:
            run.log("generate", "problems", **msgspec.to_builtins(counted))
            if counted.problems < counted.rows:
                say(str(counted))
        if not problems:
            raise DistillError(f"no usable problem: {_why_none(rejected, counts)}")
        jsonl.write_rows(run.rejected, rejected)
        jsonl.write_rows(run.problems, problems)
    rows = jsonl.seal(run.rejected).rows if run.rejected.exists() else 0
    return list(run.read_problems()), rows


def _why_none(rejected: list[Rejected], counts: list[Counted]) -> str:
    """What became of the rows when none of them is a problem."""
    if not sum(counted.rows for counted in counts):
        return "the sources have no rows"
    parts = [f"{len(rejected):,} rows were rejected"]
    left_out = sum((counted.not_chosen for counted in counts), Counter[str]())
    if left_out:
        columns = ", ".join(f"by '{name}' {n:,}" for name, n in left_out.most_common())
        parts.append(f"{left_out.total():,} were not chosen ({columns})")
    first = f"; the first rejected: {rejected[0].where}: {rejected[0].reason}" if rejected else ""
    return f"{' and '.join(parts)}{first}"


def sampling(recipe: Recipe, card: Teacher) -> Sampling:
    """The recipe's choice where it made one, else the card's recommendation."""
    chosen, advised = recipe.generate, card.sampling
    return Sampling(
        temperature=advised.temperature if chosen.temperature is None else chosen.temperature,
        top_p=advised.top_p if chosen.top_p is None else chosen.top_p,
        top_k=advised.top_k if chosen.top_k is None else chosen.top_k,
        max_tokens=max_tokens(recipe, card),
    )


def max_tokens(recipe: Recipe, card: Teacher) -> int:
    return recipe.generate.max_tokens or card.max_tokens


def figures(tally: Tally) -> dict[str, object]:
    """What the live line shows of a tally."""
    judged = sum(tally.statuses.values())
    if not judged:
        return {}
    return {
        "correct": f"{tally.statuses['correct'] / judged:.1%}",
        "tokens/s": f"{tally.fresh_tokens / max(tally.seconds, 1e-9):,.0f}",
    }

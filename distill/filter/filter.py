"""``distill filter``: every judged trace is kept, or dropped with a reason.

    funnel = filter_run(open_run(Path("run")))
    funnel.line()       # "8,192 traces → 5,914 kept, 2,278 dropped (wrong 1,801, truncated 305, …)"

Writes ``kept.jsonl``, ``dropped.jsonl`` and ``funnel.json``, each whole or not at all, and for a run the
Parquet files of ``dataset/``. The reasons and their order stand in `reasons.py`; the order of the rows
is the plan's (problem, series, sample), so the same traces give the same bytes in whatever order they
came. Another recipe's filter reads the same verdicts: nothing is checked again.

Memory: 90 bytes a trace, 300 a problem, the benchmarks' index, and one segment's verdicts.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import msgspec

from distill import jsonl
from distill.cards import Teacher, load_benchmark, load_teacher
from distill.errors import DistillError, Missing
from distill.filter.export import require_pyarrow, write_dataset
from distill.filter.overlap import OverlapIndex, find_overlap
from distill.filter.reasons import mark_texts, trace_filters
from distill.filter.sieve import Funnel, Sieve, Sifted
from distill.filter.spill import ranks
from distill.problems import load_problems, render_prompt
from distill.progress import Progress
from distill.recipe import Filter
from distill.run import Run
from distill.tracefile import FileRow, read_trace_file
from distill.traces import read_judged, segments
from distill.types import Kind, Problem, Rejected, Verdict

CHECKED: tuple[Kind, ...] = (
    "math",
    "choice",
    "gym",
    "judge",
    "open",
)  # kinds that `distill verify` judges


# ── a run ────────────────────────────────────────────────────────────────────────────────────────


def filter_run(run: Run, progress: Progress | None = None) -> Funnel:
    """Filter a run's traces by its recipe. Raises `Missing` while a trace has no verdict."""
    run.need(run.traces, "distill generate")
    require_pyarrow()
    recipe = run.recipe
    teacher = load_teacher(recipe.teacher)
    if progress:
        progress.total = sum(_count_rows(segment.traces) for segment in segments(run.path))
    leaked = _leaked(recipe.filter, recipe.evaluate.benchmarks, run.read_problems)
    with jsonl.locked(run.path), closing(_Problems(run)) as problems:
        sifted = _sift_run(run, problems, teacher, leaked, progress)
        funnel, rows = sifted.funnel, sifted.kept.rows
        _write_funnel(run.funnel, funnel)
        card = _card(funnel, teacher)
        write_dataset(run.kept, run.dataset, rows=rows, source=problems.source, card=card)
    _record(run, sifted, len(leaked))
    return funnel


def _sift_run(
    run: Run, problems: "_Problems", teacher: Teacher, leaked: dict[str, str],
    progress: Progress | None,
) -> Sifted:  # fmt: skip
    recipe, marks = run.recipe, mark_texts(teacher.marks)
    filters = trace_filters(recipe.filter, marks=marks, must_think=True, leaked=leaked)
    instruction = recipe.instruction if recipe.show_instruction else {}
    with Sieve(run.path, recipe.filter, filters) as sieve:
        for trace, verdict in read_judged(run.path):
            if verdict is None:
                raise Missing(
                    f"{run.path}: problem '{trace.problem_id}', sample {trace.sample} has no verdict; "
                    f"run 'distill verify{run.option}' first"
                )
            number, problem = problems.number(trace.problem_id), problems.read(trace.problem_id)
            sieve.add(number, problem, render_prompt(problem, instruction), trace, verdict)
            if progress:
                progress.update(len(sieve), kept=f"{sieve.passed:,}")
        if not len(sieve):
            raise Missing(f"{run.traces} holds no traces: run 'distill generate{run.option}' first")
        return sieve.finish(range(len(problems)), run.kept, run.dropped)


class _Problems:
    """A run's problems by id: the place of each in the file, and the text read when it is asked for.

    Memory: the id, its number and 16 bytes; about 200 bytes a problem.
    """

    def __init__(self, run: Run) -> None:
        run.need(run.problems, "distill generate")
        self._path, self._run = run.problems, run
        self._numbers: dict[str, int] = {}
        self._offsets = array("Q")
        self._lengths = array("Q")
        for line in jsonl.lines(run.problems):
            self._numbers[jsonl.decode(line.data, _Id).id] = len(self._offsets)
            self._offsets.append(line.offset)
            self._lengths.append(len(line.data))
        self._file = jsonl.open_bytes(run.problems)
        self._last: Problem | None = None

    def __len__(self) -> int:
        return len(self._offsets)

    def number(self, problem_id: str) -> int:
        """The problem's place in the plan."""
        if problem_id not in self._numbers:
            raise DistillError(
                f"{self._run.path}: there are traces of problem '{problem_id}', which is not in "
                f"{self._path.name}; put back the file that they were made from"
            )
        return self._numbers[problem_id]

    def read(self, problem_id: str) -> Problem:
        if self._last is None or self._last.id != problem_id:
            number = self.number(problem_id)
            self._file.seek(self._offsets[number])
            self._last = jsonl.decode(self._file.read(self._lengths[number]), Problem)
        return self._last

    def source(self, problem_id: str) -> str:
        return self.read(problem_id).source

    def close(self) -> None:
        self._file.close()


class _Id(msgspec.Struct, frozen=True):
    id: str


def _record(run: Run, sifted: Sifted, leaked: int) -> None:
    """What the manifest and the log keep of this filter."""
    funnel = msgspec.to_builtins(sifted.funnel)
    kept, dropped = sifted.kept._asdict(), sifted.dropped._asdict()
    run.record("filter", funnel=funnel, overlapping_problems=leaked, kept=kept, dropped=dropped)
    run.log("filter", "done", **funnel)


def _card(funnel: Funnel, teacher: Teacher) -> str:
    """The text of the data set's card, below its YAML head."""
    reasons = "".join(f"| {name} | {count:,} |\n" for name, count in funnel.dropped.items())
    asks = f" It asks of derived models: {teacher.licence_asks}." if teacher.licence_asks else ""
    return f"""
# Reasoning traces for distillation

{funnel.line()}

{funnel.problems_kept:,} of {funnel.problems:,} problems have at least one row here. The teacher is
{teacher.name} (licence: {teacher.licence or "not stated"}).{asks}

| reason | dropped |
|---|---:|
{reasons}
Columns: `messages` (the prompt, then the reply with its reasoning between `<think>` and `</think>`),
`problem_id`, `series` and `sample` (together the identity of the trace), `source` of the problem,
`tokens` of the reply as the teacher counts them.
"""


# ── a file ───────────────────────────────────────────────────────────────────────────────────────


def filter_file(
    path: Path,
    out: Path,
    choices: Filter,
    verdicts: Path | None = None,
    progress: Progress | None = None,
    *,
    kind: Kind = "math",
    benchmarks: Sequence[str] = (),
) -> Funnel:
    """Filter any trace file into ``out``; rows that cannot be used go to ``rejected.jsonl``.

    ``verdicts`` (by default those of ``out``, else those beside the file) must be what `verify_file`
    made from this file. A row without think marks may stay: short answers are a format, too.
    """
    verdicts = _find_verdicts(path, out, verdicts)
    results = {name: out / f"{name}.jsonl" for name in ("kept", "dropped", "rejected")}
    if path.resolve() in {result.resolve() for result in results.values()}:
        raise DistillError(f"{path} would be overwritten by what is made of it; use another --out")
    if progress:
        progress.total = _count_rows(path)
    rejected: list[Rejected] = []
    leaked = _leaked(
        choices, benchmarks, lambda: (row.problem for row in read_trace_file(path, kind=kind, on_bad=_pass))
    )  # fmt: skip
    filters = trace_filters(choices, marks=mark_texts(), must_think=False, leaked=leaked)
    numbers: dict[str, int] = {}
    with jsonl.locked(out), Sieve(out, choices, filters) as sieve:
        rows = read_trace_file(path, kind=kind, on_bad=rejected.append)
        for row, verdict in _join(rows, verdicts, path, rejected.append):
            number = numbers.setdefault(row.problem.id, len(numbers))
            extra = row.extra if row.given_id is None else {"id": row.given_id, **row.extra}
            prompt = render_prompt(row.problem, {})
            sieve.add(number, row.problem, prompt, row.trace, verdict, extra)
            if progress:
                progress.update(len(sieve) + len(rejected), kept=f"{sieve.passed:,}")
        # A file has no plan: by id, so that a shuffled file gives the same bytes.
        sifted = sieve.finish(ranks(list(numbers)), results["kept"], results["dropped"])
        jsonl.write_rows(results["rejected"], rejected)
        funnel = msgspec.structs.replace(sifted.funnel, rejected=len(rejected))
        _write_funnel(out / "funnel.json", funnel)
    return funnel


def _find_verdicts(path: Path, out: Path, given: Path | None) -> Path:
    places = [given] if given else [out / "verdicts.jsonl", path.parent / "verdicts.jsonl"]
    for place in places:
        if place.exists():
            return place
    raise Missing(f"{places[0]} is not there yet: run 'distill verify {path} --out {out}' first")


def _join(
    rows: Iterator[FileRow], path: Path, source: Path, on_bad: jsonl.OnBad
) -> Iterator[tuple[FileRow, Verdict]]:
    """Rows with their verdicts, which stand in the order of the file. A row of a kind that nothing
    checks yet has none, and is set aside."""
    verdicts = jsonl.read(path, Verdict)
    verdict = next(verdicts, None)
    for row in rows:
        if verdict is not None and verdict.identity == row.trace.identity:
            yield row, verdict
            verdict = next(verdicts, None)
        elif row.problem.kind not in CHECKED:
            on_bad(Rejected(where=row.where, reason=f"no verdict for kind '{row.problem.kind}'"))
        else:
            _refuse_verdicts(path, source, row.where)
    if verdict is not None:
        _refuse_verdicts(path, source, f"problem '{verdict.problem_id}'")


def _refuse_verdicts(path: Path, source: Path, where: str) -> NoReturn:
    raise DistillError(
        f"{path} was not made from {source} as it is now (first difference: {where}); "
        f"run 'distill verify {source} --out {path.parent}' again"
    )


# ── both ─────────────────────────────────────────────────────────────────────────────────────────


def _leaked(
    choices: Filter, benchmarks: Sequence[str], problems: Callable[[], Iterator[Problem]]
) -> dict[str, str]:
    """Problem id to evidence for what overlaps with the benchmarks; empty if that is switched off."""
    if not choices.overlap or not benchmarks:
        return {}
    return find_overlap(problems, OverlapIndex(_benchmark_problems(benchmarks)))


def _benchmark_problems(benchmarks: Sequence[str]) -> Iterator[tuple[str, Problem]]:
    for name in benchmarks:
        card = load_benchmark(name)
        try:
            for problem in load_problems([card.problems], on_bad=_refuse_row):
                yield card.name, problem
        except DistillError as error:
            raise DistillError(
                f"benchmark '{name}' cannot be read to look for overlap with it: {error}; "
                "to do without, set 'filter.overlap: false' in the recipe"
            ) from None


def _refuse_row(row: Rejected) -> NoReturn:
    """A benchmark problem that does not read could be the one that leaked."""
    raise DistillError(f"{row.where}: {row.reason}")


def _write_funnel(path: Path, funnel: Funnel) -> None:
    jsonl.write_bytes(path, msgspec.json.format(msgspec.json.encode(funnel), indent=2) + b"\n")


def _count_rows(path: Path) -> int:
    """For the progress line only: newlines, not rows that can be read."""
    with jsonl.open_bytes(path) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _pass(row: Rejected) -> None:
    """Rows that cannot be used are counted where the file is read for good."""

"""Judging what is on disk: the traces of a run, or any file of model answers.

    verify_run(run)                                   # traces that have no verdict yet
    verify_run(run, again=True)                       # all of them, with the checkers of today
    verify_file([Path("answers.jsonl")], Path("out")) # out/verdicts.jsonl, out/rejected.jsonl

Both return a `Verified` and print nothing. A run's verdicts are appended beside its traces and the
newest counts, so a stop loses nothing; a file's verdicts appear whole or not at all.
"""

import contextlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from distill import jsonl
from distill.errors import DistillError
from distill.progress import Progress
from distill.run import Run
from distill.tracefile import FileRow, read_trace_file
from distill.traces import Judged, Segment, read_judged_segment, segments
from distill.types import KINDS, Identity, Kind, Problem, Record, Rejected, Status, Trace, Verdict
from distill.verify.check import require_checkers
from distill.verify.judge import Judge, open_judge
from distill.verify.pool import CheckPool


class Verified(Record, frozen=True, kw_only=True):
    """What a verification did. ``statuses`` are of all traces, ``graded`` of those that a model judged;
    ``changes`` of those judged again."""

    rows: int
    judged: int
    rejected: int = 0
    statuses: dict[Status, int] = {}
    graded: dict[Status, int] = {}
    changes: dict[str, int] = {}

    @property
    def changed(self) -> int:
        """How many verdicts have another status than before."""
        return sum(self.changes.values())

    def line(self) -> str:
        """``8,192 traces → correct 5,914, wrong 1,801, ...; 300 judged now``."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.statuses.items())
        text = f"{self.rows:,} {'rows' if self.rejected else 'traces'} → {counts or 'none'}"
        text += f", rejected {self.rejected:,}" if self.rejected else ""
        text += f"; {self.judged:,} judged now{graded_line(self.graded)}"
        changes = ", ".join(f"{name} {count:,}" for name, count in self.changes.items())
        return f"{text}; changed: {changes}" if changes else text


def graded_line(graded: Mapping[Status, int]) -> str:
    """``; of these by a model: correct 5, wrong 2``, or nothing."""
    counts = ", ".join(f"{name} {count:,}" for name, count in graded.items())
    return f"; of these by a model: {counts}" if counts else ""


def _figures(statuses: Counter[Status]) -> dict[str, int]:
    return {str(status): count for status, count in statuses.items()}


class Sources(Record, frozen=True, kw_only=True):
    """What ``verdicts.jsonl`` was made from (``verified.json`` beside it): name and sha256 of each file."""

    files: list[str]
    kind: Kind


class FileVerdict(Verdict, frozen=True, kw_only=True):
    """A row of ``verdicts.jsonl`` for a file: the verdict, with the input's ``id`` if it had one."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


# ── a run ────────────────────────────────────────────────────────────────────────────────────────


def verify_run(
    run: Run, again: bool = False, progress: Progress | None = None, *, judge: Judge | None = None,
    sandbox: str | None = None,
) -> Verified:  # fmt: skip
    """Judge the traces of a run that have no verdict (``again``: all), shard by shard under its lock.
    ``judge`` and ``sandbox`` replace the recipe's.

    Memory: the run's problems without their prompts, and one segment's verdicts. Raises
    `DistillError` while another process writes to the run.
    """
    problems = {problem.id: _without_prompt(problem) for problem in run.read_problems()}
    run.need(run.traces, "distill generate")
    kinds = {problem.kind for problem in problems.values()}
    sandbox = sandbox or run.recipe.sandbox
    require_checkers(kinds, judge=bool(judge or run.recipe.judge), sandbox=sandbox)
    judge = judge or open_judge(run.recipe.judge, kinds, logs=run.servers)
    statuses: Counter[Status] = Counter()
    graded: Counter[Status] = Counter()
    changes: Counter[str] = Counter()
    todo = segments(run.path)
    if progress:
        progress.total = sum(1 for segment in todo for _ in jsonl.lines(segment.traces))
    judged = 0
    timeout_s = run.recipe.check_timeout_s
    with CheckPool(timeout_s=timeout_s, judge=judge, sandbox=sandbox) as pool:
        for segment in todo:
            with jsonl.locked(segment.traces.parent):
                for old, new in _judge_segment(segment, problems, pool, again):
                    statuses[new.status] += 1
                    graded[new.status] += new.graded
                    judged += old is not new
                    if old and old.status != new.status:
                        changes[f"{old.status} → {new.status}"] += 1
                    if progress:
                        progress.update(statuses.total(), **_figures(statuses))
    return Verified(
        rows=statuses.total(),
        judged=judged,
        statuses=dict(statuses.most_common()),
        graded=dict((+graded).most_common()),
        changes=dict(changes.most_common()),
    )


def _judge_segment(
    segment: Segment, problems: dict[str, Problem], pool: CheckPool, again: bool
) -> Iterator[tuple[Verdict | None, Verdict]]:
    """Every trace's verdict before and now, the new ones written; the same object if not judged."""
    waiting: deque[Judged] = deque()
    kept: list[Verdict] = []

    def pairs() -> Iterator[tuple[Problem, Trace]]:
        for judged in read_judged_segment(segment):
            if judged.verdict and not again:
                kept.append(judged.verdict)
            else:
                waiting.append(judged)
                yield _problem_of(judged.trace.identity, problems, segment), judged.trace

    with jsonl.Appender(segment.verdicts) as out:
        for new in pool.judge_all(pairs()):
            yield from ((old, old) for old in kept)
            kept.clear()
            before = waiting.popleft().verdict
            if new != before:
                out.append(new)
            yield before, new
    yield from ((old, old) for old in kept)


def _problem_of(identity: Identity, problems: dict[str, Problem], segment: Segment) -> Problem:
    problem = problems.get(identity.problem_id)
    if problem is None:
        raise DistillError(
            f"{segment.traces}: problem '{identity.problem_id}' is not in the run's problems.jsonl; "
            "put back the problems.jsonl that these traces were made from"
        )
    return problem


def _without_prompt(problem: Problem) -> Problem:
    return problem if problem.kind == "judge" else msgspec.structs.replace(problem, prompt="")


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def verify_file(
    paths: Sequence[Path],
    out: Path,
    kind: Kind = "math",
    progress: Progress | None = None,
    *,
    workers: int | None = None,
    timeout_s: float = 10.0,
    judge: Judge | None = None,
    sandbox: str = "auto",
) -> Verified:
    """Judge the rows of trace files into ``out``: one verdict per row that can be used, in order.

    ``kind`` is for rows that name none. Memory does not grow with the rows, apart from the ids whose
    samples `read_trace_file` counts. Raises `DistillError` before the first verdict when a row is of a
    kind that nothing here can check.
    """
    rows_in, kinds = _kinds(paths, kind)
    require_checkers(kinds, judge=judge is not None, sandbox=sandbox)
    verdicts, rejected = out / "verdicts.jsonl", out / "rejected.jsonl"
    for path in paths:
        if path.resolve() in (verdicts.resolve(), rejected.resolve()):
            raise DistillError(
                f"{path} would be overwritten by its own verdicts; use another --out"
            )
    if progress:
        progress.total = rows_in
    statuses: Counter[Status] = Counter()
    graded: Counter[Status] = Counter()
    with jsonl.locked(out), CheckPool(workers, timeout_s, judge=judge, sandbox=sandbox) as pool:
        rejected.unlink(missing_ok=True)
        marker = out / "verified.json"
        marker.unlink(missing_ok=True)
        with jsonl.Appender(rejected) as bad:
            reader = _Reader(paths, kind, bad)

            def rows() -> Iterator[FileVerdict]:
                for verdict in _judge_rows(reader, pool):
                    statuses[verdict.status] += 1
                    graded[verdict.status] += verdict.graded
                    yield verdict
                    if progress:
                        progress.update(statuses.total() + reader.rejected, **_figures(statuses))

            sealed = jsonl.write_rows(verdicts, rows())
        jsonl.write_bytes(marker, msgspec.json.encode(_sources(paths, kind)) + b"\n")
    return Verified(
        rows=sealed.rows + reader.rejected,
        judged=sealed.rows,
        rejected=reader.rejected,
        statuses=dict(statuses.most_common()),
        graded=dict((+graded).most_common()),
    )


class _Kind(msgspec.Struct):
    kind: str | None = None


def _kinds(paths: Sequence[Path], default: Kind) -> tuple[int, set[Kind]]:
    """How many rows there are, and of which kinds; what does not read is for `read_trace_file` to say."""
    rows, found = 0, {default}
    for path in paths:
        for line in jsonl.lines(path):
            rows += 1
            with contextlib.suppress(ValueError):
                named = jsonl.decode(line.data, _Kind).kind
                found |= {kind for kind in KINDS if kind == named}
    return rows, found


def is_verified(path: Path, out: Path, kind: Kind) -> bool:
    """Whether the verdicts in ``out`` are of this file as it is now, and of no other."""
    marker = out / "verified.json"
    if not (marker.exists() and (out / "verdicts.jsonl").exists()):
        return False
    return jsonl.read_blob(marker, Sources) == _sources([path], kind)


def _sources(paths: Sequence[Path], kind: Kind) -> Sources:
    return Sources(files=[f"{path.name} {jsonl.seal(path).sha256}" for path in paths], kind=kind)


class _Reader:
    """The usable rows of some files; what cannot be used is counted and written to ``bad``."""

    def __init__(self, paths: Iterable[Path], kind: Kind, bad: jsonl.Appender) -> None:
        self._paths, self._kind, self._bad = paths, kind, bad
        self.rejected = 0

    def __iter__(self) -> Iterator[FileRow]:
        for path in self._paths:
            yield from read_trace_file(path, kind=self._kind, on_bad=self._reject)

    def _reject(self, row: Rejected) -> None:
        self._bad.append(row)
        self.rejected += 1


def _judge_rows(rows: Iterable[FileRow], pool: CheckPool) -> Iterator[FileVerdict]:
    ids: deque[msgspec.Raw | msgspec.UnsetType] = deque()

    def pairs() -> Iterator[tuple[Problem, Trace]]:
        for row in rows:
            ids.append(msgspec.UNSET if row.given_id is None else row.given_id)
            yield row.problem, row.trace

    for verdict in pool.judge_all(pairs()):
        yield FileVerdict(**msgspec.structs.asdict(verdict), id=ids.popleft())

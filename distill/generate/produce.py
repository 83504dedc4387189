"""Ask a model for ``samples`` traces of every problem; judge each as it arrives; lose none.

    tally = await produce(run.path, problems, asker, engine, pool, samples=4)

The one loop behind ``distill generate`` and ``distill eval`` (an evaluation is a generation by the
student on a benchmark). A worker per open request takes the next identity of the plan, asks, writes
the trace, has it judged, writes the verdict. A restart skips what the ledger has and judges what was
left unjudged. Memory does not grow with the number of problems beyond the ledger's digests.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from distill import jsonl
from distill.cards import Marks
from distill.engine.protocol import Engine, PromptTooLong, Reply, Request
from distill.errors import DistillError
from distill.generate.ledger import Ledger
from distill.problems import render_prompt
from distill.series import Asker
from distill.traces import join_reasoning, split_reasoning, tidy
from distill.types import Failed, Identity, Problem, Status, Trace
from distill.verify.pool import CheckPool


class Tally(msgspec.Struct, kw_only=True):
    """What a production has so far. ``fresh``, ``statuses``, ``fresh_tokens`` and ``seconds`` are of
    this process; the rest counts what earlier starts left, too."""

    planned: int
    before: int = 0
    fresh: int = 0
    failed: int = 0
    statuses: Counter[Status] = msgspec.field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    fresh_tokens: int = 0
    seconds: float = 0.0
    sealed: dict[str, jsonl.Sealed] = {}

    @property
    def traces(self) -> int:
        return self.before + self.fresh

    @property
    def done(self) -> int:
        return self.traces + self.failed


Report = Callable[[Tally], object]

LEFTOVERS_AT_ONCE = 256


async def produce(
    folder: Path,
    problems: Sequence[Problem],
    asker: Asker,
    engine: Engine | None,
    pool: CheckPool,
    *,
    samples: int,
    seed: int = 0,
    shard: str = "0",
    report: Report = lambda tally: None,
) -> Tally:
    """Make every planned identity's trace and verdict below ``folder``; returns the counts. ``engine``
    may be None where nothing is `unasked`.

    Raises `DistillError` when the folder holds another series, is written by somebody else, or the
    disk is full. Whatever was finished by then is on disk.
    """
    add_series(folder, asker)
    tally = Tally(planned=len(problems) * samples)
    started = time.monotonic()
    with Ledger(folder, shard) as ledger:
        tally.before, tally.failed = ledger.traces, ledger.failed
        tally.prompt_tokens, tally.completion_tokens = (
            ledger.prompt_tokens,
            ledger.completion_tokens,
        )
        await _judge_leftovers(ledger, problems, pool)
        plan = (item for item in work(problems, asker.series, samples) if item[0] not in ledger)
        report(tally)

        async def worker(engine: Engine) -> None:
            for identity, problem in plan:  # shared: each worker takes the next item
                await _one(identity, problem, asker, engine, pool, ledger, tally, seed)
                tally.seconds = time.monotonic() - started
                report(tally)

        if tally.done < tally.planned:
            assert engine is not None, f"{folder}: {tally.planned - tally.done} samples to ask"
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(engine.in_flight, tally.planned - tally.done)):
                        group.create_task(worker(engine))
            except BaseExceptionGroup as errors:  # the first is the cause and cancelled the others
                raise errors.exceptions[0] from None
        tally.sealed = ledger.seal()
    tally.seconds = time.monotonic() - started
    return tally


def unasked(
    folder: Path, problems: Sequence[Problem], asker: Asker, *, samples: int, shard: str = "0"
) -> int:
    """How many planned samples are still to be asked: whether an engine must be started at all.

    Raises as `produce` does, so that a wrong folder is found before a model is loaded.
    """
    add_series(folder, asker)
    with Ledger(folder, shard) as ledger:
        return len(problems) * samples - ledger.traces - ledger.failed


def work(
    problems: Iterable[Problem], series: str, samples: int
) -> Iterator[tuple[Identity, Problem]]:
    """The plan: samples of one problem next to each other, problems in their order."""
    for problem in problems:
        for sample in range(samples):
            yield Identity(series, problem.id, sample), problem


async def _one(
    identity: Identity,
    problem: Problem,
    asker: Asker,
    engine: Engine,
    pool: CheckPool,
    ledger: Ledger,
    tally: Tally,
    seed: int,
) -> None:
    messages = render_prompt(problem, asker.instruction)
    try:
        reply = await engine.ask(Request(identity, messages, asker.sampling, seed=seed))
    except PromptTooLong as error:
        ledger.add_failed(Failed(**identity._asdict(), reason="prompt_too_long", detail=str(error)))
        tally.failed += 1
        return
    trace = to_trace(identity, reply, asker.model, asker.marks)
    ledger.add_trace(trace)
    verdict = await pool.judge(problem, trace)
    ledger.add_verdict(verdict)
    tally.fresh += 1
    tally.statuses[verdict.status] += 1
    tally.prompt_tokens += reply.prompt_tokens
    tally.completion_tokens += reply.completion_tokens
    tally.fresh_tokens += reply.completion_tokens


async def _judge_leftovers(ledger: Ledger, problems: Sequence[Problem], pool: CheckPool) -> None:
    """Verdicts for traces that were written just before a stop, some at a time."""
    by_id: dict[str, Problem] = {}
    unjudged = ledger.unjudged()
    while traces := list(islice(unjudged, LEFTOVERS_AT_ONCE)):
        by_id = by_id or {problem.id: problem for problem in problems}
        judging = (pool.judge(by_id[trace.problem_id], trace) for trace in traces)
        for verdict in await asyncio.gather(*judging):
            ledger.add_verdict(verdict)


def to_trace(identity: Identity, reply: Reply, model: str, marks: Marks) -> Trace:
    """A reply as a row: split at the think marks, raw text kept only if it cannot be rebuilt.

    Where the server took the text apart, nobody knows the raw one; but without an answer, thinking was
    cut, and the row is the one that another server's raw text would have made.
    """
    raw: str | None = reply.text
    if reply.reasoning is None:
        split = split_reasoning(reply.text, marks)
    else:
        split = tidy(reply.reasoning, reply.text)
        opening = "" if marks.opened else f"{marks.open}\n"
        raw = None if reply.text else opening + reply.reasoning.removeprefix("\n")
    rebuilt = join_reasoning(*split, marks)
    if marks.opened:
        rebuilt = rebuilt.removeprefix(f"{marks.open}\n")
    return Trace(
        series=identity.series,
        problem_id=identity.problem_id,
        sample=identity.sample,
        model=model,
        reasoning=split.reasoning,
        response=split.response,
        text=None if rebuilt == raw else raw,
        finish=reply.finish,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        seconds=round(reply.seconds, 3),
    )


def add_series(folder: Path, asker: Asker) -> None:
    """Spell the series out in ``series.json``. One folder holds one series: two never mix silently."""
    path = folder / "series.json"
    known = jsonl.read_blob(path, dict[str, dict[str, object]]) if path.exists() else {}
    ours = asker.spelled()
    for series, theirs in known.items():
        if series != asker.series:
            changed = sorted(key for key in ours | theirs if ours.get(key) != theirs.get(key))
            raise DistillError(
                f"{folder} holds traces of series {series}; {', '.join(changed)} changed since: "
                "use another run folder (--run DIR), or undo the change"
            )
    if asker.series not in known:
        body = msgspec.json.format(msgspec.json.encode({asker.series: ours}), indent=2)
        jsonl.write_bytes(path, body + b"\n")

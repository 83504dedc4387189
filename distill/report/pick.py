"""Choose the traces that a person is shown: a few of each status and of each reason for dropping.

    picked = pick(run)
    picked.statuses["wrong"].total, picked.statuses["wrong"].shown      # 1,801 and 20 of them

The choice is by a hash of the identity: the same traces for the same run, whatever order they were
written in, and not the shortest or the first. Traces are read once, in a stream; memory holds the
chosen ones, their long texts cut in the middle.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from distill import jsonl
from distill.columns import LETTERS
from distill.run import Run
from distill.traces import Judged, read_judged
from distill.types import STATUSES, Dropped, Identity, Problem, Status

T = TypeVar("T")

PER_STATUS = 20
PER_REASON = 5
WRONG = 10  # dropped as wrong: what verification is for, so twice as many
TEXT_LIMIT = 8_000  # characters of one text in the page


class Text(NamedTuple):
    """A text, cut in the middle if it was long: ``before``, how many characters are not shown, ``after``."""

    before: str
    hidden: int = 0
    after: str = ""


class Shown(NamedTuple):
    """One trace as the page shows it. ``reason``: why it was dropped, empty if it was not."""

    identity: Identity
    status: Status | None
    finish: str
    tokens: int
    reasoning: Text | None
    response: Text
    extracted: str | None
    expected: str | None
    detail: str | None
    prompt: Text | None = None
    reason: str = ""
    evidence: str = ""


class Group(NamedTuple):
    """How many there are, and the few that are shown."""

    total: int
    shown: list[Shown]


class Picked(NamedTuple):
    """Everything the page says about traces. ``graded``: verdicts that are a model's opinion; ``kept`` is
    None before filter has run."""

    traces: int
    unjudged: int
    tokens: int
    statuses: dict[Status, Group]
    graded: dict[Status, int]
    kept: int | None
    dropped: dict[str, Group]


class Chosen(Generic[T]):
    """The ``size`` items with the smallest hashes so far."""

    def __init__(self, size: int) -> None:
        self._size, self.count = size, 0
        self._heap: list[tuple[int, int, T]] = []  # (-hash, arrival, item): items are not compared

    def wants(self, key: int) -> bool:
        return len(self._heap) < self._size or -key > self._heap[0][0]

    def add(self, key: int, item: T) -> None:
        entry = (-key, self.count, item)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    @property
    def items(self) -> list[T]:
        return [item for _, _, item in sorted(self._heap, key=lambda entry: (-entry[0], entry[1]))]


def key_of(identity: Identity) -> int:
    """A place in a fixed shuffle of all identities."""
    digest = hashlib.blake2b(msgspec.json.encode(identity), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def cut(text: str, limit: int = TEXT_LIMIT) -> Text:
    """Keep the start and the end: a chain of thought goes wrong early or late, seldom in the middle."""
    if len(text) <= limit:
        return Text(text)
    head, tail = limit * 5 // 8, limit * 3 // 8
    return Text(text[:head], len(text) - head - tail, text[-tail:])


def pick(run: Run) -> Picked:
    """Read the run's rows once each and choose. Files that are not there yet count as empty."""
    reasons = _pick_dropped(run.dropped)
    wanted = {row.identity: row for chosen in reasons.values() for row in chosen.items}
    statuses = {status: Chosen[Shown](PER_STATUS) for status in STATUSES}
    found: dict[Identity, Shown] = {}
    graded: Counter[Status] = Counter()
    traces = unjudged = tokens = 0
    for judged in read_judged(run.path):
        traces += 1
        tokens += judged.trace.completion_tokens
        identity = judged.trace.identity
        if identity in wanted:
            found[identity] = shown(judged, wanted[identity])
        if judged.verdict is None:
            unjudged += 1
            continue
        chosen = statuses[judged.verdict.status]
        chosen.count += 1
        graded[judged.verdict.status] += judged.verdict.graded
        key = key_of(identity)
        if chosen.wants(key):
            chosen.add(key, shown(judged))
    prompts = _prompts(
        run.problems, [*found.values(), *(s for c in statuses.values() for s in c.items)]
    )
    return Picked(
        traces=traces,
        unjudged=unjudged,
        tokens=tokens,
        statuses={
            status: Group(chosen.count, with_prompts(chosen.items, prompts))
            for status, chosen in statuses.items()
            if chosen.count
        },
        graded=dict((+graded).most_common()),
        kept=jsonl.seal(run.kept).rows if run.kept.exists() else None,
        dropped={
            reason: Group(
                chosen.count,
                with_prompts(
                    [found[r.identity] for r in chosen.items if r.identity in found], prompts
                ),
            )
            for reason, chosen in sorted(reasons.items(), key=lambda item: -item[1].count)
        },
    )


def pick_attempts(folder: Path, problems: Path, each: int) -> list[Shown]:
    """A few right and a few wrong answers of a model on a benchmark."""
    chosen: dict[Status, Chosen[Shown]] = {"correct": Chosen(each), "wrong": Chosen(each)}
    for judged in read_judged(folder):
        if judged.verdict is None or judged.verdict.status not in chosen:
            continue
        group, key = chosen[judged.verdict.status], key_of(judged.trace.identity)
        group.count += 1
        if group.wants(key):
            group.add(key, shown(judged))
    items = [item for group in chosen.values() for item in group.items]
    return with_prompts(items, _prompts(problems, items))


def shown(judged: Judged, dropped: Dropped | None = None) -> Shown:
    """A trace with its long texts cut."""
    trace, verdict = judged
    return Shown(
        identity=trace.identity,
        status=verdict.status if verdict else None,
        finish=trace.finish,
        tokens=trace.completion_tokens,
        reasoning=None if trace.reasoning is None else cut(trace.reasoning),
        response=cut(trace.response),
        extracted=_short(verdict.extracted) if verdict else None,
        expected=_short(verdict.expected) if verdict else None,
        detail=_short(verdict.detail) if verdict else None,
        reason=dropped.reason if dropped else "",
        evidence=(_short(dropped.evidence) or "") if dropped else "",
    )


def with_prompts(items: list[Shown], prompts: dict[str, Text]) -> list[Shown]:
    return [item._replace(prompt=prompts.get(item.identity.problem_id)) for item in items]


def _pick_dropped(path: Path) -> dict[str, Chosen[Dropped]]:
    reasons: dict[str, Chosen[Dropped]] = {}
    for row in jsonl.read(path, Dropped) if path.exists() else ():
        chosen = reasons.setdefault(
            row.reason, Chosen(WRONG if row.reason == "wrong" else PER_REASON)
        )
        chosen.count += 1
        key = key_of(row.identity)
        if chosen.wants(key):
            chosen.add(key, row)
    return reasons


def _prompts(path: Path, items: list[Shown]) -> dict[str, Text]:
    """The questions of the chosen traces, choices as lettered lines."""
    ids = {item.identity.problem_id for item in items}
    return {p.id: cut("\n".join(_lines(p))) for p in _problems(path) if p.id in ids}


def _problems(path: Path) -> Iterator[Problem]:
    return jsonl.read(path, Problem) if path.exists() else iter(())


def _lines(problem: Problem) -> list[str]:
    choices = zip(LETTERS, problem.choices or [], strict=False)
    return [problem.text, *(f"{letter}. {choice}" for letter, choice in choices)]


def _short(text: str | None, limit: int = 500) -> str | None:
    return text if text is None or len(text) <= limit else text[:limit] + "…"

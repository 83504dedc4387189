"""Kept and dropped rows in plan order from traces in any order: what a run and a file share.

    with Sieve(out, choices, filters) as sieve:
        for ...: sieve.add(number, problem, messages, trace, verdict)
        sifted = sieve.finish(ranks, kept=out / "kept.jsonl", dropped=out / "dropped.jsonl")

Each trace is looked at by itself when it comes; its row waits on disk (`spill.py`). When all have come,
`duplicate` and `surplus` are found in plan order (problem, series, sample), so that nothing depends on
which trace came first. Memory: 90 bytes a trace, and about 100 bytes for each problem.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec

from distill import jsonl
from distill.filter.duplicates import Duplicates, fingerprint
from distill.filter.reasons import Reason, TraceFilter
from distill.filter.select import Selection
from distill.filter.spill import Entry, Spill, ranks
from distill.recipe import Filter
from distill.traces import join_reasoning
from distill.types import Dropped, Example, Message, Problem, Record, Trace, Verdict

Extra = Mapping[str, object]


class Funnel(Record, frozen=True, kw_only=True):
    """What became of the traces (``funnel.json``); ``dropped`` counts per reason, largest first."""

    judged: int
    kept: int
    dropped: dict[str, int]
    problems: int
    problems_kept: int
    rejected: int = 0

    def line(self) -> str:
        """``8,192 traces → 5,914 kept, 2,278 dropped (wrong 1,801, truncated 305, …)``."""
        reasons = ", ".join(f"{name} {count:,}" for name, count in self.dropped.items())
        dropped = sum(self.dropped.values())
        line = f"{self.judged:,} traces → {self.kept:,} kept, {dropped:,} dropped"
        line += f" ({reasons})" if reasons else ""
        return f"{line}; {self.rejected:,} rows rejected" if self.rejected else line


class Sifted(NamedTuple):
    """The funnel, and what the two files hold."""

    funnel: Funnel
    kept: jsonl.Sealed
    dropped: jsonl.Sealed


class _Decision(NamedTuple):
    """An entry in plan order and the reason that its neighbours give, if any."""

    entry: Entry
    late: Reason | None

    @property
    def kept(self) -> bool:
        return self.entry.passed and self.late is None


class Sieve:
    """Takes traces in any order, writes kept and dropped rows in plan order."""

    def __init__(self, folder: Path, choices: Filter, filters: Sequence[TraceFilter]) -> None:
        self._choices, self._filters = choices, filters
        self._spill = Spill(folder)
        self._series: dict[str, int] = {}
        self._names: list[str] = []  # of the series, by rank
        self._reasons: Counter[str] = Counter()
        self.passed = 0

    def __len__(self) -> int:
        return len(self._spill)

    def add(
        self,
        number: int,
        problem: Problem,
        messages: Sequence[Message],
        trace: Trace,
        verdict: Verdict,
        extra: Extra | None = None,
    ) -> None:
        """One judged trace of problem ``number``; ``messages`` are its prompt as a student sees it,
        ``extra`` are columns that go along."""
        reason = next((r for find in self._filters if (r := find(problem, trace, verdict))), None)
        if reason:
            self._reasons[reason.name] += 1
        self.passed += reason is None
        row = _dropped(trace, reason) if reason else _example(messages, trace)
        self._spill.add(
            problem=number,
            series=self._series.setdefault(trace.series, len(self._series)),
            sample=trace.sample,
            print_=fingerprint(trace),
            passed=reason is None,
            row=_encode(row, extra or {}),
        )

    def finish(self, problems: Sequence[int], kept: Path, dropped: Path) -> Sifted:
        """Write both files; ``problems[number]`` is the place of a problem in the plan."""
        self._spill.sort(problems, ranks(list(self._series)))
        self._names = sorted(self._series)
        sealed_kept = jsonl.write_rows(kept, self._kept_rows())
        sealed_dropped = jsonl.write_rows(dropped, self._dropped_rows())
        judged = len(self._spill)
        assert sealed_kept.rows + sealed_dropped.rows == judged, (
            f"{sealed_kept.rows=} {sealed_dropped.rows=} {judged=}"
        )
        assert self._reasons.total() == sealed_dropped.rows, f"{self._reasons=} {sealed_dropped=}"
        by_count = sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))
        funnel = Funnel(
            judged=judged,
            kept=sealed_kept.rows,
            dropped=dict(by_count),
            problems=_distinct(entry.problem for entry in self._spill.entries()),
            problems_kept=_distinct(d.entry.problem for d in self._decisions() if d.kept),
        )
        return Sifted(funnel, sealed_kept, sealed_dropped)

    def _decisions(self) -> Iterator[_Decision]:
        """Every entry in plan order. Made anew for each pass: the state is one problem's."""
        duplicates, selection = Duplicates(), Selection(self._choices.per_problem)
        before: tuple[int, int, int] | None = None
        for entry in self._spill.entries():
            key = (entry.problem, entry.series, entry.sample)
            late = None
            if entry.passed:
                name = f"sample {entry.sample} of series '{self._names[entry.series]}'"
                if key == before:
                    late = Reason("duplicate", f"a second row for {name}")
                elif self._choices.duplicates:
                    late = duplicates.find(entry.problem, entry.print_, name)
                late = late or selection.find(entry.problem)
            before = key
            yield _Decision(entry, late)

    def _kept_rows(self) -> Iterator[msgspec.Raw]:
        for decision in self._decisions():
            if decision.kept:
                yield msgspec.Raw(self._spill.read(decision.entry))

    def _dropped_rows(self) -> Iterator[object]:
        for entry, late in self._decisions():
            if late:
                self._reasons[late.name] += 1
                row = msgspec.json.decode(self._spill.read(entry), type=dict[str, msgspec.Raw])
                yield _drop(row, late)
            elif not entry.passed:
                yield msgspec.Raw(self._spill.read(entry))

    def __enter__(self) -> "Sieve":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._spill.__exit__(kind, error, trace)


def _example(messages: Sequence[Message], trace: Trace) -> Example:
    thinking = bool(trace.reasoning and trace.reasoning.strip())
    content = join_reasoning(trace.reasoning if thinking else None, trace.response)
    return Example(
        series=trace.series,
        problem_id=trace.problem_id,
        sample=trace.sample,
        messages=[*messages, Message(role="assistant", content=content)],
        thinking=thinking,
        tokens=trace.completion_tokens,
    )


def _dropped(trace: Trace, reason: Reason) -> Dropped:
    return Dropped(
        series=trace.series,
        problem_id=trace.problem_id,
        sample=trace.sample,
        reason=reason.name,
        evidence=reason.evidence,
    )


def _encode(row: Example | Dropped, extra: Extra) -> bytes:
    """One line without its end. Where a user's column is called as one of ours, ours stays."""
    if not extra:
        return jsonl.encode(row)[:-1]
    ours = msgspec.structs.asdict(row)
    return jsonl.encode(ours | {name: extra[name] for name in extra if name not in ours})[:-1]


def _drop(row: dict[str, msgspec.Raw], reason: Reason) -> dict[str, object]:
    """A kept row made a dropped one: the reason in place of what only students need."""
    fields = Dropped.__struct_fields__
    dropped: dict[str, object] = {name: row[name] for name in fields if name in row}
    dropped |= {"reason": reason.name, "evidence": reason.evidence}
    return dropped | {name: row[name] for name in row if name not in Example.__struct_fields__}


def _distinct(numbers: Iterator[int]) -> int:
    """How many different numbers a sorted sequence holds."""
    count, last = 0, None
    for number in numbers:
        count += number != last
        last = number
    return count

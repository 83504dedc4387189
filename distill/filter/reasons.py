"""Why a single trace is not trained on: functions in one fixed order, the first that holds wins.

    for find in trace_filters(recipe.filter, marks=mark_texts(teacher.marks), leaked=leaked):
        if reason := find(problem, trace, verdict):
            reason.name, reason.evidence      # "wrong", "says 12, expected 13"

    truncated      the model was stopped before it ended its reply
    wrong, no_answer, timeout, checker_error, unchecked        a status that is not in keep_status
    think_format   think marks inside the texts, an empty response, no reasoning where it is wanted
    overlap        the problem stands in a benchmark (`overlap.py`)

`duplicate` and `surplus` depend on a trace's neighbours: they follow these, in plan order (`filter.py`).
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

from distill.cards import Marks
from distill.recipe import Filter
from distill.traces import STANDARD_MARKS
from distill.types import Problem, Status, Trace, Verdict

SHOWN = 160  # characters of model text that an evidence quotes at most


class Reason(NamedTuple):
    """The name that the funnel counts, and what a person needs to see that it holds."""

    name: str
    evidence: str


TraceFilter = Callable[[Problem, Trace, Verdict], Reason | None]


def truncated(problem: Problem, trace: Trace, verdict: Verdict) -> Reason | None:
    """Stopped before its end, whatever was judged of the piece: a student would learn to stop there."""
    if trace.finish == "stop":
        return None
    where = "in its response" if trace.response else "before its thinking ended"
    tokens = f" after {trace.completion_tokens:,} tokens" if trace.completion_tokens else ""
    return Reason("truncated", f"finish '{trace.finish}'{tokens}, {where}")


def status(
    problem: Problem, trace: Trace, verdict: Verdict, *, keep: Collection[Status]
) -> Reason | None:
    """A judgement that the recipe does not keep; the reason is called as the status is."""
    if verdict.status in keep:
        return None
    return Reason(verdict.status, STATUS_EVIDENCE[verdict.status](verdict))


def think_format(
    problem: Problem, trace: Trace, verdict: Verdict, *, marks: Collection[str], must_think: bool
) -> Reason | None:
    """Texts that would not come apart again at the marks, or of which one is missing.

    Kind `open` may answer without thinking (the general share of a mix does).
    """
    for place, text in (("reasoning", trace.reasoning or ""), ("response", trace.response)):
        for mark in marks:
            if mark in text:
                return Reason("think_format", f"{mark} inside the {place}")
    if not trace.response.strip():
        return Reason("think_format", "the response is empty")
    if problem.kind != "open":
        if trace.reasoning is None and must_think:
            return Reason("think_format", "no think marks: there is no reasoning")
        if trace.reasoning is not None and not trace.reasoning.strip():
            return Reason("think_format", "the reasoning is empty")
    return None


def overlap(
    problem: Problem, trace: Trace, verdict: Verdict, *, leaked: Mapping[str, str]
) -> Reason | None:
    """The problem is one that students are measured on."""
    evidence = leaked.get(problem.id)
    return None if evidence is None else Reason("overlap", evidence)


def trace_filters(
    choices: Filter, *, marks: Collection[str], must_think: bool, leaked: Mapping[str, str]
) -> list[TraceFilter]:
    """The filters that a recipe asks for, in the order in which they are asked."""
    return [
        truncated,
        partial(status, keep=frozenset(choices.keep_status)),
        partial(think_format, marks=marks, must_think=must_think),
        partial(overlap, leaked=leaked),
    ]


def mark_texts(*marks: Marks) -> list[str]:
    """The texts that must not stand inside a trace: the teacher's marks and those students learn."""
    texts = {text for each in (STANDARD_MARKS, *marks) for text in (each.open, each.close)}
    return sorted(text for text in texts if text)


def _answers(verdict: Verdict) -> str:
    return f"says {_shown(verdict.extracted)}, expected {_shown(verdict.expected)}"


def _detail(verdict: Verdict) -> str:
    return f"{verdict.checker}: {_shown(verdict.detail)}" if verdict.detail else verdict.checker


STATUS_EVIDENCE: dict[Status, Callable[[Verdict], str]] = {
    "correct": _answers,
    "wrong": _answers,
    "no_answer": lambda verdict: f"no answer found, expected {_shown(verdict.expected)}",
    "timeout": _detail,
    "checker_error": _detail,
    "unchecked": lambda verdict: "its kind is not checkable",
}


def _shown(text: str | None) -> str:
    if text is None:
        return "nothing"
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"

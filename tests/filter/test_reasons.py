"""Each reason on both sides of its border, and which one wins."""

import msgspec
import pytest

from distill.cards import Marks
from distill.filter.reasons import SHOWN, Reason, mark_texts, trace_filters
from distill.recipe import Filter
from distill.types import Kind, Problem, Status, Trace, Verdict

PROBLEM = Problem(id="p/1", prompt="1 + 1?", answer="2")
GOOD = Trace(series="s", problem_id="p/1", sample=0, reasoning="1 + 1 = 2.", response="It is 2.")


def judge(
    trace: Trace,
    status: Status = "correct",
    *,
    keep: list[Status] | None = None,
    kind: Kind = "math",
    must_think: bool = True,
    leaked: dict[str, str] | None = None,
    detail: str | None = None,
) -> Reason | None:
    verdict = Verdict(
        series="s",
        problem_id="p/1",
        sample=0,
        status=status,
        extracted="3",
        expected="2",
        checker="math 1",
        detail=detail,
    )
    filters = trace_filters(
        Filter(keep_status=keep or ["correct"]),
        marks=mark_texts(Marks(open="[THINK]", close="[/THINK]")),
        must_think=must_think,
        leaked=leaked or {},
    )
    problem = msgspec.structs.replace(PROBLEM, kind=kind)
    return next((reason for find in filters if (reason := find(problem, trace, verdict))), None)


def trace(**changes: object) -> Trace:
    return msgspec.structs.replace(GOOD, **changes)


STATUS_CASES: list[tuple[Status, list[Status], str | None]] = [
    ("correct", ["correct"], None),
    ("correct", ["wrong"], "correct"),
    ("wrong", ["correct"], "wrong"),
    ("wrong", ["correct", "wrong"], None),
    ("no_answer", ["correct"], "no_answer"),
    ("no_answer", ["no_answer"], None),
    ("timeout", ["correct"], "timeout"),
    ("timeout", ["timeout"], None),
    ("checker_error", ["correct"], "checker_error"),
    ("checker_error", ["checker_error"], None),
    ("unchecked", ["correct"], "unchecked"),
    ("unchecked", ["correct", "unchecked"], None),
]


@pytest.mark.parametrize(("status", "keep", "expected"), STATUS_CASES)
def test_a_status_is_kept_only_if_the_recipe_says_so(
    status: Status, keep: list[Status], expected: str | None
) -> None:
    reason = judge(GOOD, status, keep=keep, detail="sympy hung")
    assert (reason.name if reason else None) == expected
    assert reason is None or reason.evidence


TRACE_CASES: list[tuple[str, Trace, str | None]] = [
    # truncated
    ("ended by itself", trace(finish="stop"), None),
    ("cut in its thinking", trace(finish="length", response=""), "truncated"),
    ("cut in its response", trace(finish="length"), "truncated"),
    ("aborted", trace(finish="aborted"), "truncated"),
    ("stopped in a loop", trace(finish="repetition"), "truncated"),
    # think_format: marks
    ("a mark in the reasoning", trace(reasoning="so <think> 2"), "think_format"),
    ("a closing mark in the reasoning", trace(reasoning="so </think> 2"), "think_format"),
    ("a mark in the response", trace(response="</think> 2"), "think_format"),
    ("the teacher's mark", trace(response="[/THINK] 2"), "think_format"),
    ("a word like the mark", trace(reasoning="I think </thin k> 2"), None),
    # think_format: missing texts
    ("an empty response", trace(response=""), "think_format"),
    ("a blank response", trace(response=" \n"), "think_format"),
    ("one letter", trace(response="2"), None),
    ("an empty reasoning", trace(reasoning=""), "think_format"),
    ("a blank reasoning", trace(reasoning=" \n "), "think_format"),
    ("no reasoning", trace(reasoning=None), "think_format"),
    ("a short reasoning", trace(reasoning="2"), None),
]


@pytest.mark.parametrize(
    ("trace", "expected"), [case[1:] for case in TRACE_CASES], ids=[case[0] for case in TRACE_CASES]
)
def test_a_trace_is_dropped_for_its_form(trace: Trace, expected: str | None) -> None:
    reason = judge(trace)
    assert (reason.name if reason else None) == expected
    assert reason is None or reason.evidence


def test_the_general_share_may_answer_without_thinking() -> None:
    for reasoning in (None, ""):
        told = trace(reasoning=reasoning)
        assert judge(told, "unchecked", kind="open", keep=["unchecked"]) is None


def test_a_file_of_short_answers_may_do_without_marks_but_not_with_an_empty_block() -> None:
    assert judge(trace(reasoning=None), must_think=False) is None
    assert judge(trace(reasoning=""), must_think=False) is not None


def test_a_cut_trace_without_answer_is_truncated_not_no_answer() -> None:
    reason = judge(trace(finish="length", response="", completion_tokens=4096), "no_answer")
    assert reason == ("truncated", "finish 'length' after 4,096 tokens, before its thinking ended")


def test_a_problem_of_a_benchmark_is_dropped_after_what_is_wrong_with_the_trace() -> None:
    leaked = {"p/1": "the same text as m/3 of math-500"}
    assert judge(GOOD, leaked=leaked) == ("overlap", "the same text as m/3 of math-500")
    assert judge(GOOD, leaked={"p/2": "other"}) is None
    wrong = judge(GOOD, "wrong", leaked=leaked)
    assert wrong == ("wrong", "says 3, expected 2")


def test_evidence_quotes_a_line_of_bounded_length() -> None:
    reason = judge(GOOD, "checker_error", detail="Trace\nback " + "x" * 1000)
    assert reason is not None
    assert reason.evidence.startswith("math 1: Trace back xxx")
    assert len(reason.evidence) <= SHOWN + len("math 1: ")

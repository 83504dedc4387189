"""What a checker gets and what it gives back: all that crosses into a worker process.

    item = Item(problem_id="q1", kind="math", answer="1/2", response="So \\boxed{0.5}.")
    judgement = Judgement(status="correct", extracted="0.5", expected="1/2", checker="math/1:exact")

The reasoning never goes along, and the question only where a model grades: no other checker has a use
for them.
"""

from collections.abc import Callable

from distill.types import Gym, Kind, Problem, Record, Status, Tests, Trace, Verdict


class Item(Record, frozen=True, kw_only=True):
    """One response to judge. ``cut``: the model was stopped at its token limit."""

    problem_id: str
    kind: Kind
    answer: str | list[str] | None = None
    choices: list[str] | None = None
    tests: Tests | None = None
    gym: Gym | None = None
    question: str | None = None
    response: str
    cut: bool = False

    @property
    def answers(self) -> list[str]:
        """The accepted answers, any of which will do."""
        if self.answer is None:
            return []
        return [self.answer] if isinstance(self.answer, str) else self.answer

    @property
    def expected(self) -> str | None:
        """The accepted answers as one text."""
        return " | ".join(self.answers) or None


class Judgement(Record, frozen=True, kw_only=True):
    """A verdict without its identity."""

    status: Status
    extracted: str | None = None
    expected: str | None = None
    checker: str
    detail: str | None = None


Checker = Callable[[Item], Judgement]


def item_of(problem: Problem, trace: Trace) -> Item:
    """The part of a problem and a trace that checkers see."""
    assert problem.id == trace.problem_id, f"{problem.id=} {trace.problem_id=}"
    return Item(
        problem_id=problem.id,
        kind=problem.kind,
        answer=problem.answer,
        choices=problem.choices,
        tests=problem.tests,
        gym=problem.gym,
        question=problem.text if problem.kind == "judge" else None,
        response=trace.response,
        cut=trace.finish == "length",
    )


def verdict_of(trace: Trace, judgement: Judgement) -> Verdict:
    """A judgement with the identity of the trace it is about."""
    return Verdict(
        series=trace.series,
        problem_id=trace.problem_id,
        sample=trace.sample,
        status=judgement.status,
        extracted=judgement.extracted,
        expected=judgement.expected,
        checker=judgement.checker,
        detail=judgement.detail,
    )

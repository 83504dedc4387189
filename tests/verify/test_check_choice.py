"""Which option a response chose."""

import pytest

from distill.errors import DistillError
from distill.types import Problem, Trace
from distill.verify.check import check, require_checkers

NUMBERS = ["5", "6", r"\frac{1}{2}", "8"]
NAMES = ["Ana", "Ben", "A cat", "Eva"]


@pytest.mark.parametrize(
    ("choices", "answer", "response", "status"),
    [
        # dresses of a letter
        (NUMBERS, "C", r"\boxed{C}", "correct"),
        (NUMBERS, "C", r"\boxed{c}", "correct"),
        (NUMBERS, "C", r"\boxed{\text{(C)}}", "correct"),
        (NUMBERS, "C", r"\boxed{\textbf{C.}}", "correct"),
        (NUMBERS, "C", r"\boxed{(C) \frac{1}{2}}", "correct"),
        (NUMBERS, "C", r"\boxed{\text{Option C}}", "correct"),
        (NUMBERS, "C", "The correct answer is **C**.", "correct"),
        (NUMBERS, "C", "The answer is C because it is small.", "correct"),
        (NUMBERS, "C", "Answer: (C)", "correct"),
        (NUMBERS, "C", "答案是C。", "correct"),
        (NUMBERS, "C", "综上，故选C", "correct"),
        (NUMBERS, "C", "So it must be (C).", "correct"),
        (NUMBERS, "C", r"\boxed{B}", "wrong"),
        (None, "C", r"\boxed{C}", "correct"),
        (NUMBERS, "C", "故选：C．", "correct"),
        (NUMBERS, "C", "【答案】C", "correct"),
        (NUMBERS, "C", "Option A is wrong. Option C is correct.", "correct"),
        (NUMBERS, "C", "<answer>C</answer>", "correct"),
        # several letters
        (NUMBERS, "AC", r"\boxed{C, A}", "correct"),
        (NUMBERS, "AC", r"\boxed{A \text{ and } C}", "correct"),
        (NUMBERS, "AC", r"\boxed{A} and \boxed{C}", "correct"),
        (NUMBERS, "AC", "故选：A、C", "correct"),
        (NUMBERS, "AC", r"\boxed{A}", "wrong"),
        (NUMBERS, "A", r"\boxed{AC}", "wrong"),
        # texts of an option
        (NUMBERS, "C", r"\boxed{0.5}", "correct"),
        (NUMBERS, r"\frac{1}{2}", r"\boxed{C}", "correct"),
        (NAMES, "B", r"\boxed{\text{ben}}", "correct"),
        (NAMES, "C", "The answer is A cat.", "correct"),
        (NAMES, "A", "The answer is A cat.", "wrong"),
        (NAMES, "B", r"\boxed{Zoe}", "wrong"),
        (["A", "B"], "B", r"\boxed{B}", "correct"),
        # no answer
        (NUMBERS, "B", r"\boxed{(B) 8}", "no_answer"),
        (NUMBERS, "B", "It is (A) or (B).", "no_answer"),
        (NUMBERS, "B", "The answer is A or B.", "no_answer"),
        (NUMBERS, "B", r"\boxed{A} or \boxed{B}", "no_answer"),
        (NUMBERS, "B", r"<think>\boxed{B}</think> Done.", "no_answer"),
        (NUMBERS, "B", "I do not know.", "no_answer"),
        # letters that nobody offered
        (NUMBERS, "B", r"\boxed{F}", "wrong"),
        (NUMBERS, "F", r"\boxed{B}", "checker_error"),
        (NUMBERS, ["A", "B"], r"\boxed{B}", "correct"),
    ],
)
def test_choice_verdicts(
    choices: list[str] | None, answer: str | list[str], response: str, status: str
) -> None:
    problem = Problem(id="p", prompt="", kind="choice", answer=answer, choices=choices)
    trace = Trace(series="s", problem_id="p", sample=0, response=response)
    verdict = check(problem, trace)
    assert (verdict.status, verdict.checker) == (status, "choice/2")


def test_an_expected_text_stays_right_when_options_are_shuffled() -> None:
    shuffled = ["8", r"\frac{1}{2}", "5", "6"]
    for choices, letter in ((NUMBERS, "C"), (shuffled, "B")):
        problem = Problem(id="p", prompt="", kind="choice", answer=r"\frac{1}{2}", choices=choices)
        for other in "ABCD":
            trace = Trace(series="s", problem_id="p", sample=0, response=f"The answer is {other}.")
            assert (check(problem, trace).status == "correct") == (other == letter)


def test_an_open_question_is_unchecked() -> None:
    problem = Problem(id="p", prompt="", kind="open")
    trace = Trace(series="s", problem_id="p", sample=0, response="A poem.")
    assert check(problem, trace).status == "unchecked"


def test_a_kind_without_a_checker_is_refused_before_anything_is_paid_for() -> None:
    require_checkers({"math", "choice", "open"})
    with pytest.raises(DistillError, match="kind 'judge' needs a model that grades"):
        require_checkers({"math", "judge"})
    require_checkers({"math", "judge"}, judge=True)

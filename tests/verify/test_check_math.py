"""Equal and unequal answers, and which rung may say so."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.types import Problem, Trace
from distill.verify.check import check, quick
from distill.verify.item import item_of
from distill.verify.math import exact, undress

EXACT = [
    # texts and dress
    ("x+1", "x + 1", True),
    (r"\frac{1}{2}", r"\dfrac{1}{2}", True),
    (r"\frac12", r"$\tfrac{1}{2}$", True),
    (r"\left(1, 2\right)", "(1,2)", True),
    ("3 4", "34", None),
    (r"\text{Evelyn}", "evelyn", True),
    ("Evelyn", r"\text{Amy Lee}", False),
    ("Evelyn", "nylevE", False),
    ("x+1", "1+x", None),
    ("abc", "cba", None),
    # numbers
    ("12", "12.0", True),
    ("12", "13", False),
    ("-3", "−3", True),
    ("1/2", "0.5", True),
    ("0.5", r"-\frac{1}{2}", False),
    (r"\frac{-1}{2}", "-0.50", True),
    ("1,234,567", "1234567", True),
    (r"32{,}348", r"\$32,\!348", True),
    (r"32\,348", "32349", False),
    ("1.5e3", r"1.5 \times 10^{3}", True),
    ("1.39e-10", r"1.38 \times 10^{-10}", False),
    ("0.333333", "1/3", None),
    ("1/0", "1", None),
    ("10^{999999999}", "1", None),
    ("1e999999999", "1", None),
    # percent, units, assignments
    (r"50\%", "50", True),
    ("50%", "0.5", True),
    ("50%", "5", False),
    ("5", r"5 \text{ cm}", True),
    (r"5\text{ cm}", r"5\text{ m}", None),
    (r"5\mathrm{e}", "5", None),
    (r"55^\circ", "55", True),
    ("5", "x = 5", True),
    ("x=5", "6", False),
    ("x=5", "y=5", None),
    ("9^{9^{9^{9}}}", "3", None),
]


@pytest.mark.parametrize(("gold", "answer", "same"), EXACT)
def test_the_exact_rung_says_equal_different_or_nothing(
    gold: str, answer: str, same: bool | None
) -> None:
    assert exact(gold, answer) is same
    assert exact(answer, gold) is same


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_equal_exactly_when_they_are(left: Fraction, right: Fraction) -> None:
    latex = f"\\frac{{{left.numerator}}}{{{left.denominator}}}"
    assert exact(latex, str(right)) is (left == right)
    assert exact(latex, str(left)) is True


@given(st.integers(-(10**30), 10**30))
def test_thousands_separators_do_not_change_a_number(value: int) -> None:
    assert exact(str(value), f"{value:,}") is True
    assert undress(f"{value:,}").value == value


@given(st.text(max_size=300), st.text(alphabet="\\frac{}^_0123456789,.%$ex", max_size=300))
def test_the_exact_rung_takes_any_text_and_is_fast(gold: str, answer: str) -> None:
    started = time.process_time()
    exact(gold, answer)
    assert time.process_time() - started < 0.2


def judged(gold: str | list[str], response: str, finish: str = "stop") -> tuple[str, str]:
    problem = Problem(id="p", prompt="", answer=gold)
    trace = Trace(series="s", problem_id="p", sample=0, response=response, finish=finish)  # type: ignore[arg-type]
    verdict = check(problem, trace)
    return verdict.status, verdict.checker


@pytest.mark.parametrize(
    ("gold", "response", "status", "rung"),
    [
        ("12", r"\boxed{12}", "correct", "exact"),
        (["11", "12"], r"\boxed{12}", "correct", "exact"),
        ("12", "The answer is 12 apples.", "correct", "exact"),
        ("12", r"I thought of \boxed{12}, but \boxed{13}", "wrong", "exact"),
        ("12", "No idea.", "no_answer", "extract"),
        (r"x^2+2x+1", r"\boxed{(x+1)^2}", "correct", "math-verify-"),
        (r"x^2+2x+1", r"\boxed{(x+2)^2}", "wrong", "math-verify-"),
        ("(2,3]", r"\boxed{(2,3)}", "wrong", "math-verify-"),
        (r"\{1,2\}", r"\boxed{2, 1}", "correct", "math-verify-"),
        ("5", r"\boxed{??}", "wrong", "math-verify-"),
        (r"m_{\max}=n^{2}", r"\boxed{n}", "checker_error", "math-verify-"),
        ("x", "\\boxed{" + "x+" * 5000 + "x}", "checker_error", "math-verify-"),
    ],
)
def test_math_verdicts(gold: str | list[str], response: str, status: str, rung: str) -> None:
    found, checker = judged(gold, response)
    assert found == status
    assert checker.startswith(f"math/1:{rung}")


@pytest.mark.parametrize("response", ["", "so 3 + 4 is"])
def test_a_response_that_was_cut_off_has_no_accidental_answer(response: str) -> None:
    assert judged("4", response, "length")[0] == "no_answer"


def test_a_cut_off_response_may_have_given_its_answer_before() -> None:
    assert judged("4", r"\boxed{4} because", "length")[0] == "correct"


def test_nothing_is_taken_from_the_reasoning() -> None:
    problem = Problem(id="p", prompt="", answer="4")
    trace = Trace(series="s", problem_id="p", sample=0, reasoning=r"\boxed{4}", response="Hm.")
    assert check(problem, trace).status == "no_answer"


def test_hard_algebra_is_left_to_a_worker() -> None:
    problem = Problem(id="p", prompt="", answer="3")
    trace = Trace(series="s", problem_id="p", sample=0, response=r"\boxed{9^{9^{9^{9}}}}")
    assert quick(item_of(problem, trace)) is None

"""Equal and unequal answers, and which rung may say so."""

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.types import Problem, Trace
from distill.verify.check import check, quick
from distill.verify.item import item_of
from distill.verify.math import compare

# Both ways round; None: only algebra, or nobody, can tell.
COMPARED = [
    # texts and dress
    ("x+1", "x + 1", True),
    (r"\frac{1}{2}", r"\dfrac{1}{2}", True),
    (r"\frac12", r"$\tfrac{1}{2}$", True),
    (r"\left(1, 2\right)", "(1,2)", True),
    (r"\text{Evelyn}", "evelyn", True),
    ("Evelyn", r"\text{Amy Lee}", False),
    ("Evelyn", "nylevE", False),
    ("Maria", "Marian", False),
    ("x+1", "1+x", True),
    ("abc", "cba", False),
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
    ("1/0", "1", None),
    ("10^{999999999}", "1", False),
    ("1e999999999", "1", False),
    ("9^{9^{9^{9}}}", "3", False),
    # percent, units, assignments
    (r"50\%", "50", True),
    ("50%", "0.5", True),
    ("50%", "5", False),
    ("5", r"5 \text{ cm}", True),
    (r"5\text{ cm}", r"5\text{ m}", False),
    (r"5\text{ cm}", r"0.05\text{ m}", True),
    (r"90\text{ km/h}", r"25\text{ m/s}", True),
    (r"2\text{ m}^2", r"20000\text{ square centimeters}", True),
    (r"5\mathrm{e}", "5", False),
    (r"55^\circ", "55", True),
    (r"45^\circ", r"\frac{\pi}{4}", True),
    ("45", r"\frac{\pi}{4}", False),
    ("5", "x = 5", True),
    ("x=5", "6", False),
    ("x=5", "y=5", False),
    ("(B)", r"\textbf{(B)}\ 7", True),
    ("(B)", r"\textbf{(C)}\ 7", False),
    ("7", "seven", True),
    # shapes
    ("(1,2)", "(2,1)", False),
    ("1,2", "2,1", True),
    (r"\{1,2\}", "(1,2)", False),
    ("[1,2)", r"1 \le t < 2", True),
    (r"(-\infty,1)\cup(1,\infty)", r"x \neq 1", True),
    (r"x>2", r"-2x < -4", True),
    (r"x>2", r"-2x > -4", False),
    (r"|x-1| \le 3", "[-2,4]", True),
    ("y=2x+1", "2y-4x-2=0", True),
    ("y=2x+1", "2y-4x-1=0", False),
    ("2x+z=1", "1", False),
    (r"3\pm\sqrt{2}", r"3-\sqrt2, 3+\sqrt2", True),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}", True),
    (r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", False),
    ("2:3", "4:6", True),
    ("101_2", "5_{10}", True),
    # towers and near misses
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", False),
    (r"\frac{1}{2006!}", r"\frac{1}{2004!}", False),
    (r"1+10^{-80}", "1", False),
    (r"\sqrt{2}+10^{-200}", r"\sqrt{2}", False),
    (r"7^{7^7}", r"7^{823543}", True),
    (r"7^{7^{7^7}}", r"7^{7^{7^7}}+1", False),
    (r"7^{7^{7^7}}", r"7^{7^{7^6}}", False),
    (r"\frac{(10^9)!}{(10^9-1)!}", "10^9", None),
    # algebra
    (r"\sin 2x", r"2\sin x\cos x", True),
    (r"\sqrt{x^2}", "x", False),
    (r"(-1)^n", r"\cos(n\pi)", True),
    (r"\frac{x^2-1}{x-1}", "x+1", True),
    (r"\log_4 9", r"\log_2 3", True),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "same"), COMPARED)
def test_the_quick_rungs_say_equal_different_or_nothing(
    gold: str, answer: str, same: bool | None
) -> None:
    assert compare(gold, answer).same is same
    assert compare(answer, gold).same is same


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("0.333", r"\frac13", True),
        (r"\frac13", "0.333", False),
        ("0.33", r"\frac13", False),
        ("3.14", r"\pi", True),
        ("3.15", r"\pi", False),
        (r"\pi", "3.14", False),
        ("1011_2", "1011", True),
        ("11", "11_2", False),
        ("2.74", "2,74", True),
    ],
)
def test_a_decimal_or_a_base_that_is_expected_gives_the_measure(
    gold: str, answer: str, same: bool
) -> None:
    assert compare(gold, answer).same is same


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
def test_fractions_are_equal_exactly_when_they_are(left: Fraction, right: Fraction) -> None:
    latex = f"\\frac{{{left.numerator}}}{{{left.denominator}}}"
    assert compare(latex, str(right)).same is (left == right)
    assert compare(latex, str(left)).same is True


@given(st.integers(-(10**60), 10**60), st.integers(-3, 3))
def test_integers_that_differ_are_never_equal(value: int, more: int) -> None:
    for shown in (str(value + more), f"{value + more:,}", f"{value + more}.0", f"x={value + more}"):
        assert compare(str(value), shown).same is (more == 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(2, 400), st.integers(0, 2), st.sampled_from(["", "-", "1-"]))
def test_powers_that_differ_are_never_equal(base: int, power: int, more: int, sign: str) -> None:
    left = f"{sign}\\frac{{1}}{{{base}^{{{power}}}}}"
    right = f"{sign}{base}^{{-{power + more}}}"
    assert compare(left, right).same is (more == 0)


@given(st.integers(-(10**30), 10**30))
def test_thousands_separators_do_not_change_a_number(value: int) -> None:
    assert compare(str(value), f"{value:,}").same is True
    assert compare(str(value), f"{value:,}".replace(",", "{,}")).same is True


ANSWERS = sorted({text for row in COMPARED for text in row[:2]})
DRESSES = [
    "${}$", "\\left.{}\\right.", " {} ", "{}.", "\\displaystyle {}", "\\boxed{{{}}}", "\\(  {}\\)", "{{{}}}",
]  # fmt: skip


@pytest.mark.parametrize("dress", DRESSES)
def test_dress_never_changes_a_verdict(dress: str) -> None:
    for gold, answer, same in COMPARED:
        if "text" not in answer and "," not in answer and same is not None:
            assert compare(gold, dress.format(answer)).same is same, (gold, answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_equals_itself(answer: str) -> None:
    assert compare(answer, answer).same is True


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(alphabet="\\frac{}^_0123456789,.%$ex!<>()[]", max_size=300))
def test_the_quick_rungs_take_any_text_and_are_fast(gold: str, answer: str) -> None:
    started = time.process_time()
    compare(gold, answer)
    compare(answer, gold)
    assert time.process_time() - started < 0.5


def judged(gold: str | list[str], response: str, finish: str = "stop") -> tuple[str, str]:
    problem = Problem(id="p", prompt="", answer=gold)
    trace = Trace(series="s", problem_id="p", sample=0, response=response, finish=finish)  # type: ignore[arg-type]
    verdict = check(problem, trace)
    return verdict.status, verdict.checker


SUM = r"\sum_{k=1}^{3} k"


@pytest.mark.parametrize(
    ("gold", "response", "status", "rung"),
    [
        ("12", r"\boxed{12}", "correct", "text"),
        (["11", "12"], r"\boxed{12}", "correct", "text"),
        ("12", "The answer is 12 apples.", "correct", "formula"),
        ("12", r"I thought of \boxed{12}, but \boxed{13}", "wrong", "number"),
        ("12", "No idea.", "no_answer", "extract"),
        ("12", r"\boxed{12} or \boxed{13}", "no_answer", "extract"),
        ("13,12", r"\boxed{12} or \boxed{13}", "correct", "formula"),
        (r"x^2+2x+1", r"\boxed{(x+1)^2}", "correct", "formula"),
        (r"x^2+2x+1", r"\boxed{(x+2)^2}", "wrong", "formula"),
        ("6", rf"\boxed{{{SUM}}}", "correct", "math-verify-"),
        ("7", rf"\boxed{{{SUM}}}", "wrong", "math-verify-"),
        ("5", r"\boxed{??}", "wrong", "math-verify-"),
        (r"\frac{}{2}", r"\boxed{n}", "checker_error", "math-verify-"),
        ("x", "\\boxed{" + "x+" * 5000 + "x}", "checker_error", "math-verify-"),
        (r"\frac{(10^9)!}{(10^9-1)!}", r"\boxed{10^9}", "checker_error", "formula"),
    ],
)
def test_math_verdicts(gold: str | list[str], response: str, status: str, rung: str) -> None:
    found, checker = judged(gold, response)
    assert found == status
    assert checker.startswith(f"math/2:{rung}")


@pytest.mark.parametrize("response", ["", "so 3 + 4 is"])
def test_a_response_that_was_cut_off_has_no_accidental_answer(response: str) -> None:
    assert judged("4", response, "length")[0] == "no_answer"


def test_a_cut_off_response_may_have_given_its_answer_before() -> None:
    assert judged("4", r"\boxed{4} because", "length")[0] == "correct"


def test_nothing_is_taken_from_the_reasoning() -> None:
    problem = Problem(id="p", prompt="", answer="4")
    trace = Trace(series="s", problem_id="p", sample=0, reasoning=r"\boxed{4}", response="Hm.")
    assert check(problem, trace).status == "no_answer"


def test_what_only_sympy_reads_is_left_to_a_worker() -> None:
    problem = Problem(id="p", prompt="", answer="6")
    trace = Trace(series="s", problem_id="p", sample=0, response=rf"\boxed{{{SUM}}}")
    assert quick(item_of(problem, trace)) is None

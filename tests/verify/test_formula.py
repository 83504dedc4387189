"""Formulas: what is read, what it is worth, and that nothing hostile costs time."""

import random
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.verify.formula import parse
from distill.verify.huge import same_huge
from distill.verify.math import compare
from distill.verify.regions import region, same_region
from distill.verify.shapes import same
from distill.verify.tree import Node, num
from distill.verify.units import unit_of
from distill.verify.value import TooLargeError, exact, same_value


def tree(text: str) -> Node:
    node = parse(text)
    assert node is not None, text
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("1,234", 1234), ("1 234", 1234), ("1{,}234", 1234), ("1\\,234", 1234), ("３", 3),
        ("-.5", Fraction(-1, 2)), ("1\\frac{1}{2}", Fraction(3, 2)), ("2 3/4", Fraction(11, 4)),
        ("1\\cdot\\frac{1}{2}", Fraction(1, 2)), ("\\frac12", Fraction(1, 2)), ("2^{3^2}", 512),
        ("0.1\\overline{6}", Fraction(1, 6)), ("0.333...", Fraction(1, 3)), ("3.2e5", 320000),
        ("2A_{16}", 42), ("204_{\\text{five}}", 54), ("5!", 120), ("\\binom{5}{2}", 10), ("-3^2", -9),
        ("(-3)^2", 9), ("2^{-3}", Fraction(1, 8)), ("8^{\\frac{2}{3}}", 4), ("\\sqrt[3]{-8}", -2),
        ("|-5|", 5), ("\\lfloor 2.7 \\rfloor", 2), ("\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", -2),
        ("6/2(1+2)", 9), ("2^6 3^5", 64 * 243),
    ],
)  # fmt: skip
def test_a_number_has_its_exact_value(text: str, value: Fraction | int) -> None:
    assert exact(tree(text)) == value


@pytest.mark.parametrize(
    "text",
    ["", "3 4", "\\int x", "\\sum_{k=1}^3 k", "(1,2", "x+", "\\frac{1}", "1..2", "\\begin{cases}1"],
)  # fmt: skip
def test_what_is_not_known_is_not_read(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["9^{9^9}", "(10^6)!", "10^{10^{10}}", "2^{30000}"])
def test_what_does_not_fit_is_not_written_out(text: str) -> None:
    with pytest.raises(TooLargeError):
        exact(tree(text))


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("9^{9^9}", "9^{387420489}", True), ("9^{9^9}", "9^{387420488}", False),
        ("4^{9^9}", "2^{2\\cdot 9^9}", True), ("10^{10^{10}}", "10^{10^{10}}+1", False),
        ("9^{9^{9^9}}", "9^{9^{9^8}}", False), ("\\frac{5000!}{4999!}", "5000", True),
        ("\\frac{5000!}{4999!}", "5001", False), ("-(7^{9^9})", "7^{9^9}", False),
        ("9^{9^{9^9}}", "3", False),
    ],
)  # fmt: skip
def test_huge_numbers_are_compared_by_factors_and_logarithms(
    left: str, right: str, equal: bool
) -> None:
    assert same_huge(tree(left), tree(right)) is equal
    assert same_value(tree(right), tree(left)) is equal


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("cm^2", ("L2", Fraction(1, 10_000))), ("square centimeters", ("L2", Fraction(1, 10_000))),
        ("平方厘米", ("L2", Fraction(1, 10_000))), ("km/h", ("L1T-1", Fraction(1000, 3600))),
        ("kilometers per hour", ("L1T-1", Fraction(1000, 3600))), ("apples", ("apple1", Fraction(1))),
        ("mL", ("L3", Fraction(1, 10**6))),
    ],
)  # fmt: skip
def test_a_unit_is_a_dimension_and_a_factor(text: str, unit: tuple[str, Fraction]) -> None:
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("x<-2 \\text{ or } x>2", "(-\\infty,-2)\\cup(2,\\infty)", True),
        ("|x-1| < 3", "(-2,4)", True), ("[0,1)\\cup[1,2]", "[0,2]", True),
        ("\\mathbb{R}\\setminus\\{2\\}", "x \\ne 2", True), ("x>1 \\text{ and } x<4", "(1,4)", True),
        ("(0,1)\\cap(1,2)", "\\emptyset", True), ("2x+1 \\ge 5", "[2,\\infty)", True),
        ("[0,1)", "(0,1]", False), ("(0,\\sqrt{2})", "(0,1.41421356)", False),
    ],
)  # fmt: skip
def test_regions_are_equal_when_they_hold_the_same_numbers(
    left: str, right: str, equal: bool
) -> None:
    ours, theirs = region(tree(left)), region(tree(right))
    assert ours is not None and theirs is not None
    assert same_region(ours, theirs) is equal


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [("x^2<4", "-2<x<2", True), ("x^2 \\le 4", "(-2,2)", False), ("x^2>2", "|x|>\\sqrt{2}", True),
     ("\\frac{1}{x}>0", "x>0", True), ("x^2-3x+2<0", "(1,2)", True), ("x^2<4", "-2<y<2", False)],
)  # fmt: skip
def test_an_inequality_is_solved_by_trying_the_other_side(
    left: str, right: str, equal: bool
) -> None:
    assert same(tree(left), tree(right)) is equal
    assert same(tree(right), tree(left)) is equal


def shown(node: Node) -> str:
    """A formula as LaTeX with all its brackets."""
    op, args = node
    if op == "num":
        return f"({args[0].numerator})" if args[0] < 0 else str(args[0].numerator)
    if op == "name":
        return str(args[0])
    left, right = shown(args[0]), shown(args[1])
    return {
        "add": f"({left}+{right})",
        "mul": f"({left}\\cdot {right})",
        "div": f"\\frac{{{left}}}{{{right}}}",
        "pow": f"({left})^{{{right}}}",
    }[op]


leaves = st.integers(-9, 9).map(num) | st.sampled_from("xyz").map(
    lambda name: Node("name", (name,))
)
formulas = st.recursive(
    leaves,
    lambda inside: (
        st.tuples(st.sampled_from(["add", "mul", "div"]), inside, inside).map(
            lambda made: Node(made[0], (made[1], made[2]))
        )
        | st.tuples(inside, st.integers(0, 3)).map(
            lambda made: Node("pow", (made[0], num(made[1])))
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(formulas)
def test_a_formula_that_is_written_and_read_is_worth_the_same(node: Node) -> None:
    assert same_value(tree(shown(node)), node) in (True, None)


@settings(max_examples=150, deadline=None)
@given(formulas, formulas)
def test_equality_of_values_is_symmetric(left: Node, right: Node) -> None:
    assert same_value(left, right) is same_value(right, left)


@settings(max_examples=150, deadline=None)
@given(formulas, st.integers(1, 9))
def test_a_formula_and_one_more_are_never_equal(node: Node, more: int) -> None:
    assert same_value(node, Node("add", (node, num(more)))) in (False, None)


BAIT = [
    "{", "}", "(", "[", "\\{", "|x", "^", "!", "+", "-", "1,", "1 ", "12,345", "\\frac{1}{",
    "\\sqrt", "\\sin ", "2^{", "9^", "\\text{a} ", "ab ", "$", "\\,", "0.", "°", "and ", ", ", "=",
    "x<", "[1,2]\\cup ", "1\\pm ", "\\begin{pmatrix}", "&", "\\\\", "1_2", "3!", "\\binom{9}{4}",
    "\\lfloor ", "1e9", "10^{9}+", "99!*", "1/7+", "2^{99}/3^{99}+", "x^{9}*", "人", "A,", "is ",
    "maybe ", "cm/", "one ", "333...", "1\\frac{1}{2}",
]  # fmt: skip


@pytest.mark.parametrize("bait", BAIT)
def test_what_repeats_without_end_takes_no_time(bait: str) -> None:
    for size in (300, 4900):
        answer = (bait * size)[:size]
        started = time.process_time()
        for gold in ("x+1", "3", "(1,2)", answer + "1"):
            compare(gold, answer)
        assert time.process_time() - started < 1.0


def test_what_is_put_together_at_random_takes_no_time_and_breaks_nothing() -> None:
    rng = random.Random(0)
    for _ in range(1500):
        left, right = ("".join(rng.choices(BAIT, k=rng.randint(1, 20))) for _ in range(2))
        started = time.process_time()
        compare(left, right)
        assert time.process_time() - started < 0.5, (left, right)

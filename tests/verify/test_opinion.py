"""The second opinion: what math-verify calls equal and is not."""

import pytest

from distill.verify.math import equal, parse_expressions
from distill.verify.opinion import opinion


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
        (r"\frac{1}{2006!}", r"\frac{1}{2004!}"),
        (r"\sqrt{2}+10^{-20}", r"\sqrt{2}"),
        (r"\{1, \frac{1}{2^{99}}\}", r"\{1, \frac{1}{2^{98}}\}"),
        (r"(1, \frac{1}{2^{99}})", r"(1, \frac{1}{2^{98}})"),
    ],
)
def test_near_values_are_told_apart(gold: str, answer: str) -> None:
    assert opinion(parse_expressions(gold), parse_expressions(answer)) is not None


def test_it_is_needed() -> None:
    left, right = parse_expressions(r"\frac{1}{2^{99}}"), parse_expressions(r"\frac{1}{2^{98}}")
    assert equal(left, right)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("6", r"\sum_{k=1}^{3} k"),
        (r"\frac{1}{3}", r"\int_0^1 x^2 dx"),
        ("x^2-1", "(x-1)(x+1)"),
        ("[1,2)", "[1,2)"),
        (r"\{1,2\}", r"\{2,1\}"),
    ],
)
def test_what_is_equal_is_believed(gold: str, answer: str) -> None:
    assert opinion(parse_expressions(gold), parse_expressions(answer)) is None

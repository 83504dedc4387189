"""What counts as the same trace, and which one stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.filter.duplicates import Duplicates, fingerprint
from distill.filter.select import Selection
from distill.types import Trace


def mark(reasoning: str | None, response: str) -> bytes:
    told = Trace(series="s", problem_id="p", sample=0, reasoning=reasoning, response=response)
    return fingerprint(told)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("a b", "c"), ("a  b\n", " c"), True),  # spacing
        (("x\u00b2", "1"), ("x2", "1"), True),  # NFKC
        (("ﬁ", "1"), ("fi", "1"), True),
        (("a b", "c"), ("a", "b c"), False),  # what is reasoning and what is response
        (("A", "c"), ("a", "c"), False),
        (("ab", "c"), ("a b", "c"), False),
        ((None, "c"), ("", "c"), True),
        (("\ud800", "c"), ("\ud801", "c"), False),  # lone surrogates do not break it
    ],
)
def test_spacing_and_letter_forms_do_not_make_a_new_trace(
    one: tuple[str | None, str], other: tuple[str | None, str], same: bool
) -> None:
    assert (mark(*one) == mark(*other)) is same


def test_the_first_stays_and_the_others_name_it() -> None:
    seen = Duplicates()
    assert seen.find("p", b"1", "sample 0") is None
    assert seen.find("p", b"2", "sample 1") is None
    assert seen.find("p", b"1", "sample 2") == ("duplicate", "repeats sample 0")
    assert seen.find("q", b"1", "sample 0") is None, "another problem's trace is another trace"


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5))
def test_each_problem_keeps_its_first_few(problems: list[int], per_problem: int) -> None:
    selection = Selection(per_problem)
    order = sorted(problems)
    kept = [problem for problem in order if selection.find(problem) is None]
    for problem in set(problems):
        assert kept.count(problem) == min(per_problem, problems.count(problem))

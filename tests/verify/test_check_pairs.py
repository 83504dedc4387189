"""The checkers on our own labelled pairs, without workers: no false positive, and what is accepted.

pairs.jsonl: {"id": "fractions/06", "gold": "\\frac{1}{2}", "response": "\\boxed{\\frac{2}{4}}", ...}
"""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from distill.verify.choice import check_choice
from distill.verify.item import Item, Judgement
from distill.verify.math import quick_math

PAIRS = Path(__file__).parent / "pairs.jsonl"


class Pair(msgspec.Struct, frozen=True):
    id: str
    kind: str
    family: str
    gold: str
    response: str
    expected: str
    adversarial: bool
    choices: list[str] | None = None


ROWS = [msgspec.json.decode(line, type=Pair) for line in PAIRS.read_bytes().splitlines()]
FAMILIES = sorted({row.family for row in ROWS})


def judge(row: Pair, response: str | None = None) -> Judgement | None:
    said = response if response is not None else row.response
    item = Item(problem_id=row.id, kind="math", answer=row.gold, choices=row.choices, response=said)
    return check_choice(item) if row.kind == "choice" else quick_math(item)


VERDICTS = {row.id: judge(row) for row in ROWS}


def accepted(row: Pair) -> bool:
    verdict = VERDICTS[row.id]
    return verdict is not None and verdict.status == "correct"


def test_no_near_miss_is_accepted() -> None:
    assert [row.id for row in ROWS if row.expected != "equal" and accepted(row)] == []


def test_nearly_all_equal_answers_are_accepted() -> None:
    equal = [row for row in ROWS if row.expected == "equal"]
    assert sum(map(accepted, equal)) >= 0.97 * len(equal)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_is_left_behind(family: str) -> None:
    equal = [row for row in ROWS if row.expected == "equal" and row.family == family]
    assert sum(map(accepted, equal)) >= 0.9 * len(equal)


def test_a_wrong_answer_and_a_missing_one_are_told_apart() -> None:
    confused = [
        row.id
        for row in ROWS
        if row.expected != "equal"
        and (verdict := VERDICTS[row.id]) is not None
        and (verdict.status == "no_answer") != (row.expected == "no_answer")
    ]
    assert len(confused) <= 5, confused


def test_nearly_all_are_decided_without_a_worker() -> None:
    assert Counter(verdict is None for verdict in VERDICTS.values())[True] <= 15


def test_what_follows_the_box_changes_no_verdict() -> None:
    for row in ROWS:
        if "\\boxed{" in row.response and row.expected != "no_answer" and row.kind == "math":
            verdict = judge(row, row.response + "\n\nThis completes the solution.")
            before = VERDICTS[row.id]
            assert (verdict and verdict.status) == (before and before.status), row.id

"""The embedded world: reproducible, disjoint by construction, and right about its own answers."""

import re

import pytest

from distill.types import STATUSES, Trace
from distill.verify.check import check
from distill.world import FAMILIES, LARGEST, Solved, solved_problems, split_of, world_problems


def test_the_same_arguments_give_the_same_problems_and_another_seed_gives_others() -> None:
    first = world_problems("train", count=50, seed=1)
    assert first == world_problems("train", count=50, seed=1)
    assert not {p.id for p in first} & {p.id for p in world_problems("train", count=50, seed=2)}


def test_a_longer_count_begins_with_the_shorter_one() -> None:
    assert world_problems("test", count=40, seed=1)[:20] == world_problems("test", count=20, seed=1)


def test_no_sequence_of_operations_is_on_both_sides() -> None:
    train = {p.id for seed in range(3) for p in world_problems("train", count=2000, seed=seed)}
    test = {p.id for seed in range(3) for p in world_problems("test", count=500, seed=seed)}
    assert not train & test
    assert {split_of(i) for i in train} == {"train"} and {split_of(i) for i in test} == {"test"}


@pytest.mark.parametrize(("split", "steps"), [("train", {3, 4, 5, 6}), ("longer", {7})])
def test_chains_are_as_long_as_the_split_says(split: str, steps: set[int]) -> None:
    solved = solved_problems(split, count=300, seed=1)  # type: ignore[arg-type]
    days = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
    assert {len(re.findall(days, s.problem.text)) for s in solved} == steps


def test_all_families_appear_equally_and_both_kinds_are_there() -> None:
    problems = world_problems("train", count=300, seed=1)
    assert {p.topic for p in problems} == set(FAMILIES)
    assert {p.kind for p in problems} == {"math", "choice"}


@pytest.mark.parametrize("split", ["train", "test", "longer"])
def test_the_worked_solution_is_judged_correct_by_the_ordinary_checkers(split: str) -> None:
    for solved in solved_problems(split, count=90, seed=4):  # type: ignore[arg-type]
        assert status(solved, solved.response) == "correct", solved


def test_a_neighbouring_answer_is_judged_wrong() -> None:
    for solved in solved_problems("train", count=90, seed=5):
        answer = str(solved.problem.answer)
        other = str(int(answer) + 1) if answer.isdigit() else "ABCDE"["ABCDE".index(answer) - 1]
        assert status(solved, f"\\boxed{{{other}}}") == "wrong", solved


def test_each_step_of_a_chain_follows_from_the_one_before() -> None:
    for solved in solved_problems("train", count=90, seed=6):
        if solved.problem.topic != "jar":
            continue
        value = int(re.findall(r"holds (\d+)", solved.problem.text)[0])
        for left, sign, right, after in re.findall(
            r"(\d+) ([+x-]) (\d+) = (\d+)", solved.reasoning
        ):
            assert int(left) == value
            value = {"+": value + int(right), "-": value - int(right), "x": value * 2}[sign]
            assert value == int(after) and 0 < value <= LARGEST
        assert str(value) == solved.problem.answer


def status(solved: Solved, response: str) -> str:
    trace = Trace(
        series="s",
        problem_id=solved.problem.id,
        sample=0,
        reasoning=solved.reasoning,
        response=response,
    )
    found = check(solved.problem, trace).status
    assert found in STATUSES
    return found

"""The shipped benchmark cards on rows of their sets: real ones where they are, made ones elsewhere."""

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from distill import cards
from distill.cards import ProblemSource
from distill.problems import load_problems
from distill.types import FunctionTests, Problem, Rejected


def local(name: str, path: Path, **columns: str) -> ProblemSource:
    """A benchmark's mapping on a file instead of its data set, as a user without a hub would write it."""
    problems = cards.resolve(cards.load_benchmark(name).problems)
    return msgspec.structs.replace(
        problems, file=str(path), dataset=None, subset=None, split=None, revision=None, card=None,
        columns={**problems.columns, **columns},
    )  # fmt: skip


def read(source: ProblemSource) -> list[Problem]:
    bad: list[Rejected] = []
    problems = list(load_problems([source], bad.append))
    assert not bad, bad[0]
    return problems


@pytest.mark.parametrize(
    "name,file,count,columns",
    [
        ("amc23", "aime_amc/amc23.jsonl", 40, {}),
        ("aime24", "aime_amc/aime24.jsonl", 30, {"answer": "expected_answer"}),
        ("aime25", "aime_amc/aime25.jsonl", 30, {"answer": "expected_answer"}),
        ("math-500", "math500/test.jsonl", 500, {}),
        ("olympiadbench", "math_bench_extra/olympiadbench.jsonl", 675, {}),
        ("mmlu-stem", "science_mcq/mmlu_stem.jsonl", 3018, {"topic": "type"}),
        ("humaneval", "humaneval/test.jsonl", 164, {}),
    ],
)
def test_every_row_of_the_real_set_becomes_a_problem(
    real_data: Path, name: str, file: str, count: int, columns: dict[str, str]
) -> None:
    path = real_data / file
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    problems = read(local(name, path, **columns))
    ids = {problem.id for problem in problems}
    assert len(rows) == count and len(ids) == len(problems)
    # MMLU holds a few questions twice, word for word.
    assert len(problems) == count if name != "mmlu-stem" else 3000 < len(problems) <= count
    card = cards.load_benchmark(name)
    assert {problem.kind for problem in problems} == {cards.resolve(card.problems).kind}
    assert all(problem.answer or problem.tests for problem in problems)


GPQA = [
    {
        "Question": f"Which of these is {number}?",
        "Correct Answer": f"{number}",
        "Incorrect Answer 1": f"{number + 1}",
        "Incorrect Answer 2": f"{number + 2}",
        "Incorrect Answer 3": f"{number + 3}",
    }
    for number in range(400)
]


def test_the_right_answer_of_gpqa_stands_anywhere_and_always_in_the_same_place(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gpqa.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in GPQA))
    problems = read(local("gpqa-diamond", path))
    assert problems == read(local("gpqa-diamond", path))
    for problem, row in zip(problems, GPQA, strict=True):
        assert problem.choices and sorted(problem.choices) == sorted(list(row.values())[1:])
        assert problem.choices["ABCD".index(str(problem.answer))] == row["Correct Answer"]
    where = Counter(problem.answer for problem in problems)
    # 400 fair draws of four: below 60 or above 140 is further than four standard deviations.
    assert set(where) == set("ABCD") and all(60 < count < 140 for count in where.values())


def test_choices_are_needed_where_the_first_is_right(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "?"}\n')
    bad: list[Rejected] = []
    assert not list(load_problems([ProblemSource(file=str(path), answer_in="first")], bad.append))
    assert "needs 'choices', the right one first" in bad[0].reason


def test_humaneval_gives_its_check_and_the_name_to_check(tmp_path: Path) -> None:
    row = {
        "task_id": "HumanEval/0",
        "prompt": 'def one() -> int:\n    """1."""\n',
        "test": "def check(candidate):\n    assert candidate() == 1\n",
        "entry_point": "one",
    }
    path = tmp_path / "h.jsonl"
    path.write_text(json.dumps(row))
    [problem] = read(local("humaneval", path))
    assert isinstance(problem.tests, FunctionTests) and problem.tests.entry == "one"

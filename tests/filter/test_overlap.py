"""Benchmark problems among the run's, and templates that only look like them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill import jsonl
from distill.filter.overlap import OverlapIndex, find_overlap
from distill.types import Problem
from distill.world import world_problems

TRAIN = (
    "A baker sells twelve loaves of rye bread each morning and half as many rolls in the afternoon. "
    "Every loaf costs $3 and every roll costs $2. How much money does the baker earn in one week?"
)
SHORT = "What is the sum of the first 20 odd numbers?"


def overlap(
    ours: str | Problem, theirs: str | Problem, *others: str, in_benchmark: bool = False
) -> str | None:
    """Evidence for ``ours`` against a benchmark that holds ``theirs``."""

    def problem(text: str | Problem, name: str) -> Problem:
        return text if isinstance(text, Problem) else Problem(id=name, prompt=text, answer="1")

    more = [problem(text, f"more/{number}") for number, text in enumerate(others)]
    run = [problem(ours, "ours/1"), *([] if in_benchmark else more)]
    bench = [problem(theirs, "b/7"), *(more if in_benchmark else [])]
    return find_overlap(lambda: iter(run), OverlapIndex(("bench", p) for p in bench)).get("ours/1")


HALF = " ".join(TRAIN.split()[: len(TRAIN.split()) // 2])


@pytest.mark.parametrize(
    "ours",
    [
        TRAIN,
        TRAIN.upper(),
        "  " + TRAIN.replace(" ", "\n  "),
        TRAIN.replace("$", "\\$").replace("?", " ?"),
        TRAIN.replace("How", "\uff28ow"),
        HALF,
        HALF.upper(),
        f"Solve this with care and show all of your steps, please. {TRAIN} Put the answer in a box.",
        TRAIN.replace("one week", "one whole week"),
        TRAIN.replace("baker sells", "baker usually sells"),
    ],
    ids="same upper spaces punctuation wide half upper-half inside end-changed word-added".split(),
)
def test_a_benchmark_problem_is_found_in_another_dress(ours: str) -> None:
    evidence = overlap(ours, TRAIN)
    assert evidence is not None
    assert "b/7 of bench" in evidence


@pytest.mark.parametrize(
    "ours",
    [
        "A baker sells bread. Every loaf costs $3 and every roll costs $2. How many did he sell?",
        "How much money does the baker earn in one week?",
        TRAIN.replace("twelve", "nine").replace("$3", "$4").replace("half", "twice")
        .replace("week", "month").replace("$2", "$1"),
        "",
        "? ?",
    ],
)  # fmt: skip
def test_a_few_shared_words_are_no_overlap(ours: str) -> None:
    assert overlap(ours, TRAIN) is None


def test_short_problems_are_compared_whole() -> None:
    assert overlap(SHORT.upper(), SHORT) == "the same text as b/7 of bench"
    assert overlap(SHORT.replace("20", "30"), SHORT) is None
    assert overlap("Find x + 1 = 3", "Find x - 1 = 3") is None, "operators count"


def test_choices_count_in_any_order() -> None:
    def choice(*choices: str) -> Problem:
        return Problem(
            id="ours/1", kind="choice", prompt="Which is true?", answer="A", choices=list(choices)
        )

    assert overlap(choice("1", "2"), choice("2", "1")) is not None
    assert overlap(choice("1", "2"), choice("1", "3")) is None


@pytest.mark.parametrize("in_benchmark", [False, True])
def test_boilerplate_that_stands_in_many_texts_is_a_template(in_benchmark: bool) -> None:
    tail = "can be written as m/n where m and n are relatively prime positive integers, find m + n"
    ours, theirs = f"The area {tail}", f"The probability {tail}"
    assert overlap(ours, theirs) is not None, "nothing says yet that it is a template"
    others = [f"The length of side number {number} {tail}" for number in range(9)]
    assert overlap(ours, theirs, *others, in_benchmark=in_benchmark) is None


@pytest.mark.parametrize("seed", range(3))
def test_no_training_problem_of_the_embedded_world_overlaps_with_its_tests(seed: int) -> None:
    train = world_problems("train", count=3000, seed=seed)
    test = [p for split in ("test", "longer") for p in world_problems(split, count=300, seed=seed)]
    index = OverlapIndex(("tiny", problem) for problem in test)
    assert find_overlap(lambda: iter(train), index) == {}
    leak = [*train, *test[:5]]
    assert set(find_overlap(lambda: iter(leak), index)) == {problem.id for problem in test[:5]}


def read(path: Path) -> Iterator[Problem]:
    for line in jsonl.lines(path):
        row = jsonl.decode(line.data, dict[str, object])
        yield Problem(
            id=f"{path.parent.name}/{line.number}", prompt=str(row["problem"]), answer="1"
        )


@pytest.mark.parametrize(
    ("train", "test", "most"),
    [
        ("gsm8k/train.jsonl.zst", "gsm8k/test.jsonl", 0.001),
        ("math_train_test/train.jsonl.zst", "math500/test.jsonl", 0.005),
    ],
)
def test_public_training_sets_are_hardly_flagged_and_the_tests_themselves_wholly(
    real_data: Path, train: str, test: str, most: float
) -> None:
    ours, theirs = list(read(real_data / train)), list(read(real_data / test))
    index = OverlapIndex(("bench", problem) for problem in theirs)
    assert len(find_overlap(lambda: iter(ours), index)) <= most * len(ours)
    assert len(find_overlap(lambda: iter(theirs), index)) == len(theirs)

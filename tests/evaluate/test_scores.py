"""scores.json and the lines of the result table."""

from pathlib import Path

import msgspec
import pytest

from distill.errors import DistillError, Missing
from distill.evaluate.scores import (
    Outcomes,
    Scores,
    Settings,
    broken_range,
    read_scores,
    result_lines,
    score,
    write_scores,
)  # fmt: skip
from distill.recipe import Recipe
from distill.run import Run
from distill.types import Role, Score

SETTINGS = Settings(engine="local", seed=0, versions={}, benchmarks=[], models=[])


def a_score(role: Role, model: str, value: float, benchmark: str = "tiny") -> Score:
    return Score(benchmark=benchmark, model=model, role=role, value=value)


def test_what_is_not_judged_correct_counts_against_pass_at_1() -> None:
    outcomes = Outcomes({"a": 2, "b": 0}, {"correct": 2, "no_answer": 1}, ["math 1"], 1, 0)
    made = score("tiny", "t", "teacher", outcomes, 2, 0)
    assert made.value == 0.5
    assert made.status_counts == {"correct": 2, "no_answer": 1, "failed": 1}


def test_an_unfinished_measurement_is_no_score() -> None:
    with pytest.raises(AssertionError):
        score("tiny", "t", "teacher", Outcomes({"a": 1}, {"correct": 1}, [], 0, 1), 2, 0)


def test_broken_checkers_are_a_range_not_a_wrong_answer() -> None:
    outcomes = Outcomes(
        {"a": 2, "b": 0}, {"correct": 2, "checker_error": 1, "timeout": 1}, [], 0, 0
    )
    made = score("tiny", "t", "teacher", outcomes, 2, 0)
    assert broken_range(made) == (0.5, 1.0)
    assert broken_range(a_score("teacher", "t", 0.5)) is None


def test_lines_stand_by_benchmark_and_student_with_the_shared_teacher() -> None:
    scores = Scores(
        scores=[
            a_score("base", "one", 0.0), a_score("student", "one", 0.6), a_score("student", "two", 0.3),
            a_score("teacher", "t", 0.8), a_score("teacher", "t", 0.0, "hard"),
        ],
        settings=SETTINGS,
    )  # fmt: skip
    lines = result_lines(scores)
    assert [(li.benchmark, li.student and li.student.model, li.share) for li in lines] == [
        ("tiny", "one", pytest.approx(0.75)),
        ("tiny", "two", pytest.approx(0.375)),
        ("hard", None, None),
    ]


def test_scores_read_back_as_written_and_are_the_same_bytes_twice(tmp_path: Path) -> None:
    run = Run(tmp_path, Recipe(problems=[]))
    scores = Scores(scores=[a_score("student", "one", 0.25)], settings=SETTINGS)
    write_scores(run, scores)
    first = run.scores.read_bytes()
    write_scores(run, read_scores(run))
    assert run.scores.read_bytes() == first
    assert set(msgspec.json.decode(first)) == {"scores", "settings"}


def test_missing_and_damaged_scores_are_named_with_the_way_out(tmp_path: Path) -> None:
    run = Run(tmp_path, Recipe(problems=[]))
    with pytest.raises(Missing, match="distill eval"):
        read_scores(run)
    run.scores.write_text("{")
    with pytest.raises(DistillError, match="distill eval"):
        read_scores(run)

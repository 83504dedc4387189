"""A synthetic run with every stage done, and an empty one."""

import math
import random
from pathlib import Path

import pytest

from distill import jsonl
from distill.cards import ProblemSource
from distill.evaluate.scores import (
    BenchmarkSettings,
    Outcomes,
    Scores,
    Settings,
    score,
    write_scores,
)  # fmt: skip
from distill.recipe import Evaluate, Recipe
from distill.run import Run
from distill.types import Dropped, Example, Message, Role, Sampling, Status, Trace, Verdict
from distill.world import solved_problems

RECIPE = Recipe(
    problems=[ProblemSource(world="train", count=60)],
    students=["tiny-qwen"],
    evaluate=Evaluate(benchmarks=["tiny"]),
)


@pytest.fixture
def empty_run(tmp_path: Path) -> Run:
    return Run(tmp_path / "empty run", RECIPE)


@pytest.fixture
def full_run(tmp_path: Path) -> Run:
    return fill(Run(tmp_path / "run", RECIPE))


def fill(run: Run) -> Run:
    """Every file that the report reads, small and seeded."""
    rng = random.Random(4)
    solved = solved_problems("train", count=60, seed=1)
    jsonl.write_rows(run.problems, [s.problem for s in solved])
    traces, verdicts, kept, dropped = [], [], [], []
    chances: dict[Status, float] = {
        "correct": 0.9,
        "wrong": 0.07,
        "no_answer": 0.02,
        "timeout": 0.01,
    }
    for problem, reasoning, response in solved:
        for sample in range(4):
            status = rng.choices(list(chances), list(chances.values()))[0]
            name = {"series": "0a1b2c3d4e5f", "problem_id": problem.id, "sample": sample}
            said = response if status == "correct" else response.replace("{", "{1")
            traces.append(Trace(**name, model="tiny", reasoning=reasoning, response=said,
                                completion_tokens=rng.randint(40, 90)))  # fmt: skip
            verdicts.append(Verdict(**name, status=status, extracted="17" if status == "wrong" else None,
                                    expected=str(problem.answer), checker="math 1"))  # fmt: skip
            if status == "correct":
                kept.append(Example(**name, messages=[Message(role="user", content=problem.text)]))
            else:
                dropped.append(Dropped(**name, reason=status, evidence="says 17"))
    jsonl.write_rows(run.traces / "0" / "000000.jsonl", traces)
    jsonl.write_rows(run.verdicts / "0" / "000000.jsonl", verdicts)
    jsonl.write_rows(run.kept, kept)
    jsonl.write_rows(run.dropped, dropped)
    losses = [0.15 + 5.5 * math.exp(-step / 60) + rng.random() * 0.05 for step in range(400)]
    jsonl.write_rows(
        run.student("tiny-qwen") / "training.jsonl",
        [{"step": i + 1, "loss": loss, "lr": 1e-3, "tokens": 2048 * (i + 1), "seconds": 0.1 * i}
         for i, loss in enumerate(losses)],
    )  # fmt: skip
    measured(run)
    run.record("filter", judged=240, kept=len(kept), seconds=0.4, sha256="ab" * 32)
    return run


def measured(run: Run) -> None:
    """Scores, and the student's traces on the benchmark."""
    rates: dict[Role, float] = {"base": 0.005, "student": 0.885, "teacher": 0.93}
    scores = []
    for benchmark, factor in (("tiny", 1.0), ("tiny-longer", 0.6)):
        for role, rate in rates.items():
            rng = random.Random(f"{benchmark} {role}")
            right = {
                str(i): sum(rng.random() < rate * factor for _ in range(4)) for i in range(300)
            }
            total = sum(right.values())
            statuses: dict[Status, int] = {"correct": total, "wrong": 1200 - total}
            model = "tiny" if role == "teacher" else "tiny-qwen"
            scores.append(score(benchmark, model, role, Outcomes(right, statuses, [], 0, 0), 4, 0))
    said = [
        BenchmarkSettings(benchmark=name, problems=300, sha256="cd" * 32, samples=4,
                          sampling=Sampling(max_tokens=256), overlap=0)
        for name in ("tiny", "tiny-longer")
    ]  # fmt: skip
    write_scores(run, Scores(scores=scores, settings=Settings(
        engine="local", seed=0, versions={"torch": "2.13.0"}, benchmarks=said, models=[])))  # fmt: skip
    folder = run.evals / "student-tiny-qwen" / "tiny"
    solved = solved_problems("test", count=9, seed=2)
    jsonl.write_rows(run.evals / "tiny.problems.jsonl", [s.problem for s in solved])
    names = [{"series": "5f", "problem_id": s.problem.id, "sample": 0} for s in solved]
    jsonl.write_rows(folder / "traces" / "0" / "000000.jsonl", [
        Trace(**name, reasoning=s.reasoning, response=s.response, completion_tokens=60)
        for name, s in zip(names, solved, strict=True)])  # fmt: skip
    jsonl.write_rows(folder / "verdicts" / "0" / "000000.jsonl", [
        Verdict(**name, status="correct" if i % 2 else "wrong", extracted=str(s.problem.answer),
                expected=str(s.problem.answer))
        for i, (name, s) in enumerate(zip(names, solved, strict=True))])  # fmt: skip

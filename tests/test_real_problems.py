"""Public problem sets from the folder of real data, read whole: every row becomes a problem or is told."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from distill import jsonl
from distill.cards import ProblemSource
from distill.problems import Counted, load_problems
from distill.types import FunctionTests, Problem, Rejected, Trace
from distill.verify.pool import CheckPool


class Loaded(NamedTuple):
    problems: list[Problem]
    rejected: list[Rejected]
    counted: Counted


def load(source: ProblemSource) -> Loaded:
    rejected: list[Rejected] = []
    counts: list[Counted] = []
    problems = list(load_problems([source], rejected.append, counts.append))
    [counted] = counts
    return Loaded(problems, rejected, counted)


RLLM = {"id": None, "prompt": "problem", "tests": "tests.functional", "entry": None, "setup": None,
        "topic": None}  # fmt: skip
CONTEST = {"prompt": "prompt_sft", "entry": None, "setup": None, "topic": "meta.difficulty"}
SOLUTION = {"prompt": "problem", "answer": "solution"}
EXTRA = "math_bench_extra/"


class Real(NamedTuple):
    """A file, how it is read, its rows, and how many of them are no problem: rejected, repeated, not
    chosen."""

    path: str
    how: dict
    rows: int
    rejected: int = 0
    repeated: int = 0
    not_chosen: int = 0


MATHS = [
    Real("gsm8k/train.jsonl.zst", {"card": "gsm8k", "columns": SOLUTION}, 7473),
    Real("gsm8k/test.jsonl", {"card": "gsm8k", "columns": SOLUTION}, 1319),
    # four rows state no answer
    Real("math_train_test/train.jsonl.zst",
         {"card": "math", "columns": {"answer": "answer"}, "answer_in": "whole"}, 7474, rejected=4),
    Real("math_train_test/test5000.jsonl.zst", {"card": "math"}, 5000),
    Real("math500/test.jsonl", {"card": "math", "columns": {"topic": "subject"}}, 500),
    Real("rllm_train_math/aime_train.jsonl", {"card": "deepscaler"}, 975),
    Real("rllm_train_math/amc_test.jsonl", {"card": "deepscaler"}, 83),
    Real("rllm_train_math/minerva_test.jsonl", {"card": "deepscaler"}, 272),
    Real("aime_amc/aime24.jsonl", {"columns": {"answer": "expected_answer"}}, 30),
    Real("aime_amc/aime25.jsonl", {"columns": {"answer": "expected_answer"}}, 30),
    Real("aime_amc/amc23.jsonl", {}, 40),
    Real(EXTRA + "olympiadbench.jsonl", {"columns": {"answer": "final_answer"}}, 675),
    Real(EXTRA + "minerva_math.jsonl", {"columns": SOLUTION, "answer_in": "boxed"}, 272),
    # the same question with another answer (often another form of the same)
    Real(EXTRA + "college_math.jsonl", {}, 2818, rejected=26, repeated=10),
    Real(EXTRA + "gaokao2023en.jsonl", {}, 385, rejected=2),
    Real(EXTRA + "svamp.jsonl",
         {"columns": {"prompt": ["Body", "Question"], "answer": "Answer", "id": "ID"}}, 1000),
    Real(EXTRA + "asdiv.jsonl", {"columns": {"prompt": ["body", "question"]}}, 2215, repeated=1),
    Real("zh_math/cmath.jsonl", {"language": "zh"}, 600),
    Real("zh_math/mgsm_zh.jsonl", {"columns": {"prompt": "messages.0.content"}}, 250),
]  # fmt: skip
CHOICES = [
    Real("science_mcq/mmlu_stem.jsonl", {"answer_in": "index"}, 3018, repeated=12),
    Real("zh_math/gaokao_math_qa.jsonl",
         {"columns": {"choices": [f"options.{letter}" for letter in "ABCD"], "answer": "label"}},
         351, repeated=3),
]  # fmt: skip
CODES = [
    Real("mbpp/mbpp_full.jsonl", {"card": "mbpp"}, 974, not_chosen=3),
    Real("mbpp/mbpp_evalplus_base.jsonl",
         {"card": "mbpp", "columns": {"prompt": "prompt", "setup": "test_imports",
                                      "code": "canonical_solution", "entry": "entry_point"}}, 427),
    Real("humaneval/test.jsonl",
         {"columns": {"id": "task_id", "tests": "test", "entry": "entry_point", "setup": "prompt"},
          "tests": "humaneval", "kind": "code"}, 164),
    # linked lists and trees: their tests call helpers that the rows do not hold
    Real("rllm_code/leetcode_train.jsonl.zst", {"card": "leetcode", "columns": RLLM}, 1889,
         rejected=121),
    Real("rllm_code/leetcode_test.jsonl", {"card": "leetcode", "columns": RLLM}, 200,
         rejected=1, repeated=14),
    Real("leetcode_contest/en.jsonl.zst", {"card": "leetcode", "columns": CONTEST}, 180, rejected=2),
    Real("leetcode_contest/zh.jsonl.zst",
         {"card": "leetcode", "columns": CONTEST, "language": "zh"}, 180, rejected=2),
    Real("rllm_code/codeforces_test.jsonl", {"kind": "code", "tests": "stdin"}, 408),
    Real("rllm_code/code_contests_test.jsonl.zst", {"kind": "code", "tests": "stdin"}, 165),
]  # fmt: skip


# 5 s each: they hold inputs of a megabyte.
SLOW = {"leetcode_contest/en.jsonl.zst", "leetcode_contest/zh.jsonl.zst"}
WHOLE = [
    pytest.param(real, marks=pytest.mark.slow, id=real.path) if real.path in SLOW
    else pytest.param(real, id=real.path)
    for real in MATHS + CHOICES + CODES
]  # fmt: skip


@pytest.mark.parametrize("real", WHOLE)
def test_every_row_of_a_real_set_becomes_a_problem_or_is_told(real: Real, real_data: Path) -> None:
    """About 12 s in all."""
    found = load(ProblemSource(file=str(real_data / real.path), **real.how))
    counted = found.counted
    assert counted.rows == real.rows
    assert (counted.rejected, counted.repeated, counted.not_chosen.total()) == (
        real.rejected, real.repeated, real.not_chosen,
    )  # fmt: skip
    assert len(found.rejected) == real.rejected
    assert len(found.problems) == counted.problems
    told = real.rejected + real.repeated + real.not_chosen
    assert len({problem.id for problem in found.problems}) == real.rows - told
    if real in CODES:
        assert all(problem.kind == "code" and problem.tests for problem in found.problems)


def test_the_answer_in_a_box_is_the_one_that_the_set_states(real_data: Path) -> None:
    """MATH-500 states its answers beside the solutions that they were taken from."""
    file = str(real_data / "math500/test.jsonl")
    boxed = load(ProblemSource(file=file, columns={"answer": "solution"}, answer_in="boxed"))
    stated = load(ProblemSource(file=file))
    assert len(boxed.problems) == 500
    for one, other in zip(boxed.problems, stated.problems, strict=True):
        assert "".join(str(one.answer).split()) == "".join(str(other.answer).split())


@pytest.mark.slow
def test_gold_answers_are_right_and_those_of_the_next_problem_are_not(real_data: Path) -> None:
    """About 45 s. Where the next problem has the same answer, it is not asked."""
    with CheckPool(workers=1, timeout_s=10) as pool:
        for real in MATHS + CHOICES:
            source = ProblemSource(file=str(real_data / real.path), count=400, **real.how)
            problems = load(source).problems
            golds = [p.answer if isinstance(p.answer, str) else str(p.answer[0])
                     for p in problems if p.answer]  # fmt: skip
            assert len(golds) == len(problems)
            statuses = judge(pool, problems, golds)
            assert statuses.count("correct") >= 0.98 * len(problems), real.path
            others = [*golds[1:], golds[0]]
            mine = [
                (p, other) for p, other in zip(problems, others, strict=True) if other != p.answer
            ]
            mine = mine[:100]
            wrong = judge(pool, [p for p, _ in mine], [other for _, other in mine])
            assert wrong.count("correct") <= 0.02 * len(mine), real.path


def judge(pool: CheckPool, problems: list[Problem], answers: list[str]) -> list[str]:
    pairs = (
        (p, Trace(series="", problem_id=p.id, sample=0, response=f"It is \\boxed{{{answer}}}."))
        for p, answer in zip(problems, answers, strict=True)
    )
    return [verdict.status for verdict in pool.judge_all(pairs)]


# The imports that LeetCode gives a solution, and a check of our own tests against trusted solutions.
RUN = r"""
import contextlib, io, json, signal, sys
PRELUDE = '''
import collections, datetime, functools, heapq, itertools, math, operator, random, re, string
from typing import *
from collections import *
from functools import *
from itertools import *
from heapq import *
from bisect import *
from math import *
from operator import *
from string import *
'''
signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
for line in sys.stdin:
    job = json.loads(line)
    signal.alarm(10)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            solved, checked = {"__name__": "solved"}, {"__name__": "checked"}
            exec(PRELUDE + job["solution"], solved)
            exec(job["code"], checked)
            checked["check"](eval(job["entry"], solved))
        print("passed", flush=True)
    except Exception as error:
        print(f"{job['id']}: {type(error).__name__}: {error}"[:200], flush=True)
    signal.alarm(0)
"""

# (file, the column of the reference solution, how many of them fail their own tests)
REFERENCES = [
    ("mbpp/mbpp_full.jsonl", ["code"], 0),
    # 20 of EvalPlus's solutions answer its own, stricter tests and not MBPP's
    ("mbpp/mbpp_evalplus_base.jsonl", ["canonical_solution"], 20),
    ("humaneval/test.jsonl", ["prompt", "canonical_solution"], 0),
    ("rllm_code/leetcode_test.jsonl", ["solutions"], 0),
    ("rllm_code/leetcode_train.jsonl.zst", ["solutions"], 0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "solution", "failing"), REFERENCES)
def test_reference_solutions_pass_our_form_of_their_tests_and_others_fail(
    path: str, solution: list[str], failing: int, real_data: Path
) -> None:
    """About 20 s in all. These solutions are the sets' own, so they run without a sandbox."""
    [real] = [real for real in CODES if real.path == path]
    rows = [jsonl.decode(line.data, dict) for line in jsonl.lines(real_data / path)]
    by_key: dict[str, str] = {}
    for row in rows:
        key = row.get("task_id") or row.get("problem")
        by_key[str(key)] = "".join(row[column] for column in solution)
    problems = load(ProblemSource(file=str(real_data / path), **real.how)).problems
    jobs = [job(problem, by_key) for problem in problems]
    assert len(jobs) >= 0.9 * len(rows)
    results = run(jobs)
    failed = [result for result in results if result != "passed"]
    assert len(results) == len(jobs)
    assert len(failed) == failing, failed
    # a solution of another problem: nearly none passes
    swapped = [dict(one, solution=jobs[i - 1]["solution"]) for i, one in enumerate(jobs[:100])]
    assert run(swapped).count("passed") <= 3


def job(problem: Problem, solutions: dict[str, str]) -> dict[str, str]:
    assert isinstance(problem.prompt, str) and isinstance(problem.tests, FunctionTests)
    task = problem.id.partition("/")[2]
    solution = solutions[task] if task in solutions else solutions[problem.prompt]
    return {
        "id": problem.id,
        "solution": solution,
        "entry": problem.tests.entry,
        "code": problem.tests.code,
    }


def run(jobs: list[dict[str, str]]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN],
        input="".join(msgspec.json.encode(one).decode() + "\n" for one in jobs),
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()

"""What reasoning-gym's scorers say, and what they may not do."""

import inspect
import json
import os
import re
import sys
from pathlib import Path

import msgspec
import pytest

from distill.cards import ProblemSource
from distill.errors import DistillError
from distill.problems import load_problems
from distill.types import Gym, Problem, Trace, Verdict
from distill.verify import gym
from distill.verify.check import check, require_checkers
from distill.verify.gym import final_answer, not_maths, plain_value
from distill.verify.pool import CheckPool
from tests.conftest import needs

GCD = Problem(
    id="p", prompt="", kind="gym", answer="4", gym=Gym(task="gcd", entry='{"answer": "4"}')
)


def judged(problem: Problem, response: str) -> Verdict:
    return check(problem, Trace(series="s", problem_id=problem.id, sample=0, response=response))


@pytest.mark.parametrize(
    ("response", "status", "detail"),
    [
        ("<answer>4</answer>", "correct", None),
        ("<answer>\n4\n</answer> I hope.", "correct", None),
        ("<answer>5</answer> no: <answer>4</answer>", "correct", None),
        (r"So \boxed{4}.", "correct", None),
        (r"So \boxed{\text{4}}.", "correct", None),
        ("The answer is 4.", "correct", None),
        ("<answer>4</answer> and \\boxed{5}", "correct", None),
        ("<answer>5</answer>", "wrong", None),
        ("<answer>the number 4 of course</answer>", "wrong", "score 0.04545"),
        ("<answer></answer>", "no_answer", None),
        ("It might be 4", "no_answer", None),
        ("", "no_answer", None),
    ],
)
def test_only_a_full_score_is_correct_and_a_partial_one_is_told(
    response: str, status: str, detail: str | None
) -> None:
    verdict = judged(GCD, response)
    assert (verdict.status, verdict.detail) == (status, detail)
    assert re.fullmatch(r"gym/1:reasoning-gym-[\d.]+", verdict.checker)
    assert verdict.expected == "4"


def test_an_answer_in_tags_is_scored_as_it_stands() -> None:
    found = final_answer("<answer>\na b\n c\n</answer>")
    assert found is not None and found.readings == ["a b\n c"]


def made(task: str, **config: object) -> Problem:
    """An entry by reasoning-gym itself, as a problem source maps it."""
    source = ProblemSource(gym=task, count=1, seed=3, gym_config=dict(config))
    return next(iter(load_problems([source], on_bad=lambda row: pytest.fail(row.reason))))


# Several answers are right, and the entry names none.
NO_ORACLE = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}
# The first takes other data sets; the others cannot be scored from a file (distill/gym.py refuses them).
LEFT_OUT = {"composite", "arc_agi", "rearc"}


def tasks() -> list[str]:
    from reasoning_gym.factory import DATASETS

    return sorted(set(DATASETS) - NO_ORACLE - LEFT_OUT)


@pytest.mark.parametrize("task", tasks())
def test_every_task_accepts_its_own_answer_after_a_round_trip_through_json(task: str) -> None:
    problem = msgspec.json.decode(msgspec.json.encode(made(task)), type=Problem)
    assert judged(problem, f"<answer>{problem.answer}</answer>").status == "correct"


@pytest.mark.parametrize("task", tasks())
def test_no_task_accepts_any_other_text(task: str) -> None:
    try:
        assert judged(made(task), "<answer>no such thing 17</answer>").status == "wrong"
    except ValueError:
        assert (
            task == "prime_factorization"
        )  # its scorer raises: the worker makes checker_error of it


def test_the_settings_of_a_task_reach_its_scorer() -> None:
    places = json.dumps(
        {"min_num_decimal_places": 1, "max_num_decimal_places": 1}
    )  # so 0.1 is near
    for config, status in ((None, "wrong"), (places, "correct")):
        asked = Gym(task="decimal_arithmetic", entry='{"answer": "1.4"}', config=config)
        problem = msgspec.structs.replace(GCD, gym=asked)
        assert judged(problem, "<answer>1.45</answer>").status == status


def test_the_exception_of_a_scorer_is_no_wrong_answer() -> None:
    broken = msgspec.structs.replace(GCD, gym=Gym(task="gcd", entry="{}"))
    unknown = msgspec.structs.replace(GCD, gym=Gym(task="no_such_task", entry="{}"))
    with CheckPool(workers=1) as pool:
        pairs = [
            (p, Trace(series="s", problem_id="p", sample=0, response="<answer>4</answer>"))
            for p in (broken, unknown, GCD)
        ]
        verdicts = list(pool.judge_all(pairs))
    assert [v.status for v in verdicts] == ["checker_error", "checker_error", "correct"]
    assert [v.detail for v in verdicts[:2]] == ["KeyError: 'answer'", "KeyError: 'no_such_task'"]


def test_a_worker_that_scores_has_left_the_network() -> None:
    with CheckPool(workers=1) as pool:
        pair = (GCD, Trace(series="s", problem_id="p", sample=0, response="<answer>4</answer>"))
        assert [v.status for v in pool.judge_all([pair])] == ["correct"]
        (worker,) = pool._alive
        if os.readlink("/proc/self/ns/user") == os.readlink(f"/proc/{worker.pid}/ns/user"):
            needs("namespaces", "this kernel gives users none")
        assert os.readlink("/proc/self/ns/net") != os.readlink(f"/proc/{worker.pid}/ns/net")


def test_a_missing_extra_is_refused_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DistillError, match=re.escape("pip install 'distill[gym]'")):
        require_checkers({"gym"})


# ── what a model wrote is not run ────────────────────────────────────────────────────────────────

HARM = "__import__('pathlib').Path('{path}').touch()"


@pytest.mark.parametrize("task", ["binary_matrix", "n_queens", "spiral_matrix", "string_insertion"])
def test_scorers_that_call_eval_run_nothing(task: str, tmp_path: Path) -> None:
    harm = HARM.format(path=tmp_path / "harm")
    problem = made(task)
    assert judged(problem, f"<answer>{harm}</answer>").status == "wrong"
    assert judged(problem, f"<answer>[[{harm}]]</answer>").status == "wrong"
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("task", sorted(gym.PARSED))
def test_scorers_that_call_the_parser_of_sympy_run_nothing(task: str, tmp_path: Path) -> None:
    path = tmp_path / "harm"
    spelled = "+".join(f"chr({ord(c)})" for c in HARM.format(path=path))
    problem = made(task)
    for harm in (HARM.format(path=path), f"eval({spelled})", f"exec({spelled})"):
        verdict = judged(problem, f"<answer>{harm}</answer>")
        assert verdict.status == "wrong" and str(verdict.detail).startswith("not mathematics: ")
    assert not path.exists()


def test_every_scorer_that_runs_text_is_known() -> None:
    """A newer reasoning-gym may call eval or sympy's parser elsewhere: then this test says so."""
    from reasoning_gym.factory import DATASETS

    parsed, other = set(), set()
    for task, (dataset, _) in DATASETS.items():
        source = inspect.getsource(sys.modules[dataset.__module__])
        if re.search(r"\b(?:sympy|sp)\.(?:parse_expr|sympify|S)\(|sympy_parser import", source):
            parsed.add(task)
        if re.search(
            r"(?<![\w.])(?:exec|compile|__import__)\(|\bsubprocess\b|\bos\.system", source
        ):
            other.add(task)
    assert parsed == gym.PARSED
    assert other == {"codeio"}  # in what makes entries, not in what scores them


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("2*x**3/3 - sin(x)*exp(-x) + C", None),
        ("(25 - 3) * 4 + 7", None),
        ("4 apples", None),
        ("erf(x)*sqrt(pi)/2 + Rational(1, 2)", None),
        ("open(x)", "open"),
        ("lambdify(x)", "lambdify"),
        ("x.__class__", "._"),
        ("x.subs", ".s"),
        ("'a'", "'"),
        ("lambda: 0", ":"),
    ],
)
def test_only_mathematics_reaches_the_parser(text: str, piece: str | None) -> None:
    assert not_maths(text) == piece


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[[1, 2], [3, -4]]", [[1, 2], [3, -4]]),
        ("('a', 'b')", ("a", "b")),
        ("(0x10 + (0x8 << 0x2)) & 0xff", 48),
        ("0b11 ^ 1 | 8", 10),
        (" 1.5", 1.5),
    ],
)
def test_plain_data_and_integer_arithmetic_is_read(text: str, value: object) -> None:
    assert plain_value(text) == value


@pytest.mark.parametrize(
    "text", ["f()", "a", "1 << 10**9", "[x for x in 'a']", "2 ** 9", "1 if 1 else 2"]
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(ValueError):
        plain_value(text)


def test_what_scorers_may_not_call_is_there_again_when_entries_are_made() -> None:
    first = made("basic_arithmetic")
    judged(first, "<answer>1</answer>")
    assert made("basic_arithmetic") == first

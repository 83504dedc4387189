"""Problem cards: what a recipe's entry takes from one, and how rows of each set's schema are read.

The rows here are made up in the documented schema of their set; where that stands is said in the card's
`source`. Sets that lie in the folder of real data are read whole in test_real_problems.py.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from distill import jsonl
from distill.cards import ProblemSource, load_benchmark, load_problem_card, names, resolve
from distill.errors import DistillError
from distill.generate.generate import ensure_problems
from distill.problems import Counted, load_problems
from distill.recipe import Recipe, load_recipe
from distill.run import Run
from distill.types import FunctionTests, Problem, Rejected, StdinTests


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


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


# ── what wins ────────────────────────────────────────────────────────────────────────────────────


def test_a_card_alone_gives_everything() -> None:
    source = resolve(ProblemSource(card="gsm8k"))
    assert (source.dataset, source.subset, source.split) == ("openai/gsm8k", "main", "train")
    assert source.columns == {"prompt": "question", "answer": "answer"}
    assert (source.answer_after, source.source, source.licence) == ("####", "gsm8k", "MIT")


def test_what_the_entry_sets_wins_over_the_card_column_by_column() -> None:
    entry = ProblemSource(
        card="numinamath",
        columns={"topic": "source"},
        where={"question_type": "MCQ", "solution_is_valid": None},
        split="test",
        source="mine",
        count=5,
    )
    source = resolve(entry)
    assert source.columns == {"prompt": "problem", "answer": "answer", "topic": "source"}
    assert source.where == {
        "question_type": "MCQ",
        "problem_is_valid": "Yes",
        "solution_is_valid": None,
    }
    assert (source.split, source.source, source.count) == ("test", "mine", 5)
    assert source.dataset == "AI-MO/NuminaMath-1.5"


def test_a_file_or_data_set_of_ones_own_takes_the_mapping_and_nothing_of_the_place() -> None:
    source = resolve(ProblemSource(card="gsm8k", file="my.jsonl"))
    assert (source.file, source.dataset, source.subset, source.revision) == (
        "my.jsonl", None, None, None,
    )  # fmt: skip
    assert source.answer_after == "####"
    source = resolve(ProblemSource(card="gsm8k", dataset="me/gsm8k"))
    assert (source.dataset, source.subset, source.revision) == ("me/gsm8k", None, None)


def test_another_way_to_find_the_answer_replaces_the_cards() -> None:
    source = resolve(ProblemSource(card="gsm8k", answer_in="whole"))
    assert (source.answer_in, source.answer_after) == ("whole", None)
    source = resolve(ProblemSource(card="math", answer_after="A:"))
    assert (source.answer_in, source.answer_after) == (None, "A:")


WRONG = [
    ({}, "exactly one of"),
    ({"file": "a", "dataset": "b/c"}, "exactly one of"),
    ({"world": "train", "card": "gsm8k"}, "exactly one of"),
    ({"gym": "chain_sum", "file": "a"}, "exactly one of"),
    ({"card": "gsm9k"}, "unknown problem card 'gsm9k'; did you mean 'gsm8k'?"),
    ({"card": "reasoning-gym"}, "add 'file:'"),
]


@pytest.mark.parametrize(("entry", "sentence"), WRONG)
def test_a_source_without_one_way_to_its_rows_is_refused(entry: dict, sentence: str) -> None:
    with pytest.raises(DistillError) as raised:
        load(ProblemSource(**entry))
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_recipe_and_a_benchmark_name_their_file_when_a_source_is_wrong(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("problems: [{card: gsm8k, count: 5}, {card: mth}]\n")
    with pytest.raises(DistillError, match=r"r\.yaml: problems\[1\]: unknown problem card 'mth'"):
        load_recipe(str(recipe))
    recipe.write_text("name: b\nproblems: {card: gsm8k, world: train}\n")
    with pytest.raises(DistillError, match=r"r\.yaml: key 'problems': a source of problems needs"):
        load_benchmark(str(recipe))


@pytest.mark.parametrize("name", names("sources"))
def test_a_shipped_card_says_how_its_rows_become_problems(name: str) -> None:
    card = load_problem_card(name)
    assert card.licence and card.kind and card.language and card.source
    assert ("tests" in card.columns) == (card.kind == "code") == (card.tests is not None)
    if card.kind == "math":
        assert {"prompt", "answer"} <= card.columns.keys()
    assert (card.dataset is None) == (name == "reasoning-gym")


# ── rows of documented schemas ───────────────────────────────────────────────────────────────────

NUMINA = {
    "problem": "What is $1+1$?", "solution": "It is 2.", "answer": "2", "problem_type": "Algebra",
    "question_type": "math-word-problem", "problem_is_valid": "Yes", "solution_is_valid": "Yes",
    "source": "olympiads", "synthetic": False,
}  # fmt: skip
OPENR1 = {
    "problem": "What is $1+1$?", "solution": "It is 2.", "answer": "2", "problem_type": "Algebra",
    "question_type": "math-word-problem", "source": "olympiads", "uuid": "c0ffee",
    "is_reasoning_complete": [True, True], "generations": ["<think>", "<think>"],
    "correctness_math_verify": [True, False], "correctness_llama": None, "finish_reasons": None,
    "correctness_count": 1, "messages": [{"content": "What is $1+1$?", "role": "user"}],
}  # fmt: skip
THOUGHTS = {
    "problem": "What is $1+1$?", "deepseek_reasoning": "1+1", "deepseek_solution": "2",
    "ground_truth_solution": "Adding, $\\boxed{2}$.", "domain": "math", "source": "numina_math",
    "test_cases": None, "starter_code": None,
}  # fmt: skip
PAIRS = json.dumps({"inputs": ["1 1\n", ["1", "2"]], "outputs": ["2\n", ["3"]]})
CALLS = json.dumps({"fn_name": "add", "inputs": [[1, 1]], "outputs": [[2]]})
CODE = THOUGHTS | {"domain": "code", "test_cases": PAIRS, "starter_code": ""}

# (card, rows, answers or entries of the problems, columns that left rows out, reasons of the rejected)
SCHEMAS: list[tuple[str, list[dict], list[str], dict[str, int], list[str]]] = [
    ("openr1-math",
     [OPENR1, OPENR1 | {"question_type": "MCQ", "answer": "C"}, OPENR1 | {"question_type": "proof"},
      OPENR1 | {"uuid": "2", "answer": "proof"}, OPENR1 | {"uuid": "3", "answer": None}],
     ["2"], {"question_type": 2}, ["the row says 'proof'", "no answer"]),
    ("numinamath",
     [NUMINA, NUMINA | {"question_type": "proof", "answer": "proof"},
      NUMINA | {"problem_is_valid": "Incomplete"}, NUMINA | {"solution_is_valid": "Problem not solved"},
      NUMINA | {"answer": "notfound"}, NUMINA | {"problem": "2?", "answer": "$\\frac{1}{2}$"}],
     ["2", "$\\frac{1}{2}$"], {"question_type": 1, "problem_is_valid": 1, "solution_is_valid": 1},
     ["the row says 'notfound'"]),
    ("numinamath-cot",
     [{"source": "cn_k12", "problem": "1+1?", "solution": "So \\boxed{2}.", "messages": []},
      {"source": "olympiads", "problem": "Prove it.", "solution": "Done. \\boxed{}", "messages": []},
      {"source": "olympiads", "problem": "Show it.", "solution": "Clear.", "messages": []}],
     ["2"], {}, ["no answer", "no answer: its column has no \\boxed{}"]),
    ("openthoughts", [THOUGHTS, CODE, THOUGHTS | {"domain": "puzzle"},
                      THOUGHTS | {"problem": "x?", "ground_truth_solution": "1"}],
     ["2"], {"domain": 2}, ["its column has no \\boxed{}"]),
    ("openthoughts-code",
     [CODE, THOUGHTS, CODE | {"problem": "add", "test_cases": CALLS, "starter_code": "def add(a, b):"},
      CODE | {"problem": "none", "test_cases": json.dumps({"inputs": [], "outputs": []})}],
     ["", "add"], {"domain": 1}, ["the list is empty"]),
    ("deepscaler",
     [{"problem": "1+1?", "answer": "2", "solution": ""}, {"problem": "?", "answer": "", "solution": ""}],
     ["2"], {}, ["no answer"]),
    ("gsm8k", [{"question": "How many?", "answer": "48+24 = <<48+24=72>>72.\n#### 1,072"}],
     ["1,072"], {}, []),
    ("math", [{"problem": "?", "level": "Level 5", "type": "Algebra",
               "solution": "Not $\\boxed{1}$ but $\\boxed{\\frac{x^{2}}{3}}$."}],
     ["\\frac{x^{2}}{3}"], {}, []),
    ("leetcode",
     [{"task_id": "two-sum", "question_id": 1, "difficulty": "Easy", "query": "Two sum.",
       "prompt": "from typing import *\n\ndef list_node(values): return values",
       "entry_point": "Solution().twoSum",
       "test": "def check(candidate):\n    assert candidate(nums = list_node([1])) == [0]"}],
     ["Solution().twoSum"], {}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("card", "rows", "answers", "not_chosen", "reasons"), SCHEMAS, ids=[s[0] for s in SCHEMAS]
)
def test_rows_of_the_documented_schema_are_read_and_every_other_row_is_told(
    card: str, rows: list[dict], answers: list[str], not_chosen: dict, reasons: list[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    found = load(ProblemSource(card=card, file=write(tmp_path / "rows.jsonl", *rows)))
    assert [what_is_expected(problem) for problem in found.problems] == answers
    assert dict(found.counted.not_chosen) == not_chosen
    assert [reason in bad.reason for bad, reason in zip(found.rejected, reasons, strict=True)] == [
        True for _ in reasons
    ]
    assert {problem.source for problem in found.problems} == {card}
    assert all(problem.licence and problem.language == "en" for problem in found.problems)
    assert found.counted.rows == len(rows)


def what_is_expected(problem: Problem) -> str:
    if isinstance(problem.tests, FunctionTests):
        return problem.tests.entry
    if isinstance(problem.tests, StdinTests):
        return ""
    assert isinstance(problem.answer, str)
    return problem.answer


def test_the_starter_code_is_part_of_the_prompt_and_lines_are_joined(tmp_path: Path) -> None:
    rows = [CODE, CODE | {"problem": "Add.", "test_cases": CALLS, "starter_code": "def add(a, b):"}]
    found = load(ProblemSource(card="openthoughts-code", file=write(tmp_path / "r.jsonl", *rows)))
    assert found.problems[0].tests == StdinTests(cases=[("1 1\n", "2\n"), ("1\n2", "3")])
    assert found.problems[1].prompt == "Add.\ndef add(a, b):"


def test_a_data_set_is_read_like_a_file_and_only_in_the_columns_that_its_card_needs(
    tmp_path: Path,
) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    mcq = OPENR1 | {"question_type": "MCQ", "answer": "C"}
    file = write(tmp_path / "train.jsonl", OPENR1, mcq)
    from_file = load(ProblemSource(card="openr1-math", file=file))
    from_set = load(ProblemSource(card="openr1-math", dataset=str(tmp_path)))
    assert from_set.problems == from_file.problems
    assert from_set.problems[0].id == "openr1-math/c0ffee"
    assert from_set.counted == from_file.counted
    assert str(from_set.counted) == (
        "openr1-math: 2 rows → 1 problems, 1 not chosen (question_type 1)"
    )
    no_answer = ProblemSource(card="openr1-math", dataset=str(tmp_path), columns={"answer": "gold"})
    assert "it has " in load(no_answer).rejected[0].reason


def test_a_run_says_and_logs_what_became_of_the_rows_that_are_no_problems(tmp_path: Path) -> None:
    rows = [NUMINA, NUMINA | {"question_type": "proof"}, NUMINA | {"answer": "notfound"}]
    file = write(tmp_path / "numina.jsonl", *rows)
    run = Run(tmp_path, Recipe(problems=[ProblemSource(card="numinamath", file=file)]))
    said: list[str] = []
    problems, rejected = ensure_problems(run, said.append)
    assert (len(problems), rejected) == (1, 1)
    sentence = "numinamath: 3 rows → 1 problems, 1 not chosen (question_type 1), 1 rejected"
    assert said == [sentence]
    [logged] = jsonl.read(tmp_path / "log.jsonl", dict)
    assert (logged["event"], logged["not_chosen"]) == ("problems", {"question_type": 1})
    assert ensure_problems(run, said.append) == (problems, 1)
    assert said == [sentence]


NONE_USABLE = [
    ([{"type": "b"}, {"type": "c"}], "0 rows were rejected and 2 were not chosen (by 'type' 2)"),
    (
        [{"type": "b"}, {"type": "a", "prompt": "p"}],
        "1 rows were rejected and 1 were not chosen (by 'type' 1); the first rejected: FILE:2: no answer",
    ),
    ([{"type": "a"}], "1 rows were rejected; the first rejected: FILE:1: no prompt"),
    ([], "the sources have no rows"),
]


@pytest.mark.parametrize(("rows", "sentence"), NONE_USABLE)
def test_a_run_without_a_problem_says_what_became_of_the_rows(
    rows: list[dict], sentence: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "x.jsonl", *rows)
    run = Run(tmp_path, Recipe(problems=[ProblemSource(file=file, where={"type": "a"})]))
    with pytest.raises(DistillError) as raised:
        ensure_problems(run, lambda line: None)
    assert f"no usable problem: {sentence.replace('FILE', file)}" in str(raised.value)

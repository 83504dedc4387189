"""Problems from files and data sets: what is read, what is set aside and where it is said to be."""

import json
from pathlib import Path

import pytest

from distill.cards import ProblemSource
from distill.errors import DistillError
from distill.problems import Counted, load_problems, render_prompt
from distill.types import Message, Problem, Rejected


def load(source: ProblemSource) -> tuple[list[Problem], list[Rejected]]:
    bad: list[Rejected] = []
    return list(load_problems([source], bad.append)), bad


def write(path: Path, *lines: object) -> ProblemSource:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return ProblemSource(file=str(path))


def test_usual_column_names_are_understood_and_a_number_keeps_its_spelling(tmp_path: Path) -> None:
    source = write(tmp_path / "mine.jsonl", '{"question": "half?", "answer": 0.50, "id": 7}')
    problems, bad = load(source)
    assert not bad
    assert problems[0].id == "mine/7"
    assert (problems[0].prompt, problems[0].answer, problems[0].kind) == ("half?", "0.50", "math")


BAD_ROWS = [
    ("not json at all", "not JSON"),
    ({"prompt": "p"}, "no answer"),
    ({"prompt": "p", "answer": ""}, "no answer"),
    ({"answer": "1"}, "no prompt"),
    ({"prompt": "p", "answer": "A", "kind": "choice"}, "needs 'choices'"),
    ({"prompt": "p", "answer": "1", "kind": "maths"}, "kind"),
    ({"prompt": 5, "answer": "1"}, "prompt"),
    ([1, 2], ""),
    ({"prompt": "p", "answer": [None, " "]}, "no answer"),
    ({"prompt": "p", "answer": "A", "choices": [str(n) for n in range(27)]}, "only 26 letters"),
    ({"prompt": "p", "kind": "code"}, "needs 'tests'"),
    ({"prompt": "p", "kind": "gym"}, "needs 'gym'"),
    ({"prompt": [{"role": "assistant", "content": "hi"}], "answer": "1"}, "not the user's"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_set_aside_with_its_line_and_the_rest_goes_on(
    tmp_path: Path, row: object, reason: str
) -> None:
    good = {"prompt": "p", "answer": "1"}
    problems, bad = load(write(tmp_path / "x.jsonl", good, row, {**good, "prompt": "q"}))
    assert [p.prompt for p in problems] == ["p", "q"]
    assert len(bad) == 1 and bad[0].where.endswith("x.jsonl:2") and reason in bad[0].reason


def test_kind_open_needs_no_answer(tmp_path: Path) -> None:
    problems, bad = load(write(tmp_path / "x.jsonl", {"prompt": "write a poem", "kind": "open"}))
    assert problems[0].answer is None and not bad


def test_the_same_problem_twice_is_one_and_the_same_id_for_another_is_set_aside(
    tmp_path: Path,
) -> None:
    one, other = {"id": 1, "prompt": "p", "answer": "1"}, {"id": 1, "prompt": "q", "answer": "1"}
    problems, bad = load(write(tmp_path / "x.jsonl", one, one, other))
    assert len(problems) == 1
    assert len(bad) == 1 and "used before" in bad[0].reason and bad[0].where.endswith(":3")


def test_columns_are_mapped_and_the_answer_is_cut_at_its_mark(tmp_path: Path) -> None:
    source = write(tmp_path / "x.jsonl", {"q": "sum?", "sol": "2+2=4\n#### 4"})
    mapped = ProblemSource(
        file=source.file, columns={"prompt": "q", "answer": "sol"}, answer_after="####"
    )
    problems, bad = load(mapped)
    assert problems[0].answer == "4" and not bad


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    source = write(tmp_path / "x.jsonl", {"q": "sum?", "a": "4"})
    _, bad = load(ProblemSource(file=source.file, columns={"prompt": "question"}))
    assert "no column 'question'" in bad[0].reason and "a, q" in bad[0].reason


def test_each_row_of_a_source_is_in_exactly_one_figure(tmp_path: Path) -> None:
    row = {"prompt": "p", "answer": "1", "id": 1, "level": 1}
    rows = [row, row, {**row, "prompt": "q"}, {**row, "level": 2}, "bad", {**row, "id": 2}]
    file = write(tmp_path / "x.jsonl", *rows).file
    counts: list[Counted] = []
    source = ProblemSource(file=file, where={"level": 1})
    problems = list(load_problems([source], lambda bad: None, counts.append))
    [counted] = counts
    assert len(problems) == 2
    assert str(counted) == (
        "x: 6 rows → 2 problems, 1 not chosen (level 1), 2 rejected, 1 repeated"
    )


def test_a_row_that_is_not_chosen_is_not_rejected(tmp_path: Path) -> None:
    """Proofs are no defect of a set of problems: a benchmark may leave them out and still be whole."""
    source = write(tmp_path / "x.jsonl", {"prompt": "p", "answer": "1", "type": "proof"})
    problems, bad = load(ProblemSource(file=source.file, where_not={"type": "proof"}))
    assert not problems and not bad


def test_the_right_choice_does_not_stay_first_and_its_letter_is_the_answer(tmp_path: Path) -> None:
    rows = [{"q": f"Question {n}?", "right": "r", "w1": "1", "w2": "2"} for n in range(60)]
    source = write(tmp_path / "x.jsonl", *rows)
    how = {"prompt": "q", "choices": ["right", "w1", "w2"]}
    problems, bad = load(ProblemSource(file=source.file, columns=how, answer_in="first"))
    assert not bad
    for problem in problems:
        assert problem.choices and sorted(problem.choices) == ["1", "2", "r"]
        assert problem.choices["ABC".index(str(problem.answer))] == "r"
    letters = [problem.answer for problem in problems]
    assert min(letters.count(letter) for letter in "ABC") > 8


def test_count_limits_usable_rows(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "answer": "1"} for n in range(5)]
    source = write(tmp_path / "x.jsonl", "bad", *rows)
    problems, _ = load(ProblemSource(file=source.file, count=3))
    assert [p.prompt for p in problems] == ["p0", "p1", "p2"]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="no such file"):
        load(ProblemSource(file=str(tmp_path / "none.jsonl")))


def test_a_local_data_set_folder_reads_like_a_file(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    write(tmp_path / "train.jsonl",
          {"question": "q", "gold": "3", "level": 2})  # fmt: skip
    datasets.disable_progress_bars()
    problems, bad = load(ProblemSource(dataset=str(tmp_path), split="train", source="mine"))
    assert problems[0].answer == "3" and problems[0].source == "mine" and not bad


def test_an_unknown_data_set_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DistillError, match=r"cannot be read|no such folder"):
        load(ProblemSource(dataset="nowhere"))


PROMPTS = [
    ("plain", None, {}, "plain"),
    ("plain", None, {"math": "Box it."}, "plain\nBox it."),
    ("pick", ["x", "y"], {"choice": "Letter."}, "pick\nA. x\nB. y\nLetter."),
]


@pytest.mark.parametrize(("prompt", "choices", "instruction", "asked"), PROMPTS)
def test_the_prompt_as_asked(
    prompt: str, choices: list[str] | None, instruction: dict, asked: str
) -> None:
    kind = "choice" if choices else "math"
    problem = Problem(id="x", prompt=prompt, kind=kind, choices=choices, answer="A")  # type: ignore[arg-type]
    assert render_prompt(problem, instruction) == [Message(role="user", content=asked)]


def test_a_chat_prompt_gets_the_instruction_on_its_last_message() -> None:
    chat = [Message(role="system", content="s"), Message(role="user", content="u")]
    problem = Problem(id="x", prompt=chat, answer="1")
    asked = render_prompt(problem, {"math": "Box it."})
    assert [m.content for m in asked] == ["s", "u\nBox it."]


FOUR = ["1", "2 cm", r"$\text{Three}$", "four"]


@pytest.mark.parametrize(
    "answer",
    ["A", "d", "(B)", "C.", "AD", "A and D", "(A)(D)", "A, B", ["A", "D"], "option C", r"\text{(B)}",
     "B. 2 cm", "2 cm", "three", "1", 1, "Four."],
)  # fmt: skip
def test_the_answer_to_a_choice_is_letters_or_the_text_of_one(
    answer: object, tmp_path: Path
) -> None:
    row = {"prompt": "p", "choices": FOUR, "answer": answer}
    problems, bad = load(write(tmp_path / "x.jsonl", row))
    assert len(problems) == 1 and not bad


@pytest.mark.parametrize(
    "answer,hint",
    [("E", ""), ("AE", ""), ("AA", ""), ("five", ""), (["A", "E"], ""), ("E. x", ""), (9, ""),
     (2, "; if it counts from 0, say 'answer_in: index'"),
     ("0", "; if it counts from 0, say 'answer_in: index'")],
)  # fmt: skip
def test_an_answer_that_is_none_of_the_choices_is_set_aside(
    answer: object, hint: str, tmp_path: Path
) -> None:
    row = {"prompt": "p", "choices": FOUR, "answer": answer}
    problems, [bad] = load(write(tmp_path / "x.jsonl", row))
    assert not problems
    said = "E" if isinstance(answer, list) else answer
    assert bad.reason == (
        f"answer '{said}' is neither a letter (A to D) nor the text of a choice{hint}"
    )
